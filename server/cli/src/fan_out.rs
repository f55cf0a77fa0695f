//! `@GROUP` in place of a resource: one call on each resource of the group, each with an outcome of
//! its own.
//!
//! The id of each call is made of the caller's id and the resource. So the same command under the
//! same id joins what is under way, has the outcome of what is done, and makes what is missing.

use std::collections::VecDeque;
use std::time::SystemTime;

use data_encoding::HEXLOWER;
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use portcullis_proto::admin::v1::ListResourcesRequest;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use portcullis_proto::gateway::v1::NativeError;
use portcullis_proto::gateway::v1::call::Verb;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::bulk::{IN_FLIGHT, Progress, patiently};
use crate::call::{Answer, CallArgs, Caller};
use crate::context::Context;
use crate::error::CliError;
use crate::view::{Listed, View};

/// What stands before the name of a group where a resource is named; no resource's name begins so.
const GROUP: char = '@';

/// Bytes of a call id.
const MAX_CALL_ID: usize = 128;

/// A change of a resource, or of each resource of a group.
pub(crate) struct Change<'a> {
    /// The resource, or `@GROUP`.
    pub(crate) resource: String,
    /// The call is to set the password of this user.
    pub(crate) password_of: Option<String>,
    pub(crate) args: &'a CallArgs,
    /// What is said where one resource has nothing to say of itself.
    pub(crate) sentence: String,
}

impl Change<'_> {
    /// Makes the call that `verb` makes for a resource, and prints what came of it.
    pub(crate) async fn tell(
        self,
        context: &Context,
        verb: impl AsyncFn(&mut Caller) -> Result<Verb, CliError>,
    ) -> Result<(), CliError> {
        if let Some(group) = self.resource.strip_prefix(GROUP) {
            return self.on_each(context, group, verb).await;
        }
        let caller = Caller::new(context, self.resource.clone()).await?;
        let mut caller = self.prepared(caller);
        let verb = verb(&mut caller).await?;
        caller.tell(context, verb, self.args, &self.sentence).await
    }

    fn prepared(&self, caller: Caller) -> Caller {
        match &self.password_of {
            Some(user) => caller.with_password_of(user.clone()),
            None => caller,
        }
    }

    async fn on_each(
        &self,
        context: &Context,
        group: &str,
        verb: impl AsyncFn(&mut Caller) -> Result<Verb, CliError>,
    ) -> Result<(), CliError> {
        let resources = members(context, group).await?;
        let caller = self.prepared(Caller::new(context, String::new()).await?);
        let args = self.args.identified();
        let prepared = resources.into_iter().map(async |resource| {
            let mut part = Part {
                call_id: part_id(args.id(), &resource),
                caller: caller.on(resource.clone()),
                resource,
            };
            let verb = verb(&mut part.caller).await;
            (part, verb)
        });
        let mut parts = VecDeque::new();
        let mut outcomes = Vec::new();
        for (part, verb) in join_all(prepared).await {
            match verb {
                Ok(verb) => parts.push_back((part, verb)),
                // What is wrong with the command itself is so on every resource.
                Err(error @ (CliError::CallFailed { .. } | CliError::Refused { .. })) => {
                    outcomes.push(part.came(Err(error)));
                }
                Err(error) => return Err(error),
            }
        }
        outcomes.extend(make(context, parts, &args).await?);
        outcomes.sort_by(|one, other| one.resource.cmp(&other.resource));
        context.print(&outcomes)?;
        verdict(args.id(), &outcomes)
    }
}

/// The names of the resources in a group, in order.
async fn members(context: &Context, group: &str) -> Result<Vec<String>, CliError> {
    let mut client = context.client(ResourcesClient::new).await?;
    let groups = vec![group.to_owned()];
    let listed = client.list(ListResourcesRequest { groups }).await?;
    let listed = listed.into_inner().resources.into_iter();
    let names: Vec<_> = listed.map(|resource| resource.name).collect();
    if names.is_empty() {
        return Err(CliError::Usage(format!(
            "no resource is in group `{group}`: `portcullis resource set NAME --add-group {group}` puts one into it"
        )));
    }
    Ok(names)
}

/// The id of the call on one resource; the same for the same id and resource.
fn part_id(id: &str, resource: &str) -> String {
    let whole = format!("{id}:{resource}");
    if whole.len() <= MAX_CALL_ID {
        return whole;
    }
    let digest = HEXLOWER.encode(&Sha256::digest(id.as_bytes())[..16]);
    format!("{digest}:{resource}")
}

/// The call on one resource.
struct Part {
    resource: String,
    call_id: String,
    caller: Caller,
}

