//! The repository that all share: each request is one transaction.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Fault;
use super::ghost::Ghost;

/// The number of one start of a server.
pub(super) type Instance = u64;
/// The number of a transaction.
pub(super) type ChangeId = u64;
/// The number of a call.
pub(super) type CallId = u64;

/// Batches of a task.
pub(super) const BATCHES: usize = 5;
/// Commits that a failover can lose.
const TAIL: usize = 3;

/// How a call stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Waiting,
    Claimed(Instance),
    Done,
    Failed,
    /// The repository went back in time: somebody has to decide.
    Held,
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) gateway: usize,
    pub(super) subject: usize,
    pub(super) standing: Standing,
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) beat: u64,
    /// The version of the authority that it has seen.
    pub(super) seen: u64,
    /// An administrator drained it.
    pub(super) drained: bool,
}

/// What came of a call, as its claimer tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    Done,
    /// Not begun, and never will be.
    Failed,
    /// Not begun, and may be tried again.
    Late,
}

/// What is left of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trace {
    Made,
    LookedFor,
}

/// An entry of the audit log that says that a call is begun.
#[derive(Clone, Debug)]
struct Entry {
    call: CallId,
    instance: Instance,
    ended: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Task {
    pub(super) claimed: Option<Instance>,
    pub(super) next: usize,
}

/// What a transaction is to do.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Join(Instance, u64),
    /// The row's beat becomes the last one, where it is one of the first.
    Beat(Instance, Vec<u64>, u64),
    Read,
    /// Ends an instance whose beat is this one.
    End(Instance, u64),
    Seen(Instance, u64),
    Link(Instance, usize),
    Claim(Instance, CallId),
    Begin(Instance, CallId),
    Outcome(Instance, CallId, Told),
    /// Takes a claim away from the second.
    TakeClaim(Instance, Instance, CallId),
    Submit(CallId, usize, usize),
    Withdraw(usize),
    /// Drains an instance, or puts it to work again.
    Drain(Instance, bool),
    /// Ends the entries of those that are gone.
    EndEntries(Instance),
    ClaimTask(Instance, usize),
    Batch(Instance, usize, usize),
    /// Looks for a change by inserting its id.
    Find(ChangeId),
}

/// What a transaction answers.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Done,
    /// A condition did not hold: nothing was done.
    Refused,
    /// The row of the instance is gone: nothing was done.
    Gone,
    /// The link's grant: generation and epoch.
    Granted(u64, u64),
    Withdrawn(u64),
    Found(bool),
    Snapshot(Box<Stored>),
    /// All is stopped until somebody has accepted the loss.
    Disputed,
}

/// How far a repository is, as a server keeps it in its head file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) timeline: u64,
    pub(super) commits: u64,
}

/// What is stored.
#[derive(Clone, Debug, Default)]
pub(super) struct Stored {
    pub(super) rows: BTreeMap<Instance, Row>,
    /// Epoch and holder.
    pub(super) links: BTreeMap<usize, (u64, Instance)>,
    pub(super) calls: BTreeMap<CallId, Call>,
    pub(super) version: u64,
    pub(super) withdrawn: BTreeSet<usize>,
    pub(super) generation: u64,
    pub(super) tasks: Vec<Task>,
    commits: u64,
    /// Changes that were made, and those that somebody looked for first: those are never made.
    changes: BTreeMap<ChangeId, Trace>,
    entries: Vec<Entry>,
}

impl Stored {
    /// Whether an instance is at work.
    pub(super) fn stands(&self, instance: Instance) -> bool {
        self.rows.contains_key(&instance)
    }
}

#[derive(Debug)]
pub(super) struct Database {
    pub(super) up: bool,
    pub(super) disputed: bool,
    timeline: u64,
    stored: Stored,
    /// Before the last commits, the oldest first.
    earlier: VecDeque<Stored>,
    /// Kept by the world: who was ever ended.
    ended: BTreeSet<Instance>,
    /// Administrators drain servers.
    may_drain: bool,
}

impl Database {
    pub(super) fn new(tasks: usize) -> Self {
        Self {
            up: true,
            disputed: false,
            timeline: 1,
            stored: Stored {
                generation: 1,
                tasks: vec![Task::default(); tasks],
                ..Stored::default()
            },
            earlier: VecDeque::new(),
            ended: BTreeSet::new(),
            may_drain: true,
        }
    }

    /// Whoever is drained works again, and nobody is drained any more.
    pub(super) fn undo_drains(&mut self) {
        self.may_drain = false;
        for row in self.stored.rows.values_mut() {
            row.drained = false;
        }
    }

    pub(super) const fn stored(&self) -> &Stored {
        &self.stored
    }

