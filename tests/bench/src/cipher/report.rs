//! The figures of a run, and how they are printed.

use serde_json::{Value, json};

use super::peers::{DES_CRATE, OPENSSL};
use super::{OpenSslError, Work};
use crate::figure::Figure;

/// What was measured, round by round.
#[derive(Debug)]
pub struct Report {
    missing: Option<OpenSslError>,
    rounds: Vec<Vec<Row>>,
    present: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    work: Work,
    peer: &'static str,
    /// Bytes per second.
    speed: f64,
}

impl Report {
    pub(super) fn new(missing: Option<OpenSslError>) -> Self {
        Self {
            missing,
            rounds: Vec::new(),
            present: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, work: Work, peer: &'static str, speed: f64) {
        self.present.push(Row { work, peer, speed });
    }

    pub(super) fn end_round(&mut self) {
        self.rounds.push(std::mem::take(&mut self.present));
    }

    /// One object for each work and peer: megabytes per second, and multiples of the two references
    /// in the same round.
    pub fn json_lines(&self) -> Vec<Value> {
        let lines = self.lines().into_iter();
        lines
            .map(|line| {
                let mut value = json!(line.work);
                if let Some(object) = value.as_object_mut() {
                    object.insert("peer".into(), json!(line.peer));
                    object.insert("megabytes_per_second".into(), json!(line.speed));
                    object.insert("times_openssl".into(), json!(line.times_openssl));
                    object.insert("times_des_crate".into(), json!(line.times_des_crate));
                }
                value
            })
            .collect()
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "| work | by | MB/s | times OpenSSL | times the des crate |\n| --- | --- | --- | --- | --- |\n",
        );
        for line in self.lines() {
            let work = match line.work {
                Work::Keystream { message } => format!("keystream and XOR, {message} B"),
                Work::Seal { message } => format!("seal (with HMAC), {message} B"),
                Work::Mac { message } => format!("MAC alone, {message} B"),
            };
            out += &format!(
                "| {work} | {} | {} | {} | {} |\n",
                line.peer,
                show(line.speed),
                show(line.times_openssl),
                show(line.times_des_crate)
            );
        }
        if let Some(missing) = &self.missing {
            out += &format!("\nOpenSSL was not measured: {missing}.\n");
        }
        out
    }

    fn lines(&self) -> Vec<Line> {
        let Some(first) = self.rounds.first() else {
            return Vec::new();
        };
        first
            .iter()
            .map(|row| Line {
                work: row.work,
                peer: row.peer,
                speed: self.figure(row, |_, row| Some(row.speed / 1e6)),
                times_openssl: self.figure(row, |round, row| ratio(round, row, OPENSSL)),
                times_des_crate: self.figure(row, |round, row| ratio(round, row, DES_CRATE)),
            })
            .collect()
    }

    /// What `value` gives for the row like `of` of each round.
    fn figure(&self, of: &Row, value: impl Fn(&[Row], &Row) -> Option<f64>) -> Option<Figure> {
        let same = |row: &&Row| row.work == of.work && row.peer == of.peer;
        let rows = self.rounds.iter();
        Figure::of(
            rows.filter_map(|round| value(round, round.iter().find(same)?))
                .collect(),
        )
    }
}

struct Line {
    work: Work,
    peer: &'static str,
    speed: Option<Figure>,
    times_openssl: Option<Figure>,
    times_des_crate: Option<Figure>,
}

/// How many times as fast as `reference` in the same round.
fn ratio(round: &[Row], row: &Row, reference: &str) -> Option<f64> {
    let found = round
        .iter()
        .find(|other| other.work == row.work && other.peer == reference)?;
    Some(row.speed / found.speed)
}

fn show(figure: Option<Figure>) -> String {
    figure.map_or_else(
        || "–".to_owned(),
        |figure| {
            format!(
                "{:.1} ({:.1} to {:.1})",
                figure.median, figure.min, figure.max
            )
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_within_a_round() {
        let work = Work::Keystream { message: 64 };
        let mut report = Report::new(Some(OpenSslError::Absent));
        for slowness in [1.0, 2.0, 4.0] {
            report.add(work, DES_CRATE, 10e6 / slowness);
            report.add(work, "u64", 200e6 / slowness);
            report.end_round();
        }
        let text = report.markdown();
        assert!(
            text.contains("| u64 | 100.0 (50.0 to 200.0) | – | 20.0 (20.0 to 20.0) |"),
            "{text}"
        );
        assert!(text.contains("OpenSSL was not measured"), "{text}");
    }
}
