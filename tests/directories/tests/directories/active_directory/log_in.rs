//! However often a wrong password comes through the gateway, no account of the domain is locked.

use std::sync::Arc;
use std::time::Duration;

use portcullis_directories::{Kind, Quirks, Samba};
use portcullis_gateway::connectors::Connectors;
use portcullis_gateway::model::{FailureKind, Outcome};
use portcullis_gateway::worker::Provisioner;
use portcullis_proto::gateway::v1 as wire;

use super::{Domain, PASSWORD};

async fn log_in(provisioner: &Provisioner, name: &str, password: &str) -> Option<FailureKind> {
    let call = wire::Call {
        call_id: format!("t-{:016x}", rand::random::<u64>()),
        connector: "office".to_owned(),
        verb: Some(wire::call::Verb::Authenticate(wire::Authenticate {
            object: Some(wire::ObjectRef {
                object_class: wire::ObjectClass::Account.into(),
                by: Some(wire::object_ref::By::Name(name.to_owned())),
                ..wire::ObjectRef::default()
            }),
            password: Some(wire::Secret::plain(password.as_bytes().to_vec())),
            tells_unknown: false,
        })),
        ..wire::Call::default()
    };
    match provisioner.execute(call).await {
        Outcome::Done(_) => None,
        Outcome::Failed(failure) => Some(failure.kind),
        Outcome::Indeterminate(why) => panic!("{}", why.message),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn wrong_passwords_stop_one_before_the_domain_locks_by_its_own_rule_or_a_finer_one() {
    let samba = Arc::new(Samba::start().await);
    let tools = samba.tools();
    tools.apply(&format!(
        "dn: {}\nchangetype: modify\nreplace: lockoutThreshold\nlockoutThreshold: 4\n",
        Samba::SUFFIX
    ));
    let url = samba.url();
    let domain = Domain::at(samba, &[url], "");
    domain.make("ada").await;
    domain.make("eve").await;
    let finer = format!(
        "dn: CN=finer,CN=Password Settings Container,CN=System,{}\nobjectClass: msDS-PasswordSettings\n\
         msDS-PasswordSettingsPrecedence: 1\nmsDS-PasswordReversibleEncryptionEnabled: FALSE\nmsDS-PasswordHistoryLength: 0\n\
         msDS-PasswordComplexityEnabled: TRUE\nmsDS-MinimumPasswordLength: 7\nmsDS-MinimumPasswordAge: 0\n\
         msDS-MaximumPasswordAge: -9223372036854775808\nmsDS-LockoutThreshold: 2\nmsDS-LockoutObservationWindow: -18000000000\n\
         msDS-LockoutDuration: -18000000000\nmsDS-PSOAppliesTo: {}\n",
        Samba::SUFFIX,
        domain.dn("eve")
    );
    tools.apply(&finer);
    let connectors = Connectors::default().with("office", domain.configured.clone());
    let provisioner = Provisioner::new(&connectors, 8, Duration::from_secs(30));
    let wrong = Some(FailureKind::BadCredentials);
    let locked = Some(FailureKind::AccountLocked);
    for (name, tried) in [("ada", 3), ("eve", 1)] {
        let full = domain.name(name);
        let mut kinds = Vec::new();
        for _ in 0..6 {
            kinds.push(log_in(&provisioner, &full, "wr0ng-Password").await);
        }
        let expected: Vec<_> = (0..6)
            .map(|at| if at < tried { wrong } else { locked })
            .collect();
        assert_eq!(kinds, expected, "{name}");
        let counted = tools.values(&domain.dn(name), "badPwdCount");
        assert_eq!(counted, [tried.to_string()], "{name}");
        // It is not locked: whoever knows the password gets in there.
        domain.log_in(name, PASSWORD).await.unwrap();
        assert_eq!(log_in(&provisioner, &full, PASSWORD).await, None, "{name}");
    }
    assert_eq!(log_in(&provisioner, "nobody", PASSWORD).await, wrong);
}

/// Some servers go on to take a connection for whoever was bound on it before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn a_connection_on_which_a_password_was_tried_serves_nothing_else() {
    let samba = Samba::shared().await;
    let quirks = Quirks::before(&samba).await;
    let domain = Domain::at(samba, &[quirks.url()], "");
    domain.make("ada").await;
    domain.get(domain.account("ada")).await.unwrap();
    let (bound, binds) = (quirks.connections(), quirks.requests(Kind::Bind));
    assert_eq!(bound, binds);
    let tried = [("wr0ng-Password", false), (PASSWORD, true)];
    for ((password, right), tries) in tried.into_iter().zip(1..) {
        assert_eq!(domain.log_in("ada", password).await.is_ok(), right);
        domain.get(domain.account("ada")).await.unwrap();
        let opened = (quirks.connections(), quirks.requests(Kind::Bind));
        assert_eq!(opened, (bound + tries, binds + tries));
    }
}
