//! Calls without pause, what the caller was told of each, and what was really done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_proto::gateway::v1::outcome;
use portcullis_tests::harness::{Admin, Scripts};
use serde::Serialize;
use tokio::sync::watch;

/// What a caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was carried out.
    Done,
    /// It was not, and nothing has changed.
    Failed,
    /// Nobody knows.
    Indeterminate,
    /// The server itself was gone before it answered.
    Nothing,
}

/// How many callers were told what.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Tally {
    /// Carried out.
    pub done: u64,
    /// Not carried out.
    pub failed: u64,
    /// Nobody knows.
    pub indeterminate: u64,
    /// No answer.
    pub unanswered: u64,
    /// Of those that were indeterminate or unanswered: carried out after all.
    pub done_after_all: u64,
}

/// Every call made through one resource.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    told: Arc<Mutex<BTreeMap<String, Told>>>,
}

impl Ledger {
    /// Makes one call after the other until `stop` turns true.
    pub async fn keep_calling(
        &self,
        admin: &Admin,
        resource: &str,
        caller: usize,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut number = 0_u64;
        while !*stop.borrow_and_update() {
            let id = format!("{resource}-{caller}-{number}");
            number += 1;
            let told = match admin.try_call(resource, Scripts::call("record", &id)).await {
                Ok(outcome) => match outcome.result {
                    Some(outcome::Result::Done(_)) => Told::Done,
                    Some(outcome::Result::Failed(_)) => Told::Failed,
                    Some(outcome::Result::Indeterminate(_)) | None => Told::Indeterminate,
                },
                Err(_) => Told::Nothing,
            };
            self.lock().insert(id, told);
            if told != Told::Done {
                // Nobody is there just now: leave the processor to those who are starting.
                let pause = tokio::time::Duration::from_millis(50);
                let _ = tokio::time::timeout(pause, stop.changed()).await;
            }
        }
    }

    /// Compares what callers were told with what was done: the tally, and every promise that was
    /// broken.
    pub fn audit(&self, executed: &BTreeMap<String, usize>, tally: &mut Tally) -> Vec<String> {
        let told = self.lock();
        let mut broken = Vec::new();
        for (id, told) in told.iter() {
            let times = executed.get(id).copied().unwrap_or(0);
            match told {
                Told::Done => tally.done += 1,
                Told::Failed => tally.failed += 1,
                Told::Indeterminate => tally.indeterminate += 1,
                Told::Nothing => tally.unanswered += 1,
            }
            match (told, times) {
                (Told::Done, 1) | (Told::Failed, 0) => {}
                (Told::Indeterminate | Told::Nothing, 0) => {}
                (Told::Indeterminate | Told::Nothing, 1) => tally.done_after_all += 1,
                (_, 2..) => broken.push(format!("call {id} was carried out {times} times")),
                (Told::Done, _) => broken.push(format!("call {id} was told done and was not")),
                (Told::Failed, _) => broken.push(format!("call {id} was told failed and was done")),
            }
        }
        for id in executed.keys().filter(|id| !told.contains_key(*id)) {
            broken.push(format!("call {id} was carried out and never made"));
        }
        broken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn audit(told: Told, times: usize) -> Vec<String> {
        let ledger = Ledger::default();
        ledger.lock().insert("a".to_owned(), told);
        let executed = (times > 0).then(|| ("a".to_owned(), times)).into_iter();
        ledger.audit(&executed.collect(), &mut Tally::default())
    }

    #[test]
    fn an_audit_finds_lies_and_repetitions() {
        assert_eq!(audit(Told::Done, 0).len(), 1);
        assert_eq!(audit(Told::Failed, 1).len(), 1);
        for told in [Told::Done, Told::Failed, Told::Indeterminate, Told::Nothing] {
            assert_eq!(audit(told, 2).len(), 1, "{told:?}");
        }
        assert!(audit(Told::Done, 1).is_empty());
        assert!(audit(Told::Indeterminate, 1).is_empty());
        assert!(audit(Told::Nothing, 0).is_empty());
    }
}
