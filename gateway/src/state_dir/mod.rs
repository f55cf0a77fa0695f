//! The state folder: private to the gateway's user, every file in it replaced as a whole,
//! three locks.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use portcullis_host::lock::FileLock;
use zeroize::Zeroizing;

use crate::config::{Config, WorkerKind};

const KEYS_LOCK: &str = "keys.lock";
const RUN_LOCK: &str = "run.lock";
const RELOAD_LOCK: &str = "reload.lock";
/// Nobody holds the lock on the keys longer than a disk takes for one file.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The state folder of one gateway.
#[derive(Clone, Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Whose it may be where root looks into it.
    user: Option<u32>,
}

/// What becomes of a file that was replaced.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Former {
    Leave,
    Overwrite,
}

impl StateDir {
    /// The folder at `path`, which need not exist yet.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            user: None,
        }
    }

    /// That of the gateway. Where it is in processes, the folder belongs to the user of the one
    /// that faces the servers: root may use it, too, and what it makes there belongs to that user.
    pub fn of(config: &Config) -> Self {
        let workers = config.workers.as_ref();
        Self {
            path: config.state_dir.clone(),
            user: workers.and_then(|workers| platform::number_of(&workers.user)),
        }
    }

    /// The folders with journals: this gateway's own, or those of its workers that have connectors.
    /// Root may use them whosever they are.
    pub fn with_journals(config: &Config) -> Vec<(Option<WorkerKind>, Self)> {
        let Some(workers) = &config.workers else {
            return vec![(None, Self::of(config))];
        };
        let of = |kind| {
            let path = workers.of(kind).state_dir.clone();
            let user = platform::owner(&path);
            (Some(kind), Self { path, user })
        };
        let used = |kind: &WorkerKind| !config.connectors.of(*kind).connectors.is_empty();
        WorkerKind::ALL.into_iter().filter(used).map(of).collect()
    }

    /// The folders that the gateway keeps anything in, by the name of the process whose each is.
    pub fn all(config: &Config) -> Vec<(&'static str, PathBuf)> {
        let mut all = vec![("state", config.state_dir.clone())];
        if let Some(workers) = &config.workers {
            let of = |kind: WorkerKind| (kind.name(), workers.of(kind).state_dir.clone());
            all.extend(WorkerKind::ALL.map(of));
        }
        all
    }

    /// Whether root has made it: whatever keeps its files there runs as root.
    pub fn is_roots(&self) -> bool {
        platform::owner(&self.path) == Some(0)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks that the folder, if there is one, belongs to this user and is closed to others.
    ///
    /// # Errors
    /// [`StateDirError`] saying what to mend.
    pub fn check(&self) -> Result<(), StateDirError> {
        platform::Folder::open(&self.path, self.user).map(drop)
    }

    /// The bytes of a file, `limit` at most; `None` where there is no such file or no folder.
    ///
    /// # Errors
    /// [`StateDirError`] where others may read or write it, or it cannot be read.
    pub fn read(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StateDirError> {
        match platform::Folder::open(&self.path, self.user)? {
            None => Ok(None),
            Some(folder) => folder.read(name, limit),
        }
    }

    /// Replaces a file as a whole and durably; makes the folder where there is none.
    ///
    /// # Errors
    /// [`StateDirError`]; the former file is still there then.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StateDirError> {
        platform::Folder::open_or_create(&self.path, self.user)?.replace(name, bytes, Former::Leave)
    }

    /// As [`Self::replace`], for a file that holds keys: the former one is overwritten once it is
    /// replaced.
    ///
    /// # Errors
    /// As there.
    pub fn replace_secret(&self, name: &str, bytes: &[u8]) -> Result<(), StateDirError> {
        platform::Folder::open_or_create(&self.path, self.user)?.replace(
            name,
            bytes,
            Former::Overwrite,
        )
    }

    /// A file that is read and appended to; `None` where there is no such file or no folder.
    ///
    /// # Errors
    /// [`StateDirError`] where others may read or write it, or it cannot be opened.
    pub fn open(&self, name: &str) -> Result<Option<File>, StateDirError> {
        match platform::Folder::open(&self.path, self.user)? {
            None => Ok(None),
            Some(folder) => folder.open_existing(name),
        }
    }

    /// A new, empty file that [`Self::put`] is to put in the place of the file of this name.
    ///
    /// # Errors
    /// [`StateDirError`] where it cannot be made.
    pub fn draft(&self, name: &str) -> Result<File, StateDirError> {
        platform::Folder::open_or_create(&self.path, self.user)?.draft(name)
    }

    /// Puts what was drafted in the place of the file of this name, durably. It has been flushed
    /// before, and neither of them is open.
    ///
    /// # Errors
    /// [`StateDirError`]; the former file is still there then.
    pub fn put(&self, name: &str) -> Result<(), StateDirError> {
        platform::Folder::open_or_create(&self.path, self.user)?.put(name)
    }

    /// Gives a file another name, in the place of any file of that.
    ///
    /// # Errors
    /// [`StateDirError`] where it cannot.
    pub fn rename(&self, name: &str, new_name: &str) -> Result<(), StateDirError> {
        platform::Folder::open_or_create(&self.path, self.user)?.rename(name, new_name)
    }

    /// Makes the folder where there is none.
    ///
    /// # Errors
    /// [`StateDirError`] where it is unsafe or not to be made.
    pub fn create(&self) -> Result<(), StateDirError> {
        platform::Folder::open_or_create(&self.path, self.user).map(drop)
    }

    /// The lock on the key store; `None` where there is no folder. Waits for it, 10 s at most.
    ///
    /// # Errors
    /// [`StateDirError`] where the folder is unsafe or the lock is held too long.
    pub fn lock_keys(&self) -> Result<Option<FileLock>, StateDirError> {
        self.lock_within(KEYS_LOCK, LOCK_PATIENCE)
    }

    /// The lock of whoever has asked the running gateway to read its configuration again, and waits
    /// for its answer; `None` where there is no folder. Waits for it, `patience` at most.
    ///
    /// # Errors
    /// [`StateDirError`] where the folder is unsafe or the lock is held too long.
    pub fn lock_reload(&self, patience: Duration) -> Result<Option<FileLock>, StateDirError> {
        self.lock_within(RELOAD_LOCK, patience)
    }

    fn lock_within(
        &self,
        name: &str,
        patience: Duration,
    ) -> Result<Option<FileLock>, StateDirError> {
        let Some(folder) = platform::Folder::open(&self.path, self.user)? else {
            return Ok(None);
        };
        let file = folder.lock_file(name)?;
        let path = self.path.join(name);
        let lock = FileLock::take_within(file, patience)
            .map_err(|source| StateDirError::io("lock", &path, source))?;
        lock.map_or(Err(StateDirError::Locked { path }), |lock| Ok(Some(lock)))
    }

    /// The lock that a running gateway holds; `None` where there is no folder.
    ///
    /// # Errors
    /// [`StateDirError::Running`] where another gateway runs on this folder.
    pub fn lock_run(&self) -> Result<Option<FileLock>, StateDirError> {
        let Some(folder) = platform::Folder::open(&self.path, self.user)? else {
            return Ok(None);
        };
        let lock = self.try_run_lock(folder.lock_file(RUN_LOCK)?)?;
        if lock.is_none() {
            return Err(StateDirError::Running {
                folder: self.path.clone(),
            });
        }
        Ok(lock)
    }

    /// Does a gateway run on this folder?
    ///
    /// # Errors
    /// [`StateDirError`] where the folder is unsafe or unreadable.
    pub fn is_running(&self) -> Result<bool, StateDirError> {
        let Some(folder) = platform::Folder::open(&self.path, self.user)? else {
            return Ok(false);
        };
        // Not made here: whoever only looks changes nothing.
        let Some(file) = folder.open_existing(RUN_LOCK)? else {
            return Ok(false);
        };
        Ok(self.try_run_lock(file)?.is_none())
    }

    /// `None`: a gateway holds it.
    fn try_run_lock(&self, file: File) -> Result<Option<FileLock>, StateDirError> {
        FileLock::try_take(file)
            .map_err(|source| StateDirError::io("lock", &self.path.join(RUN_LOCK), source))
    }
}

