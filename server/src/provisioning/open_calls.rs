//! Calls of which nobody knows what came: their gateways are asked, whenever they are back.
//!
//! What a gateway that lived on remembers goes into the audit log as one more outcome of the call,
//! and into the queue where it was queued. One that died knows nothing, and the call stays
//! indeterminate.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_host::clock;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{FinishedCall, Outcome};
use tokio::sync::Notify;

use super::Provisioning;
use super::describe::audited;
use super::queue::GATHER;
use super::sending::storable;
use crate::audit::{Draft, Outcome as Audited, Subject};
use crate::fleet::{AskError, MAX_ASKED};
use crate::repository::{OpenCallRow, QueuedState, RepositoryError};

/// Calls of which one server asks at most; the oldest go first.
const MAX_CALLS: usize = 10_000;
/// As long as a gateway remembers.
const MAX_AGE_MS: u64 = 24 * 60 * 60 * 1_000;
/// How far the clocks' rounding may put a call before its entry.
const SLACK_MS: u64 = 2_000;
/// When a gateway is asked after its link came up: a call may still be under way, or on its way.
const ASK_AFTER: [Duration; 7] = [
    Duration::ZERO,
    Duration::from_millis(300),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(15),
    Duration::from_secs(40),
    Duration::from_secs(60),
];
/// And so often after that, as long as one is under way.
const ASK_AGAIN: Duration = Duration::from_secs(60);
/// The longest time between two looks.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

const AFTER_RESTART: &str = "reported by the gateway after the server's restart";
const AFTER_LOSS: &str = "reported by the gateway when its link was back";
/// What the action of a queued call begins with.
pub(super) const QUEUED: &str = "queued call ";

/// A call of which nobody knows what came.
#[derive(Clone, Debug)]
pub(super) struct OpenCall {
    pub(super) gateway: String,
    pub(super) call_id: String,
    /// When it was about to be sent, in milliseconds since 1970.
    pub(super) begun_ms: u64,
    /// What is to be written once it is known; `None`: calls are not audited.
    pub(super) draft: Option<Draft>,
    pub(super) queued: bool,
    /// The server has been started since.
    pub(super) restarted: bool,
}

/// All of them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenCalls(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    added: Notify,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<OpenCall>,
    /// The session in which each gateway was asked to the end.
    asked: HashMap<String, [u8; 8]>,
    /// Gateways that are being asked.
    asking: HashSet<String>,
    /// Of these, those with a call that came meanwhile.
    more: HashSet<String>,
}

impl OpenCalls {
    pub(super) fn add(&self, call: OpenCall) {
        let mut state = self.lock();
        if state.calls.len() >= MAX_CALLS {
            state.calls.remove(0);
        }
        state.asked.remove(&call.gateway);
        if state.asking.contains(&call.gateway) {
            state.more.insert(call.gateway.clone());
        }
        state.calls.push(call);
        drop(state);
        self.0.added.notify_one();
    }

    pub(super) fn knows(&self, call_id: &str) -> bool {
        self.lock().calls.iter().any(|call| call.call_id == call_id)
    }

    /// Those of the queue.
    pub(super) fn of_queue(&self) -> Vec<OpenCall> {
        let state = self.lock();
        state
            .calls
            .iter()
            .filter(|call| call.queued)
            .cloned()
            .collect()
    }

    /// Takes it out: its end is known.
    pub(super) fn take(&self, gateway: &str, call_id: &str) -> Option<OpenCall> {
        let mut state = self.lock();
        let mut calls = state.calls.iter();
        let at = calls.position(|call| call.call_id == call_id && call.gateway == gateway)?;
        Some(state.calls.remove(at))
    }

    fn of_gateway(&self, gateway: &str) -> Vec<OpenCall> {
        let oldest = clock::now().0.saturating_sub(MAX_AGE_MS);
        let mut state = self.lock();
        state.calls.retain(|call| call.begun_ms >= oldest);
        let calls = state.calls.iter();
        calls
            .filter(|call| call.gateway == gateway)
            .cloned()
            .collect()
    }

    fn gateways(&self) -> HashSet<String> {
        let state = self.lock();
        state
            .calls
            .iter()
            .map(|call| call.gateway.clone())
            .collect()
    }

    /// True: this gateway is to be asked in this session, and nobody does yet.
    fn begin(&self, gateway: &str, session: [u8; 8]) -> bool {
        let mut state = self.lock();
        state.asked.get(gateway) != Some(&session) && state.asking.insert(gateway.to_owned())
    }