    pub(super) const fn head(&self) -> Head {
        Head {
            timeline: self.timeline,
            commits: self.stored.commits,
        }
    }

    /// Another host takes over, without the last commits where `lost`.
    pub(super) fn fail_over(&mut self, lost: usize) {
        self.timeline += 1;
        for _ in 0..lost {
            if let Some(earlier) = self.earlier.pop_back() {
                self.stored = earlier;
            }
        }
        self.earlier.clear();
        // What was lost is nobody's end any more, until somebody says that it was lost.
        let rows = &self.stored.rows;
        self.ended.retain(|instance| !rows.contains_key(instance));
    }

    /// Somebody accepts that the repository went back.
    pub(super) fn accept_loss(&mut self) {
        self.disputed = false;
        self.stored.generation += 1;
        self.stored.commits += 1;
        self.ended.extend(self.stored.rows.keys());
        self.stored.rows.clear();
        for call in self.stored.calls.values_mut() {
            if matches!(call.standing, Standing::Waiting | Standing::Claimed(_)) {
                call.standing = Standing::Held;
            }
        }
        self.earlier.clear();
    }

    /// Carries out a transaction of the number `change`.
    pub(super) fn transact(
        &mut self,
        change: ChangeId,
        op: &Op,
        fault: Option<Fault>,
        ghost: &mut Ghost,
    ) -> Answer {
        if self.disputed {
            return Answer::Disputed;
        }
        match op {
            Op::Read => return Answer::Snapshot(Box::new(self.stored.clone())),
            Op::Find(id) if fault == Some(Fault::PlainLook) => {
                return Answer::Found(self.stored.changes.contains_key(id));
            }
            Op::Find(id) if fault == Some(Fault::OwnMark) => {
                let before = self.stored.changes.insert(*id, Trace::LookedFor);
                return Answer::Found(before.is_some());
            }
            Op::Find(id) => {
                let found = self.stored.changes.entry(*id);
                return Answer::Found(*found.or_insert(Trace::LookedFor) == Trace::Made);
            }
            _ => {}
        }
        if self.stored.changes.contains_key(&change) {
            // Somebody looked for it, and has said that it was not made.
            return Answer::Refused;
        }
        let is_gone = op
            .writer()
            .is_some_and(|writer| !self.stored.stands(writer));
        if is_gone && fault != Some(Fault::RowNotChecked) {
            return Answer::Gone;
        }
        let before = self.stored.clone();
        let answer = self.change(op, fault, ghost);
        if matches!(answer, Answer::Refused | Answer::Gone) {
            self.stored = before;
            return answer;
        }
        if let Some(instance) = op.writer().filter(|instance| self.ended.contains(instance)) {
            ghost.broke(|| format!("instance {instance} was ended, and wrote {op:?}"));
        }
        self.stored.changes.insert(change, Trace::Made);
        self.stored.commits += 1;
        self.earlier.push_back(before);
        if self.earlier.len() > TAIL {
            self.earlier.pop_front();
        }
        answer
    }

