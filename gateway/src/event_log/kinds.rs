//! The events of a gateway in the Event Log of Windows: their ids, which stay what they are.
//!
//! What is worth an id of its own has a name where it is logged; of the rest errors and warnings
//! are told under one id each.

use tracing::Level;

/// How bad an event is, as the Event Log has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Something does not work.
    Error,
    /// Somebody should look.
    Warning,
    /// As it should be.
    Information,
}

/// One kind of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// Its id.
    pub(crate) id: u32,
    /// Its name in the program.
    pub(crate) name: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
}

const fn kind(id: u32, name: &'static str, severity: Severity) -> Kind {
    Kind { id, name, severity }
}

/// Every kind. `events.mc` has the texts, OPERATIONS.md says what they mean.
pub(crate) const KINDS: [Kind; 19] = [
    kind(1, "started", Severity::Information),
    kind(2, "stopping", Severity::Information),
    kind(3, "stopped", Severity::Information),
    kind(4, "not_started", Severity::Error),
    kind(5, "reloaded", Severity::Information),
    kind(6, "not_reloaded", Severity::Error),
    kind(20, "token_taken", Severity::Information),
    kind(21, "enrolled", Severity::Information),
    kind(22, "key_taken", Severity::Information),
    kind(23, "key_active", Severity::Information),
    kind(24, "keys_forgotten", Severity::Warning),
    kind(40, "handshake_refused", Severity::Warning),
    kind(41, "key_refused", Severity::Warning),
    kind(50, "journal_fault", Severity::Error),
    kind(60, "set_up", Severity::Information),
    kind(61, "not_set_up", Severity::Error),
    kind(62, "removed", Severity::Information),
    OTHER_ERROR,
    OTHER_WARNING,
];

const OTHER_ERROR: Kind = kind(100, "other_error", Severity::Error);
const OTHER_WARNING: Kind = kind(101, "other_warning", Severity::Warning);

/// What an event of the log is told as; `None`: it is not told.
pub(crate) fn of(name: &str, level: Level) -> Option<Kind> {
    let named = KINDS.into_iter().find(|kind| kind.name == name);
    named.or(match level {
        Level::ERROR => Some(OTHER_ERROR),
        Level::WARN => Some(OTHER_WARNING),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_name_is_told_where_somebody_should_look() {
        assert_eq!(of("started", Level::INFO).map(|kind| kind.id), Some(1));
        assert_eq!(of("event a.rs:1", Level::ERROR), Some(OTHER_ERROR));
        assert_eq!(of("event a.rs:1", Level::WARN), Some(OTHER_WARNING));
        assert_eq!(of("event a.rs:1", Level::INFO), None);
    }

    #[test]
    fn each_event_has_a_text_in_the_program_and_a_row_in_the_manual() {
        let texts = include_str!("events.mc");
        let manual = include_str!("../../../deploy/OPERATIONS.md");
        for kind in KINDS {
            let text = format!(
                "MessageId={}\nSymbolicName={}\nLanguage=English\n%1\n.\n",
                kind.id,
                kind.name.to_uppercase()
            );
            assert!(texts.contains(&text), "{text}");
            let word = match kind.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Information => "information",
            };
            let row = format!("| {} | {word} | ", kind.id);
            assert!(manual.contains(&row), "{row}");
        }
        let count = texts.matches("MessageId=").count();
        assert_eq!(count, KINDS.len());
    }

    #[test]
    fn every_name_is_given_to_an_event_somewhere() {
        let sources = [
            include_str!("../service/mod.rs"),
            include_str!("../service/reload.rs"),
            include_str!("../service/key_events.rs"),
            include_str!("../service/windows_service/run.rs"),
            include_str!("../listener/control.rs"),
            include_str!("../listener/refusals.rs"),
            include_str!("../journal/mod.rs"),
            include_str!("../cli/service/install.rs"),
            include_str!("../cli/service/remove.rs"),
        ];
        for kind in KINDS {
            let quoted = format!("\"{}\"", kind.name);
            let given = sources.iter().any(|source| source.contains(&quoted));
            assert!(given || kind.id >= OTHER_ERROR.id, "{}", kind.name);
        }
    }
}
