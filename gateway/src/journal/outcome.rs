//! Outcomes as the journal keeps them: without what a call answered, which may be long or a secret.

use portcullis_proto::gateway::v1 as wire;
use wire::outcome::Result as Kept;

use crate::model::{
    Done, Failure, FailureKind, Identity, Indeterminate, Native, Object, ObjectClass, ObjectId,
    ObjectName, Outcome, RunResult,
};

/// Letters of a text that are kept.
const MAX_TEXT: usize = 300;

/// What is kept of an outcome: of an object who it is, of an action its exit code.
pub(super) fn keep(outcome: &Outcome) -> wire::Outcome {
    let result = match outcome {
        Outcome::Done(done) => Kept::Done(wire::Done { detail: kept(done) }),
        Outcome::Failed(failure) => Kept::Failed(wire::Failure {
            message: shortened(&failure.message),
            ..failure.clone().into()
        }),
        Outcome::Indeterminate(why) => Kept::Indeterminate(wire::Indeterminate {
            message: shortened(&why.message),
            ..wire::Indeterminate::default()
        }),
    };
    wire::Outcome {
        call_id: String::new(),
        result: Some(result),
    }
}

fn kept(done: &Done) -> Option<wire::done::Detail> {
    match done {
        Done::Object(object) => Some(wire::done::Detail::Object(wire::Object {
            object_class: wire::ObjectClass::from(object.identity.class).into(),
            id: object.identity.id.as_str().to_owned(),
            name: object.identity.name.as_str().to_owned(),
            ..wire::Object::default()
        })),
        Done::Run(run) => Some(wire::done::Detail::Run(wire::RunResult {
            exit_code: run.exit_code,
            results: Vec::new(),
        })),
        Done::Report(report) => Some(wire::done::Detail::Report(shortened(report))),
        Done::Nothing | Done::Schema(_) => None,
    }
}

/// The outcome that was kept.
pub(super) fn recall(kept: wire::Outcome) -> Outcome {
    match kept.result {
        Some(Kept::Done(done)) => Outcome::Done(recalled(done)),
        Some(Kept::Failed(failure)) => {
            let kind = FailureKind::from_wire(failure.kind());
            let kept = Failure::new(kind, failure.message);
            Outcome::Failed(match failure.native {
                Some(native) => kept.with_native(Native::new(native.code, &native.text)),
                None => kept,
            })
        }
        Some(Kept::Indeterminate(why)) => Outcome::Indeterminate(why.message.into()),
        None => Outcome::Indeterminate(Indeterminate::from(
            "the journal does not say what came of the call".to_owned(),
        )),
    }
}

fn recalled(done: wire::Done) -> Done {
    match done.detail {
        Some(wire::done::Detail::Object(object)) => {
            let class = match object.object_class() {
                wire::ObjectClass::Account => ObjectClass::Account,
                wire::ObjectClass::Group => ObjectClass::Group,
                // Nothing changes an object of another class.
                wire::ObjectClass::Unspecified | wire::ObjectClass::Other => {
                    return Done::Nothing;
                }
            };
            let (id, name) = (ObjectId::new(object.id), ObjectName::new(object.name));
            let (Ok(id), Ok(name)) = (id, name) else {
                return Done::Nothing;
            };
            Done::Object(Box::new(Object {
                identity: Identity { class, id, name },
                enabled: None,
                attributes: Vec::new(),
            }))
        }
        Some(wire::done::Detail::Run(run)) => Done::Run(RunResult {
            exit_code: run.exit_code,
            results: Vec::new(),
        }),
        Some(wire::done::Detail::Report(report)) => Done::Report(report),
        Some(wire::done::Detail::Schema(_)) | None => Done::Nothing,
    }
}

pub(super) fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}
