//! Whom a session makes whoever presents it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use portcullis_proto::grpc::Replies;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tokio_stream::StreamExt as _;
use tonic::Status;
use zeroize::Zeroizing;

use super::errors::kinded;
use crate::access::{Caller, PeerFacts};
use crate::admin::{AdminError, Method, Shown, admit};
use crate::audit::{Draft, Outcome};
use crate::login::{Refusal, caller_of, still_caller_of};
use crate::services::Services;

/// How often it is looked whether a session still counts under which answers go on.
const LOOK: Duration = Duration::from_secs(1);

/// Who presents `bearer` over the connection of `peer`.
///
/// # Errors
/// `UNAUTHENTICATED`, with why it does not count; it is in the audit log then.
pub(super) async fn caller(
    services: &Services,
    peer: &Caller,
    bearer: &str,
) -> Result<Caller, Status> {
    let refusal = match caller_of(&services.repository, bearer, peer.from.clone()).await {
        Ok(caller) => return Ok(caller),
        Err(Refusal::Repository(error)) => return Err(AdminError::from(error).into()),
        Err(refusal) => refusal,
    };
    let reason = format!("{refusal}; from {}", peer.from.address);
    let draft = Draft::new(
        peer.subject.clone(),
        "Login/Session",
        "a session",
        Outcome::Refused,
    );
    services.audit.refused(draft.detail(&reason)).await;
    Err(kinded(Status::unauthenticated(refusal.to_string())))
}

/// A session under which something was asked for.
pub(super) struct Presented {
    pub(super) services: Arc<Services>,
    pub(super) bearer: Zeroizing<String>,
    pub(super) from: PeerFacts,
    pub(super) method: Method,
}

impl Presented {
    /// Answers for as long as the session counts and its user may ask for them.
    pub(super) fn holds(self, answers: Replies<Bytes>) -> Replies<Bytes> {
        let mut ticks = interval_at(Instant::now() + LOOK, LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = Some((self, answers, ticks));
        Box::pin(stream::unfold(state, async |state| {
            let (presented, mut answers, mut ticks) = state?;
            loop {
                tokio::select! {
                    biased;
                    _ = ticks.tick() => if let Err(status) = presented.still_counts().await {
                        return Some((Err(status), None));
                    },
                    answer = answers.next() => {
                        return Some((answer?, Some((presented, answers, ticks))));
                    }
                }
            }
        }))
    }

    async fn still_counts(&self) -> Result<(), Status> {
        let (services, from) = (&self.services, self.from.clone());
        let caller = match still_caller_of(&services.repository, &self.bearer, from).await {
            Ok(caller) => caller,
            // Nobody knows: what goes on goes on.
            Err(Refusal::Repository(_)) => return Ok(()),
            Err(refusal) => return Err(kinded(Status::unauthenticated(refusal.to_string()))),
        };
        Ok(admit(services, &caller, self.method, &Shown::default()).await?)
    }
}
