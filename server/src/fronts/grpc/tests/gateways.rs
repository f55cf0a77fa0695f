//! Gateways through the API: tokens, registrations, revoking and rotation.

use super::*;
use crate::repository::{AlarmKind, NewAlarm};

#[tokio::test]
async fn a_gateway_is_added_once_and_its_token_is_for_it_alone() {
    let api = Api::start().await;
    let added = api.add_gateway("web1").await;
    let (gateway, token) = (added.gateway.unwrap(), added.token.unwrap());
    assert_eq!(gateway.state(), proto::GatewayState::Registered);
    let read: portcullis_common::rotation::EnrolmentToken = token.token.parse().unwrap();
    assert_eq!(read.gateway_id().to_string(), gateway.gateway_id);
    assert_eq!(gateway.token_expires_unix_ms, token.expires_unix_ms);

    let again = api.gateways().add(dial_out("web1")).await.unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    assert!(again.message().contains("web1"), "{again}");
    // The failed attempt left the first registration as it was.
    let shown = show(&api, "web1").await.unwrap();
    assert_eq!(shown.gateway_id, gateway.gateway_id);
    for bad in ["", "-web", "web/1", &"w".repeat(65)] {
        let error = api.gateways().add(dial_out(bad)).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{bad}");
    }
}

async fn token(api: &Api, name: &str) -> Result<proto::NewTokenResponse, Status> {
    let request = proto::NewTokenRequest {
        name: name.to_owned(),
        ..Default::default()
    };
    let answer = api.gateways().new_token(request).await;
    answer.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn each_new_token_is_a_new_registration() {
    let api = Api::start().await;
    let first = api.add_gateway("web1").await.gateway.unwrap();
    let second = token(&api, "web1").await.unwrap().gateway.unwrap();
    assert_ne!(first.gateway_id, second.gateway_id);
    let error = token(&api, "web2").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn evicted_may_enrol_again_and_revoked_may_not_until_restored() {
    let api = Api::start().await;
    let first = api.add_gateway("web1").await.gateway.unwrap();
    let name = || "web1".to_owned();
    let restore = || proto::RestoreGatewayRequest { name: name() };

    let evicted = api
        .gateways()
        .evict(proto::EvictGatewayRequest { name: name() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(evicted.state(), proto::GatewayState::Evicted);
    assert_eq!(evicted.token_expires_unix_ms, 0);
    assert!(token(&api, "web1").await.is_ok());
    let error = api.gateways().restore(restore()).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);

    let revoked = api
        .gateways()
        .revoke(proto::RevokeGatewayRequest { name: name() })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(revoked.state(), proto::GatewayState::Revoked);
    let error = token(&api, "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("gateway restore web1"), "{error}");
    // An eviction would let it enrol again by the back door.
    let error = api
        .gateways()
        .evict(proto::EvictGatewayRequest { name: name() })
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert_eq!(
        show(&api, "web1").await.unwrap().state(),
        proto::GatewayState::Revoked
    );

    let restored = api
        .gateways()
        .restore(restore())
        .await
        .unwrap()
        .into_inner();
    let restored = restored.gateway.unwrap();
    assert_eq!(restored.state(), proto::GatewayState::Registered);
    assert_ne!(restored.gateway_id, first.gateway_id);
}

#[tokio::test]
async fn a_gateway_that_holds_a_good_key_gets_no_token() {
    let api = Api::start().await;
    let enrolled = api.add_gateway("web1").await.gateway.unwrap();
    let gateways = api.services.repository.gateways();
    gateways
        .update("web1", |registration, keys| {
            registration.last_proved = keys.first().map(|key| key.id);
            registration.token = None;
        })
        .await
        .unwrap();
    let error = token(&api, "web1").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("gateway evict web1"), "{error}");
    let shown = show(&api, "web1").await.unwrap();
    assert_eq!(shown.gateway_id, enrolled.gateway_id);
    assert_eq!(shown.state(), proto::GatewayState::Enrolled);
    assert!(shown.synchronized);

    let request = proto::NewTokenRequest {
        name: "web1".to_owned(),
        evict: true,
        ..Default::default()
    };
    let evicted = api
        .gateways()
        .new_token(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        evicted.gateway.unwrap().state(),
        proto::GatewayState::Registered
    );
    gateways
        .update("web1", |registration, keys| {
            registration.last_proved = keys.first().map(|key| key.id);
            registration.token = None;
        })
        .await
        .unwrap();

    // Once that key is compromised, a token is what it needs.
    let rotated = KeysClient::new(api.channel.clone())
        .rotate_gateway(proto::RotateGatewayRequest {
            compromised: true,
            ..Default::default()
        })
        .await
        .unwrap()
        .into_inner()
        .message()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(rotated.results[0].state(), proto::SyncState::MustEnrol);
    assert!(token(&api, "web1").await.is_ok());
}

async fn list(
    api: &Api,
    request: proto::ListGatewaysRequest,
) -> (Vec<String>, proto::GatewayCounts) {
    let answer = api.gateways().list(request).await.unwrap().into_inner();
    let names = answer.gateways.into_iter().map(|gateway| gateway.name);
    (names.collect(), answer.counts.unwrap())
}

/// Never enrolled: `a`, and `d` with an alarm; `b` is enrolled and behind, `c` is revoked.
async fn with_all_sorts() -> Api {
    let api = Api::start().await;
    let gateways = api.services.repository.gateways();
    let key = api
        .services
        .repository
        .gateway_keys()
        .current()
        .await
        .unwrap();
    for (name, group) in [("a", "west"), ("b", "west"), ("c", "east"), ("d", "east")] {
        let request = proto::AddGatewayRequest {
            groups: vec![group.to_owned()],
            ..dial_out(name)
        };
        api.gateways().add(request).await.unwrap();
    }
    let prove = async |name: &str| {
        let proved = gateways.update(name, move |registration, _| registration.last_proved = key);
        proved.await.unwrap();
    };
    prove("b").await;
    // From now on `b` is behind.
    let rotation = crate::fleet::Rotation::default();
    api.services.fleet.rotate(rotation).await.unwrap();
    let revoke = proto::RevokeGatewayRequest {
        name: "c".to_owned(),
    };
    api.gateways().revoke(revoke).await.unwrap();
    let alarm = NewAlarm {
        kind: AlarmKind::TwoHosts,
        alike: String::new(),
        text: "two hosts".to_owned(),
    };
    let raised = gateways.raise_alarm("d", alarm, portcullis_host::clock::now());
    raised.await.unwrap();
    api
}

#[tokio::test]
async fn a_list_holds_what_is_asked_for_and_counts_all() {
    let api = with_all_sorts().await;
    type Change = fn(&mut proto::ListGatewaysRequest);
    let rows: [(Change, &[&str]); 9] = [
        (|_| (), &["a", "b", "c", "d"]),
        (|asked| asked.down = true, &["b"]),
        (|asked| asked.behind = true, &["b"]),
        (|asked| asked.ahead = true, &[]),
        (|asked| asked.alarms = true, &["d"]),
        (|asked| asked.never_enrolled = true, &["a", "d"]),
        (
            |asked| (asked.down, asked.alarms) = (true, true),
            &["b", "d"],
        ),
        (
            |asked| asked.states = vec![proto::GatewayState::Revoked.into()],
            &["c"],
        ),
        (
            |asked| {
                asked.groups = vec!["west".to_owned()];
                asked.never_enrolled = true;
            },
            &["a"],
        ),
    ];
    for (change, names) in rows {
        let mut asked = proto::ListGatewaysRequest::default();
        change(&mut asked);
        let (listed, counts) = list(&api, asked.clone()).await;
        assert_eq!(listed, names, "{asked:?}");
        let expected = proto::GatewayCounts {
            registered: 4,
            down: 1,
            never_enrolled: 2,
            shut_out: 1,
            behind: 1,
            with_alarms: 1,
            alarms: 1,
            ..Default::default()
        };
        assert_eq!(counts, expected);
    }
}

#[tokio::test]
async fn gateways_at_one_address_name_each_other() {
    let api = Api::start().await;
    let at = |name: &str, address: &str| proto::AddGatewayRequest {
        name: name.to_owned(),
        address: address.to_owned(),
        ..Default::default()
    };
    let add = async |request| api.gateways().add(request).await.unwrap().into_inner();
    add(at("a", "host.invalid:9278")).await;
    let second = add(at("b", "host.invalid")).await.gateway.unwrap();
    assert_eq!(second.shares_address_with, ["a"]);
    assert_eq!(show(&api, "a").await.unwrap().shares_address_with, ["b"]);
    let set = proto::SetGatewayRequest {
        name: "b".to_owned(),
        address: Some("host.invalid:9279".to_owned()),
        ..Default::default()
    };
    let moved = api.gateways().set(set).await.unwrap().into_inner();
    assert!(moved.shares_address_with.is_empty());

    // A second run of a play changes nothing; another address is not passed over in silence.
    let again = |address| proto::AddGatewayRequest {
        if_absent: true,
        ..at("b", address)
    };
    let kept = add(again("host.invalid:9279")).await;
    assert!(kept.token.is_none());
    assert_eq!(kept.gateway.unwrap().gateway_id, second.gateway_id);
    let other = api.gateways().add(again("elsewhere.invalid")).await;
    assert_eq!(other.unwrap_err().code(), Code::AlreadyExists);
    assert!(
        add(proto::AddGatewayRequest {
            if_absent: true,
            ..at("c", "c.invalid")
        })
        .await
        .token
        .is_some()
    );
}

#[tokio::test]
async fn an_acknowledged_alarm_is_audited_with_its_reason() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    let gateways = api.services.repository.gateways();
    let alarm = NewAlarm {
        kind: AlarmKind::TokenInTwoHands,
        alike: String::new(),
        text: "two hands".to_owned(),
    };
    for _ in 0..2 {
        let raised = gateways.raise_alarm("web1", alarm.clone(), portcullis_host::clock::now());
        raised.await.unwrap();
    }
    assert!(show(&api, "web1").await.unwrap().alarms[0].starts_with("2 times since "));
    let acknowledge = |reason: &str, alarm| proto::AcknowledgeAlarmsRequest {
        gateway: "web1".to_owned(),
        reason: reason.to_owned(),
        alarm,
    };
    let ask = async |request| api.gateways().acknowledge_alarms(request).await;
    for (request, code) in [
        (acknowledge(" ", 0), Code::InvalidArgument),
        (acknowledge(&"x".repeat(501), 0), Code::InvalidArgument),
        (acknowledge("why", 4_711), Code::NotFound),
    ] {
        assert_eq!(ask(request).await.unwrap_err().code(), code);
    }
    let closed = ask(acknowledge("a drill", 0)).await.unwrap().into_inner();
    assert_eq!(closed.acknowledged, 1);
    let last = audit::audited(&api).await.pop().unwrap();
    assert_eq!(last.action, "Gateways/AcknowledgeAlarms");
    assert!(last.detail.starts_with("a drill"), "{}", last.detail);
    let request = proto::ListAlarmsRequest {
        gateway: "web1".to_owned(),
        all: true,
    };
    let alarms = api
        .gateways()
        .list_alarms(request)
        .await
        .unwrap()
        .into_inner()
        .alarms;
    assert_eq!((alarms[0].count, alarms[0].reason.as_str()), (2, "a drill"));
    assert!(!alarms[0].closed_by.is_empty());
}

async fn remove(
    api: &Api,
    name: &str,
    force: bool,
) -> Result<proto::RemoveGatewayResponse, Status> {
    let name = name.to_owned();
    let request = proto::RemoveGatewayRequest { name, force };
    let answer = api.gateways().remove(request).await;
    answer.map(tonic::Response::into_inner)
}

async fn rename(api: &Api, old: &str, new: &str) -> Result<proto::Gateway, Status> {
    let request = proto::RenameGatewayRequest {
        name: old.to_owned(),
        new_name: new.to_owned(),
    };
    let answer = api.gateways().rename(request).await;
    answer.map(tonic::Response::into_inner)
}

/// Queues a call without a gateway that could carry it out.
async fn enqueue(api: &Api, resource: &str, id: &str) -> proto::QueuedCall {
    let call = Call {
        call_id: id.to_owned(),
        verb: Some(Verb::Test(Test {})),
        ..Call::default()
    };
    let request = proto::ExecuteRequest {
        resource: resource.to_owned(),
        call: Some(call),
        ..Default::default()
    };
    let answer = CallsClient::new(api.channel.clone()).enqueue(request).await;
    answer.unwrap().into_inner()
}

#[tokio::test]
async fn a_call_that_was_taken_back_is_told_so_when_it_is_made_again() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    api.add_resource("ldap", "web1").await.unwrap();
    let request = || proto::ExecuteRequest {
        resource: "ldap".to_owned(),
        call: Some(Call {
            call_id: "c1".to_owned(),
            verb: Some(Verb::Delete(Delete::default())),
            ..Call::default()
        }),
        ..Default::default()
    };
    let mut calls = CallsClient::new(api.channel.clone());
    calls.enqueue(request()).await.unwrap();
    let waits = calls.execute(request()).await.unwrap_err();
    assert!(waits.message().contains("is in the queue"), "{waits}");
    let call_id = "c1".to_owned();
    let cancel = proto::CancelQueuedRequest { call_id };
    calls.cancel_queued(cancel).await.unwrap();
    let taken_back = calls.execute(request()).await.unwrap_err();
    assert_eq!(taken_back.code(), Code::FailedPrecondition);
    assert!(
        taken_back.message().contains("was cancelled"),
        "{taken_back}"
    );
}

#[tokio::test]
async fn a_removed_gateway_is_gone_and_its_name_may_be_given_again() {
    let api = Api::start().await;
    let first = api.add_gateway("web1").await.gateway.unwrap();
    assert_eq!(
        remove(&api, "web1", false).await.unwrap().resources.len(),
        0
    );
    let gone = show(&api, "web1").await.unwrap_err();
    assert_eq!(gone.code(), Code::NotFound);
    let again = api.add_gateway("web1").await.gateway.unwrap();
    assert_ne!(first.gateway_id, again.gateway_id);
    let error = remove(&api, "nobody", true).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    // Nothing of the first stayed: its token least of all.
    let sealed = api.services.repository.database().sealed_values();
    let counts = sealed.counts().await.unwrap();
    let tokens = counts.iter().filter(|c| c.kind.name() == "enrolment-key");
    assert_eq!(tokens.map(|count| count.values).sum::<u64>(), 1);
}

#[tokio::test]
async fn a_gateway_with_resources_is_removed_with_them_or_not_at_all() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    for resource in ["ldap", "unix"] {
        api.add_resource(resource, "web1").await.unwrap();
    }
    enqueue(&api, "ldap", "c1").await;
    let error = remove(&api, "web1", false).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    for told in ["ldap, unix", "1 queued call", "--force"] {
        assert!(error.message().contains(told), "{error}");
    }
    assert!(show(&api, "web1").await.is_ok());

    let removed = remove(&api, "web1", true).await.unwrap();
    assert_eq!(removed.resources, ["ldap", "unix"]);
    assert_eq!(
        (removed.cancelled_calls, &*removed.cancelled_call_ids[0]),
        (1, "c1")
    );
    let call = api.services.repository.queued_calls().find("c1").await;
    let state = call.unwrap().unwrap().state;
    assert_eq!(state, crate::repository::QueuedState::Cancelled);
    let resources = api.services.repository.resources();
    assert!(resources.list().await.unwrap().is_empty());
    let last = audit::audited(&api).await.pop().unwrap();
    assert_eq!(last.object, "gateway web1, with its resources");
    assert!(last.detail.contains("ldap unix"), "{}", last.detail);
}

