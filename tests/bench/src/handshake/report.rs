//! What was measured, as JSON lines and as a table.

use std::fmt::Write as _;

use serde_json::json;

use super::Round;
use crate::figure::Figure;
use crate::peer::Peer;

/// Every round of every peer.
#[derive(Debug, Default)]
pub struct Report {
    rounds: Vec<(Peer, Round)>,
}

impl Report {
    pub(super) fn add(&mut self, peer: Peer, round: Round) {
        self.rounds.push((peer, round));
    }

    fn values(&self, peer: Peer, of: impl Fn(&Round) -> f64) -> Vec<f64> {
        let rounds = self.rounds.iter().filter(|(found, _)| *found == peer);
        rounds.map(|(_, round)| of(round)).collect()
    }

    /// Multiples of mutual TLS's value, each within its round.
    fn ratios(&self, peer: Peer, of: impl Fn(&Round) -> f64 + Copy) -> Vec<f64> {
        let tls = self.values(Peer::MutualTls, of);
        let pairs = self.values(peer, of).into_iter().zip(tls);
        pairs.map(|(value, tls)| value / tls).collect()
    }

    /// One object for each peer.
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let line = |peer: Peer| {
            json!({
                "measure": "new_links", "peer": peer.name(),
                "per_second": Figure::of(self.values(peer, |round| round.per_second)),
                "cpu_us": Figure::of(self.values(peer, |round| round.cpu_us)),
                "ratio_to_mutual_tls": Figure::of(self.ratios(peer, |round| round.per_second)),
                "cpu_ratio_to_mutual_tls": Figure::of(self.ratios(peer, |round| round.cpu_us)),
            })
        };
        Peer::ALL.into_iter().map(line).collect()
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "| | links/s | multiple of mutual TLS | processor time, µs | multiple of mutual TLS |\n|---|---:|---:|---:|---:|\n",
        );
        for peer in Peer::ALL {
            let figure = |values, digits: usize| {
                Figure::of(values).map_or_else(String::new, |figure| {
                    let Figure { median, min, max } = figure;
                    format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
                })
            };
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {} |",
                peer.name(),
                figure(self.values(peer, |round| round.per_second), 0),
                figure(self.ratios(peer, |round| round.per_second), 2),
                figure(self.values(peer, |round| round.cpu_us), 0),
                figure(self.ratios(peer, |round| round.cpu_us), 2),
            );
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_is_taken_within_its_round() {
        let mut report = Report::default();
        let round = |per_second| Round {
            per_second,
            cpu_us: 1e6 / per_second,
        };
        for (tls, plain) in [(100.0, 300.0), (10.0, 30.0), (50.0, 150.0)] {
            report.add(Peer::MutualTls, round(tls));
            report.add(Peer::Plaintext, round(plain));
        }
        let ratios = report.ratios(Peer::Plaintext, |round| round.per_second);
        assert_eq!(ratios, [3.0; 3]);
    }
}
