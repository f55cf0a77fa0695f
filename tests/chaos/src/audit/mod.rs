//! Calls, direct and queued, whose server and gateway are killed while they are under way; then
//! each is looked for in the audit log.

mod judge;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use portcullis_proto::admin::v1 as admin;
use portcullis_proto::gateway::v1::{Call, outcome};
use portcullis_tests::harness::{Admin, Dial, Gateway, Scripts, Server, Site};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha12Rng;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use judge::{Seen, judge, judge_queued};

/// Calls at once.
const ROUND: u32 = 12;
/// Later no blow falls: most calls are over by then.
const LATEST_MS: u64 = 160;
/// How long a gateway that lived may take to tell what came of a call.
const PATIENCE: Duration = Duration::from_secs(8);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Calls to make.
    pub calls: u32,
    /// Decides who is killed, and when.
    pub seed: u64,
    /// What is broken, to see that it is noticed.
    pub fault: Option<Fault>,
}

/// A fault that is planted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The server is told to leave calls out of its audit log.
    Calls,
    /// Calls leave their mark with a verb of which the server writes nothing before it is sent.
    Begun,
}

/// What a caller was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It was carried out.
    Done,
    /// It was not, and nothing has changed.
    Failed,
    /// Nobody knows.
    Indeterminate,
    /// It waits in the queue.
    Queued,
    /// The server was gone before it answered.
    Nothing,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// `audit`
    pub summary: &'static str,
    /// Gives the same choices again; what the processes make of them depends on the machine.
    pub seed: u64,
    /// Calls made.
    pub calls: usize,
    /// Of these, queued.
    pub queued: usize,
    /// Times that the server was killed.
    pub server_kills: u32,
    /// Times that the gateway was killed.
    pub gateway_kills: u32,
    /// Calls by the last word of the audit log on them; `none`: they never came to the server.
    pub outcomes: BTreeMap<String, usize>,
    /// Calls that the gateway told of later.
    pub reported: usize,
    /// How long it all took, in seconds.
    pub seconds: f64,
    /// Promises that were broken.
    pub broken: Vec<String>,
}

/// A call that was made.
#[derive(Debug)]
struct Made {
    id: String,
    told: Told,
    server_died: bool,
    gateway_died: bool,
}

struct World {
    // In this order: processes are killed before the folder they live in goes.
    gateway: Gateway,
    server: Server,
    admin: Admin,
    scripts: Scripts,
    made: Vec<Made>,
    fault: Option<Fault>,
    _site: Site,
}

/// Runs it, telling `line` of every round.
pub async fn run(plan: &Plan, line: impl Fn(&Value)) -> Summary {
    let began = Instant::now();
    let mut rng = ChaCha12Rng::seed_from_u64(plan.seed);
    let mut world = World::new(plan.fault, rng.random_bool(0.5)).await;
    let mut summary = Summary {
        summary: "audit",
        seed: plan.seed,
        ..Summary::default()
    };
    let mut left = plan.calls;
    while left > 0 {
        let count = left.min(ROUND);
        left -= count;
        // Who dies: nobody, the server, the gateway, both.
        let (server, gateway) = match rng.random_range(0..8) {
            // Where it shows.
            _ if plan.fault == Some(Fault::Begun) => (true, false),
            0 => (false, false),
            1..=4 => (true, false),
            5 | 6 => (false, true),
            _ => (true, true),
        };
        summary.server_kills += u32::from(server);
        summary.gateway_kills += u32::from(gateway);
        world.round(count, server, gateway, &mut rng).await;
        line(&json!({"event": "round", "left": left, "server": server, "gateway": gateway}));
    }
    world.look(&mut summary).await;
    summary.seconds = began.elapsed().as_secs_f64();
    summary
}

