//! Carries out repairs, several at a time.

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::{
    Attribute, Create, Delete, Disable, Enable, FailureKind, Get, Modification,
    ModificationOperation, Object, ObjectRef, Update,
};
use serde::Serialize;
use tokio::task::JoinSet;

use super::compare::{Difference, Kind};
use super::side::Reading;
use crate::bulk::Progress;
use crate::call::{CallArgs, Caller, random_call_id};
use crate::class::Class;
use crate::error::CliError;

/// What was repaired.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Repaired {
    pub(crate) created: u64,
    pub(crate) updated: u64,
    pub(crate) deleted: u64,
    pub(crate) failed: u64,
    pub(crate) indeterminate: u64,
}

impl Repaired {
    fn count(&mut self, kind: Kind, done: &Result<Came, CliError>) {
        *match (done, kind) {
            (Ok(Came::Needless), _) => return,
            (Ok(Came::Repaired), Kind::Missing) => &mut self.created,
            (Ok(Came::Repaired), Kind::Unknown) => &mut self.deleted,
            (Ok(Came::Repaired), _) => &mut self.updated,
            (Err(CliError::Indeterminate { .. }), _) => &mut self.indeterminate,
            (Err(_), _) => &mut self.failed,
        } += 1;
    }

    pub(crate) fn verdict(&self) -> Result<(), CliError> {
        let done = self.created + self.updated + self.deleted;
        let total = done + self.failed + self.indeterminate;
        match (self.indeterminate, self.failed) {
            (0, 0) => Ok(()),
            (0, failed) => Err(CliError::ReconcileFailed { failed, total }),
            (indeterminate, _) => Err(CliError::ReconcileIndeterminate {
                indeterminate,
                total,
            }),
        }
    }
}

/// What is to be done about one object.
pub(super) struct Action {
    pub(super) difference: Difference,
    /// The names of the attributes that differ.
    pub(super) attributes: Vec<String>,
}

/// The object as it now is; `None`: it is not there.
pub(super) async fn read(
    caller: &mut Caller,
    by: By,
    reading: &Reading,
) -> Result<Option<Object>, CliError> {
    found(caller, reference(&reading.class, by), &reading.call).await
}

