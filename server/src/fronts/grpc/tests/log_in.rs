//! Log-ins as clients see them: who gets in, what a session makes of whom, and what the log keeps.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use portcullis_proto::admin::v1::login_client::LoginClient;
use portcullis_proto::admin::v1::users_client::UsersClient;
use portcullis_proto::gateway::v1::Secret;
use portcullis_proto::grpc::{self, Replies};
use tokio::time::timeout;
use tokio_stream::StreamExt as _;
use zeroize::Zeroizing;

use super::super::session::Presented;
use super::*;
use crate::access::PeerFacts;
use crate::repository::AuditEntry;

const PASSWORD: &str = "correct horse";

impl Api {
    /// Adds a user with a password, who may do this.
    async fn with_user(&self, name: &str, capabilities: &[Capability]) {
        let mut users = UsersClient::new(self.channel.clone());
        let name = name.to_owned();
        let add = proto::AddUserRequest { name: name.clone() };
        users.add(add).await.unwrap();
        let set = proto::SetUserPasswordRequest {
            name: name.clone(),
            password: Some(Secret::plain(PASSWORD.into())),
        };
        users.set_password(set).await.unwrap();
        for capability in capabilities {
            let capability = capability.name().to_owned();
            let name = name.clone();
            let grant = proto::GrantToUserRequest { name, capability };
            users.grant(grant).await.unwrap();
        }
    }

    async fn logins(&self) -> Vec<AuditEntry> {
        let entries = self.services.repository.audit_entries();
        let all = entries.scan(0, 10_000).await.unwrap();
        let of_login = all
            .into_iter()
            .filter(|one| one.action.starts_with("Login/"));
        of_login.collect()
    }
}

async fn log_in(
    channel: &Channel,
    user: &str,
    password: &str,
) -> Result<proto::LogInResponse, Status> {
    let request = proto::LogInRequest {
        user: user.to_owned(),
        password: Some(Secret::plain(password.into())),
        application: String::new(),
    };
    let answer = LoginClient::new(channel.clone()).log_in(request).await;
    answer.map(tonic::Response::into_inner)
}

fn presenting(channel: &Channel, logged_in: &proto::LogInResponse) -> grpc::Channel {
    let secret = logged_in.session.as_ref().unwrap();
    let text = str::from_utf8(&secret.value).unwrap();
    grpc::Channel::from(channel.clone()).presenting(text)
}

