//! Calls through some of the links of a fleet, and what came of them.

use std::time::{Duration, Instant};

use portcullis_proto::admin::v1::ExecuteRequest;
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::gateway::v1::{Call, Test, call, outcome};
use portcullis_tests::fleet::{ECHO, SimulatedFleet};
use serde::Serialize;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Gateways that are called, in turn.
const CALLED: usize = 400;
/// Between two calls of one caller: they are to be there, not to be what is measured.
const PAUSE: Duration = Duration::from_millis(20);

/// What came of the calls.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    /// Carried out.
    pub done: u64,
    /// Not carried out, or nobody knows.
    pub failed: u64,
    /// The longest that one took, in milliseconds.
    pub slowest_ms: u64,
    /// What the first failure said.
    pub first_failure: Option<String>,
}

/// Calls that go on until they are stopped.
pub(super) struct Callers {
    stop: watch::Sender<bool>,
    tasks: JoinSet<Tally>,
}

impl Callers {
    /// Makes a resource on some gateways, spread over the whole fleet, and begins to call.
    pub(super) async fn start(fleet: &SimulatedFleet, callers: usize) -> Self {
        let step = fleet.gateways.len().div_ceil(CALLED);
        let mut resources = Vec::new();
        for gateway in fleet.gateways.iter().step_by(step) {
            fleet
                .admin
                .add_resource(&gateway.name, &gateway.name, ECHO)
                .await;
            resources.push(gateway.name.clone());
        }
        let stop = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for caller in 0..callers {
            let client = fleet.admin.calls();
            let mut resources = resources.clone();
            let turn = resources.len() * caller / callers;
            resources.rotate_left(turn);
            tasks.spawn(keep_calling(client, caller, resources, stop.subscribe()));
        }
        Self { stop, tasks }
    }

    /// Lets the calls on the way end: what came of all of them.
    pub(super) async fn stop(self) -> Tally {
        self.stop.send_replace(true);
        let tallies = self.tasks.join_all().await;
        let mut sum = Tally::default();
        for tally in tallies {
            sum.done += tally.done;
            sum.failed += tally.failed;
            sum.slowest_ms = sum.slowest_ms.max(tally.slowest_ms);
            sum.first_failure = sum.first_failure.or(tally.first_failure);
        }
        sum
    }
}

async fn keep_calling(
    mut client: CallsClient,
    caller: usize,
    resources: Vec<String>,
    stop: watch::Receiver<bool>,
) -> Tally {
    let mut tally = Tally::default();
    for (number, resource) in resources.iter().cycle().enumerate() {
        if *stop.borrow() {
            break;
        }
        let request = ExecuteRequest {
            resource: resource.clone(),
            call: Some(Call {
                call_id: format!("{caller}-{number}"),
                verb: Some(call::Verb::Test(Test {})),
                ..Call::default()
            }),
            ..ExecuteRequest::default()
        };
        let began = Instant::now();
        let failure = match client.execute(request).await {
            Ok(answer) => match answer.into_inner().result {
                Some(outcome::Result::Done(_)) => None,
                other => Some(format!("{other:?}")),
            },
            Err(status) => Some(status.to_string()),
        };
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tally.slowest_ms = tally.slowest_ms.max(took);
        match failure {
            None => tally.done += 1,
            Some(failure) => {
                tally.failed += 1;
                tally.first_failure.get_or_insert(failure);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    tally
}
