//! The log of a gateway that nobody reads the standard error of: a file of a limited size, and the
//! one before it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Bytes from which on the file is put aside.
const MOST: u64 = 8 << 20;

/// A file that is appended to, and put aside as `NAME.1` once it is large.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    most: u64,
}

impl LogFile {
    /// The file at `path`; its folder is there.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Self::of_size(path, MOST)
    }

    fn of_size(path: &Path, most: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let length = file.metadata()?.len();
        Ok(Self {
            path: path.to_owned(),
            file,
            length,
            most,
        })
    }

    /// Where the file cannot be put aside, which somebody may hold open, it grows on.
    fn put_aside(&mut self) {
        let mut aside = self.path.clone().into_os_string();
        aside.push(".1");
        if fs::rename(&self.path, aside).is_err() {
            return;
        }
        let anew = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.path);
        if let Ok(file) = anew {
            self.file = file;
            self.length = 0;
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.length >= self.most {
            self.put_aside();
        }
        let written = self.file.write(bytes)?;
        self.length = self.length.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_log_is_put_aside_and_two_files_are_all_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.log");
        for line in ["first\n", "second\n", "third\n"] {
            // Opened again, as after a restart.
            let mut log = LogFile::of_size(&path, 8).unwrap();
            log.write_all(line.as_bytes()).unwrap();
        }
        let mut log = LogFile::open(&path).unwrap();
        log.write_all(b"fourth\n").unwrap();
        let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("gateway.log.1"), "first\nsecond\n");
        assert_eq!(read("gateway.log"), "third\nfourth\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