async fn found(
    caller: &mut Caller,
    object: ObjectRef,
    call: &CallArgs,
) -> Result<Option<Object>, CliError> {
    let get = Verb::Get(Get {
        object: Some(object),
        attribute_names: Vec::new(),
    });
    match caller.execute(get, &call.with_id(random_call_id())).await {
        Ok(answer) => Ok(answer.object()),
        Err(CliError::CallFailed {
            kind: FailureKind::NotFound,
            ..
        }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn reference(class: &Class, by: By) -> ObjectRef {
    ObjectRef {
        object_class: class.class.into(),
        class_name: class.name.clone(),
        by: Some(by),
    }
}

/// What came of a repair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    Repaired,
    /// There is nothing to be repaired any more.
    Needless,
}

/// Repairs under way.
pub(super) struct Working {
    under_way: JoinSet<(Kind, String, Result<Came, CliError>)>,
    jobs: usize,
    repaired: Repaired,
    /// A missing one could not be made, or nobody knows.
    pub(super) unmade: bool,
    caller: Caller,
    call: CallArgs,
    class: Class,
    progress: Progress,
    ended: u64,
}

impl Working {
    /// So many `jobs` at once; people see how far they have come by `progress`.
    pub(super) fn new(caller: Caller, reading: &Reading, jobs: u16, progress: Progress) -> Self {
        Self {
            under_way: JoinSet::new(),
            jobs: usize::from(jobs),
            repaired: Repaired::default(),
            unmade: false,
            caller,
            call: reading.call.clone(),
            class: reading.class.clone(),
            progress,
            ended: 0,
        }
    }

    pub(super) async fn begin(
        &mut self,
        reading: &mut Reading,
        action: Action,
        wanted: Option<Create>,
    ) -> Result<(), CliError> {
        while self.under_way.len() >= self.jobs {
            self.one().await?;
        }
        if let Some(progress) = &mut reading.progress {
            progress.repairs(action.difference.kind, &action.difference.name)?;
        }
        let (caller, call) = (self.caller.clone(), self.call.clone());
        let id = action.difference.id.clone().unwrap_or_default();
        let object = reference(&self.class, By::Id(id));
        self.under_way.spawn(async move {
            let kind = action.difference.kind;
            let name = action.difference.name.clone();
            let done = repair(caller, &call, object, (action, wanted)).await;
            (kind, name, done)
        });
        Ok(())
    }

    async fn one(&mut self) -> Result<(), CliError> {
        let Some(ended) = self.under_way.join_next().await else {
            return Ok(());
        };
        let (kind, name, done) = ended.map_err(|error| CliError::Runtime(error.into()))?;
        self.repaired.count(kind, &done);
        self.ended += 1;
        self.progress.count(done.is_ok());
        self.progress.at(self.ended);
        self.unmade |= done.is_err() && kind == Kind::Missing;
        if let Err(error) = done {
            self.progress.note(&format!("{name}: {error}"));
        }
        Ok(())
    }

    /// Begins nothing more, and lets what is under way come to its end.
    pub(super) async fn stop(self, error: CliError) -> Result<Repaired, CliError> {
        self.end().await?;
        Err(error)
    }

    pub(super) async fn wait(&mut self) -> Result<(), CliError> {
        while !self.under_way.is_empty() {
            self.one().await?;
        }
        Ok(())
    }

    pub(super) async fn end(mut self) -> Result<Repaired, CliError> {
        let waited = self.wait().await;
        self.progress.finish();
        waited.map(|()| self.repaired)
    }

    /// Says that nobody is deleted.
    pub(super) fn kept(&self) {
        self.progress.note(&format!(
            "no unknown {} is deleted: it may be one that could not be created",
            self.class.word()
        ));
    }
}

async fn repair(
    mut caller: Caller,
    call: &CallArgs,
    object: ObjectRef,
    (action, wanted): (Action, Option<Create>),
) -> Result<Came, CliError> {
    let args = || call.with_id(random_call_id());
    match (action.difference.kind, wanted) {
        (Kind::Missing, Some(create)) => caller
            .execute(Verb::Create(create), &args())
            .await
            .map(|_| Came::Repaired),
        (Kind::Changed, Some(wanted)) => {
            let modifications = modifications(&action.attributes, &wanted.attributes);
            if !modifications.is_empty() {
                let update = Verb::Update(Update {
                    object: Some(object.clone()),
                    modifications,
                });
                caller.execute(update, &args()).await?;
            }
            let object = Some(object);
            let switch = match action.difference.enabled {
                Some(true) => Verb::Enable(Enable { object }),
                Some(false) => Verb::Disable(Disable { object }),
                None => return Ok(Came::Repaired),
            };
            caller
                .execute(switch, &args())
                .await
                .map(|_| Came::Repaired)
        }
        (Kind::Unknown, _) => {
            // Whoever has got the name meanwhile, or another name, is not the one that was read.
            let found = found(&mut caller, object.clone(), call).await?;
            if found.is_none_or(|found| found.name != action.difference.name) {
                return Ok(Came::Needless);
            }
            let delete = Verb::Delete(Delete {
                object: Some(object),
            });
            caller
                .execute(delete, &args())
                .await
                .map(|_| Came::Repaired)
        }
        (Kind::Missing | Kind::Changed, None) | (Kind::Doubled, _) => Ok(Came::Needless),
    }
}

fn modifications(names: &[String], wanted: &[Attribute]) -> Vec<Modification> {
    let changed = wanted
        .iter()
        .filter(|attribute| names.contains(&attribute.name));
    changed
        .map(|attribute| Modification {
            operation: ModificationOperation::Replace.into(),
            name: attribute.name.clone(),
            values: attribute.values.clone(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_not_deleted_is_not_counted() {
        let mut repaired = Repaired::default();
        repaired.count(Kind::Unknown, &Ok(Came::Needless));
        repaired.count(Kind::Missing, &Ok(Came::Repaired));
        repaired.count(Kind::Changed, &Err(CliError::Unread));
        let counts = (repaired.created, repaired.deleted, repaired.failed);
        assert_eq!(counts, (1, 0, 1));
    }
}
