//! One command, many calls: `@GROUP` in place of a resource is each resource of the group, and
//! `--each` each object that a file names. Every call has an outcome of its own.
//!
//! The id of each call is made of the caller's id, the resource and the object. So the same command
//! under the same id joins what is under way, has the outcome of what is done, and makes what is
//! missing.

mod outcomes;

use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use portcullis_proto::admin::v1::ListResourcesRequest;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use portcullis_proto::gateway::v1::ObjectRef;
use portcullis_proto::gateway::v1::call::Verb;
use sha2::{Digest, Sha256};

use crate::bulk::{InFlight, Progress, patiently};
use crate::call::{Answer, CallArgs, Caller, GROUP};
use crate::context::Context;
use crate::error::CliError;
use crate::targets::Objects;
use outcomes::{Outcomes, Part};

/// Bytes of a call id.
const MAX_CALL_ID: usize = 128;

/// A change of an object of a resource, or of many, on each resource of a group, or on many.
pub(crate) struct Change<'a> {
    /// The resource, or `@GROUP`.
    pub(crate) resource: String,
    /// What it is about; of a new object the call itself has the name.
    pub(crate) objects: Objects,
    /// The call is to set the password of this user.
    pub(crate) password_of: Option<String>,
    pub(crate) args: &'a CallArgs,
    pub(crate) in_flight: InFlight,
    /// What is then so of an object.
    pub(crate) done: &'a str,
}

impl Change<'_> {
    /// Makes the call that `verb` makes for a resource, about each object, and prints what came of
    /// it.
    pub(crate) async fn tell(
        self,
        context: &Context,
        verb: impl AsyncFn(&mut Caller) -> Result<Verb, CliError>,
    ) -> Result<(), CliError> {
        let group = self.resource.strip_prefix(GROUP);
        let (object, phrase) = match (&self.objects, group) {
            (Objects::One { object, phrase }, None) => (object, phrase),
            _ => return self.many(context, group, verb).await,
        };
        let caller = Caller::new(context, self.resource.clone()).await?;
        let mut caller = self.prepared(caller);
        let verb = about(verb(&mut caller).await?, object);
        let sentence = format!("{phrase} {}", self.done);
        caller.tell(context, verb, self.args, &sentence).await
    }

    fn prepared(&self, caller: Caller) -> Caller {
        match &self.password_of {
            Some(user) => caller.with_password_of(user.clone()),
            None => caller,
        }
    }

    async fn many(
        &self,
        context: &Context,
        group: Option<&str>,
        verb: impl AsyncFn(&mut Caller) -> Result<Verb, CliError>,
    ) -> Result<(), CliError> {
        let resources = match group {
            Some(group) => members(context, group).await?,
            None => vec![self.resource.clone()],
        };
        let caller = self.prepared(Caller::new(context, String::new()).await?);
        let args = self.args.identified();
        let asked = resources.into_iter().map(async |resource| {
            let mut caller = caller.on(resource.clone());
            let verb = verb(&mut caller).await;
            (resource, caller, verb)
        });
        let mut prepared = Vec::new();
        for (resource, caller, verb) in join_all(asked).await {
            let verb = match verb {
                Ok(verb) => Ok(verb),
                // It says nothing of the other resources.
                Err(error @ (CliError::CallFailed { .. } | CliError::Refused { .. })) => {
                    Err((error.kind(), error.to_string()))
                }
                Err(error) => return Err(error),
            };
            prepared.push(Prepared {
                resource,
                caller,
                verb,
            });
        }
        let parts = Parts {
            prepared: &prepared,
            objects: &self.objects,
            args: &args,
        };
        let outcomes = Outcomes {
            parts: make(context, &parts, self.in_flight).await?,
            brief: matches!(self.objects, Objects::Each(_)),
        };
        context.print(&outcomes)?;
        outcomes.verdict(args.id())
    }
}

/// The same call about this object, where it is about one that is there.
fn about(mut verb: Verb, of: &ObjectRef) -> Verb {
    let object = match &mut verb {
        Verb::Update(verb) => &mut verb.object,
        Verb::Delete(verb) => &mut verb.object,
        Verb::Enable(verb) => &mut verb.object,
        Verb::Disable(verb) => &mut verb.object,
        Verb::SetPassword(verb) => &mut verb.object,
        Verb::Rename(verb) => &mut verb.object,
        _ => return verb,
    };
    *object = Some(of.clone());
    verb
}

/// The names of the resources in a group, in order.
async fn members(context: &Context, group: &str) -> Result<Vec<String>, CliError> {
    let mut client = context.client(ResourcesClient::new).await?;
    let groups = vec![group.to_owned()];
    let listed = client.list(ListResourcesRequest { groups }).await?;
    let listed = listed.into_inner().resources.into_iter();
    let mut names: Vec<_> = listed.map(|resource| resource.name).collect();
    names.sort();
    if names.is_empty() {
        return Err(CliError::Usage(format!(
            "no resource is in group `{group}`: `portcullis resource set NAME --add-group {group}` puts one into it"
        )));
    }
    Ok(names)
}

