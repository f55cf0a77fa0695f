//! TLS around the channel, through the relay: two authorities, each refused in the other's place;
//! what is compulsory; what is renewed without a restart.

use std::path::PathBuf;

use portcullis_proto::admin::v1 as proto;
use portcullis_tests::harness::{Admin, Gateway, eventually};

use crate::ciphertext::contains;
use crate::hosts::{SERVER, Zone};

/// `[tls]` of one side, whose certificate is called `name`.
fn section(pki: &str, name: &str, ca: &str, more: &str) -> String {
    let (own, other) = match ca {
        "gateway_ca" => ("server", "gateways"),
        _ => ("gateway", "servers"),
    };
    format!(
        "[tls]\ncertificate = \"{pki}/{own}/{name}.pem\"\nkey = \"{pki}/{own}/{name}.key\"\n{ca} = \"{pki}/{other}-ca.pem\"\nrevoked = \"{pki}/{other}-revoked.pem\"\n{more}"
    )
}

/// Both authorities, with a certificate for the server and one for each gateway.
fn authorities(zone: &Zone, folder: &str) -> String {
    let pki = zone.site.folder(folder);
    let pki = pki.to_str().unwrap().to_owned();
    for side in ["server", "gateway"] {
        std::fs::create_dir_all(PathBuf::from(&pki).join(side)).unwrap();
    }
    zone.server
        .portcullis(&format!("tls init --dir {pki}"))
        .ok();
    zone.server
        .portcullis(&format!(
            "tls server {SERVER} --dir {pki} --out {pki}/server"
        ))
        .ok();
    zone.server
        .portcullis(&format!(
            "tls gateway outward inward --dir {pki} --out {pki}/gateway"
        ))
        .ok();
    pki
}

fn copy(from: &str, to: &str) {
    // The mode of a key goes with it.
    std::fs::copy(from, to).unwrap();
}

fn reload_gateways(zone: &Zone) {
    for gateway in &zone.gateways {
        gateway.cli("reload").ok();
    }
}

/// Has the server read its configuration again, and waits until it did.
async fn reload_server(zone: &Zone) {
    let process = zone.server.process.as_ref().unwrap();
    let count = |log: &str| log.matches("configuration reloaded").count();
    let before = count(&zone.server.log());
    process.signal(rustix::process::Signal::HUP);
    let done = || async { (count(&zone.server.log()) > before).then_some(()) };
    eventually("the server to reload", done).await;
}

/// A configuration with another `[tls]`.
fn with_section(gateway: &Gateway, tls: &str) -> String {
    let text = std::fs::read_to_string(&gateway.config).unwrap();
    let begin = text.find("[tls]").unwrap_or(text.len());
    let end = text[begin..]
        .find("[connectors")
        .map_or(text.len(), |at| begin + at);
    [&text[..begin], tls, &text[end..]].concat()
}

/// A site with both authorities, and a folder with the same two in each other's place.
struct Tls {
    zone: Zone,
    admin: Admin,
    pki: String,
    swapped: String,
}

impl Tls {
    /// Both gateways are enrolled and run; the server and the one that it dials need no TLS yet.
    async fn new() -> Self {
        let mut zone = Zone::new("");
        let pki = authorities(&zone, "pki");
        let text = std::fs::read_to_string(&zone.server.config).unwrap();
        let own = section(&pki, SERVER, "gateway_ca", "require = false\n");
        zone.site
            .file("server.toml", 0o600, &format!("{text}{own}"));
        let admin = zone.serve().await;
        for (name, dials, more) in [
            ("outward", true, ""),
            ("inward", false, "require = false\n"),
        ] {
            let tls = section(&pki, name, "server_ca", more);
            zone.enrolled(name, dials, &tls).await;
        }
        for gateway in &mut zone.gateways {
            gateway.start();
        }
        let swapped = zone.site.folder("swapped");
        for (from, to) in [("servers", "gateways"), ("gateways", "servers")] {
            for rest in ["ca.pem", "ca.key", "issued", "revoked.pem"] {
                let to = swapped.join(format!("{to}-{rest}"));
                copy(&format!("{pki}/{from}-{rest}"), to.to_str().unwrap());
            }
        }
        Self {
            zone,
            admin,
            pki,
            swapped: swapped.to_str().unwrap().to_owned(),
        }
    }

