//! Whether what a resource was given fits what its connector declares. A setting that the connector
//! does not know, and a rule for an attribute that it does not have, make calls fail: whoever gives
//! one is to hear of it at once. Neither is refused, for the gateway may learn of it later.

use portcullis_host::nearest::nearest_first;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{
    Call, ClassSchema, Done, Failure, FailureKind, GetSchema, ObjectClass, Schema,
};

use super::calls;
use super::context::Context;
use crate::repository::Resource;

/// How long the gateway may take to say what its connector declares, in milliseconds.
const PATIENCE_MS: u32 = 5_000;
/// Rules that are named in one warning.
const MAX_NAMED: usize = 3;

/// What to say where the gateway is connected and has told of no connector of the resource's, or
/// where that does not know what the resource has, which is asked for where it `may_misfit`; else
/// empty.
pub(super) async fn warning(context: &Context, resource: &Resource, may_misfit: bool) -> String {
    let Resource {
        gateway, connector, ..
    } = resource;
    context.services.fleet.ask_again(gateway).await;
    let link = context.services.fleet.status(gateway);
    let Some(described) = link.and_then(|link| link.description) else {
        return String::new();
    };
    let mut names = described.connectors.iter().map(|one| one.name.as_str());
    if names.any(|name| name == connector) {
        return match may_misfit {
            true => misfit(context, resource).await.unwrap_or_default(),
            false => String::new(),
        };
    }
    let names = described.connectors.iter().map(|one| one.name.as_str());
    let there = match described.connectors.is_empty() {
        true => "it has none at all".to_owned(),
        false => format!("those there are: {}", nearest_first(connector, names)),
    };
    format!(
        "gateway `{gateway}` has no connector `{connector}` ({there}): calls fail until its configuration has one, or `portcullis resource set {} --connector NAME`",
        resource.name
    )
}

/// What the connector does not know; `None`: nothing, or nobody can tell now.
async fn misfit(context: &Context, resource: &Resource) -> Option<String> {
    // The password that counts is not known yet: finding out may take long.
    if !resource.pending.is_empty() {
        return None;
    }
    let call = Call {
        timeout_ms: PATIENCE_MS,
        verb: Some(Verb::Schema(GetSchema {})),
        ..Call::default()
    };
    let asked = calls::ask(context, &resource.name, call).await;
    match asked.ok()?.result? {
        OutcomeResult::Failed(failure) => unknown_setting(resource, &failure),
        OutcomeResult::Done(Done {
            detail: Some(Detail::Schema(schema)),
        }) => unknown_targets(resource, &schema),
        OutcomeResult::Done(_) | OutcomeResult::Indeterminate(_) => None,
    }
}

fn unknown_setting(resource: &Resource, failure: &Failure) -> Option<String> {
    let of_settings = [FailureKind::Invalid, FailureKind::Refused].contains(&failure.kind());
    of_settings.then(|| {
        format!(
            "{}: calls fail until that is mended; `portcullis resource set {name} --set NAME=` removes a setting, `--clear-secret NAME` a secret one",
            failure.message,
            name = resource.name
        )
    })
}

fn unknown_targets(resource: &Resource, schema: &Schema) -> Option<String> {
    let mut unknown = resource.mapping.keys().filter_map(|target| {
        let (class, name) = target.split_once('.')?;
        unknown_target(class_of(schema, class)?, class, name)
    });
    let named: Vec<_> = unknown.by_ref().take(MAX_NAMED).collect();
    let others = match unknown.count() {
        0 => String::new(),
        count => format!("; and {count} others"),
    };
    (!named.is_empty()).then(|| {
        format!(
            "rules of its mapping make what its connector does not have: {}{others}: calls that go through them fail; `portcullis resource schema {}` shows all attributes",
            named.join("; "),
            resource.name
        )
    })
}

/// The class of a rule, where the connector declares what attributes it has.
fn class_of<'a>(schema: &'a Schema, class: &str) -> Option<&'a ClassSchema> {
    let wanted = match class {
        "account" => ObjectClass::Account,
        "group" => ObjectClass::Group,
        _ => return None,
    };
    let mut classes = schema.classes.iter();
    let found = classes.find(|of| of.object_class() == wanted)?;
    (!found.attributes.is_empty()).then_some(found)
}

fn unknown_target(of: &ClassSchema, class: &str, name: &str) -> Option<String> {
    let mut known = of.attributes.iter().map(|it| it.name.as_str());
    // The object's own name; and directories do not regard case.
    if name == "name" || known.any(|known| known.eq_ignore_ascii_case(name)) {
        return None;
    }
    let known = of.attributes.iter().map(|it| it.name.as_str());
    Some(format!(
        "`{class}.{name}` (it has {})",
        nearest_first(name, known)
    ))
}
