//! The file of an inventory.
//!
//! ```text
//! one line of JSON: what it is of, and the key of its digests
//! for each object, in the order of ids: length, 4 bytes · entry
//! 4 bytes of zero · SHA-256 of all that stands before it
//! ```
//!
//! It is written beside the one that it replaces, and takes its place once it is whole and on the
//! disk. A file of which something is missing or changed by accident is told from one that is not;
//! who may write it can put another one in its place.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_host::lock::FileLock;
use portcullis_host::private_files::{check_private, sync_dir};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::CliError;
use crate::reconcile::entry::Entry;

/// Bytes of the first line at the most.
const MOST_HEADING: u64 = 1 << 20;
/// Bytes of an entry at the most: what is longer was not written here.
const MOST_ENTRY: usize = 16 << 20;
const END: [u8; 4] = [0; 4];

/// What an inventory is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Heading {
    /// Of the format: 2.
    pub(super) inventory: u32,
    pub(super) resource: String,
    pub(super) class: String,
    /// Those that were asked for; empty: all that a read returns by default.
    pub(super) attributes: Vec<String>,
    /// Of the digests, in base64.
    pub(super) key: String,
}

/// What is wrong with a file.
fn unusable(path: &Path, what: &str) -> CliError {
    CliError::usage(format!(
        "{}: {what}; name another file, or remove it to begin anew",
        path.display()
    ))
}

/// An inventory that is read.
pub(super) struct Kept {
    path: PathBuf,
    file: BufReader<File>,
    pub(super) heading: Heading,
}

impl Kept {
    /// The inventory in this file; `None` where there is no file. Nothing of it is answered before
    /// all of it was found whole.
    ///
    /// # Errors
    /// [`CliError::Usage`] where it is no inventory, is not whole, or others may write it.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, CliError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CliError::file("read", path)(error)),
        };
        check_private(path).map_err(|error| CliError::usage(error.to_string()))?;
        let read = CliError::file("read", path);
        if !whole(&file).map_err(read)? {
            let what = "it is no inventory of `portcullis reconcile`, or not all of it";
            return Err(unusable(path, what));
        }
        let mut file = BufReader::new(File::open(path).map_err(CliError::file("read", path))?);
        let mut line = Vec::new();
        let heading = (&mut file).take(MOST_HEADING).read_until(b'\n', &mut line);
        heading.map_err(CliError::file("read", path))?;
        let heading: Option<Heading> = serde_json::from_slice(&line).ok();
        let heading = heading.filter(|heading| heading.inventory == 2);
        let other = || unusable(path, "it is no inventory that this version reads");
        Ok(Some(Self {
            path: path.to_owned(),
            file,
            heading: heading.ok_or_else(other)?,
        }))
    }

    /// That it is of what is asked for now.
    pub(super) fn check(&self, wanted: &Heading) -> Result<(), CliError> {
        let kept = &self.heading;
        let mine = (&kept.resource, &kept.class, &kept.attributes);
        if mine == (&wanted.resource, &wanted.class, &wanted.attributes) {
            return Ok(());
        }
        let attributes = match kept.attributes.as_slice() {
            [] => "all attributes".to_owned(),
            some => format!("the attributes {}", some.join(", ")),
        };
        let what = format!(
            "it is of class {} of resource {}, with {attributes}",
            kept.class, kept.resource
        );
        Err(unusable(&self.path, &what))
    }

    /// The next object; `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, CliError> {
        let read = |error| CliError::file("read", &self.path)(error);
        let mut length = [0; 4];
        self.file.read_exact(&mut length).map_err(read)?;
        if length == END {
            return Ok(None);
        }
        let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        let broken = || unusable(&self.path, "an object in it cannot be read");
        if length > MOST_ENTRY {
            return Err(broken());
        }
        let mut bytes = vec![0; length];
        self.file.read_exact(&mut bytes).map_err(read)?;
        Entry::decode(&bytes).map(Some).ok_or_else(broken)
    }
}

/// Whether the file ends with the hash of all that stands before it.
fn whole(file: &File) -> io::Result<bool> {
    let length = file.metadata()?.len();
    let Some(length) = length.checked_sub(32) else {
        return Ok(false);
    };
    let mut hash = Sha256::new();
    let mut file = BufReader::new(file);
    let mut hashed = (&mut file).take(length);
    loop {
        let piece = hashed.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        hash.update(piece);
        let count = piece.len();
        hashed.consume(count);
    }
    let mut kept = [0; 32];
    file.read_exact(&mut kept)?;
    let hash: [u8; 32] = hash.finalize().into();
    Ok(hash == kept)
}

/// An inventory that is written.
pub(super) struct Made {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    hash: Sha256,
    /// Tells a file that is being written from one that was left.
    _lock: FileLock,
}

