//! What was measured, as JSON lines and as the table of the README.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use super::{IN_FLIGHT, PAYLOADS, Subject};
use crate::figure::Figure;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "measure", rename_all = "snake_case")]
pub enum Measure {
    /// Calls per second.
    Calls {
        /// Bytes sent and got back.
        payload: usize,
        /// Calls at once.
        in_flight: usize,
    },
    /// Median latency, µs.
    P50 {
        /// Bytes sent and got back.
        payload: usize,
        /// Calls at once.
        in_flight: usize,
    },
    /// 99th percentile, µs.
    P99 {
        /// Bytes sent and got back.
        payload: usize,
        /// Calls at once.
        in_flight: usize,
    },
    /// Processor time of a call, both ends, µs.
    ProcessorTime {
        /// Bytes sent and got back.
        payload: usize,
        /// Calls at once.
        in_flight: usize,
    },
    /// A stream of plain tonic in the same layer, MB/s.
    BulkStream,
    /// The objects of a search, MB/s; for the peers the same stream.
    Search,
}

impl Measure {
    fn title(self) -> String {
        let size = |bytes: usize| match bytes {
            1024.. => format!("{} KiB", bytes / 1024),
            _ => format!("{bytes} B"),
        };
        match self {
            Self::Calls { payload, in_flight } => {
                format!("calls/s, {}, {in_flight} in flight", size(payload))
            }
            Self::P50 { payload, in_flight } => {
                format!("p50, {}, {in_flight} in flight", size(payload))
            }
            Self::P99 { payload, in_flight } => {
                format!("p99, {}, {in_flight} in flight", size(payload))
            }
            Self::ProcessorTime { payload, in_flight } => {
                format!(
                    "processor time of a call, {}, {in_flight} in flight",
                    size(payload)
                )
            }
            Self::BulkStream => "bulk stream, 64 KiB messages, MB/s".to_owned(),
            Self::Search => "search, 64 KiB objects, MB/s".to_owned(),
        }
    }

    /// The value of one figure, with its unit where the title names none.
    fn show(self, value: f64) -> String {
        match self {
            Self::P50 { .. } | Self::P99 { .. } if value >= 10_000.0 => {
                format!("{:.1} ms", value / 1000.0)
            }
            Self::P50 { .. } | Self::P99 { .. } | Self::ProcessorTime { .. } => {
                format!("{value:.0} µs")
            }
            _ => format!("{value:.0}"),
        }
    }

    /// Every row of the table, in order.
    pub fn all() -> Vec<Self> {
        let mut rows = Vec::new();
        for kind in 0..4 {
            for payload in PAYLOADS {
                for in_flight in IN_FLIGHT {
                    rows.push(match kind {
                        0 => Self::Calls { payload, in_flight },
                        1 => Self::P50 { payload, in_flight },
                        2 => Self::P99 { payload, in_flight },
                        _ => Self::ProcessorTime { payload, in_flight },
                    });
                }
            }
        }
        rows.extend([Self::BulkStream, Self::Search]);
        rows
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(Measure, Subject, Vec<f64>)>,
}

impl Report {
    /// Adds one round's value.
    pub fn add(&mut self, measure: Measure, subject: Subject, value: f64) {
        let row = self
            .rows
            .iter_mut()
            .find(|(m, s, _)| *m == measure && *s == subject);
        match row {
            Some((_, _, values)) => values.push(value),
            None => self.rows.push((measure, subject, vec![value])),
        }
    }

    /// The figure of one row for one subject.
    pub fn figure(&self, measure: Measure, subject: Subject) -> Option<Figure> {
        let row = self
            .rows
            .iter()
            .find(|(m, s, _)| *m == measure && *s == subject)?;
        Figure::of(row.2.clone())
    }

    /// The median as a multiple of mutual TLS's.
    pub fn ratio(&self, measure: Measure, subject: Subject) -> Option<f64> {
        let tls = self.figure(measure, Subject::MutualTls)?.median;
        (tls > 0.0).then_some(self.figure(measure, subject)?.median / tls)
    }

    /// One object for each figure.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        for (measure, subject, _) in &self.rows {
            let mut line = json!(measure);
            if let (Some(object), Some(figure)) =
                (line.as_object_mut(), self.figure(*measure, *subject))
            {
                object.insert("subject".into(), json!(subject.name()));
                object.insert("median".into(), json!(figure.median));
                object.insert("min".into(), json!(figure.min));
                object.insert("max".into(), json!(figure.max));
                object.insert(
                    "ratio_to_mutual_tls".into(),
                    json!(self.ratio(*measure, *subject)),
                );
            }
            lines.push(line);
        }
        lines
    }

    /// A Markdown table: ratios to mutual TLS, whose own figure, with its range, stands in the
    /// second column.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let names: Vec<_> = Subject::ALL.iter().map(|subject| subject.name()).collect();
        let others = || {
            Subject::ALL
                .into_iter()
                .filter(|subject| *subject != Subject::MutualTls)
        };
        let _ = writeln!(
            out,
            "| | {} = 1 | {} |",
            Subject::MutualTls.name(),
            others().map(Subject::name).collect::<Vec<_>>().join(" | ")
        );
        let _ = writeln!(out, "|---|{}", "---:|".repeat(names.len()));
        for measure in Measure::all() {
            let Some(tls) = self.figure(measure, Subject::MutualTls) else {
                continue;
            };
            let ratios: Vec<_> = others()
                .map(|subject| match self.ratio(measure, subject) {
                    Some(ratio) => format!("{ratio:.2}"),
                    None => "–".to_owned(),
                })
                .collect();
            let _ = writeln!(
                out,
                "| {} | {} ({} to {}) | {} |",
                measure.title(),
                measure.show(tls.median),
                measure.show(tls.min),
                measure.show(tls.max),
                ratios.join(" | ")
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_to_mutual_tls() {
        let mut report = Report::default();
        for value in [90.0, 110.0, 100.0] {
            report.add(Measure::BulkStream, Subject::MutualTls, value);
            report.add(Measure::BulkStream, Subject::Plaintext, value * 2.0);
        }
        assert_eq!(
            report.ratio(Measure::BulkStream, Subject::Plaintext),
            Some(2.0)
        );
        assert!(
            report.markdown().contains(
                "| bulk stream, 64 KiB messages, MB/s | 100 (90 to 110) | 2.00 | – | – |"
            )
        );
    }
}
