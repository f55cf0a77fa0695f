//! What the audit log holds of the API's work, and how it is read and checked.

use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::audit_record::Record;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::{ObjectClass, ObjectRef, Secret, SetPassword};

use super::*;
use crate::repository::{AuditEntry, tamper};

/// All entries, oldest first.
pub(super) async fn audited(api: &Api) -> Vec<AuditEntry> {
    let entries = api.services.repository.audit_entries();
    entries.scan(0, 10_000).await.unwrap()
}

#[tokio::test]
async fn every_method_that_changes_something_leaves_an_entry_before_and_one_after() {
    let api = Api::start().await;
    for method in METHODS.iter() {
        let before = audited(&api).await.len();
        // Most of these fail: that is in the log, too.
        let status = answer(&api.channel, &path(method)).await;
        let all = audited(&api).await;
        // Tasks go on by themselves, and leave entries of their own.
        let left = all[before..].iter();
        let left: Vec<_> = left.filter(|e| !e.action.starts_with("Task/")).collect();
        let told: Vec<_> = left
            .iter()
            .map(|entry| (entry.action.as_str(), entry.outcome.as_str()))
            .collect();
        match method.plan {
            Plan::Read => assert_eq!(told, [], "{}", method.name),
            Plan::Change => {
                let outcome = if status.is_none() { "done" } else { "failed" };
                let expected = [(method.name, "begun"), (method.name, outcome)];
                assert_eq!(told, expected);
                assert_eq!(left[1].begun, left[0].seq);
            }
            Plan::Own => assert_eq!(told.len(), 1, "{}", method.name),
        }
    }
}

#[test]
fn the_guide_names_every_event() {
    let guide = include_str!("../../../../../deploy/OPERATIONS.md");
    let table = guide.split("### Every event").nth(1).unwrap();
    let table = table.split("\n#").next().unwrap();
    let changes = METHODS.iter().filter(|method| method.plan != Plan::Read);
    let missing: Vec<_> = changes
        .map(|method| method.name)
        .filter(|name| !table.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(missing, [""; 0]);
}

#[tokio::test]
async fn an_entry_says_who_did_what_to_what_and_holds_no_token() {
    let api = Api::start().await;
    let channel = connect(&api.services, BASE + 1).await;
    let request = proto::AddGatewayRequest {
        allow_pairing: true,
        ..dial_out("web1")
    };
    let added = GatewaysClient::new(channel).add(request).await.unwrap();
    let added = added.into_inner();
    let entries = audited(&api).await;
    let last = entries.last().unwrap();
    assert_eq!(last.subject, format!("uid {}", BASE + 1));
    assert_eq!(last.object, "gateway web1, with pairing");
    assert_eq!(last.detail, added.gateway.unwrap().gateway_id);
    let token = added.token.unwrap().token;
    assert!(!format!("{entries:?}").contains(&token));
}

#[tokio::test]
async fn a_refused_request_is_in_the_log_and_a_flood_of_them_does_not_fill_it() {
    let api = Api::start().await;
    let channel = connect(&api.services, STRANGER).await;
    code(&channel, "/portcullis.admin.v1.Keys/RotateGateway").await;
    let entries = audited(&api).await;
    let last = entries.last().unwrap();
    assert_eq!(last.subject, format!("uid {STRANGER}"));
    assert_eq!(last.action, "Keys/RotateGateway");
    assert_eq!(last.outcome, "refused");
    for n in 0..300 {
        code(&channel, &format!("/portcullis.admin.v1.Keys/{n}")).await;
    }
    assert!(audited(&api).await.len() < entries.len() + 100);
}

#[tokio::test]
async fn each_call_leaves_one_entry_unless_calls_are_not_audited() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    let object = ObjectRef {
        object_class: ObjectClass::Account.into(),
        by: Some(By::Name("ada".to_owned())),
        ..ObjectRef::default()
    };
    let password = Some(Secret::plain(b"open sesame".to_vec()));
    let call = Call {
        call_id: "c1".to_owned(),
        verb: Some(Verb::SetPassword(SetPassword {
            object: Some(object),
            password,
        })),
        ..Call::default()
    };
    let before = audited(&api).await.len();
    api.execute("ldap", call.clone()).await.unwrap();
    let entries = audited(&api).await;
    assert_eq!(entries.len(), before + 2);
    let [begun, ended] = &entries[before..] else {
        panic!("{entries:?}");
    };
    assert_eq!((&*begun.outcome, ended.begun), ("begun", begun.seq));
    let entry = entries.last().unwrap();
    assert_eq!(entry.action, "call set-password");
    assert_eq!(entry.object, "resource ldap, account ada");
    let fields = &entry.fields;
    assert_eq!(
        fields.named().map(|(_, value)| value),
        ["c1", "ldap", "account", "ada", "", "web1"]
    );
    assert_eq!(entry.outcome, "failed");
    assert!(!format!("{entry:?}").contains("sesame"));

    let mut services = api.services.clone();
    services.audit = services.audit.clone().without_calls();
    let own = rustix::process::geteuid().as_raw();
    let request = proto::ExecuteRequest {
        resource: "ldap".to_owned(),
        call: Some(call),
        ..Default::default()
    };
    let mut calls = CallsClient::new(connect(&services, own).await);
    calls.execute(request).await.unwrap();
    assert_eq!(audited(&api).await.len(), before + 2);
}

