//! Runs a worker of a gateway in processes.

use portcullis_host::private_files::this_user;
use portcullis_host::{log, users};
use portcullis_proto::worker::v1::Reloaded;
use portcullis_watch::traces::Tracer;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::host::{Hangups, ServiceManager, StopSignal};
use super::reload::log_inspection;
use super::start::Start;
use super::{RunError, STOP_PATIENCE, beat, host, program};
use crate::config::{Config, ConfigProblem, WorkerKind};
use crate::connectors::Connectors;
use crate::journal::{self, Journal};
use crate::listener::agent::here;
use crate::state_dir::{StateDir, StateDirError};
use crate::worker::processes::{Asked, Serving, serve};
use crate::worker::{OwnLog, Provisioner};

/// Requests to read the configuration again that wait for the one before.
const RELOADS: usize = 8;

impl Start {
    /// Runs the worker of this kind, with its connectors, until it is told to stop.
    ///
    /// # Errors
    /// [`RunError`] where it does not start; nothing was changed then.
    pub fn worker(
        self,
        config: Config,
        kind: WorkerKind,
        connectors: Connectors,
    ) -> Result<(), RunError> {
        let running = run(config, kind, connectors, self.hangups);
        let outcome = self.runtime.block_on(Box::pin(running));
        // As of the gateway.
        self.runtime.shutdown_background();
        outcome
    }
}

async fn run(
    config: Config,
    kind: WorkerKind,
    connectors: Connectors,
    mut hangups: Hangups,
) -> Result<(), RunError> {
    let stop = StopSignal::new().map_err(RunError::Signals)?;
    let manager = ServiceManager::from_env();
    let workers = config.workers.as_ref().ok_or(RunError::OneProcess)?;
    let front = users::find(&workers.user).map_err(RunError::Front)?;
    let own = workers.of(kind).clone();
    let folder = StateDir::new(&own.state_dir);
    folder.create()?;
    let _running = folder.lock_run().map_err(|error| match error {
        StateDirError::Running { folder } => RunError::WorkerRunning {
            folder,
            unit: kind.unit(&config.instance),
        },
        other => other.into(),
    })?;
    if kind == WorkerKind::Networked && this_user() == 0 {
        warn!(
            name: "privileged",
            "the worker `{kind}` runs as root, and who breaks into it through a directory or a database has the host: have it run as a user without rights, as its unit does (portcullis-networked)"
        );
    }
    let journal = Journal::open(&folder, config.journal);
    let provisioner = here(&config, &connectors, journal, &own.state_dir);
    let (tracer, spans) = Tracer::hold(&config.traces, program(host::name()));
    provisioner.trace(tracer.clone());
    log_inspection(&connectors).await;
    provisioner.start().await;
    let (reloads, mut asked) = mpsc::channel(RELOADS);
    let (tell_stopping, stopping) = watch::channel(false);
    let serving = Serving {
        provisioner: provisioner.clone(),
        instance: config.instance.clone(),
        front,
        calls: config.limits.calls,
        journal: own.state_dir.join(journal::FILE),
        spans: spans.map(Mutex::new),
        log: config.log_for_server.then(OwnLog::default),
        reloads,
        stopping,
    };
    let mut reloader = Reloader {
        kind,
        config,
        connectors,
        provisioner: provisioner.clone(),
    };
    let ready = || {
        info!(
            name: "started",
            version = env!("CARGO_PKG_VERSION"),
            worker = %kind,
            "serving on {}",
            own.socket.display()
        );
        manager.ready();
    };
    let served = tokio::select! {
        served = serve(serving, &own.socket, ready) => served,
        () = reload_when_asked(&mut reloader, &mut asked, &mut hangups, &manager) => Ok(()),
        () = beat(&manager) => Ok(()),
        () = stop.received() => Ok(()),
    };
    manager.stopping();
    tell_stopping.send_replace(true);
    info!(name: "stopping", "stopping: calls under way are carried to their end");
    if timeout(STOP_PATIENCE, provisioner.idle()).await.is_err() {
        warn!(
            "calls were still under way after {} s and are cut off: what came of them is unknown",
            STOP_PATIENCE.as_secs()
        );
    }
    provisioner.stop().await;
    provisioner.journal().close().await;
    tracer.flush().await;
    info!(name: "stopped", "stopped");
    Ok(served?)
}

/// What holds now.
struct Reloader {
    kind: WorkerKind,
    config: Config,
    connectors: Connectors,
    provisioner: Provisioner,
}

/// Reads the configuration again whenever the gateway asks for it, or a signal does, for ever.
async fn reload_when_asked(
    reloader: &mut Reloader,
    asked: &mut mpsc::Receiver<Asked>,
    hangups: &mut Hangups,
    manager: &ServiceManager,
) {
    loop {
        let answer = tokio::select! {
            () = hangups.next() => None,
            answer = asked.recv() => answer,
        };
        manager.reloading();
        let reloaded = reloader.reload().await;
        manager.ready();
        if let Some(answer) = answer {
            // The gateway may not wait for it any more.
            let _ = answer.send(reloaded);
        }
    }
}

impl Reloader {
    async fn reload(&mut self) -> Reloaded {
        match self.read().await {
            Ok((config, connectors, changes)) => {
                self.provisioner.replace(&connectors).await;
                log::set_level(&config.log.level);
                info!(name: "reloaded", "configuration reloaded: {}", changes.join(", "));
                let faults = log_inspection(&connectors).await;
                self.connectors = connectors;
                self.config.connectors = config.connectors;
                Reloaded {
                    changes,
                    faults,
                    ..Reloaded::default()
                }
            }
            Err(problems) => {
                for problem in &problems {
                    error!(
                        name: "not_reloaded",
                        "the configuration is not reloaded, and what held before holds on: {problem}"
                    );
                }
                Reloaded {
                    problems,
                    ..Reloaded::default()
                }
            }
        }
    }

    async fn read(&self) -> Result<(Config, Connectors, Vec<String>), Vec<String>> {
        let (source, kind) = (self.config.source.clone(), self.kind);
        let (former, held) = (self.config.connectors.clone(), self.connectors.clone());
        let read = spawn_blocking(move || -> Result<_, Vec<ConfigProblem>> {
            let mut config = Config::load(source.as_deref(), Connectors::problems)?;
            Connectors::refuse_none_left(&former, &config.connectors)?;
            if config.workers.is_none() {
                // The gateway is in processes until all of them end.
                config.connectors = former.clone();
            }
            let own = config.connectors.of(kind);
            let (connectors, changes) = held.read_again(&former.of(kind), &own)?;
            Ok((config, connectors, changes))
        });
        match read.await {
            Ok(Ok(read)) => Ok(read),
            Ok(Err(problems)) => Err(problems.iter().map(ToString::to_string).collect()),
            Err(_) => Err(vec!["it could not be read".to_owned()]),
        }
    }
}
