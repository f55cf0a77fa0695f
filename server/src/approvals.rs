//! The second person: what one alone can do the most harm with waits until somebody else has
//! approved it.
//!
//! In memory only: a server that is started again knows of no request that waits.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;

use crate::audit::Subject;

/// How long a request waits, and how long an approval holds, from when it was asked for.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Requests that wait at most, of one user and of all.
const MAX_OF_USER: usize = 8;
const MAX: usize = 64;
/// Bytes of a request at most.
const MAX_CONTENTS: usize = 64 << 10;

/// What waits for a second person, and what one has approved. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Approvals {
    needed: bool,
    lifetime: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// Oldest first.
    waiting: VecDeque<Waiting>,
    last: u64,
}

#[derive(Debug)]
struct Waiting {
    shown: Approval,
    /// All of the request: what is approved is this and nothing else.
    contents: Vec<u8>,
    since: Instant,
}

/// A request that waits for a second person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    /// `ap-1`, `ap-2`, …
    pub id: String,
    /// Its method: `Keys/Export`.
    pub method: &'static str,
    /// What it is about.
    pub object: String,
    /// Who asked, and when.
    pub asked_by: Subject,
    /// When that was.
    pub asked: UnixMillis,
    /// When it is forgotten.
    pub expires: UnixMillis,
    /// Who approved it.
    pub approved_by: Option<Subject>,
}

/// What is to become of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Passage {
    /// No second person is needed.
    Free,
    /// A second person has approved it: it is carried out, this once.
    Approved(Approval),
    /// It waits, since now where `new`.
    Waits {
        /// What is to be approved.
        approval: Approval,
        /// Whether it was asked for just now.
        new: bool,
    },
}

/// Why an approval is not given, or a request not taken to wait.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalError {
    /// None of this id waits.
    #[error(
        "no request waits for an approval under `{0}`: it was carried out, has expired, or never was there; `portcullis approvals` lists those there are"
    )]
    Unknown(String),
    /// Whoever asks cannot be the second person.
    #[error("{0} asked for this: the second person has to be another user")]
    Own(Subject),
    /// Too many wait.
    #[error("too many requests wait for a second person: wait until some are approved or expire")]
    TooMany,
    /// It is larger than any sensible one.
    #[error("the request is larger than {MAX_CONTENTS} bytes: name fewer keys")]
    TooLarge,
}

impl Approvals {
    /// None wait yet. `needed`: whether a second person is needed at all.
    pub fn new(needed: bool, lifetime: Duration) -> Self {
        Self {
            needed,
            lifetime,
            state: Arc::default(),
        }
    }

    /// How long a request waits.
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Whether `asked_by` may go on with a request of these contents. An approval is used up by it.
    ///
    /// # Errors
    /// [`ApprovalError::TooMany`], [`ApprovalError::TooLarge`].
    pub fn pass(
        &self,
        asked_by: &Subject,
        method: &'static str,
        object: &str,
        contents: Vec<u8>,
    ) -> Result<Passage, ApprovalError> {
        if !self.needed {
            return Ok(Passage::Free);
        }
        if contents.len() > MAX_CONTENTS {
            return Err(ApprovalError::TooLarge);
        }
        let mut state = self.lock();
        let same = |one: &Waiting| {
            self.is_fresh(one)
                && one.shown.asked_by.is_same_user(asked_by)
                && one.shown.method == method
                && one.contents == contents
        };
        let found = state.waiting.iter().position(same);
        if let Some(waiting) = found.and_then(|at| state.waiting.get(at)) {
            let approval = waiting.shown.clone();
            if approval.approved_by.is_none() {
                return Ok(Passage::Waits {
                    approval,
                    new: false,
                });
            }
            state.waiting.retain(|one| one.shown.id != approval.id);
            return Ok(Passage::Approved(approval));
        }
        let of_user = |one: &&Waiting| one.shown.asked_by.is_same_user(asked_by);
        if state.waiting.len() >= MAX || state.waiting.iter().filter(of_user).count() >= MAX_OF_USER
        {
            return Err(ApprovalError::TooMany);
        }
        state.last += 1;
        let asked = clock::now();
        let lifetime = u64::try_from(self.lifetime.as_millis()).unwrap_or(u64::MAX);
        let approval = Approval {
            id: format!("ap-{}", state.last),
            method,
            object: object.to_owned(),
            asked_by: asked_by.clone(),
            asked,
            expires: UnixMillis(asked.0.saturating_add(lifetime)),
            approved_by: None,
        };
        state.waiting.push_back(Waiting {
            shown: approval.clone(),
            contents,
            since: Instant::now(),
        });
        Ok(Passage::Waits {
            approval,
            new: true,
        })
    }

