//! Requests that need a link which another server holds: forwarded to that one.
//!
//! Who asks is authorized here first, and there once more by [`dispatch`](super::dispatch). What is
//! audited is audited there.

use std::pin::Pin;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use portcullis_common::id::PeerId;
use portcullis_proto::grpc::Bytes;
use tokio::time::sleep;
use zeroize::Zeroizing;

use super::authorize::authorize;
use super::error::AdminError;
use super::request::{About, Method};
use crate::access::{Caller, Target};
use crate::peers::{ForwardError, Forwarded};
use crate::repository::RepositoryError;
use crate::services::Services;

/// How long it is waited after each time that something was lost on the way, before the repository
/// is asked again who holds the link now. A server that died is known to be gone after 10 s.
pub(crate) const AGAIN_AFTER: [Duration; 6] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(5),
];

/// A request that needs the link to a gateway, whichever server holds it.
pub(crate) struct ThroughLink {
    /// The gateway, or the resource on it.
    pub(super) target: Target,
    /// The request as it is forwarded: a call has an id.
    pub(crate) message: Zeroizing<Vec<u8>>,
    pub(super) if_lost: IfLost,
}

impl ThroughLink {
    /// Whether it may be made again where nothing is known of it, and nothing was answered yet.
    pub(crate) const fn may_be_repeated(&self) -> bool {
        matches!(self.if_lost, IfLost::Again | IfLost::EndWith(_))
    }
}

/// What is done where nobody knows whether a request that was forwarded was carried out.
#[derive(Clone, Copy)]
pub(crate) enum IfLost {
    /// It is made again: made twice it does the same, or is known by its id.
    Again,
    /// Whoever asked is told.
    Tell,
    /// It only reads, and has a stream of answers. It is made again where none of them came; after
    /// the first one the stream ends with this one, encoded, given why.
    EndWith(fn(&str) -> Vec<u8>),
}

/// Answers, encoded, as they come.
pub(crate) type Encoded = Pin<Box<dyn Stream<Item = Result<Bytes, AdminError>> + Send>>;

/// Has the server that holds the link carry out a request; `None`: it is to be carried out here, in
/// the form in which it would have been forwarded.
///
/// # Errors
/// [`AdminError`], also of the other server.
pub(crate) async fn forward(
    services: &Services,
    caller: &Caller,
    method: Method,
    about: About,
    through: &ThroughLink,
) -> Result<Option<Encoded>, AdminError> {
    let mut holder = holder(services, &through.target, Whose::NotHere).await?;
    if holder.is_none() {
        return Ok(None);
    }
    let (targets, shown) = about.into_parts();
    authorize(services, caller, method, &targets, &shown).await?;
    for wait in AGAIN_AFTER {
        let Some(to) = holder else {
            return Ok(None);
        };
        let lost = match ask(services, caller, method, through, to).await {
            Ok(answers) => return Ok(Some(answers)),
            Err(ForwardError::Refused(status)) => return Err(AdminError::BrokeOff(status)),
            Err(ForwardError::Unsent(why)) => why,
            Err(ForwardError::Lost(why)) => match through.if_lost {
                IfLost::Again | IfLost::EndWith(_) => why,
                IfLost::Tell => {
                    return Err(AdminError::Unavailable(format!(
                        "the link to the server that holds the gateway's link was lost ({why}): it may have been done; look before you ask again"
                    )));
                }
            },
        };
        tracing::warn!(method = method.name, server = %to, why = lost, "a request is forwarded again");
        sleep(wait).await;
        holder = self::holder(services, &through.target, Whose::NotHere).await?;
    }
    // A call that may change something is known by its id here as it is there; any other finds no
    // link.
    Ok(None)
}

/// The first answer is awaited, so that what was lost before it can be asked for again.
async fn ask(
    services: &Services,
    caller: &Caller,
    method: Method,
    through: &ThroughLink,
    to: PeerId,
) -> Result<Encoded, ForwardError> {
    let trace = services.fleet.tracer().trace(caller.trace, false);
    let request = Forwarded {
        method: method.name.to_owned(),
        subject: caller.carried(),
        message: through.message.clone(),
        traceparent: trace.traceparent(),
    };
    let mut answers = services.peers.forward(to, request).await?;
    let first = match answers.next().await {
        None => None,
        Some(first) => Some(Ok(first?)),
    };
    let if_lost = through.if_lost;
    let rest = answers.map(move |answer| ended(answer, if_lost));
    Ok(Box::pin(stream::iter(first).chain(rest)))
}

/// What comes after the first answer.
fn ended(answer: Result<Bytes, ForwardError>, if_lost: IfLost) -> Result<Bytes, AdminError> {
    match (answer, if_lost) {
        (Ok(answer), _) => Ok(answer),
        (Err(ForwardError::Refused(status)), _) => Err(AdminError::BrokeOff(status)),
        (Err(error), IfLost::EndWith(end)) => Ok(Bytes::from(end(&error.to_string()))),
        (Err(error), IfLost::Again | IfLost::Tell) => {
            Err(AdminError::Unavailable(error.to_string()))
        }
    }
}

/// Whether another server has the link by now that a request was to go through, of which nothing
/// was begun here.
///
/// # Errors
/// [`RepositoryError`].
pub(crate) async fn has_moved(
    services: &Services,
    through: &ThroughLink,
) -> Result<bool, RepositoryError> {
    let holder = holder(services, &through.target, Whose::AsTheRowSays).await?;
    Ok(holder.is_some())
}

/// Whose a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    /// This server's, where it has one; else as the row says.
    NotHere,
    AsTheRowSays,
}

/// The other server that holds the link; `None`: this one does, or none.
async fn holder(
    services: &Services,
    target: &Target,
    whose: Whose,
) -> Result<Option<PeerId>, RepositoryError> {
    let gateway = match target {
        Target::Gateway(name) => name.clone(),
        Target::Resource(name) => match services.repository.resources().find(name).await {
            Ok(Some(resource)) => resource.gateway,
            // What is wrong with it is told where it is carried out.
            Ok(None) | Err(RepositoryError::RowChanged { .. }) => return Ok(None),
            Err(error) => return Err(error),
        },
        _ => return Ok(None),
    };
    if whose == Whose::NotHere && services.fleet.takes_calls(&gateway) {
        return Ok(None);
    }
    services.peers.holder(&gateway).await
}
