//! A server and gateways killed at random while calls run and the gateway key is rotated over and
//! over.

use std::time::{Duration, Instant};

use portcullis_tests::harness::{Admin, Dial, Gateway, Scripts, Server, Site};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::calls::{Ledger, Tally};

/// Callers at once for each gateway.
const CALLERS: usize = 3;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Processes to kill.
    pub kills: u32,
    /// Gateways; every second one dials out.
    pub gateways: usize,
    /// Decides who is killed, and when.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// `links`
    pub summary: &'static str,
    /// Gives the same choices again; what the processes make of them depends on the machine.
    pub seed: u64,
    /// Processes killed.
    pub kills: u32,
    /// Of these, the server.
    pub server_kills: u32,
    /// Rotations that the server confirmed.
    pub rotations: u64,
    /// Median time from a kill until every link was back, in milliseconds.
    pub recovery_ms_median: u64,
    /// The longest.
    pub recovery_ms_max: u64,
    /// What callers were told.
    pub calls: Tally,
    /// Seconds in all.
    pub seconds: f64,
    /// Promises broken; empty in a good run.
    pub broken: Vec<String>,
}

struct Fleet {
    // Processes go before the folder they live in.
    server: Server,
    gateways: Vec<(Gateway, Scripts, Ledger)>,
    admin: Admin,
    _site: Site,
}

/// Runs it, telling `line` of every event.
pub async fn run(plan: &Plan, line: impl Fn(&Value)) -> Summary {
    let began = Instant::now();
    let mut rng = ChaCha12Rng::seed_from_u64(plan.seed);
    let mut fleet = Fleet::new(plan.gateways.max(1)).await;
    line(&json!({"event": "ready", "gateways": fleet.gateways.len(), "seed": plan.seed}));

    let (stop, stopped) = watch::channel(false);
    let mut callers = JoinSet::new();
    for (gateway, _, ledger) in &fleet.gateways {
        for caller in 0..CALLERS {
            let (admin, ledger) = (fleet.admin.clone(), ledger.clone());
            let (name, stopped) = (gateway.name.clone(), stopped.clone());
            callers.spawn(async move {
                ledger.keep_calling(&admin, &name, caller, stopped).await;
            });
        }
    }
    let rotating = tokio::spawn(keep_rotating(fleet.admin.clone(), stopped));

    let mut recoveries = Vec::new();
    let mut server_kills = 0;
    for number in 1..=plan.kills {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..500))).await;
        let victim = rng.random_range(0..=fleet.gateways.len());
        let name = fleet.kill_and_restart(victim);
        server_kills += u32::from(victim == 0);
        // Every other time the next blow falls before they have recovered.
        let recovered = if rng.random_bool(0.5) || number == plan.kills {
            let killed = Instant::now();
            fleet.all_back().await;
            let took = killed.elapsed().as_millis() as u64;
            recoveries.push(took);
            Some(took)
        } else {
            None
        };
        line(&json!({"event": "kill", "number": number, "of": name, "recovered_ms": recovered}));
    }

    stop.send_replace(true);
    while callers.join_next().await.is_some() {}
    let rotations = rotating.await.unwrap_or_default();
    let (calls, broken) = fleet.settle().await;
    recoveries.sort_unstable();
    Summary {
        summary: "links",
        seed: plan.seed,
        kills: plan.kills,
        server_kills,
        rotations,
        recovery_ms_median: recoveries.get(recoveries.len() / 2).copied().unwrap_or(0),
        recovery_ms_max: recoveries.last().copied().unwrap_or(0),
        calls,
        seconds: began.elapsed().as_secs_f64(),
        broken,
    }
}

/// Rotations confirmed by the server until `stopped` turns true.
async fn keep_rotating(admin: Admin, mut stopped: watch::Receiver<bool>) -> u64 {
    let mut confirmed = 0;
    while !*stopped.borrow_and_update() {
        // The server may be dead just now: then this rotation never was, or goes on after its
        // return.
        if admin.try_rotate(200).await.is_ok() {
            confirmed += 1;
        }
        let _ = tokio::time::timeout(Duration::from_millis(300), stopped.changed()).await;
    }
    confirmed
}

impl Fleet {
    async fn new(count: usize) -> Self {
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let mut gateways = Vec::new();
        for number in 1..=count {
            let name = format!("host{number}");
            let dial = match number % 2 {
                0 => Dial::Out(server.dial_out_port),
                _ => Dial::inward(),
            };
            let scripts = Scripts::new(&site, &format!("{name}-scripts"));
            let mut gateway = Gateway::new(&site, &name, dial, &scripts.config());
            let token = admin.add_gateway(&name, &dial.address(), false).await;
            gateway.enroll(&token);
            gateway.start();
            admin.add_resource(&name, &name, Scripts::CONNECTOR).await;
            gateways.push((gateway, scripts, Ledger::default()));
        }
        let fleet = Self {
            server,
            gateways,
            admin,
            _site: site,
        };
        fleet.all_back().await;
        fleet
    }

    /// 0 is the server. Gives the victim's name.
    fn kill_and_restart(&mut self, victim: usize) -> String {
        match victim
            .checked_sub(1)
            .and_then(|at| self.gateways.get_mut(at))
        {
            Some((gateway, _, _)) => {
                gateway.kill();
                gateway.start();
                gateway.name.clone()
            }
            None => {
                self.server.kill();
                self.server.start();
                "server".to_owned()
            }
        }
    }

    /// Waits until every gateway is connected in secure mode.
    async fn all_back(&self) {
        for (gateway, _, _) in &self.gateways {
            self.admin
                .gateway_becomes(&gateway.name, "connected", |g| g.connected)
                .await;
        }
    }

    /// One last rotation, and then everything is looked at.
    async fn settle(&self) -> (Tally, Vec<String>) {
        let mut broken = Vec::new();
        let current = self.admin.rotate(30_000).await.current_key_id;
        let mut tally = Tally::default();
        for (gateway, scripts, ledger) in &self.gateways {
            let seen = self.admin.synchronized(&gateway.name).await;
            if seen.session_key_id != current || seen.mode != "secure" {
                broken.push(format!("{} ended under {seen:?}", gateway.name));
            }
            let shown = gateway.cli("key show").ok().stdout;
            if !shown.contains(&current) {
                broken.push(format!("{} holds other keys: {shown}", gateway.name));
            }
            if !seen.alarms.is_empty() {
                broken.push(format!("{} raised alarms: {:?}", gateway.name, seen.alarms));
            }
            broken.extend(ledger.audit(&scripts.executed(), &mut tally));
            broken.extend(panics(&gateway.name, &gateway.whole_log()));
        }
        broken.extend(panics("the server", &self.server.whole_log()));
        if tally.done == 0 {
            broken.push("not one call was carried out".to_owned());
        }
        (tally, broken)
    }
}

fn panics(who: &str, log: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("panicked at"))?;
    Some(format!("{who} panicked: {line}"))
}
