//! The same call id with another password, or anything else that is another: never accepted and
//! dropped, be the calls direct or queued.

use portcullis_tests::harness::{Admin, Dial, Finished, Gateway, Scripts, Server, Site};

/// A server and an enrolled gateway, with the resource `journal`.
struct Pair {
    // In this order: processes are killed before the folder they live in goes.
    gateway: Gateway,
    server: Server,
    admin: Admin,
    scripts: Scripts,
    site: Site,
}

impl Pair {
    async fn new() -> Self {
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let dial = Dial::inward();
        let scripts = Scripts::new(&site, "scripts");
        let mut gateway = Gateway::new(&site, "host1", dial, &scripts.config());
        let token = admin.add_gateway("host1", &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized("host1").await;
        let connector = Scripts::CONNECTOR;
        admin.add_resource("journal", "host1", connector).await;
        for (file, text) in [("p1", "Correct-Horse-41\n"), ("p2", "Other-Battery-42\n")] {
            site.file(file, 0o600, text);
        }
        Self {
            gateway,
            server,
            admin,
            scripts,
            site,
        }
    }

    /// `portcullis run journal record` with these options; `@` stands for the site's folder.
    fn record(&self, options: &str) -> Finished {
        let folder = self.site.path().display().to_string();
        let options = options.replace('@', &folder);
        self.server
            .portcullis(&format!("run journal record {options}"))
    }

    #[track_caller]
    fn refused(&self, options: &str, how: &str) {
        let said = format!("call `k` was {how} with other contents");
        self.record(options).refused().saying(&said);
    }

    fn times(&self, id: &str) -> usize {
        self.scripts.executed().get(id).copied().unwrap_or(0)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_call_is_not_another_one_under_its_id() {
    let mut pair = Pair::new().await;
    pair.gateway.kill();
    let away = |gateway: &portcullis_proto::admin::v1::Gateway| !gateway.connected;
    pair.admin.gateway_becomes("host1", "away", away).await;
    let first = "--secret-file password=@/p1 --queue --call-id k";
    pair.record(first).ok();
    // The same request is no other one, however long it may take.
    pair.record(first).ok();
    pair.record(&format!("{first} --timeout 5s")).ok();
    for other in [
        "--secret-file password=@/p2 --queue --call-id k",
        "--secret-file secret=@/p1 --queue --call-id k",
        "--queue --call-id k",
        "--arg password=Correct-Horse-41 --queue --call-id k",
        "--secret-file password=@/p2 --call-id k",
    ] {
        pair.refused(other, "queued");
    }
    // Made directly it has no outcome yet.
    let direct = "--secret-file password=@/p1 --call-id k";
    pair.record(direct).refused().saying("in the queue");
    // A restart of the server changes nothing in that.
    pair.server.kill();
    pair.server.serve().await;
    pair.refused("--secret-file password=@/p2 --queue --call-id k", "queued");

    pair.gateway.start();
    pair.server.portcullis("call wait k").ok();
    assert_eq!(pair.times("k"), 1);
    pair.record(first).ok();
    pair.record(direct).ok();
    pair.refused("--secret-file password=@/p2 --queue --call-id k", "queued");
    assert_eq!(pair.times("k"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_call_is_made_once_under_its_id_over_a_restart_and_is_not_another_one() {
    let mut pair = Pair::new().await;
    let first = "--secret-file password=@/p1 --call-id k";
    for _ in 0..3 {
        pair.record(first).ok();
    }
    assert_eq!(pair.times("k"), 1);
    for other in [
        "--secret-file password=@/p2 --call-id k",
        "--arg a=b --call-id k",
        "--secret-file password=@/p2 --queue --call-id k",
    ] {
        pair.refused(other, "made");
    }
    let test = pair.server.portcullis("resource test journal --call-id k");
    test.refused().saying("was made with other contents");
    pair.server.kill();
    pair.server.serve().await;
    pair.admin.synchronized("host1").await;
    pair.record(first).ok();
    pair.record(&format!("{first} --queue")).ok();
    pair.refused("--secret-file password=@/p2 --call-id k", "made");
    assert_eq!(pair.times("k"), 1);
    let shown = pair.server.portcullis("call show k");
    assert!(shown.ok().stdout.contains("done"));
    pair.server
        .portcullis("call retry k")
        .refused()
        .saying("neither failed");

    // What failed is found with its cause, and made again under an id of its own.
    let fails = pair.server.portcullis("run journal absent --call-id f");
    fails.refused();
    let listed = pair
        .server
        .portcullis("--output json call list --failed")
        .ok();
    assert!(listed.stdout.contains("\"remedy\""), "{listed}");
    let again = pair.server.portcullis("--output json call retry f").ok();
    assert!(
        again.stdout.contains("\"retry_of\":\"f\"") || again.stdout.contains("\"retry_of\": \"f\""),
        "{again}"
    );
}