impl World {
    async fn new(fault: Option<Fault>, out: bool) -> Self {
        let site = Site::new();
        let more = match fault {
            Some(Fault::Calls) => "[audit]\ncalls = false\n",
            Some(Fault::Begun) | None => "",
        };
        let mut server = Server::new(&site, more);
        let admin = server.serve().await;
        let dial = match out {
            true => Dial::Out(server.dial_out_port),
            false => Dial::inward(),
        };
        let scripts = Scripts::new(&site, "scripts");
        let mut gateway = Gateway::new(&site, "host1", dial, &scripts.config());
        let token = admin.add_gateway("host1", &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized("host1").await;
        let connector = Scripts::CONNECTOR;
        // Two: the calls of one go one after the other through the queue.
        for resource in ["one", "two"] {
            admin.add_resource(resource, "host1", connector).await;
        }
        Self {
            gateway,
            server,
            admin,
            scripts,
            made: Vec::new(),
            fault,
            _site: site,
        }
    }

    /// Makes calls, and kills while they are under way.
    async fn round(&mut self, count: u32, server: bool, gateway: bool, rng: &mut ChaCha12Rng) {
        let mut calling = JoinSet::new();
        for number in 0..count {
            let queued = rng.random_bool(0.5);
            let id = format!("call-{}", self.made.len() as u32 + number);
            let resource = ["one", "two"][rng.random_range(0..2)];
            let after = Duration::from_millis(rng.random_range(0..60));
            let admin = self.admin.clone();
            let call = match self.fault {
                Some(Fault::Begun) => Scripts::recording_get(&id),
                Some(Fault::Calls) | None => Scripts::call("record", &id),
            };
            calling.spawn(async move {
                tokio::time::sleep(after).await;
                let told = make(&admin, resource, call, queued).await;
                (id, told)
            });
        }
        let blows = [(0, server), (1, gateway)];
        let mut blows: Vec<_> = blows
            .into_iter()
            .filter(|(_, falls)| *falls)
            .map(|(whom, _)| (rng.random_range(0..LATEST_MS), whom))
            .collect();
        blows.sort_unstable();
        let marks = self.scripts.executed().len();
        let start = Instant::now();
        for (at, whom) in blows {
            let at = Duration::from_millis(at);
            match self.fault {
                // As soon as calls have left a mark: their outcomes are still on the way.
                Some(Fault::Begun) => {
                    while self.scripts.executed().len() == marks && start.elapsed() < PATIENCE {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                }
                Some(Fault::Calls) | None => {
                    tokio::time::sleep(at.saturating_sub(start.elapsed())).await;
                }
            }
            match whom {
                0 => self.server.kill(),
                _ => self.gateway.kill(),
            }
        }
        if server {
            self.server.start();
        }
        if gateway {
            self.gateway.start();
        }
        let first = self.made.len();
        while let Some(Ok((id, told))) = calling.join_next().await {
            self.made.push(Made {
                id,
                told,
                server_died: server,
                gateway_died: gateway,
            });
        }
        self.settle(first).await;
    }

    /// Waits until the queue is empty and every gateway that lived has told what it knows.
    async fn settle(&self, first: usize) {
        self.admin
            .gateway_becomes("host1", "connected", |gateway| gateway.connected)
            .await;
        let patience = match self.fault {
            None => PATIENCE,
            // It does not mend itself.
            Some(_) => PATIENCE / 4,
        };
        let deadline = Instant::now() + patience;
        while Instant::now() < deadline {
            let mut calls = self.admin.calls();
            let waiting = calls.list_queued(admin::ListQueuedRequest::default());
            let empty = waiting
                .await
                .is_ok_and(|answer| answer.into_inner().calls.is_empty());
            if empty && self.broken(&self.made[first..]).await.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The outcomes of each call, oldest first, and how many were told of later.
    async fn entries(&self) -> (BTreeMap<String, Vec<String>>, usize) {
        let mut client = self.admin.audit();
        let mut request = admin::ListAuditRequest {
            with_begun: true,
            ..admin::ListAuditRequest::default()
        };
        let mut all = Vec::new();
        while let Ok(answer) = client.list(request.clone()).await {
            let page = answer.into_inner();
            all.extend(page.entries);
            request.before = page.next_before;
            if request.before == 0 {
                break;
            }
        }
        let mut outcomes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut reported = 0;
        for entry in all.into_iter().rev() {
            reported += usize::from(entry.detail.contains("reported by the gateway"));
            // The request to queue it is about it, too, and is another matter.
            if !entry.action.starts_with("Calls/") && !entry.call_id.is_empty() {
                outcomes
                    .entry(entry.call_id)
                    .or_default()
                    .push(entry.outcome);
            }
        }
        (outcomes, reported)
    }

    /// What is wrong with the entries of these calls.
    async fn broken(&self, made: &[Made]) -> Vec<String> {
        let (outcomes, _) = self.entries().await;
        let marks = self.scripts.executed();
        let mut broken = Vec::new();
        for call in made {
            let of_call = outcomes
                .get(&call.id)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let of_call: Vec<_> = of_call.iter().map(String::as_str).collect();
            let seen = Seen {
                told: call.told,
                marks: marks.get(&call.id).copied().unwrap_or(0),
                server_died: call.server_died,
                gateway_died: call.gateway_died,
            };
            let queued = match call.told {
                Told::Queued => self.queued(&call.id, of_call.last().copied()).await,
                _ => None,
            };
            let wrong = judge(seen, &of_call).or(queued);
            broken.extend(wrong.map(|wrong| format!("call {}: {wrong}", call.id)));
        }
        broken
    }

    async fn queued(&self, id: &str, last: Option<&str>) -> Option<String> {
        let call_id = id.to_owned();
        let request = admin::ShowQueuedRequest { call_id };
        match self.admin.calls().show_queued(request).await {
            Ok(call) => {
                let state = format!("{:?}", call.into_inner().state());
                judge_queued(&state, last.unwrap_or("nothing"))
            }
            Err(error) => Some(format!("the queue does not show it: {error}")),
        }
    }

    /// Everything is looked at once more in the end.
    async fn look(&self, summary: &mut Summary) {
        summary.broken = self.broken(&self.made).await;
        let (outcomes, reported) = self.entries().await;
        summary.reported = reported;
        summary.calls = self.made.len();
        for call in &self.made {
            summary.queued += usize::from(call.told == Told::Queued);
            let last = outcomes.get(&call.id).and_then(|all| all.last());
            let last = last.map_or("none", String::as_str);
            *summary.outcomes.entry(last.to_owned()).or_default() += 1;
        }
        let mut client = self.admin.audit();
        let verified = client.verify(admin::VerifyAuditRequest::default()).await;
        match verified {
            Ok(report) => {
                let faults = report.into_inner().faults.into_iter();
                summary.broken.extend(faults.map(|fault| fault.what));
            }
            Err(error) => summary.broken.push(error.to_string()),
        }
    }
}

/// Makes one call, and gives what its caller was told.
async fn make(admin: &Admin, resource: &str, call: Call, queued: bool) -> Told {
    if queued {
        let request = admin::ExecuteRequest {
            resource: resource.to_owned(),
            call: Some(call),
            ..Default::default()
        };
        return match admin.calls().enqueue(request).await {
            Ok(_) => Told::Queued,
            Err(_) => Told::Nothing,
        };
    }
    match admin.try_call(resource, call).await.map(|it| it.result) {
        Ok(Some(outcome::Result::Done(_))) => Told::Done,
        Ok(Some(outcome::Result::Failed(_))) => Told::Failed,
        Ok(Some(outcome::Result::Indeterminate(_)) | None) => Told::Indeterminate,
        Err(_) => Told::Nothing,
    }
}
