//! What came of it.

use serde::Serialize;

use super::{Measured, Target};
use crate::figure::Figure;

/// The figures of all targets.
#[derive(Clone, Debug)]
pub struct Report {
    /// One for each target.
    pub rows: Vec<Row>,
    /// How long all of it took.
    pub seconds: f64,
}

/// The figures of one target.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// `sql` or `ldap`.
    pub target: &'static str,
    /// Accounts a second by an import.
    pub bulk: Figure,
    /// Accounts a second by one call after the other.
    pub single: Figure,
    /// Accounts a second by the bare client.
    pub bare: Figure,
    /// Processor time of an imported account at the command, in microseconds.
    pub command_us: Figure,
    /// The same at the server.
    pub server_us: Figure,
    /// The same at the gateway.
    pub gateway_us: Figure,
    /// The same at the target.
    pub target_us: Figure,
    /// Processor time of a bare insert at its client, in microseconds.
    pub client_us: Figure,
    /// The same at the target.
    pub bare_us: Figure,
    /// The import as a multiple of single calls, within a round.
    pub of_single: Figure,
    /// The import as a multiple of the bare client, within a round.
    pub of_bare: Figure,
}

impl Row {
    pub(super) fn of(target: Target, rounds: &[Measured]) -> Self {
        let figure = |value: fn(&Measured) -> f64| {
            let values = rounds.iter().map(value).collect();
            Figure::of(values).unwrap_or(Figure {
                median: 0.0,
                min: 0.0,
                max: 0.0,
            })
        };
        Self {
            target: target.name(),
            bulk: figure(|round| round.bulk),
            single: figure(|round| round.single),
            bare: figure(|round| round.bare),
            command_us: figure(|round| round.processor[0]),
            server_us: figure(|round| round.processor[1]),
            gateway_us: figure(|round| round.processor[2]),
            target_us: figure(|round| round.processor[3]),
            client_us: figure(|round| round.of_bare[0]),
            bare_us: figure(|round| round.of_bare[1]),
            of_single: figure(|round| round.bulk / round.single),
            of_bare: figure(|round| round.bulk / round.bare),
        }
    }
}

impl Report {
    /// One JSON object for each target.
    pub fn json_lines(&self) -> Vec<String> {
        let lines = self.rows.iter();
        lines
            .filter_map(|row| serde_json::to_string(row).ok())
            .collect()
    }

    /// As a Markdown table.
    pub fn markdown(&self) -> String {
        let mut text = String::from(
            "| accounts a second | import | single calls | bare client | import : single | import : bare | processor time: command, server, gateway, target; bare client, target |\n\
             |---|---:|---:|---:|---:|---:|---:|\n",
        );
        let whole = |figure: &Figure| {
            format!(
                "{:.0} ({:.0} to {:.0})",
                figure.median, figure.min, figure.max
            )
        };
        let part = |figure: &Figure| {
            format!(
                "{:.2} ({:.2} to {:.2})",
                figure.median, figure.min, figure.max
            )
        };
        for row in &self.rows {
            text.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {:.0}, {:.0}, {:.0}, {:.0}; {:.0}, {:.0} µs |\n",
                row.target,
                whole(&row.bulk),
                whole(&row.single),
                whole(&row.bare),
                part(&row.of_single),
                part(&row.of_bare),
                row.command_us.median,
                row.server_us.median,
                row.gateway_us.median,
                row.target_us.median,
                row.client_us.median,
                row.bare_us.median
            ));
        }
        text
    }
}
