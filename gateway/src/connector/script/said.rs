//! What a script wrote, fit for the log and for messages: bounded, and without the secrets that it
//! was given.

use portcullis_host::text;
use serde_json::Value as Json;
use zeroize::Zeroizing;

use crate::connector::process::{Heard, MAX_ERRORS, printable};
use crate::model::Password;

/// Characters of a script's first line that a message repeats.
const MAX_QUOTED: usize = 300;

/// What stands in a secret's place.
const STRUCK: &str = "[redacted]";

/// What a script wrote.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// Standard error, as one line.
    pub(super) errors: String,
    /// The beginning of standard output, as one line.
    pub(super) output: String,
    first_error: Option<String>,
    first_output: Option<String>,
}

impl Said {
    /// From what was heard, without `secrets`.
    pub(super) fn new(heard: &Heard, secrets: &[Password]) -> Self {
        let most = heard.output.len().min(MAX_ERRORS);
        let head = heard.output.get(..most).unwrap_or_default();
        // The mark is none of what it says.
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let patterns = Patterns::of(secrets);
        let errors = patterns.strike(&heard.errors, heard.errors_cut);
        let output = patterns.strike(head, heard.output.len() > most);
        Self {
            first_error: first_line(&errors),
            first_output: first_line(&output),
            errors: patterns.clean(&errors, heard.errors_cut),
            output: patterns.clean(&output, heard.output.len() > most),
        }
    }

    /// Its first words, to stand behind what is said of it; empty where it wrote nothing.
    pub(super) fn quoted(&self) -> String {
        let first = self.first_error.as_ref().or(self.first_output.as_ref());
        quote(first)
    }

    /// The same where standard output was an answer.
    pub(super) fn quoted_errors(&self) -> String {
        quote(self.first_error.as_ref())
    }
}

fn quote(line: Option<&String>) -> String {
    line.map_or_else(String::new, |line| format!("; it wrote: {line}"))
}

fn first_line(text: &[u8]) -> Option<String> {
    let mut lines = text.split(|byte| *byte == b'\n').map(printable);
    let line = lines.find(|line| !line.is_empty())?;
    let short: String = line.chars().take(MAX_QUOTED).collect();
    Some(if short.len() < line.len() {
        format!("{short}…")
    } else {
        short
    })
}

/// What is to be struck out: each secret as it is, and as JSON writes it, for a script may repeat
/// what it was asked. One of a character or two would strike out half the text and stays.
struct Patterns(Vec<Zeroizing<Vec<u8>>>);

impl Patterns {
    fn of(secrets: &[Password]) -> Self {
        let mut patterns: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for secret in secrets {
            let secret = secret.expose();
            let mut add = |form: &[u8]| {
                if form.len() > 2 && !patterns.iter().any(|there| there.as_slice() == form) {
                    patterns.push(Zeroizing::new(form.to_vec()));
                }
            };
            add(secret);
            if let Ok(text) = std::str::from_utf8(secret) {
                let quoted = Zeroizing::new(Json::from(text).to_string());
                add(quoted.trim_matches('"').as_bytes());
                add(printable(secret).as_bytes());
                add(text::printable(text).as_bytes());
            }
        }
        Self(patterns)
    }

    /// What is struck out is looked for in the text as it was: what stands in its place is nothing
    /// to look through. Of a text that is `cut` off, the beginning of a secret at its end goes too.
    fn strike(&self, text: &[u8], cut: bool) -> Vec<u8> {
        let mut struck: Vec<(usize, usize)> = Vec::new();
        for pattern in &self.0 {
            let length = pattern.len();
            let found = text.windows(length).enumerate();
            let found = found.filter(|(_, window)| window == &pattern.as_slice());
            struck.extend(found.map(|(start, _)| (start, start + length)));
            if cut {
                let begun = (1..length).rev().find(|begun| {
                    pattern
                        .get(..*begun)
                        .is_some_and(|head| text.ends_with(head))
                });
                struck.extend(begun.map(|begun| (text.len() - begun, text.len())));
            }
        }
        struck.sort_unstable();
        let mut out = Vec::with_capacity(text.len());
        let mut shown_to = 0;
        for (start, end) in struck {
            if start >= shown_to {
                out.extend_from_slice(text.get(shown_to..start).unwrap_or_default());
                out.extend_from_slice(STRUCK.as_bytes());
            }
            shown_to = shown_to.max(end);
        }
        out.extend_from_slice(text.get(shown_to..).unwrap_or_default());
        out
    }

