//! Which calls are made on which object, in which order: drawn from the seed alone, whatever comes
//! of them.

use std::collections::VecDeque;

use portcullis_proto::gateway::v1 as pb;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;

use super::resources::Resource;

/// How long a direct call may take, its wait for earlier ones on its object included.
const TIMEOUT_MS: u32 = 20_000;
/// Queued calls in a row that nobody waits for.
const MOST_QUEUED: usize = 4;
/// Members of a group, which are there from the start and stay.
pub(super) const MEMBERS: usize = 4;

/// An object, or what has two names and is at most one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// An account that is made, changed, renamed and deleted over and over.
    Account([String; 2]),
    /// Something that others join and leave.
    Team { name: String, members: Vec<String> },
}

/// What a call does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// With a value and perhaps a password.
    Create(usize, String, Option<String>),
    Update(usize, String),
    SetPassword(usize, String),
    Enable(usize),
    Disable(usize),
    /// From this name to the other one.
    Rename(usize),
    Delete(usize),
    Join(usize),
    Leave(usize),
    Get(usize),
}

/// How a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Its caller waits.
    Direct,
    /// Two callers do, with the same id.
    Twice,
    /// It is queued.
    Queued,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) action: Action,
    pub(super) way: Way,
    /// The same call is made once more after it has ended.
    pub(super) again: bool,
}

/// The calls on one object.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) resource: Resource,
    pub(super) subject: Subject,
    pub(super) steps: VecDeque<Step>,
}

impl Schedule {
    /// `count` calls on the object of this number.
    pub(super) fn new(resource: Resource, number: usize, count: usize, seed: u64) -> Self {
        let prefix = resource.name.replace('-', "");
        let subject = match number {
            0 => Subject::Team {
                name: resource.team_name(),
                members: (0..MEMBERS).map(|at| resource.member_name(at)).collect(),
            },
            _ => Subject::Account([format!("{prefix}{number}a"), format!("{prefix}{number}b")]),
        };
        let mut drawn = Drawn {
            rng: ChaCha12Rng::seed_from_u64(seed),
            here: None,
            members: [false; MEMBERS],
            counter: 0,
            queued: 0,
            prefix: format!("{}-{number}", resource.name),
            passwords: resource.passwords,
        };
        let steps = (0..count).map(|_| drawn.step(&subject)).collect();
        Self {
            resource,
            subject,
            steps,
        }
    }
}

/// What a schedule is drawn from, as if every call were carried out.
struct Drawn {
    rng: ChaCha12Rng,
    /// Under which of its names the account is there.
    here: Option<usize>,
    members: [bool; MEMBERS],
    counter: usize,
    /// Queued calls in a row.
    queued: usize,
    prefix: String,
    passwords: u32,
}

impl Drawn {
    fn step(&mut self, subject: &Subject) -> Step {
        self.counter += 1;
        let id = format!("{}-{}", self.prefix, self.counter);
        let action = match subject {
            Subject::Account(_) => self.on_account(),
            Subject::Team { .. } => self.on_team(),
        };
        let way = match self.rng.random_range(0..10) {
            0..=5 if self.queued < MOST_QUEUED => Way::Queued,
            6 => Way::Twice,
            _ => Way::Direct,
        };
        // What only reads is read each time, in no order with the others.
        let way = match action {
            Action::Get(_) if way == Way::Twice => Way::Direct,
            _ => way,
        };
        self.queued = if way == Way::Queued {
            self.queued + 1
        } else {
            0
        };
        Step {
            id,
            way,
            again: !matches!(action, Action::Get(_)) && self.rng.random_bool(0.05),
            action,
        }
    }

    fn on_team(&mut self) -> Action {
        if self.rng.random_bool(0.2) {
            return Action::Get(0);
        }
        let member = self.rng.random_range(0..MEMBERS);
        // Now and then what is so already.
        let is_in =
            self.members.get(member).copied().unwrap_or_default() ^ self.rng.random_bool(0.1);
        if let Some(it) = self.members.get_mut(member) {
            *it = !is_in;
        }
        match is_in {
            true => Action::Leave(member),
            false => Action::Join(member),
        }
    }

    fn on_account(&mut self) -> Action {
        let Some(here) = self.here else {
            let name = self.rng.random_range(0..2);
            return match self.rng.random_range(0..12) {
                0 => Action::Get(name),
                1 => Action::Delete(name),
                2 => Action::Update(name, self.value()),
                _ => {
                    self.here = Some(name);
                    Action::Create(name, self.value(), self.maybe_password())
                }
            };
        };
        let passwords = 100 - self.passwords.min(100);
        match self.rng.random_range(0..100) {
            0..30 => Action::Update(here, self.value()),
            at @ 30..42 if self.rng.random_range(0..100) >= passwords || at == 30 => {
                Action::SetPassword(here, self.password())
            }
            30..49 => Action::Disable(here),
            49..56 => Action::Enable(here),
            56..68 => {
                self.here = Some(1 - here);
                Action::Rename(here)
            }
            68..82 => {
                self.here = None;
                Action::Delete(here)
            }
            82..86 => Action::Create(here, self.value(), None),
            _ => Action::Get(here),
        }
    }

