//! Log-ins through a common resource: two directories behind one gateway.

use std::time::{Duration, Instant};

use portcullis_directories::{Setup, Slapd};
use portcullis_tests::harness::{Admin, Dial, Finished, Gateway, Server, Site};

const GOOD: &str = "correct horse battery";

fn entry(name: &str, password: &str) -> String {
    format!(
        "dn: uid={name},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: {name}\ncn: {name}\nsn: {name}\nuserPassword: {password}\n\n"
    )
}

async fn directory(entries: &str) -> Slapd {
    Slapd::start_with(Setup {
        entries: entries.to_owned(),
        ..Setup::default()
    })
    .await
}

struct Run {
    server: Server,
    _gateway: Gateway,
    _admin: Admin,
    site: Site,
}

impl Run {
    async fn start(directories: &[(&str, &Slapd)]) -> Self {
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let password = site.file("bind", 0o600, Slapd::GATEWAY_PASSWORD);
        let sections = directories.iter().map(|(name, slapd)| {
            format!(
                "[connectors.{name}]\ntype = \"ldap\"\nservers = [{:?}]\nca_file = {:?}\nbind_dn = \"{}\"\nbind_password_file = {password:?}\n\
                 connect_timeout = \"2s\"\nanswer_timeout = \"2s\"\n[connectors.{name}.accounts]\nbase = \"ou=people,dc=example,dc=org\"\n",
                slapd.url(),
                slapd.authority(),
                Slapd::GATEWAY
            )
        });
        let dial = Dial::inward();
        let mut gateway = Gateway::new(&site, "g", dial, &sections.collect::<String>());
        let token = admin.add_gateway("g", &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized("g").await;
        for (name, _) in directories {
            admin.add_resource(name, "g", name).await;
        }
        Self {
            server,
            _gateway: gateway,
            _admin: admin,
            site,
        }
    }

    fn log_in(&self, name: &str, password: &str, more: &str) -> Finished {
        let file = self.site.file("tried", 0o600, password);
        let line = format!(
            "common-resource authenticate staff {name} --password-file {} {more}",
            file.display()
        );
        self.server.portcullis(&line)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd: tests/run directories"]
async fn one_directory_gets_the_password_and_nobody_learns_which_accounts_there_are() {
    // The same name is in both, with another password.
    let mut first = directory(&entry("ada", "another good phrase")).await;
    let both = [entry("ada", GOOD), entry("eve", GOOD)].concat();
    let second = directory(&both).await;
    let run = Run::start(&[("first", &first), ("way", &first), ("second", &second)]).await;
    run.server
        .portcullis("common-resource set staff first+way second")
        .ok();
    let shown = run
        .server
        .portcullis("common-resource show staff")
        .ok()
        .stdout;
    assert!(shown.contains("first+way\n"), "{shown}");

    run.log_in("ada", "another good phrase", "").ok();
    run.log_in("eve", GOOD, "").ok();
    let failures = |slapd: &Slapd, name: &str| {
        let dn = format!("uid={name},ou=people,dc=example,dc=org");
        slapd.tools().values(&dn, "pwdFailureTime").len()
    };
    // Of one failed answer the text but for the call's id, and whether it came too soon.
    let refused = |name: &str, password: &str| {
        let began = Instant::now();
        let answer = run.log_in(name, password, "");
        assert_eq!(answer.status.code(), Some(1), "{answer}");
        assert!(began.elapsed() >= Duration::from_millis(500));
        let (text, _) = answer.stderr.split_once(" (call").unwrap();
        text.to_owned()
    };
    let wrong = refused("ada", GOOD);
    assert_eq!((failures(&first, "ada"), failures(&second, "ada")), (1, 0));
    assert_eq!(refused("nobody", GOOD), wrong);
    for _ in 0..4 {
        assert_eq!(refused("ada", GOOD), wrong);
    }
    assert_eq!((failures(&first, "ada"), failures(&second, "ada")), (2, 0));
    let detail = run.log_in("nobody", GOOD, "--detail");
    let told = &detail.stderr;
    assert!(
        told.contains("first: failed: there is no account"),
        "{detail}"
    );
    assert!(!told.contains("way: "), "both are one directory: {detail}");

    first.kill();
    run.log_in("eve", GOOD, "").ok();
    let away = refused("eve", "wrong");
    assert_ne!(away, wrong);
    assert_eq!(refused("nobody", "wrong"), away);
    first.restart().await;
    let audit = run
        .server
        .portcullis("audit list --action call --limit 1000");
    let audit = audit.ok().stdout;
    assert!(audit.contains("through staff"), "{audit}");
    run.server.portcullis("common-resource remove staff").ok();
}
