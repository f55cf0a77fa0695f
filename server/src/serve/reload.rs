//! SIGHUP: the configuration is read again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_host::service_manager::ServiceManager;
use portcullis_host::{clock, log};
use tokio::signal::unix::Signal;

use crate::audit::{Draft, Outcome, Subject};
use crate::config::Config;
use crate::services::Services;

/// Reads the configuration again at each of `hangups`.
pub(super) async fn at_hangups(
    mut hangups: Signal,
    services: Services,
    file: Option<PathBuf>,
    manager: Arc<ServiceManager>,
) {
    while hangups.recv().await.is_some() {
        manager.reloading();
        reload(&services, file.as_deref()).await;
        manager.ready();
    }
}

async fn reload(services: &Services, file: Option<&Path>) {
    let live = &services.live;
    // Names of users and groups may come from a directory server.
    let path = file.map(Path::to_owned);
    let read = tokio::task::spawn_blocking(move || Config::load(path.as_deref())).await;
    let Ok(read) = read else {
        tracing::error!("the configuration could not be read again: what held before holds on");
        return;
    };
    let (outcome, detail) = match live.reload(read, clock::now()) {
        Ok(reloaded) => {
            log::set_level(&live.config().log.level);
            for warning in live.loaded().warnings {
                tracing::warn!("{warning}");
            }
            let tls = tls(services).await;
            tracing::info!("configuration reloaded: {reloaded}");
            match tls {
                Ok(()) => (Outcome::Done, reloaded.to_string()),
                Err(error) => {
                    tracing::error!("TLS stays as it was: {error}");
                    live.failed(error.clone());
                    (Outcome::Failed, format!("{reloaded}; {error}"))
                }
            }
        }
        Err(error) => {
            tracing::error!(
                "the configuration is not reloaded, and what held before holds on: {error}"
            );
            (Outcome::Failed, error.to_string())
        }
    };
    let draft = Draft::new(Subject::server(), "Server/Reload", "", outcome);
    services.audit.record(draft.detail(&detail)).await;
}

/// Reads the files of `[tls]` again, changed or not: certificates are renewed under their names.
async fn tls(services: &Services) -> Result<(), String> {
    let (around, config) = (services.fleet.tls().clone(), services.live.config());
    let load = move || around.load(config.tls.as_ref());
    match tokio::task::spawn_blocking(load).await {
        Ok(loaded) => loaded.map_err(|error| error.to_string()),
        Err(_) => Err("the files of [tls] could not be read again".to_owned()),
    }
}
