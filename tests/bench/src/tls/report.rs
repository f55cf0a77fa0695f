//! What was measured, as JSON lines and as a table.

use std::fmt::Write as _;

use portcullis_common::crypto::suites::Suite;
use serde::Serialize;
use serde_json::json;

use super::{Channel, MANY, PAYLOAD};
use crate::figure::Figure;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Median latency of a call alone, µs.
    Latency,
    /// Processor time of a call alone, both ends, µs.
    LatencyProcessor,
    /// Calls a second, many in flight.
    Calls,
    /// Processor time of one of many calls, both ends, µs.
    CallProcessor,
    /// New links a second, each with a full handshake and one call.
    Links,
    /// Processor time of a new link, both ends, µs.
    LinkProcessor,
    /// Megabytes (10^6) a second in a stream of messages of 64 KiB.
    Bytes,
    /// Processor time of a byte of that stream, both ends, ns.
    ByteProcessor,
}

impl Measure {
    /// Every row, in the order of the table.
    pub const ALL: [Self; 8] = [
        Self::Latency,
        Self::LatencyProcessor,
        Self::Calls,
        Self::CallProcessor,
        Self::Links,
        Self::LinkProcessor,
        Self::Bytes,
        Self::ByteProcessor,
    ];

    fn title(self) -> String {
        match self {
            Self::Latency => format!("p50 of a call of {PAYLOAD} B alone, µs"),
            Self::LatencyProcessor => "processor time of it, µs".to_owned(),
            Self::Calls => format!("calls/s, {PAYLOAD} B, {MANY} in flight"),
            Self::CallProcessor => "processor time of one of them, µs".to_owned(),
            Self::Links => "new links/s".to_owned(),
            Self::LinkProcessor => "processor time of one of them, µs".to_owned(),
            Self::Bytes => "bulk stream, 64 KiB messages, MB/s".to_owned(),
            Self::ByteProcessor => "processor time of a byte of it, ns".to_owned(),
        }
    }

    const fn digits(self) -> usize {
        match self {
            Self::ByteProcessor => 2,
            Self::CallProcessor => 1,
            _ => 0,
        }
    }
}

/// Every round.
#[derive(Debug, Default)]
pub struct Report {
    values: Vec<(Measure, Channel, f64)>,
}

impl Report {
    pub(super) fn add(&mut self, measure: Measure, channel: Channel, value: f64) {
        self.values.push((measure, channel, value));
    }

    fn values(&self, measure: Measure, channel: Channel) -> Vec<f64> {
        let values = self.values.iter();
        let values = values.filter(|(of, at, _)| (*of, *at) == (measure, channel));
        values.map(|(_, _, value)| *value).collect()
    }

    fn figure(&self, measure: Measure, suite: Suite, tls: bool) -> Option<Figure> {
        Figure::of(self.values(measure, Channel { suite, tls }))
    }

    /// With TLS as a multiple of without, each within its round; `None` where nothing was measured.
    pub fn multiple(&self, measure: Measure, suite: Suite) -> Option<Figure> {
        let of = |tls| self.values(measure, Channel { suite, tls });
        let pairs = of(true).into_iter().zip(of(false));
        Figure::of(pairs.map(|(with, without)| with / without).collect())
    }

    /// One object for each measure and suite.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let line = |measure: Measure, suite: Suite| {
            json!({
                "measure": measure, "suite": suite.name(),
                "without": self.figure(measure, suite, false),
                "with": self.figure(measure, suite, true),
                "multiple": self.multiple(measure, suite),
            })
        };
        let measures = Measure::ALL.into_iter();
        measures
            .flat_map(|measure| Suite::ALL.map(|suite| line(measure, suite)))
            .collect()
    }

    /// A Markdown table: of each suite the median without TLS, and the multiple with it.
    pub fn markdown(&self) -> String {
        let mut out = String::from("| |");
        for suite in Suite::ALL {
            let _ = write!(out, " {} | in TLS, multiple |", suite.name());
        }
        out.push_str("\n|---|---:|---:|---:|---:|\n");
        for measure in Measure::ALL {
            let _ = write!(out, "| {} |", measure.title());
            for suite in Suite::ALL {
                let without = shown(self.figure(measure, suite, false), measure.digits());
                let multiple = shown(self.multiple(measure, suite), 2);
                let _ = write!(out, " {without} | {multiple} |");
            }
            out.push('\n');
        }
        out
    }
}

fn shown(figure: Option<Figure>, digits: usize) -> String {
    figure.map_or_else(String::new, |Figure { median, min, max }| {
        format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
    })
}