async fn status(channel: impl Into<grpc::Channel>) -> Result<proto::StatusResponse, Status> {
    let mut system = SystemClient::new(channel);
    let status = system.status(proto::StatusRequest {}).await;
    status.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_session_makes_its_bearer_the_user_and_no_more_whoever_is_connected() {
    let api = Api::start().await;
    api.with_user("ada", &[Capability::Auditor]).await;
    let stranger = connect(&api.services, STRANGER).await;
    let ada = log_in(&stranger, "ada", PASSWORD).await.unwrap();
    assert_eq!(ada.capabilities, ["auditor"]);
    assert_eq!((ada.idle_ms, ada.absolute_ms), (1_800_000, 43_200_000));
    // Over the owner's connection and over a stranger's alike.
    for channel in [&stranger, &api.channel] {
        let presented = presenting(channel, &ada);
        let seen = status(presented.clone()).await.unwrap();
        assert_eq!(seen.caller, "user ada");
        assert_eq!(seen.capabilities, ["auditor"]);
        let add = GatewaysClient::new(presented).add(dial_out("web1")).await;
        let refused = add.unwrap_err();
        assert_eq!(refused.code(), Code::PermissionDenied);
        assert!(
            refused.message().contains("portcullis user grant"),
            "{refused}"
        );
    }
    // What is withdrawn is gone from the session at once.
    let mut users = UsersClient::new(api.channel.clone());
    let withdraw = proto::WithdrawFromUserRequest {
        name: "ada".to_owned(),
        capability: "auditor".to_owned(),
    };
    users.withdraw(withdraw).await.unwrap();
    let refused = status(presenting(&stranger, &ada)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    // And with the user goes the session.
    let name = "ada".to_owned();
    users
        .remove(proto::RemoveUserRequest { name })
        .await
        .unwrap();
    let refused = status(presenting(&api.channel, &ada)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    // Whoever presents none is who they were.
    assert!(
        status(api.channel.clone())
            .await
            .unwrap()
            .caller
            .contains('(')
    );
}

#[tokio::test]
async fn what_is_no_session_gets_nobody_in_and_never_falls_back_to_the_peer() {
    let api = Api::start().await;
    for presented in ["", "pcs_", "nonsense", &format!("pcs_{}", "A".repeat(43))] {
        let channel = grpc::Channel::from(api.channel.clone()).presenting(presented);
        let refused = status(channel).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{presented}");
        assert!(refused.message().contains("portcullis login"), "{refused}");
    }
    let refused = api.logins().await;
    assert!(refused.iter().all(|one| one.outcome == "refused"));
    assert!(!refused.is_empty());
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_alike_and_wait_alike() {
    let api = Api::start().await;
    api.with_user("ada", &[]).await;
    api.with_user("bob", &[]).await;
    let stranger = connect(&api.services, STRANGER).await;
    for user in ["ada", "hunter2"] {
        let mut wrong = 0;
        // A slow machine may take longer for a try than the next one has to wait.
        let waits = loop {
            let refused = log_in(&stranger, user, "wrong").await.unwrap_err();
            if refused.code() != Code::PermissionDenied {
                break refused;
            }
            assert!(
                refused.message().starts_with("this is not the name"),
                "{refused}"
            );
            wrong += 1;
            assert!(wrong < 20, "no try has to wait");
        };
        assert!(wrong >= 6, "{user}: {wrong}");
        assert_eq!(waits.code(), Code::ResourceExhausted);
        assert!(waits.message().starts_with("too many log-ins"), "{waits}");
    }
    // Another user of that address does not wait, nor does root.
    log_in(&stranger, "bob", PASSWORD).await.unwrap();
    let root = connect(&api.services, 0).await;
    log_in(&root, "ada", PASSWORD).await.unwrap();

    let entries = api.logins().await;
    let of_ada = entries.iter().find(|one| one.object == "user ada").unwrap();
    assert_eq!(of_ada.outcome, "refused");
    assert!(
        of_ada.detail.contains("password (required): failure"),
        "{}",
        of_ada.detail
    );
    assert!(
        of_ada.detail.contains(&format!("uid {STRANGER}")),
        "{}",
        of_ada.detail
    );
    let last = entries.last().unwrap();
    assert_eq!(
        (last.object.as_str(), last.outcome.as_str()),
        ("user ada", "done")
    );
    assert!(
        last.detail.contains("from this host, uid 0"),
        "{}",
        last.detail
    );
    // What was typed as a name may have been a password.
    let text = format!("{entries:?}");
    assert!(!text.contains("hunter2") && !text.contains(PASSWORD));
}

#[tokio::test]
async fn users_end_their_own_sessions_and_administrators_anybodys() {
    let api = Api::start().await;
    api.with_user("ada", &[]).await;
    api.with_user("bob", &[]).await;
    let stranger = connect(&api.services, STRANGER).await;
    let mut sessions = Vec::new();
    for user in ["ada", "ada", "bob"] {
        sessions.push(log_in(&stranger, user, PASSWORD).await.unwrap());
    }
    let list = async |channel: grpc::Channel| {
        let request = proto::ListSessionsRequest::default();
        let listed = LoginClient::new(channel).list_sessions(request).await;
        listed.map(|listed| listed.into_inner().sessions.len())
    };
    let end = async |channel: grpc::Channel, id: &str| {
        let id = id.to_owned();
        let request = proto::EndSessionRequest { id };
        LoginClient::new(channel).end_session(request).await
    };
    let [one, two, bobs] = &sessions[..] else {
        panic!("{sessions:?}");
    };
    assert_eq!(list(presenting(&stranger, one)).await.unwrap(), 2);
    assert_eq!(list(api.channel.clone().into()).await.unwrap(), 3);
    let refused = list(stranger.clone().into()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let refused = end(presenting(&stranger, one), &bobs.session_id).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
    end(presenting(&stranger, one), &two.session_id)
        .await
        .unwrap();
    end(api.channel.clone().into(), &bobs.session_id)
        .await
        .unwrap();
    assert_eq!(list(api.channel.clone().into()).await.unwrap(), 1);
    let secret = one.session.clone();
    let mut client = LoginClient::new(stranger.clone());
    let out = proto::LogOutRequest { session: secret };
    client.log_out(out.clone()).await.unwrap();
    assert_eq!(
        client.log_out(out).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert_eq!(list(api.channel.clone().into()).await.unwrap(), 0);
    let ended: Vec<_> = api.logins().await;
    let ended = ended
        .iter()
        .filter(|one| one.object.starts_with("session ") && one.outcome == "done");
    assert_eq!(ended.count(), 3);
}

#[tokio::test]
async fn what_goes_on_under_a_session_ends_with_it_and_with_the_right_to_it() {
    let api = Api::start().await;
    api.with_user("ada", &[Capability::Auditor]).await;
    let stranger = connect(&api.services, STRANGER).await;
    let method = METHODS.iter().find(|method| method.name == "Audit/Export");
    let watching = async || {
        let ada = log_in(&stranger, "ada", PASSWORD).await.unwrap();
        let bearer = String::from_utf8(ada.session.unwrap().value.clone()).unwrap();
        let presented = Presented {
            services: Arc::new(api.services.clone()),
            bearer: Zeroizing::new(bearer),
            from: PeerFacts::default(),
            method: *method.unwrap(),
        };
        let mut answers = presented.holds(Box::pin(tokio_stream::pending()));
        let goes_on = timeout(Duration::from_millis(1_500), answers.next()).await;
        assert!(goes_on.is_err(), "{goes_on:?}");
        (ada.session_id, answers)
    };
    let ends = async |mut answers: Replies<Bytes>| {
        let last = timeout(Duration::from_secs(10), answers.next()).await;
        let status = last.unwrap().unwrap().unwrap_err();
        assert!(answers.next().await.is_none());
        status.code()
    };
    let (id, answers) = watching().await;
    let request = proto::EndSessionRequest { id };
    let mut logins = LoginClient::new(api.channel.clone());
    logins.end_session(request).await.unwrap();
    assert_eq!(ends(answers).await, Code::Unauthenticated);

    let (_, answers) = watching().await;
    let withdraw = proto::WithdrawFromUserRequest {
        name: "ada".to_owned(),
        capability: "auditor".to_owned(),
    };
    let mut users = UsersClient::new(api.channel.clone());
    users.withdraw(withdraw).await.unwrap();
    assert_eq!(ends(answers).await, Code::PermissionDenied);
}

#[tokio::test]
async fn nobody_gets_more_rights_by_way_of_a_users_password() {
    let api = Api::start().await;
    api.with_user("ada", &[Capability::SecurityAdministrator])
        .await;
    api.with_user("bob", &[Capability::Administrator]).await;
    let administrator = connect(&api.services, BASE + 1).await;
    let mut users = UsersClient::new(administrator);
    for (name, may) in [("ada", false), ("bob", true), ("nobody", true)] {
        let password = Some(Secret::plain(PASSWORD.into()));
        let set = proto::SetUserPasswordRequest {
            name: name.to_owned(),
            password: password.clone(),
        };
        let check = proto::CheckUserPasswordRequest {
            name: name.to_owned(),
            password,
        };
        let set = users.set_password(set).await.map(drop);
        let checked = users.check_password(check).await.map(drop);
        for done in [set, checked] {
            let code = done.map_or_else(|status| status.code(), |()| Code::Ok);
            assert_eq!(code != Code::PermissionDenied, may, "{name}");
        }
    }
    let grant = proto::GrantToUserRequest {
        name: "bob".to_owned(),
        capability: "security-administrator".to_owned(),
    };
    let refused = users.grant(grant).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}

async fn set(
    channel: &Channel,
    request: proto::SetApplicationRequest,
) -> Result<proto::Application, Status> {
    let answer = LoginClient::new(channel.clone())
        .set_application(request)
        .await;
    answer.map(tonic::Response::into_inner)
}

fn api_with(groups: &[&str]) -> proto::SetApplicationRequest {
    proto::SetApplicationRequest {
        name: "api".to_owned(),
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..Default::default()
    }
}

#[tokio::test]
async fn the_newer_session_wins_where_there_is_one_at_a_time_and_the_older_is_told_why() {
    let api = Api::start().await;
    api.with_user("ada", &[Capability::Auditor]).await;
    let stranger = connect(&api.services, STRANGER).await;
    let before = log_in(&stranger, "ada", PASSWORD).await.unwrap();
    let single = proto::SetApplicationRequest {
        single_session: Some(true),
        idle_ms: Some(60_000),
        ..api_with(&[])
    };
    let shown = set(&api.channel, single).await.unwrap();
    assert_eq!(
        (shown.sessions, shown.groups),
        (1, vec!["password".to_owned()])
    );
    // A change is for log-ins from then on.
    status(presenting(&stranger, &before)).await.unwrap();
    let after = log_in(&stranger, "ada", PASSWORD).await.unwrap();
    assert_eq!((before.idle_ms, after.idle_ms), (1_800_000, 60_000));
    let told = status(presenting(&stranger, &before)).await.unwrap_err();
    assert_eq!(told.code(), Code::Unauthenticated);
    assert!(told.message().contains(&after.session_id), "{told}");
    status(presenting(&stranger, &after)).await.unwrap();
    let all = proto::SetApplicationRequest {
        end_sessions: true,
        ..api_with(&[])
    };
    assert_eq!(set(&api.channel, all).await.unwrap().sessions, 0);
    let refused = status(presenting(&stranger, &after)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_group_is_asked_where_its_rule_holds_and_where_none_is_it_looks_like_a_wrong_password() {
    let api = Api::start().await;
    api.with_user("ada", &[]).await;
    let stranger = connect(&api.services, STRANGER).await;
    let mut login = LoginClient::new(api.channel.clone());
    let group = |name: &str, rule: &str| proto::SetLoginGroupRequest {
        name: name.to_owned(),
        rule: Some(rule.to_owned()),
        modules: vec!["password:requisite".to_owned()],
    };
    login
        .set_group(group("far", "from:0.0.0.0/0"))
        .await
        .unwrap();
    login
        .set_group(group("near", "host days:mon-sun"))
        .await
        .unwrap();
    // One without a rule has to be the last one.
    let refused = set(&api.channel, api_with(&["password", "near"])).await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    set(&api.channel, api_with(&["far"])).await.unwrap();
    let none = log_in(&stranger, "ada", PASSWORD).await.unwrap_err();
    let wrong = log_in(&stranger, "ada", "wrong").await.unwrap_err();
    assert_eq!(
        (none.code(), none.message()),
        (wrong.code(), wrong.message())
    );
    set(&api.channel, api_with(&["far", "near"])).await.unwrap();
    log_in(&stranger, "ada", PASSWORD).await.unwrap();
    let entries = api.logins().await;
    let told = |words: &str| entries.iter().any(|one| one.detail.contains(words));
    assert!(told("the rule of no group holds"));
    assert!(told("group near, password (requisite): success"));
    // A rule goes only where the order allows, and a group only where nobody asks it.
    let refused = login.set_group(group("far", "")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let name = "near".to_owned();
    let remove = proto::RemoveLoginGroupRequest { name };
    let refused = login.remove_group(remove.clone()).await.unwrap_err();
    assert!(refused.message().contains("application api"), "{refused}");
    set(&api.channel, api_with(&["password"])).await.unwrap();
    login.remove_group(remove).await.unwrap();
}

#[tokio::test]
async fn an_application_is_disabled_with_a_message_but_for_those_of_administrators() {
    let api = Api::start().await;
    api.with_user("ada", &[Capability::Auditor]).await;
    let disabled = |name: &str, add: bool, disabled: bool| proto::SetApplicationRequest {
        name: name.to_owned(),
        add,
        disabled: Some(disabled),
        message: Some("back at noon".to_owned()),
        ..Default::default()
    };
    for name in ["api", "console"] {
        let refused = set(&api.channel, disabled(name, false, true)).await;
        assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    }
    let refused = set(&api.channel, disabled("hr", false, true)).await;
    assert_eq!(refused.unwrap_err().code(), Code::NotFound);
    set(&api.channel, disabled("hr", true, false))
        .await
        .unwrap();
    let mut login = LoginClient::new(api.channel.clone());
    let request = proto::LogInRequest {
        user: "ada".to_owned(),
        password: Some(Secret::plain(PASSWORD.into())),
        application: "hr".to_owned(),
    };
    let hr = login.log_in(request.clone()).await.unwrap().into_inner();
    set(&api.channel, disabled("hr", false, true))
        .await
        .unwrap();
    let refused = login.log_in(request).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("back at noon"), "{refused}");
    // Who is in stays in, until the application is removed.
    status(presenting(&api.channel, &hr)).await.unwrap();
    let name = "hr".to_owned();
    let remove = proto::RemoveApplicationRequest { name };
    login.remove_application(remove).await.unwrap();
    let refused = status(presenting(&api.channel, &hr)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let name = "scim".to_owned();
    let remove = proto::RemoveApplicationRequest { name };
    let refused = login.remove_application(remove).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
}
