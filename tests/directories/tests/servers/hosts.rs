//! Servers, databases and gateways on hosts of their own, which are network namespaces on three
//! networks. Every wire between a host and a network can be cut.
//!
//! ```text
//! databases  10.78.1.0/24 ── .10, .11 PostgreSQL ── .1, .2, .3 servers
//! peers      10.78.2.0/24 ───────────────────────── .1, .2, .3 servers
//! gateways   10.78.3.0/24 ── .100 … gateways ────── .1, .2, .3 servers
//! ```

use std::net::Ipv4Addr;
use std::process::Command;

use portcullis_directories::Postgres;
use portcullis_tests::harness::{
    Admin, Dial, Gateway, Scripts, Server, Site, run, run_to_end, words,
};

use crate::standby::joins;
use crate::{DATABASE, PASSWORD, verified_by};

/// The servers, by name.
pub(crate) const SERVERS: [&str; 3] = ["one", "two", "three"];
const NETWORKS: [&str; 3] = ["databases", "peers", "gateways"];
const DATABASES: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 78, 1, 10), Ipv4Addr::new(10, 78, 1, 11)];

/// A wire between a host and a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Of a server, by its number, to a network.
    Server(usize, Network),
    /// Of a gateway, by its number.
    Gateway(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Databases,
    Peers,
    Gateways,
}

/// The networks, with a host that holds them together; gone when dropped.
struct Networks {
    mark: String,
    hosts: Vec<String>,
}

fn ip(line: &str) {
    let mut command = Command::new("ip");
    command.args(words(line));
    run(command);
}

impl Networks {
    fn new() -> Self {
        let mut networks = Self {
            mark: format!("ps{}", std::process::id()),
            hosts: Vec::new(),
        };
        let hub = networks.host("hub");
        for (number, network) in (1..).zip(NETWORKS) {
            ip(&format!("-n {hub} link add {network} type bridge"));
            ip(&format!(
                "-n {hub} address add 10.78.{number}.254/24 dev {network}"
            ));
            ip(&format!("-n {hub} link set {network} up"));
        }
        for address in DATABASES {
            ip(&format!("-n {hub} address add {address}/24 dev databases"));
        }
        networks
    }

    /// A new host.
    fn host(&mut self, name: &str) -> String {
        let host = format!("{}{name}", self.mark);
        ip(&format!("netns add {host}"));
        ip(&format!("-n {host} link set lo up"));
        self.hosts.push(host.clone());
        host
    }

    fn hub(&self) -> String {
        format!("{}hub", self.mark)
    }

    /// Lays a wire between a host and a network.
    fn lay(&self, host: &str, wire: Wire, address: &str) {
        let hub = self.hub();
        let network = NETWORKS[wire.network() as usize];
        let device = wire.device();
        ip(&format!(
            "-n {host} link add {network} type veth peer name {device} netns {hub}"
        ));
        ip(&format!("-n {host} address add {address}/24 dev {network}"));
        ip(&format!("-n {host} link set {network} up"));
        ip(&format!("-n {hub} link set {device} master {network} up"));
    }
}

impl Drop for Networks {
    fn drop(&mut self) {
        for host in &self.hosts {
            let mut command = Command::new("ip");
            command.args(["netns", "delete", host]);
            // It is gone with the suite's own namespaces in any case.
            let _ = run_to_end(command, "");
        }
    }
}

impl Wire {
    fn network(self) -> Network {
        match self {
            Self::Server(_, network) => network,
            Self::Gateway(_) => Network::Gateways,
        }
    }

    /// Its end at the network; a name has 15 letters at most.
    fn device(self) -> String {
        match self {
            Self::Server(number, network) => {
                format!("{}{number}", NETWORKS[network as usize])
            }
            Self::Gateway(number) => format!("host{number}"),
        }
    }
}

/// All of it. Processes are killed before the folders and networks they live in go.
pub(crate) struct Hosts {
    pub(crate) servers: Vec<Server>,
    pub(crate) gateways: Vec<(Gateway, Scripts)>,
    primary: Postgres,
    standby: Postgres,
    site: Site,
    networks: Networks,
}

