//! `pair`

use std::time::Duration;

use portcullis_host::clock;

use super::{CliError, enroll, say};
use crate::config::{Config, Dial};
use crate::key_store;

/// Longest that pairing may stay open.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Default mode authenticates nobody: whoever reaches this gateway first, while it is open, becomes
/// its server.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// How long, such as 10m; 24h at most
    #[arg(long = "for", value_name = "TIME", value_parser = duration)]
    duration: Duration,
}

/// Opens pairing in the key store.
pub(super) fn pair(config: &Config, arguments: &Arguments) -> Result<(), CliError> {
    if let Dial::Out { name: None, .. } = &config.dial {
        return Err(CliError::Nameless);
    }
    let millis = u64::try_from(arguments.duration.as_millis()).unwrap_or(u64::MAX);
    let until = clock::now().plus(millis);
    let store = key_store::open(config);
    store.update_or_create(|record| Ok::<_, CliError>((record.open_pairing(until)?, ())))?;
    say(&format!(
        "pairing is open until {}, for one run of the gateway: a restart closes it",
        clock::text(until)
    ))?;
    say(&enroll::next(config)?)
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        humantime::parse_duration(text).map_err(|error| format!("{error}; write it like 10m"))?;
    if duration.is_zero() || duration > LONGEST {
        return Err("more than nothing and at most 24h is allowed".to_owned());
    }
    Ok(duration)
}
