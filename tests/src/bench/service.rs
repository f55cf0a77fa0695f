//! The service that answers: an echo, and a stream without end.

use std::pin::Pin;

use futures_util::{Stream, stream};
use portcullis_proto::gateway::v1 as pb;
use tonic::{Request, Response, Status};

/// Bytes of content in each item of the bulk stream.
pub const BULK_ITEM: usize = 16 * 1024;

/// Answers `Ping` with its payload, and `Search` with objects for as long as they are read.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

#[tonic::async_trait]
impl pb::control_server::Control for Echo {
    async fn describe(
        &self,
        _: Request<pb::DescribeRequest>,
    ) -> Result<Response<pb::DescribeResponse>, Status> {
        Err(Status::unimplemented("an echo has no description"))
    }

    async fn ping(
        &self,
        request: Request<pb::PingRequest>,
    ) -> Result<Response<pb::PingResponse>, Status> {
        Ok(Response::new(pb::PingResponse {
            payload: request.into_inner().payload,
        }))
    }

    async fn enrol(
        &self,
        _: Request<pb::EnrolRequest>,
    ) -> Result<Response<pb::EnrolResponse>, Status> {
        Err(Status::unimplemented("an echo does not enrol"))
    }

    async fn install(
        &self,
        _: Request<pb::InstallRequest>,
    ) -> Result<Response<pb::InstallResponse>, Status> {
        Err(Status::unimplemented("an echo takes no key"))
    }
}

#[tonic::async_trait]
impl pb::provisioning_server::Provisioning for Echo {
    async fn execute(&self, _: Request<pb::Call>) -> Result<Response<pb::Outcome>, Status> {
        Err(Status::unimplemented("an echo provisions nothing"))
    }

    type SearchStream = Pin<Box<dyn Stream<Item = Result<pb::SearchItem, Status>> + Send>>;

    async fn search(&self, _: Request<pb::Call>) -> Result<Response<Self::SearchStream>, Status> {
        let item = bulk_item();
        let items = stream::repeat_with(move || Ok(item.clone()));
        Ok(Response::new(Box::pin(items)))
    }
}

fn bulk_item() -> pb::SearchItem {
    let content = pb::Attribute {
        name: "content".to_owned(),
        values: vec![pb::Value {
            kind: Some(pb::value::Kind::Binary(vec![0x5a; BULK_ITEM])),
        }],
    };
    pb::SearchItem {
        kind: Some(pb::search_item::Kind::Object(pb::Object {
            name: "bulk".to_owned(),
            attributes: vec![content],
            ..pb::Object::default()
        })),
    }
}