#[tokio::test]
async fn what_only_reads_leaves_one_entry_and_what_is_not_sent_none_before_it() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    let call = |id: &str, verb| Call {
        call_id: id.to_owned(),
        verb,
        ..Call::default()
    };
    for (call, outcome) in [
        (call("t1", Some(Verb::Test(Test {}))), "failed"),
        (call("t2", None), "failed"),
    ] {
        let before = audited(&api).await.len();
        api.execute("ldap", call.clone()).await.unwrap();
        let entries = audited(&api).await;
        let [entry] = &entries[before..] else {
            panic!("{entries:?}");
        };
        assert_eq!((&*entry.outcome, entry.begun), (outcome, 0));
        assert_eq!(entry.fields.call_id, call.call_id);
    }
}

#[tokio::test]
async fn a_long_name_leaves_the_call_id_whole_and_none_poses_as_another() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    for name in ["a".repeat(249), "ada, call 7".to_owned(), "b".repeat(9_000)] {
        let delete = Verb::Delete(Delete {
            object: Some(ObjectRef {
                object_class: ObjectClass::Account.into(),
                by: Some(By::Name(name.clone())),
                ..ObjectRef::default()
            }),
        });
        let id = format!("id-of-{}", name.len());
        let call = Call {
            call_id: id.clone(),
            verb: Some(delete),
            ..Call::default()
        };
        api.execute("ldap", call).await.unwrap();
        let by_id = proto::ListAuditRequest {
            call_id: id.clone(),
            ..Default::default()
        };
        let [entry] = &list(&api, by_id).await[..] else {
            panic!("not one entry of {id}");
        };
        let bounded: String = name.chars().take(256).collect();
        assert!(entry.object_name.starts_with(&bounded));
        assert!(entry.object_name.chars().count() <= 257);
        let posed = proto::ListAuditRequest {
            call_id: "7".to_owned(),
            ..Default::default()
        };
        assert_eq!(list(&api, posed).await, []);
    }
    assert_eq!(verify(&api).await, [""; 0]);
}

#[tokio::test]
async fn a_refusal_names_what_was_refused() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    // Who sees keys may not call; who is nobody is not even heard.
    for (id, fields) in [
        (BASE, ["c7", "ldap", "account", "ada", "", ""]),
        (STRANGER, [""; 6]),
    ] {
        let request = proto::ExecuteRequest {
            resource: "ldap".to_owned(),
            call: Some(Call {
                call_id: "c7".to_owned(),
                verb: Some(Verb::Delete(Delete {
                    object: Some(ObjectRef {
                        object_class: ObjectClass::Account.into(),
                        by: Some(By::Name("ada".to_owned())),
                        ..ObjectRef::default()
                    }),
                })),
                ..Call::default()
            }),
            ..Default::default()
        };
        let mut calls = CallsClient::new(connect(&api.services, id).await);
        let refused = calls.execute(request).await.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        let entries = audited(&api).await;
        let last = entries.last().unwrap();
        assert_eq!(
            (&*last.action, &*last.outcome),
            ("Calls/Execute", "refused")
        );
        assert_eq!(last.fields.named().map(|(_, value)| value), fields);
        if id == BASE {
            assert_eq!(last.object, "delete: resource ldap, account ada");
        }
    }
}

