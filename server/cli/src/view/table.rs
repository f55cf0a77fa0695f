//! Tables without borders, in at most 100 columns.

use comfy_table::{ContentArrangement, Table, presets};

use super::text::printable;

/// Columns of text that a table takes at most, where its content allows.
pub(super) const WIDTH: u16 = 100;
/// Spaces between two columns.
pub(super) const GAP: usize = 2;

/// A table with a heading over each column.
pub(crate) fn list(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = plain();
    table.set_header(heading.iter().map(|text| text.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|text| printable(text)));
    }
    finish(&mut table)
}

/// One line per fact: what, then which. Facts without a value are left out; a value of several lines stays so.
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
