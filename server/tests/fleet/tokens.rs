//! A token that is used again once it is spent: by somebody else, and by the very same gateway.

use portcullis_server::fleet::Event;
use portcullis_server::repository::{Alarm, AlarmKind, Reach};
use tokio::time::timeout;

use super::support::gateway::FakeGateway;
use super::support::{PATIENCE, Server};

async fn alarms(server: &Server) -> Vec<Alarm> {
    let gateways = server.repository.gateways();
    gateways.alarms(Some("host1"), true).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_token_in_a_second_hand_raises_one_alarm_and_gives_nothing() {
    let server = Server::start().await;
    let mut events = server.fleet.events();
    let token = server.add("host1", Reach::DialOut, false).await;
    let (first, second) = (
        FakeGateway::with_token(&token),
        FakeGateway::with_token(&token),
    );
    let first_dials = first.dial(server.dial_out, "host1");
    server.until_connected("host1").await;
    let enrolled = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert!(
        matches!(&enrolled, Event::Enrolled { gateway, id, .. } if gateway == "host1" && *id == token.gateway_id()),
        "{enrolled:?}"
    );
    let session = server.session_id("host1").await;

    // It comes again and again.
    let second_dials = second.dial(server.dial_out, "host1");
    server
        .until("the same alarm again", || async {
            alarms(&server).await.iter().any(|alarm| alarm.count > 1)
        })
        .await;
    second_dials.abort();
    let raised = alarms(&server).await;
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert_eq!(raised[0].kind, AlarmKind::TokenInTwoHands);
    for told in ["two hands", "enrolled with it on", "gateway evict host1"] {
        assert!(raised[0].text.contains(told), "{raised:?}");
    }
    let told = timeout(PATIENCE, events.recv()).await.unwrap().unwrap();
    assert!(matches!(told, Event::Alarm { .. }), "{told:?}");
    assert!(events.try_recv().is_err(), "the same alarm is told once");
    // The second got no key, and the first was not disturbed.
    assert_eq!(second.record().active_key_id(), None);
    assert_eq!(second.record().pending_key_id(), None);
    assert_eq!(server.session_id("host1").await, session);
    first_dials.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_put_back_to_before_it_enrolled_is_no_second_hand() {
    let server = Server::start().await;
    let token = server.add("host1", Reach::DialOut, false).await;
    let gateway = FakeGateway::with_token(&token);
    let before = gateway.record();
    let dials = gateway.dial(server.dial_out, "host1");
    server.until_connected("host1").await;
    dials.abort();
    gateway.cut();
    server
        .until("the link to be gone", || {
            std::future::ready(server.fleet.status("host1").is_none())
        })
        .await;
    let put_back = FakeGateway::with_record(before);
    let dials = put_back.dial(server.dial_out, "host1");
    server
        .until("the refusal", || async {
            let row = server.repository.gateways().find("host1").await;
            let error = row.unwrap().unwrap().last_error;
            error.is_some_and(|error| error.contains("put back"))
        })
        .await;
    dials.abort();
    assert_eq!(alarms(&server).await, []);
    assert!(server.fleet.status("host1").is_none());
}
