//! What the world knows and nobody in it: what has to hold.

use std::collections::{BTreeMap, BTreeSet};

use super::Counts;
use super::database::{CallId, Told};

/// Milliseconds of a gateway's clock for which what was withdrawn may still begin.
const WINDOW: u64 = 7_000;

#[derive(Debug, Default)]
pub(super) struct Ghost {
    pub(super) counts: Counts,
    /// The first promise that was broken.
    pub(super) broken: Option<String>,
    /// Which operation each call is for: one that was submitted twice has two.
    operations: BTreeMap<CallId, CallId>,
    begun: BTreeMap<CallId, u32>,
    told: BTreeMap<CallId, Told>,
    /// Calls that their caller was told not to be accepted.
    not_accepted: BTreeSet<CallId>,
    /// When the withdrawal from each subject had returned, by the clocks of the gateways.
    withdrawn: BTreeMap<usize, Vec<u64>>,
    /// Calls that were sent after the withdrawal from their subject had returned.
    sent_after: BTreeSet<(u64, CallId)>,
}

impl Ghost {
    /// A promise was broken.
    pub(super) fn broke(&mut self, why: impl FnOnce() -> String) {
        if self.broken.is_none() {
            self.broken = Some(why());
        }
    }

    /// A call is another attempt at an operation.
    pub(super) fn is_again(&mut self, call: CallId, first: CallId) {
        let operation = self.operation(first);
        self.operations.insert(call, operation);
    }

    fn operation(&self, call: CallId) -> CallId {
        self.operations.get(&call).copied().unwrap_or(call)
    }

    /// A caller was told that its call was not accepted.
    pub(super) fn was_not_accepted(&mut self, call: CallId) {
        self.not_accepted.insert(call);
        if self.begun.contains_key(&call) {
            self.broke(|| format!("call {call} is said not to be accepted, and was begun"));
        }
    }

    /// The withdrawal from a subject has returned; these are the clocks of the gateways.
    pub(super) fn withdrew(&mut self, subject: usize, clocks: Vec<u64>) {
        self.counts.withdrawals += 1;
        self.withdrawn.entry(subject).or_insert(clocks);
    }

    /// A call is sent in this session.
    pub(super) fn sent(&mut self, session: u64, call: CallId, subject: usize) {
        if self.withdrawn.contains_key(&subject) {
            self.sent_after.insert((session, call));
        }
    }

    /// A gateway begins a call; `clock` is its clock. `rates_hold`: no clock of a server is far
    /// from others'.
    pub(super) fn begins(
        &mut self,
        session: u64,
        call: CallId,
        subject: usize,
        (gateway, clock): (usize, u64),
        rates_hold: bool,
    ) {
        self.counts.begun += 1;
        let operation = self.operation(call);
        let times = self.begun.entry(operation).or_default();
        *times += 1;
        if *times > 1 {
            self.broke(|| format!("call {call} was begun twice"));
        }
        if self.told.get(&call) == Some(&Told::Failed) {
            self.broke(|| format!("call {call} is failed, and begins"));
        }
        if self.not_accepted.contains(&call) {
            self.broke(|| format!("call {call} is said not to be accepted, and begins"));
        }
        let Some(done) = self.withdrawn.get(&subject) else {
            return;
        };
        let since = done
            .get(gateway)
            .map_or(0, |done| clock.saturating_sub(*done));
        if since > WINDOW {
            self.broke(|| {
                format!("call {call} begins {since} ms after what it rests on was withdrawn")
            });
        }
        if rates_hold && self.sent_after.contains(&(session, call)) {
            self.broke(|| {
                format!("call {call} was sent after what it rests on was withdrawn, and begins")
            });
        }
    }

    /// An outcome was written.
    pub(super) fn told(&mut self, call: CallId, told: Told) {
        match told {
            Told::Late => return,
            Told::Done => self.counts.done += 1,
            Told::Failed => self.counts.failed += 1,
        }
        if let Some(before) = self.told.insert(call, told) {
            self.broke(|| format!("call {call} is {before:?}, and then {told:?}"));
        }
        if told == Told::Failed && self.begun.contains_key(&self.operation(call)) {
            self.broke(|| format!("call {call} is failed, and was begun"));
        }
    }

    /// What was lost with the database is no promise any more.
    pub(super) fn forget(&mut self, withdrawn: &BTreeSet<usize>) {
        self.told.clear();
        self.withdrawn
            .retain(|subject, _| withdrawn.contains(subject));
    }
}
