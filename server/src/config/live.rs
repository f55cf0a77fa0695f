//! The configuration of a running server: what of it a reload changes, and what it says of itself.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_common::rotation::UnixMillis;

use super::{Capabilities, Config, ConfigError};

/// The configuration that holds now. Cheap to clone; all clones see a reload.
#[derive(Clone, Debug)]
pub struct Live {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    config: Arc<Config>,
    generation: u64,
    loaded: UnixMillis,
    error: Option<String>,
    needs_restart: Vec<&'static str>,
}

/// What is known of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// When what holds was read.
    pub at: UnixMillis,
    /// Why what was read since does not hold; `None`: it does.
    pub error: Option<String>,
    /// What is wrong with it and keeps nothing from working but itself.
    pub warnings: Vec<String>,
    /// Keys and sections whose new values hold from the next start on.
    pub needs_restart: Vec<&'static str>,
}

/// What a reload came to: names of keys and sections.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What holds from now on.
    pub changed: Vec<&'static str>,
    /// What holds from the next start on.
    pub needs_restart: Vec<&'static str>,
}

impl Live {
    /// What a server was started with.
    pub fn new(config: Config, now: UnixMillis) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                config: Arc::new(config),
                generation: 0,
                loaded: now,
                error: None,
                needs_restart: Vec::new(),
            })),
        }
    }

    /// The configuration that holds: of what takes a restart, the values of the start.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.lock().config)
    }

    /// Who may do what, and a number that grows with each reload.
    pub fn capabilities(&self) -> (Capabilities, u64) {
        let state = self.lock();
        (state.config.capabilities.clone(), state.generation)
    }

    /// What is known of the configuration.
    pub fn loaded(&self) -> Loaded {
        let state = self.lock();
        Loaded {
            at: state.loaded,
            error: state.error.clone(),
            warnings: state.config.warnings.clone(),
            needs_restart: state.needs_restart.clone(),
        }
    }

    /// Takes over what a file says now. Where it is wrong, what held holds on.
    ///
    /// # Errors
    /// Why it is not taken.
    pub fn reload(
        &self,
        read: Result<Config, ConfigError>,
        now: UnixMillis,
    ) -> Result<Reloaded, ConfigError> {
        let mut state = self.lock();
        let new = match read {
            Ok(new) => new,
            Err(error) => {
                state.error = Some(error.to_string());
                return Err(error);
            }
        };
        let reloaded = compare(&state.config, &new);
        let mut config = Config::clone(&state.config);
        config.keys.token_lifetime = new.keys.token_lifetime;
        config.keys.pairing_lifetime = new.keys.pairing_lifetime;
        config.log.level = new.log.level;
        config.tls = new.tls;
        config.capabilities = new.capabilities;
        config.warnings = new.warnings;
        state.config = Arc::new(config);
        state.generation += 1;
        state.loaded = now;
        state.error = None;
        state.needs_restart.clone_from(&reloaded.needs_restart);
        Ok(reloaded)
    }

    /// Part of what was read does not hold, for this reason.
    pub fn failed(&self, error: String) {
        self.lock().error = Some(error);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole at every moment, whoever panicked meanwhile.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn compare(old: &Config, new: &Config) -> Reloaded {
    let differing = |rows: &[(&'static str, bool)]| {
        let rows = rows.iter().filter(|(_, differs)| *differs);
        rows.map(|(name, _)| *name).collect()
    };
    Reloaded {
        changed: differing(&[
            ("[capabilities]", old.capabilities != new.capabilities),
            ("[tls]", old.tls != new.tls),
            ("log.level", old.log.level != new.log.level),
            (
                "keys.token_lifetime",
                old.keys.token_lifetime != new.keys.token_lifetime,
            ),
            (
                "keys.pairing_lifetime",
                old.keys.pairing_lifetime != new.keys.pairing_lifetime,
            ),
        ]),
        needs_restart: differing(&[
            ("data_dir", old.data_dir != new.data_dir),
            ("[repository]", old.engine != new.engine),
            ("the place of the secret", old.secret != new.secret),
            ("[server]", old.server != new.server),
            ("[admin]", old.admin != new.admin),
            ("[audit]", old.audit != new.audit),
            ("[dial_out]", old.dial_out != new.dial_out),
            ("[peers]", old.peers != new.peers),
            ("[channel]", old.channel != new.channel),
            ("[links]", old.links != new.links),
            (
                "keys.retired_key_grace",
                old.keys.retired_key_grace != new.keys.retired_key_grace,
            ),
            ("[calls]", old.calls != new.calls),
            ("[forward]", old.forward != new.forward),
            ("[watch]", old.watch != new.watch),
            ("[traces]", old.traces != new.traces),
            ("log.format", old.log.format != new.log.format),
        ]),
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.changed.as_slice() {
            [] => f.write_str("nothing changed")?,
            changed => write!(f, "changed: {}", changed.join(", "))?,
        }
        match self.needs_restart.as_slice() {
            [] => Ok(()),
            later => write!(f, "; from the next start on: {}", later.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read(text: &str) -> Result<Config, ConfigError> {
        Config::parse(text, Path::new("server.toml"))
    }

    #[test]
    fn a_reload_changes_what_it_can_and_names_what_it_cannot() {
        let live = Live::new(read("").unwrap(), UnixMillis(1));
        let text = "[admin]\nsocket_group = \"root\"\n[capabilities]\nauditor = [\"uid:7\"]\n\
                    [keys]\ntoken_lifetime = \"1h\"\n[log]\nlevel = \"debug\"\n[links]\nbackoff_max = \"5s\"";
        let reloaded = live.reload(read(text), UnixMillis(2)).unwrap();
        assert_eq!(
            reloaded.to_string(),
            "changed: [capabilities], log.level, keys.token_lifetime; from the next start on: [admin], [links]"
        );
        let config = live.config();
        assert_eq!(config.capabilities.held_by(7, &[]).to_string(), "auditor");
        assert_eq!(config.keys.token_lifetime.as_secs(), 3_600);
        assert_eq!(config.links.backoff_max.as_secs(), 60);
        // What takes a restart is named again, what holds already is not.
        let again = live.reload(read(text), UnixMillis(3)).unwrap();
        assert!(again.changed.is_empty(), "{again:?}");
        assert_eq!(live.loaded().needs_restart, ["[admin]", "[links]"]);
        let back = live.reload(read(""), UnixMillis(4)).unwrap();
        assert!(back.needs_restart.is_empty() && back.changed.len() == 3);
    }

    #[test]
    fn a_wrong_file_changes_nothing_and_is_named() {
        let live = Live::new(
            read("[keys]\ntoken_lifetime = \"1h\"").unwrap(),
            UnixMillis(1),
        );
        for wrong in [
            "[keys]\ntoken_lifetime = \"2h\"\ncolour = \"red\"",
            "[keys",
            "[log]\nlevel = \"inof\"",
        ] {
            assert!(live.reload(read(wrong), UnixMillis(2)).is_err());
            assert_eq!(live.config().keys.token_lifetime.as_secs(), 3_600);
            let loaded = live.loaded();
            assert_eq!(loaded.at, UnixMillis(1));
            let error = loaded.error.unwrap();
            assert!(error.contains("server.toml, line "), "{error}");
        }
        live.reload(read(""), UnixMillis(9)).unwrap();
        assert_eq!(live.loaded().error, None);
        assert_eq!(live.loaded().at, UnixMillis(9));
    }
}