    /// `second` approves the request that waits under `id`. A second approval changes nothing.
    ///
    /// # Errors
    /// [`ApprovalError::Unknown`], [`ApprovalError::Own`].
    pub fn approve(&self, id: &str, second: &Subject) -> Result<Approval, ApprovalError> {
        let mut state = self.lock();
        let mut waiting = state.waiting.iter_mut();
        let found = waiting.find(|one| one.shown.id == id && self.is_fresh(one));
        let Some(Waiting { shown, .. }) = found else {
            return Err(ApprovalError::Unknown(id.to_owned()));
        };
        if shown.asked_by.is_same_user(second) {
            return Err(ApprovalError::Own(second.clone()));
        }
        shown.approved_by.get_or_insert_with(|| second.clone());
        Ok(shown.clone())
    }

    /// Those that wait, or are approved and not used yet; oldest first.
    pub fn list(&self) -> Vec<Approval> {
        let state = self.lock();
        let fresh = state.waiting.iter().filter(|one| self.is_fresh(one));
        fresh.map(|one| one.shown.clone()).collect()
    }

    /// Forgets the request of this id, whose time has come; `None`: it was carried out.
    pub fn expire(&self, id: &str) -> Option<Approval> {
        let mut state = self.lock();
        let at = state.waiting.iter().position(|one| one.shown.id == id)?;
        state.waiting.remove(at).map(|one| one.shown)
    }

    fn is_fresh(&self, one: &Waiting) -> bool {
        one.since.elapsed() < self.lifetime
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at every moment, whoever panicked meanwhile.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice() -> Subject {
        Subject::user(1001, Some("alice"))
    }

    fn pass(approvals: &Approvals, who: &Subject, contents: &[u8]) -> Passage {
        let passed = approvals.pass(who, "Keys/Export", "all keys", contents.to_vec());
        passed.unwrap()
    }

    fn id(passage: Passage) -> String {
        let Passage::Waits { approval, .. } = passage else {
            panic!("{passage:?}");
        };
        approval.id
    }

    #[test]
    fn an_approval_is_for_one_request_of_one_user_once() {
        let approvals = Approvals::new(true, LIFETIME);
        let (alice, bob) = (alice(), Subject::user(1002, Some("bob")));
        let first = id(pass(&approvals, &alice, b"one"));
        // The same user, whatever name the system knows at that moment.
        let nameless = Subject::user(1001, None);
        for own in [&alice, &nameless, &Subject::user(1001, Some("root"))] {
            let refused = approvals.approve(&first, own);
            assert_eq!(refused, Err(ApprovalError::Own(own.clone())));
        }
        assert_eq!(id(pass(&approvals, &nameless, b"one")), first);
        let approved = approvals.approve(&first, &bob).unwrap();
        assert_eq!(approved.approved_by, Some(bob.clone()));
        // Other contents, and somebody else's.
        assert_ne!(id(pass(&approvals, &alice, b"two")), first);
        assert_ne!(id(pass(&approvals, &bob, b"one")), first);
        let other = approvals.pass(&alice, "Keys/Delete", "all keys", b"one".to_vec());
        assert_ne!(id(other.unwrap()), first);
        assert_eq!(
            pass(&approvals, &alice, b"one"),
            Passage::Approved(approved)
        );
        assert_ne!(id(pass(&approvals, &alice, b"one")), first);
        let unknown = approvals.approve(&first, &bob);
        assert_eq!(unknown, Err(ApprovalError::Unknown(first)));
    }

    #[test]
    fn what_has_expired_is_neither_approved_nor_carried_out() {
        let approvals = Approvals::new(true, Duration::ZERO);
        let (alice, bob) = (alice(), Subject::user(0, Some("root")));
        let first = id(pass(&approvals, &alice, b"one"));
        assert!(approvals.approve(&first, &bob).is_err());
        assert_ne!(id(pass(&approvals, &alice, b"one")), first);
        assert_eq!(approvals.list(), []);
        assert_eq!(approvals.expire(&first).unwrap().id, first);
        assert_eq!(approvals.expire(&first), None);
        let off = Approvals::new(false, LIFETIME);
        assert_eq!(pass(&off, &alice, b"one"), Passage::Free);
    }

    #[test]
    fn no_user_keeps_the_others_from_asking() {
        let approvals = Approvals::new(true, LIFETIME);
        for n in 0..MAX_OF_USER {
            pass(&approvals, &alice(), n.to_string().as_bytes());
        }
        let more = approvals.pass(&alice(), "Keys/Export", "", b"more".to_vec());
        assert_eq!(more, Err(ApprovalError::TooMany));
        pass(&approvals, &Subject::user(1002, None), b"more");
        let large = vec![0; MAX_CONTENTS + 1];
        let large = approvals.pass(&Subject::user(1003, None), "Keys/Export", "", large);
        assert_eq!(large, Err(ApprovalError::TooLarge));
    }
}
