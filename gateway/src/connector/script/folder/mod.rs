//! The folder of a script connector: which scripts there are, whether only those who may can change
//! them, and what keeps one from starting.
//!
//! What is wrong in the folder is found out when it is looked at, never a reason not to start: it
//! costs the script, or the connector, that it is about.

#[cfg(unix)]
mod first_line;
#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;
mod unused;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use crate::config::Section;
use crate::model::{ActionName, Failure, FailureKind, Verb};

pub(super) use platform::base_environment;
pub(super) use unused::Unused;

/// Why a folder or a script in it is not run.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// It cannot be looked at.
    #[error("{} cannot be used: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        error: Arc<io::Error>,
    },
    /// Others might have changed it.
    #[error("{} {what}", path.display())]
    Unsafe { path: PathBuf, what: String },
    /// It would not start.
    #[error("{} {what}", path.display())]
    Unstartable { path: PathBuf, what: String },
}

impl Unfit {
    fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            error: Arc::new(error),
        }
    }

    fn not_safe(path: &Path, what: impl Into<String>) -> Self {
        Self::Unsafe {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    fn unstartable(path: &Path, what: impl Into<String>) -> Self {
        Self::Unstartable {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    /// The answer to a call that needs it: nothing was begun.
    pub(super) fn failure(&self) -> Failure {
        match self {
            Self::Unsafe { .. } => Failure::new(
                FailureKind::Refused,
                format!("the script is not run, because it is not safe: {self}"),
            ),
            Self::Unreadable { .. } | Self::Unstartable { .. } => {
                Failure::unavailable(format!("the script cannot be started: {self}"))
            }
        }
    }
}

/// What a script does, as its file's name says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Task {
    /// A verb but `run`.
    Verb(Verb),
    /// An action of `run`.
    Action(String),
    /// What became of a change.
    Look,
}

impl Task {
    fn from_stem(stem: &str) -> Option<Self> {
        if let Some(action) = stem.strip_prefix("run-") {
            let action = ActionName::new(action).ok()?;
            return Some(Self::Action(action.to_string()));
        }
        if stem == "look" {
            return Some(Self::Look);
        }
        Verb::from_name(stem)
            .filter(|verb| *verb != Verb::Run)
            .map(Self::Verb)
    }
}

/// How a script is started: a program, and what it is given before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) script: PathBuf,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// The folder. It is looked through once; again at each use while that fails, and when the
/// configuration is read again.
#[derive(Debug)]
pub(super) struct Folder {
    /// As the configuration has it.
    path: PathBuf,
    interpreter: platform::Interpreter,
    seen: RwLock<Arc<Seen>>,
}

/// What was seen in the folder.
#[derive(Debug)]
pub(super) struct Seen {
    /// Its path without links.
    path: PathBuf,
    scripts: BTreeMap<Task, Script>,
    unused: Vec<Unused>,
    /// Why the folder cannot be used at all.
    fault: Option<Unfit>,
}

/// A script, and another file that says it does the same.
#[derive(Debug)]
struct Script {
    file: PathBuf,
    twin: Option<PathBuf>,
}

impl Folder {
    /// The folder named in the section. What the file has wrong becomes a problem of the section;
    /// what is wrong on the disk does not.
    pub(super) fn configure(section: &mut Section<'_>) -> Option<Self> {
        let interpreter = platform::Interpreter::configure(section);
        let Some(text) = section.text("folder") else {
            if !section.has("folder") {
                section.problem(
                    "folder",
                    "missing: it is the absolute path of the folder with the scripts",
                );
            }
            return None;
        };
        let path = PathBuf::from(text);
        if !path.is_absolute() {
            section.problem("folder", format!("{text} is no absolute path"));
            return None;
        }
        let seen = Seen::look(&path, &interpreter);
        Some(Self {
            path,
            interpreter,
            seen: RwLock::new(Arc::new(seen)),
        })
    }

    /// What was seen in it; a folder that could not be used is looked at again.
    pub(super) fn seen(&self) -> Arc<Seen> {
        let seen = Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner));
        if seen.fault.is_none() {
            return seen;
        }
        self.look();
        Arc::clone(&self.seen.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks through it again; answers whether there are other scripts now.
    pub(super) fn look_again(&self) -> bool {
        let before = self.look();
        let now = self.seen();
        !now.scripts.keys().eq(before.scripts.keys())
    }

    /// Looks through it again; what was seen before comes back.
    fn look(&self) -> Arc<Seen> {
        let seen = Arc::new(Seen::look(&self.path, &self.interpreter));
        let mut place = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, seen)
    }

    /// Checks the folder and a script once more, for a run that begins at once. `None`: there is no
    /// such script.
    pub(super) fn start(&self, task: &Task) -> Option<Result<Start, Unfit>> {
        let seen = self.seen();
        if let Some(fault) = &seen.fault {
            return Some(Err(fault.clone()));
        }
        let script = seen.scripts.get(task)?;
        let checked = platform::check_folder(&seen.path)
            .and_then(|()| script.check(&seen.path))
            .map(|_| self.interpreter.start(&script.file));
        Some(checked)
    }

    /// What would keep each script from running, as it is now; `search_path` is where programs
    /// without a path are looked for.
    pub(super) fn faults(&self, search_path: &OsStr) -> Vec<Unfit> {
        let seen = self.seen();
        if let Some(fault) = &seen.fault {
            return vec![fault.clone()];
        }
        if let Err(fault) = platform::check_folder(&seen.path) {
            return vec![fault];
        }
        let scripts = seen.scripts.values();
        scripts
            .filter_map(|script| match script.check(&seen.path) {
                Ok(real) => self.obstacle(&script.file, &real, search_path),
                Err(fault) => Some(fault),
            })
            .collect()
    }

    /// Why a script that is safe does not start, as far as can be seen without running it.
    fn obstacle(&self, file: &Path, real: &Path, search_path: &OsStr) -> Option<Unfit> {
        let what = self.interpreter.obstacle(real, search_path)?;
        Some(Unfit::unstartable(file, what))
    }

    /// The same of one that the system refused to start.
    pub(super) fn why_not_started(&self, start: &Start, search_path: &OsStr) -> Option<Unfit> {
        let real = start.script.canonicalize().ok()?;
        self.obstacle(&start.script, &real, search_path)
    }
}

impl Seen {
    fn look(path: &Path, interpreter: &platform::Interpreter) -> Self {
        let nothing = |fault| Self {
            path: path.to_owned(),
            scripts: BTreeMap::new(),
            unused: Vec::new(),
            fault: Some(fault),
        };
        Self::open(path, interpreter).unwrap_or_else(nothing)
    }

    fn open(path: &Path, interpreter: &platform::Interpreter) -> Result<Self, Unfit> {
        let path = path
            .canonicalize()
            .map_err(|error| Unfit::unreadable(path, error))?;
        platform::check_folder(&path)?;
        let unreadable = |error| Unfit::unreadable(&path, error);
        let mut files = Vec::new();
        for entry in path.read_dir().map_err(unreadable)? {
            files.push(entry.map_err(unreadable)?.path());
        }
        files.sort();
        let mut scripts: BTreeMap<Task, Script> = BTreeMap::new();
        let mut others = Vec::new();
        for file in files {
            let task = interpreter.stem(&file).as_deref().and_then(Task::from_stem);
            let Some(task) = task else {
                others.push(file);
                continue;
            };
            match scripts.get_mut(&task) {
                Some(first) => first.twin = Some(file),
                None => {
                    scripts.insert(task, Script { file, twin: None });
                }
            }
        }
        let unused = unused::among(others, scripts.values().map(|script| script.file.as_path()));
        Ok(Self {
            path,
            scripts,
            unused,
            fault: None,
        })
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// What its scripts do.
    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.scripts.keys()
    }

    /// Whether one does this.
    pub(super) fn has(&self, task: &Task) -> bool {
        self.scripts.contains_key(task)
    }

    /// Files that nothing ever runs.
    pub(super) fn unused(&self) -> &[Unused] {
        &self.unused
    }

    /// Why nothing in it can be run.
    pub(super) fn fault(&self) -> Option<&Unfit> {
        self.fault.as_ref()
    }
}

impl Script {
    /// Whether it may be run: where it really lies. A link may lead to another file of the folder,
    /// and nowhere else.
    fn check(&self, folder: &Path) -> Result<PathBuf, Unfit> {
        if let Some(twin) = &self.twin {
            return Err(Unfit::not_safe(
                &self.file,
                format!(
                    "is there twice, also as {}: remove one of them",
                    twin.display()
                ),
            ));
        }
        let real = self
            .file
            .canonicalize()
            .map_err(|error| Unfit::unreadable(&self.file, error))?;
        if real.parent() != Some(folder) {
            return Err(Unfit::not_safe(
                &self.file,
                format!("is a link out of its folder, to {}", real.display()),
            ));
        }
        platform::check_file(&real)?;
        Ok(real)
    }
}
