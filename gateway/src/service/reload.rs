//! Reads the configuration again: at SIGHUP, and when `portcullis-gateway reload` asks for it.
//!
//! The request is a file of the state folder that holds its name; the answer stands in the status
//! file. So it works where there are no signals, and only for who may write the folder.

use std::sync::Arc;
use std::time::Duration;

use portcullis_host::{clock, log};
use portcullis_proto::worker::v1::Reloaded;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use super::host::{Hangups, ServiceManager};
use crate::config::{Config, ConfigProblem};
use crate::connector::Inspection;
use crate::connectors::Connectors;
use crate::listener::agent::Agent;
use crate::listener::status::ReloadReport;
use crate::state_dir::StateDir;
use crate::worker::Door;

/// The file of the request.
pub const REQUEST: &str = "reload";
/// Bytes of a request's name.
pub const MAX_REQUEST: usize = 64;
/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_millis(500);
/// Problems and changes that the status file keeps, and characters of each.
const MAX_LINES: usize = 32;
const MAX_LINE: usize = 500;

/// What holds now.
#[derive(Debug)]
pub(super) struct Reloader {
    folder: StateDir,
    config: Config,
    connectors: Connectors,
    /// The last request that was answered, or was there before the start.
    seen: String,
}

impl Reloader {
    /// Of a gateway that starts with these.
    pub(super) fn new(folder: StateDir, config: Config, connectors: Connectors) -> Self {
        let seen = request(&folder);
        Self {
            folder,
            config,
            connectors,
            seen,
        }
    }

    /// Reads it again at each of `hangups` and at each request, for ever.
    pub(super) async fn watch(
        mut self,
        agent: &Arc<Agent>,
        hangups: &mut Hangups,
        manager: &ServiceManager,
    ) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            let asked = tokio::select! {
                () = hangups.next() => Some(String::new()),
                _ = interval.tick() => self.next_request().await,
            };
            if let Some(request) = asked {
                manager.reloading();
                self.reload(agent, request).await;
                manager.ready();
            }
        }
    }

    async fn next_request(&mut self) -> Option<String> {
        let folder = self.folder.clone();
        let found = spawn_blocking(move || request(&folder)).await.ok()?;
        if found.is_empty() || found == self.seen {
            return None;
        }
        self.seen.clone_from(&found);
        Some(found)
    }

    async fn reload(&mut self, agent: &Agent, request: String) {
        let read = match self.read().await {
            Ok(read) => read_tls(agent, read).await,
            failed => failed,
        };
        let report = match read {
            Ok((config, connectors, changes)) => {
                let restart = needs_restart(&self.config, &config);
                let mut told = Reloaded {
                    changes,
                    ..Reloaded::default()
                };
                if let Door::Workers(workers) = &agent.door {
                    let theirs = workers.reload(&config.connectors).await;
                    told.changes.extend(theirs.changes);
                    told.problems = theirs.problems;
                    told.faults = theirs.faults;
                } else {
                    agent.replace(&connectors).await;
                    told.faults = log_inspection(&connectors).await;
                }
                log::set_level(&config.log.level);
                tell(&told.changes, &restart);
                for problem in &told.problems {
                    error!(name: "not_reloaded", "{problem}");
                }
                self.connectors = connectors;
                self.take(config);
                ReloadReport {
                    partly: !told.problems.is_empty(),
                    problems: told.problems,
                    changes: told.changes,
                    faults: told.faults,
                    restart: restart.iter().map(ToString::to_string).collect(),
                    ..ReloadReport::default()
                }
            }
            Err(problems) => {
                for problem in &problems {
                    error!(
                        name: "not_reloaded",
                        "the configuration is not reloaded, and what held before holds on: {problem}"
                    );
                }
                ReloadReport {
                    problems,
                    ..ReloadReport::default()
                }
            }
        };
        agent.run.status.reloaded(ReloadReport {
            at_unix_ms: clock::now().0,
            request,
            problems: bounded(report.problems),
            partly: report.partly,
            changes: bounded(report.changes),
            restart: report.restart,
            faults: bounded(report.faults),
        });
    }

    async fn read(&self) -> Result<Read, Vec<String>> {
        let (former, held) = (self.config.clone(), self.connectors.clone());
        let read = spawn_blocking(move || -> Result<_, Vec<ConfigProblem>> {
            let mut config = Config::load(former.source.as_deref(), Connectors::problems)?;
            // Also where [workers] is gone: so it is from a file that is only half written.
            Connectors::refuse_none_left(&former.connectors, &config.connectors)?;
            let own = if config.workers.is_some() == former.workers.is_some() {
                config.own_connectors()
            } else {
                // Connectors move to other processes only when those start.
                config.connectors = former.connectors.clone();
                former.own_connectors()
            };
            let (connectors, mut changes) = held.read_again(&former.own_connectors(), &own)?;
            if config.log.level != former.log.level {
                changes.push("log.level".to_owned());
            }
            if config.tls != former.tls {
                changes.push("[tls]".to_owned());
            }
            Ok((config, connectors, changes))
        });
        match read.await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
            Err(_) => Err(vec!["it could not be read".to_owned()]),
        }
    }

    /// What was reloaded holds; the rest stays as it was, and is told again at the next reload.
    fn take(&mut self, config: Config) {
        self.config.connectors = config.connectors;
        self.config.log.level = config.log.level;
        self.config.tls = config.tls;
    }
}