/// What is wrong with the state folder, or a file in it, and how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another process holds the lock on the keys.
    #[error(
        "{} is locked by another portcullis-gateway command: wait until it has ended, then try again",
        path.display()
    )]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// Another gateway runs on the same folder.
    #[error(
        "a gateway is already running on {}: stop it first{}, or give this one another state_dir",
        folder.display(), platform::HOW_TO_STOP
    )]
    Running {
        /// The folder.
        folder: PathBuf,
    },
    /// A link stands where the folder or file should.
    #[error("{} is a symbolic link, which is refused: put the real folder or file in its place", path.display())]
    Link {
        /// The link.
        path: PathBuf,
    },
    /// Something else stands where the folder or file should.
    #[error("{} is not {expected}: move it away", path.display())]
    Kind {
        /// What stands there.
        path: PathBuf,
        /// What should.
        expected: &'static str,
    },
    /// It belongs to another user.
    #[error(
        "{path} belongs to user id {owner}, but this program runs as user id {user}: run it as the owner (`sudo -u '#{owner}' portcullis-gateway …`), \
         or give it to this user (`chown -R {user} {path}`)", path = path.display()
    )]
    Owner {
        /// The folder or file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The user that this program runs as.
        user: u32,
    },
    /// Others may read or write it.
    #[error(
        "{path} is open to other users (mode {mode:04o}): run `chmod {wanted:04o} {path}`, and if it holds the gateway's keys and others can have read them, enrol again with a new token",
        path = path.display()
    )]
    Mode {
        /// The folder or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// It is a folder of the whole system.
    #[error(
        "{} is shared by all users (mode {mode:04o}), and is to stay so: name a folder of its own in state_dir, such as {}",
        path.display(), path.join("portcullis-gateway").display()
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Windows: others own it or may use it.
    #[error("{} {problem}", path.display())]
    Access {
        /// The folder.
        path: PathBuf,
        /// Who, and the command that mends it.
        problem: String,
    },
    /// The file has a second name.
    #[error(
        "{} has {links} hard links: another name of this file may be open to others; find it (`find / -samefile`) and remove it",
        path.display()
    )]
    HardLink {
        /// The file.
        path: PathBuf,
        /// How many names it has.
        links: u64,
    },
    /// No space left.
    #[error("the disk under {} is full: nothing was changed; free some space, then try again", path.display())]
    Full {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl StateDirError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge => Self::Full {
                path: path.to_owned(),
            },
            _ => Self::Io {
                action,
                path: path.to_owned(),
                source,
            },
        }
    }
}
