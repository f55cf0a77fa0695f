//! Every method, by every capability: who gets in, and what a refusal leaves in the audit log.

use super::*;

/// Those that find out by themselves who asks. Each has a test of its own.
const OPEN: [&str; 4] = [
    "Login/EndSession",
    "Login/ListSessions",
    "Login/LogIn",
    "Login/LogOut",
];

/// Every method that `admin.proto` declares.
fn methods() -> Vec<String> {
    let mut service = "";
    let mut methods = Vec::new();
    for line in include_str!("../../../../../proto/admin.proto").lines() {
        let mut words = line.split([' ', '(']).filter(|word| !word.is_empty());
        match (words.next(), words.next()) {
            (Some("service"), Some(name)) => service = name,
            (Some("rpc"), Some(name)) => {
                methods.push(format!("/portcullis.admin.v1.{service}/{name}"));
            }
            _ => {}
        }
    }
    methods
}

#[test]
fn every_method_of_the_api_stands_in_the_table_once() {
    let mut declared = methods();
    let mut known: Vec<_> = METHODS.iter().map(path).collect();
    declared.sort();
    known.sort();
    let lacking = declared.iter().find(|method| !known.contains(method));
    assert_eq!(lacking, None, "no file of server/src/admin offers it");
    assert_eq!(declared, known);
    for method in METHODS.iter() {
        assert_eq!(
            method.open,
            method.who.iter().count() == 0,
            "{}",
            method.name
        );
    }
    let open = METHODS.iter().filter(|method| method.open);
    let mut open: Vec<_> = open.map(|method| method.name).collect();
    open.sort_unstable();
    assert_eq!(open, OPEN);
}

#[test]
fn what_is_not_audited_only_reads() {
    const READS: [&str; 16] = [
        "ListApplications",
        "ListGroups",
        "ListSessions",
        "ListAlarms",
        "WatchQueued",
        "ListQueued",
        "ShowQueued",
        "Status",
        "List",
        "Show",
        "Ping",
        "Verify",
        "VerifyExport",
        "Watch",
        "UpgradeCheck",
        "UpgradeStatus",
    ];
    for method in METHODS.iter() {
        let (_, verb) = method.name.split_once('/').unwrap();
        // That one starts a task.
        if method.name == "Keys/Verify" {
            assert!(matches!(method.plan, Plan::Change));
            continue;
        }
        let reads = matches!(method.plan, Plan::Read);
        assert_eq!(reads, READS.contains(&verb), "{}", method.name);
    }
}

#[tokio::test]
async fn each_method_is_open_to_its_capabilities_and_to_nobody_else() {
    let api = Api::start().await;
    for (id, capability) in (BASE..).zip(Capability::ALL) {
        let channel = connect(&api.services, id).await;
        for method in METHODS.iter().filter(|method| !method.open) {
            let may = method.who.meets(CapabilitySet::of(&[capability]));
            let status = answer(&channel, &path(method)).await;
            let code = status.as_ref().map_or(Code::Ok, Status::code);
            assert_ne!(code, Code::Unimplemented, "{}", method.name);
            assert_eq!(
                code != Code::PermissionDenied,
                may,
                "{} for {capability}",
                method.name
            );
            if let (false, Some(status)) = (may, status) {
                let message = status.message();
                let missing = method.who.to_string();
                assert!(message.contains(&format!("uid {id}")), "{message}");
                assert!(message.contains(&missing), "{message}");
                assert!(message.contains(capability.name()), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn no_method_is_open_to_a_stranger() {
    let api = Api::start().await;
    for stranger in [None, Some(STRANGER)] {
        let channel = connect(&api.services, stranger).await;
        for method in methods() {
            let code = code(&channel, &method).await;
            let is_open = OPEN.iter().any(|open| method.ends_with(open));
            let may_not = code == Code::PermissionDenied;
            assert!(may_not || is_open && code != Code::Ok, "{method}: {code:?}");
        }
    }
    for method in METHODS.iter().filter(|method| !method.open).map(path) {
        let code = code(&api.channel, &method).await;
        assert!(
            !matches!(code, Code::PermissionDenied | Code::Unimplemented),
            "{method} gives its owner {code:?}"
        );
    }
}

#[tokio::test]
async fn what_is_not_in_the_table_is_there_for_nobody() {
    let api = Api::start().await;
    for unknown in [
        "/portcullis.admin.v1.Secrets/Show",
        "/portcullis.admin.v1.Keys/Show",
        "/portcullis.admin.v1.Keys/List/",
        "/portcullis.admin.v2.Keys/List",
        "/grpc.health.v1.Health/List",
        "/grpc.channelz.v1.Channelz/GetServers",
        "/",
    ] {
        let status = answer(&api.channel, unknown).await.unwrap();
        assert_eq!(status.code(), Code::Unimplemented, "{unknown}");
        assert_eq!(
            status.metadata().get("portcullis-kind").unwrap(),
            "unsupported"
        );
    }
}

#[tokio::test]
async fn status_tells_callers_what_they_may_do() {
    let api = Api::start().await;
    let channel = connect(&api.services, BASE + 2).await;
    let status = SystemClient::new(channel)
        .status(proto::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(status.caller, format!("uid {}", BASE + 2));
    assert_eq!(status.capabilities, ["operator"]);
}

#[tokio::test]
async fn root_may_administer_whoever_runs_the_server() {
    let api = Api::start().await;
    let channel = connect(&api.services, 0).await;
    let status = SystemClient::new(channel)
        .status(proto::StatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(status.server_id, api.services.server_id.to_string());
    assert!(status.current_gateway_key_id.starts_with("3des-"));
}
