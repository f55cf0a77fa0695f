//! Folders under the prefix, opened so that no symbolic link leads out of it.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, Mode, OFlags, RenameFlags, ResolveFlags, Stat, open, openat2, renameat_with,
    statat, unlinkat,
};
use rustix::io::Errno;

/// A folder that is open.
#[derive(Debug)]
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// Opens the folder `inside` under `prefix`; `None` where there is none. Links in it are
    /// followed as a program does whose root the prefix is.
    pub(super) fn open(prefix: &Path, inside: &Path) -> Option<Self> {
        Self::try_open(prefix, inside).ok()
    }

    /// The same, with the reason why it cannot be opened.
    pub(super) fn try_open(prefix: &Path, inside: &Path) -> io::Result<Self> {
        open_in(prefix, inside, OFlags::DIRECTORY).map(Self)
    }

    /// What has this name in it; a link is not followed, and nothing is mounted for the question.
    pub(super) fn stat(&self, name: &str) -> Option<Stat> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        statat(&self.0, name, flags).ok()
    }

    /// Where a link of this name leads.
    pub(super) fn link(&self, name: &str) -> String {
        let target = rustix::fs::readlinkat(&self.0, name, Vec::new());
        target.map_or_else(|_| "?".to_owned(), |to| to.to_string_lossy().into_owned())
    }

    /// The names in it that are text, in no order.
    pub(super) fn names(&self) -> Vec<String> {
        let entries = Dir::read_from(&self.0).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str().ok().map(str::to_owned))
            .filter(|name| name != "." && name != "..")
            .collect()
    }

    /// All names in it, in no order.
    pub(super) fn all_names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Removes a file.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    pub(super) fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
    }

    /// Gives a file another name that nothing has.
    pub(super) fn rename(&self, name: &str, new_name: &str) -> io::Result<()> {
        let flags = RenameFlags::NOREPLACE;
        Ok(renameat_with(&self.0, name, &self.0, new_name, flags)?)
    }

    /// Its real path on the host.
    pub(super) fn real_path(&self) -> Option<PathBuf> {
        fs::read_link(format!("/proc/self/fd/{}", self.0.as_raw_fd())).ok()
    }

    /// Whether this is the same folder as another.
    pub(super) fn is(&self, other: &Self) -> bool {
        let id = |folder: &Self| {
            let found = rustix::fs::fstat(&folder.0).ok()?;
            Some((found.st_dev, found.st_ino))
        };
        id(self).is_some() && id(self) == id(other)
    }
}

/// Opens the file `inside` under `prefix` for reading, links as for [`Folder::open`]. It may be of
/// any kind; a pipe that nobody writes to is not waited for.
pub(super) fn open_file(prefix: &Path, inside: &Path) -> io::Result<fs::File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    open_in(prefix, inside, flags).map(fs::File::from)
}

fn open_in(prefix: &Path, inside: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::RDONLY | OFlags::CLOEXEC;
    let inside = inside.strip_prefix("/").unwrap_or(inside);
    let root = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = open(prefix, root, Mode::empty())?;
    let found = match openat2(&root, inside, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        // Before Linux 5.6, or where a filter of system calls does not know it.
        Err(Errno::NOSYS | Errno::PERM) => open(prefix.join(inside), flags, Mode::empty()),
        found => found,
    };
    Ok(found?)
}

/// Makes a folder again that was removed a moment ago.
pub(super) fn make_again(folder: &Folder, name: &str, mode: u32) {
    let made = rustix::fs::mkdirat(&folder.0, name, Mode::from_raw_mode(mode & 0o7777));
    if let Err(error) = made {
        tracing::warn!(name, %error, "an empty folder that a failed create removed cannot be made again");
    }
}

/// A place where something is mounted at `path` or below it.
pub(super) fn mounted_in(path: &Path) -> Option<PathBuf> {
    let table = fs::read("/proc/self/mountinfo").ok()?;
    let mut points = table.split(|byte| *byte == b'\n').filter_map(mount_point);
    points.find(|point| point.starts_with(path))
}

/// The mount point of a line of mountinfo, proc_pid_mountinfo(5): its fifth field, in which space,
/// tab, line end and backslash are written by their octal numbers.
fn mount_point(line: &[u8]) -> Option<PathBuf> {
    let field = line.split(|byte| *byte == b' ').nth(4)?;
    let mut path = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&byte, behind)) = rest.split_first() {
        let octal = behind.get(..3).filter(|_| byte == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(escaped) => {
                path.push(escaped);
                rest = behind.get(3..).unwrap_or_default();
            }
            None => {
                path.push(byte);
                rest = behind;
            }
        }
    }
    Some(PathBuf::from(OsString::from_vec(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_leads_out_of_the_root() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("here"), "").unwrap();
        fs::create_dir_all(root.path().join("var/mail")).unwrap();
        let link =
            |to: &Path, name| std::os::unix::fs::symlink(to, root.path().join(name)).unwrap();
        link(outside.path(), "absolute");
        link(Path::new("../../../../../../../../tmp"), "relative");
        link(Path::new("/var/mail"), "inside");
        let open = |name: &str| Folder::open(root.path(), Path::new(name));
        assert!(open("/absolute").is_none());
        assert!(open("/relative").is_none());
        assert!(open("/inside").unwrap().is(&open("/var/mail").unwrap()));
        assert!(open("/nowhere").is_none());
    }

    #[test]
    fn mount_points_are_read_with_their_escapes() {
        let line = br"36 35 98:0 / /home/a\040b\134c rw,noatime master:1 - ext3 /dev/root rw";
        assert_eq!(mount_point(line), Some(PathBuf::from(r"/home/a b\c")));
        assert_eq!(mount_point(b""), None);
        assert!(mounted_in(Path::new("/proc")).is_some());
        assert!(mounted_in(Path::new("/nowhere")).is_none());
    }
}
