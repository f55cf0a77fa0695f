//! Repairs what differs, as far as the limits allow it: all of it, or nothing is begun.

use std::collections::{BTreeSet, HashMap};
use std::io::Write as _;

use clap::Args;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::{
    Attribute, Create, Delete, Disable, Enable, FailureKind, Get, Modification,
    ModificationOperation, ObjectClass, ObjectRef, Update,
};
use serde::Serialize;
use tokio::task::JoinSet;

use super::Source;
use super::compare::{Difference, Kind};
use super::report::Counts;
use crate::call::{CallArgs, Caller, random_call_id};
use crate::context::Context;
use crate::error::CliError;
use crate::input::typing::Typing;
use crate::view::printable;

/// How many accounts may be changed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Limits {
    /// Repair nothing where more accounts would be created
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "repair")]
    most_creates: u64,
    /// Repair nothing where more accounts would be updated
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "repair")]
    most_updates: u64,
    /// Delete unknown accounts, and repair nothing where there are more; without it none is deleted
    #[arg(long, value_name = "N", requires = "repair")]
    most_deletes: Option<u64>,
}

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

/// What is to be done about one account.
struct Action {
    difference: Difference,
    /// The names of the attributes that differ.
    attributes: Vec<String>,
}

/// Collects what is to be done, no more than the limits allow.
pub(crate) struct Repair {
    limits: Limits,
    wanted: bool,
    actions: HashMap<String, Action>,
}

impl Repair {
    pub(crate) fn new(limits: Limits, wanted: bool) -> Self {
        Self {
            limits,
            wanted,
            actions: HashMap::new(),
        }
    }

    pub(crate) fn take(&mut self, difference: Difference, attributes: Vec<String>) {
        let limits = &self.limits;
        let deletes = limits.most_deletes.unwrap_or(0);
        let changes = limits.most_creates.saturating_add(limits.most_updates);
        let most = changes.saturating_add(deletes);
        let is_wanted = match difference.kind {
            Kind::Missing | Kind::Changed => true,
            Kind::Unknown => limits.most_deletes.is_some(),
            Kind::Doubled => false,
        };
        if self.wanted && is_wanted && (self.actions.len() as u64) <= most {
            let action = Action {
                attributes,
                difference,
            };
            self.actions.insert(action.difference.name.clone(), action);
        }
    }