    fn change(&mut self, op: &Op, fault: Option<Fault>, ghost: &mut Ghost) -> Answer {
        let stored = &mut self.stored;
        match *op {
            Op::Join(instance, beat) => {
                let seen = match fault {
                    Some(Fault::ReadThenRow) => stored.version,
                    _ => 0,
                };
                let drained = false;
                let row = Row {
                    beat,
                    seen,
                    drained,
                };
                stored.rows.insert(instance, row);
            }
            Op::Beat(instance, ref from, to) => match stored.rows.get_mut(&instance) {
                Some(row) if from.contains(&row.beat) => row.beat = to,
                Some(_) => return Answer::Gone,
                None => {}
            },
            Op::End(instance, beat) => {
                let row = stored.rows.get(&instance);
                let is_it = |row: &Row| row.beat == beat || fault == Some(Fault::OneReading);
                if !row.is_some_and(is_it) {
                    return Answer::Refused;
                }
                stored.rows.remove(&instance);
                self.ended.insert(instance);
                ghost.counts.ended += 1;
            }
            Op::Seen(instance, version) => {
                if let Some(row) = stored.rows.get_mut(&instance) {
                    row.seen = row.seen.max(version);
                }
            }
            Op::Link(instance, gateway) => {
                let (epoch, holder) = stored.links.get(&gateway).copied().unwrap_or_default();
                let epoch = if holder == instance { epoch } else { epoch + 1 };
                ghost.counts.handed_over += u64::from(holder != instance);
                stored.links.insert(gateway, (epoch, instance));
                return Answer::Granted(stored.generation, epoch);
            }
            Op::Claim(instance, id) => match stored.calls.get_mut(&id) {
                Some(call) if call.standing == Standing::Waiting => {
                    call.standing = Standing::Claimed(instance);
                }
                _ => return Answer::Refused,
            },
            Op::Begin(instance, call) => stored.entries.push(Entry {
                call,
                instance,
                ended: false,
            }),
            Op::Outcome(instance, id, told) => return self.outcome(instance, id, told, ghost),
            Op::TakeClaim(instance, from, id) => {
                let is_gone = from == instance || !stored.stands(from);
                match stored.calls.get_mut(&id) {
                    Some(call) if is_gone && call.standing == Standing::Claimed(from) => {
                        call.standing = Standing::Claimed(instance);
                        ghost.counts.taken_over += u64::from(from != instance);
                    }
                    _ => return Answer::Refused,
                }
            }
            Op::Submit(id, gateway, subject) => {
                let standing = Standing::Waiting;
                let call = Call {
                    gateway,
                    subject,
                    standing,
                };
                stored.calls.insert(id, call);
                ghost.counts.accepted += 1;
            }
            Op::Withdraw(subject) => {
                stored.version += 1;
                stored.withdrawn.insert(subject);
                return Answer::Withdrawn(stored.version);
            }
            Op::Drain(instance, drained) => match stored.rows.get_mut(&instance) {
                Some(row) if row.drained != drained && (self.may_drain || !drained) => {
                    row.drained = drained;
                    ghost.counts.drained += u64::from(drained);
                }
                _ => return Answer::Refused,
            },
            Op::EndEntries(by) => {
                let (rows, fault) = (&stored.rows, fault == Some(Fault::EndsOthersEntries));
                let open = stored.entries.iter_mut().filter(|entry| !entry.ended);
                for entry in open.filter(|entry| entry.instance != by) {
                    let stands = rows.contains_key(&entry.instance);
                    if stands && fault {
                        ghost.broke(|| {
                            format!(
                                "the entry of call {} is ended as unknown, and its server is at work",
                                entry.call
                            )
                        });
                    }
                    entry.ended |= !stands || fault;
                }
            }
            Op::ClaimTask(instance, number) => match stored.tasks.get(number) {
                Some(task) if task.claimed.is_none_or(|it| !stored.stands(it)) => {
                    stored.tasks[number].claimed = Some(instance);
                }
                _ => return Answer::Refused,
            },
            Op::Batch(instance, number, batch) => match stored.tasks.get_mut(number) {
                Some(task) if task.claimed == Some(instance) && task.next == batch => {
                    task.next += 1;
                    ghost.counts.batches += 1;
                }
                _ => return Answer::Refused,
            },
            Op::Read | Op::Find(_) => {}
        }
        Answer::Done
    }

    fn outcome(&mut self, by: Instance, id: CallId, told: Told, ghost: &mut Ghost) -> Answer {
        let Some(call) = self.stored.calls.get_mut(&id) else {
            return Answer::Refused;
        };
        if call.standing != Standing::Claimed(by) {
            // A claim that a failover has lost may be another's by now.
            if self.stored.rows.contains_key(&by) && ghost.counts.tails_lost == 0 {
                ghost.broke(|| format!("the claimer of call {id} may not write its outcome"));
            }
            return Answer::Refused;
        }
        call.standing = match told {
            Told::Done => Standing::Done,
            Told::Failed => Standing::Failed,
            Told::Late => Standing::Waiting,
        };
        let of = |entry: &&mut Entry| entry.call == id && entry.instance == by && !entry.ended;
        let entries = &mut self.stored.entries;
        entries
            .iter_mut()
            .filter(of)
            .for_each(|entry| entry.ended = true);
        ghost.told(id, told);
        Answer::Done
    }
}

impl Op {
    /// The instance that writes, whose row has to stand.
    const fn writer(&self) -> Option<Instance> {
        match self {
            Self::Beat(instance, ..)
            | Self::Seen(instance, _)
            | Self::Link(instance, _)
            | Self::Claim(instance, _)
            | Self::Begin(instance, _)
            | Self::Outcome(instance, ..)
            | Self::TakeClaim(instance, ..)
            | Self::EndEntries(instance)
            | Self::ClaimTask(instance, _)
            | Self::Batch(instance, ..) => Some(*instance),
            Self::Join(..)
            | Self::Read
            | Self::End(..)
            | Self::Submit(..)
            | Self::Withdraw(_)
            | Self::Drain(..)
            | Self::Find(_) => None,
        }
    }

    /// Whether it puts a row in.
    pub(super) const fn joins(&self) -> bool {
        matches!(self, Self::Join(..))
    }

    /// Whether somebody has to know whether it was made.
    pub(super) const fn matters(&self) -> bool {
        !matches!(self, Self::Read | Self::Beat(..) | Self::Find(_))
    }
}
