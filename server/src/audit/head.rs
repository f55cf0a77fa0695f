//! The end of the log, kept outside the repository.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use portcullis_common::id::ServerId;
use serde::{Deserialize, Serialize};

use crate::repository::{AUDIT_MAC_LEN, AuditTip, Lineage};
use portcullis_host::private_files::{
    PermissionError, check_private, create_private_dir, create_private_file, read_bounded, sync_dir,
};

const FORMAT: &str = "portcullis audit head 1";
/// Bytes of the file as it is written: always as many, and no more than a sector, so that it can be
/// written over in its place, and a loss of power leaves the line of before or the one after.
const LEN: usize = 512;
/// Bytes of the file at most: many times what is ever written.
const MAX_LEN: usize = 4_096;

/// Why the head file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The system refused.
    #[error(
        "cannot {action} the audit log's head file {path}: {source}; mend that, or set another [audit] head_file and move the file there",
        path = path.display()
    )]
    System {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others can write into its folder, and so put a file of theirs in its place.
    #[error("the folder of the audit log's head file is not private: {0}")]
    Folder(#[from] PermissionError),
}

/// Where a log ended, as the head file holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose log it is.
    pub server: ServerId,
    /// Where it ended.
    pub tip: AuditTip,
    /// The log's entries know the rows that decide: their repository has MACs for them.
    pub rows: bool,
    /// The database that the log is in, and how often that went back in time by then; `None`: it is
    /// in a file.
    pub database: Option<Known>,
    /// The MAC over all of them.
    pub tag: [u8; AUDIT_MAC_LEN],
}

/// What a server knows of the database of its repository, beside the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which one it is, and at which timeline.
    pub lineage: Lineage,
    /// How often it went back in time, as somebody accepted each time.
    pub generation: u64,
}

/// What is found in the head's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Head(Head),
    Missing,
    Damaged,
}

/// The file that holds a [`Head`]: written after each commit of the log, and flushed soon after.
#[derive(Clone, Debug)]
pub struct HeadFile {
    path: PathBuf,
}

#[derive(Deserialize, Serialize)]
struct Text {
    format: String,
    server: String,
    count: u64,
    mac: String,
    #[serde(default)]
    rows: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    database: Option<KnownText>,
    tag: String,
}

/// As texts where a reader of JSON may have no such numbers.
#[derive(Deserialize, Serialize)]
struct KnownText {
    system: String,
    timeline: u32,
    generation: u64,
}

