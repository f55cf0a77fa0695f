//! What has changed on a resource since the last run: which objects appeared, vanished, or are
//! others than they were.
//!
//! ```text
//! the inventory of the last run, by id ─┐
//!                                       ├─▶ appeared, vanished, changed; then the new inventory
//! the resource, by id ──────────────────┘
//! ```
//!
//! Of each object the inventory keeps its id, its name, whether it is enabled, and a keyed digest
//! of its attributes. It is replaced by what was read to its end alone.

mod file;

use std::path::PathBuf;
use std::time::SystemTime;

use data_encoding::BASE64;
use serde::Serialize;
use serde_json::Value;

use super::compare::{compare, never};
use super::digests::{Digests, key};
use super::entry::Entry;
use super::report::{Found, Listing};
use super::resume::Which;
use super::side::{Meanwhile, Reader, Reading, Side};
use crate::call::Caller;
use crate::context::Context;
use crate::error::CliError;
use crate::view::{View, facts};
use file::{Heading, Kept, Made};

/// What is asked for.
pub(super) struct Asked {
    pub(super) resource: String,
    pub(super) file: PathBuf,
    /// Empty: all that a read returns by default.
    pub(super) attributes: Vec<String>,
    pub(super) differences: Option<PathBuf>,
}

/// Objects by what became of them since the last run.
#[derive(Debug, Default, Serialize)]
struct Report {
    /// There was no inventory: nothing is known of what was before.
    first: bool,
    same: u64,
    appeared: u64,
    vanished: u64,
    changed: u64,
    /// Absent: nobody knows.
    changed_meanwhile: Option<u64>,
}

impl View for Report {
    fn table(&self, _: SystemTime) -> String {
        let number = |count: u64| Some(count.to_string());
        if self.first {
            let found = facts([("objects", number(self.appeared))]);
            return format!("{found}\nthe first inventory: the next run tells what has changed");
        }
        facts([
            ("same", number(self.same)),
            ("appeared", number(self.appeared)),
            ("vanished", number(self.vanished)),
            ("changed", number(self.changed)),
        ])
    }

    fn json(&self) -> Value {
        // Numbers alone: this cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }
}

/// An inventory of the last run, if there is one, and how the objects are to be read.
pub(super) struct Inventory {
    asked: Asked,
    heading: Heading,
    kept: Option<Kept>,
}

impl Inventory {
    /// Opens the inventory of the last run.
    ///
    /// # Errors
    /// [`CliError::Usage`] where the file holds something else, or the inventory of something else.
    pub(super) fn open(asked: Asked, class: &str) -> Result<(Self, Digests), CliError> {
        let kept = Kept::open(&asked.file)?;
        let mut heading = Heading {
            inventory: 2,
            resource: asked.resource.clone(),
            class: class.to_owned(),
            attributes: asked.attributes.clone(),
            key: BASE64.encode(&rand::random::<[u8; 32]>()),
        };
        heading.attributes.sort_unstable();
        heading.attributes.dedup();
        if let Some(kept) = &kept {
            kept.check(&heading)?;
            heading = kept.heading.clone();
        }
        let digests = Digests::by_id(key(&heading.key, &asked.file)?);
        let inventory = Self {
            asked,
            heading,
            kept,
        };
        Ok((inventory, digests))
    }

    /// Reads the resource, tells what has changed since the last run, and keeps what there now is.
    pub(super) async fn run(
        mut self,
        context: &Context,
        caller: Caller,
        mut reading: Reading,
    ) -> Result<(), CliError> {
        let attributes = self.heading.attributes.clone();
        let read = read(caller, &mut reading, attributes).await;
        reading.so_far.finish();
        let (mut there, meanwhile) = read?;
        meanwhile.tell(context);
        let mut before = Side::new()?;
        let first = self.kept.is_none();
        while let Some(entry) = self.kept.as_mut().map_or(Ok(None), Kept::next)? {
            before.push(&entry)?;
        }
        let listing = self.asked.differences.as_deref().filter(|_| !first);
        let mut listing = Listing::open(listing)?;
        let mut made = Made::begin(&self.asked.file, &self.heading)?;
        let mut report = Report {
            first,
            changed_meanwhile: meanwhile.seen(),
            ..Report::default()
        };
        let sides = (&mut before, &mut there);
        compare(sides, None, never, &mut |before, now| {
            if let Some(now) = now.first() {
                made.push(&Entry {
                    number: 0,
                    ..now.clone()
                })?;
            }
            match report.take(before.first(), now.first()) {
                Some(found) => listing.write(&found),
                None => Ok(()),
            }
        })?;
        listing.end()?;
        made.end()?;
        context.print(&report)
    }
}

async fn read(
    caller: Caller,
    reading: &mut Reading,
    attributes: Vec<String>,
) -> Result<(Side, Meanwhile), CliError> {
    let read = async {
        let mut there = Reader::begin(caller, reading, Which::There).await?;
        there.list(reading, attributes).await?;
        there.catch_up(reading).await?;
        Ok(there.end())
    };
    read.await
        .map_err(|error| super::incomplete(error, super::AGAIN))
}

impl Report {
    /// Counts an object; answers what there is to be told of it.
    fn take(&mut self, before: Option<&Entry>, now: Option<&Entry>) -> Option<Found> {
        let (count, word, attributes) = match (before, now) {
            (Some(before), Some(now)) => {
                let attributes = changed(before, now);
                if attributes.is_empty() {
                    self.same += 1;
                    return None;
                }
                (&mut self.changed, "changed", attributes)
            }
            (None, Some(_)) => (&mut self.appeared, "appeared", Vec::new()),
            (Some(_), None) => (&mut self.vanished, "vanished", Vec::new()),
            (None, None) => return None,
        };
        *count += 1;
        let entry = now.or(before).filter(|_| !self.first)?;
        Some(Found {
            difference: word,
            name: entry.name.clone(),
            id: entry.id.clone(),
            line: None,
            attributes,
        })
    }
}

/// What is another than it was. Of attributes only a digest of all of them is kept.
fn changed(before: &Entry, now: &Entry) -> Vec<String> {
    let parts = [
        ("name", before.name != now.name),
        ("enabled", before.enabled != now.enabled),
        ("attributes", before.whole != now.whole),
    ];
    let changed = parts.into_iter().filter(|(_, changed)| *changed);
    changed.map(|(part, _)| part.to_owned()).collect()
}
