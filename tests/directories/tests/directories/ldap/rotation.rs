//! A resource's password changed through a server and a gateway that are killed meanwhile: whatever
//! the moment, the resource goes on by the one that the directory has.

use std::time::{Duration, Instant};

use portcullis_directories::Slapd;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, Test};
use portcullis_tests::harness::{Admin, Dial, Gateway, Server, Site, eventually};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

const RESOURCE: &str = "directory";

struct Run {
    slapd: Slapd,
    server: Server,
    gateway: Gateway,
    admin: Admin,
    _site: Site,
}

impl Run {
    async fn start() -> Self {
        let slapd = Slapd::start().await;
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let connector = format!(
            "[connectors.people]\ntype = \"ldap\"\nservers = [{:?}]\nca_file = {:?}\nbind_dn = \"{}\"\n\
             connect_timeout = \"2s\"\nanswer_timeout = \"2s\"\n\
             [connectors.people.accounts]\nbase = \"ou=people,dc=example,dc=org\"\n",
            slapd.url(),
            slapd.authority(),
            Slapd::GATEWAY
        );
        let dial = Dial::inward();
        let mut gateway = Gateway::new(&site, "g", dial, &connector);
        let token = admin.add_gateway("g", &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized("g").await;
        admin.add_resource(RESOURCE, "g", "people").await;
        let secret = site.file("secret", 0o600, Slapd::GATEWAY_PASSWORD);
        let set = format!(
            "resource set {RESOURCE} --secret-file bind_password={}",
            secret.display()
        );
        server.portcullis(&set).ok();
        Self {
            slapd,
            server,
            gateway,
            admin,
            _site: site,
        }
    }

    /// Why the resource cannot be worked on; `None`: it can.
    async fn fault(&self) -> Option<String> {
        let call = Call {
            verb: Some(Verb::Test(Test {})),
            ..Call::default()
        };
        match self.admin.try_call(RESOURCE, call).await {
            Err(status) => Some(status.message().to_owned()),
            Ok(outcome) => match outcome.result {
                Some(OutcomeResult::Done(_)) => None,
                other => Some(format!("{other:?}")),
            },
        }
    }

    /// Starts what was killed, and waits until the resource can be worked on.
    async fn recover(&mut self) {
        if self.server.process.is_none() {
            self.admin = self.server.serve().await;
        }
        if self.gateway.process.is_none() {
            self.gateway.start();
        }
        let (admin, began) = (self.admin.clone(), Instant::now());
        admin.gateway_becomes("g", "up", |it| it.connected).await;
        while let Some(fault) = self.fault().await {
            assert!(began.elapsed() < Duration::from_secs(50), "{fault}");
            tokio::task::yield_now().await;
        }
        let shown = self.server.portcullis(&format!("resource show {RESOURCE}"));
        assert!(!shown.ok().stdout.contains("pending"));
        let failures = self.slapd.tools().values(Slapd::GATEWAY, "pwdFailureTime");
        assert!(failures.is_empty(), "{failures:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd: tests/run directories"]
async fn whoever_is_killed_while_a_password_is_changed_the_resource_goes_on() {
    let seed = rand::random::<u64>();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut run = Run::start().await;
    let rotate = format!("resource rotate-password {RESOURCE}");
    let told = run.server.portcullis(&rotate).ok();
    assert!(told.stdout.contains("bind_password"), "{told}");
    let entry = run.slapd.tools();
    let stored = |attribute: &str| entry.values(Slapd::GATEWAY, attribute).concat();
    let first = stored("userPassword");
    for round in 0..6 {
        let mut command = run.server.admin_command(&rotate);
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        // Where the directory stands still, the change is under way for as long as it does.
        let stands_still = round % 2 == 0;
        if stands_still {
            run.slapd.suspend();
        }
        let mut rotating = command.spawn().unwrap();
        let wait = Duration::from_micros(rng.random_range(0..60_000));
        tokio::time::sleep(wait).await;
        match rng.random_range(0..3) {
            0 => run.server.kill(),
            1 => run.gateway.kill(),
            _ => {
                run.server.kill();
                run.gateway.kill();
            }
        }
        run.slapd.resume();
        rotating.wait().unwrap();
        run.recover().await;
    }
    run.server.portcullis(&rotate).ok();
    assert_ne!(stored("userPassword"), first);
    let audit = run
        .server
        .portcullis("audit list --action Resources/ --limit 1000");
    let audit = audit.ok().stdout;
    assert!(audit.contains("Resources/RotatePassword"), "{audit}");
    assert!(!run.server.whole_log().contains(Slapd::GATEWAY_PASSWORD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd: tests/run directories"]
async fn while_nobody_knows_nothing_tries_a_password_and_neither_is_tried_again_by_itself() {
    let mut run = Run::start().await;
    run.slapd.suspend();
    let rotate = format!("resource rotate-password {RESOURCE}");
    let mut command = run.server.admin_command(&rotate);
    command.stderr(std::process::Stdio::null());
    let mut rotating = command.spawn().unwrap();
    let show = format!("resource show {RESOURCE}");
    eventually("the new one to be kept", async || {
        let shown = run.server.portcullis(&show).ok();
        shown.stdout.contains("pending").then_some(())
    })
    .await;
    run.server.kill();
    run.gateway.kill();
    rotating.wait().unwrap();
    // Somebody else gives the gateway a third one meanwhile.
    run.slapd.kill();
    run.slapd.restart().await;
    let tools = run.slapd.tools();
    tools.apply(&format!(
        "dn: {}\nchangetype: modify\nreplace: userPassword\nuserPassword: a-third-one-of-them\n",
        Slapd::GATEWAY
    ));
    run.admin = run.server.serve().await;
    run.gateway.start();
    run.admin
        .gateway_becomes("g", "up", |it| it.connected)
        .await;
    let list = format!("account list {RESOURCE}");
    for _ in 0..5 {
        let refused = run.server.portcullis(&list);
        assert_eq!(refused.status.code(), Some(1), "{refused}");
        assert!(refused.stderr.contains("neither"), "{refused}");
    }
    let failures = tools.values(Slapd::GATEWAY, "pwdFailureTime");
    assert!(failures.len() <= 2, "{failures:?}");
    let secret = run._site.file("third", 0o600, "a-third-one-of-them");
    let set = format!(
        "resource set {RESOURCE} --secret-file bind_password={}",
        secret.display()
    );
    run.server.portcullis(&set).ok();
    run.server.portcullis(&list).ok();
}
