//! Several servers of one id, of which one at a time has calls carried out, and calls that come too
//! late.

use std::fs;

use portcullis_common::id::KeyKind;
use portcullis_common::rotation::{EnrolmentToken, HeldKey};
use portcullis_proto::gateway::v1::{
    Call, Delete, GrantRequest, GrantResponse, ObjectClass, ObjectRef, PingRequest, Test, call,
    object_ref,
};
use tokio::net::TcpListener;
use tonic::{Code, Status};

use super::support::server::{Link, Server, code, master_key, token};
use super::support::{Site, free_address};
use super::{enrolled, until_status};

async fn grant(link: &Link, epoch: u64, instance: u8) -> Result<(u64, u8), Status> {
    let request = GrantRequest {
        generation: 0,
        epoch,
        instance: vec![instance; 16],
    };
    let GrantResponse {
        generation,
        epoch,
        instance,
    } = link.control().grant(request).await?.into_inner();
    assert_eq!((generation, instance.len()), (0, 16));
    Ok((epoch, instance[0]))
}

async fn dial(server: &Server, gateway: &super::Gateway) -> Link {
    server.dial(gateway.address).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_several_servers_the_one_with_the_highest_grant_has_its_calls_carried_out() {
    let site = Site::listening();
    let (gateway, server) = enrolled(&site).await;
    // As long as nobody grants, the newest session wins, as with servers of earlier versions.
    let before = dial(&server, &gateway).await;
    before.call().await.unwrap();
    let one = dial(&server, &gateway).await;
    assert_eq!(grant(&one, 4, 1).await.unwrap(), (4, 1));
    one.call().await.unwrap();
    // It had its stream before: what goes through it is refused, and it ends.
    assert_eq!(code(before.call().await), Code::Aborted);
    before.until_ended().await;

    // One that was stopped for long and wakes, and one that is a copy.
    let stale = dial(&server, &gateway).await;
    assert_eq!(code(stale.call().await), Code::FailedPrecondition);
    assert_eq!(grant(&stale, 3, 2).await.unwrap(), (4, 1));
    stale.until_ended().await;
    let copy = dial(&server, &gateway).await;
    assert_eq!(grant(&copy, 4, 3).await.unwrap(), (4, 1));
    copy.until_ended().await;
    one.call().await.unwrap();

    // Another one takes over: the former has nothing begun any more.
    let two = dial(&server, &gateway).await;
    one.call().await.unwrap();
    assert_eq!(grant(&two, 5, 2).await.unwrap(), (5, 2));
    // Refused, or the session takes no calls any more.
    let refused = code(one.call().await);
    assert!(matches!(refused, Code::Aborted | Code::Unavailable));
    two.call().await.unwrap();
    one.until_ended().await;
    assert_eq!(grant(&two, 5, 2).await.unwrap(), (5, 2));
    assert_eq!(code(grant(&two, 6, 2).await), Code::FailedPrecondition);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_granted_outlasts_a_kill_and_is_refused_where_it_cannot_be_kept() {
    let site = Site::listening();
    let (gateway, server) = enrolled(&site).await;
    let link = dial(&server, &gateway).await;
    assert_eq!(grant(&link, 7, 1).await.unwrap(), (7, 1));
    gateway.kill();
    let gateway = site.run();
    let link = dial(&server, &gateway).await;
    assert_eq!(grant(&link, 6, 2).await.unwrap(), (7, 1));
    let link = dial(&server, &gateway).await;
    assert_eq!(grant(&link, 7, 1).await.unwrap(), (7, 1));
    link.call().await.unwrap();

    // The place where it is kept cannot be written any more.
    let file = site.state_dir().join("grants");
    let kept = fs::read(&file).unwrap();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let next = dial(&server, &gateway).await;
    assert_eq!(code(grant(&next, 8, 2).await), Code::Unavailable);
    assert_eq!(code(next.call().await), Code::FailedPrecondition);
    link.call().await.unwrap();
    until_status(&site, "cannot be noted").await;

    // Nor can it be read: then nobody has calls carried out.
    drop(gateway);
    fs::remove_dir(&file).unwrap();
    fs::write(&file, &kept[..kept.len() - 1]).unwrap();
    let gateway = site.run();
    let link = dial(&server, &gateway).await;
    assert_eq!(code(grant(&link, 9, 1).await), Code::Unavailable);
    assert_eq!(code(link.call().await), Code::FailedPrecondition);
    link.ping().await.unwrap();
    until_status(&site, "cannot be read").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_enrols_at_another_registration_begins_anew_and_the_same_one_does_not() {
    let site = Site::listening();
    let (gateway, server) = enrolled(&site).await;
    let link = dial(&server, &gateway).await;
    assert_eq!(grant(&link, 7, 1).await.unwrap(), (7, 1));
    drop(gateway);
    let enrol = async |token: &EnrolmentToken| {
        site.done("enroll --replace", &token.to_text());
        let gateway = site.run();
        let mut server = Server {
            id: server.id,
            ..Server::of(token)
        };
        let key: HeldKey = master_key(KeyKind::Tdes);
        let link = dial(&server, &gateway).await;
        assert_eq!(code(grant(&link, 1, 2).await), Code::FailedPrecondition);
        link.install(&key).await.unwrap();
        server.keys = vec![key];
        let link = dial(&server, &gateway).await;
        (gateway, link)
    };
    let (_gateway, link) = enrol(&token()).await;
    assert_eq!(code(link.call().await), Code::FailedPrecondition);
    assert_eq!(grant(&link, 1, 2).await.unwrap(), (1, 2));
    link.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_comes_after_its_latest_moment_is_not_begun() {
    let site = Site::new(&format!(
        "[listen]\naddress = \"{}\"\n[connectors.local]\ntype = \"unix\"\n",
        free_address()
    ));
    let (gateway, server) = enrolled(&site).await;
    let link = dial(&server, &gateway).await;
    let ping = PingRequest::default();
    let shown = link.control().ping(ping.clone()).await.unwrap();
    let clock = shown.into_inner().clock_ms;
    assert_ne!(clock, 0);
    let test = call::Verb::Test(Test {});
    let delete = call::Verb::Delete(Delete {
        object: Some(ObjectRef {
            object_class: ObjectClass::Account.into(),
            by: Some(object_ref::By::Name("nobody-of-that-name".to_owned())),
            class_name: String::new(),
        }),
    });
    for (id, verb) in [("test", test), ("delete", delete)] {
        let call = |id: &str| Call {
            call_id: id.to_owned(),
            connector: "local".to_owned(),
            verb: Some(verb.clone()),
            ..Call::default()
        };
        // In time, whatever comes of it; then late.
        let in_time = link.execute_until(call(id), clock + 60_000).await;
        assert!(in_time.is_ok(), "{in_time:?}");
        let late = link.execute_until(call(&format!("{id}-late")), clock).await;
        assert_eq!(code(late), Code::Aborted);
    }
    let later = link.control().ping(ping).await.unwrap();
    assert!(later.into_inner().clock_ms >= clock);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_dials_goes_on_to_the_next_server_where_one_does_not_answer() {
    let listener = TcpListener::bind(free_address()).await.unwrap();
    let (dead, live) = (free_address(), listener.local_addr().unwrap());
    let site = Site::new(&format!(
        "[dial_out]\nserver = \"{dead}\"\nothers = [\"{live}\"]\n"
    ));
    let token = token();
    site.done("enroll", &token.to_text());
    let _gateway = site.run();
    let mut server = Server::of(&token);
    let key = master_key(KeyKind::Tdes);
    let (_, link) = server.await_gateway(&listener).await;
    link.unwrap().install(&key).await.unwrap();
    server.keys = vec![key];
    for epoch in 1..3 {
        let (_, link) = server.await_gateway(&listener).await;
        let link = link.unwrap();
        assert_eq!(grant(&link, epoch, 1).await.unwrap(), (epoch, 1));
        link.call().await.unwrap();
        // It keeps to the one that worked.
        link.session.close();
    }
}
