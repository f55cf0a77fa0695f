//! Long work: how far it is, and what it found.

use std::time::SystemTime;

use portcullis_proto::admin::v1::{Task, TaskFinding, TaskPlan, TaskState, TaskStep, TypeProgress};
use serde_json::{Value, json};

use super::View;
use super::{facts, list};
use crate::time::{age, rfc3339, time_and_age};
use crate::view::printable;

/// Tasks, one line each.
pub(crate) struct TaskList(pub(crate) Vec<Task>);

/// A task that goes on without whoever started it.
pub(crate) struct StartedView<'a>(pub(crate) &'a Task);

impl View for TaskList {
    fn table(&self, now: SystemTime) -> String {
        if self.0.is_empty() {
            return "no task was started yet".to_owned();
        }
        let rows = self.0.iter().map(|task| {
            vec![
                task.id.to_string(),
                task.kind.clone(),
                state(task).to_owned(),
                match task.total {
                    // Its steps say how far it is.
                    0 => String::new(),
                    total => format!("{} of {total}", task.done),
                },
                age(task.started_unix_ms, now).unwrap_or_default(),
                task.subject.clone(),
                task.reason.clone(),
            ]
        });
        list(
            &["task", "kind", "state", "values", "started", "by", "reason"],
            rows,
        )
    }

    fn json(&self) -> Value {
        self.0.iter().map(task_json).collect()
    }
}

impl View for StartedView<'_> {
    fn table(&self, _: SystemTime) -> String {
        let Task { id, kind, .. } = self.0;
        format!(
            "task {id} ({}) runs: `portcullis task watch {id}` follows it, `portcullis task cancel {id}` ends it",
            printable(kind)
        )
    }

    fn json(&self) -> Value {
        task_json(self.0)
    }
}

impl View for Task {
    fn table(&self, now: SystemTime) -> String {
        let mut parts = vec![facts([
            ("task", Some(format!("{} ({})", self.id, self.kind))),
            ("state", Some(state(self).to_owned())),
            ("reason", Some(self.reason.clone())),
            ("started", time_and_age(self.started_unix_ms, now)),
            ("by", Some(self.subject.clone())),
            ("ended", time_and_age(self.ended_unix_ms, now)),
        ])];
        parts.extend(steps(&self.steps));
        parts.extend(types(&self.types));
        parts.extend(findings(&self.findings, self.more_findings));
        parts.join("\n\n")
    }

    fn json(&self) -> Value {
        task_json(self)
    }
}

impl View for TaskPlan {
    fn table(&self, _: SystemTime) -> String {
        let mut parts = vec!["nothing was changed; this would be done:".to_owned()];
        parts.extend(steps(&self.steps));
        parts.extend(types(&self.types));
        parts.join("\n\n")
    }

    fn json(&self) -> Value {
        json!({ "steps": steps_json(&self.steps), "types": types_json(&self.types) })
    }
}

fn steps(steps: &[TaskStep]) -> Option<String> {
    let rows = steps
        .iter()
        .map(|step| vec![step.name.clone(), step.state.clone(), step.note.clone()]);
    (!steps.is_empty()).then(|| list(&["step", "state", "note"], rows))
}

fn types(types: &[TypeProgress]) -> Option<String> {
    let rows = types.iter().map(|kind| {
        vec![
            kind.r#type.clone(),
            kind.total.to_string(),
            kind.done.to_string(),
            kind.undecryptable.to_string(),
            kind.failed.to_string(),
        ]
    });
    let heading = ["type", "values", "done", "key not here", "do not open"];
    (!types.is_empty()).then(|| list(&heading, rows))
}

fn findings(findings: &[TaskFinding], more: u64) -> Option<String> {
    let rows = findings.iter().map(|finding| {
        vec![
            finding.r#type.clone(),
            finding.owner.clone(),
            finding.field.clone(),
            finding.key_id.clone(),
            finding.why.clone(),
        ]
    });
    let mut text = list(&["type", "owner", "field", "server key", "why"], rows);
    if more > 0 {
        text.push_str(&format!("\nand {more} more"));
    }
    (!findings.is_empty()).then_some(text)
}

fn task_json(task: &Task) -> Value {
    json!({
        "id": task.id,
        "kind": task.kind,
        "state": state(task),
        "reason": Some(&task.reason).filter(|reason| !reason.is_empty()),
        "subject": task.subject,
        "started": rfc3339(task.started_unix_ms),
        "ended": rfc3339(task.ended_unix_ms),
        "done": task.done,
        "total": task.total,
        "steps": steps_json(&task.steps),
        "types": types_json(&task.types),
        "findings": task.findings.iter().map(|finding| json!({
            "type": finding.r#type,
            "owner": finding.owner,
            "field": finding.field,
            "server_key": Some(&finding.key_id).filter(|id| !id.is_empty()),
            "why": finding.why,
        })).collect::<Value>(),
        "more_findings": task.more_findings,
    })
}

fn steps_json(steps: &[TaskStep]) -> Value {
    let steps = steps
        .iter()
        .map(|step| json!({ "name": step.name, "state": step.state, "note": step.note }));
    steps.collect()
}

fn types_json(types: &[TypeProgress]) -> Value {
    let types = types.iter().map(|kind| {
        json!({
            "type": kind.r#type,
            "total": kind.total,
            "done": kind.done,
            "undecryptable": kind.undecryptable,
            "failed": kind.failed,
        })
    });
    types.collect()
}

fn state(task: &Task) -> &'static str {
    match task.state() {
        TaskState::Running => "running",
        TaskState::Done => "done",
        TaskState::Failed => "failed",
        TaskState::Cancelled => "cancelled",
        TaskState::Unspecified => "unknown",
    }
}
