//! What a reconciliation has found, in counts and one by one.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde_json::Value;

use super::compare::{Difference, Kind};
use super::side::Meanwhile;
use super::working::Repaired;
use crate::error::CliError;
use crate::view::{View, facts};

/// How many objects there are of each kind.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) same: u64,
    pub(crate) missing: u64,
    pub(crate) unknown: u64,
    pub(crate) changed: u64,
    pub(crate) doubled: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, difference: Option<&Difference>) {
        let count = match difference.map(|difference| difference.kind) {
            None => &mut self.same,
            Some(Kind::Missing) => &mut self.missing,
            Some(Kind::Unknown) => &mut self.unknown,
            Some(Kind::Changed) => &mut self.changed,
            Some(Kind::Doubled) => &mut self.doubled,
        };
        *count += 1;
    }
}

/// The counts, and what was repaired.
#[derive(Serialize)]
pub(crate) struct Report<'a> {
    #[serde(flatten)]
    counts: &'a Counts,
    /// Absent: nobody knows.
    changed_meanwhile: Option<u64>,
    repaired: Option<&'a Repaired>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        counts: &'a Counts,
        meanwhile: &Meanwhile,
        repaired: Option<&'a Repaired>,
    ) -> Self {
        Self {
            counts,
            changed_meanwhile: match meanwhile {
                Meanwhile::Seen(count) => Some(*count),
                Meanwhile::Unknown(_) => None,
            },
            repaired,
        }
    }
}

impl View for Report<'_> {
    fn table(&self, _: SystemTime) -> String {
        let counts = self.counts;
        let number = |count: u64| Some(count.to_string());
        let some = |count: u64| (count > 0).then(|| count.to_string());
        let found = facts([
            ("same", number(counts.same)),
            ("missing", number(counts.missing)),
            ("unknown", number(counts.unknown)),
            ("changed", number(counts.changed)),
            ("more than once on one side", some(counts.doubled)),
            (
                "changes while it was read",
                self.changed_meanwhile.and_then(some),
            ),
        ]);
        let Some(repaired) = self.repaired else {
            return format!("{found}\nnothing was changed");
        };
        let repaired = facts([
            ("created", number(repaired.created)),
            ("updated", number(repaired.updated)),
            ("deleted", number(repaired.deleted)),
            ("failed", some(repaired.failed)),
            ("indeterminate", some(repaired.indeterminate)),
        ]);
        format!("{found}\n{repaired}")
    }

    fn json(&self) -> Value {
        // Numbers alone: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// The file with the differences.
pub(crate) enum Listing {
    None,
    Csv(PathBuf, Box<csv::Writer<File>>),
    Lines(PathBuf, BufWriter<File>),
}

#[derive(Serialize)]
struct Line<'a> {
    difference: Kind,
    name: &'a str,
    id: Option<&'a str>,
    line: Option<u64>,
    attributes: &'a [String],
}

impl Listing {
    /// Makes the file, which must not be there, with mode 0600: who has an account is nothing for
    /// every user of the host.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self, CliError> {
        let Some(path) = path else {
            return Ok(Self::None);
        };
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(CliError::file("create", path))?;
        let is_csv = path
            .extension()
            .is_some_and(|it| it.eq_ignore_ascii_case("csv"));
        let path = path.to_owned();
        if !is_csv {
            return Ok(Self::Lines(path, BufWriter::new(file)));
        }
        let mut writer = csv::Writer::from_writer(file);
        let heading = writer.write_record(["difference", "name", "id", "line", "attributes"]);
        heading.map_err(|error| CliError::file("write", &path)(io::Error::other(error)))?;
        Ok(Self::Csv(path, Box::new(writer)))
    }

    pub(crate) fn write(
        &mut self,
        found: &Difference,
        attributes: &[String],
    ) -> Result<(), CliError> {
        let mut attributes = attributes.to_vec();
        if found.enabled.is_some() {
            attributes.push("enabled".to_owned());
        }
        let line = Line {
            difference: found.kind,
            name: &found.name,
            id: found.id.as_deref(),
            line: found.line,
            attributes: &attributes,
        };
        match self {
            Self::None => Ok(()),
            Self::Lines(path, file) => {
                let written = serde_json::to_writer(&mut *file, &line).map_err(io::Error::other);
                let written = written.and_then(|()| file.write_all(b"\n"));
                written.map_err(CliError::file("write", path))
            }
            Self::Csv(path, writer) => {
                let kind = serde_json::to_value(line.difference).unwrap_or_default();
                let number = line.line.map(|line| line.to_string());
                let record = [
                    kind.as_str().unwrap_or_default(),
                    line.name,
                    line.id.unwrap_or_default(),
                    number.as_deref().unwrap_or_default(),
                    &attributes.join(";"),
                ];
                let written = writer.write_record(record).map_err(io::Error::other);
                written.map_err(CliError::file("write", path))
            }
        }
    }

    /// Everything is in the file.
    pub(crate) fn end(&mut self) -> Result<(), CliError> {
        match self {
            Self::None => Ok(()),
            Self::Lines(path, file) => file.flush().map_err(CliError::file("write", path)),
            Self::Csv(path, writer) => writer.flush().map_err(CliError::file("write", path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_listing_is_its_users_alone() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["list.csv", "list.jsonl"] {
            let path = folder.path().join(name);
            Listing::open(Some(&path)).unwrap().end().unwrap();
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            assert!(Listing::open(Some(&path)).is_err(), "it is there already");
        }
    }
}