/// Why a call was cancelled, as it is shown.
async fn why(calls: &mut CallsClient, id: &str) -> String {
    let call_id = id.to_owned();
    let shown = calls.show_queued(proto::ShowQueuedRequest { call_id });
    let shown = shown.await.unwrap().into_inner();
    assert_eq!(shown.state(), proto::QueuedState::Cancelled);
    shown.cancelled_why
}

#[tokio::test]
async fn each_call_that_goes_with_a_command_is_found_in_the_log_by_its_id() {
    let api = Api::start().await;
    api.add_gateway("web1").await;
    api.add_gateway("web2").await;
    api.add_resource("ldap", "web1").await.unwrap();
    for id in ["c1", "c2"] {
        enqueue(&api, "ldap", id).await;
    }
    let request = proto::CancelManyQueuedRequest {
        gateway: "web1".to_owned(),
        ..Default::default()
    };
    let mut calls = CallsClient::new(api.channel.clone());
    let answer = calls.cancel_many_queued(request).await.unwrap();
    assert_eq!(answer.into_inner().call_ids, ["c1", "c2"]);
    for id in ["c1", "c2"] {
        assert_eq!(cancelled_by(&api, id).await, ["Calls/CancelManyQueued"]);
    }

    let mut resources = ResourcesClient::new(api.channel.clone());
    enqueue(&api, "ldap", "c3").await;
    let moved = proto::SetResourceRequest {
        name: "ldap".to_owned(),
        gateway: Some("web2".to_owned()),
        ..Default::default()
    };
    let moved = resources.set(moved).await.unwrap().into_inner();
    assert_eq!(
        (moved.cancelled_calls, &*moved.cancelled_call_ids[0]),
        (1, "c3")
    );
    assert_eq!(cancelled_by(&api, "c3").await, ["Resources/Set"]);
    assert!(why(&mut calls, "c3").await.contains("was moved"));
    assert!(why(&mut calls, "c1").await.ends_with("took it back"));

    enqueue(&api, "ldap", "c4").await;
    let name = "ldap".to_owned();
    let request = proto::RemoveResourceRequest { name };
    let removed = resources.remove(request).await.unwrap().into_inner();
    assert_eq!(removed.cancelled_call_ids, ["c4"]);
    assert_eq!(cancelled_by(&api, "c4").await, ["Resources/Remove"]);
    assert!(why(&mut calls, "c4").await.contains("was removed"));

    api.add_resource("ldap", "web1").await.unwrap();
    enqueue(&api, "ldap", "c5").await;
    remove(&api, "web1", true).await.unwrap();
    assert_eq!(cancelled_by(&api, "c5").await, ["Gateways/Remove"]);
}

