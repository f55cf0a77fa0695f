//! Holds what callers were told and what is recorded against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use portcullis_proto::admin::v1::{QueuedCall, QueuedState};
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Done, FailureKind, Outcome, done};

use super::caller::{Lane, Made, has_ended, is_passing};
use super::model::{State, States};
use super::resources::Resource;
use super::schedule::{Action, Subject, Way};
use super::targets::{Found, Seen, Targets};

/// Calls before one that cannot be, which are shown with it.
const STORY: usize = 8;

/// A call of which nobody can tell what came.
#[derive(Debug, serde::Serialize)]
pub struct Unclear {
    /// Its id.
    pub call: String,
    /// What it does.
    pub verb: &'static str,
    /// And where.
    pub resource: &'static str,
    /// Why nobody can tell.
    pub message: String,
    /// What was seen.
    pub evidence: Vec<String>,
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            call,
            verb,
            resource,
            message,
            evidence,
        } = self;
        let evidence = evidence.join("; ");
        write!(f, "{call} ({verb} on {resource}): {message}: {evidence}")
    }
}

/// What is recorded of every call, by its id.
pub(super) type Records = BTreeMap<String, QueuedCall>;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) broken: Vec<String>,
    pub(super) unclear: Vec<Unclear>,
    pub(super) outcomes: BTreeMap<String, usize>,
}

impl Findings {
    /// Judges all calls on one object, and gives what it may be now; `None`: after what is broken
    /// nobody knows.
    pub(super) fn judge(&mut self, lane: &Lane, records: &Records, seen: &Seen) -> Option<States> {
        let resource = &lane.schedule.resource;
        self.broken.extend(lane.broken.iter().cloned());
        let mut states = Some(States::default());
        let mut story = Vec::new();
        for made in &lane.made {
            let (step, verb) = (&made.step, made.step.action.verb());
            let told = match (step.action.changes(), step.way) {
                (false, Way::Direct | Way::Twice) => made.told.last().cloned(),
                _ => self.recorded(made, records),
            };
            let Some(outcome) = told else {
                continue;
            };
            let what = kind_of(&outcome);
            *self.outcomes.entry(format!("{verb} {what}")).or_default() += 1;
            if let Some(history) = &seen.history {
                self.in_history(made, what, history);
            }
            let Some(known) = &mut states else {
                continue;
            };
            if let Some(OutcomeResult::Indeterminate(it)) = &outcome.result {
                let unclear = Unclear {
                    call: step.id.clone(),
                    verb,
                    resource: resource.name,
                    message: it.message.clone(),
                    evidence: it.evidence.clone(),
                };
                if resource.is_certain(&step.action, known.is_enabled(&step.action)) {
                    self.broken
                        .push(format!("call {unclear}: SEMANTICS.md calls it certain"));
                }
                self.unclear.push(unclear);
            }
            let shown = text_of(&outcome);
            story.push(format!("{} {:?} {shown}", step.id, step.action));
            if let Err(why) = known.take(resource, &step.action, &outcome) {
                let before = story.len().saturating_sub(STORY);
                let before = story.get(before..).unwrap_or_default().join("\n    ");
                let id = &step.id;
                self.broken
                    .push(format!("call {id} is {what}, {why}:\n    {before}"));
                // Everything after that follows from it.
                states = None;
            }
        }
        states
    }

    /// The one outcome that is recorded of a call, held against what its callers were told.
    fn recorded(&mut self, made: &Made, records: &Records) -> Option<Outcome> {
        let id = &made.step.id;
        let Some(record) = records.get(id) else {
            self.broken
                .push(format!("call {id} was made, and is not recorded"));
            return None;
        };
        if !has_ended(record) || record.state() == QueuedState::Cancelled {
            self.broken
                .push(format!("call {id} is {:?} in the end", record.state()));
            return None;
        }
        let recorded = record.outcome.clone().unwrap_or_default();
        for told in &made.told {
            if !agree(told, &recorded) {
                self.broken.push(format!(
                    "call {id}: its caller was told {}, and it is recorded as {}",
                    text_of(told),
                    text_of(&recorded)
                ));
            }
        }
        Some(recorded)
    }

    /// Each value was given as often as calls say.
    fn in_history(&mut self, made: &Made, what: &str, history: &[String]) {
        let (Action::Create(_, value, _) | Action::Update(_, value)) = &made.step.action else {
            return;
        };
        let times = history.iter().filter(|it| *it == value).count();
        let sound = match what {
            "done" => times == 1,
            "indeterminate" => times <= 1,
            _ => times == 0,
        };
        if !sound {
            let id = &made.step.id;
            self.broken.push(format!(
                "call {id} is {what}, and was carried out {times} times"
            ));
        }
    }