impl HeadFile {
    /// The file at `path`, which need not be there yet.
    pub const fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Writes `head` in place of what is there: whoever reads finds it, and a crash of the server
    /// does not lose it. Not before [`Self::flush`] does it outlast a loss of power. The folder is
    /// made where it is missing.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn write(&self, head: &Head) -> Result<(), HeadError> {
        text(head)
            .and_then(|line| match self.is_of_length(line.len()) {
                true => self.write_over(&line),
                false => self.replace(&line),
            })
            .map_err(|source| self.error("write", source))
    }

    /// What was written outlasts a loss of power from here on.
    ///
    /// # Errors
    /// [`HeadError`].
    pub fn flush(&self) -> Result<(), HeadError> {
        let flushed = OpenOptions::new().write(true).open(&self.path);
        flushed
            .and_then(|file| file.sync_data())
            .map_err(|source| self.error("write", source))
    }

    /// Writes `head` where no file is.
    ///
    /// # Errors
    /// [`HeadError`]; nothing was left behind.
    pub fn create(&self, head: &Head) -> Result<(), HeadError> {
        self.check_folder()?;
        let create = |line: Vec<u8>| {
            let folder = self.folder()?;
            create_private_file(&self.path, &line)?;
            sync_dir(folder)
        };
        text(head)
            .and_then(create)
            .map_err(|source| self.error("write", source))
    }

    /// Checks that nobody else reaches the folder, where it is there already.
    ///
    /// # Errors
    /// [`HeadError::Folder`].
    pub fn check_folder(&self) -> Result<(), HeadError> {
        match self.path.parent().filter(|folder| folder.exists()) {
            Some(folder) => Ok(check_private(folder)?),
            None => Ok(()),
        }
    }

    /// What a start would find wrong with the file of a repository that has `count` entries;
    /// `None`: nothing. Whether it is of this very log is not checked here.
    ///
    /// # Errors
    /// [`HeadError`]: a start would fail.
    pub fn inspect(&self, count: u64) -> Result<Option<String>, HeadError> {
        self.check_folder()?;
        let path = self.path.display();
        let accept = "changes and calls are refused until `portcullis audit accept`";
        Ok(match self.read()? {
            Found::Missing => Some(format!(
                "the audit log's head file {path} is missing: {accept}"
            )),
            Found::Damaged => Some(format!(
                "the audit log's head file {path} is damaged: {accept}"
            )),
            Found::Head(head) if head.tip.count > count => Some(format!(
                "the audit log's head file {path} counts {} entries, and the repository has {count}: {accept}",
                head.tip.count
            )),
            Found::Head(_) => None,
        })
    }

    /// Whether the file says that the repository of `server` has MACs for the rows that decide. Who
    /// cannot read it cannot say that it does not.
    ///
    /// # Errors
    /// [`HeadError`] where it cannot be read.
    pub fn knows_rows(&self, server: ServerId) -> Result<bool, HeadError> {
        Ok(match self.read()? {
            Found::Head(head) => head.rows && head.server == server,
            Found::Missing | Found::Damaged => false,
        })
    }

    /// The database that the repository was in, as the file says; `None`: it says nothing of one.
    /// Whether a server wrote that is checked by whoever opens the log.
    ///
    /// # Errors
    /// [`HeadError`] where it cannot be read.
    pub fn lineage(&self) -> Result<Option<Lineage>, HeadError> {
        Ok(match self.read()? {
            Found::Head(head) => head.database.map(|known| known.lineage),
            Found::Missing | Found::Damaged => None,
        })
    }

    pub(super) fn read(&self) -> Result<Found, HeadError> {
        match read_bounded(&self.path, MAX_LEN) {
            Ok(content) if content.len() > MAX_LEN => Ok(Found::Damaged),
            Ok(content) => Ok(parse(&content).map_or(Found::Damaged, Found::Head)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Missing),
            Err(error) => Err(self.error("read", error)),
        }
    }

    /// Whether a file of this length is there, and no link.
    fn is_of_length(&self, length: usize) -> bool {
        fs::symlink_metadata(&self.path)
            .is_ok_and(|found| found.is_file() && found.len() == length as u64)
    }

    fn write_over(&self, content: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(&self.path)?;
        file.write_all(content)
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let folder = self.folder()?;
        let mut beside = self.path.clone().into_os_string();
        beside.push(".new");
        // What a crash left there goes first, and a link is not followed.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(&beside, &self.path)?;
        sync_dir(folder)
    }

    /// The folder, made where it is missing.
    fn folder(&self) -> io::Result<&Path> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        if !folder.exists() {
            create_private_dir(folder)?;
        }
        Ok(folder)
    }

    fn error(&self, action: &'static str, source: io::Error) -> HeadError {
        HeadError::System {
            action,
            path: self.path.clone(),
            source,
        }
    }
}

fn text(head: &Head) -> io::Result<Vec<u8>> {
    let text = Text {
        format: FORMAT.to_owned(),
        server: head.server.to_string(),
        count: head.tip.count,
        mac: HEXLOWER.encode(&head.tip.mac),
        rows: head.rows,
        database: head.database.map(|known| KnownText {
            system: known.lineage.system.to_string(),
            timeline: known.lineage.timeline,
            generation: known.generation,
        }),
        tag: HEXLOWER.encode(&head.tag),
    };
    let mut line = serde_json::to_vec(&text)?;
    line.resize(line.len().max(LEN - 1), b' ');
    line.push(b'\n');
    Ok(line)
}

fn parse(content: &[u8]) -> Option<Head> {
    let text: Text = serde_json::from_slice(content).ok()?;
    let bytes = |hex: &str| HEXLOWER.decode(hex.as_bytes()).ok()?.try_into().ok();
    (text.format == FORMAT).then_some(())?;
    let known = |text: KnownText| {
        let lineage = Lineage {
            system: text.system.parse().ok()?,
            timeline: text.timeline,
        };
        Some(Known {
            lineage,
            generation: text.generation,
        })
    };
    Some(Head {
        database: match text.database {
            Some(text) => Some(known(text)?),
            None => None,
        },
        server: text.server.parse().ok()?,
        tip: AuditTip {
            count: text.count,
            mac: bytes(&text.mac)?,
        },
        rows: text.rows,
        tag: bytes(&text.tag)?,
    })
}
