//! Gateways' journals of calls: they are told which outcomes are stored here, and one that is gone,
//! or was put back to an earlier state, is noticed as soon as there is a link.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use portcullis_common::id::GatewayId;
use portcullis_common::rotation::UnixMillis;
use tokio::sync::{Mutex, MutexGuard};

use super::Provisioning;
use super::queue::RETRY;
use crate::audit::{Draft, Outcome, Subject};
use crate::fleet::{AskError, LinkStatus, MAX_ACKNOWLEDGED};
use crate::repository::{
    AlarmKind, AuditFields, NewAlarm, QueuedCall, RepositoryError, SeenJournal, Unacknowledged,
    tell_refusal,
};

/// How long ended calls are gathered.
const GATHER: Duration = Duration::from_secs(1);
/// Calls that are looked through at once.
const BATCH: u32 = 256;

/// Journals that are looked at beside one another.
const AT_ONCE: usize = 64;

/// A turn for each journal: it is compared with how far it was seen by one at a time. Some gateways
/// share theirs.
#[derive(Debug)]
pub(super) struct Turns {
    hasher: RandomState,
    turns: [Mutex<()>; 4 * AT_ONCE],
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            turns: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Turns {
    async fn of(&self, gateway: &str) -> MutexGuard<'_, ()> {
        let [first, ..] = &self.turns;
        let place = self.hasher.hash_one(gateway) % self.turns.len() as u64;
        let place = usize::try_from(place).unwrap_or_default();
        self.turns.get(place).unwrap_or(first).lock().await
    }
}

/// Looks at the journal of each gateway once in each session, as soon as it has described itself,
/// until it is dropped.
pub(super) async fn watch(provisioning: &Provisioning) {
    let fleet = &provisioning.fleet;
    let links = fleet.follow();
    let mut seen = HashMap::new();
    let mut names: BTreeSet<String> = fleet.connected().into_iter().collect();
    loop {
        let mut unseen = Vec::new();
        for gateway in std::mem::take(&mut names) {
            let Some(link) = fleet.status(&gateway) else {
                seen.remove(&gateway);
                continue;
            };
            let session = link.session.session_id;
            if link.description.is_some() && seen.get(&gateway) != Some(&session) {
                unseen.push((gateway, session));
            }
        }
        // What is written of several at once is one commit.
        let looks = stream::iter(unseen).map(async |(gateway, session)| {
            let looked = see(provisioning, &gateway).await;
            (gateway, session, looked)
        });
        let mut looks = pin!(looks.buffer_unordered(AT_ONCE));
        while let Some((gateway, session, looked)) = looks.next().await {
            if let Err(error) = looked {
                tell_refusal!(
                    error,
                    gateway,
                    "the journal of the gateway is not looked at now"
                );
                names.insert(gateway);
            } else {
                seen.insert(gateway, session);
            }
        }
        match names.is_empty() {
            true => names = links.changed().await,
            false => tokio::time::sleep(RETRY).await,
        }
    }
}

/// Tells gateways which outcomes are stored, until it is dropped.
pub(super) async fn follow(provisioning: &Provisioning) {
    loop {
        let changed = provisioning.fleet.changed();
        if let Err(error) = acknowledge_all(provisioning).await {
            tell_refusal!(error, "gateways are not told which outcomes are stored");
            tokio::time::sleep(RETRY).await;
        }
        tokio::select! {
            () = changed => {}
            () = provisioning.ended.notified() => {}
        }
        tokio::time::sleep(GATHER).await;
    }
}

async fn acknowledge_all(provisioning: &Provisioning) -> Result<(), RepositoryError> {
    let calls = provisioning.repository.queued_calls();
    for gateway in calls.gateways_unacknowledged().await? {
        if provisioning.keeps_journal(&gateway) != Some(true) {
            continue;
        }
        loop {
            let (to, some) = calls.unacknowledged(&gateway, BATCH).await?;
            let last = some.len() < BATCH as usize;
            let Some(to) = to.filter(|_| !some.is_empty()) else {
                break;
            };
            // The next session is another chance.
            if tell(provisioning, &gateway, to, &some).await.is_err() {
                break;
            }
            calls.acknowledged(some).await?;
            if last {
                // How far its journal is now: one that is put back to here loses nothing.
                provisioning.fleet.ask_again(&gateway).await;
                see(provisioning, &gateway).await?;
                break;
            }
        }
    }
    Ok(())
}

