//! However often a wrong password comes through the gateway, no account is locked.

use std::time::Duration;

use portcullis_directories::{Setup, Slapd};
use portcullis_gateway::config::Config;
use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::model::{FailureKind, Outcome};
use portcullis_gateway::worker::Provisioner;
use portcullis_proto::gateway::v1 as wire;

const GOOD: &str = "correct horse battery";
const ADA: &str = "uid=ada,ou=people,dc=example,dc=org";
const ENTRY: &str = "dn: uid=ada,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: ada\ncn: Ada\nsn: Lovelace\nuserPassword: correct horse battery\n";

struct Door {
    slapd: Slapd,
    provisioner: Provisioner,
}

impl Door {
    async fn start(more: &str) -> Self {
        let setup = Setup {
            entries: format!("{ENTRY}\n{}", ENTRY.replace("ada", "eve")),
            ..Setup::default()
        };
        let slapd = Slapd::start_with(setup).await;
        let password = slapd
            .site()
            .file("password", 0o600, Slapd::GATEWAY_PASSWORD);
        let text = format!(
            "[connectors.people]\ntype = \"ldap\"\nservers = [{:?}]\nca_file = {:?}\nbind_dn = \"{}\"\n\
             bind_password_file = {password:?}\nanswer_timeout = \"2s\"\n\
             [connectors.people.accounts]\nbase = \"ou=people,dc=example,dc=org\"\n{more}",
            slapd.url(),
            slapd.authority(),
            Slapd::GATEWAY
        );
        let config = Config::parse(std::path::Path::new("gateway.toml"), &text).unwrap();
        let connectors = Connectors::from_config(&config.connectors).unwrap();
        let provisioner = Provisioner::new(&connectors, 16, Duration::from_secs(30));
        Self { slapd, provisioner }
    }

    async fn log_in(&self, name: &str, password: &str, tells_unknown: bool) -> Outcome {
        let call = wire::Call {
            call_id: format!("t-{:016x}", rand::random::<u64>()),
            connector: "people".to_owned(),
            verb: Some(wire::call::Verb::Authenticate(wire::Authenticate {
                object: Some(wire::ObjectRef {
                    object_class: wire::ObjectClass::Account.into(),
                    by: Some(wire::object_ref::By::Name(name.to_owned())),
                    ..wire::ObjectRef::default()
                }),
                password: Some(wire::Secret::plain(password.as_bytes().to_vec())),
                tells_unknown,
            })),
            ..wire::Call::default()
        };
        self.provisioner.execute(call).await
    }

    async fn kind(&self, name: &str, password: &str) -> Option<FailureKind> {
        match self.log_in(name, password, false).await {
            Outcome::Done(_) => None,
            Outcome::Failed(failure) => Some(failure.kind),
            Outcome::Indeterminate(why) => panic!("{}", why.message),
        }
    }

    fn values(&self, attribute: &str) -> usize {
        self.slapd.tools().values(ADA, attribute).len()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd: tests/run directories"]
async fn wrong_passwords_stop_one_before_the_directory_locks() {
    let door = Door::start("").await;
    // Many at once are no way around it.
    let tries = (0..12).map(|_| door.kind("ada", "wrong"));
    let tried = futures_util::future::join_all(tries).await;
    let wrong = Some(FailureKind::BadCredentials);
    assert_eq!(
        tried.iter().filter(|kind| **kind == wrong).count(),
        2,
        "{tried:?}"
    );
    let locked = Some(FailureKind::AccountLocked);
    assert!(
        tried.iter().all(|kind| *kind == wrong || *kind == locked),
        "{tried:?}"
    );
    assert_eq!(
        (
            door.values("pwdFailureTime"),
            door.values("pwdAccountLockedTime")
        ),
        (2, 0)
    );
    // Neither is the right one tried any more; others are.
    assert_eq!(door.kind("ada", GOOD).await, locked);
    assert_eq!(door.kind("eve", GOOD).await, None);
    // Whoever logs in elsewhere ends the count there, and here.
    let own = door.slapd.tools().bound_as(ADA, GOOD);
    assert!(own.bind().status.success());
    assert_eq!(door.kind("ada", "wrong").await, wrong);
    assert_eq!(door.kind("ada", GOOD).await, None);
    // What was tried elsewhere counts, too.
    let elsewhere = door.slapd.tools().bound_as(ADA, "wrong");
    for _ in 0..2 {
        assert!(!elsewhere.bind().status.success());
    }
    assert_eq!(door.kind("ada", "wrong").await, locked);
    assert_eq!(door.values("pwdAccountLockedTime"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd: tests/run directories"]
async fn a_bound_of_the_gateways_own_holds_where_the_directory_has_none() {
    let rails =
        "[connectors.people.guard_rails]\nwrong_passwords = 1\nwrong_passwords_within = \"10m\"\n";
    let door = Door::start(rails).await;
    assert_eq!(door.kind("ada", GOOD).await, None);
    assert_eq!(
        door.kind("ada", "wrong").await,
        Some(FailureKind::BadCredentials)
    );
    assert_eq!(
        door.kind("ada", GOOD).await,
        Some(FailureKind::AccountLocked)
    );
    assert_eq!(door.values("pwdFailureTime"), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd: tests/run directories"]
async fn who_asks_to_be_told_learns_what_was_not_tried() {
    let door = Door::start("").await;
    let unknown = door.log_in("nobody", "wrong", true).await;
    assert!(
        matches!(&unknown, Outcome::Failed(failure) if failure.is_not_found()),
        "{unknown:?}"
    );
    let alike = [("nobody", "wrong"), ("ada", "wrong")];
    let alike = alike.map(|(name, password)| door.log_in(name, password, false));
    let [unknown, wrong] = futures_util::future::join_all(alike)
        .await
        .try_into()
        .unwrap();
    assert_eq!(unknown, wrong);
    // A filter is only ever the name that it is.
    let star = door.log_in("*", GOOD, true).await;
    assert!(
        matches!(&star, Outcome::Failed(failure) if failure.is_not_found()),
        "{star:?}"
    );
    door.slapd.suspend();
    let silent = door.log_in("ada", GOOD, true).await;
    assert!(
        matches!(&silent, Outcome::Failed(failure) if failure.kind == FailureKind::Unavailable),
        "the password was not sent: {silent:?}"
    );
    door.slapd.resume();
}
