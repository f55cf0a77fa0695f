//! Names, or patterns of names.

use std::fmt;

/// Matches names without regard to case: `*` stands for any characters, `?` for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    folded: Vec<char>,
}

impl Pattern {
    /// Checks a pattern as it stands in the configuration; the error says what is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
            return Err(
                "a name or pattern of 1 to 256 bytes is allowed, in which `*` stands for any characters and `?` for one"
                    .to_owned(),
            );
        }
        Ok(Self {
            text: text.to_owned(),
            folded: fold(text),
        })
    }

    /// Whether it names one object outright.
    pub(super) fn is_literal(&self) -> bool {
        !self.text.contains(['*', '?'])
    }

    pub(super) fn matches(&self, name: &str) -> bool {
        let name = fold(name);
        let (mut p, mut n) = (0, 0);
        // Where to go back to: the last star, and the character after those that it has swallowed
        // so far.
        let mut star: Option<(usize, usize)> = None;
        while let Some(&character) = name.get(n) {
            match self.folded.get(p) {
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
        self.folded
            .get(p..)
            .is_some_and(|rest| rest.iter().all(|&c| c == '*'))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn fold(text: &str) -> Vec<char> {
    text.chars().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let parsed = Pattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(name), expected, "{pattern} on {name}");
        }
        assert!(Pattern::parse("").is_err());
    }

    #[test]
    fn a_hostile_name_costs_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(100)).unwrap();
        assert!(!pattern.matches(&("a".repeat(255) + "b")));
    }
}
