//! The results file: one JSON object a line, appended as lines are done, read again to resume; and
//! what came of the import as a whole.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::CliError;
use crate::time::now;
use crate::view::{View, facts};

/// What came of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LineStatus {
    Done,
    Failed,
    Indeterminate,
}

/// One line of the results file. Never holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LineResult {
    pub(crate) line: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) name: Option<String>,
    /// Of the call that was made of it, as `portcullis call show` knows it; absent where none was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) call_id: Option<String>,
    /// How often the account has been tried by now, this time with it; absent where a row was
    /// broken.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) attempt: Option<u32>,
    pub(crate) status: LineStatus,
    /// The account's id on the resource.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) id: Option<String>,
    /// The kind of failure.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) message: Option<String>,
    /// When it was known, RFC 3339.
    pub(crate) at: String,
}

impl LineResult {
    pub(crate) fn new(line: u64, name: Option<String>, status: LineStatus) -> Self {
        Self {
            line,
            name,
            call_id: None,
            attempt: None,
            status,
            id: None,
            kind: None,
            message: None,
            at: humantime::format_rfc3339_seconds(now()).to_string(),
        }
    }
}

/// What earlier runs left: of each account, by name, the last result and how often it was tried.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    by_name: HashMap<String, (LineStatus, u32)>,
    last_line: u64,
    resumed: bool,
}

impl Earlier {
    pub(crate) fn status(&self, name: &str) -> Option<LineStatus> {
        self.by_name.get(name).map(|(status, _)| *status)
    }

    /// How many results there are of this account.
    pub(crate) fn attempts(&self, name: &str) -> u32 {
        self.by_name.get(name).map_or(0, |(_, attempts)| *attempts)
    }

    /// Whether there was an earlier run at all.
    pub(crate) fn resumed(&self) -> bool {
        self.resumed
    }

    /// The last line that an earlier run has a result of. Lines are begun in order.
    pub(crate) fn last_line(&self) -> u64 {
        self.last_line
    }

    fn take(&mut self, result: LineResult) {
        self.last_line = self.last_line.max(result.line);
        if let Some(name) = result.name {
            let entry = self.by_name.entry(name).or_insert((result.status, 0));
            // Done is for good: a line further down that names the same account again changes
            // nothing.
            if entry.0 != LineStatus::Done {
                entry.0 = result.status;
            }
            entry.1 = match result.attempt {
                Some(attempt) => entry.1.max(attempt),
                None => entry.1 + u32::from(result.call_id.is_some()),
            };
        }
    }
}

/// Counts of lines.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) done: u64,
    pub(crate) failed: u64,
    pub(crate) indeterminate: u64,
    /// Done by an earlier run.
    pub(crate) skipped: u64,
    /// Looked at first, because an earlier run left no result or an indeterminate one.
    pub(crate) looked_at: u64,
    /// The end of the file was not reached.
    pub(crate) stopped: bool,
    /// Because nothing could be done there.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) held_up: Option<HeldUp>,
}

/// Where an import stopped by itself, and why.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct HeldUp {
    /// The first line of the file that was not begun.
    stopped_before_line: u64,
    /// What was said of the last row that was tried.
    stopped_because: String,
}

impl HeldUp {
    pub(crate) fn new((line, because): (u64, String)) -> Self {
        Self {
            stopped_before_line: line,
            stopped_because: because,
        }
    }
}

impl Summary {
    pub(crate) fn count(&mut self, status: LineStatus) {
        match status {
            LineStatus::Done => self.done += 1,
            LineStatus::Failed => self.failed += 1,
            LineStatus::Indeterminate => self.indeterminate += 1,
        }
    }

    /// Whether all went well. What nobody knows outweighs what failed.
    pub(crate) fn verdict(&self) -> Result<(), CliError> {
        let total = self.done + self.failed + self.indeterminate + self.skipped;
        if self.indeterminate > 0 {
            return Err(CliError::ImportIndeterminate {
                indeterminate: self.indeterminate,
                total,
            });
        }
        if let Some(held_up) = &self.held_up {
            return Err(CliError::ImportHeldUp {
                line: held_up.stopped_before_line,
                done: self.done + self.skipped,
                because: held_up.stopped_because.clone(),
            });
        }
        if self.failed > 0 {
            return Err(CliError::ImportFailed {
                failed: self.failed,
                total,
            });
        }
        if self.stopped {
            return Err(CliError::ImportStopped);
        }
        Ok(())
    }
}

/// What came of an import as a whole, and where each line's result is.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    #[serde(flatten)]
    pub(crate) summary: &'a Summary,
    pub(crate) results: Cow<'a, str>,
}

