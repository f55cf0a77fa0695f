//! The report for people.

use std::fmt::Write as _;

use super::Summary;
use crate::figure::Figure;

impl Summary {
    /// As a Markdown table.
    pub fn markdown(&self) -> String {
        let mut out = "| idle gateway, MiB | RSS | target | PSS | heap and stacks | locked | threads |\n|---|---:|---:|---:|---:|---:|---:|\n".to_owned();
        for row in &self.rows {
            // Writing to a text cannot fail.
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} | {:.2} | {:.0} |",
                row.connectors,
                shown(row.resident),
                against(row.resident.median, row.target),
                shown(row.proportional),
                shown(row.anonymous),
                row.locked.median,
                row.threads.median,
            );
        }
        let program = &self.program;
        let _ = writeln!(
            out,
            "\nThe program: {:.2} MiB stripped (target {}), {:.2} as it was built{}.",
            program.stripped,
            against(program.stripped, program.target),
            program.built,
            match self.optimized {
                true => "",
                false => ", which is not how it is installed: no target holds without --release",
            },
        );
        out
    }
}

fn shown(figure: Figure) -> String {
    let Figure { median, min, max } = figure;
    format!("{median:.1} ({min:.1} to {max:.1})")
}

fn against(value: f64, target: f64) -> String {
    match value <= target {
        true => format!("{target:.0}"),
        false => format!("{target:.0}, missed"),
    }
}