    /// It was asked all there is to ask in this session.
    fn end(&self, gateway: &str, session: [u8; 8]) {
        let mut state = self.lock();
        state.asking.remove(gateway);
        if state.more.remove(gateway) {
            self.0.added.notify_one();
        } else {
            state.asked.insert(gateway.to_owned(), session);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at every moment, whoever panicked meanwhile.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenCall {
    /// Of the last entry about it.
    fn written(row: OpenCallRow) -> Self {
        let OpenCallRow { entry, begun_ms } = row;
        let draft = Draft::new(
            Subject::server(),
            &entry.action,
            &entry.object,
            Audited::Unknown,
        );
        Self {
            gateway: entry.fields.gateway.clone(),
            call_id: entry.fields.call_id.clone(),
            begun_ms,
            queued: entry.action.starts_with(QUEUED),
            draft: Some(draft.about(entry.fields).of(entry.begun)),
            restarted: true,
        }
    }

    /// Writes what came of it.
    pub(super) async fn close(self, provisioning: &Provisioning, outcome: &Outcome, how: &str) {
        if let Some(draft) = self.draft {
            let (ended, why) = audited(outcome);
            let detail = match why.as_ref() {
                "" => how.to_owned(),
                why => format!("{why} ({how})"),
            };
            provisioning
                .audit
                .record(draft.ended(ended).detail(&detail))
                .await;
        }
    }
}

/// Finds the calls that the runs before left open, in the audit log.
pub(super) async fn load(provisioning: &Provisioning) -> Result<(), RepositoryError> {
    let since = clock::now().0.saturating_sub(MAX_AGE_MS);
    let entries = provisioning.repository.audit_entries();
    for row in entries.open_calls(since, MAX_CALLS as u32).await? {
        provisioning.open.add(OpenCall::written(row));
    }
    Ok(())
}

/// Asks the gateways of open calls as they come back, until it is dropped.
pub(super) async fn follow(provisioning: &Provisioning) {
    loop {
        let changed = provisioning.fleet.changed();
        for gateway in provisioning.open.gateways() {
            let Some(link) = provisioning.fleet.status(&gateway) else {
                continue;
            };
            let session = link.session.session_id;
            if provisioning.open.begin(&gateway, session) {
                tokio::spawn(ask_all(provisioning.clone(), gateway, session));
            }
        }
        tokio::select! {
            () = changed => tokio::time::sleep(GATHER).await,
            () = provisioning.open.0.added.notified() => {}
            () = tokio::time::sleep(LONGEST_SLEEP) => {}
        }
    }
}

/// Asks one gateway of its open calls a few times, and as long as one of them is under way.
async fn ask_all(provisioning: Provisioning, gateway: String, session: [u8; 8]) {
    let mut waits = ASK_AFTER.into_iter();
    let mut under_way = true;
    while let Some(wait) = waits.next().or(under_way.then_some(ASK_AGAIN)) {
        tokio::time::sleep(wait).await;
        let calls = provisioning.open.of_gateway(&gateway);
        if calls.is_empty() {
            break;
        }
        match ask(&provisioning, &gateway, calls).await {
            Ok(some) => under_way = some,
            // The next session is another chance.
            Err(AskError::Unknown | AskError::Away) => break,
        }
    }
    provisioning.open.end(&gateway, session);
}

/// True: one of them is under way.
async fn ask(
    provisioning: &Provisioning,
    gateway: &str,
    calls: Vec<OpenCall>,
) -> Result<bool, AskError> {
    let mut under_way = false;
    for some in calls.chunks(MAX_ASKED) {
        let ids = some.iter().map(|call| call.call_id.clone()).collect();
        for answer in provisioning.fleet.finished(gateway, ids).await? {
            let Some(open) = some.iter().find(|open| is_of(&answer, open)) else {
                continue;
            };
            match answer.outcome.and_then(readable) {
                Some(outcome) => resolve(provisioning, gateway, &open.call_id, &outcome).await,
                None => under_way = true,
            }
        }
    }
    Ok(under_way)
}

/// Whether the gateway speaks of this very call, and not of an earlier one of that id.
fn is_of(answer: &FinishedCall, open: &OpenCall) -> bool {
    let id = answer.outcome.as_ref().map(|outcome| &outcome.call_id);
    let begun = clock::now().0.saturating_sub(answer.begun_ms_ago);
    id == Some(&open.call_id) && begun.saturating_add(SLACK_MS) >= open.begun_ms
}

/// An outcome without anything but what it is; `None`: the call is under way.
fn readable(mut outcome: Outcome) -> Option<Outcome> {
    match outcome.result.as_mut()? {
        OutcomeResult::Done(_) => {}
        OutcomeResult::Failed(failure) => {
            failure.message = crate::fleet::printable(&failure.message);
            if let Some(native) = &mut failure.native {
                native.code = crate::fleet::printable(&native.code);
                native.text = crate::fleet::printable(&native.text);
            }
        }
        OutcomeResult::Indeterminate(it) => it.message = crate::fleet::printable(&it.message),
    }
    Some(outcome)
}

async fn resolve(provisioning: &Provisioning, gateway: &str, call_id: &str, outcome: &Outcome) {
    let Some(open) = provisioning.open.take(gateway, call_id) else {
        return;
    };
    tracing::info!(
        gateway,
        call = call_id,
        "the gateway told what came of a call"
    );
    if open.queued {
        let (state, stored) = storable(outcome.clone());
        let queued = provisioning.repository.queued_calls();
        if state != QueuedState::Indeterminate
            && let Err(error) = queued.settle(call_id, state, stored).await
        {
            tracing::error!(call = call_id, %error, "what its gateway told of a queued call was not stored");
            provisioning.open.add(open);
            return;
        }
        provisioning.queue_changed();
    }
    let how = match open.restarted {
        true => AFTER_RESTART,
        false => AFTER_LOSS,
    };
    open.close(provisioning, outcome, how).await;
}
