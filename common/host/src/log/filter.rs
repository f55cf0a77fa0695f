//! What is logged, as a configuration or a server says it.

use std::fmt;
use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

/// The targets of these programs' own events all begin so.
const OWN: &str = "portcullis";
/// The longest [`MoreLog`], in bytes.
const MAX_MORE: usize = 256;
/// The most directives of one.
const MAX_DIRECTIVES: usize = 8;

/// What is logged: a level, `TARGET=LEVEL`, or several of these between commas. What none of them
/// is about is logged by the default level: a target that is misspelt makes nothing silent.
///
/// A level alone has more than `info` of these programs, and never of the libraries that they use:
/// what those write below it is not theirs to answer for, such as statements with what they set. A
/// library has to be named.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(pub(super) Targets);

impl Eq for LogFilter {}

impl Default for LogFilter {
    /// `info`.
    fn default() -> Self {
        Self(by_default(Targets::new(), LevelFilter::INFO))
    }
}

/// Not a [`LogFilter`]. A log that nobody wanted silent must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no log filter: give `error`, `warn`, `info`, `debug` or `trace`, or `TARGET=LEVEL`, or several of these between commas"
)]
pub struct NoLogFilter;

impl FromStr for LogFilter {
    type Err = NoLogFilter;

    fn from_str(text: &str) -> Result<Self, NoLogFilter> {
        let Self(mut targets) = Self::default();
        for directive in text.split(',').map(str::trim) {
            targets = match parsed(directive)? {
                (None, level) => by_default(targets, level),
                (Some(target), level) => targets.with_target(target, level),
            };
        }
        Ok(Self(targets))
    }
}

/// What is logged besides, for a time, because somebody else asks for it: of these programs' own
/// events only, so that no library writes what it should not, and never less than without it, so
/// that who asks makes nothing silent.
#[derive(Clone, Debug, PartialEq)]
pub struct MoreLog {
    text: String,
    pub(super) targets: Targets,
}

impl Eq for MoreLog {}

/// Not a [`MoreLog`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no level to log more by: give `info`, `debug` or `trace`, or `portcullis_…=LEVEL` for a part of the program, or up to {MAX_DIRECTIVES} of these between commas, {MAX_MORE} bytes at most"
)]
pub struct NoMoreLog;

impl FromStr for MoreLog {
    type Err = NoMoreLog;

    fn from_str(text: &str) -> Result<Self, NoMoreLog> {
        if text.len() > MAX_MORE || text.split(',').count() > MAX_DIRECTIVES {
            return Err(NoMoreLog);
        }
        let mut targets = Targets::new();
        for directive in text.split(',').map(str::trim) {
            let (target, level) = parsed(directive).map_err(|NoLogFilter| NoMoreLog)?;
            let target = target.unwrap_or(OWN);
            if level < LevelFilter::INFO || !target.starts_with(OWN) {
                return Err(NoMoreLog);
            }
            targets = targets.with_target(target, level);
        }
        Ok(Self {
            text: text.to_owned(),
            targets,
        })
    }
}

impl fmt::Display for MoreLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn by_default(targets: Targets, level: LevelFilter) -> Targets {
    targets
        .with_default(level.min(LevelFilter::INFO))
        .with_target(OWN, level)
}

/// A target, where there is one, and its level.
fn parsed(directive: &str) -> Result<(Option<&str>, LevelFilter), NoLogFilter> {
    match directive.split_once('=') {
        None => Ok((None, level(directive)?)),
        Some((target, name)) => {
            let target = target.trim_end();
            if !is_target(target) {
                return Err(NoLogFilter);
            }
            Ok((Some(target), level(name.trim_start())?))
        }
    }
}

/// A path of modules: nothing else is the target of an event of these programs.
fn is_target(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    text.split("::").all(is_name)
}

fn level(name: &str) -> Result<LevelFilter, NoLogFilter> {
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    if !levels.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(NoLogFilter);
    }
    name.parse().map_err(|_| NoLogFilter)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    fn enabled(text: &str, target: &str, level: Level) -> bool {
        let LogFilter(targets) = text.parse().expect("a filter");
        targets.would_enable(target, &level)
    }

    #[test]
    fn a_level_holds_for_everything() {
        assert!(enabled("info", "portcullis_server::audit", Level::INFO));
        assert!(!enabled("WARN", "portcullis_server::audit", Level::INFO));
        assert!(!enabled("warn", "hyper", Level::INFO));
        assert!(!enabled("off", "portcullis_server", Level::ERROR));
    }

    #[test]
    fn of_a_library_there_is_no_more_than_info_unless_it_is_named() {
        for (text, more) in [
            ("debug", false),
            ("trace", false),
            ("trace,portcullis_gateway=debug", false),
            ("tokio_postgres=debug", true),
        ] {
            let passes = |level| enabled(text, "tokio_postgres::query", level);
            assert!(passes(Level::INFO), "{text}");
            assert_eq!(passes(Level::DEBUG), more, "{text}");
        }
        assert!(enabled("trace", "portcullis_common::stream", Level::TRACE));
    }

    #[test]
    fn a_target_has_a_level_of_its_own() {
        let text = "warn, portcullis_server::fleet = debug";
        assert!(enabled(
            text,
            "portcullis_server::fleet::link",
            Level::DEBUG
        ));
        assert!(!enabled(text, "portcullis_server::audit", Level::INFO));
        // Of what is not named, alarms among it, nothing falls silent.
        for text in [
            "portcullis_server::fleet=debug",
            "portcullis_sever=trace",
            "audit=off",
        ] {
            assert!(
                enabled(text, "portcullis_server::audit", Level::INFO),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_level_is_refused() {
        for text in [
            "",
            "inof",
            "loud",
            "info,",
            "=info",
            "audit=",
            "audit=loud",
            "=,=",
            "7",
            "info=warn=debug",
            "a b=info",
            "portcullis_server ::audit=info",
            "portcullis_server:audit=info",
            "info,portcullis_server[span]=debug",
            "[span]=debug",
        ] {
            assert_eq!(text.parse::<LogFilter>(), Err(NoLogFilter), "{text}");
            assert_eq!(text.parse::<MoreLog>(), Err(NoMoreLog), "{text}");
        }
    }

    #[test]
    fn more_is_of_our_own_and_never_less() {
        for text in [
            "off",
            "error",
            "warn",
            "debug,portcullis_gateway=off",
            "h2=trace",
            "tokio_postgres=debug",
            "debug,hyper=trace",
            &"debug,".repeat(9),
            &format!("portcullis_{}=debug", "x".repeat(MAX_MORE)),
        ] {
            assert_eq!(text.parse::<MoreLog>(), Err(NoMoreLog), "{text}");
        }
        let MoreLog { targets, .. } = "info, portcullis_gateway::worker = trace".parse().unwrap();
        for (target, level, passes) in [
            ("portcullis_gateway::worker::change", Level::TRACE, true),
            ("portcullis_gateway::listener", Level::INFO, true),
            ("portcullis_gateway::listener", Level::DEBUG, false),
            ("h2::codec", Level::ERROR, false),
        ] {
            let found = targets.would_enable(target, &level);
            assert_eq!(found, passes, "{target} {level}");
        }
    }
}
