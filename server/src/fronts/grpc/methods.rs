//! The use cases under the names of their methods, with messages as bytes on both sides.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use portcullis_proto::grpc::Replies;
use prost::Message;
use tokio::time::sleep;
use tokio_stream::StreamExt as _;
use tonic::Status;
use tonic::codegen::BoxFuture;

use super::errors::{broke_off, kinded};
use crate::access::Caller;
use crate::admin::{
    AGAIN_AFTER, AdminError, Answer, Encoded, FromMessage, Front, Messages, Method, Plan, Request,
    ThroughLink, dispatch, forward, has_moved, offer_all,
};
use crate::peers::moved;
use crate::services::Services;

/// What stands before a method's name in its path.
const PREFIX: &str = "/portcullis.admin.v1.";

/// Why a change goes no further whose body is anything but the one message that is logged.
pub(super) const NOT_ONE_MESSAGE: &str =
    "the request is not one uncompressed message of this method";

/// Why what another server forwarded is not carried out.
const NOT_FORWARDED: &str = "this method needs no link to a gateway: the server that was asked carries it out itself, and the two are not of one version";

/// The encoded answers of a method.
pub(super) type Answering = BoxFuture<Replies<Bytes>, Status>;

/// Whom a request comes from, and what it is carried out with.
pub(super) struct Origin {
    pub(super) services: Arc<Services>,
    pub(super) caller: Caller,
    /// Another server forwarded it: it is not forwarded again.
    pub(super) forwarded: bool,
}

/// All methods, by name.
#[derive(Debug)]
pub(super) struct Methods(HashMap<&'static str, Endpoint>);

/// A method, and what decodes its request and has it carried out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) serve: Serve,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Serve {
    /// One message comes in.
    One(fn(Origin, Bytes) -> Answering),
    /// Any number of messages come in.
    Many(fn(Origin, Replies<Bytes>) -> Answering),
}

impl Methods {
    pub(super) fn new() -> Self {
        let mut methods = Self(HashMap::new());
        offer_all(&mut methods);
        methods
    }

    /// The method at a path, `/portcullis.admin.v1.Gateways/Add`; `None`: there is none.
    pub(super) fn find(&self, path: &str) -> Option<Endpoint> {
        self.named(path.strip_prefix(PREFIX)?)
    }

    /// The method of a name, `Gateways/Add`; `None`: there is none.
    pub(super) fn named(&self, name: &str) -> Option<Endpoint> {
        self.0.get(name).copied()
    }

    /// All of them, in no order.
    #[cfg(test)]
    pub(super) fn all(&self) -> impl Iterator<Item = Method> {
        self.0.values().map(|endpoint| endpoint.method)
    }
}

impl Front for Methods {
    fn offer<R: FromMessage>(&mut self) {
        self.add(R::METHOD, Serve::One(one::<R>));
    }

    fn offer_of_many<M, R>(&mut self)
    where
        M: Message + Default + 'static,
        R: Request + From<Messages<M>>,
    {
        self.add(R::METHOD, Serve::Many(many::<M, R>));
    }
}

impl Methods {
    fn add(&mut self, method: Method, serve: Serve) {
        let former = self.0.insert(method.name, Endpoint { method, serve });
        debug_assert!(former.is_none(), "{} is offered twice", method.name);
    }
}

fn one<R: FromMessage>(from: Origin, encoded: Bytes) -> Answering {
    Box::pin(async move {
        let request: R = decoded(encoded)?;
        if !from.services.peers.is_on() {
            return answers(from, request).await;
        }
        let Some(through) = request.through_link() else {
            // No other server has a reason to forward it.
            if from.forwarded {
                return Err(kinded(Status::unimplemented(NOT_FORWARDED)));
            }
            return answers(from, request).await;
        };
        Box::pin(through_link(from, request, &through)).await
    })
}

/// Carries out what goes through the link to a gateway, wherever that is: links change hands. Once
/// the first message of an answer was given on, nothing is made again.
async fn through_link<R: FromMessage>(
    from: Origin,
    mut request: R,
    through: &ThroughLink,
) -> Result<Replies<Bytes>, Status> {
    let Origin {
        services,
        caller,
        forwarded,
    } = from;
    let mut waits = AGAIN_AFTER.into_iter();
    loop {
        if !forwarded {
            let about = request.about();
            let forwarding = forward(&services, &caller, R::METHOD, about, through);
            if let Some(answers) = Box::pin(forwarding).await? {
                return Ok(replies(answers));
            }
        }
        // As it would have been forwarded: what was lost on the way is known by its id.
        let same = || decoded::<R>(Bytes::copy_from_slice(&through.message));
        let (answer, found_none) = match dispatch(&services, caller.clone(), same()?).await {
            Ok(answer) => {
                let (answer, found_none) = begun(answer, R::found_no_link).await;
                (Ok(answer), found_none)
            }
            Err(error) => {
                let away = matches!(error, AdminError::Unavailable(_));
                (Err(error), through.may_be_repeated() && away)
            }
        };
        if !found_none || !has_moved(&services, through).await.unwrap_or(false) {
            return Ok(encoded(answer?));
        }
        if forwarded {
            return Err(moved());
        }
        let Some(wait) = waits.next() else {
            return Ok(encoded(answer?));
        };
        sleep(wait).await;
        request = same()?;
    }
}

/// An answer whose first message is there, and whether that one says that there was no link.
async fn begun<A: Answer>(
    answer: A,
    found_no_link: fn(&A::Message) -> bool,
) -> (Messages<A::Message>, bool) {
    let mut messages = answer.messages();
    let first = messages.next().await;
    let found_none = matches!(&first, Some(Ok(first)) if found_no_link(first));
    let all = tokio_stream::iter(first).chain(messages);
    (Messages::new(all), found_none)
}

fn decoded<R: FromMessage>(encoded: Bytes) -> Result<R, Status> {
    let message = R::Message::decode(encoded).map_err(|error| {
        kinded(Status::invalid_argument(match R::METHOD.plan {
            Plan::Read | Plan::Own => format!("the message is not of this method: {error}"),
            Plan::Change => NOT_ONE_MESSAGE.to_owned(),
        }))
    })?;
    Ok(R::from_message(message))
}

fn replies(answers: Encoded) -> Replies<Bytes> {
    Box::pin(answers.map(|answer| Ok(answer?)))
}

fn many<M, R>(from: Origin, encoded: Replies<Bytes>) -> Answering
where
    M: Message + Default + 'static,
    R: Request + From<Messages<M>>,
{
    let messages = encoded.map(|encoded| {
        let message = M::decode(encoded.map_err(broke_off)?);
        message.map_err(|error| broke_off(Status::invalid_argument(error.to_string())))
    });
    Box::pin(answers(from, R::from(Messages::new(messages))))
}

async fn answers<R: Request>(from: Origin, request: R) -> Result<Replies<Bytes>, Status> {
    let answer = dispatch(&from.services, from.caller, request).await?;
    Ok(encoded(answer))
}

fn encoded(answer: impl Answer) -> Replies<Bytes> {
    let answers = answer.messages();
    Box::pin(answers.map(|message| Ok(message?.encode_to_vec().into())))
}