    fn clean(&self, text: &[u8], cut: bool) -> String {
        let mut line = redacted(printable(text), self);
        if cut {
            line.push_str(" … (cut)");
        }
        line
    }
}

/// A text of a script without the secrets that it was given.
pub(super) fn redact(text: String, secrets: &[Password]) -> String {
    redacted(text, &Patterns::of(secrets))
}

fn redacted(text: String, patterns: &Patterns) -> String {
    // Every pattern of a text is one, and so is what is left of it.
    String::from_utf8(patterns.strike(text.as_bytes(), false)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(secrets: &[&str]) -> Vec<Password> {
        secrets
            .iter()
            .map(|secret| Password::new(secret.as_bytes().to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn secrets_are_struck_out_of_what_a_script_said_and_nothing_else_is() {
        for (text, secrets, left) in [
            (
                "hunter2 twice hunter2",
                vec!["hunter2"],
                "[redacted] twice [redacted]",
            ),
            ("abcdef", vec!["abcd", "cdef"], "[redacted]"),
            ("abcdef", vec!["abc", "def"], "[redacted][redacted]"),
            // What stands in a secret's place is none.
            (
                "a red box",
                vec!["red", "act", "ted", "red"],
                "a [redacted] box",
            ),
            ("no secret", vec!["no", "x"], "no secret"),
            ("Größe", vec!["röß"], "G[redacted]e"),
            (
                r#"asked {"password":"a\"b"}"#,
                vec!["a\"b"],
                r#"asked {"password":"[redacted]"}"#,
            ),
        ] {
            assert_eq!(redact(text.to_owned(), &passwords(&secrets)), left);
        }
    }

    fn heard(output: &[u8], errors: &[u8]) -> Heard {
        Heard {
            output: Zeroizing::new(output.to_vec()),
            errors: Zeroizing::new(errors.to_vec()),
            errors_cut: false,
        }
    }

    #[test]
    fn nothing_of_it_is_lost_whatever_its_encoding() {
        for (output, errors, quoted, logged) in [
            (
                b"ERROR: no db\r\nbye\r\n".as_slice(),
                b"".as_slice(),
                "ERROR: no db",
                "ERROR: no db; bye",
            ),
            (
                b"\xef\xbb\xbfERROR: no db",
                b"",
                "ERROR: no db",
                "ERROR: no db",
            ),
            (
                b"Verbindung gest\xf6rt",
                b"",
                r"gest\xf6rt",
                r"Verbindung gest\xf6rt",
            ),
            (b"\n\n  late\n", b"", "late", "late"),
            (b"out", b"err", "err", "out"),
        ] {
            let said = Said::new(&heard(output, errors), &[]);
            assert!(said.quoted().ends_with(quoted), "{said:?}");
            assert_eq!(said.output, logged);
        }
        assert_eq!(Said::default().quoted(), "");
    }

    #[test]
    fn a_secret_that_is_cut_through_is_struck_out_too() {
        let secret = passwords(&["correct horse"]);
        for kept in 1.."correct horse".len() {
            let mut output = vec![b'.'; MAX_ERRORS - kept];
            output.extend_from_slice(b"correct horse and more");
            let said = Said::new(&heard(&output, b""), &secret);
            assert!(!said.output.contains(".c"), "{kept}");
            assert!(said.output.ends_with("(cut)"), "{kept}");
        }
        // A tab within it goes with the other control characters, and so does it.
        let said = Said::new(&heard(b"is a\tbc", b""), &passwords(&["a\tbc"]));
        assert_eq!(said.output, "is [redacted]");
    }
}
