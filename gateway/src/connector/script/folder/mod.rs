//! The folder of a script connector: which scripts there are, and whether only those who may can
//! change them.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Section;
use crate::model::{ActionName, Verb};

pub(super) use platform::base_environment;

/// Why a folder or a script in it is not run.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unsafe {
    /// It cannot be looked at.
    #[error("{} cannot be used: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        error: io::Error,
    },
    /// It is not what it should be.
    #[error("{} {what}", path.display())]
    Wrong { path: PathBuf, what: String },
}

impl Unsafe {
    fn unreadable(path: &Path, error: io::Error) -> Self {
        Self::Unreadable {
            path: path.to_owned(),
            error,
        }
    }

    fn wrong(path: &Path, what: impl Into<String>) -> Self {
        Self::Wrong {
            path: path.to_owned(),
            what: what.into(),
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
}

impl Task {
    fn from_stem(stem: &str) -> Option<Self> {
        if let Some(action) = stem.strip_prefix("run-") {
            let action = ActionName::new(action).ok()?;
            return Some(Self::Action(action.to_string()));
        }
        Verb::from_name(stem)
            .filter(|verb| *verb != Verb::Run)
            .map(Self::Verb)
    }
}

/// How a script is started: a program, and what it is given before anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
}

/// The folder, checked.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    scripts: BTreeMap<Task, PathBuf>,
    interpreter: platform::Interpreter,
}

impl Folder {
    /// Looks through the folder named in the section. Problems become problems of the section.
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
        match Self::open(Path::new(text), interpreter) {
            Ok(folder) => Some(folder),
            Err(error) => {
                section.problem("folder", error.to_string());
                None
            }
        }
    }

    fn open(path: &Path, interpreter: platform::Interpreter) -> Result<Self, Unsafe> {
        if !path.is_absolute() {
            return Err(Unsafe::wrong(path, "is no absolute path"));
        }
        let path = path
            .canonicalize()
            .map_err(|error| Unsafe::unreadable(path, error))?;
        platform::check_folder(&path)?;
        let mut scripts = BTreeMap::new();
        let unreadable = |error| Unsafe::unreadable(&path, error);
        for entry in path.read_dir().map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.path();
            let task = interpreter.stem(&file).as_deref().and_then(Task::from_stem);
            let Some(task) = task else {
                tracing::debug!(file = %file.display(), "no script: its name is that of no verb");
                continue;
            };
            check_script(&path, &file)?;
            if let Some(other) = scripts.insert(task, file.clone()) {
                return Err(Unsafe::wrong(
                    &file,
                    format!(
                        "is there twice, also as {}: remove one of them",
                        other.display()
                    ),
                ));
            }
        }
        Ok(Self {
            path,
            scripts,
            interpreter,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.scripts.keys()
    }

    pub(super) fn has(&self, task: &Task) -> bool {
        self.scripts.contains_key(task)
    }

    /// Checks the folder and a script once more, for a run that begins at once. `None`: there is no
    /// such script.
    pub(super) fn start(&self, task: &Task) -> Option<Result<Start, Unsafe>> {
        let script = self.scripts.get(task)?;
        let checked = platform::check_folder(&self.path)
            .and_then(|()| check_script(&self.path, script))
            .map(|()| self.interpreter.start(script));
        Some(checked)
    }
}

/// A script lies in the folder itself: a link may lead to another file there, and nowhere else.
fn check_script(folder: &Path, file: &Path) -> Result<(), Unsafe> {
    let real = file
        .canonicalize()
        .map_err(|error| Unsafe::unreadable(file, error))?;
    if real.parent() != Some(folder) {
        return Err(Unsafe::wrong(
            file,
            format!("is a link out of its folder, to {}", real.display()),
        ));
    }
    platform::check_file(&real)
}
