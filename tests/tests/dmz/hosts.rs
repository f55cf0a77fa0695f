//! Three hosts in a row, and the programs on them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_tests::harness::{
    Admin, Dial, Gateway, Process, Programs, Scripts, Server, Site, eventually, run, run_to_end,
    words,
};

/// Addresses: of the server, of the relay on its side and on that of the gateways, of their host.
pub(crate) const SERVER: &str = "10.77.1.1";
pub(crate) const RELAY_BY_SERVER: &str = "10.77.1.2";
pub(crate) const RELAY_BY_GATEWAYS: &str = "10.77.2.2";
pub(crate) const GATEWAYS: &str = "10.77.2.1";
/// Where the relay takes what is for the gateway that is dialled.
pub(crate) const INWARD_PORT: u16 = 9301;
/// Links that are cut are missed soon.
const LINKS: &str = "[links]\nkeep_alive_interval = \"1s\"\nkeep_alive_timeout = \"1s\"\nbackoff_min = \"100ms\"\nbackoff_max = \"1s\"\n";

/// Namespaces, by what stands on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Server,
    Relay,
    Gateways,
}

/// The hosts and what runs there; all of it is gone with it.
pub(crate) struct Zone {
    pub(crate) gateways: Vec<Gateway>,
    pub(crate) relay: Option<Process>,
    pub(crate) server: Server,
    pub(crate) admin: Option<Admin>,
    pub(crate) scripts: Scripts,
    pub(crate) site: Site,
    mark: String,
}

fn ip(line: &str) {
    let mut command = Command::new("ip");
    command.args(words(line));
    run(command);
}

/// Makes the three hosts, and the two wires between them.
fn wire(mark: &str) {
    let [s, r, g] = ["s", "r", "g"].map(|host| format!("{mark}{host}"));
    for host in [&s, &r, &g] {
        ip(&format!("netns add {host}"));
        ip(&format!("-n {host} link set lo up"));
    }
    for (end, address, device, address_by) in [
        (&s, SERVER, "s", RELAY_BY_SERVER),
        (&g, GATEWAYS, "g", RELAY_BY_GATEWAYS),
    ] {
        ip(&format!(
            "-n {end} link add eth0 type veth peer name {device} netns {r}"
        ));
        ip(&format!("-n {end} address add {address}/24 dev eth0"));
        ip(&format!("-n {end} link set eth0 up"));
        ip(&format!("-n {r} address add {address_by}/24 dev {device}"));
        ip(&format!("-n {r} link set {device} up"));
    }
}