impl Part {
    fn came(self, came: Result<Answer, CliError>) -> PartOutcome {
        PartOutcome {
            resource: self.resource,
            call_id: self.call_id,
            came,
        }
    }

    async fn make(mut self, verb: Verb, args: CallArgs) -> PartOutcome {
        let args = args.part(self.call_id.clone());
        let made = patiently(&mut self.caller, verb, &args).await;
        self.came(made)
    }
}

/// Makes the calls, many at a time. After an interrupt no other is begun, and those under way are
/// waited for; after a second one they are left.
async fn make(
    context: &Context,
    mut parts: VecDeque<(Part, Verb)>,
    args: &CallArgs,
) -> Result<Vec<PartOutcome>, CliError> {
    let mut interrupts = context.pending().interrupts().map_err(CliError::Runtime)?;
    let progress = Progress::new(context, parts.len() as u64);
    let mut under_way = FuturesUnordered::new();
    let mut outcomes: Vec<PartOutcome> = Vec::new();
    let mut interrupted = false;
    loop {
        while !interrupted
            && under_way.len() < usize::from(IN_FLIGHT)
            && let Some((part, verb)) = parts.pop_front()
        {
            under_way.push(part.make(verb, args.clone()));
        }
        tokio::select! {
            biased;
            outcome = under_way.next() => match outcome {
                None => break,
                Some(outcome) => {
                    progress.count(outcome.came.is_ok());
                    outcomes.push(outcome);
                    progress.at(outcomes.len() as u64);
                }
            },
            () = interrupts.next() => {
                if interrupted {
                    let under_way = under_way.len();
                    return Err(CliError::GroupLeft { id: args.id().to_owned(), under_way });
                }
                interrupted = true;
                let count = under_way.len();
                progress.note(&format!(
                    "interrupted: waiting for the {count} calls on their way; interrupt again to leave them"
                ));
            }
        }
    }
    progress.finish();
    let unbegun = parts.into_iter();
    outcomes.extend(unbegun.map(|(part, _)| part.came(Err(CliError::Unbegun))));
    Ok(outcomes)
}

/// What came of the call on one resource.
struct PartOutcome {
    resource: String,
    call_id: String,
    came: Result<Answer, CliError>,
}

impl PartOutcome {
    fn word(&self) -> &'static str {
        match &self.came {
            Ok(answer) => answer.word(),
            Err(CliError::Indeterminate { .. }) => "indeterminate",
            Err(_) => "failed",
        }
    }
}

impl View for PartOutcome {
    fn table(&self, now: SystemTime) -> String {
        self.row(now).join(" ")
    }

    fn json(&self) -> Value {
        let mut out = json!({
            "resource": self.resource,
            "call_id": self.call_id,
            "outcome": self.word(),
        });
        match &self.came {
            Ok(answer) => answer.insert_into(&mut out),
            Err(error) => {
                out["kind"] = error.kind().into();
                out["message"] = error.to_string().into();
                if let Some(NativeError { code, text }) = error.native() {
                    out["native"] = json!({ "code": code, "text": text });
                }
            }
        }
        out
    }
}

impl Listed for PartOutcome {
    const NONE: &'static str = "no resource";
    const HEADING: &'static [&'static str] = &["resource", "outcome", "call", "why"];

    fn row(&self, _: SystemTime) -> Vec<String> {
        let why = match &self.came {
            Ok(answer) => answer.report().to_owned(),
            Err(error) => format!("{}: {error}", error.kind()),
        };
        let cells = [&*self.resource, self.word(), &*self.call_id];
        cells.into_iter().map(str::to_owned).chain([why]).collect()
    }
}

/// Whether it is done on all of them. What nobody knows outweighs what failed.
fn verdict(id: &str, outcomes: &[PartOutcome]) -> Result<(), CliError> {
    let (id, total) = (id.to_owned(), outcomes.len());
    let count = |word| outcomes.iter().filter(|one| one.word() == word).count();
    match (count("indeterminate"), count("failed")) {
        (0, 0) => Ok(()),
        (0, failed) => Err(CliError::GroupFailed { id, failed, total }),
        (indeterminate, _) => Err(CliError::GroupIndeterminate {
            id,
            indeterminate,
            total,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_part_is_as_long_as_ids_may_be_and_the_same_each_time() {
        assert_eq!(part_id("leave-4711", "hr"), "leave-4711:hr");
        let long = "i".repeat(MAX_CALL_ID);
        let id = part_id(&long, &"r".repeat(64));
        assert!(id.len() <= MAX_CALL_ID, "{id}");
        assert_eq!(id, part_id(&long, &"r".repeat(64)));
        assert_ne!(id, part_id(&long[1..], &"r".repeat(64)));
    }
}