    /// Both links have TLS around them, once the names are right and it is demanded.
    async fn compulsory(&self) {
        let outward = &self.zone.gateways[0];
        // The relay's address is not in the server's certificate.
        outward.wait_for_line("and not for `10.77.2.2`");
        let more = format!("server_name = \"{SERVER}\"\n");
        let text = with_section(outward, &section(&self.pki, "outward", "server_ca", &more));
        self.zone.site.file("outward.toml", 0o600, &text);
        outward.cli("reload").ok();
        assert!(self.admin.synchronized("outward").await.tls);
        assert!(!self.admin.synchronized("inward").await.tls);
        // The link without is cut, and the next one has it.
        let set = "gateway set inward --require-tls true";
        self.zone.server.portcullis(set).ok();
        let behind = |gateway: &proto::Gateway| gateway.connected && gateway.tls;
        self.admin
            .gateway_becomes("inward", "behind TLS", behind)
            .await;
        self.zone.both_answer().await;
    }

    /// A handshake shows not even ids.
    async fn hides_ids(&mut self) {
        let capture = self.zone.capture("wires");
        let id = self.admin.gateway("outward").await.gateway_id;
        let id = id.strip_prefix("gw-").unwrap().as_bytes();
        let id = data_encoding::HEXLOWER.decode(id).unwrap();
        self.zone.gateways[0].kill();
        let away = |gateway: &proto::Gateway| !gateway.connected;
        self.admin.gateway_becomes("outward", "away", away).await;
        self.zone.gateways[0].start();
        self.admin.synchronized("outward").await;
        drop(capture);
        let wires = self.zone.captured("wires");
        assert!(wires.len() > 2_000, "{} bytes", wires.len());
        assert!(!contains(&wires, &id));
    }

    /// Puts a certificate of the other side's authority in the place of the right one.
    fn swap(&self, side: &str, name: &str) {
        let (pki, swapped) = (&self.pki, &self.swapped);
        let line = format!("tls {side} {name} --dir {swapped} --out {swapped}");
        self.zone.server.portcullis(&line).ok();
        for rest in ["pem", "key"] {
            let right = format!("{pki}/{side}/{name}.{rest}");
            copy(&right, &format!("{right}.kept"));
            copy(&format!("{swapped}/{name}.{rest}"), &right);
        }
    }

    fn put_back(&self, side: &str, name: &str) {
        for rest in ["pem", "key"] {
            let right = format!("{}/{side}/{name}.{rest}", self.pki);
            copy(&format!("{right}.kept"), &right);
        }
    }

    /// The gateway that dials logs this, and the server knows that of the one that it dials.
    async fn refused(&mut self, logged: &str, known: &str) {
        // Every link begins anew.
        self.zone.start_relay("");
        self.zone.gateways[0].wait_for_line(logged);
        let told = |gateway: &proto::Gateway| gateway.last_error.contains(known);
        self.admin.gateway_becomes("inward", known, told).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and network namespaces: the suite `dmz` runs it"]
async fn tls_goes_around_both_ways_and_each_authority_is_refused_in_the_others_place() {
    let mut tls = Tls::new().await;
    tls.compulsory().await;
    tls.hides_ids().await;

    for name in ["outward", "inward"] {
        tls.swap("gateway", name);
    }
    reload_gateways(&tls.zone);
    tls.refused("(unknown_ca)", "another authority issued it")
        .await;
    for name in ["outward", "inward"] {
        tls.put_back("gateway", name);
    }
    reload_gateways(&tls.zone);
    tls.zone.both_answer().await;

    tls.swap("server", SERVER);
    reload_server(&tls.zone).await;
    tls.refused("another authority issued it", "(unknown_ca)")
        .await;
    tls.put_back("server", SERVER);
    reload_server(&tls.zone).await;
    tls.zone.both_answer().await;

    // What is revoked is out with the next handshake, and another certificate is in.
    let pki = &tls.pki;
    let revoke = format!("tls revoke gateway outward --dir {pki}");
    tls.zone.server.portcullis(&revoke).ok();
    reload_server(&tls.zone).await;
    tls.zone.start_relay("");
    tls.zone.gateways[0].wait_for_line("(certificate_revoked)");
    let renewed = tls.zone.site.folder("renewed");
    let renewed = renewed.to_str().unwrap();
    let issue = format!("tls gateway outward --dir {pki} --out {renewed}");
    tls.zone.server.portcullis(&issue).ok();
    for rest in ["pem", "key"] {
        let right = format!("{pki}/gateway/outward.{rest}");
        copy(&format!("{renewed}/outward.{rest}"), &right);
    }
    reload_gateways(&tls.zone);
    tls.zone.both_answer().await;
}