/// The actions of the entries that say that this call was cancelled.
async fn cancelled_by(api: &Api, id: &str) -> Vec<String> {
    let all = audit::audited(api).await.into_iter();
    all.filter(|entry| {
        entry.fields.call_id == id
            && entry.object == format!("call {id}")
            && (&*entry.outcome, &*entry.detail) == ("done", "cancelled")
    })
    .map(|entry| entry.action)
    .collect()
}

#[tokio::test]
async fn a_renamed_gateway_keeps_its_registration_and_all_that_names_it_follows() {
    let api = Api::start().await;
    let request = proto::AddGatewayRequest {
        groups: vec!["canary".to_owned()],
        ..dial_out("web1")
    };
    let added = api.gateways().add(request).await.unwrap().into_inner();
    let before = added.gateway.unwrap();
    api.add_resource("ldap", "web1").await.unwrap();
    enqueue(&api, "ldap", "c1").await;
    let gateways = api.services.repository.gateways();
    let token = gateways.find("web1").await.unwrap().unwrap();
    let token = token.registration.token.unwrap();

    let after = rename(&api, "web1", "www1").await.unwrap();
    assert_eq!(after.gateway_id, before.gateway_id);
    assert_eq!(after.groups, ["canary"]);
    assert_eq!(after.token_expires_unix_ms, before.token_expires_unix_ms);
    assert_eq!(show(&api, "web1").await.unwrap_err().code(), Code::NotFound);
    let found = gateways.find("www1").await.unwrap().unwrap();
    let kept = found.registration.token.unwrap();
    assert_eq!(kept.key.expose(), token.key.expose());
    let resources = api.services.repository.resources();
    assert_eq!(
        resources.find("ldap").await.unwrap().unwrap().gateway,
        "www1"
    );
    // What waits goes to the very same host under its new name.
    let calls = api.services.repository.queued_calls();
    let now = portcullis_host::clock::now();
    assert!(calls.next("web1", now, 1).await.unwrap().is_empty());
    let found = calls.next("www1", now, 1).await.unwrap();
    assert!(found[0].payload.is_ok(), "{:?}", found[0].payload);

    api.add_gateway("db1").await;
    for (old, new, code) in [
        ("www1", "db1", Code::AlreadyExists),
        ("www1", "www1", Code::AlreadyExists),
        ("www1", "-www", Code::InvalidArgument),
        ("nobody", "www2", Code::NotFound),
    ] {
        assert_eq!(rename(&api, old, new).await.unwrap_err().code(), code);
    }
}

#[tokio::test]
async fn a_rotation_against_another_key_changes_nothing() {
    let api = Api::start().await;
    let mut keys = KeysClient::new(api.channel.clone());
    let before = keys
        .list(proto::ListKeysRequest {})
        .await
        .unwrap()
        .into_inner();
    for (expected, code) in [
        ("3des-00000000000000000000000000000001", Code::Aborted),
        ("nonsense", Code::InvalidArgument),
    ] {
        let error = keys
            .rotate_gateway(proto::RotateGatewayRequest {
                expected_current: expected.to_owned(),
                ..Default::default()
            })
            .await
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
    let after = keys
        .list(proto::ListKeysRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(before, after);
}
