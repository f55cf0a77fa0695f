//! What every gRPC server may offer: health checking and server reflection. Whoever the socket lets
//! in may ask: it tells whether the server is at work, and what stands in its `.proto` files.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use portcullis_proto::grpc::Replies;
use portcullis_proto::reflected::{FILES, SERVICES};
use portcullis_proto::standard::health::health_check_response::ServingStatus;
use portcullis_proto::standard::health::{HealthCheckRequest, HealthCheckResponse};
use portcullis_proto::standard::reflection::server_reflection_request::MessageRequest;
use portcullis_proto::standard::reflection::server_reflection_response::MessageResponse;
use portcullis_proto::standard::reflection::{
    ErrorResponse, ExtensionNumberResponse, FileDescriptorResponse, ListServiceResponse,
    ServerReflectionRequest, ServerReflectionResponse, ServiceResponse,
};
use prost::Message;
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use super::errors::kinded;
use crate::services::Services;

/// The largest request, in bytes: it holds a name.
pub(super) const MAX_REQUEST: usize = 4 << 10;
/// How often a watched status is looked at.
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// A method of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standard {
    Check,
    Watch,
    Reflection,
}

impl Standard {
    /// The method at a path; `None`: there is none. Version 1 of reflection and the one before have
    /// the same messages.
    pub(super) fn find(path: &str) -> Option<Self> {
        match path {
            "/grpc.health.v1.Health/Check" => Some(Self::Check),
            "/grpc.health.v1.Health/Watch" => Some(Self::Watch),
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
            | "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo" => {
                Some(Self::Reflection)
            }
            _ => None,
        }
    }
}

/// Answers [`Standard::Check`].
pub(super) async fn check(
    services: Arc<Services>,
    request: Bytes,
) -> Result<Replies<Bytes>, Status> {
    let service = asked_about(request)?;
    if !is_known(&service) {
        let unknown = format!("there is no service `{service}` here");
        return Err(kinded(Status::not_found(unknown)));
    }
    let status = status(&services).await;
    Ok(Box::pin(tokio_stream::once(Ok(health(status)))))
}

/// Answers [`Standard::Watch`], until the server stops.
pub(super) fn watch(
    services: Arc<Services>,
    stopping: watch::Receiver<bool>,
    request: Bytes,
) -> Result<Replies<Bytes>, Status> {
    let known = is_known(&asked_about(request)?);
    let told = stream::unfold((None, stopping), move |(last, mut stopping)| {
        let services = Arc::clone(&services);
        async move {
            loop {
                let now = match known {
                    true => status(&services).await,
                    false => ServingStatus::ServiceUnknown,
                };
                if last != Some(now) {
                    return Some((Ok(health(now)), (Some(now), stopping)));
                }
                tokio::select! {
                    // An error says that the server has stopped.
                    _ = stopping.wait_for(|stopping| *stopping) => return None,
                    () = sleep(WATCH_INTERVAL) => {}
                }
            }
        }
    });
    Ok(Box::pin(told))
}

fn asked_about(request: Bytes) -> Result<String, Status> {
    let request = HealthCheckRequest::decode(request);
    let request = request.map_err(|error| malformed(&error))?;
    Ok(request.service)
}

fn malformed(error: &prost::DecodeError) -> Status {
    kinded(Status::invalid_argument(error.to_string()))
}

fn is_known(service: &str) -> bool {
    service.is_empty() || SERVICES.contains(&service)
}

/// Where the audit log takes no entries, nothing that is audited can be done.
async fn status(services: &Services) -> ServingStatus {
    match services.audit.ready().await {
        Ok(()) => ServingStatus::Serving,
        Err(_) => ServingStatus::NotServing,
    }
}

fn health(status: ServingStatus) -> Bytes {
    let status = status.into();
    HealthCheckResponse { status }.encode_to_vec().into()
}

/// Answers [`Standard::Reflection`], until the server stops.
pub(super) fn reflect(
    mut stopping: watch::Receiver<bool>,
    requests: Replies<Bytes>,
) -> Replies<Bytes> {
    let stopped = async move {
        let _ = stopping.wait_for(|stopping| *stopping).await;
    };
    let answers = requests.map(|request| {
        let request = request.map_err(kinded)?;
        let request =
            ServerReflectionRequest::decode(request).map_err(|error| malformed(&error))?;
        let answer = ServerReflectionResponse {
            valid_host: request.host.clone(),
            message_response: Some(reflected(request.message_request.as_ref())),
            original_request: Some(request),
        };
        Ok(answer.encode_to_vec().into())
    });
    Box::pin(futures_util::StreamExt::take_until(
        answers,
        Box::pin(stopped),
    ))
}

fn reflected(request: Option<&MessageRequest>) -> MessageResponse {
    let file = |found: Option<&portcullis_proto::reflected::File>, name: &str| match found {
        None => error(Code::NotFound, format!("nothing here declares `{name}`")),
        Some(file) => MessageResponse::FileDescriptorResponse(FileDescriptorResponse {
            file_descriptor_proto: vec![file.encoded.to_vec()],
        }),
    };
    match request {
        Some(MessageRequest::ListServices(_)) => {
            let service = SERVICES
                .iter()
                .map(|&name| ServiceResponse { name: name.into() });
            let service = service.collect();
            MessageResponse::ListServicesResponse(ListServiceResponse { service })
        }
        Some(MessageRequest::FileByFilename(name)) => {
            file(FILES.iter().find(|file| file.name == name), name)
        }
        Some(MessageRequest::FileContainingSymbol(symbol)) => {
            let declares = |name: &str| FILES.iter().find(|file| file.symbols.contains(&name));
            // A field or a value of an enumeration stands in the file of what it is a part of.
            let whole = || symbol.rsplit_once('.').and_then(|(of, _)| declares(of));
            file(declares(symbol).or_else(whole), symbol)
        }
        Some(MessageRequest::AllExtensionNumbersOfType(name)) => {
            if !FILES.iter().any(|file| file.symbols.contains(&&**name)) {
                return file(None, name);
            }
            MessageResponse::AllExtensionNumbersResponse(ExtensionNumberResponse {
                base_type_name: name.clone(),
                extension_number: Vec::new(),
            })
        }
        Some(MessageRequest::FileContainingExtension(extension)) => {
            file(None, &extension.containing_type)
        }
        None => error(
            Code::InvalidArgument,
            "the request asks for nothing".to_owned(),
        ),
    }
}

fn error(code: Code, error_message: String) -> MessageResponse {
    MessageResponse::ErrorResponse(ErrorResponse {
        error_code: code.into(),
        error_message,
    })
}
