//! Whoever can write the repository's file, without the server's secret, decides nothing.

use std::path::PathBuf;

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_tests::harness::{
    Admin, Dial, Gateway, OrFail as _, Scripts, Server, Site, eventually,
};
use rusqlite::Connection;

/// Keeps what it is given on standard input.
const KEEP: &str =
    "#!/bin/sh\ncat >\"$SEEN\"\necho ran >>\"$SEEN.runs\"\necho '{\"report\":\"ready\"}'\n";
const PASSWORD: &str = "the-bind-password-of-hr";

/// A server, and gateways that dial it.
struct Attack {
    gateways: Vec<Gateway>,
    server: Server,
    admin: Admin,
    site: Site,
}

impl Attack {
    async fn new() -> Self {
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        Self {
            gateways: Vec::new(),
            server,
            admin,
            site,
        }
    }

    /// A gateway on a host of that name, which keeps what it is given; not registered yet.
    fn host(&self, host: &str, name: &str) -> Gateway {
        let folder = self.site.folder(&format!("{host}-scripts"));
        self.site.file(&format!("{host}-scripts/test"), 0o700, KEEP);
        self.site
            .file(&format!("{host}-scripts/run-keep"), 0o700, KEEP);
        let seen = self.seen(host);
        let config = format!(
            "[connectors.ldap]\ntype = \"script\"\nfolder = {folder:?}\nsettings = [\"bind_password\"]\n[connectors.ldap.environment]\nSEEN = {seen:?}\n"
        );
        let dial = Dial::Out(self.server.dial_out_port);
        let mut gateway = Gateway::new(&self.site, host, dial, &config);
        if name != host {
            let config = std::fs::read_to_string(&gateway.config).unwrap();
            let config = config.replace(&format!("name = {host:?}"), &format!("name = {name:?}"));
            self.site.file(&format!("{host}.toml"), 0o600, &config);
            gateway.name = name.to_owned();
        }
        gateway
    }

    /// What the connector of a host was given.
    fn seen(&self, host: &str) -> PathBuf {
        self.site.path().join(format!("{host}.seen"))
    }

    fn given(&self, host: &str) -> String {
        std::fs::read_to_string(self.seen(host)).unwrap_or_default()
    }

    /// A gateway that is enrolled and connected.
    async fn enrolled(&mut self, name: &str) {
        let token = self.admin.add_gateway(name, "", false).await;
        let mut gateway = self.host(name, name);
        gateway.enroll(&token);
        gateway.start();
        self.admin.synchronized(name).await;
        self.gateways.push(gateway);
    }

    /// How often a connector of a host ran.
    fn runs(&self, host: &str) -> usize {
        let runs = format!("{}.runs", self.seen(host).display());
        std::fs::read_to_string(runs).map_or(0, |runs| runs.lines().count())
    }

    /// Waits until a queued call has ended so.
    async fn until(&self, id: &str, state: proto::QueuedState) -> String {
        let ended = || async {
            let call = self.queued(id).await;
            (call.state() == state).then(|| format!("{:?}", call.outcome))
        };
        eventually(&format!("{id} to be {state:?}"), ended).await
    }

    fn gateway(&mut self, name: &str) -> &mut Gateway {
        let mut gateways = self.gateways.iter_mut();
        gateways.find(|gateway| gateway.name == name).or_fail(name)
    }

    /// The resource `hr` on a gateway, with a bind password.
    async fn with_resource(&self, gateway: &str) {
        self.admin.add_resource("hr", gateway, "ldap").await;
        self.set_password();
    }

    fn set_password(&self) {
        let file = self.site.file("password", 0o600, PASSWORD);
        let line = format!(
            "resource set hr --secret-file bind_password={}",
            file.display()
        );
        self.server.portcullis(&line).ok();
    }

    /// Runs SQL as somebody who can write to the repository's file.
    fn edit(&self, sql: &str) {
        let file = Connection::open(self.server.data.join("portcullis.db")).unwrap();
        file.busy_timeout(std::time::Duration::from_secs(5))
            .unwrap();
        file.execute_batch(&format!("PRAGMA foreign_keys = OFF; {sql}"))
            .unwrap();
    }

    async fn restart(&mut self) {
        self.server.kill();
        self.admin = self.server.serve().await;
    }

    async fn enqueue(&self, id: &str) {
        let call = Scripts::call("keep", id);
        let request = proto::ExecuteRequest {
            resource: "hr".to_owned(),
            call: Some(call),
            ..Default::default()
        };
        self.admin.calls().enqueue(request).await.unwrap();
    }

    async fn queued(&self, id: &str) -> proto::QueuedCall {
        let call_id = id.to_owned();
        let request = proto::ShowQueuedRequest { call_id };
        let shown = self.admin.calls().show_queued(request).await;
        shown.unwrap().into_inner()
    }

