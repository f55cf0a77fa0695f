//! A controller that fails in the middle of a call, as the server and its administrators see it.

use portcullis_directories::{Kind, Quirks, Samba, Trick};
use portcullis_proto::gateway::v1 as wire;
use portcullis_tests::harness::{Dial, Gateway, Server, Site, eventually};
use wire::call::Verb;
use wire::outcome::Result as Ended;

const USER: &str = "user0001";

fn describe(call_id: &str) -> wire::Call {
    let object = wire::ObjectRef {
        class_name: String::new(),
        object_class: wire::ObjectClass::Account.into(),
        by: Some(wire::object_ref::By::Name(USER.to_owned())),
    };
    let kind = wire::value::Kind::Text(call_id.to_owned());
    wire::Call {
        call_id: call_id.to_owned(),
        verb: Some(Verb::Update(wire::Update {
            object: Some(object),
            modifications: vec![wire::Modification {
                operation: wire::ModificationOperation::Replace.into(),
                name: "description".to_owned(),
                values: vec![wire::Value { kind: Some(kind) }],
            }],
        })),
        ..wire::Call::default()
    }
}

fn section(site: &Site, samba: &Samba, urls: [String; 2]) -> String {
    let password = site.file("password", 0o600, Samba::PASSWORD);
    format!(
        "[connectors.office]\ntype = \"active-directory\"\nservers = {urls:?}\nca_file = {:?}\n\
         bind_dn = \"{}\"\nbind_password_file = {password:?}\n\
         [connectors.office.accounts]\nbase = \"{}\"\n",
        samba.authority(),
        Samba::ADMINISTRATOR,
        Samba::POPULATED
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Samba and root: tests/run directories"]
async fn what_a_controller_did_before_it_failed_is_never_called_failed_by_another() {
    let first = Samba::populated().await;
    // The same domain, which hears of nothing.
    let stale = Samba::populated().await;
    let quirks = Quirks::before(&first).await;
    let site = Site::new();
    let mut server = Server::new(&site, "");
    let admin = server.serve().await;
    let dial = Dial::inward();
    let section = section(&site, &first, [quirks.url(), stale.url()]);
    let mut gateway = Gateway::new(&site, "host1", dial, &section);
    let token = admin.add_gateway("host1", &dial.address(), true).await;
    admin.add_resource("office", "host1", "office").await;
    gateway.enroll(&token);
    gateway.start();
    admin.synchronized("host1").await;
    let dn = format!("CN={USER},{}", Samba::POPULATED);
    let described = |samba: &Samba| samba.tools().values(&dn, "description");

    // Its answer is lost, and it is there to be looked at.
    quirks.play(Kind::Modify, Trick::CutBeforeAnswer);
    let seen = admin.call("office", describe("seen")).await;
    assert!(matches!(seen.result, Some(Ended::Done(_))), "{seen:?}");
    assert_eq!(described(&first), ["seen"]);

    // Its answer is waited for, and it goes.
    quirks.play(Kind::Modify, Trick::Late);
    let before = quirks.requests(Kind::Modify);
    let calling = tokio::spawn({
        let admin = admin.clone();
        async move { admin.call("office", describe("lost")).await }
    });
    eventually("the change to be carried out", async || {
        let came = quirks.requests(Kind::Modify) > before;
        (came && described(&first) == ["lost"]).then_some(())
    })
    .await;
    drop(quirks);
    let lost = calling.await.unwrap();
    let Some(Ended::Indeterminate(_)) = lost.result else {
        panic!("{lost:?}");
    };
    assert!(described(&stale).is_empty());
    let shown = server.portcullis("call show lost").ok().stdout;
    for part in ["indeterminate", "before the call: server = ldaps://"] {
        assert!(shown.contains(part), "{shown}");
    }
}