    fn value(&mut self) -> String {
        format!("{}-{}", self.prefix, self.counter)
    }

    fn password(&mut self) -> String {
        format!(
            "Correct-h0rse-{}-{:08x}",
            self.counter,
            self.rng.random::<u32>()
        )
    }

    fn maybe_password(&mut self) -> Option<String> {
        let given = self.rng.random_range(0..100) < self.passwords;
        given.then(|| self.password())
    }
}

impl Action {
    /// The verb, as the command line spells it.
    pub(super) const fn verb(&self) -> &'static str {
        match self {
            Self::Create(..) => "create",
            Self::Update(..) | Self::Join(_) | Self::Leave(_) => "update",
            Self::SetPassword(..) => "set-password",
            Self::Enable(_) => "enable",
            Self::Disable(_) => "disable",
            Self::Rename(_) => "rename",
            Self::Delete(_) => "delete",
            Self::Get(_) => "get",
        }
    }

    pub(super) const fn changes(&self) -> bool {
        !matches!(self, Self::Get(_))
    }
}

impl Step {
    /// The call as it is sent.
    pub(super) fn call(&self, resource: &Resource, subject: &Subject) -> pb::Call {
        let of = Of { resource, subject };
        pb::Call {
            call_id: self.id.clone(),
            timeout_ms: TIMEOUT_MS,
            verb: Some(of.verb(&self.action)),
            ..pb::Call::default()
        }
    }
}

/// What calls on an object name.
struct Of<'a> {
    resource: &'a Resource,
    subject: &'a Subject,
}

impl Of<'_> {
    fn verb(&self, action: &Action) -> Verb {
        let attribute = self.resource.attribute();
        match action {
            Action::Create(at, value, password) => Verb::Create(pb::Create {
                object_class: self.class().into(),
                name: self.name(*at),
                attributes: vec![pb::Attribute {
                    name: attribute.to_owned(),
                    values: vec![text(value)],
                }],
                password: password.as_deref().map(secret),
                enabled: None,
            }),
            Action::Update(at, value) => {
                self.update(*at, pb::ModificationOperation::Replace, attribute, value)
            }
            Action::Join(at) => self.of_team(pb::ModificationOperation::Add, *at),
            Action::Leave(at) => self.of_team(pb::ModificationOperation::Remove, *at),
            Action::SetPassword(at, password) => Verb::SetPassword(pb::SetPassword {
                object: self.object(*at),
                password: Some(secret(password)),
            }),
            Action::Enable(at) => Verb::Enable(pb::Enable {
                object: self.object(*at),
            }),
            Action::Disable(at) => Verb::Disable(pb::Disable {
                object: self.object(*at),
            }),
            Action::Rename(at) => Verb::Rename(pb::Rename {
                object: self.object(*at),
                new_name: self.name(1 - *at),
            }),
            Action::Delete(at) => Verb::Delete(pb::Delete {
                object: self.object(*at),
            }),
            Action::Get(at) => Verb::Get(pb::Get {
                object: self.object(*at),
                attribute_names: Vec::new(),
            }),
        }
    }

    fn of_team(&self, operation: pb::ModificationOperation, at: usize) -> Verb {
        let member = match self.subject {
            Subject::Account(_) => String::new(),
            Subject::Team { members, .. } => members.get(at).cloned().unwrap_or_default(),
        };
        self.update(0, operation, self.resource.members_attribute(), &member)
    }

    fn update(
        &self,
        at: usize,
        operation: pb::ModificationOperation,
        attribute: &str,
        value: &str,
    ) -> Verb {
        Verb::Update(pb::Update {
            object: self.object(at),
            modifications: vec![pb::Modification {
                operation: operation.into(),
                name: attribute.to_owned(),
                values: vec![text(value)],
            }],
        })
    }

    fn class(&self) -> pb::ObjectClass {
        match self.subject {
            Subject::Account(_) => pb::ObjectClass::Account,
            Subject::Team { .. } => self.resource.team_class(),
        }
    }

    fn name(&self, at: usize) -> String {
        match self.subject {
            Subject::Account(names) => names.get(at).cloned().unwrap_or_default(),
            Subject::Team { name, .. } => name.clone(),
        }
    }

    fn object(&self, at: usize) -> Option<pb::ObjectRef> {
        Some(pb::ObjectRef {
            object_class: self.class().into(),
            by: Some(By::Name(self.name(at))),
            ..pb::ObjectRef::default()
        })
    }
}

fn text(value: &str) -> pb::Value {
    pb::Value {
        kind: Some(pb::value::Kind::Text(value.to_owned())),
    }
}

fn secret(text: &str) -> pb::Secret {
    pb::Secret::plain(text.as_bytes().to_vec())
}
