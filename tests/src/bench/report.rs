//! What was measured, as JSON lines and as the table of the README.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use super::peer::Peer;
use super::{IN_FLIGHT, PAYLOADS};

/// A figure over the rounds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figure {
    /// The middle one.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Figure {
    /// Of one value a round; `None` without any.
    pub fn of(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (&min, &max) = (values.first()?, values.last()?);
        let middle = values.len() / 2;
        let median = match values.len() % 2 {
            0 => (values.get(middle - 1)? + values.get(middle)?) / 2.0,
            _ => *values.get(middle)?,
        };
        Some(Self { median, min, max })
    }
}

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "measure", rename_all = "snake_case")]
pub enum Measure {
    /// Calls per second.
    CallsPerSecond {
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
    /// One stream, MB/s.
    BulkStream,
    /// Connections with a full handshake, per second.
    HandshakesPerSecond,
    /// Resident bytes of an idle link, both ends.
    IdleLink,
}

impl Measure {
    fn title(self) -> String {
        let size = |bytes: usize| match bytes {
            1024.. => format!("{} KiB", bytes / 1024),
            _ => format!("{bytes} B"),
        };
        match self {
            Self::CallsPerSecond { payload, in_flight } => {
                format!("calls/s, {}, {in_flight} in flight", size(payload))
            }
            Self::P50 { payload, in_flight } => {
                format!("p50, {}, {in_flight} in flight", size(payload))
            }
            Self::P99 { payload, in_flight } => {
                format!("p99, {}, {in_flight} in flight", size(payload))
            }
            Self::BulkStream => "bulk stream, MB/s".to_owned(),
            Self::HandshakesPerSecond => "handshakes/s".to_owned(),
            Self::IdleLink => "memory of an idle link, both ends".to_owned(),
        }
    }

    /// The value of one figure, with its unit where the title names none.
    fn show(self, value: f64) -> String {
        match self {
            Self::P50 { .. } | Self::P99 { .. } if value >= 10_000.0 => {
                format!("{:.1} ms", value / 1000.0)
            }
            Self::P50 { .. } | Self::P99 { .. } => format!("{value:.0} µs"),
            Self::IdleLink => format!("{:.0} KiB", value / 1024.0),
            _ => format!("{value:.0}"),
        }
    }

    /// Every row of the table, in order.
    pub fn all() -> Vec<Self> {
        let mut rows = Vec::new();
        for kind in 0..3 {
            for payload in PAYLOADS {
                for in_flight in IN_FLIGHT {
                    rows.push(match kind {
                        0 => Self::CallsPerSecond { payload, in_flight },
                        1 => Self::P50 { payload, in_flight },
                        _ => Self::P99 { payload, in_flight },
                    });
                }
            }
        }
        rows.extend([Self::BulkStream, Self::HandshakesPerSecond, Self::IdleLink]);
        rows
    }
}

/// All that was measured.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<(Measure, Peer, Vec<f64>)>,
}

impl Report {
    /// Adds one round's value.
    pub fn add(&mut self, measure: Measure, peer: Peer, value: f64) {
        let row = self
            .rows
            .iter_mut()
            .find(|(m, p, _)| *m == measure && *p == peer);
        match row {
            Some((_, _, values)) => values.push(value),
            None => self.rows.push((measure, peer, vec![value])),
        }
    }

    /// The figure of one row for one peer.
    pub fn figure(&self, measure: Measure, peer: Peer) -> Option<Figure> {
        let row = self
            .rows
            .iter()
            .find(|(m, p, _)| *m == measure && *p == peer)?;
        Figure::of(row.2.clone())
    }

    /// The median as a multiple of mutual TLS's.
    pub fn ratio(&self, measure: Measure, peer: Peer) -> Option<f64> {
        let tls = self.figure(measure, Peer::MutualTls)?.median;
        (tls > 0.0).then_some(self.figure(measure, peer)?.median / tls)
    }

    /// One object for each figure.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        for (measure, peer, _) in &self.rows {
            let mut line = json!(measure);
            if let (Some(object), Some(figure)) =
                (line.as_object_mut(), self.figure(*measure, *peer))
            {
                object.insert("peer".into(), json!(peer.name()));
                object.insert("median".into(), json!(figure.median));
                object.insert("min".into(), json!(figure.min));
                object.insert("max".into(), json!(figure.max));
                object.insert(
                    "ratio_to_mutual_tls".into(),
                    json!(self.ratio(*measure, *peer)),
                );
            }
            lines.push(line);
        }
        lines
    }

    /// A Markdown table: ratios to mutual TLS, whose own figure, with its range, stands in the second column.
    pub fn markdown(&self) -> String {
        let mut out = String::new();
        let names: Vec<_> = Peer::ALL.iter().map(|peer| peer.name()).collect();
        let others = || {
            Peer::ALL
                .into_iter()
                .filter(|peer| *peer != Peer::MutualTls)
        };
        let _ = writeln!(
            out,
            "| | {} = 1 | {} |",
            Peer::MutualTls.name(),
            others().map(Peer::name).collect::<Vec<_>>().join(" | ")
        );
        let _ = writeln!(out, "|---|{}", "---:|".repeat(names.len()));
        for measure in Measure::all() {
            let Some(tls) = self.figure(measure, Peer::MutualTls) else {
                continue;
            };
            let ratios: Vec<_> = others()
                .map(|peer| match self.ratio(measure, peer) {
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
    fn median_of_odd_and_even_rounds() {
        let median = |values: &[f64]| Figure::of(values.to_vec()).map(|figure| figure.median);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn ratios_are_to_mutual_tls() {
        let mut report = Report::default();
        for value in [90.0, 110.0, 100.0] {
            report.add(Measure::BulkStream, Peer::MutualTls, value);
            report.add(Measure::BulkStream, Peer::Plaintext, value * 2.0);
        }
        assert_eq!(
            report.ratio(Measure::BulkStream, Peer::Plaintext),
            Some(2.0)
        );
        assert!(
            report
                .markdown()
                .contains("| bulk stream, MB/s | 100 (90 to 110) | 2.00 | – | – |")
        );
    }
}
