//! What a reconciliation has found, in counts and one by one.

use std::borrow::Cow;
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
            changed_meanwhile: meanwhile.seen(),
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

/// A line of it: an object that differs.
#[derive(Serialize)]
pub(crate) struct Found {
    /// How it differs.
    pub(crate) difference: &'static str,
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    /// Its line in the file of the source.
    pub(crate) line: Option<u64>,
    /// What of it differs.
    pub(crate) attributes: Vec<String>,
}

impl Found {
    /// With the names of the attributes that differ.
    pub(crate) fn new(difference: &Difference, mut attributes: Vec<String>) -> Self {
        if difference.enabled.is_some() {
            attributes.push("enabled".to_owned());
        }
        Self {
            difference: difference.kind.word(),
            name: difference.name.clone(),
            id: difference.id.clone(),
            line: difference.line,
            attributes,
        }
    }
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

    pub(crate) fn write(&mut self, found: &Found) -> Result<(), CliError> {
        match self {
            Self::None => Ok(()),
            Self::Lines(path, file) => {
                let written = serde_json::to_writer(&mut *file, found).map_err(io::Error::other);
                let written = written.and_then(|()| file.write_all(b"\n"));
                written.map_err(CliError::file("write", path))
            }
            Self::Csv(path, writer) => {
                let number = found.line.map(|line| line.to_string());
                let attributes = found.attributes.join(";");
                let record = [
                    found.difference,
                    &cell(&found.name),
                    &cell(found.id.as_deref().unwrap_or_default()),
                    number.as_deref().unwrap_or_default(),
                    &cell(&attributes),
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

/// A text of a resource as a cell of CSV: after a `'` where a spreadsheet would run it as a formula
/// (OWASP, CSV Injection). JSON Lines have it as it is.
fn cell(text: &str) -> Cow<'_, str> {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}").into(),
        false => text.into(),
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

    #[test]
    fn no_cell_of_a_resource_is_a_formula() {
        let folder = tempfile::tempdir().unwrap();
        let found = |name: &str| Found {
            difference: "unknown",
            name: name.to_owned(),
            id: Some("-1".to_owned()),
            line: None,
            attributes: Vec::new(),
        };
        let path = folder.path().join("list.csv");
        let mut listing = Listing::open(Some(&path)).unwrap();
        for name in ["=cmd()", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a=b"] {
            listing.write(&found(name)).unwrap();
        }
        listing.end().unwrap();
        let mut read = csv::Reader::from_path(&path).unwrap();
        for record in read.records() {
            let record = record.unwrap();
            assert!(record[1].starts_with(['\'', 'a']), "{record:?}");
            assert_eq!(&record[2], "'-1");
        }
        let path = folder.path().join("list.jsonl");
        let mut listing = Listing::open(Some(&path)).unwrap();
        listing.write(&found("=cmd()")).unwrap();
        listing.end().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(r#""name":"=cmd()""#), "{text}");
    }
}