impl View for Report<'_> {
    fn table(&self, _: SystemTime) -> String {
        let s = self.summary;
        let some = |n: u64| (n > 0).then(|| n.to_string());
        facts([
            ("done", Some(s.done.to_string())),
            ("failed", Some(s.failed.to_string())),
            ("indeterminate", Some(s.indeterminate.to_string())),
            ("done earlier, skipped", some(s.skipped)),
            ("looked at first", some(s.looked_at)),
            (
                "stopped",
                s.stopped.then(|| match &s.held_up {
                    Some(held_up) => format!("before line {}", held_up.stopped_before_line),
                    None => "before the end of the file".to_owned(),
                }),
            ),
            ("results", Some(self.results.to_string())),
        ])
    }

    fn json(&self) -> Value {
        // Numbers and a text alone: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The results file, locked for this run.
#[derive(Debug)]
pub(crate) struct Results {
    file: File,
    path: PathBuf,
}

impl Earlier {
    /// What earlier runs left, of which nothing is changed.
    pub(crate) fn look(path: &Path) -> Result<Self, CliError> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(CliError::file("open the results file", path)(error)),
        };
        let (mut earlier, _) = read(&file, path)?;
        earlier.resumed = true;
        Ok(earlier)
    }
}

impl Results {
    /// Opens or creates it (mode 0600), and reads what earlier runs left. A last line cut short by
    /// a crash is cut off. It is a file of this user's own: in a folder such as `/tmp`, somebody
    /// else may have put a link or a file of theirs in its place, to have another file written to
    /// or lines skipped.
    pub(crate) fn open(path: &Path) -> Result<(Self, Earlier), CliError> {
        let failed = CliError::file("open the results file", path);
        let existed = path.exists();
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
            .open(path)
            .map_err(&failed)?;
        let found = file.metadata().map_err(&failed)?;
        if !found.is_file() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(CliError::Usage(format!(
                "{} is no regular file of your own: move it away, or give --results another",
                path.display()
            )));
        }
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => CliError::Usage(format!(
                "another import writes to {}: wait until it ends, or give --results another file",
                path.display()
            )),
            TryLockError::Error(source) => failed(source),
        })?;
        let mut results = Self {
            file,
            path: path.to_owned(),
        };
        let mut earlier = results.read()?;
        earlier.resumed = existed;
        Ok((results, earlier))
    }

    /// Appends a result: one write, so that a crash leaves it whole or cut short, never mixed.
    pub(crate) fn append(&mut self, result: &LineResult) -> Result<(), CliError> {
        let mut line = serde_json::to_vec(result)
            .map_err(io::Error::from)
            .map_err(CliError::file("write to", &self.path))?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(CliError::file("write to", &self.path))
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> Result<(), CliError> {
        self.file
            .sync_data()
            .map_err(CliError::file("write to", &self.path))
    }

    fn read(&mut self) -> Result<Earlier, CliError> {
        let (earlier, whole) = read(&self.file, &self.path)?;
        self.file
            .set_len(whole)
            .and_then(|()| self.file.seek(SeekFrom::End(0)))
            .map_err(CliError::file("write to", &self.path))?;
        Ok(earlier)
    }
}

/// What a results file tells, and how many of its bytes are whole lines.
fn read(file: &File, path: &Path) -> Result<(Earlier, u64), CliError> {
    let mut earlier = Earlier::default();
    let mut reader = BufReader::new(file);
    let mut whole = 0;
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let length = reader
            .read_until(b'\n', &mut line)
            .map_err(CliError::file("read", path))?;
        if !line.ends_with(b"\n") && cut_short(&line) {
            break;
        }
        let result = serde_json::from_slice(&line).map_err(|_| {
            CliError::Usage(format!(
                "{}, line {number}: this is no result of an import: move the file away, or give --results another",
                path.display()
            ))
        })?;
        earlier.take(result);
        whole += length as u64;
    }
    Ok((earlier, whole))
}

/// Whether this is the beginning of a result, or nothing: what is anything else is not ours to cut
/// off.
fn cut_short(tail: &[u8]) -> bool {
    const BEGINNING: &[u8] = b"{\"line\":";
    tail.starts_with(BEGINNING) || BEGINNING.starts_with(tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_or_a_file_of_somebody_else_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        let link = folder.path().join("people.csv.results.jsonl");
        std::os::unix::fs::symlink(&victim, &link).unwrap();
        assert!(Results::open(&link).is_err());
        assert!(!victim.exists());

        let foreign = folder.path().join("foreign");
        std::fs::write(&foreign, "").unwrap();
        assert!(Results::open(&foreign).is_ok());
        if std::os::unix::fs::chown(&foreign, Some(12_345), None).is_ok() {
            let error = Results::open(&foreign).unwrap_err();
            assert!(error.to_string().contains("of your own"), "{error}");
        }
    }
}
