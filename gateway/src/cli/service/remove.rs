//! `service uninstall`.

use std::fs;
use std::io;
use std::path::Path;

use windows_registry::LOCAL_MACHINE;

use super::platform::{ServiceError, each, instance_of};
use super::{CliError, Uninstall, upgrade};
use crate::cli::say;
use crate::config::Config;
use crate::connectors::Connectors;
use crate::event_log;
use crate::key_store;
use crate::registry_error;
use crate::service::instance::Instance;
use crate::service::windows_service::control;

/// Removes the service, and what belongs to it where that is asked for.
pub(super) fn uninstall(config: Option<&Path>, arguments: &Uninstall) -> Result<(), CliError> {
    each(&arguments.which, |service| {
        if control::uninstall(service)? {
            event_log::tell(
                service,
                "removed",
                &format!("the service {service} is removed"),
            );
            event_log::unregister(service).map_err(|source| ServiceError::Remove {
                what: format!("the source {service} of the Event Log"),
                source,
            })?;
            say(&format!("the service {service} is removed"))?;
        } else {
            say(&format!("there was no service {service}"))?;
        }
        let instance = instance_of(service)?;
        let file = match config {
            Some(file) if !arguments.which.all => file.to_owned(),
            _ => instance.config_file(),
        };
        if arguments.purge {
            purge(&instance, &file)
        } else if file.exists() {
            say(&format!(
                "settings, keys and journal stay: {}",
                file.display()
            ))
        } else {
            Ok(())
        }
    })?;
    if arguments.purge && arguments.which.all {
        upgrade::forget()?;
    }
    Ok(())
}

/// Keys first: whatever fails after that leaves none behind.
fn purge(instance: &Instance, file: &Path) -> Result<(), CliError> {
    let mut state = instance.state_dir();
    let mut name = instance.name().to_owned();
    if file.exists() {
        let config = Config::load(Some(file), Connectors::problems).map_err(CliError::Config)?;
        let store = key_store::open(&config);
        if store.load_if_created()?.is_some() {
            store.reset()?;
        }
        state = config.state_dir;
        name = config.instance;
    }
    forget_store(&name)?;
    if state == instance.state_dir() {
        gone(&state, fs::remove_dir_all(&state))?;
    } else {
        say(&format!(
            "{} is not where this program makes state folders: look what lies in it, and remove it",
            state.display()
        ))?;
    }
    gone(file, fs::remove_file(file))?;
    say("settings, keys and journal are removed")
}

fn forget_store(name: &str) -> Result<(), ServiceError> {
    let path = format!(r"SOFTWARE\Portcullis\Gateway\{name}");
    let removed = registry_error::io(LOCAL_MACHINE.remove_tree(&path));
    gone(Path::new(&format!(r"HKLM\{path}")), removed)
}

/// What is not there need not be removed.
fn gone(what: &Path, removed: io::Result<()>) -> Result<(), ServiceError> {
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ServiceError::Remove {
            what: what.display().to_string(),
            source,
        }),
        _ => Ok(()),
    }
}
