//! What a run found, and how it is printed.

use serde_json::{Value, json};

use super::statistics::{Moment, Statistic};
use super::{Outcome, Verdict};

/// Why a run is no good news.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// Nothing can be said.
    #[error(
        "could not have seen a leak: what leaks on purpose was not found ({0}); measure more, on a quieter machine"
    )]
    Blind(String),
    /// Time depends on a secret.
    #[error("time tells of a secret: {0}")]
    Leak(String),
}

/// The findings of a run.
#[derive(Debug)]
pub struct Report {
    seed: u64,
    outcomes: Vec<Outcome>,
}

impl Report {
    pub(super) fn new(seed: u64, outcomes: Vec<Outcome>) -> Self {
        Self { seed, outcomes }
    }

    /// Whether all is as it should be.
    ///
    /// # Errors
    /// `Alarm` where a control was not found, or something else was.
    pub fn verdict(&self) -> Result<(), Alarm> {
        let unexpected = |of_controls| {
            let names: Vec<_> = self
                .outcomes
                .iter()
                .filter(|outcome| outcome.is_control == of_controls && !outcome.is_as_it_should())
                .map(|outcome| outcome.name.as_str())
                .collect();
            (!names.is_empty()).then(|| names.join("; "))
        };
        match (unexpected(false), unexpected(true)) {
            (Some(names), _) => Err(Alarm::Leak(names)),
            (None, Some(names)) => Err(Alarm::Blind(names)),
            (None, None) => Ok(()),
        }
    }

    /// One object a target, then a summary.
    pub fn json_lines(&self) -> Vec<Value> {
        let lines = self.outcomes.iter().map(|outcome| {
            json!({
                "target": outcome.name, "control": outcome.is_control, "measurements": outcome.measurements,
                "verdict": outcome.verdict(), "first": statistic(&outcome.first),
                "again": outcome.again.as_ref().map(statistic),
            })
        });
        let summary = json!({
            "summary": "constant-time", "seed": self.seed, "alarm": self.verdict().err().map(|alarm| alarm.to_string()),
            "optimized": !cfg!(debug_assertions),
        });
        lines.chain([summary]).collect()
    }

    /// A Markdown table, and what it says.
    pub fn markdown(&self) -> String {
        let mut out = String::from(
            "| target | measurements | greatest t | of | mean, ns | difference, ns | noticed from, ns | verdict |\n\
             | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        );
        for outcome in &self.outcomes {
            let control = if outcome.is_control { "control, " } else { "" };
            let again = outcome
                .again
                .map_or_else(String::new, |again| format!(", again {:.1}", again.t));
            let moment = match outcome.first.test.moment {
                Moment::Mean => "means",
                Moment::Variance => "variances",
            };
            let verdict = match (outcome.verdict(), outcome.is_as_it_should()) {
                (Verdict::NoEvidence, true) => "no evidence of a leak",
                (Verdict::NoEvidence, false) => "**not found**",
                (Verdict::Leak, true) => "leaks, as it should",
                (Verdict::Leak, false) => "**leaks**",
            };
            out += &format!(
                "| {control}{} | {} | {:.1}{again} | {moment}, fastest {:.1} % | {:.0} | {:+.2} | {:.2} | {verdict} |\n",
                outcome.name,
                outcome.measurements,
                outcome.first.t,
                100.0 * outcome.first.test.kept(),
                outcome.first.mean_ns,
                outcome.first.difference_ns,
                outcome.first.noticeable_ns,
            );
        }
        out += &format!(
            "\nSeed {}. t of Welch's test, the greatest of 42: above 4.5 it is suspicious, and that test is made again over as many new \
             measurements; above 10, or above 4.5 again in the same direction, it is a leak. The difference is what the second class takes \
             longer.\n",
            self.seed
        );
        out
    }
}

fn statistic(of: &Statistic) -> Value {
    json!({
        "t": of.t, "moment": of.test.moment, "kept": of.test.kept(), "mean_ns": of.mean_ns,
        "difference_ns": of.difference_ns, "noticeable_ns": of.noticeable_ns,
    })
}
