//! Health and metrics of the running gateway, for whoever watches it. `service` alone reads it.

mod gauges;
mod link;

use std::sync::Arc;

use portcullis_host::clock;
use portcullis_watch::{Bound, Check, Metrics, Readiness, Watched, check};

use crate::config::Config;
use crate::listener::agent::Agent;
use gauges::Gauges;
use link::LinkWatch;

/// What the names of all metrics begin with.
const PREFIX: &str = "portcullis_gateway";

/// Answers whoever asks on `port` how `agent` is, for ever; without a port nobody is answered.
pub(crate) async fn watch(port: Option<Bound>, config: Config, agent: Arc<Agent>) {
    let Some(port) = port else {
        return std::future::pending().await;
    };
    let link = Arc::new(LinkWatch::new(config.watch.link_within));
    let following = Arc::clone(&link);
    let watch = Watch::new(&config, Arc::clone(&agent), link);
    tokio::join!(
        portcullis_watch::serve(port, watch),
        following.follow(&agent.links)
    );
}

/// What is told of a running gateway.
#[derive(Debug)]
struct Watch {
    agent: Arc<Agent>,
    link: Arc<LinkWatch>,
    in_processes: bool,
    metrics: Metrics,
    gauges: Gauges,
}

impl Watch {
    fn new(config: &Config, agent: Arc<Agent>, link: Arc<LinkWatch>) -> Self {
        let started = clock::now().0 as f64 / 1_000.0;
        let mut metrics = Metrics::new(PREFIX, env!("CARGO_PKG_VERSION"), started);
        let own = metrics.own(PREFIX);
        agent.door.ended().register(own);
        agent.measured.register(own);
        if let Some(spans) = agent.door.tracer().counts() {
            spans.register(own);
        }
        let gauges = Gauges::register(own, config);
        Self {
            agent,
            link,
            in_processes: config.workers.is_some(),
            metrics,
            gauges,
        }
    }

    fn link(&self) -> Check {
        let fault = self.link.fault().map(|fault| {
            let error = self.agent.run.status.last_error();
            match error {
                Some(error) => format!("{fault}; the last error: {}", error.message),
                None => fault,
            }
        });
        Check::new("link", fault)
    }
}

impl Watched for Watch {
    async fn ready(&self) -> Readiness {
        let key_store = check("key_store", self.agent.run.keys.refresh()).await;
        let described = self.agent.door.standing().await;
        let mut checks = vec![
            self.link(),
            key_store,
            Check::new("journal", described.journal_fault()),
            Check::new("grants", self.agent.links.grants().fault()),
        ];
        if self.in_processes {
            let away = described.away.into_iter().map(|(_, why)| why);
            let away = away.reduce(|all, why| format!("{all}; {why}"));
            checks.push(Check::new("workers", away));
        }
        Readiness::of(checks)
    }

    async fn metrics(&self, ready: &Readiness) -> String {
        self.gauges.set(&self.agent, ready).await;
        self.metrics.text(ready)
    }
}
