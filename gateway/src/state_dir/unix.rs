//! The state folder on Unix: 0700, its files 0600, owner checked, no links followed.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt as _};
use std::path::{Path, PathBuf};

use portcullis_host::private_files::{Exposure, exposure};
use portcullis_host::users;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use rustix::process::geteuid;
use zeroize::Zeroizing;

use super::{Former, StateDirError};

/// How a running gateway is stopped, for messages.
pub(super) const HOW_TO_STOP: &str = " (`systemctl stop portcullis-gateway`)";

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;
const NEW_FILE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Whose a folder is.
pub(super) fn owner(path: &Path) -> Option<u32> {
    fs::symlink_metadata(path).ok().map(|found| found.uid())
}

/// An open folder that was checked: everything in it is reached through this handle.
pub(super) struct Folder {
    path: PathBuf,
    handle: OwnedFd,
    /// Whose it may be beside this program's own.
    user: Option<u32>,
    /// Whose it is, and what is made in it.
    owner: (u32, u32),
}

/// The number of a user of this host.
pub(super) fn number_of(name: &str) -> Option<u32> {
    users::find(name).ok().map(|user| user.uid)
}

impl Folder {
    /// Opens the folder; `None` where there is none.
    /// Where root opens it, it may belong to `user`.
    pub(super) fn open(path: &Path, user: Option<u32>) -> Result<Option<Self>, StateDirError> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(not_a_folder(path, errno)),
        };
        let stat = stat(&handle, path)?;
        check_owner_and_mode(&stat, path, FOLDER_MODE, user)?;
        Ok(Some(Self {
            path: path.to_owned(),
            handle,
            user,
            owner: (stat.st_uid, stat.st_gid),
        }))
    }

    /// Opens the folder, and makes it where there is none.
    pub(super) fn open_or_create(path: &Path, user: Option<u32>) -> Result<Self, StateDirError> {
        if let Some(folder) = Self::open(path, user)? {
            return Ok(folder);
        }
        create(path).map_err(|source| StateDirError::io("create", path, source))?;
        Self::open(path, user)?
            .ok_or_else(|| StateDirError::io("open", path, io::ErrorKind::NotFound.into()))
    }

    pub(super) fn read(
        &self,
        name: &str,
        limit: usize,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, StateDirError> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let Some(file) = self.open_file(name, flags)? else {
            return Ok(None);
        };
        let path = self.path.join(name);
        // Of its final size from the start: a buffer that grew would leave copies behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(limit));
        file.take(limit as u64)
            .read_to_end(&mut bytes)
            .map_err(|source| StateDirError::io("read", &path, source))?;
        Ok(Some(bytes))
    }

    pub(super) fn replace(
        &self,
        name: &str,
        bytes: &[u8],
        fate: Former,
    ) -> Result<(), StateDirError> {
        let path = self.path.join(name);
        let temporary = temporary(name);
        let former = self.open_file(name, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC)?;
        self.write_temporary(&temporary, bytes)
            .and_then(|()| {
                rustix::fs::renameat(&self.handle, &temporary, &self.handle, name)?;
                rustix::fs::fsync(&self.handle).map_err(io::Error::from)
            })
            .map_err(|source| {
                // Gone already where the rename was done; nothing more can be done about it
                // elsewhere.
                let _ = rustix::fs::unlinkat(&self.handle, &temporary, AtFlags::empty());
                StateDirError::io("write", &path, source)
            })?;
        if let Some(former) = former.filter(|_| fate == Former::Overwrite) {
            scrub(former);
        }
        Ok(())
    }

    /// A file for reading and writing; `None` where there is none.
    pub(super) fn open_existing(&self, name: &str) -> Result<Option<File>, StateDirError> {
        self.open_file(name, OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC)
    }

    /// The lock file, made where there is none.
    pub(super) fn lock_file(&self, name: &str) -> Result<File, StateDirError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.open_file(name, flags)?.ok_or_else(|| {
            StateDirError::io(
                "create",
                &self.path.join(name),
                io::ErrorKind::NotFound.into(),
            )
        })
    }

    /// A new, empty file beside that of this name.
    pub(super) fn draft(&self, name: &str) -> Result<File, StateDirError> {
        let temporary = temporary(name);
        self.create_anew(&temporary)
            .map_err(|source| StateDirError::io("create", &self.path.join(temporary), source))
    }

    /// Puts the draft in the place of the file of this name.
    pub(super) fn put(&self, name: &str) -> Result<(), StateDirError> {
        self.rename(&temporary(name), name)
    }

    pub(super) fn rename(&self, name: &str, new_name: &str) -> Result<(), StateDirError> {
        rustix::fs::renameat(&self.handle, name, &self.handle, new_name)
            .and_then(|()| rustix::fs::fsync(&self.handle))
            .map_err(|errno| StateDirError::io("rename", &self.path.join(name), errno.into()))
    }

    fn write_temporary(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.create_anew(name)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn create_anew(&self, name: &str) -> io::Result<File> {
        match rustix::fs::unlinkat(&self.handle, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno.into()),
        }
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&self.handle, name, flags, NEW_FILE)?;
        self.hand_over(&handle)?;
        Ok(File::from(handle))
    }

    /// Gives what root has made in the folder of another user to that one, who could not use it
    /// otherwise.
    fn hand_over(&self, file: &OwnedFd) -> io::Result<()> {
        let (uid, gid) = self.owner;
        if geteuid().as_raw() == uid {
            return Ok(());
        }
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
    }

    fn open_file(&self, name: &str, flags: OFlags) -> Result<Option<File>, StateDirError> {
        let path = self.path.join(name);
        let handle = match rustix::fs::openat(&self.handle, name, flags, NEW_FILE) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(StateDirError::Link { path }),
            Err(errno) => return Err(StateDirError::io("open", &path, errno.into())),
        };
        let stat = stat(&handle, &path)?;
        if !FileType::from_raw_mode(stat.st_mode).is_file() {
            return Err(StateDirError::Kind {
                path,
                expected: "a regular file",
            });
        }
        check_owner_and_mode(&stat, &path, FILE_MODE, self.user)?;
        #[allow(clippy::unnecessary_cast, reason = "narrower on some platforms")]
        let links = stat.st_nlink as u64;
        if links > 1 {
            return Err(StateDirError::HardLink { path, links });
        }
        // A file of root's that has another name is not one that root has made here.
        if stat.st_uid != self.owner.0 {
            self.hand_over(&handle)
                .map_err(|source| StateDirError::io("give away", &path, source))?;
        }
        Ok(Some(File::from(handle)))
    }
}

