//! The log of a program: to standard error or a file, one line an event.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::{Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, reload};

use crate::config::Section;

/// `[log]`: what is logged, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// What is logged.
    pub level: LogFilter,
    /// How a line looks.
    pub format: LogFormat,
}

impl Log {
    /// Reads the keys of `[log]`; the caller finishes the section.
    pub fn read(section: &mut Section<'_>) -> Self {
        let mut log = Self::default();
        if let Some(level) = section.parsed("level") {
            log.level = level;
        }
        match section.text("format") {
            None | Some("text") => {}
            Some("json") => log.format = LogFormat::Json,
            Some(other) => section.problem(
                "format",
                format!("`{other}`: `text` and `json` are allowed"),
            ),
        }
        log
    }
}

/// What is logged: a level, `TARGET=LEVEL`, or several of these between commas. What none of them
/// is about is logged by the default level: a target that is misspelt makes nothing silent.
#[derive(Clone, Debug, PartialEq)]
pub struct LogFilter(Targets);

impl Eq for LogFilter {}

impl Default for LogFilter {
    /// `info`.
    fn default() -> Self {
        Self(Targets::new().with_default(LevelFilter::INFO))
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
            targets = match directive.split_once('=') {
                None => targets.with_default(level(directive)?),
                Some((target, name)) => {
                    let target = target.trim_end();
                    if !is_target(target) {
                        return Err(NoLogFilter);
                    }
                    targets.with_target(target, level(name.trim_start())?)
                }
            };
        }
        Ok(Self(targets))
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

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Changes what the log started by [`start`] lets through.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();

/// From now on this is logged. Without effect where nothing was started; how a line looks stays as
/// it was.
pub fn set_level(level: &LogFilter) {
    if let Some(handle) = LEVEL.get() {
        // An error says that the subscriber is gone, and with it the log.
        let _ = handle.reload(level.0.clone());
    }
}

/// Starts logging to standard error; where logging was started before, the first holds.
pub fn start(log: &Log) {
    start_with(log, io::stderr, None);
}

/// As [`start`], to `file`; `tell` is told of every event, too.
pub fn start_told(log: &Log, file: Box<dyn Write + Send>, tell: Tell) {
    start_with(log, Mutex::new(file), Some(Telling(tell)));
}

/// Is told of every event of the log.
pub type Tell = Box<dyn Fn(&Told<'_>) + Send + Sync>;

/// An event of the log.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    /// The name that it was given where it was logged; else the place of that.
    pub name: &'a str,
    /// How bad it is.
    pub level: Level,
    /// What the log says, and behind it the values that it names.
    pub text: &'a str,
}

fn start_with(
    log: &Log,
    writer: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
    telling: Option<Telling>,
) {
    let lines = tracing_subscriber::fmt::layer().with_writer(writer);
    let (level, handle) = reload::Layer::new(log.level.0.clone());
    let _ = LEVEL.set(handle);
    let registry = tracing_subscriber::registry().with(level).with(telling);
    // An error says that the log was started before.
    let _ = match log.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
}

/// Gives every event on.
struct Telling(Tell);

impl<S: Subscriber> Layer<S> for Telling {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut text = Text::default();
        event.record(&mut text);
        let Text { message, values } = text;
        (self.0)(&Told {
            name: event.metadata().name(),
            level: *event.metadata().level(),
            text: &format!("{message}{values}"),
        });
    }
}

/// An event as text, as the lines of the log have it.
#[derive(Default)]
struct Text {
    message: String,
    values: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.values, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn enabled(text: &str, target: &str, level: Level) -> bool {
        let LogFilter(targets) = text.parse().expect("a filter");
        targets.would_enable(target, &level)
    }

    #[test]
    fn a_level_holds_for_everything() {
        assert!(enabled("info", "portcullis_server::audit", Level::INFO));
        assert!(!enabled("WARN", "portcullis_server::audit", Level::INFO));
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
        }
    }

    #[test]
    fn whoever_is_told_hears_the_name_and_the_text_of_each_event() {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&heard);
        let tell: Tell = Box::new(move |event: &Told<'_>| {
            let line = format!("{} {} {}", event.level, event.name, event.text);
            told.lock().unwrap().push(line);
        });
        let subscriber = tracing_subscriber::registry().with(Telling(tell));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(name: "started", port = 9278, peer = "a b", "listening");
            tracing::warn!("other");
        });
        let heard = heard.lock().unwrap();
        assert_eq!(heard[0], r#"INFO started listening port=9278 peer="a b""#);
        assert!(heard[1].starts_with("WARN event "), "{heard:?}");
        assert!(heard[1].ends_with(" other"), "{heard:?}");
    }
}
