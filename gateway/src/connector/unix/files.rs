//! The account files: where they lie, how they are read, and whether they changed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use portcullis_host::clock;
use zeroize::Zeroizing;

use crate::model::Failure;

pub(super) const PASSWD: &str = "etc/passwd";
pub(super) const SHADOW: &str = "etc/shadow";
pub(super) const GROUP: &str = "etc/group";
pub(super) const GSHADOW: &str = "etc/gshadow";
pub(super) const SUBUID: &str = "etc/subuid";
pub(super) const SUBGID: &str = "etc/subgid";
/// See `expiry`.
pub(super) const EXPIRY: &str = "etc/portcullis-expiry";

/// What is larger than this is no account file.
const MAX_LEN: u64 = 256 * 1024 * 1024;

/// A file that was changed more recently than so many milliseconds may change again under the same
/// time: longer than the kernel's clock takes from one time to the next.
const SETTLED_MS: i64 = 100;

/// The same of file systems that keep whole seconds, some of them only even ones.
const COARSE_MS: i64 = 3000;

/// What all files looked like at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp(Vec<Option<FileStamp>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileStamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(prefix: &Path) -> Self {
        let all = [PASSWD, SHADOW, GROUP, GSHADOW, SUBUID, SUBGID, EXPIRY];
        let stamp = |name: &str| {
            let found = fs::metadata(prefix.join(name)).ok()?;
            Some(FileStamp {
                device: found.dev(),
                inode: found.ino(),
                size: found.size(),
                modified: (found.mtime(), found.mtime_nsec()),
                changed: (found.ctime(), found.ctime_nsec()),
            })
        };
        Self(all.into_iter().map(stamp).collect())
    }

    /// Whether files that look the same later have the same content: none of them was changed just
    /// now.
    pub(super) fn is_settled(&self) -> bool {
        let now = i64::try_from(clock::now().0).unwrap_or(i64::MAX);
        self.0.iter().flatten().all(|file| {
            let (seconds, nanoseconds) = file.changed;
            let changed = seconds.saturating_mul(1000) + nanoseconds / 1_000_000;
            let least = match nanoseconds {
                0 => COARSE_MS,
                _ => SETTLED_MS,
            };
            // A clock that was set back tells nothing.
            (least..).contains(&now.saturating_sub(changed))
        })
    }
}

/// A file that has to be there.
pub(super) fn read(prefix: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let path = prefix.join(name);
    contents(&path).map_err(|error| unreadable(&path, &error))
}

/// A file that some hosts do not have: empty where it is not there.
pub(super) fn read_if_there(prefix: &Path, name: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let path = prefix.join(name);
    match contents(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Zeroizing::default()),
        read => read.map_err(|error| unreadable(&path, &error)),
    }
}

fn contents(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    // In one piece, so that no copy of a hash stays behind where it grew.
    let length = file.metadata()?.len().min(MAX_LEN);
    let mut bytes = Zeroizing::new(Vec::with_capacity(
        usize::try_from(length).unwrap_or_default() + 1,
    ));
    let count = file.take(MAX_LEN + 1).read_to_end(&mut bytes)?;
    if count as u64 > MAX_LEN {
        return Err(io::Error::other("it is larger than an account file can be"));
    }
    Ok(bytes)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => "Run the gateway as root",
        io::ErrorKind::NotFound => "Look at `prefix` in the connector's configuration",
        _ => "Nothing was begun",
    };
    Failure::unavailable(format!(
        "{} cannot be read: {error}. {advice}",
        path.display()
    ))
}