#[tokio::test]
async fn an_auditor_sees_the_queue_and_changes_nothing_in_it() {
    let api = Api::start().await;
    let mut calls = CallsClient::new(connect(&api.services, BASE + 3).await);
    let list = proto::ListQueuedRequest::default();
    assert!(calls.list_queued(list).await.is_ok());
    let cancel = proto::CancelManyQueuedRequest {
        resource: "ldap".to_owned(),
        ..Default::default()
    };
    let refused = calls.cancel_many_queued(cancel).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

fn auditor(api: &Api) -> AuditClient {
    AuditClient::new(api.channel.clone())
}

async fn list(api: &Api, request: proto::ListAuditRequest) -> Vec<proto::AuditEntry> {
    let answer = auditor(api).list(request).await.unwrap();
    answer.into_inner().entries
}

async fn verify(api: &Api) -> Vec<String> {
    let request = proto::VerifyAuditRequest::default();
    let report = auditor(api).verify(request).await.unwrap().into_inner();
    report.faults.into_iter().map(|fault| fault.what).collect()
}

async fn export(api: &Api) -> Vec<proto::AuditRecord> {
    let records = auditor(api)
        .export(proto::ExportAuditRequest::default())
        .await;
    let records = records.unwrap().into_inner();
    records.map(Result::unwrap).collect().await
}

/// An API with three gateways added, and all its entries, newest first.
async fn with_entries() -> (Api, Vec<proto::AuditEntry>) {
    let api = Api::start().await;
    for name in ["web1", "web2", "db1"] {
        api.add_gateway(name).await;
    }
    let all = list(&api, proto::ListAuditRequest::default()).await;
    (api, all)
}

#[tokio::test]
async fn entries_are_listed_newest_first_and_by_page() {
    let (api, all) = with_entries().await;
    let told: Vec<_> = all.iter().map(|entry| entry.object.as_str()).collect();
    assert_eq!(told, ["gateway db1", "gateway web2", "gateway web1", ""]);
    assert!(all.iter().all(|entry| entry.outcome == "done"));

    let request = proto::ListAuditRequest {
        limit: 2,
        ..Default::default()
    };
    let page = auditor(&api)
        .list(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(page.entries, all[..2]);
    let request = proto::ListAuditRequest {
        before: page.next_before,
        ..request
    };
    assert_eq!(list(&api, request).await, all[2..]);
}

#[tokio::test]
async fn entries_are_listed_by_what_is_asked_for() {
    type Ask = fn(&mut proto::ListAuditRequest);

    let (api, all) = with_entries().await;
    let (newest, oldest) = (all[0].time_unix_ms, all[3].time_unix_ms);
    let asked: [(Ask, usize); 5] = [
        (|request| request.object = "web".to_owned(), 2),
        (|request| request.action = "Server/".to_owned(), 1),
        (|request| request.subject = "server".to_owned(), 1),
        (|request| request.outcome = "failed".to_owned(), 0),
        (|request| request.with_begun = true, 7),
    ];
    for (ask, found) in asked {
        let mut request = proto::ListAuditRequest::default();
        ask(&mut request);
        assert_eq!(
            list(&api, request.clone()).await.len(),
            found,
            "{request:?}"
        );
    }
    let since = proto::ListAuditRequest {
        since_unix_ms: newest + 1,
        ..Default::default()
    };
    assert_eq!(list(&api, since).await, []);
    let until = proto::ListAuditRequest {
        until_unix_ms: oldest - 1,
        ..Default::default()
    };
    assert_eq!(list(&api, until).await, []);
    let unknown = proto::ListAuditRequest {
        outcome: "fine".to_owned(),
        ..Default::default()
    };
    let error = auditor(&api).list(unknown).await.unwrap_err();
    assert!(error.message().contains("indeterminate"), "{error}");
}

#[tokio::test]
async fn an_export_is_verified_by_itself_and_every_change_to_it_shows() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    let records = export(&api).await;
    // The start, the gateway, the export itself, and the head.
    assert_eq!(records.len(), 5);
    let check = async |records: Vec<proto::AuditRecord>| {
        let report = auditor(&api)
            .verify_export(tokio_stream::iter(records))
            .await;
        let report = report.unwrap().into_inner();
        let faults = report.faults.iter().map(|fault| fault.seq);
        (report.sound, faults.collect::<Vec<_>>())
    };
    assert_eq!(check(records.clone()).await, (4, vec![]));

    // What came since an entry goes on where an earlier export ended.
    let later = proto::ExportAuditRequest {
        after: 3,
        ..Default::default()
    };
    let later = auditor(&api).export(later).await.unwrap().into_inner();
    let later: Vec<_> = later.map(Result::unwrap).collect().await;
    assert_eq!(later.len(), 3);
    assert_eq!(later[0], records[3]);
    let joined = [&records[..3], &later].concat();
    assert_eq!(check(joined).await, (5, vec![]));
    // After more entries than there are, as after a restore: nothing is no answer.
    let beyond = proto::ExportAuditRequest {
        after: 1000,
        ..Default::default()
    };
    let refused = auditor(&api).export(beyond).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("restored"), "{refused}");

    let mut changed = records.clone();
    if let Some(Record::Entry(entry)) = &mut changed[1].record {
        entry.object = "gateway web2".to_owned();
    }
    assert_eq!(check(changed).await, (1, vec![2]));
    let mut removed = records.clone();
    removed.remove(1);
    assert_eq!(check(removed).await, (1, vec![2]));
    let mut swapped = records.clone();
    swapped.swap(1, 2);
    assert_eq!(check(swapped).await, (1, vec![2]));
    // A cut tail, with and without the head put back.
    assert_eq!(check(records[..3].to_vec()).await, (3, vec![3]));
    let cut = [&records[..3], &records[4..]].concat();
    assert_eq!(check(cut).await, (3, vec![3]));
    let more = [&records[..], &records[3..4]].concat();
    assert_eq!(check(more).await, (4, vec![4]));
    // Another server's.
    let other = export(&Api::start().await).await;
    assert_eq!(check(other).await, (0, vec![1]));
}

