//! Files that only their owner may read.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use zeroize::Zeroizing;

/// Why a file or folder that has to be private is not.
#[derive(Debug, thiserror::Error)]
pub enum PermissionError {
    /// It cannot be looked at.
    #[error("cannot look at {path}: {source}", path = path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It belongs to another user.
    #[error(
        "{path} belongs to user {owner}, and the program runs as user {user}: start it as the owner, or `chown {user} {path}`",
        path = path.display()
    )]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// As whom the program runs.
        user: u32,
    },
    /// Others may read or write it.
    #[error(
        "{path} has mode {mode:04o}, so that other users can reach it: `chmod {wanted:04o} {path}`, and consider the secrets in it known",
        path = path.display()
    )]
    Loose {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// The widest mode that is accepted.
        wanted: u32,
    },
    /// It is a folder of the whole system.
    #[error(
        "{path} is shared by all users (mode {mode:04o}), and has to stay so: configure a folder of this program's own, such as {}",
        path.join("portcullis").display(), path = path.display()
    )]
    Shared {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
}

/// Checks that only the user who runs this program can reach a file (mode 0600 or stricter) or
/// folder (0700 or stricter).
///
/// # Errors
/// [`PermissionError`].
pub fn check_private(path: &Path) -> Result<(), PermissionError> {
    check_private_to(path, this_user())
}

/// The same for the user as whom the program runs otherwise: of whoever only looks.
///
/// # Errors
/// [`PermissionError`].
pub fn check_private_to(path: &Path, user: u32) -> Result<(), PermissionError> {
    let metadata = path
        .metadata()
        .map_err(|source| PermissionError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
    let Some(exposed) = exposure_to(user, metadata.uid(), metadata.mode()) else {
        return Ok(());
    };
    let path = path.to_owned();
    Err(match exposed {
        Exposure::Owner { owner, user } => PermissionError::Owner { path, owner, user },
        Exposure::Shared { mode } => PermissionError::Shared { path, mode },
        Exposure::Mode { mode } => PermissionError::Loose {
            path,
            mode,
            wanted: if metadata.is_dir() { 0o700 } else { 0o600 },
        },
    })
}

/// How others can reach a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// It belongs to another user.
    Owner {
        /// Whose it is.
        owner: u32,
        /// Who we are.
        user: u32,
    },
    /// Its mode lets others read or write it.
    Mode {
        /// The mode, without the type of the file.
        mode: u32,
    },
    /// A folder like `/tmp`, which others write to and only owners remove from: it is meant for all
    /// users, and to close it to them would break the system.
    Shared {
        /// The mode, without the type of the file.
        mode: u32,
    },
}

/// How others can reach a file or folder of this owner and mode; `None`: nobody but the user who
/// runs this program can.
pub fn exposure(owner: u32, mode: u32) -> Option<Exposure> {
    exposure_to(this_user(), owner, mode)
}

/// The user who runs this program.
pub fn this_user() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn exposure_to(user: u32, owner: u32, mode: u32) -> Option<Exposure> {
    let mode = mode & 0o7777;
    if mode & 0o1000 != 0 && mode & 0o022 != 0 {
        return Some(Exposure::Shared { mode });
    }
    if owner != user {
        return Some(Exposure::Owner { owner, user });
    }
    (mode & 0o077 != 0).then_some(Exposure::Mode { mode })
}

/// Writes a new file of mode 0600, durably. Leaves none behind where it fails.
///
/// # Errors
/// What the system said; `AlreadyExists` where there is one of that name.
pub fn create_private_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        std::fs::remove_file(path)?;
    }
    written
}

/// Makes a folder of mode 0700, and those above it that are missing.
///
/// # Errors
/// What the system said.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Makes what happened to the names in a folder durable.
///
/// # Errors
/// What the system said.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads a file, but no more than one byte more than `longest`; what is read does not move in
/// memory.
///
/// # Errors
/// What the system said; `InvalidInput` where it is no regular file: a pipe that nobody writes to
/// would hold the program up for ever.
pub fn read_bounded(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    if !file.metadata()?.is_file() {
        let what = "it is no regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    let mut content = Zeroizing::new(Vec::with_capacity(longest + 1));
    file.take(longest as u64 + 1).read_to_end(&mut content)?;
    Ok(content)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_others_can_reach_is_not_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create_private_file(&path, b"x").unwrap();
        for (mode, private) in [(0o600, true), (0o400, true), (0o640, false), (0o602, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            assert_eq!(check_private(&path).is_ok(), private, "{mode:o}");
        }
        let user = rustix::process::geteuid().as_raw();
        let owner = user + 1;
        assert_eq!(
            exposure(owner, 0o600),
            Some(Exposure::Owner { owner, user })
        );
        assert_eq!(exposure(user, 0o100_600), None);
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        check_private_to(&path, user).unwrap();
        let other = check_private_to(&path, owner).unwrap_err().to_string();
        assert!(other.contains(&format!("`chown {owner} ")), "{other}");
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        let shared = check_private(folder.path()).unwrap_err().to_string();
        assert!(!shared.contains("chmod"), "{shared}");
        assert!(
            shared.contains("a folder of this program's own"),
            "{shared}"
        );
        assert_eq!(
            exposure(owner, 0o041_777),
            Some(Exposure::Shared { mode: 0o1777 })
        );
    }

    #[test]
    fn no_more_is_read_than_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        create_private_file(&path, b"0123456789").unwrap();
        assert_eq!(read_bounded(&path, 4).unwrap().as_slice(), b"01234");
        assert_eq!(read_bounded(&path, 10).unwrap().as_slice(), b"0123456789");
        let again = create_private_file(&path, b"x").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_is_no_file_holds_nobody_up() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        for path in [pipe.as_path(), folder.path(), Path::new("/dev/zero")] {
            let error = read_bounded(path, 4).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{path:?}");
        }
    }
}