    async fn token(&self, name: &str) -> String {
        let request = proto::NewTokenRequest {
            name: name.to_owned(),
            allow_pairing: false,
            ..Default::default()
        };
        let again = self.admin.gateways().new_token(request).await.unwrap();
        again.into_inner().token.unwrap().token
    }

    async fn evict(&self, name: &str) {
        let name = name.to_owned();
        let request = proto::EvictGatewayRequest { name };
        self.admin.gateways().evict(request).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resource_that_is_moved_hands_its_password_to_nobody() {
    let mut attack = Attack::new().await;
    attack.enrolled("host1").await;
    attack.enrolled("evil").await;
    attack.with_resource("host1").await;
    attack.admin.add_resource("other", "host1", "ldap").await;
    attack.edit("UPDATE resources SET gateway = 'evil' WHERE name = 'hr'");
    let tested = attack.server.portcullis("resource test hr");
    assert!(!attack.given("evil").contains(PASSWORD), "{tested}");
    assert!(
        tested.stderr.contains("changed or put in by hand"),
        "{tested}"
    );
    // One bad record stops nothing else, and is told wherever one looks.
    attack.server.portcullis("resource test other").ok();
    let listed = attack.server.portcullis("resource list").ok();
    assert!(listed.stdout.contains("RECORD CHANGED BY HAND"), "{listed}");
    let verified = attack.server.portcullis("key verify");
    assert!(!verified.status.success(), "{verified}");
    assert!(verified.to_string().contains("resource `hr`"), "{verified}");
    attack.restart().await;
    attack.server.portcullis("resource test other");
    attack.server.portcullis("resource remove hr").ok();
    attack.with_resource("host1").await;
    attack.admin.synchronized("host1").await;
    attack.server.portcullis("resource test hr").ok();
    assert!(attack.given("host1").contains(PASSWORD));

    // While the log is in dispute this is the only command that names them.
    attack.server.kill();
    attack.edit(
        "UPDATE resources SET gateway = 'evil' WHERE name = 'hr';
         DELETE FROM resources WHERE name = 'other'",
    );
    attack.admin = attack.server.serve().await;
    attack.server.portcullis("key verify").refused();
    let verified = attack.server.portcullis("audit verify").to_string();
    assert!(verified.contains("put back"), "{verified}");
    assert!(verified.contains("resource `hr` (table"), "{verified}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pairing_that_is_opened_by_hand_gives_no_key() {
    let mut attack = Attack::new().await;
    attack.enrolled("host1").await;
    attack.gateway("host1").kill();
    let closed = |gateway: &proto::Gateway| !gateway.connected;
    attack.admin.gateway_becomes("host1", "away", closed).await;
    attack.edit("UPDATE gateways SET pairing_until_ms = 9999999999999 WHERE name = 'host1'");
    let mut third = attack.host("third", "host1");
    third.cli("pair --for 10m").ok();
    third.start();
    let tried = || async {
        let log = third.log();
        let over = log.contains("no session") || log.contains("session opened");
        over.then_some(())
    };
    eventually("the third program to be refused, or let in", tried).await;
    let shown = attack.server.portcullis("gateway show host1").ok();
    assert!(
        shown.stdout.contains("changed or put in by hand"),
        "{shown}"
    );
    let status = third.cli("status");
    assert!(!status.stdout.contains("3des-"), "{status}");
    is_told_as_changed(&attack).await;
    // Nor does an administrator open it over a key.
    let mut attack = Attack::new().await;
    attack.enrolled("host2").await;
    let request = proto::NewTokenRequest {
        name: "host2".to_owned(),
        allow_pairing: true,
        ..Default::default()
    };
    let refused = attack.admin.gateways().new_token(request).await;
    assert!(refused.is_err());
}

/// That the record of host1 was changed is told in the same way wherever one looks, and the next
/// step that is named works.
async fn is_told_as_changed(attack: &Attack) {
    let portcullis = |line: &str| attack.server.portcullis(line);
    let listed = portcullis("gateway list --state changed").ok();
    assert!(listed.stdout.contains("host1"), "{listed}");
    assert!(!listed.stdout.contains("revoked"), "{listed}");
    let line = "1 registered, 0 up, 1 with alarms";
    let status = portcullis("status");
    for told in [&listed, &status] {
        assert!(told.stdout.contains(line), "{told}");
    }
    let shown = portcullis("gateway show host1").ok();
    assert!(shown.stdout.contains("gateway remove host1"), "{shown}");
    let valid = attack.server.cli("validate");
    assert!(
        valid.stderr.contains("record of gateway `host1`"),
        "{valid}"
    );
    portcullis("gateway remove host1").ok();
    attack.admin.add_gateway("host1", "", false).await;
    let told = attack.admin.gateway("host1").await;
    assert_eq!(told.state(), proto::GatewayState::Registered);
    let valid = attack.server.cli("validate").ok();
    let sound = valid.stdout.contains("are as the server left them");
    assert!(sound, "{valid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_call_does_not_follow_a_gateway_id_that_is_swapped() {
    let mut attack = Attack::new().await;
    attack.enrolled("host1").await;
    attack.enrolled("evil").await;
    attack.with_resource("host1").await;
    attack.gateway("host1").kill();
    let closed = |gateway: &proto::Gateway| !gateway.connected;
    attack.admin.gateway_becomes("host1", "away", closed).await;
    attack.enqueue("one").await;
    attack.server.kill();
    attack.edit(
        "CREATE TABLE swap AS SELECT name, gateway_id FROM gateways;
         UPDATE gateways SET gateway_id = zeroblob(16) WHERE name = 'evil';
         UPDATE gateways SET gateway_id = (SELECT gateway_id FROM swap WHERE name = 'evil') WHERE name = 'host1';
         UPDATE gateways SET gateway_id = (SELECT gateway_id FROM swap WHERE name = 'host1') WHERE name = 'evil';
         DROP TABLE swap",
    );
    attack.gateway("evil").kill();
    attack.admin = attack.server.serve().await;
    attack.gateway("evil").start();
    let tried = || async {
        let refused = attack
            .gateways
            .iter()
            .any(|gateway| gateway.log().contains("no session"));
        (refused || !attack.given("evil").is_empty()).then_some(())
    };
    eventually("evil to be refused, or served", tried).await;
    assert_eq!(attack.given("evil"), "");
    let told = attack.admin.gateway("host1").await;
    assert!(!told.connected && told.last_error.contains("changed or put in by hand"));
    assert_ne!(attack.queued("one").await.state(), proto::QueuedState::Done);
}

/// Makes of a call that was sent one that waits.
const FLIP: &str = "UPDATE queued_calls SET state = 0, dispatched_ms = NULL, ended_ms = NULL,
     outcome = NULL, instance = NULL WHERE call_id = 'one';
     INSERT INTO sealed_values (type, owner, field, sealed, context)
     SELECT type, owner, field, sealed, context FROM payloads";
/// Puts the whole record of such a call back.
const PUT_BACK: &str = "DELETE FROM sealed_values WHERE type = 'queued-call';
     DELETE FROM queued_calls WHERE call_id = 'one';
     INSERT INTO queued_calls SELECT * FROM keep;
     INSERT INTO sealed_values (type, owner, field, sealed, context)
     SELECT type, owner, field, sealed, context FROM payloads";

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_call_is_sent_once_whatever_is_made_of_its_record() {
    use proto::QueuedState::{Done, Indeterminate};
    let mut attack = Attack::new().await;
    attack.enrolled("host1").await;
    attack.with_resource("host1").await;
    attack.gateway("host1").kill();
    let closed = |gateway: &proto::Gateway| !gateway.connected;
    attack.admin.gateway_becomes("host1", "away", closed).await;
    attack.enqueue("one").await;
    attack.edit(
        "CREATE TABLE keep AS SELECT * FROM queued_calls;
         CREATE TABLE payloads AS SELECT * FROM sealed_values WHERE type = 'queued-call'",
    );
    attack.gateway("host1").start();
    attack.until("one", Done).await;
    assert_eq!(attack.runs("host1"), 1);

    // While the server runs: a state of before, and the whole row of before.
    for (sql, next, runs, told) in [
        (FLIP, "two", 2, "changed or put in by hand"),
        (PUT_BACK, "three", 3, "was put back"),
    ] {
        attack.edit(sql);
        attack.enqueue(next).await;
        attack.until(next, Done).await;
        assert_eq!(attack.runs("host1"), runs, "{sql}");
        let outcome = attack.until("one", Indeterminate).await;
        assert!(outcome.contains(told), "{outcome}");
        let summary = attack.queued("one").await.summary;
        let marked = summary.starts_with("RECORD CHANGED BY HAND");
        assert_eq!(marked, told.contains("changed"), "{summary}");
        let verified = attack.server.portcullis("key verify");
        assert!(!verified.status.success(), "{verified}");
    }
    // While none runs: no call is sent until somebody has looked.
    attack.server.kill();
    attack.edit(PUT_BACK);
    let valid = attack.server.cli("validate").ok();
    assert!(valid.stderr.contains("put back"), "{valid}");
    attack.admin = attack.server.serve().await;
    attack.admin.synchronized("host1").await;
    let verified = attack.server.portcullis("audit verify");
    assert!(verified.to_string().contains("put back"), "{verified}");
    let waits = || async {
        let log = attack.server.log();
        log.contains("queued calls wait").then_some(())
    };
    eventually("the queue to wait", waits).await;
    assert_eq!(attack.runs("host1"), 3);
    let accept = "audit accept --reason restored";
    attack.server.portcullis(accept).ok();
    attack.enqueue("four").await;
    attack.until("four", Done).await;
    attack.until("one", Indeterminate).await;
    assert_eq!(attack.runs("host1"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_put_in_is_not_run() {
    let mut attack = Attack::new().await;
    attack
        .server
        .portcullis("key generate-server --set-current")
        .ok();
    attack.server.kill();
    let manage = r#"{"kind":"manage","server_key":null,"re_encrypt":false,"gateway_key":null,"sync":false,"verify":false,"delete_unused":true}"#;
    let verify = r#"{"kind":"verify"}"#;
    let progress = r#"{"steps":[],"types":[],"findings":[],"more_findings":0}"#;
    for (kind, parameters) in [("verify", verify), ("manage", manage)] {
        attack.edit(&format!(
            "INSERT INTO tasks (kind, parameters, subject, state, progress, started_ms)
             VALUES ('{kind}', '{parameters}', 'alice (1001)', 'running', '{progress}', 1)"
        ));
    }
    attack.admin = attack.server.serve().await;
    attack.server.portcullis("key verify");
    let log = attack.server.portcullis("audit list").ok();
    assert!(!log.stdout.contains("alice"), "{log}");
    let tasks = attack.server.portcullis("task list").ok();
    assert_eq!(tasks.stdout.matches("failed").count(), 3, "{tasks}");
    let keys = attack.server.portcullis("key list").ok();
    assert_eq!(keys.stdout.matches("server").count(), 2, "{keys}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_under_the_name_of_an_evicted_one_gets_nothing_of_its_secrets() {
    let mut attack = Attack::new().await;
    attack.enrolled("host1").await;
    attack.with_resource("host1").await;
    attack.server.portcullis("resource test hr").ok();
    attack.evict("host1").await;
    attack.gateway("host1").kill();
    attack.enqueue("late").await;
    let token = attack.token("host1").await;
    let mut machine = attack.host("machine", "host1");
    machine.enroll(&token);
    machine.start();
    attack.admin.synchronized("host1").await;
    attack
        .server
        .portcullis("resource test hr")
        .refused()
        .saying("portcullis resource set hr --secret-setting");
    assert_eq!(attack.given("machine"), "");
    let failed = attack.queued("late").await;
    assert_eq!(failed.state(), proto::QueuedState::Failed);
    let Some(Came::Failed(failure)) = failed.outcome.unwrap().result else {
        panic!("it has no reason");
    };
    assert!(
        failure.message.contains("earlier registration"),
        "{failure:?}"
    );

    let shown = attack.server.portcullis("resource show hr").ok();
    assert!(shown.stdout.contains("has to be set again"), "{shown}");
    attack.set_password();
    attack.server.portcullis("resource test hr").ok();
    assert!(attack.given("machine").contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_put_back_or_removed_are_found_at_the_next_start() {
    let mut attack = Attack::new().await;
    attack.enrolled("host1").await;
    let revoke = proto::RevokeGatewayRequest {
        name: "host1".to_owned(),
    };
    attack.edit("CREATE TABLE keep AS SELECT * FROM gateways");
    attack.admin.gateways().revoke(revoke).await.unwrap();
    let put_back = "DELETE FROM gateways; INSERT INTO gateways SELECT * FROM keep";
    for sql in [put_back, "DELETE FROM gateways"] {
        attack.server.kill();
        attack.edit(sql);
        attack.admin = attack.server.serve().await;
        let found = attack.server.portcullis("audit verify");
        assert!(!found.status.success(), "{found}");
        assert!(found.to_string().contains("put back"), "{found}");
        let verified = attack.server.portcullis("key verify");
        assert!(!verified.status.success(), "{verified}");
        // Nobody changes anything until somebody has looked.
        attack
            .server
            .portcullis("gateway add host2 --dial-out")
            .refused()
            .saying("put back");
        attack
            .server
            .portcullis("audit accept --reason restored")
            .ok();
        attack.server.portcullis("audit verify").ok();
        attack.server.portcullis("key verify").ok();
        attack.restart().await;
        attack.server.portcullis("audit verify").ok();
    }
    // An older schema has no row bound again.
    attack.server.kill();
    attack.edit("PRAGMA user_version = 9");
    attack.server.start();
    let ended = || async {
        let log = attack.server.log();
        log.contains("its version was changed by hand")
            .then_some(())
    };
    eventually("the server to refuse", ended).await;
}
