//! The gateway's own password in a domain, changed by itself.

use portcullis_directories::{Kind, Quirks, Samba, Trick};
use portcullis_gateway::connector::{Connector, Context};
use portcullis_gateway::model::{CallError, FailureKind, Look, Request, Rotation};

use super::{Domain, PASSWORD, context, failure, password};

const NEW: &str = "Tr0ubador-and-more";

/// Who the gateway is, by another account than the administrator's.
fn given(who: &str, secret: &str) -> Context {
    Context {
        settings: [("bind_dn".to_owned(), who.to_owned())].into(),
        secret_settings: [("bind_password".to_owned(), password(secret))].into(),
        ..context()
    }
}

fn to(secret: &str) -> Rotation {
    Rotation {
        setting: "bind_password".to_owned(),
        password: password(secret),
    }
}

async fn look(connector: &dyn Connector, cx: &Context, secret: &str) -> Look {
    let change = Request::RotatePassword(to(secret));
    let seen = connector.look(cx, &change, &Default::default()).await;
    seen.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn whatever_becomes_of_the_answer_it_is_known_which_one_the_domain_has() {
    let samba = std::sync::Arc::new(Samba::start().await);
    let tools = samba.tools();
    // What Windows has as a day: a password may be changed as often as anybody likes here.
    tools.apply(&format!(
        "dn: {}\nchangetype: modify\nreplace: minPwdAge\nminPwdAge: 0\n-\nreplace: lockoutThreshold\nlockoutThreshold: 3\n",
        Samba::SUFFIX
    ));
    let quirks = Quirks::before(&samba).await;
    let more = "answer_timeout = \"3s\"";
    let domain = Domain::at(samba, &[quirks.url()], more);
    domain.make("gw").await;
    let connector = &*domain.connector;
    let who = format!("{}@example.test", domain.name("gw"));
    let cx = |secret: &str| given(&who, secret);
    // Its own name in three ways.
    let by_dn = given(&domain.dn("gw"), PASSWORD);
    connector
        .rotate_password(&by_dn, to("F1rst-of-three"))
        .await
        .unwrap();
    let by_domain = given(&format!("EXAMPLE\\{}", domain.name("gw")), "F1rst-of-three");
    connector
        .rotate_password(&by_domain, to("Sec0nd-of-three"))
        .await
        .unwrap();
    let weak = connector
        .rotate_password(&cx("Sec0nd-of-three"), to("weak"))
        .await;
    assert_eq!(failure(weak.unwrap_err()).kind, FailureKind::Policy);

    quirks.play(Kind::Modify, Trick::CutBeforeForwarding);
    let lost = connector
        .rotate_password(&cx("Sec0nd-of-three"), to(NEW))
        .await;
    assert!(matches!(lost, Err(CallError::Indeterminate(_))), "{lost:?}");
    for _ in 0..4 {
        let seen = look(connector, &cx("Sec0nd-of-three"), NEW).await;
        assert_eq!(seen, Look::NotBegun);
    }
    quirks.play(Kind::Modify, Trick::CutBeforeAnswer);
    let lost = connector
        .rotate_password(&cx("Sec0nd-of-three"), to(NEW))
        .await;
    assert!(matches!(lost, Err(CallError::Indeterminate(_))), "{lost:?}");
    let seen = look(connector, &cx("Sec0nd-of-three"), NEW).await;
    assert!(matches!(seen, Look::Done(_)), "{seen:?}");
    for secret in ["Sec0nd-of-three", NEW] {
        connector.test(&cx(secret)).await.unwrap();
    }
    assert_eq!(tools.values(&domain.dn("gw"), "badPwdCount"), ["0"]);
}
