//! What results look like: a table for people, JSON for programs.
//!
//! JSON is stable: fields are added, never renamed. Times are RFC 3339 in UTC, or null.

use std::io::{self, IsTerminal};
use std::time::SystemTime;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
pub(crate) use portcullis_host::text::printable;
use serde_json::Value;

/// A result that can be printed.
pub(crate) trait View {
    /// For people, in lines as wide as the terminal where the content allows; `now` dates what is
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

/// Columns of text by which a list of objects chooses its columns where there is no terminal.
const WIDE: u16 = 100;
/// Spaces between two columns.
pub(crate) const GAP: usize = 2;

/// The columns of the terminal at which the result is read; `None` where it is read by a program: a
/// result then has one line for each thing, however long.
pub(crate) fn terminal_width() -> Option<u16> {
    let out = io::stdout();
    if !out.is_terminal() {
        return None;
    }
    let given = std::env::var("COLUMNS")
        .ok()
        .and_then(|text| text.parse().ok());
    let asked = || {
        rustix::termios::tcgetwinsize(&out)
            .ok()
            .map(|size| size.ws_col)
    };
    given.or_else(asked).filter(|columns| *columns > 0)
}

/// By how many columns a list of objects chooses what it shows.
pub(crate) fn list_width() -> usize {
    usize::from(terminal_width().unwrap_or(WIDE))
}

/// A table with a heading over each column.
pub(crate) fn list(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let heading = heading.iter().map(|text| text.to_uppercase()).collect();
    let rows = rows
        .into_iter()
        .map(|row| row.iter().map(|text| printable(text)).collect());
    columns(
        std::iter::once(heading).chain(rows).collect(),
        terminal_width(),
    )
}

/// One line per fact: what, then which. Facts without a value are left out; a value of several
/// lines stays so.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let rows = facts.into_iter().filter_map(|(what, which)| {
        let which = which.filter(|text| !text.is_empty())?;
        let lines: Vec<_> = which.lines().map(printable).collect();
        Some(vec![printable(what), lines.join("\n")])
    });
    columns(rows.collect(), terminal_width())
}

/// Bytes of a cell beyond which nothing is laid out: a table counts columns in 16 bits.
const MAX_CELL: usize = 60_000;

/// Rows in columns, wrapped at blanks where they are wider than `width`. A word is never broken:
/// addresses and ids can be copied. Where not even the words fit, nothing is wrapped.
fn columns(rows: Vec<Vec<String>>, width: Option<u16>) -> String {
    if rows.iter().flatten().any(|cell| cell.len() > MAX_CELL) {
        let lines = rows.iter().map(|row| row.join(&" ".repeat(GAP)));
        return lines.collect::<Vec<_>>().join("\n");
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let widest = |column: usize| {
        let words = rows
            .iter()
            .filter_map(|row| row.get(column))
            .flat_map(|cell| cell.split_whitespace());
        let longest = words.map(|word| word.chars().count()).max();
        longest.unwrap_or_default() + GAP
    };
    let least: Vec<_> = (0..count).map(widest).collect();
    let arrangement = match width {
        Some(width) if least.iter().sum::<usize>() <= usize::from(width) => {
            table.set_width(width);
            ContentArrangement::Dynamic
        }
        _ => ContentArrangement::Disabled,
    };
    table.set_content_arrangement(arrangement);
    for row in rows {
        table.add_row(row);
    }
    for (column, least) in table.column_iter_mut().zip(least) {
        column.set_padding((0, GAP as u16));
        let least = u16::try_from(least).unwrap_or(u16::MAX);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(least)));
    }
    table.trim_fmt()
}

/// The first letters of a text, so many at most; where there are more, it ends in dots.
pub(crate) fn clipped(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

/// The text, where there is any.
pub(crate) fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateways(width: Option<u16>) -> String {
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        columns(
            vec![
                row(["NAME", "ADDRESS", "SEEN", "NOTE"]),
                row([
                    "host1",
                    "host1.example.com:9278",
                    "just now",
                    "2 alarms: its links replace each other without end, from two addresses",
                ]),
                row(["host2", "[2001:db8::1234:5678]:9278", "3 min ago", ""]),
            ],
            width,
        )
    }

    #[test]
    fn a_value_however_long_is_shown_whole() {
        for length in [65_534, 65_536, 200_000] {
            let long = "m".repeat(length);
            let rows = vec![vec!["members".to_owned(), long.clone()]];
            assert_eq!(columns(rows, Some(80)), format!("members  {long}"));
        }
    }

    #[test]
    fn a_table_takes_the_width_of_the_terminal_and_breaks_no_word() {
        let whole = gateways(None);
        assert_eq!(whole.lines().count(), 3);
        assert_eq!(gateways(Some(160)), whole);
        for width in [80, 100] {
            let text = gateways(Some(width));
            let longest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(
                longest <= usize::from(width) && longest > usize::from(width) - 20,
                "{text}"
            );
            assert!(text.lines().count() > 3, "{text}");
            for word in whole.split_whitespace() {
                assert!(text.contains(word), "{word}: {text}");
            }
        }
        // Where words do not fit side by side, the terminal wraps, which can be copied.
        assert_eq!(gateways(Some(40)), whole);
        assert_eq!(gateways(Some(0)), whole);
    }
}
