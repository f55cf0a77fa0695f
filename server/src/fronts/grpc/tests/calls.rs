//! Calls through the API: what concerns a call is an outcome, and the rest a status.

use portcullis_proto::gateway::v1::{Create, ObjectClass, Sync};

use super::audit::audited;
use super::*;

#[tokio::test]
async fn a_resource_needs_a_gateway_that_is_there() {
    let api = Api::start().await;
    let error = api.add_resource("ldap", "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("no gateway `web1`"), "{error}");
    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    let error = api.add_resource("ldap", "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);

    // A second run of a play changes nothing; another place is not passed over in silence.
    let again = |connector: &str| proto::AddResourceRequest {
        name: "ldap".to_owned(),
        gateway: "web1".to_owned(),
        connector: connector.to_owned(),
        if_absent: true,
        ..Default::default()
    };
    api.resources().add(again("unix")).await.unwrap();
    let other = api.resources().add(again("ldap")).await.unwrap_err();
    assert_eq!(other.code(), Code::AlreadyExists);

    let set = |settings: &[(&str, &str)], gateway: Option<&str>| proto::SetResourceRequest {
        name: "ldap".to_owned(),
        gateway: gateway.map(str::to_owned),
        settings: settings
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        ..Default::default()
    };
    let mut resources = api.resources();
    resources
        .set(set(&[("a", "1"), ("b", "2")], None))
        .await
        .unwrap();
    let error = resources
        .set(set(&[("a", "")], Some("web2")))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let changed = resources
        .set(set(&[("a", "")], None))
        .await
        .unwrap()
        .into_inner();
    // The refused change took nothing away; the accepted one did.
    assert_eq!(changed.settings.len(), 1);
    assert_eq!(changed.gateway, "web1");
}

fn failure(outcome: Outcome) -> Failure {
    match outcome.result {
        Some(OutcomeResult::Failed(failure)) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test]
async fn what_concerns_a_call_is_an_outcome_and_an_unknown_resource_a_status() {
    let api = Api::start().await;
    let call = |call_id: &str, verb: Option<Verb>| Call {
        call_id: call_id.to_owned(),
        verb,
        ..Call::default()
    };
    let delete = || Some(Verb::Delete(Delete::default()));
    let error = api.execute("ldap", call("", delete())).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);

    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    let outcome = api.execute("ldap", call("", delete())).await.unwrap();
    assert!(!outcome.call_id.is_empty());
    // Nothing was sent, so that it is failed and not indeterminate.
    assert_eq!(failure(outcome).kind(), FailureKind::Unavailable);
    let outcome = api
        .execute("ldap", call("my:id-1", delete()))
        .await
        .unwrap();
    assert_eq!(outcome.call_id, "my:id-1");

    for (id, verb) in [
        ("a b", delete()),
        ("a\u{e9}", delete()),
        (&"i".repeat(129), delete()),
        ("a", None),
        ("a", Some(Verb::Search(Search::default()))),
        ("a", Some(Verb::Sync(Sync::default()))),
    ] {
        let outcome = api.execute("ldap", call(id, verb)).await.unwrap();
        assert_eq!(failure(outcome).kind(), FailureKind::Invalid, "{id}");
    }

    let search = || Verb::Search(Search::default());
    let sync = || Verb::Sync(Sync::default());
    let (unavailable, invalid) = (FailureKind::Unavailable, FailureKind::Invalid);
    for (syncs, verb, kind) in [
        (false, search(), unavailable),
        (false, sync(), invalid),
        (false, Verb::Test(Test {}), invalid),
        (true, sync(), unavailable),
        (true, search(), invalid),
        (true, Verb::Test(Test {}), invalid),
    ] {
        let request = proto::ExecuteRequest {
            resource: "ldap".to_owned(),
            call: Some(call("", Some(verb))),
            ..Default::default()
        };
        let mut calls = CallsClient::new(api.channel.clone());
        let found = match syncs {
            false => calls.search(request).await,
            true => calls.sync(request).await,
        };
        let mut found = found.unwrap().into_inner();
        let Some(Kind::End(end)) = found.message().await.unwrap().unwrap().kind else {
            panic!("not the end");
        };
        assert_eq!(end.failure.unwrap().kind(), kind);
        assert!(found.message().await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_mapping_is_judged_when_it_is_set_and_holds_for_every_call() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    let set = |rules: &[(&str, &str)], replace_mapping| proto::SetResourceRequest {
        name: "ldap".to_owned(),
        mapping: rules
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect(),
        replace_mapping,
        ..Default::default()
    };
    let mut resources = api.resources();
    for (target, template) in [
        ("account.cn", "{given"),
        ("cn", "x"),
        ("account.cn", "{a|b}"),
    ] {
        let error = resources.set(set(&[(target, template)], false)).await;
        let error = error.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().starts_with("mapping: "), "{error}");
    }
    let rules = [
        ("account.cn", "{given} {family}"),
        ("account.mail", "{email}"),
    ];
    resources.set(set(&rules, false)).await.unwrap();
    let changed = resources.set(set(&[("account.mail", "")], false)).await;
    let changed = changed.unwrap().into_inner();
    assert_eq!(changed.mapping.len(), 1);
    assert!(changed.settings.is_empty(), "a rule is no setting");

    let create = Create {
        object_class: ObjectClass::Account.into(),
        name: "ada".to_owned(),
        ..Create::default()
    };
    let call = || Call {
        verb: Some(Verb::Create(create.clone())),
        ..Call::default()
    };
    let refused = failure(api.execute("ldap", call()).await.unwrap());
    assert_eq!(refused.kind(), FailureKind::Invalid);
    let expected = "the mapping of resource `ldap`: `cn` is made of `given`, which the call lacks";
    assert!(refused.message.starts_with(expected), "{refused:?}");
    let queued = CallsClient::new(api.channel.clone())
        .enqueue(proto::ExecuteRequest {
            resource: "ldap".to_owned(),
            call: Some(call()),
            ..Default::default()
        })
        .await;
    assert_eq!(queued.unwrap_err().code(), Code::InvalidArgument);

    // The audit log has the name that the account gets.
    let renames = set(&[("account.name", "x-{name}")], true);
    resources.set(renames).await.unwrap();
    let sent = failure(api.execute("ldap", call()).await.unwrap());
    assert_eq!(sent.kind(), FailureKind::Unavailable);
    let entries = audited(&api).await;
    let made = entries.iter().rfind(|entry| entry.action == "call create");
    let made = made.unwrap();
    assert_eq!(made.fields.object_name, "x-ada");
    assert_eq!(made.object, "resource ldap, account x-ada");

    let emptied = resources.set(set(&[], true)).await.unwrap().into_inner();
    assert!(emptied.mapping.is_empty());
    let sent = failure(api.execute("ldap", call()).await.unwrap());
    assert_eq!(sent.kind(), FailureKind::Unavailable);
}
