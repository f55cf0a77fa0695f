//! What an installer asks for around the exchange of the program's file, and when the program is
//! removed and installed anew: the gateways that ran before run again afterwards, and no others.

use std::path::Path;

use windows_registry::{Key, LOCAL_MACHINE};

use super::CliError;
use super::platform::{ServiceError, instance_of, ours, program};
use crate::cli::say;
use crate::event_log;
use crate::registry_error;
use crate::service::windows_service::control::{self, NewService};

/// The services that ran, and those that were removed, each with its configuration behind a tab.
/// Another version of this program resumes what this one holds, so that both are promises.
const KEY: &str = r"SOFTWARE\Portcullis\Setup";
const HELD: &str = "Held";
const RETIRED: &str = "Retired";

/// Stops the services that run this program, and remembers them.
pub(super) fn hold() -> Result<(), CliError> {
    let mut held = Vec::new();
    for name in ours()? {
        if control::standing(&name)?.running {
            held.push(name);
        }
    }
    remember(HELD, &held)?;
    for name in held {
        control::stop(&name)?;
        say(&format!("{name} has stopped"))?;
    }
    Ok(())
}

/// Removes the services that run this program, and remembers them with their configurations, which
/// stay.
pub(super) fn retire() -> Result<(), CliError> {
    let names = ours()?;
    let mut retired = Vec::new();
    for name in &names {
        let command = control::standing(name)?.command;
        if let Some(config) = config_of(&command.to_string_lossy()) {
            retired.push(format!("{name}\t{config}"));
        }
    }
    remember(RETIRED, &retired)?;
    for name in names {
        control::uninstall(&name)?;
        event_log::tell(&name, "removed", &format!("the service {name} is removed"));
        // Without its texts an event shows less, and that is all.
        let _ = event_log::unregister(&name);
        say(&format!("the service {name} is removed"))?;
    }
    Ok(())
}

/// Installs again what was removed, and starts what was stopped. What does not start is told, and
/// is no reason to take the new program away again.
pub(super) fn resume() -> Result<(), CliError> {
    let Ok(key) = LOCAL_MACHINE.options().read().write().open(KEY) else {
        // Nothing was stopped or removed.
        return Ok(());
    };
    let program = program()?;
    for retired in take(&key, RETIRED)? {
        let Some((name, config)) = retired.split_once('\t') else {
            continue;
        };
        let config = Path::new(config);
        if config.exists() {
            restore(name, config, &program)?;
        }
    }
    for name in take(&key, HELD)? {
        match control::start(&name) {
            Ok(_) => say(&format!("{name} is running"))?,
            Err(error) => eprintln!("portcullis-gateway: {error}"),
        }
    }
    Ok(())
}

/// Forgets both: what belonged to them is gone.
pub(super) fn forget() -> Result<(), ServiceError> {
    let Ok(key) = LOCAL_MACHINE.options().read().write().open(KEY) else {
        return Ok(());
    };
    take(&key, HELD)?;
    take(&key, RETIRED).map(drop)
}

fn restore(name: &str, config: &Path, program: &Path) -> Result<(), CliError> {
    control::install(&NewService {
        instance: &instance_of(name)?,
        program,
        config,
    })?;
    let _ = event_log::register(name, program);
    say(&format!("the service {name} is installed"))
}

fn remember(value: &str, names: &[String]) -> Result<(), ServiceError> {
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let key = LOCAL_MACHINE.create(KEY);
    let remembered = key.and_then(|key| key.set_multi_string(value, &names));
    registry_error::io(remembered).map_err(ServiceError::Remember)
}

/// What was remembered, and is not any more.
fn take(key: &Key, value: &str) -> Result<Vec<String>, ServiceError> {
    let Ok(names) = key.get_multi_string(value) else {
        return Ok(Vec::new());
    };
    registry_error::io(key.remove_value(value)).map_err(ServiceError::Remember)?;
    Ok(names)
}

/// The configuration that a service's command line names, as `service install` writes that.
fn config_of(command: &str) -> Option<&str> {
    let (_, rest) = command.split_once(" --config ")?;
    let config = rest.trim_end().strip_suffix(" service run")?;
    Some(config.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_says_which_configuration_is_its_own() {
        for (command, config) in [
            (
                r#""C:\Program Files\p.exe" --config C:\ProgramData\Portcullis\gateway.toml service run"#,
                Some(r"C:\ProgramData\Portcullis\gateway.toml"),
            ),
            (
                r#"C:\p.exe --config "C:\my data\gateway.toml" service run"#,
                Some(r"C:\my data\gateway.toml"),
            ),
            (r"C:\p.exe service run", None),
        ] {
            assert_eq!(config_of(command), config, "{command}");
        }
    }
}
