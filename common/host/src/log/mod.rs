//! The log of a program: to standard error or a file, one line an event.

mod drained;
mod filter;
mod tail;

use std::fmt::{self, Write as _};
use std::io::Write;
use std::sync::{Mutex, OnceLock};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, reload};

use self::drained::standard_error;
pub use self::filter::{LogFilter, MoreLog, NoLogFilter, NoMoreLog};
use self::tail::{Kept, Tail};
pub use self::tail::{Line, MAX_LINES};
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
static LEVELS: OnceLock<reload::Handle<Levels, Registry>> = OnceLock::new();
/// What [`tail`] tells.
static TAIL: Tail = Tail::new();

/// From now on this is logged. Without effect where nothing was started; how a line looks stays as
/// it was.
pub fn set_level(level: &LogFilter) {
    change(|levels| levels.configured = level.0.clone());
}

/// From now on this is logged besides; `None`: nothing besides. Without effect where nothing was
/// started.
pub fn set_more(more: Option<&MoreLog>) {
    change(|levels| levels.more = more.map(|more| more.targets.clone()));
}

/// The last lines of a log that was started by [`start_kept`] or [`start_told`], oldest first:
/// `most` at the most, of `bytes` together at the most. There are never more than [`MAX_LINES`].
/// None has control characters.
pub fn tail(most: usize, bytes: usize) -> Vec<Line> {
    TAIL.last(most, bytes)
}

fn change(how: impl FnOnce(&mut Levels)) {
    if let Some(handle) = LEVELS.get() {
        // An error says that the subscriber is gone, and with it the log.
        let _ = handle.modify(how);
    }
}

/// Starts logging to standard error, which nobody has to read: lines may be lost then, and are
/// counted. Where logging was started before, the first holds.
pub fn start(log: &Log) {
    start_with(log, standard_error, None);
}

/// As [`start`], and keeps the last lines for [`tail`].
pub fn start_kept(log: &Log) {
    let (writer, tail) = (standard_error, &TAIL);
    start_with(log, Kept { writer, tail }, None);
}

/// As [`start_kept`], to `file`; `tell` is told of every event, too.
pub fn start_told(log: &Log, file: Box<dyn Write + Send>, tell: Tell) {
    let (writer, tail) = (Mutex::new(file), &TAIL);
    start_with(log, Kept { writer, tail }, Some(Telling(tell)));
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
    let levels = Levels {
        configured: log.level.0.clone(),
        more: None,
    };
    let (levels, handle) = reload::Layer::new(levels);
    let _ = LEVELS.set(handle);
    let registry = tracing_subscriber::registry().with(levels).with(telling);
    // An error says that the log was started before.
    let _ = match log.format {
        LogFormat::Text => registry.with(lines.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(lines.json()).try_init(),
    };
}

/// What passes: what the configuration says, and what is logged besides.
struct Levels {
    configured: Targets,
    more: Option<Targets>,
}

impl<S: Subscriber> Layer<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let passes = |targets: &Targets| targets.would_enable(metadata.target(), metadata.level());
        passes(&self.configured) || self.more.as_ref().is_some_and(passes)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let most = |targets: &Targets| targets.iter().map(|(_, level)| level).max();
        let named = most(&self.configured).max(self.more.as_ref().and_then(most));
        named.max(self.configured.default_level())
    }
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
