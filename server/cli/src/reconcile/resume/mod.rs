//! How far a reconciliation has come, in a file from which it goes on where it was cut.
//!
//! ```text
//! one line of JSON: what is compared, with what
//! records, each: length, 4 bytes · kind · content
//!     token, entry, names, …    what was read
//!     page, done, begun         close what stands before them, by a checksum of it
//! ```
//!
//! What comes after the last record that closes is a page that was cut, and is read again. The
//! file holds what the temporary files do: names, ids and keyed digests, with their key. It goes
//! when the run has come to its end.

mod left;

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_host::lock::FileLock;
use portcullis_host::private_files::check_private;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::compare::Kind;
use super::watch::Watch;
use crate::error::CliError;
use left::{ANEW, BEGUN, BLIND, DONE, ENTRY, Left, NAME, PAGE, TOKEN, add, short};
pub(crate) use left::{Begun, Listed};

/// Bytes of the first line at the most.
const MOST_HEADING: u64 = 1 << 20;
/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    Wanted = 0,
    There = 1,
}

/// What is compared, with what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heading {
    /// Of the format: 2.
    pub(crate) reconciliation: u32,
    pub(crate) resource: String,
    pub(crate) class: String,
    /// The other resource, or the digest of the file.
    pub(crate) source: String,
    pub(crate) attributes: Vec<String>,
    pub(crate) ignore_case: bool,
    /// Of the digests, in base64.
    pub(crate) key: String,
}

/// The file.
pub(crate) struct Progress {
    path: PathBuf,
    file: BufWriter<File>,
    sum: Sha256,
    left: Left,
    /// Nothing that is read is kept any more.
    repairs: bool,
    /// Attributes whose names are in it.
    names: usize,
    _lock: FileLock,
}

impl Progress {
    /// Opens the file, or makes it. `heading` gets the key that is in it.
    ///
    /// # Errors
    /// [`CliError::Usage`] where it is of something else, or another run has it.
    pub(crate) fn open(path: &Path, heading: &mut Heading) -> Result<Self, CliError> {
        let failed = || CliError::file("open", path);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).open(path).map_err(failed())?;
        let lock = file.try_clone().and_then(FileLock::try_take);
        let lock = lock.map_err(failed())?;
        let lock = lock.ok_or_else(|| unusable(path, "another run works with it"))?;
        check_private(path).map_err(|error| CliError::usage(error.to_string()))?;
        let mut progress = Self {
            path: path.to_owned(),
            sum: Sha256::new(),
            left: Left::default(),
            repairs: false,
            names: 0,
            _lock: lock,
            file: BufWriter::new(file.try_clone().map_err(failed())?),
        };
        progress.load(file, heading)?;
        Ok(progress)
    }

    /// Reads what an earlier run has left, and cuts off what it did not close.
    fn load(&mut self, mut file: File, heading: &mut Heading) -> Result<(), CliError> {
        let path = self.path.clone();
        let failed = || CliError::file("read", &path);
        let mut reader = BufReader::new(&mut file);
        let mut line = Vec::new();
        let read = (&mut reader)
            .take(MOST_HEADING)
            .read_until(b'\n', &mut line);
        read.map_err(failed())?;
        let mut end = line.len() as u64;
        if line.ends_with(b"\n") {
            let kept: Option<Heading> = serde_json::from_slice(&line).ok();
            let what = "it keeps no reconciliation of this version";
            let kept = kept.ok_or_else(|| unusable(&path, what))?;
            heading.key.clone_from(&kept.key);
            if kept != *heading {
                let what = format!("it keeps {}", kept.differs(heading));
                return Err(unusable(&path, &what));
            }
            end += self.left.records(&mut reader).map_err(failed())?;
        } else if line.is_empty() {
            line = serde_json::to_vec(heading).unwrap_or_default();
            line.push(b'\n');
            end = line.len() as u64;
            file.write_all(&line).map_err(failed())?;
        } else {
            return Err(unusable(&path, "it keeps no reconciliation"));
        }
        file.set_len(end).map_err(failed())?;
        file.seek(SeekFrom::Start(end)).map_err(failed())?;
        self.repairs = !self.left.begun.is_empty();
        self.names = self.left.names.len();
        Ok(())
    }

    /// The names of the attributes, by their numbers, of an earlier run.
    pub(crate) fn names(&mut self) -> Vec<String> {
        std::mem::take(&mut self.left.names)
    }

    /// The repairs that earlier runs have begun.
    pub(crate) fn begun(&mut self) -> Begun {
        std::mem::take(&mut self.left.begun)
    }

    /// What an earlier run has read of a side.
    pub(crate) fn listed(&mut self, which: Which) -> Option<Listed> {
        self.left.sides.get_mut(which as usize)?.take()
    }

    /// A side is read from its start.
    pub(crate) fn start(&mut self, which: Which, watch: &Watch) -> Result<(), CliError> {
        match watch {
            Watch::From(token) => self.write(TOKEN, &[&[which as u8], token]),
            Watch::Blind(why) => self.write(BLIND, &[&[which as u8], why.as_bytes()]),
        }
    }

    /// An object of a page, as it is kept in memory, too.
    pub(crate) fn entry(&mut self, which: Which, entry: &[u8]) -> Result<(), CliError> {
        self.write(ENTRY, &[&[which as u8], entry])
    }

    /// A page is whole, and the next one starts at `cookie`; empty: it was the last one.
    pub(crate) fn page<'a>(
        &mut self,
        which: Which,
        cookie: &[u8],
        names: impl Iterator<Item = &'a str>,
    ) -> Result<(), CliError> {
        for name in names.skip(self.names) {
            self.write(NAME, &[name.as_bytes()])?;
            self.names += 1;
        }
        let kind = if cookie.is_empty() { DONE } else { PAGE };
        self.write(kind, &[&[which as u8], cookie])
    }

    /// A repair is about to begin.
    pub(crate) fn repairs(&mut self, kind: Kind, name: &str) -> Result<(), CliError> {
        if !std::mem::replace(&mut self.repairs, true) {
            self.write(ANEW, &[])?;
        }
        self.write(BEGUN, &[kind.word().as_bytes(), b" ", name.as_bytes()])
    }

    /// The run has come to its end.
    pub(crate) fn end(self) -> Result<(), CliError> {
        fs::remove_file(&self.path).map_err(CliError::file("remove", &self.path))
    }

    fn write(&mut self, kind: u8, parts: &[&[u8]]) -> Result<(), CliError> {
        if self.repairs && kind < BEGUN {
            return Ok(());
        }
        let mut record = vec![kind];
        parts.iter().for_each(|part| record.extend_from_slice(part));
        add(&mut self.sum, &record);
        let closes = kind >= PAGE;
        if closes {
            record.extend_from_slice(&short(std::mem::take(&mut self.sum)));
        }
        let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
        let written = self.file.write_all(&length.to_be_bytes());
        let written = written.and_then(|()| self.file.write_all(&record));
        let written = written.and_then(|()| match closes {
            true => self.file.flush(),
            false => Ok(()),
        });
        written.map_err(CliError::file("write", &self.path))
    }
}

