//! Where the server may crash: before and after each commit of its repository.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_server::repository::{Fate, Moment, WriteObserver};

/// A fault at one of the writes of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned {
    /// The first write is 0.
    pub(super) write: u32,
    pub(super) what: WriteFault,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteFault {
    /// The server dies before the commit.
    DieBefore,
    /// The server dies after the commit, before anybody knows of it.
    DieAfter,
    /// The disk is full.
    Full,
}

/// The crash points of one operation: how often each write was reached, and how often the server
/// died there.
#[derive(Clone, Debug, Default)]
pub(super) struct Coverage(pub(super) BTreeMap<(&'static str, u32), Tally>);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) reached: u64,
    pub(super) died_before: u64,
    pub(super) died_after: u64,
}

/// What a crash does before the process is gone: a step that the product would do too early, where
/// a rule is broken on purpose.
type Prank = Box<dyn Fn() + Send>;

/// One life of the server, from its start to its crash. A crash copies its files as they lie, then
/// and there.
pub(super) struct Points {
    state: Mutex<State>,
}

struct State {
    folder: PathBuf,
    grave: PathBuf,
    operation: &'static str,
    writes: u32,
    plan: Option<Planned>,
    crashed: bool,
    full: bool,
    coverage: Coverage,
    prank: Option<Prank>,
    failed: Option<io::Error>,
}

impl Points {
    /// A life in `folder`, whose files a crash copies to `grave`.
    pub(super) fn new(folder: PathBuf, grave: PathBuf) -> Self {
        Self {
            state: Mutex::new(State {
                folder,
                grave,
                operation: "",
                writes: 0,
                plan: None,
                crashed: false,
                full: false,
                coverage: Coverage::default(),
                prank: None,
                failed: None,
            }),
        }
    }

    /// An operation begins, with a fault or without.
    pub(super) fn arm(&self, operation: &'static str, plan: Option<Planned>) {
        let mut state = self.lock();
        state.operation = operation;
        state.writes = 0;
        state.plan = plan;
        state.full = false;
        state.prank = None;
    }

    /// Does `prank` before each commit of this operation.
    pub(super) fn play(&self, prank: impl Fn() + Send + 'static) {
        self.lock().prank = Some(Box::new(prank));
    }

    /// The server dies now, between two writes.
    pub(super) fn die(&self) {
        self.lock().die();
    }

    pub(super) fn has_crashed(&self) -> bool {
        self.lock().crashed
    }

    /// The disk was full at one of this operation's writes.
    pub(super) fn was_full(&self) -> bool {
        self.lock().full
    }

    /// What was covered in this life, once; and what hindered the copy of the files.
    pub(super) fn end(&self) -> (Coverage, Option<io::Error>) {
        let mut state = self.lock();
        let coverage = std::mem::take(&mut state.coverage);
        (coverage, state.failed.take())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn die(&mut self) {
        if !self.crashed {
            self.crashed = true;
            self.failed = copy(&self.folder, &self.grave).err();
        }
    }

    fn tally(&mut self) -> &mut Tally {
        let key = (self.operation, self.writes);
        self.coverage.0.entry(key).or_default()
    }
}

impl WriteObserver for Points {
    fn at(&self, moment: Moment) -> Fate {
        let mut state = self.lock();
        if state.crashed {
            return Fate::Die;
        }
        let planned = state.plan.filter(|plan| plan.write == state.writes);
        let planned = planned.map(|plan| plan.what);
        match moment {
            Moment::BeforeCommit => {
                if let Some(prank) = &state.prank {
                    prank();
                }
                state.tally().reached += 1;
                match planned {
                    Some(WriteFault::DieBefore) => {
                        state.tally().died_before += 1;
                        state.die();
                        Fate::Die
                    }
                    Some(WriteFault::Full) => {
                        state.full = true;
                        state.writes += 1;
                        Fate::Full
                    }
                    Some(WriteFault::DieAfter) | None => Fate::GoOn,
                }
            }
            Moment::AfterCommit => {
                if planned == Some(WriteFault::DieAfter) {
                    state.tally().died_after += 1;
                    state.die();
                    return Fate::Die;
                }
                state.writes += 1;
                Fate::GoOn
            }
        }
    }
}

impl Coverage {
    pub(super) fn add(&mut self, other: &Self) {
        for (point, tally) in &other.0 {
            let sum = self.0.entry(*point).or_default();
            sum.reached += tally.reached;
            sum.died_before += tally.died_before;
            sum.died_after += tally.died_after;
        }
    }
}

/// Copies a folder of files and folders of files.
pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
