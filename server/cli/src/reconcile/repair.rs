//! Repairs what differs, as far as the limits allow it: all of it, or nothing is begun.

use std::collections::{BTreeSet, HashMap};

use clap::Args;
use portcullis_proto::gateway::v1::Create;
use portcullis_proto::gateway::v1::object_ref::By;

use super::Source;
use super::compare::{Difference, Kind};
use super::report::Counts;
use super::resume::Begun;
use super::side::Reading;
use super::working::{Action, Repaired, Working, read};
use crate::bulk::Progress;
use crate::call::Caller;
use crate::context::Context;
use crate::error::CliError;
use crate::input::typing::Typing;

/// How many objects may be changed.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Limits {
    /// Repair nothing where more would be created
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "repair")]
    most_creates: u64,
    /// Repair nothing where more would be updated
    #[arg(long, value_name = "N", default_value_t = 1000, requires = "repair")]
    most_updates: u64,
    /// Delete unknown ones, and repair nothing where there are more; without it none is deleted
    #[arg(long, value_name = "N", requires = "repair")]
    most_deletes: Option<u64>,
}

/// Collects what is to be done, no more than the limits allow.
pub(crate) struct Repair {
    limits: Limits,
    wanted: bool,
    /// What runs before this one, which were cut, have begun.
    begun: Begun,
    actions: HashMap<String, Action>,
}

impl Repair {
    pub(crate) fn new(limits: Limits, wanted: bool, begun: Begun) -> Self {
        Self {
            limits,
            wanted,
            begun,
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
        for (kind, option, count, most) in [
            (
                Kind::Missing,
                "creates",
                counts.missing,
                limits.most_creates,
            ),
            (
                Kind::Changed,
                "updates",
                counts.changed,
                limits.most_updates,
            ),
            (Kind::Unknown, "deletes", counts.unknown, deletes),
        ] {
            let (what, count) = (kind.word(), count.saturating_add(self.before(kind)));
            if count > most {
                return Err(CliError::ReconcileTooMany {
                    what,
                    option,
                    count,
                    most,
                });
            }
        }
        let of_source = [counts.same, counts.changed, counts.missing, counts.doubled];
        if limits.most_deletes.is_some() && counts.unknown > 0 && of_source == [0; 4] {
            return Err(CliError::ReconcileEmpty {
                unknown: counts.unknown,
            });
        }
        match self.respelled() {
            Some((missing, unknown)) => Err(CliError::ReconcileCase {
                missing: missing.to_owned(),
                unknown: unknown.to_owned(),
            }),
            None => Ok(()),
        }
    }

    /// How many objects earlier runs have begun to repair beside those that this one would.
    fn before(&self, kind: Kind) -> u64 {
        let again = |name: &String| {
            let action = self.actions.get(name);
            action.is_some_and(|action| action.difference.kind == kind)
        };
        let begun = self.begun.iter();
        let begun = begun.filter(|(word, name)| *word == kind.word() && !again(name));
        begun.count() as u64
    }

    /// A missing and an unknown object whose names differ in case only. Where the resource does
    /// not regard case they are one, which would be deleted.
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
        (reading, jobs, compared): (&mut Reading, u16, &BTreeSet<String>),
    ) -> Result<Repaired, CliError> {
        let progress = Progress::new(context, self.actions.len() as u64);
        let mut working = Working::new(caller, reading, jobs, progress);
        match source {
            Source::File(file) => {
                let mut rows = file.rows(typing)?;
                while let Some(row) = rows.next_row() {
                    let Ok(row) = row else { continue };
                    if let Some(action) = self.actions.remove(&row.name) {
                        let create = Create {
                            object_class: reading.class.class.into(),
                            ..row.create()
                        };
                        working.begin(reading, action, Some(create)).await?;
                    }
                }
            }
            Source::Resource(source, _) => {
                let mut source = source.clone();
                let names: Vec<_> = self.actions.keys().cloned().collect();
                for name in names {
                    let wanted = self.actions.get(&name);
                    if wanted.is_none_or(|action| action.difference.kind == Kind::Unknown) {
                        continue;
                    }
                    let found = match read(&mut source, By::Name(name.clone()), reading).await {
                        Ok(found) => found,
                        Err(error) => return working.stop(error).await,
                    };
                    if let (Some(action), Some(found)) = (self.actions.remove(&name), found) {
                        let create = Create {
                            object_class: reading.class.class.into(),
                            name: found.name,
                            attributes: found
                                .attributes
                                .into_iter()
                                .filter(|attribute| compared.contains(&attribute.name))
                                .collect(),
                            password: None,
                            enabled: found.enabled,
                        };
                        working.begin(reading, action, Some(create)).await?;
                    }
                }
            }
        }
        self.delete(working, source, reading).await
    }

    /// Deletes who is unknown, once all else has come to its end. Where one could not be made,
    /// nobody is: whoever is in its place may be that one under another name.
    async fn delete(
        self,
        mut working: Working,
        source: &Source,
        reading: &mut Reading,
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
            if let Source::Resource(source, _) = source {
                let by = By::Name(action.difference.name.clone());
                match read(&mut source.clone(), by, reading).await {
                    Ok(None) => {}
                    Ok(Some(_)) => continue,
                    Err(error) => return working.stop(error).await,
                }
            }
            working.begin(reading, action, None).await?;
        }
        working.end().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repair(limits: Limits, differences: &[(Kind, &str)]) -> Result<usize, CliError> {
        repair_after(&[], limits, differences)
    }

    fn repair_after(
        begun: &[(Kind, &str)],
        limits: Limits,
        differences: &[(Kind, &str)],
    ) -> Result<usize, CliError> {
        let begun = begun
            .iter()
            .map(|(kind, name)| (kind.word(), (*name).to_owned()));
        let mut repair = Repair::new(limits, true, begun.collect());
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
        let mut four = three.to_vec();
        four.push((Kind::Changed, "d"));
        assert_eq!(repair(endless, &four).unwrap(), 4);
        // A source without anybody is one that could not be read, more likely.
        assert!(matches!(
            repair(endless, &three),
            Err(CliError::ReconcileEmpty { unknown: 3 })
        ));
        assert!(matches!(
            repair(LIMITS, &three),
            Err(CliError::ReconcileTooMany { count: 3, .. })
        ));
    }

    /// Two may be deleted: whether by one run, or by one that goes on from another.
    #[test]
    fn limits_hold_over_all_runs_of_a_reconciliation() {
        let begun = [(Kind::Unknown, "a"), (Kind::Missing, "c")];
        for (found, taken) in [
            (&["a", "b"][..], true),
            (&["b"], true),
            (&["b", "c"], false),
        ] {
            let found = found.iter().map(|name| (Kind::Unknown, *name));
            // The source has somebody.
            let found: Vec<_> = found.chain([(Kind::Changed, "d")]).collect();
            let refused = repair_after(&begun, LIMITS, &found).err();
            assert_eq!(refused.is_none(), taken, "{found:?}");
            assert!(matches!(
                refused,
                None | Some(CliError::ReconcileTooMany { count: 3, .. })
            ));
        }
    }
}