impl Heading {
    /// What it is of that `other` is not.
    fn differs(&self, other: &Self) -> String {
        if self.resource != other.resource || self.class != other.class {
            format!("class {} of resource {}", self.class, self.resource)
        } else if self.source != other.source {
            "a comparison with another source, or with the same file as it was before".to_owned()
        } else {
            "a comparison with other options".to_owned()
        }
    }
}

fn unusable(path: &Path, what: &str) -> CliError {
    CliError::usage(format!(
        "{}: {what}; name another file, or remove it to begin anew",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entry;
    use super::*;

    fn heading() -> Heading {
        Heading {
            reconciliation: 2,
            resource: "hr".to_owned(),
            class: "account".to_owned(),
            source: "resource directory".to_owned(),
            attributes: Vec::new(),
            ignore_case: false,
            key: "AAAA".to_owned(),
        }
    }

    fn entry(name: &str) -> Vec<u8> {
        let entry = Entry {
            key: name.to_owned(),
            name: name.to_owned(),
            id: Some(name.to_owned()),
            place: None,
            enabled: None,
            number: 0,
            whole: None,
            digests: vec![(0, [1; 16])],
        };
        let mut encoded = Vec::new();
        entry.encode(&mut encoded);
        encoded
    }

    /// How many entries of a side are kept, and where it goes on.
    fn left(progress: &mut Progress) -> Option<(usize, Vec<u8>, bool)> {
        let mut listed = progress.listed(Which::There)?;
        let mut entries = listed.side.entries.sorted().unwrap();
        let mut count = 0;
        while entries.entry().is_some() {
            count += 1;
            entries.advance().unwrap();
        }
        Some((count, listed.cookie, listed.done))
    }

    #[test]
    fn wherever_it_is_cut_the_pages_before_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress");
        let mut progress = Progress::open(&path, &mut heading()).unwrap();
        let watch = Watch::From(b"token".to_vec());
        progress.start(Which::There, &watch).unwrap();
        for (name, cookie) in [("a", &b"1"[..]), ("b", b"2"), ("c", b"")] {
            progress.entry(Which::There, &entry(name)).unwrap();
            let names = ["mail"].into_iter();
            progress.page(Which::There, cookie, names).unwrap();
        }
        assert!(
            Progress::open(&path, &mut heading()).is_err(),
            "it is in use"
        );
        drop(progress);
        let bytes = fs::read(&path).unwrap();
        let mut seen = Vec::new();
        for length in 0..=bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            match Progress::open(&path, &mut heading()) {
                Ok(mut progress) => seen.push(left(&mut progress)),
                Err(error) => assert!(error.to_string().contains("anew"), "{error}"),
            }
        }
        seen.dedup();
        let expected = [
            None,
            Some((1, b"1".to_vec(), false)),
            Some((2, b"2".to_vec(), false)),
            Some((3, Vec::new(), true)),
        ];
        assert_eq!(seen, expected);
        let mut other = Heading {
            source: "file".to_owned(),
            ..heading()
        };
        let refused = Progress::open(&path, &mut other).err().unwrap();
        assert!(refused.to_string().contains("another source"), "{refused}");
    }

    #[test]
    fn what_was_read_before_repairs_began_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("progress");
        let mut progress = Progress::open(&path, &mut heading()).unwrap();
        let watch = Watch::Blind("no".to_owned());
        progress.start(Which::There, &watch).unwrap();
        progress.page(Which::There, b"1", [].into_iter()).unwrap();
        progress.repairs(Kind::Missing, "ada lovelace").unwrap();
        progress.repairs(Kind::Unknown, "bob").unwrap();
        drop(progress);
        let mut progress = Progress::open(&path, &mut heading()).unwrap();
        assert_eq!(left(&mut progress), None);
        let begun = progress.begun();
        assert!(begun.contains(&("missing", "ada lovelace".to_owned())));
        assert_eq!(begun.len(), 2);
        progress.end().unwrap();
        assert!(!path.exists());
    }
}