    /// Whether there is no more to repair than the limits allow, and nobody would be deleted whom
    /// the source has under another spelling.
    pub(crate) fn check(&self, counts: &Counts) -> Result<(), CliError> {
        let limits = &self.limits;
        let deletes = limits.most_deletes.unwrap_or(u64::MAX);
        for (what, option, count, most) in [
            ("missing", "creates", counts.missing, limits.most_creates),
            ("changed", "updates", counts.changed, limits.most_updates),
            ("unknown", "deletes", counts.unknown, deletes),
        ] {
            if count > most {
                return Err(CliError::ReconcileTooMany {
                    what,
                    option,
                    count,
                    most,
                });
            }
        }
        match self.respelled() {
            Some((missing, unknown)) => Err(CliError::ReconcileCase {
                missing: missing.to_owned(),
                unknown: unknown.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// A missing and an unknown account whose names differ in case only. Where the resource does
    /// not regard case they are one account, which would be deleted.
    fn respelled(&self) -> Option<(&str, &str)> {
        let of = |kind| {
            let all = self.actions.values().map(|action| &action.difference);
            let all = all.filter(move |difference| difference.kind == kind);
            all.map(|difference| difference.name.as_str())
        };
        let unknown: HashMap<_, _> = of(Kind::Unknown)
            .map(|name| (name.to_lowercase(), name))
            .collect();
        if unknown.is_empty() {
            return None;
        }
        of(Kind::Missing).find_map(|name| Some((name, *unknown.get(&name.to_lowercase())?)))
    }

    /// Does it, several at a time.
    pub(crate) async fn run(
        mut self,
        context: &Context,
        source: &Source,
        caller: Caller,
        typing: &Typing,
        (call, jobs, compared): (&CallArgs, u16, &BTreeSet<String>),
    ) -> Result<Repaired, CliError> {
        let mut working = Working {
            under_way: JoinSet::new(),
            jobs: usize::from(jobs),
            repaired: Repaired::default(),
            unmade: false,
            caller,
            call: call.clone(),
            silent: context.json(),
        };
        match source {
            Source::File(file) => {
                let mut rows = file.rows(typing)?;
                while let Some(row) = rows.next_row() {
                    let Ok(row) = row else { continue };
                    if let Some(action) = self.actions.remove(&row.name) {
                        working.begin(action, Some(row.create())).await?;
                    }
                }
            }
            Source::Resource(source) => {
                let mut source = source.clone();
                let names: Vec<_> = self.actions.keys().cloned().collect();
                for name in names {
                    let wanted = self.actions.get(&name);
                    if wanted.is_none_or(|action| action.difference.kind == Kind::Unknown) {
                        continue;
                    }
                    let found = match read(&mut source, By::Name(name.clone()), call).await {
                        Ok(found) => found,
                        Err(error) => return working.stop(error).await,
                    };
                    if let (Some(action), Some(found)) = (self.actions.remove(&name), found) {
                        let create = Create {
                            object_class: ObjectClass::Account.into(),
                            name: found.name,
                            attributes: found
                                .attributes
                                .into_iter()
                                .filter(|attribute| compared.contains(&attribute.name))
                                .collect(),
                            password: None,
                            enabled: found.enabled,
                        };
                        working.begin(action, Some(create)).await?;
                    }
                }
            }
        }
        self.delete(working, source, call).await
    }

    /// Deletes who is unknown, once all else has come to its end. Where one could not be made,
    /// nobody is: whoever is in its place may be that one under another name.
    async fn delete(
        self,
        mut working: Working,
        source: &Source,
        call: &CallArgs,
    ) -> Result<Repaired, CliError> {
        working.wait().await?;
        for action in self.actions.into_values() {
            if action.difference.kind != Kind::Unknown {
                continue;
            }
            if working.unmade {
                working.kept();
                break;
            }
            // The other resource was read first: whom it got meanwhile only looks unknown.
            if let Source::Resource(source) = source {
                let by = By::Name(action.difference.name.clone());
                match read(&mut source.clone(), by, call).await {
                    Ok(None) => {}
                    Ok(Some(_)) => continue,
                    Err(error) => return working.stop(error).await,
                }
            }
            working.begin(action, None).await?;
        }
        working.end().await
    }
}

/// The account as it now is; `None`: it is not there.
async fn read(
    caller: &mut Caller,
    by: By,
    call: &CallArgs,
) -> Result<Option<portcullis_proto::gateway::v1::Object>, CliError> {
    let get = Verb::Get(Get {
        object: Some(ObjectRef {
            object_class: ObjectClass::Account.into(),
            class_name: String::new(),
            by: Some(by),
        }),
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

/// Repairs under way.
struct Working {
    under_way: JoinSet<(Kind, String, Result<(), CliError>)>,
    jobs: usize,
    repaired: Repaired,
    /// A missing account could not be made, or nobody knows.
    unmade: bool,
    caller: Caller,
    call: CallArgs,
    silent: bool,
}

impl Working {
    async fn begin(&mut self, action: Action, wanted: Option<Create>) -> Result<(), CliError> {
        while self.under_way.len() >= self.jobs {
            self.one().await?;
        }
        let (caller, call) = (self.caller.clone(), self.call.clone());
        self.under_way.spawn(async move {
            let kind = action.difference.kind;
            let name = action.difference.name.clone();
            let done = repair(caller, &call, action, wanted).await;
            (kind, name, done)
        });
        Ok(())
    }

    async fn one(&mut self) -> Result<(), CliError> {
        let Some(ended) = self.under_way.join_next().await else {
            return Ok(());
        };
        let (kind, name, done) = ended.map_err(|error| CliError::Runtime(error.into()))?;
        let repaired = &mut self.repaired;
        let count = match (&done, kind) {
            (Ok(()), Kind::Missing) => &mut repaired.created,
            (Ok(()), Kind::Unknown) => &mut repaired.deleted,
            (Ok(()), _) => &mut repaired.updated,
            (Err(CliError::Indeterminate { .. }), _) => &mut repaired.indeterminate,
            (Err(_), _) => &mut repaired.failed,
        };
        *count += 1;
        self.unmade |= done.is_err() && kind == Kind::Missing;
        if let Err(error) = done
            && !self.silent
        {
            // A closed terminal does not stop the repair.
            let _ = writeln!(std::io::stderr(), "{}: {error}", printable(&name));
        }
        Ok(())
    }

    /// Begins nothing more, and lets what is under way come to its end.
    async fn stop(self, error: CliError) -> Result<Repaired, CliError> {
        self.end().await?;
        Err(error)
    }

    async fn wait(&mut self) -> Result<(), CliError> {
        while !self.under_way.is_empty() {
            self.one().await?;
        }
        Ok(())
    }

    async fn end(mut self) -> Result<Repaired, CliError> {
        self.wait().await?;
        Ok(self.repaired)
    }

    /// Says that nobody is deleted.
    fn kept(&self) {
        if !self.silent {
            // A closed terminal does not stop the repair.
            let _ = writeln!(
                std::io::stderr(),
                "no unknown account is deleted: it may be one that could not be created"
            );
        }
    }
}

async fn repair(
    mut caller: Caller,
    call: &CallArgs,
    action: Action,
    wanted: Option<Create>,
) -> Result<(), CliError> {
    let id = action.difference.id.clone().unwrap_or_default();
    let object = Some(ObjectRef {
        object_class: ObjectClass::Account.into(),
        class_name: String::new(),
        by: Some(By::Id(id.clone())),
    });
    let args = || call.with_id(random_call_id());
    match (action.difference.kind, wanted) {
        (Kind::Missing, Some(create)) => caller
            .execute(Verb::Create(create), &args())
            .await
            .map(drop),
        (Kind::Changed, Some(wanted)) => {
            let modifications = modifications(&action.attributes, &wanted.attributes);
            if !modifications.is_empty() {
                let update = Verb::Update(Update {
                    object: object.clone(),
                    modifications,
                });
                caller.execute(update, &args()).await?;
            }
            let switch = match action.difference.enabled {
                Some(true) => Verb::Enable(Enable { object }),
                Some(false) => Verb::Disable(Disable { object }),
                None => return Ok(()),
            };
            caller.execute(switch, &args()).await.map(drop)
        }
        (Kind::Unknown, _) => {
            // Whoever has got the name meanwhile, or another name, is not the one that was read.
            let found = read(&mut caller, By::Id(id), call).await?;
            if found.is_some_and(|found| found.name == action.difference.name) {
                caller
                    .execute(Verb::Delete(Delete { object }), &args())
                    .await?;
            }
            Ok(())
        }
        (Kind::Missing | Kind::Changed, None) | (Kind::Doubled, _) => Ok(()),
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

    fn repair(limits: Limits, differences: &[(Kind, &str)]) -> Result<usize, CliError> {
        let mut repair = Repair::new(limits, true);
        let mut counts = Counts::default();
        for (kind, name) in differences {
            let difference = Difference {
                kind: *kind,
                name: (*name).to_owned(),
                id: None,
                line: None,
                attributes: Vec::new(),
                enabled: None,
            };
            counts.add(Some(&difference));
            repair.take(difference, Vec::new());
        }
        repair.check(&counts).map(|()| repair.actions.len())
    }

    const LIMITS: Limits = Limits {
        most_creates: 2,
        most_updates: 2,
        most_deletes: Some(2),
    };

    #[test]
    fn nobody_is_deleted_whom_the_source_spells_otherwise() {
        let respelled = [(Kind::Missing, "Ädä"), (Kind::Unknown, "ädä")];
        let error = repair(LIMITS, &respelled).unwrap_err().to_string();
        assert!(error.contains("--ignore-case"), "{error}");
        let others = [(Kind::Missing, "Ada"), (Kind::Unknown, "ann")];
        assert_eq!(repair(LIMITS, &others).unwrap(), 2);
        // Whoever deletes nobody may make another spelling.
        let none = Limits {
            most_deletes: None,
            ..LIMITS
        };
        assert_eq!(repair(none, &respelled).unwrap(), 1);
    }

    #[test]
    fn limits_of_any_size_count() {
        let endless = Limits {
            most_deletes: Some(u64::MAX),
            ..LIMITS
        };
        let three = ["a", "b", "c"].map(|name| (Kind::Unknown, name));
        assert_eq!(repair(endless, &three).unwrap(), 3);
        assert!(matches!(
            repair(LIMITS, &three),
            Err(CliError::ReconcileTooMany { count: 3, .. })
        ));
    }
}