    /// Holds what an object may be against what is there.
    pub(super) fn compare(&mut self, lane: &Lane, states: &States, seen: &Seen, targets: &Targets) {
        let resource = &lane.schedule.resource;
        match &lane.schedule.subject {
            Subject::Team { name, .. } => {
                let may = |state: &State| state.member_names(resource) == seen.members;
                if !states.all.iter().any(may) {
                    let want: Vec<_> = states
                        .all
                        .iter()
                        .map(|it| it.member_names(resource))
                        .collect();
                    let there = &seen.members;
                    self.broken
                        .push(format!("{name} has {there:?}, and should have {want:?}"));
                }
            }
            Subject::Account(names) => {
                let there = names.each_ref().map(|name| {
                    seen.accounts
                        .get(name)
                        .map(Vec::as_slice)
                        .unwrap_or_default()
                });
                for (name, found) in names.iter().zip(there) {
                    if found.len() > 1 {
                        self.broken.push(format!(
                            "{name} of {} is there {} times",
                            resource.name,
                            found.len()
                        ));
                    }
                }
                let is_whole = |found: &[Found]| found.iter().all(|found| !found.is_half);
                let whole = states.remains || there.iter().all(|found| is_whole(found));
                let fits = |state: &State| whole && is_there(resource, state, there, targets);
                if !states.all.iter().any(fits) {
                    let want: Vec<_> = states
                        .all
                        .iter()
                        .map(|state| state.shown(resource))
                        .collect();
                    let last = lane
                        .made
                        .iter()
                        .rev()
                        .filter(|made| made.step.action.changes())
                        .take(4);
                    let last: Vec<_> = last.map(|made| &made.step.id).collect();
                    self.broken.push(format!(
                        "{names:?} of {} should be {}, and what is there is {there:?}; the last calls were {last:?}",
                        resource.name,
                        want.join(" or ")
                    ));
                }
            }
        }
    }

    /// Nothing is there that no call made.
    pub(super) fn strangers(&mut self, resource: &Resource, lanes: &[Lane], seen: &Seen) {
        let of_it = lanes
            .iter()
            .filter(|lane| lane.schedule.resource.name == resource.name);
        let known: BTreeSet<_> = of_it
            .flat_map(|lane| match &lane.schedule.subject {
                Subject::Account(names) => names.to_vec(),
                Subject::Team { .. } => Vec::new(),
            })
            .collect();
        let fixed = seen
            .accounts
            .keys()
            .filter(|name| resource.is_fixed(name))
            .count();
        if fixed != resource.fixed() {
            self.broken.push(format!(
                "{fixed} accounts of {} are there of those that nobody ever removes",
                resource.name
            ));
        }
        for (name, found) in &seen.accounts {
            if !known.contains(name) && !resource.is_fixed(name) {
                self.broken.push(format!(
                    "{name} is there on {}, and nobody made it: {found:?}",
                    resource.name
                ));
            }
        }
    }
}

/// Whether what is there is this state.
fn is_there(resource: &Resource, state: &State, there: [&[Found]; 2], targets: &Targets) -> bool {
    state
        .accounts
        .iter()
        .zip(there)
        .all(|(wanted, found)| match (wanted, found.first()) {
            (None, None) => true,
            (Some(wanted), Some(found)) => {
                let password = wanted.password.as_deref().filter(|_| wanted.enabled);
                let has = |password| targets.has_password(resource, found, password);
                found.value == wanted.value
                    && (found.enabled == wanted.enabled || resource.hides_state(wanted))
                    && password.and_then(has) != Some(false)
            }
            (None, Some(_)) | (Some(_), None) => false,
        })
}

/// Whether what a caller was told and what is recorded can both be so.
fn agree(told: &Outcome, recorded: &Outcome) -> bool {
    match (&told.result, &recorded.result) {
        (Some(OutcomeResult::Done(_)), Some(OutcomeResult::Done(_))) => true,
        // It was told for now: the same call may have been made after that, or it was looked at.
        (Some(OutcomeResult::Indeterminate(_)) | None, _) => true,
        (Some(OutcomeResult::Failed(told)), recorded) => {
            is_passing(told.kind())
                || matches!(recorded, Some(OutcomeResult::Failed(it)) if it.kind() == told.kind())
        }
        (Some(OutcomeResult::Done(_)), _) => false,
    }
}

pub(super) fn kind_of(outcome: &Outcome) -> &'static str {
    match &outcome.result {
        Some(OutcomeResult::Done(_)) => "done",
        Some(OutcomeResult::Failed(_)) => "failed",
        Some(OutcomeResult::Indeterminate(_)) | None => "indeterminate",
    }
}

fn text_of(outcome: &Outcome) -> String {
    match &outcome.result {
        Some(OutcomeResult::Failed(failure)) => {
            let kind = FailureKind::as_str_name(&failure.kind());
            format!("failed ({kind}: {})", failure.message)
        }
        Some(OutcomeResult::Indeterminate(it)) => format!("indeterminate ({})", it.message),
        Some(OutcomeResult::Done(Done {
            detail: Some(done::Detail::Object(object)),
        })) => {
            let texts = object
                .attributes
                .iter()
                .filter(|it| matches!(&*it.name, "description" | "full_name"));
            let texts: Vec<_> = texts.flat_map(|it| &it.values).collect();
            format!(
                "done ({}, enabled: {:?}, {texts:?})",
                object.name, object.enabled
            )
        }
        Some(OutcomeResult::Done(_)) => "done".to_owned(),
        None => "no outcome".to_owned(),
    }
}