/// Each attempt is one call to the gateway.
async fn tell(
    provisioning: &Provisioning,
    gateway: &str,
    to: GatewayId,
    calls: &[Unacknowledged],
) -> Result<(), AskError> {
    let ids: Vec<_> = calls
        .iter()
        .flat_map(|call| (1..=call.attempt).map(|attempt| attempt_id(&call.call_id, attempt)))
        .collect();
    for some in ids.chunks(MAX_ACKNOWLEDGED) {
        provisioning
            .fleet
            .acknowledge(gateway, to, some.to_vec())
            .await?;
    }
    Ok(())
}

/// The id by which a gateway with a journal knows an attempt. No id that a caller chooses holds the
/// sign between.
pub(super) fn attempt_id(call_id: &str, attempt: u32) -> String {
    match attempt {
        0 | 1 => call_id.to_owned(),
        attempt => format!("{call_id}~{attempt}"),
    }
}

/// The id of a call's attempt where that is not its own.
pub(super) fn again(call: &QueuedCall) -> Option<String> {
    (call.attempt > 1).then(|| attempt_id(&call.call_id, call.attempt))
}

/// A journal as it was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// The session in which the gateway has described it: with another link it may be another one.
    pub(super) session: [u8; 8],
    /// When it was found to be another one last; `None`: never.
    pub(super) lost: Option<UnixMillis>,
}

/// Looks at how far the journal of a gateway is. Where it was lost, that is an alarm and an audit
/// entry. `None`: it is away, has not described itself yet, or keeps none.
pub(super) async fn see(
    provisioning: &Provisioning,
    gateway: &str,
) -> Result<Option<Seen>, RepositoryError> {
    // What is read first is compared first: else an earlier state of it would seem to come later.
    let _turn = provisioning.journals.of(gateway).await;
    let Some(LinkStatus {
        session,
        description: Some(description),
        ..
    }) = provisioning.fleet.status(gateway)
    else {
        return Ok(None);
    };
    let Some(journal) = description.journal else {
        return Ok(None);
    };
    let seen = SeenJournal {
        incarnation: journal.incarnation,
        sequence: journal.sequence,
    };
    let gateways = provisioning.repository.gateways();
    let now = provisioning.time.now();
    let memory = gateways.see_journal(session.gateway_id, seen, now).await?;
    if memory.was_lost {
        alarm(provisioning, gateway).await?;
    }
    Ok(Some(Seen {
        session: session.session_id,
        lost: memory.lost,
    }))
}

async fn alarm(provisioning: &Provisioning, gateway: &str) -> Result<(), RepositoryError> {
    let text = "its journal of calls is another one than before, or was put back to an earlier state: what it does not have of earlier calls proves nothing, and calls of which nobody knows what came are looked at. Find out whether its host was restored from a backup";
    tracing::error!(gateway, "{text}");
    let new = NewAlarm {
        kind: AlarmKind::JournalLost,
        alike: String::new(),
        text: text.to_owned(),
    };
    let now = portcullis_host::clock::now();
    let gateways = provisioning.repository.gateways();
    gateways.raise_alarm(gateway, new, now).await?;
    let object = format!("gateway {gateway}");
    let draft = Draft::new(Subject::server(), "Gateway/Alarm", &object, Outcome::Failed);
    let fields = AuditFields {
        gateway: gateway.to_owned(),
        ..AuditFields::default()
    };
    provisioning
        .audit
        .record(draft.about(fields).detail(text))
        .await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_told_apart_from_the_second_on() {
        assert_eq!(attempt_id("x", 1), "x");
        assert_eq!(attempt_id("x", 2), "x~2");
    }
}
