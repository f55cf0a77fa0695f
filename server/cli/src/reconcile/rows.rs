//! The rows of a file as one side of a comparison.
//!
//! Of each row there is but one digest, until it is found to differ: then it is read once more.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::digests::{Digests, OfRows};
use super::entry::Entry;
use super::side::Side;
use crate::error::CliError;
use crate::import::SourceFile;
use crate::import::row::{Compared, RowError, Rows};
use crate::input::typing::Typing;
use crate::view::printable;

/// A file, and what of it is compared.
#[derive(Clone)]
pub(super) struct Table {
    pub(super) file: Arc<SourceFile>,
    pub(super) typing: Arc<Typing>,
    /// Empty: all attributes.
    pub(super) wanted: Vec<String>,
}

impl Table {
    /// The attributes that the file gives, of those that are compared.
    pub(super) fn given(&self) -> Result<BTreeSet<String>, CliError> {
        let rows = self.file.rows_again(&self.typing);
        let mut rows = rows.map_err(|error| self.fault_or(error))?;
        let titles = rows.titles();
        let mut row = Compared::noting(&self.wanted);
        while let Some(read) = rows.next_compared(&mut row) {
            read.map_err(|error| self.fault_or(broken(&error)))?;
            let is_given = |title: &String| !row.wants(title) || row.given.contains(title);
            if titles
                .as_ref()
                .is_some_and(|titles| titles.iter().all(is_given))
            {
                break;
            }
        }
        Ok(row.given)
    }

    /// What is wrong with the file as a whole; nothing of it is a row then. Otherwise the `error`.
    fn fault_or(&self, error: CliError) -> CliError {
        self.file.rows(&self.typing).err().unwrap_or(error)
    }

    /// Reads the file to its end.
    pub(super) fn read(&self, digests: &OfRows) -> Result<Side, CliError> {
        let mut side = Side::new()?;
        let mut rows = self.file.rows(&self.typing)?;
        let (mut row, mut entry) = (Compared::new(&self.wanted), Vec::new());
        while let Some(read) = rows.next_compared(&mut row) {
            read.map_err(|error| broken(&error))?;
            entry.clear();
            digests.put(&row, &mut entry);
            side.entries.push(&entry)?;
        }
        Ok(side)
    }
}

/// Reads rows once more, for the digests of their attributes.
pub(crate) struct RowsAgain<'a> {
    rows: Box<dyn Rows + 'a>,
    table: &'a Table,
    digests: &'a Digests,
}

impl<'a> RowsAgain<'a> {
    pub(super) fn of(table: &'a Table, digests: &'a Digests) -> Result<Self, CliError> {
        Ok(Self {
            rows: table.file.rows_again(&table.typing)?,
            table,
            digests,
        })
    }

    /// Gives an entry of a row what is known of it.
    pub(super) fn complete(&mut self, entry: &mut Entry) -> Result<(), CliError> {
        let Some(place) = entry.place.filter(|_| entry.is_opaque()) else {
            return Ok(());
        };
        let gone = || RowError {
            line: place.line,
            place: String::new(),
            name: None,
            problem: "it is not there any more".to_owned(),
        };
        let row = self.rows.at(place).unwrap_or_else(|| Err(gone()));
        let row = row.map_err(|error| broken(&error))?;
        entry.digests = self
            .digests
            .of_attributes(&row.attributes, &self.table.wanted);
        Ok(())
    }
}

/// Whoever stands on a line that cannot be read would be taken for unknown.
fn broken(error: &RowError) -> CliError {
    CliError::Usage(format!(
        "line {} of the source cannot be read: {}; nothing was compared: mend the line, then give the same command again",
        error.line,
        printable(&error.to_string())
    ))
}
