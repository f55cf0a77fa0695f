//! Lines of JSON at the end of a file, which may be rotated by others at any time.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_common::id::ServerId;
use tokio::task::spawn_blocking;

use super::record::Record;
use super::sink::SinkError;
use crate::repository::AuditEntry;

#[derive(Debug)]
pub(super) struct FileSink {
    path: PathBuf,
    server: ServerId,
}

impl FileSink {
    pub(super) fn new(path: PathBuf, server: ServerId) -> Self {
        Self { path, server }
    }

    /// They are on the disk when this returns.
    pub(super) async fn send(&self, entries: &[&AuditEntry]) -> Result<(), SinkError> {
        let mut lines = Vec::new();
        let written = entries.iter().try_for_each(|entry| {
            serde_json::to_writer(&mut lines, &Record::new(self.server, entry))?;
            lines.push(b'\n');
            Ok::<_, serde_json::Error>(())
        });
        let path = self.path.clone();
        let appended = match written {
            Ok(()) => spawn_blocking(move || append(&path, &lines))
                .await
                .unwrap_or_else(|_| Err(io::Error::other("the writing was cut off"))),
            Err(error) => Err(error.into()),
        };
        appended.map_err(|source| SinkError::File {
            path: self.path.clone(),
            source,
        })
    }
}

/// Opened each time: what was there before may be another file's name by now.
fn append(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    end_line(&mut file)?;
    file.write_all(lines)?;
    file.sync_data()
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
