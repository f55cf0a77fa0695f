//! Every wire is cut in turn, and the relay killed: the links come back by themselves.

use portcullis_proto::gateway::v1::outcome::Result as Came;
use portcullis_tests::harness::Scripts;

use crate::hosts::{Host, Zone};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and network namespaces: the suite `dmz` runs it"]
async fn every_cut_heals_and_no_call_is_carried_out_twice() {
    let mut zone = Zone::new("");
    let admin = zone.with_both().await;
    for (number, to) in [Host::Server, Host::Gateways].into_iter().enumerate() {
        zone.wire(to, false);
        for name in ["outward", "inward"] {
            admin
                .gateway_becomes(name, "away", |gateway| !gateway.connected)
                .await;
        }
        zone.wire(to, true);
        both_work(&zone, number).await;
    }
    zone.relay.as_mut().unwrap().kill();
    for name in ["outward", "inward"] {
        admin
            .gateway_becomes(name, "away", |gateway| !gateway.connected)
            .await;
    }
    zone.start_relay("");
    both_work(&zone, 2).await;
    let twice: Vec<_> = zone
        .scripts
        .executed()
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .collect();
    assert!(twice.is_empty(), "{twice:?}");
}

async fn both_work(zone: &Zone, number: usize) {
    zone.both_answer().await;
    let admin = zone.admin.as_ref().unwrap();
    for name in ["outward", "inward"] {
        let call = Scripts::call("record", &format!("after-{number}-{name}"));
        let outcome = admin.call(name, call).await;
        assert!(matches!(outcome.result, Some(Came::Done(_))), "{outcome:?}");
    }
}