impl Made {
    /// Begins the one that is to be in this file.
    ///
    /// # Errors
    /// [`CliError::Usage`] where another run is writing it.
    pub(super) fn begin(path: &Path, heading: &Heading) -> Result<Self, CliError> {
        let mut name = OsString::from(".");
        name.push(path.file_name().unwrap_or_default());
        name.push(".new");
        let temporary = path.with_file_name(name);
        let write = || CliError::file("write", &temporary);
        remove_left(&temporary)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let file = options.open(&temporary).map_err(write())?;
        let lock = file.try_clone().and_then(FileLock::try_take);
        let lock = lock.map_err(write())?;
        let mut made = Self {
            path: path.to_owned(),
            _lock: lock.ok_or_else(|| busy(&temporary))?,
            temporary,
            file: BufWriter::new(file),
            hash: Sha256::new(),
        };
        let mut line = serde_json::to_vec(heading).unwrap_or_default();
        line.push(b'\n');
        made.write(&line)?;
        Ok(made)
    }

    /// The next object, in the order of ids.
    pub(super) fn push(&mut self, entry: &Entry) -> Result<(), CliError> {
        let mut bytes = Vec::new();
        entry.encode(&mut bytes);
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.write(&length.to_be_bytes())?;
        self.write(&bytes)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.hash.update(bytes);
        let written = self.file.write_all(bytes);
        written.map_err(CliError::file("write", &self.temporary))
    }

    /// It takes the place of the one before it.
    pub(super) fn end(mut self) -> Result<(), CliError> {
        self.write(&END)?;
        let hash: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        self.write(&hash)?;
        let flushed = self.file.flush();
        flushed
            .and_then(|()| self.file.get_ref().sync_all())
            .and_then(|()| fs::rename(&self.temporary, &self.path))
            .and_then(|()| match self.path.parent() {
                Some(folder) if folder != Path::new("") => sync_dir(folder),
                _ => sync_dir(Path::new(".")),
            })
            .map_err(CliError::file("write", &self.path))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        // Once it has its place, there is none of this name; else it is not whole. One that stays
        // is taken away by the next run.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Takes away what an earlier run left that was ended before its end.
fn remove_left(temporary: &Path) -> Result<(), CliError> {
    let failed = || CliError::file("remove", temporary);
    let left = match File::open(temporary) {
        Ok(left) => left,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed()(error)),
    };
    match FileLock::try_take(left).map_err(failed())? {
        Some(_lock) => fs::remove_file(temporary).map_err(failed()),
        None => Err(busy(temporary)),
    }
}

fn busy(temporary: &Path) -> CliError {
    CliError::usage(format!(
        "{}: another run is writing it; wait for its end",
        temporary.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading() -> Heading {
        Heading {
            inventory: 2,
            resource: "hr".to_owned(),
            class: "account".to_owned(),
            attributes: Vec::new(),
            key: "AAAA".to_owned(),
        }
    }

    fn entry(id: &str) -> Entry {
        Entry {
            key: id.to_owned(),
            name: format!("name of {id}"),
            id: Some(id.to_owned()),
            place: None,
            enabled: Some(true),
            number: 0,
            whole: Some([7; 16]),
            digests: Vec::new(),
        }
    }

    #[test]
    fn it_is_read_as_it_was_written_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people");
        assert!(Kept::open(&path).unwrap().is_none());
        let mut made = Made::begin(&path, &heading()).unwrap();
        for id in ["1", "2"] {
            made.push(&entry(id)).unwrap();
        }
        let busy = Made::begin(&path, &heading()).err().unwrap().to_string();
        assert!(busy.contains("another run"), "{busy}");
        assert!(Kept::open(&path).unwrap().is_none(), "not whole yet");
        made.end().unwrap();
        let mut kept = Kept::open(&path).unwrap().unwrap();
        kept.check(&heading()).unwrap();
        let other = Heading {
            class: "group".to_owned(),
            ..heading()
        };
        let refused = kept.check(&other).unwrap_err().to_string();
        assert!(
            refused.contains("class account of resource hr"),
            "{refused}"
        );
        assert_eq!(kept.next().unwrap(), Some(entry("1")));
        assert_eq!(kept.next().unwrap(), Some(entry("2")));
        assert_eq!(kept.next().unwrap(), None);
        // One that was left by a run that was killed is in nobody's way, nor is one given up.
        fs::write(folder.path().join(".people.new"), "half").unwrap();
        drop(Made::begin(&path, &heading()).unwrap());
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        let bytes = fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            assert!(Kept::open(&path).is_err(), "{length} of {}", bytes.len());
        }
        for place in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[place] ^= 1;
            fs::write(&path, &bytes).unwrap();
            assert!(Kept::open(&path).is_err(), "byte {place}");
        }
    }
}
