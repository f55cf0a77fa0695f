//! Out through a real HTTP proxy, on the relay's host.

use std::path::Path;

use portcullis_tests::harness::{Process, Scripts, eventually};

use crate::hosts::{Host, RELAY_BY_GATEWAYS, SERVER, Zone};

fn tinyproxy(zone: &Zone, rules: &str) -> Process {
    let text =
        format!("Port 3128\nListen {RELAY_BY_GATEWAYS}\nMaxClients 50\nTimeout 600\n{rules}");
    let config = zone.site.file("tinyproxy.conf", 0o644, &text);
    let mut command = zone.on(Host::Relay, Path::new("tinyproxy"));
    command.arg("-d").arg("-c").arg(config);
    Process::start(command, &zone.file("tinyproxy.log"))
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, network namespaces and tinyproxy: the suite `dmz` runs it"]
async fn a_gateway_goes_out_through_a_real_proxy_and_says_what_that_refuses() {
    let mut zone = Zone::new("");
    let admin = zone.serve().await;
    zone.enrolled("outward", true, "").await;
    let credentials = zone.site.file("credentials", 0o600, "gate:sesame\n");
    let text = std::fs::read_to_string(&zone.gateways[0].config).unwrap();
    let through = format!(
        "server = \"{SERVER}:9279\"\nproxy = \"http://{RELAY_BY_GATEWAYS}:3128\"\nproxy_credentials = {credentials:?}\n"
    );
    let text = text.replace(
        &format!("server = \"{RELAY_BY_GATEWAYS}:9279\"\n"),
        &through,
    );
    zone.site.file("outward.toml", 0o600, &text);
    zone.gateways[0].start();
    zone.gateways[0].wait_for_line("cannot reach the proxy");

    for (rules, said) in [
        (
            "BasicAuth gate other\nConnectPort 9279\n",
            "does not take the name and password",
        ),
        ("BasicAuth gate sesame\nConnectPort 443\n", "(403)"),
    ] {
        let proxy = tinyproxy(&zone, rules);
        zone.gateways[0].wait_for_line(said);
        drop(proxy);
    }
    let proxy = tinyproxy(&zone, "BasicAuth gate sesame\nConnectPort 9279\n");
    let shown = admin.synchronized("outward").await;
    // The server sees the proxy's address.
    assert!(
        shown.remote_address.starts_with("10.77.1.2:"),
        "{}",
        shown.remote_address
    );
    admin
        .add_resource("outward", "outward", Scripts::CONNECTOR)
        .await;
    admin
        .call("outward", Scripts::call("record", "through-a-proxy"))
        .await;
    assert_eq!(zone.scripts.executed().len(), 1);
    zone.gateways[0].cli("validate --connect").ok();
    drop(proxy);
    admin
        .gateway_becomes("outward", "away", |gateway| !gateway.connected)
        .await;
    let _proxy = tinyproxy(&zone, "BasicAuth gate sesame\nConnectPort 9279\n");
    let back = || async { admin.gateway("outward").await.connected.then_some(()) };
    eventually("the gateway to come back", back).await;
    let log = zone.gateways[0].whole_log();
    assert!(!log.contains("sesame"), "{log}");
}
