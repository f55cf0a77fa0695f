//! Lines of JSON at the end of a file, which may be rotated by others at any time.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_common::id::ServerId;
use rustix::fs::{Access, OFlags, access};
use tokio::task::{JoinHandle, spawn_blocking};

use super::record::Record;
use super::sink::SinkError;
use crate::repository::AuditEntry;

#[derive(Debug)]
pub(super) struct FileSink {
    path: PathBuf,
    server: ServerId,
    /// One whose caller lost patience goes on by itself: nothing stops a thread that the system
    /// holds.
    appending: Option<Appending>,
}

/// An append that is under way.
#[derive(Debug)]
struct Appending {
    /// The last entry of it.
    last: u64,
    task: JoinHandle<io::Result<()>>,
}

impl FileSink {
    pub(super) fn new(path: PathBuf, server: ServerId) -> Self {
        Self {
            path,
            server,
            appending: None,
        }
    }

    /// They are on the disk when this returns.
    pub(super) async fn send(&mut self, entries: &[&AuditEntry]) -> Result<(), SinkError> {
        let appended = self.append_after_former(entries).await;
        appended.map_err(|source| SinkError::File {
            path: self.path.clone(),
            source,
        })
    }

    /// Two appends at once would mix their lines. What the former one has written is not written
    /// again.
    async fn append_after_former(&mut self, entries: &[&AuditEntry]) -> io::Result<()> {
        let written = self.end_former().await?;
        let left = entries.iter().filter(|entry| entry.seq > written);
        let left: Vec<_> = left.copied().collect();
        let Some(last) = left.last().map(|entry| entry.seq) else {
            return Ok(());
        };
        let (path, lines) = (self.path.clone(), self.lines(&left)?);
        let task = spawn_blocking(move || append(&path, &lines));
        self.appending = Some(Appending { last, task });
        self.end_former().await?;
        Ok(())
    }

    /// Waits for the append that is under way: the last entry of it; 0: none is.
    async fn end_former(&mut self) -> io::Result<u64> {
        let Some(former) = &mut self.appending else {
            return Ok(0);
        };
        let (last, ended) = (former.last, (&mut former.task).await);
        self.appending = None;
        ended.unwrap_or_else(|_| Err(io::Error::other("the writing was cut off")))?;
        Ok(last)
    }

    fn lines(&self, entries: &[&AuditEntry]) -> io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, &Record::new(self.server, entry))?;
            lines.push(b'\n');
        }
        Ok(lines)
    }
}

/// Opened each time: what was there before may be another file's name by now. A link is refused:
/// whoever may write to the folder would choose what the server writes to.
fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    end_line(&mut file)?;
    file.write_all(lines)?;
    file.sync_data()
}

/// Why nothing can be appended to `path`, as far as can be seen without a try.
pub(super) fn inspect(path: &Path) -> Result<(), String> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let seen = |path: &Path, error: &dyn Display| format!("{}: {error}", path.display());
    match path.symlink_metadata() {
        Ok(there) if there.is_symlink() => Err(seen(path, &"it is a link, which is not followed")),
        Ok(there) if there.is_dir() => Err(seen(path, &"it is a folder")),
        Ok(_) => access(path, Access::WRITE_OK).map_err(|error| seen(path, &error)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let rights = Access::WRITE_OK | Access::EXEC_OK;
            access(folder, rights).map_err(|error| seen(folder, &error))
        }
        Err(error) => Err(seen(path, &error)),
    }
}

/// A crash may have cut the last line short: what follows is not to become part of it.
fn end_line(file: &mut File) -> io::Result<()> {
    let mut last = [b'\n'];
    // What is no file of this kind, or is empty, has no last byte.
    if file.seek(SeekFrom::End(-1)).is_ok() {
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::fs::{CWD, FileType, Mode, mknodat};
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn while_one_append_is_held_up_no_other_begins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let mut reader = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&path)
            .unwrap();
        let mut sink = FileSink::new(path, ServerId::from_array([1; 16]));
        // More than fits into a pipe that nobody reads.
        let entries: Vec<_> = (1..=40)
            .map(|seq| AuditEntry {
                seq,
                detail: "x".repeat(8_000),
                ..AuditEntry::default()
            })
            .collect();
        let entries: Vec<_> = entries.iter().collect();
        for _ in 0..2 {
            let sending = timeout(Duration::from_millis(200), sink.send(&entries));
            assert!(sending.await.is_err());
        }
        let expected = sink.lines(&entries).unwrap();
        let length = expected.len();
        let reading = spawn_blocking(move || {
            let mut read = vec![0; length];
            reader.read_exact(&mut read).unwrap();
            (read, reader)
        });
        let (read, _open) = reading.await.unwrap();
        assert!(read == expected);
        // A pipe cannot be flushed to a disk, so that this one is told as failed.
        assert!(sink.end_former().await.is_err());
        assert!(sink.appending.is_none());
    }

    #[tokio::test]
    async fn what_the_former_append_has_written_is_not_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        let mut sink = FileSink::new(path.clone(), ServerId::from_array([1; 16]));
        let entry = |seq| AuditEntry {
            seq,
            ..AuditEntry::default()
        };
        let (one, two) = (entry(1), entry(2));
        let (at, lines) = (path.clone(), sink.lines(&[&one]).unwrap());
        let task = spawn_blocking(move || append(&at, &lines));
        sink.appending = Some(Appending { last: 1, task });
        sink.send(&[&one, &two]).await.unwrap();
        let expected = sink.lines(&[&one, &two]).unwrap();
        assert_eq!(std::fs::read(path).unwrap(), expected);
    }
}
