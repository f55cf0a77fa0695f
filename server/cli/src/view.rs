//! What results look like: a table for people, JSON for programs.
//!
//! JSON is stable: fields are added, never renamed. Times are RFC 3339 in UTC, or null.

use std::time::SystemTime;

use comfy_table::{ContentArrangement, Table, presets};
pub(crate) use portcullis_host::text::printable;
use serde_json::Value;

/// A result that can be printed.
pub(crate) trait View {
    /// For people, in lines of at most 100 columns where the content allows; `now` dates what is
    /// relative.
    fn table(&self, now: SystemTime) -> String;

    /// For programs.
    fn json(&self) -> Value;
}

/// A result that is also listed, one line each.
pub(crate) trait Listed: View {
    /// What is said where there is none.
    const NONE: &'static str;
    /// What stands over each column.
    const HEADING: &'static [&'static str];

    /// Its cell in each column.
    fn row(&self, now: SystemTime) -> Vec<String>;
}

impl<T: Listed> View for Vec<T> {
    fn table(&self, now: SystemTime) -> String {
        if self.is_empty() {
            return T::NONE.to_owned();
        }
        list(T::HEADING, self.iter().map(|item| item.row(now)))
    }

    fn json(&self) -> Value {
        self.iter().map(View::json).collect()
    }
}

/// Columns of text that a table takes at most, where its content allows.
pub(crate) const WIDTH: u16 = 100;
/// Spaces between two columns.
pub(crate) const GAP: usize = 2;

/// A table with a heading over each column.
pub(crate) fn list(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = plain();
    table.set_header(heading.iter().map(|text| text.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|text| printable(text)));
    }
    finish(&mut table)
}

/// One line per fact: what, then which. Facts without a value are left out; a value of several
/// lines stays so.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let mut table = plain();
    for (what, which) in facts {
        if let Some(which) = which.filter(|text| !text.is_empty()) {
            let lines: Vec<_> = which.lines().map(printable).collect();
            table.add_row([printable(what), lines.join("\n")]);
        }
    }
    finish(&mut table)
}

fn plain() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(WIDTH);
    table
}

fn finish(table: &mut Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP as u16));
    }
    table.trim_fmt()
}

/// The text, where there is any.
pub(crate) fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