impl Hosts {
    /// Three servers that run, on a database with a synchronous standby, and gateways of both
    /// directions, by turns.
    pub(crate) async fn start(gateways: usize) -> Self {
        let networks = Networks::new();
        let site = Site::new();
        let primary = Postgres::start_on(&networks.hub(), DATABASES[0]).await;
        primary.database(DATABASE, PASSWORD);
        let standby = primary.standby_on(DATABASES[1]).await;
        primary.wait_for_standby().await;
        let mut hosts = Self {
            servers: Vec::new(),
            gateways: Vec::new(),
            primary,
            standby,
            site,
            networks,
        };
        for number in 0..SERVERS.len() {
            let server = hosts.server(number);
            hosts.servers.push(server);
            hosts.servers[number].serve().await;
        }
        for number in 0..gateways {
            let gateway = hosts.gateway(number).await;
            hosts.gateways.push(gateway);
        }
        hosts
    }

    /// The command's and the tests' way to each server.
    pub(crate) fn admins(&self) -> Vec<Admin> {
        let sockets = self.servers.iter().map(|server| &server.socket);
        sockets.map(|socket| Admin::new(socket)).collect()
    }

    /// Cuts a wire, or mends it.
    pub(crate) fn wire(&self, wire: Wire, up: bool) {
        let word = if up { "up" } else { "down" };
        let (hub, device) = (self.networks.hub(), wire.device());
        ip(&format!("-n {hub} link set {device} {word}"));
    }

    /// The primary dies, and its standby comes in its place; a new standby follows that.
    pub(crate) async fn fail_over(&mut self) {
        self.primary.kill();
        self.standby.promote();
        let free = self.primary.address();
        let next = self.standby.standby_on(free).await;
        self.primary = std::mem::replace(&mut self.standby, next);
        self.primary.wait_for_standby().await;
    }

    /// A server, set up and not started: the first makes the repository, the others join it.
    fn server(&mut self, number: usize) -> Server {
        let (name, at) = (SERVERS[number], number + 1);
        let host = self.networks.host(name);
        for (subnet, network) in [Network::Databases, Network::Peers, Network::Gateways]
            .into_iter()
            .enumerate()
        {
            let address = format!("10.78.{}.{at}", subnet + 1);
            let wire = Wire::Server(number, network);
            self.networks.lay(&host, wire, &address);
        }
        let password = self.site.file("database-password", 0o600, PASSWORD);
        let hosts = DATABASES.map(|address| format!("{address}:{}", self.primary.port()));
        let more = format!(
            "[server]\nname = \"{name}\"\n\
             [peers]\nlisten = \"10.78.2.{at}:9282\"\nadvertise = \"10.78.2.{at}:9282\"\n\
             [repository]\nengine = \"postgres\"\nhosts = {hosts:?}\npassword_file = {password:?}\n{}",
            verified_by(self.primary.authority())
        );
        let data = self.site.folder(name);
        let mut server = Server::configured(&self.site, name, &data, &more);
        let text = std::fs::read_to_string(&server.config).unwrap();
        let loopback = format!("127.0.0.1:{}", server.dial_out_port);
        let text = text.replace(&loopback, &format!("10.78.3.{at}:9279"));
        self.site.file(&format!("{name}.toml"), 0o600, &text);
        server.netns = Some(host);
        match self.servers.first() {
            None => {
                server.cli("init").ok();
            }
            Some(first) => joins(&self.site, (first, SERVERS[0]), (&server, name)),
        }
        server
    }

    async fn gateway(&mut self, number: usize) -> (Gateway, Scripts) {
        let name = format!("host{number}");
        let host = self.networks.host(&name);
        let at = format!("10.78.3.{}", 100 + number);
        self.networks.lay(&host, Wire::Gateway(number), &at);
        let scripts = Scripts::new(&self.site, &format!("{name}-scripts"));
        let dials = number % 2 == 1;
        let dial = if dials { Dial::Out(1) } else { Dial::In(1) };
        let mut gateway = Gateway::new(&self.site, &name, dial, &scripts.config());
        let text = std::fs::read_to_string(&gateway.config).unwrap();
        let servers = [1, 2, 3].map(|at| format!("10.78.3.{at}:9279"));
        let [first, others @ ..] = &servers;
        let text = text
            .replace(
                "server = \"127.0.0.1:1\"",
                &format!("server = \"{first}\"\nothers = {others:?}"),
            )
            .replace("127.0.0.1:1\"", &format!("{at}:9278\""));
        self.site.file(&format!("{name}.toml"), 0o600, &text);
        gateway.netns = Some(host);
        let address = if dials {
            String::new()
        } else {
            format!("{at}:9278")
        };
        let admin = Admin::new(&self.servers[0].socket);
        let token = admin.add_gateway(&name, &address, false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized(&name).await;
        admin.add_resource(&name, &name, Scripts::CONNECTOR).await;
        (gateway, scripts)
    }
}