/// The name of what is to take the place of a file.
fn temporary(name: &str) -> String {
    format!("{name}.new")
}

/// Overwrites a file that has no name any more: it held keys. What the disk keeps of it besides is
/// beyond reach.
fn scrub(mut file: File) {
    let length = file.metadata().map_or(0, |metadata| metadata.len());
    let zeros = vec![0; usize::try_from(length).unwrap_or(0).min(1 << 20)];
    let scrubbed = file.write_all(&zeros).and_then(|()| file.sync_data());
    if let Err(error) = scrubbed {
        tracing::warn!("the former record could not be overwritten on disk: {error}");
    }
}

fn create(path: &Path) -> io::Result<()> {
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    parent.map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn not_a_folder(path: &Path, errno: Errno) -> StateDirError {
    let path = path.to_owned();
    match (errno, fs::symlink_metadata(&path)) {
        (Errno::LOOP | Errno::NOTDIR, Ok(found)) if found.is_symlink() => {
            StateDirError::Link { path }
        }
        (Errno::NOTDIR, Ok(_)) => StateDirError::Kind {
            path,
            expected: "a folder",
        },
        _ => StateDirError::io("open", &path, errno.into()),
    }
}

fn stat(handle: &OwnedFd, path: &Path) -> Result<Stat, StateDirError> {
    rustix::fs::fstat(handle).map_err(|errno| StateDirError::io("examine", path, errno.into()))
}

fn check_owner_and_mode(
    stat: &Stat,
    path: &Path,
    wanted: u32,
    also: Option<u32>,
) -> Result<(), StateDirError> {
    let path = path.to_owned();
    let mode = Mode::from_raw_mode(stat.st_mode).as_raw_mode();
    match exposure(stat.st_uid, mode) {
        None => Ok(()),
        Some(Exposure::Owner { owner, user: 0 }) if Some(owner) == also => {
            let mode = mode & 0o7777;
            match mode & 0o077 {
                0 => Ok(()),
                _ => Err(StateDirError::Mode { path, mode, wanted }),
            }
        }
        Some(Exposure::Owner { owner, user }) => Err(StateDirError::Owner { path, owner, user }),
        Some(Exposure::Shared { mode }) => Err(StateDirError::Shared { path, mode }),
        Some(Exposure::Mode { mode }) => Err(StateDirError::Mode { path, mode, wanted }),
    }
}