#[tokio::test]
async fn where_the_log_is_in_dispute_nothing_is_changed_until_somebody_accepts() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    assert_eq!(verify(&api).await, [""; 0]);
    let nothing = proto::AcceptAuditRequest {
        reason: "bored".to_owned(),
    };
    let error = auditor(&api).accept(nothing.clone()).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);

    let file = api.folder.path().join("data/portcullis.db");
    tamper(
        &file,
        "DROP TRIGGER audit_entries_never_go; DELETE FROM audit_entries WHERE seq > 1",
    );
    let error = api.gateways().add(dial_out("web2")).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(
        error.message().contains("portcullis audit accept"),
        "{error}"
    );
    assert!(show(&api, "web2").await.is_err());
    let error = api.execute("ldap", Call::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    // Reading goes on, and says what is wrong.
    assert!(show(&api, "web1").await.is_ok());
    let status = SystemClient::new(api.channel.clone())
        .status(proto::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert!(status.audit_error.contains("audit verify"), "{status:?}");
    assert_ne!(verify(&api).await, [""; 0]);
    assert!(!export(&api).await.is_empty());

    let why_not = proto::AcceptAuditRequest::default();
    let error = auditor(&api).accept(why_not).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    auditor(&api).accept(nothing).await.unwrap();
    assert_eq!(verify(&api).await, [""; 0]);
    api.add_gateway("web2").await;
    let accepted = proto::ListAuditRequest {
        action: "Audit/Accept".to_owned(),
        outcome: "done".to_owned(),
        ..Default::default()
    };
    assert_eq!(list(&api, accepted).await.len(), 1);
}
