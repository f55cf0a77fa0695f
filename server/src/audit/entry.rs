//! What is to be written, before it has its place in the chain.

use std::fmt;

use crate::repository::{AuditFields, Beside};

/// Characters of a subject, an action or an object at most; what comes from outside may be longer.
const MAX_NAME: usize = 256;
/// Characters of each field at most: all of a call id, and of a name of any resource.
const MAX_FIELD: usize = 256;
/// Characters of a detail at most.
const MAX_DETAIL: usize = 1_000;

/// What stands before the name of a user of the identity system. No name on a host holds a blank.
const LOGGED_IN: &str = "user ";

/// Who did it: `alice (1001)`, `uid 1001` where the system knows no name, `user ada` who has logged
/// in, or `server`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subject {
    text: String,
    uid: Option<u32>,
}

impl Subject {
    /// A user of this host, with the name that the system knows.
    pub fn user(uid: u32, name: Option<&str>) -> Self {
        let text = name.map_or_else(
            || format!("uid {uid}"),
            |name| format!("{} ({uid})", bounded(name, MAX_NAME)),
        );
        let uid = Some(uid);
        Self { text, uid }
    }

    /// A user of the identity system who has logged in.
    pub fn logged_in(user: &str) -> Self {
        Self::written(&format!("{LOGGED_IN}{user}"))
    }

    /// The user of the identity system; `None`: it is somebody else.
    pub fn identity(&self) -> Option<&str> {
        match self.uid {
            Some(_) => None,
            None => self.text.strip_prefix(LOGGED_IN),
        }
    }

    /// Whether both are one user, also where the system did not know the name of one of them. On
    /// another host a number may be somebody else's.
    pub fn is_same_user(&self, other: &Self) -> bool {
        match (self.uid, other.uid) {
            (Some(uid), Some(others)) => {
                let names = self.name().zip(other.name());
                uid == others && names.is_none_or(|(name, others)| name == others)
            }
            _ => self.text == other.text,
        }
    }

    /// Whether these are surely two users: neither has the number of the other, nor the name.
    pub fn is_somebody_else(&self, other: &Self) -> bool {
        let differ = |pair: Option<(u32, u32)>| pair.is_none_or(|(one, other)| one != other);
        let names = self.name().zip(other.name());
        differ(self.uid.zip(other.uid))
            && names.is_none_or(|(name, others)| name != others)
            && self.text != other.text
    }

    /// A user of another server's host, as that server names them.
    pub fn told(text: &str, uid: Option<u32>) -> Self {
        let text = bounded(text, MAX_NAME);
        Self { text, uid }
    }

    /// Their user id, where they are a user of a host.
    pub const fn uid(&self) -> Option<u32> {
        self.uid
    }

    /// The name alone; `None`: the system knew none.
    fn name(&self) -> Option<&str> {
        match self.uid {
            Some(uid) => self.text.strip_suffix(&format!(" ({uid})")),
            // One person may well have the same name here and there.
            None => Some(self.identity().unwrap_or(&self.text)),
        }
    }

    /// Somebody whom the system does not name.
    pub fn nobody() -> Self {
        Self::written("unknown")
    }

    /// Whoever was written down like this before.
    pub fn written(text: &str) -> Self {
        let (text, uid) = (bounded(text, MAX_NAME), None);
        Self { text, uid }
    }

    /// The server itself.
    pub fn server() -> Self {
        Self::written("server")
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not over yet. A later entry says what came of it.
    Begun,
    /// It was carried out.
    Done,
    /// It was not; nothing changed.
    Failed,
    /// Whoever asked may not.
    Refused,
    /// The link or the tool of a call was lost on the way.
    Indeterminate,
    /// The server ended, or whoever asked went away, before it was known.
    Unknown,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Begun,
        Self::Done,
        Self::Failed,
        Self::Refused,
        Self::Indeterminate,
        Self::Unknown,
    ];

    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Indeterminate => "indeterminate",
            Self::Unknown => "unknown",
        }
    }
}

/// An entry to be written.
#[derive(Clone, Debug)]
pub struct Draft {
    pub(super) subject: Subject,
    pub(super) action: String,
    pub(super) object: String,
    pub(super) outcome: Outcome,
    pub(super) begun: u64,
    pub(super) detail: String,
    pub(super) fields: AuditFields,
    pub(super) beside: Option<Beside>,
}

impl Draft {
    /// Texts from outside are shortened and their control characters replaced.
    pub fn new(subject: Subject, action: &str, object: &str, outcome: Outcome) -> Self {
        Self {
            subject,
            action: bounded(action, MAX_NAME),
            object: bounded(object, MAX_NAME),
            outcome,
            begun: 0,
            detail: String::new(),
            fields: AuditFields::default(),
            beside: None,
        }
    }

    /// With this done in its transaction, which also says whether the entry is written.
    pub(crate) fn beside(mut self, work: Beside) -> Self {
        self.beside = Some(work);
        self
    }

    /// What it is about, field by field: one that is long leaves the others whole.
    pub fn about(mut self, fields: AuditFields) -> Self {
        self.fields = fields.map(|field| bounded(field, MAX_FIELD));
        self
    }

    /// On this object.
    pub fn on(mut self, object: &str) -> Self {
        self.object = bounded(object, MAX_NAME);
        self
    }

    /// Through this gateway.
    pub fn through(mut self, gateway: &str) -> Self {
        self.fields.gateway = bounded(gateway, MAX_FIELD);
        self
    }

    /// With more, in words; never a secret.
    pub fn detail(mut self, detail: &str) -> Self {
        self.detail = bounded(detail, MAX_DETAIL);
        self
    }

    /// An outcome of entry `seq`.
    pub(crate) fn of(mut self, seq: u64) -> Self {
        self.begun = seq;
        self.beside = None;
        self
    }

    /// With this outcome.
    pub fn ended(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }
}

fn bounded(text: &str, most: usize) -> String {
    let mut letters = text.chars();
    let mut out: String = letters
        .by_ref()
        .take(most)
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    if letters.next().is_some() {
        out.push('…');
    }
    out
}