/// The id of one of the calls; the same for the same id, resource and object.
fn part_id(id: &str, resource: &str, name: Option<&str>) -> String {
    let digest = |text: &str| HEXLOWER.encode(&Sha256::digest(text.as_bytes())[..16]);
    let object = name.map(|name| format!(":{}", digest(name)));
    let object = object.unwrap_or_default();
    let whole = format!("{id}:{resource}{object}");
    if whole.len() <= MAX_CALL_ID {
        return whole;
    }
    format!("{}{object}", digest(&format!("{id}:{resource}")))
}

/// A resource, and what is to be done there; or why nothing can be.
struct Prepared {
    resource: String,
    caller: Caller,
    verb: Result<Verb, (&'static str, String)>,
}

/// All calls, in their order.
struct Parts<'a> {
    prepared: &'a [Prepared],
    objects: &'a Objects,
    args: &'a CallArgs,
}

impl Parts<'_> {
    fn objects(&self) -> usize {
        match self.objects {
            Objects::One { .. } => 1,
            Objects::Each(named) => named.len(),
        }
    }

    fn len(&self) -> usize {
        self.objects() * self.prepared.len()
    }

    /// The call at this place: those about one object stand together.
    fn at(&self, place: usize) -> Option<(&Prepared, Option<&str>, &ObjectRef)> {
        let resources = self.prepared.len().max(1);
        let prepared = self.prepared.get(place % resources)?;
        let (name, object) = match self.objects {
            Objects::One { object, .. } => (None, object),
            Objects::Each(named) => {
                let (name, object) = named.get(place / resources)?;
                (Some(name.as_str()), object)
            }
        };
        (place < self.len()).then_some((prepared, name, object))
    }

    async fn make(&self, place: usize) -> Option<(usize, Part)> {
        let (prepared, name, object) = self.at(place)?;
        let call_id = part_id(self.args.id(), &prepared.resource, name);
        let came = match &prepared.verb {
            Ok(verb) => {
                let mut caller = prepared.caller.clone();
                let args = self.args.part(call_id.clone());
                let verb = about(verb.clone(), object);
                patiently(&mut caller, verb, &args).await
            }
            Err((kind, message)) => Err(CliError::Unprepared {
                kind,
                message: message.clone(),
            }),
        };
        Some((place, self.part(place, came)?))
    }

    fn part(&self, place: usize, came: Result<Answer, CliError>) -> Option<Part> {
        let (prepared, name, _) = self.at(place)?;
        let made = came.as_ref().err().is_none_or(CliError::left_a_call);
        let call_id = made.then(|| part_id(self.args.id(), &prepared.resource, name));
        Some(Part {
            call_id,
            resource: prepared.resource.clone(),
            name: name.map(str::to_owned),
            came,
        })
    }
}

/// Makes the calls, many at a time. After an interrupt no other is begun, and those under way are
/// waited for; after a second one they are left.
async fn make(
    context: &Context,
    parts: &Parts<'_>,
    in_flight: InFlight,
) -> Result<Vec<Part>, CliError> {
    let mut interrupts = context.pending().interrupts().map_err(CliError::Runtime)?;
    let progress = Progress::new(context, parts.len() as u64);
    let mut under_way = FuturesUnordered::new();
    let mut outcomes = Vec::new();
    let (mut next, mut interrupted) = (0, false);
    loop {
        while !interrupted && next < parts.len() && under_way.len() < in_flight.get() {
            under_way.push(parts.make(next));
            next += 1;
        }
        tokio::select! {
            biased;
            outcome = under_way.next() => match outcome {
                None => break,
                Some(None) => {}
                Some(Some((place, part))) => {
                    progress.count(part.came.is_ok());
                    outcomes.push((place, part));
                    progress.at(outcomes.len() as u64);
                }
            },
            () = interrupts.next() => {
                let count = under_way.len();
                if interrupted {
                    let id = parts.args.id().to_owned();
                    return Err(CliError::ManyLeft { id, under_way: count });
                }
                interrupted = true;
                progress.note(&format!(
                    "interrupted: waiting for the {count} calls on their way; interrupt again to leave them"
                ));
            }
        }
    }
    progress.finish();
    outcomes.sort_by_key(|(place, _)| *place);
    let made = outcomes.into_iter().map(|(_, part)| part);
    let unbegun = next..parts.len();
    let unbegun = unbegun.filter_map(|place| parts.part(place, Err(CliError::Unbegun)));
    Ok(made.chain(unbegun).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_part_is_as_long_as_ids_may_be_and_the_same_each_time() {
        assert_eq!(part_id("leave-4711", "hr", None), "leave-4711:hr");
        let (long, resource) = ("i".repeat(MAX_CALL_ID), "r".repeat(64));
        let ids: std::collections::HashSet<_> = [
            part_id(&long, &resource, None),
            part_id(&long[1..], &resource, None),
            part_id(&long, &resource[1..], None),
            part_id(&long, &resource, Some("ada")),
            part_id(&long, &resource, Some("eve")),
        ]
        .into();
        assert_eq!(ids.len(), 5);
        assert!(ids.iter().all(|id| id.len() <= MAX_CALL_ID), "{ids:?}");
        assert!(ids.contains(&part_id(&long, &resource, Some("eve"))));
    }
}