impl Zone {
    /// The hosts, a server that is set up with `more` in its configuration, and a relay that runs.
    pub(crate) fn new(more: &str) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let mark = format!("pc{}{number}", std::process::id());
        let site = Site::new();
        wire(&mark);
        let data = site.folder("server");
        let mut server = Server::configured(&site, "server", &data, more);
        let text = std::fs::read_to_string(&server.config).unwrap();
        let begin = text.find("[links]").unwrap();
        let end = begin + text[begin..].find("[log]").unwrap();
        let listen = format!("127.0.0.1:{}", server.dial_out_port);
        let text = [&text[..begin], LINKS, &text[end..]].concat();
        let text = text.replace(&listen, &format!("{SERVER}:9279"));
        site.file("server.toml", 0o600, &text);
        server.cli("init").ok();
        server.netns = Some(format!("{mark}s"));
        let scripts = Scripts::new(&site, "scripts");
        let mut zone = Self {
            gateways: Vec::new(),
            relay: None,
            server,
            admin: None,
            scripts,
            site,
            mark,
        };
        zone.start_relay("");
        zone
    }

    /// The name of a namespace.
    pub(crate) fn namespace(&self, host: Host) -> String {
        let letter = match host {
            Host::Server => 's',
            Host::Relay => 'r',
            Host::Gateways => 'g',
        };
        format!("{}{letter}", self.mark)
    }

    /// A command that runs on a host.
    pub(crate) fn on(&self, host: Host, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.namespace(host)])
            .arg(program);
        command
    }

    /// Whether a host reaches a port of an address.
    pub(crate) fn reaches(&self, host: Host, address: &str, port: u16) -> bool {
        let mut command = self.on(host, Path::new("timeout"));
        command.args(["3", "bash", "-c", &format!(": >/dev/tcp/{address}/{port}")]);
        run_to_end(command, "").status.success()
    }

    /// Cuts the wire between the relay and another host, or mends it.
    pub(crate) fn wire(&self, to: Host, up: bool) {
        let device = if to == Host::Server { "s" } else { "g" };
        let word = if up { "up" } else { "down" };
        let relay = self.namespace(Host::Relay);
        ip(&format!("-n {relay} link set {device} {word}"));
    }

    pub(crate) fn start_relay(&mut self, limits: &str) {
        self.relay = None;
        let text = format!(
            "[forward.server]\nlisten = \"{RELAY_BY_GATEWAYS}:9279\"\ntarget = \"{SERVER}:9279\"\n\
             [forward.inward]\nlisten = \"{RELAY_BY_SERVER}:{INWARD_PORT}\"\ntarget = \"{GATEWAYS}:9278\"\n{limits}"
        );
        let config = self.site.file("relay.toml", 0o600, &text);
        let mut command = self.on(Host::Relay, &Programs::built().server);
        command.arg("--config").arg(config).arg("relay");
        let relay = Process::start(command, &self.site.path().join("relay.log"));
        // All ports are bound by then.
        relay.wait_for_line("relaying");
        self.relay = Some(relay);
    }

    /// Starts the server.
    pub(crate) async fn serve(&mut self) -> Admin {
        let admin = self.server.serve().await;
        self.admin = Some(admin.clone());
        admin
    }

    /// A gateway that is set up, registered and enrolled, and not started: one that dials, or one
    /// that is dialled.
    pub(crate) async fn enrolled(&mut self, name: &str, dials: bool, more: &str) {
        let mut gateway = self.gateway(name, dials, more);
        let admin = self.admin.clone().unwrap();
        let address = match dials {
            true => String::new(),
            false => format!("{RELAY_BY_SERVER}:{INWARD_PORT}"),
        };
        let token = admin.add_gateway(name, &address, false).await;
        gateway.enroll(&token);
        gateway.netns = Some(self.namespace(Host::Gateways));
        self.gateways.push(gateway);
    }

    fn gateway(&self, name: &str, dials: bool, more: &str) -> Gateway {
        let dial = if dials { Dial::Out(1) } else { Dial::In(1) };
        let more = format!("{more}{}", self.scripts.config());
        let gateway = Gateway::new(&self.site, name, dial, &more);
        let text = std::fs::read_to_string(&gateway.config).unwrap();
        let text = text
            .replace(
                "server = \"127.0.0.1:1\"",
                &format!("server = \"{RELAY_BY_GATEWAYS}:9279\""),
            )
            .replace(
                "address = \"127.0.0.1:1\"",
                &format!("address = \"{GATEWAYS}:9278\""),
            );
        self.site.file(&format!("{name}.toml"), 0o600, &text);
        gateway
    }

    /// Both ways of dialling, with a link each, and a resource of the gateway's name.
    pub(crate) async fn with_both(&mut self) -> Admin {
        let admin = self.serve().await;
        for (name, dials) in [("outward", true), ("inward", false)] {
            self.enrolled(name, dials, "").await;
        }
        for gateway in &mut self.gateways {
            gateway.start();
        }
        for name in ["outward", "inward"] {
            admin.synchronized(name).await;
            admin.add_resource(name, name, Scripts::CONNECTOR).await;
        }
        admin
    }

    /// Waits until both links carry pings again.
    pub(crate) async fn both_answer(&self) {
        for name in ["outward", "inward"] {
            let line = format!("gateway ping {name}");
            let answers = || async { self.server.portcullis(&line).status.success().then_some(()) };
            eventually(&format!("{name} to answer"), answers).await;
        }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        self.relay = None;
        for gateway in &mut self.gateways {
            gateway.kill();
        }
        self.server.kill();
        for host in [Host::Server, Host::Relay, Host::Gateways] {
            let mut command = Command::new("ip");
            command.args(["netns", "delete", &self.namespace(host)]);
            // It is gone with the suite's own namespaces in any case.
            let _ = run_to_end(command, "");
        }
    }
}
