//! The server, the gateways and the targets, and all that happens to them.

use std::time::Duration;

use portcullis_proto::gateway::v1 as pb;
use portcullis_tests::harness::{Admin, Dial, Gateway, OrFail as _, Proxy, Server, Site};
use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;

use super::resources::{Kind, Resource};
use super::targets::Targets;
use super::{Fault, Kills, Plan};

/// How long what was killed stays away, in milliseconds, at the most.
const AWAY_MS: u64 = 400;

/// All that runs.
pub(super) struct World {
    // In this order: processes are killed before the folder they live in goes.
    pub(super) gateways: Vec<Linked>,
    pub(super) server: Server,
    pub(super) targets: Targets,
    pub(super) admin: Admin,
    fault: Option<Fault>,
    _site: Site,
}

/// A gateway, and the relay that its link goes through.
pub(super) struct Linked {
    pub(super) gateway: Gateway,
    relay: Proxy,
}

/// What a blow falls on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Gateway(usize),
    Target(usize),
    /// The link to a gateway.
    Link(usize),
    /// The connections of a gateway to a target.
    Wire(usize),
}

impl World {
    /// Starts everything: two gateways, one that is dialled and one that dials.
    pub(super) async fn start(plan: &Plan) -> Self {
        let site = Site::new();
        let targets = Targets::start(&site, &plan.only, plan.fault).await;
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let inward = Dial::inward();
        let relays = [
            Proxy::new(port(inward)).await,
            Proxy::new(server.dial_out_port).await,
        ];
        let mut gateways = Vec::new();
        for (number, relay) in relays.into_iter().enumerate() {
            let (dial, address) = match number {
                0 => (inward, Dial::In(relay.port).address()),
                _ => (Dial::Out(relay.port), String::new()),
            };
            let name = gateway_name(number);
            let of_it = targets.resources.iter().enumerate();
            let of_it = of_it.filter(|(at, _)| at % 2 == number);
            let sections = of_it.map(|(_, resource)| targets.section(&site, resource));
            let sections: String = sections.collect();
            let mut gateway = Gateway::new(&site, &name, dial, &sections);
            let token = admin.add_gateway(&name, &address, false).await;
            gateway.enroll(&token);
            gateway.start();
            admin.synchronized(&name).await;
            gateways.push(Linked { gateway, relay });
        }
        for (at, resource) in targets.resources.iter().enumerate() {
            let name = resource.name;
            admin.add_resource(name, &gateway_name(at % 2), name).await;
            make_fixed(&admin, resource).await;
        }
        Self {
            gateways,
            server,
            targets,
            admin,
            fault: plan.fault,
            _site: site,
        }
    }

    /// One or two of all that runs are killed, or their connections cut; then they are there again.
    pub(super) async fn blow(&mut self, rng: &mut ChaCha12Rng, kills: &mut Kills) -> String {
        let mut victims = vec![self.draw(rng)];
        if rng.random_bool(0.3) {
            victims.push(self.draw(rng));
        }
        victims.dedup();
        let mut told = Vec::new();
        for victim in &victims {
            told.push(self.kill(*victim, kills));
            pause(rng, 50).await;
        }
        pause(rng, AWAY_MS).await;
        for victim in victims {
            self.revive(victim).await;
        }
        told.join(", ")
    }

    fn draw(&self, rng: &mut ChaCha12Rng) -> Victim {
        let gateway = rng.random_range(0..self.gateways.len());
        let servers = self.targets.servers.len();
        let target = rng.random_range(0..servers.max(1));
        match rng.random_range(0..10) {
            0 | 1 => Victim::Server,
            2..=4 => Victim::Gateway(gateway),
            5 => Victim::Link(gateway),
            _ if servers == 0 => Victim::Gateway(gateway),
            6 | 7 => Victim::Target(target),
            _ => Victim::Wire(target),
        }
    }

    fn kill(&mut self, victim: Victim, kills: &mut Kills) -> String {
        match victim {
            Victim::Server => {
                self.server.kill();
                kills.server += 1;
                "the server".to_owned()
            }
            Victim::Gateway(at) => {
                kills.gateways += 1;
                let Some(linked) = self.gateways.get_mut(at) else {
                    return String::new();
                };
                linked.gateway.kill();
                if self.fault == Some(Fault::Journal) {
                    // One that has no journal yet has none to lose.
                    let _ = std::fs::remove_file(linked.gateway.state.join("journal"));
                }
                linked.gateway.name.clone()
            }
            Victim::Target(at) => {
                kills.targets += 1;
                let Some(relayed) = self.targets.servers.get_mut(at) else {
                    return String::new();
                };
                relayed.target.kill();
                relayed.target.to_string()
            }
            Victim::Link(at) => {
                kills.links += 1;
                let Some(linked) = self.gateways.get(at) else {
                    return String::new();
                };
                linked.relay.cut();
                format!("the link of {}", linked.gateway.name)
            }
            Victim::Wire(at) => {
                kills.wires += 1;
                let Some(relayed) = self.targets.servers.get(at) else {
                    return String::new();
                };
                relayed.relay.cut();
                format!("the connections to {}", relayed.target)
            }
        }
    }

    async fn revive(&mut self, victim: Victim) {
        match victim {
            Victim::Server if self.server.process.is_none() => drop(self.server.start()),
            Victim::Gateway(at) => {
                if let Some(linked) = self.gateways.get_mut(at)
                    && linked.gateway.process.is_none()
                {
                    linked.gateway.start();
                }
            }
            Victim::Target(at) => {
                if let Some(relayed) = self.targets.servers.get_mut(at) {
                    relayed.target.restart().await;
                }
            }
            Victim::Server | Victim::Link(_) | Victim::Wire(_) => {}
        }
    }

    /// Waits until all links are there.
    pub(super) async fn all_back(&self) {
        for linked in &self.gateways {
            let name = &linked.gateway.name;
            self.admin
                .gateway_becomes(name, "connected", |it| it.connected)
                .await;
        }
    }
}

fn gateway_name(number: usize) -> String {
    format!("host{}", number + 1)
}

fn port(dial: Dial) -> u16 {
    match dial {
        Dial::In(port) | Dial::Out(port) => port,
    }
}

async fn pause(rng: &mut ChaCha12Rng, most_ms: u64) {
    let pause = Duration::from_millis(rng.random_range(0..most_ms));
    tokio::time::sleep(pause).await;
}

/// Makes what is there from the start and stays: a team, and who joins and leaves it.
async fn make_fixed(admin: &Admin, resource: &Resource) {
    let create = |class: pb::ObjectClass, name: String| pb::Call {
        call_id: format!("made-{name}"),
        verb: Some(pb::call::Verb::Create(pb::Create {
            object_class: class.into(),
            name,
            password: (resource.kind == Kind::ActiveDirectory && class == pb::ObjectClass::Account)
                .then(|| pb::Secret::plain(b"Correct-h0rse-battery".to_vec())),
            ..pb::Create::default()
        })),
        ..pb::Call::default()
    };
    let members = match resource.kind {
        Kind::Sql => 0,
        Kind::Ldap | Kind::ActiveDirectory | Kind::Unix => resource.fixed(),
    };
    let members = (0..members).map(|at| create(pb::ObjectClass::Account, resource.member_name(at)));
    for call in members.chain([create(resource.team_class(), resource.team_name())]) {
        let outcome = admin.call(resource.name, call).await;
        let done = match outcome.result {
            Some(pb::outcome::Result::Done(_)) => Ok(()),
            other => Err(format!("{other:?}")),
        };
        done.or_fail(format!("make an object of {}", resource.name));
    }
}