/// What was read: the configuration, its connectors, and what changed.
type Read = (Config, Connectors, Vec<String>);

/// Reads the files of `[tls]`, changed or not: certificates are renewed under their names. What is
/// wrong with them keeps all from being reloaded.
async fn read_tls(agent: &Agent, read: Read) -> Result<Read, Vec<String>> {
    let (around, settings) = (agent.tls.clone(), read.0.tls.clone());
    let loaded = spawn_blocking(move || around.load(settings.as_ref())).await;
    match loaded {
        Ok(Ok(())) => Ok(read),
        Ok(Err(error)) => Err(vec![error.to_string()]),
        Err(_) => Err(vec!["the files of [tls] could not be read".to_owned()]),
    }
}

fn request(folder: &StateDir) -> String {
    let found = folder.read(REQUEST, MAX_REQUEST).ok().flatten();
    let text = found.map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
    text.unwrap_or_default()
}

/// Sections that hold from a start to the next.
fn needs_restart(held: &Config, read: &Config) -> Vec<&'static str> {
    [
        ("instance", held.instance != read.instance),
        ("state_dir", held.state_dir != read.state_dir),
        ("[listen] or [dial_out]", held.dial != read.dial),
        (
            "[channel]",
            held.suites != read.suites || held.channel != read.channel,
        ),
        ("[key_store]", held.key_store != read.key_store),
        ("[limits]", held.limits != read.limits),
        ("[journal]", held.journal != read.journal),
        ("[workers]", held.workers != read.workers),
        ("[watch]", held.watch != read.watch),
        ("[traces]", held.traces != read.traces),
        ("log.format", held.log.format != read.log.format),
        ("log.for_server", held.log_for_server != read.log_for_server),
    ]
    .into_iter()
    .filter_map(|(key, differs)| differs.then_some(key))
    .collect()
}

fn tell(changes: &[String], restart: &[&str]) {
    if changes.is_empty() {
        info!(name: "reloaded", "configuration reloaded: nothing changed");
    } else {
        info!(name: "reloaded", "configuration reloaded: {}", changes.join(", "));
    }
    if !restart.is_empty() {
        warn!("what changed in {} waits for a restart", restart.join(", "));
    }
}

/// Logs what calls would meet as the host now is, and gives what they would fail of.
pub(super) async fn log_inspection(connectors: &Connectors) -> Vec<String> {
    let connectors = connectors.clone();
    let found = spawn_blocking(move || connectors.inspect()).await;
    let Inspection { faults, notes } = found.unwrap_or_default();
    for fault in &faults {
        warn!("calls will fail: {fault}");
    }
    for note in notes {
        warn!("{note}");
    }
    faults
}

fn bounded(lines: Vec<String>) -> Vec<String> {
    let lines = lines.into_iter().take(MAX_LINES);
    lines
        .map(|line| line.chars().take(MAX_LINE).collect())
        .collect()
}
