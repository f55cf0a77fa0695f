//! The report for people.

use std::fmt::Write as _;

use super::{MOST_MIB, Summary, TARGET};
use crate::figure::Figure;

impl Summary {
    /// As Markdown tables.
    pub fn markdown(&self) -> String {
        let target = match self.of_bare.median >= TARGET {
            true => format!("{TARGET}"),
            false => format!("{TARGET}, missed"),
        };
        let mut out = format!(
            "| {} accounts | accounts/s | of the bare client | target |\n|---|---:|---:|---:|\n\
             | bare client | {} | 1 | |\n| reconciled | {} | {:.2} ({:.2} to {:.2}) | {target} |\n\n\
             | process | peak, MiB | target | processor time of a run, s |\n|---|---:|---:|---:|\n",
            self.accounts,
            shown(self.bare_per_second),
            shown(self.reconciled_per_second),
            self.of_bare.median,
            self.of_bare.min,
            self.of_bare.max,
        );
        let processes = [
            ("command", self.command),
            ("server", self.server),
            ("gateway", self.gateway),
        ];
        for (name, taken) in processes {
            let missed = match taken.peak_mib <= MOST_MIB {
                true => "",
                false => ", missed",
            };
            // Writing to a text cannot fail.
            let _ = writeln!(
                out,
                "| {name} | {:.0} | {MOST_MIB:.0}{missed} | {:.1} |",
                taken.peak_mib, taken.busy
            );
        }
        out
    }
}

fn shown(figure: Figure) -> String {
    let Figure { median, min, max } = figure;
    format!("{median:.0} ({min:.0} to {max:.0})")
}
