//! Names, or patterns of names.

use std::fmt;

use unicode_normalization::UnicodeNormalization as _;

use crate::model::NameComparison;

/// Matches names as the resource compares them: `*` stands for any characters, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    prepared: Vec<char>,
}

/// A name that is held against patterns, prepared once for all of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Prepared(Vec<char>);

impl Prepared {
    pub(super) fn new(name: &str, comparison: NameComparison) -> Self {
        let mut prepared = prepare(name, comparison);
        if comparison == NameComparison::Normalized {
            trim(&mut prepared);
        }
        Self(prepared)
    }
}

impl Pattern {
    /// Checks a pattern as it stands in the configuration; the error says what is allowed.
    pub(super) fn parse(text: &str, comparison: NameComparison) -> Result<Self, String> {
        if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
            return Err(
                "a name or pattern of 1 to 256 bytes is allowed, in which `*` stands for any characters and `?` for one"
                    .to_owned(),
            );
        }
        let mut prepared = prepare(text, comparison);
        if comparison == NameComparison::Normalized && is_literal(text) {
            trim(&mut prepared);
        }
        if prepared.is_empty() {
            return Err("it has no visible character".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            prepared,
        })
    }

    /// Whether it names one object outright.
    pub(super) fn is_literal(&self) -> bool {
        is_literal(&self.text)
    }

    pub(super) fn matches(&self, name: &Prepared) -> bool {
        let name = &name.0;
        let (mut p, mut n) = (0, 0);
        // Where to go back to: the last star, and the character after those that it has swallowed
        // so far.
        let mut star: Option<(usize, usize)> = None;
        while let Some(&character) = name.get(n) {
            match self.prepared.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(&expected) if expected == '?' || expected == character => {
                    p += 1;
                    n += 1;
                }
                _ => {
                    let Some((at, swallowed)) = star else {
                        return false;
                    };
                    star = Some((at, swallowed + 1));
                    p = at + 1;
                    n = swallowed + 1;
                }
            }
        }
        self.prepared
            .get(p..)
            .is_some_and(|rest| rest.iter().all(|&c| c == '*'))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn is_literal(text: &str) -> bool {
    !text.contains(['*', '?'])
}

/// The characters that names are compared by.
fn prepare(text: &str, comparison: NameComparison) -> Vec<char> {
    match comparison {
        NameComparison::Exact => text.chars().collect(),
        NameComparison::CaseInsensitive => text.chars().flat_map(char::to_lowercase).collect(),
        NameComparison::Normalized => {
            let folded = text
                .nfkc()
                .filter(|&character| !is_invisible(character))
                // To upper case and back: letters such as `ſ` and `ß` have no other way to theirs.
                .flat_map(char::to_uppercase)
                .flat_map(char::to_lowercase)
                .nfkc()
                .map(|character| {
                    if character.is_whitespace() {
                        ' '
                    } else {
                        character
                    }
                });
            let mut prepared: Vec<char> = folded.collect();
            prepared.dedup_by(|a, b| *a == ' ' && *b == ' ');
            prepared
        }
    }
}

/// Takes off what makes no difference at the ends of a name: blanks, and dots behind it. A name of
/// dots and blanks alone is left as it is.
fn trim(prepared: &mut Vec<char>) {
    let Some(last) = prepared.iter().rposition(|c| !matches!(c, ' ' | '.')) else {
        return;
    };
    prepared.truncate(last + 1);
    let blanks = prepared.iter().take_while(|&&c| c == ' ').count();
    prepared.drain(..blanks);
}

/// Characters that a directory maps to nothing (RFC 4518, section 2.2), and the others of their
/// kind that Unicode has by now: formatting, variations, marks of direction.
const fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{0}'..='\u{8}'
            | '\u{e}'..='\u{1f}'
            | '\u{7f}'..='\u{84}'
            | '\u{86}'..='\u{9f}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{1806}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffc}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str, comparison: NameComparison) -> bool {
        let pattern = Pattern::parse(pattern, comparison).unwrap();
        pattern.matches(&Prepared::new(name, comparison))
    }

    #[test]
    fn patterns_match_as_their_reader_expects() {
        for (pattern, name, expected) in [
            ("root", "root", true),
            ("root", "ROOT", true),
            ("root", "roots", false),
            ("svc-*", "svc-", true),
            ("svc-*", "svc-backup", true),
            ("svc-*", "xsvc-backup", false),
            ("*admin*", "domain-admins", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("??", "ab", true),
            ("??", "abc", false),
            ("*", "", true),
            ("É*", "édith", true),
        ] {
            for comparison in [NameComparison::CaseInsensitive, NameComparison::Normalized] {
                let found = matches(pattern, name, comparison);
                assert_eq!(found, expected, "{pattern} on {name}, {comparison:?}");
            }
        }
        assert!(Pattern::parse("", NameComparison::Exact).is_err());
        assert!(Pattern::parse("\u{200b}", NameComparison::Normalized).is_err());
    }

    #[test]
    fn a_name_is_another_only_where_the_resource_takes_it_for_another() {
        use NameComparison::{CaseInsensitive, Exact, Normalized};
        for (name, same_from) in [
            ("domain admins", Exact),
            ("Domain Admins", CaseInsensitive),
            (" domain admins", Normalized),
            ("domain   admins ", Normalized),
            ("domain\u{a0}admins", Normalized),
            ("domain\u{3000}admins", Normalized),
            ("domain admins.", Normalized),
            ("domain admins . .", Normalized),
            ("ｄｏｍａｉｎ ａｄｍｉｎｓ", Normalized),
            ("ＤＯＭＡＩＮ admins", Normalized),
            ("do\u{200b}main adm\u{ad}ins", Normalized),
            ("domain adminſ", Normalized),
            ("dom\u{ff41}in \u{24b6}dmins", Normalized),
        ] {
            let place = |wanted| NameComparison::ALL.iter().position(|one| *one == wanted);
            for comparison in NameComparison::ALL {
                let same = place(comparison) >= place(same_from);
                let found = matches("domain admins", name, comparison);
                assert_eq!(found, same, "{name:?}, {comparison:?}");
            }
        }
        for other in ["domainadmins", "domain admin", ".domain admins", "..."] {
            assert!(!matches("domain admins", other, Normalized), "{other:?}");
        }
        assert!(matches("straße", "STRASSE", Normalized));
        assert!(matches("svc *", "SVC \u{2003}backup", Normalized));
    }

    #[test]
    fn a_hostile_name_costs_no_time() {
        let pattern = "*a".repeat(100);
        let name = "a".repeat(255) + "b";
        assert!(!matches(&pattern, &name, NameComparison::CaseInsensitive));
    }
}
