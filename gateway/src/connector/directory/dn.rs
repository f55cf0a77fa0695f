//! Distinguished names as text (RFC 4514). A name is made by what escapes its values, and by
//! nothing else.

use std::fmt::Write as _;

use unicode_normalization::UnicodeNormalization as _;

/// The attributes and values of one step of a name.
pub(crate) type Rdn = Vec<(String, Vec<u8>)>;

/// A value as it stands in a name (RFC 4514, section 2.4).
pub(crate) fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (at, c) in value.chars().enumerate() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => {
                out.push('\\');
                out.push(c);
            }
            '#' if at == 0 => out.push_str("\\#"),
            ' ' if at == 0 || at == last => out.push_str("\\ "),
            c if c.is_control() => {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    // Writing to a String does not fail.
                    let _ = write!(out, "\\{byte:02x}");
                }
            }
            c => out.push(c),
        }
    }
    out
}

/// What stands before the first comma that separates, and what stands behind it.
pub(crate) fn split_first(dn: &str) -> (&str, &str) {
    let mut escaped = false;
    let mut quoted = false;
    for (at, c) in dn.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => {
                let rest = dn.get(at + 1..).unwrap_or_default();
                return (dn.get(..at).unwrap_or_default(), rest.trim_start());
            }
            _ => {}
        }
    }
    (dn, "")
}

/// The steps of a name, that of the entry first; `None` where the text is no name.
pub(crate) fn parse(dn: &str) -> Option<Vec<Rdn>> {
    let mut steps = Vec::new();
    let mut rest = dn.trim();
    while !rest.is_empty() {
        let (first, others) = split_first(rest);
        steps.push(parse_step(first)?);
        rest = others;
    }
    Some(steps)
}

fn parse_step(step: &str) -> Option<Rdn> {
    let mut pairs = Vec::new();
    for pair in split_plus(step) {
        let (attribute, value) = pair.split_once('=')?;
        let attribute = attribute.trim();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-.;".contains(c);
        if attribute.is_empty() || !attribute.chars().all(plain) {
            return None;
        }
        pairs.push((attribute.to_owned(), unescape(value)?));
    }
    Some(pairs)
}

fn split_plus(step: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut from, mut escaped, mut quoted) = (0, false, false);
    for (at, c) in step.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '+' if !quoted => {
                parts.push(step.get(from..at).unwrap_or_default());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(step.get(from..).unwrap_or_default());
    parts
}

/// The first step of an entry that gets a new one: of several attributes in it those stay that the
/// new one has not, for the entry would lose their values.
pub(crate) fn renamed(own: &str, new: &str) -> String {
    let attribute = |pair: &str| {
        let (attribute, _) = pair.split_once('=').unwrap_or((pair, ""));
        attribute.trim().to_ascii_lowercase()
    };
    let pairs = split_plus(own);
    if pairs.len() < 2 {
        return new.to_owned();
    }
    let given: Vec<_> = split_plus(new).into_iter().map(attribute).collect();
    let stays = pairs
        .into_iter()
        .filter(|pair| !given.contains(&attribute(pair)));
    let all = std::iter::once(new).chain(stays.map(str::trim_start));
    all.collect::<Vec<_>>().join("+")
}

/// Whether the first step of a name has each attribute of another, with the same value.
pub(crate) fn has_all_of(own: &str, other: &str) -> bool {
    let pairs = |step: &str| -> Option<Vec<_>> {
        let pairs = parse_step(step)?.into_iter();
        let pair = |(attribute, value): (String, Vec<u8>)| {
            (attribute.to_ascii_lowercase(), prepared(&value))
        };
        Some(pairs.map(pair).collect())
    };
    match (pairs(own), pairs(other)) {
        (Some(own), Some(other)) => other.iter().all(|pair| own.contains(pair)),
        _ => false,
    }
}

/// The bytes of a value as it stands in a name.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_start();
    if let Some(hex) = text.strip_prefix('#') {
        let bytes = data_encoding::HEXLOWER_PERMISSIVE
            .decode(hex.trim_end().as_bytes())
            .ok()?;
        // The content of a BER string; whatever else it may be is taken as it is.
        return Some(match bytes.as_slice() {
            [_, length, content @ ..] if usize::from(*length) == content.len() => content.to_vec(),
            _ => bytes,
        });
    }
    let text = match text.trim_end().strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"')?,
        None => text,
    };
    let mut out = Vec::with_capacity(text.len());
    // Blanks at the end count only where they are escaped.
    let mut kept = 0;
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            if byte != b' ' {
                kept = out.len();
            }
            continue;
        }
        let hex = rest.get(..2).and_then(|pair| {
            let pair = data_encoding::HEXLOWER_PERMISSIVE.decode(pair).ok()?;
            pair.first().copied()
        });
        match (hex, rest.split_first()) {
            (Some(byte), _) => {
                out.push(byte);
                rest = rest.get(2..).unwrap_or_default();
            }
            (None, Some((&byte, after))) => {
                out.push(byte);
                rest = after;
            }
            (None, None) => return None,
        }
        kept = out.len();
    }
    out.truncate(kept);
    Some(out)
}

/// A name as it is compared: two names of one entry have the same key. `None` where the text is no
/// name.
pub(crate) fn key(dn: &str) -> Option<String> {
    let steps = parse(dn)?;
    let steps = steps.into_iter().map(|mut step| {
        for (attribute, value) in &mut step {
            attribute.make_ascii_lowercase();
            *value = prepared(value);
        }
        step.sort();
        let pairs = step.into_iter().map(|(attribute, value)| {
            let value = data_encoding::HEXLOWER.encode(&value);
            format!("{attribute}={value}")
        });
        pairs.collect::<Vec<_>>().join("+")
    });
    Some(steps.collect::<Vec<_>>().join(","))
}

/// A text as directories compare most of them (RFC 4518, section 2): compatible characters, case
/// and the number of blanks make no difference.
pub(crate) fn prepared(value: &[u8]) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(value) else {
        return value.to_vec();
    };
    let folded: String = text.nfkc().flat_map(char::to_lowercase).collect();
    let words: Vec<_> = folded.split_whitespace().collect();
    words.join(" ").into_bytes()
}

/// Whether both are names of the same entry.
pub(crate) fn same(one: &str, other: &str) -> bool {
    one == other || key(one).is_some_and(|one| Some(one) == key(other))
}

/// Whether an entry is this one or lies below it.
pub(crate) fn is_within(dn: &str, base: &str) -> bool {
    let (Some(dn), Some(base)) = (key(dn), key(base)) else {
        return false;
    };
    base.is_empty() || dn == base || dn.ends_with(&format!(",{base}"))
}

/// The value that an attribute has in the first step of a name.
pub(crate) fn first_value(dn: &str, attribute: &str) -> Option<String> {
    let step = parse_step(split_first(dn).0)?;
    let mut found = step
        .into_iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case(attribute));
    String::from_utf8(found.next()?.1).ok()
}

/// The first value in a name, whatever its attribute.
pub(crate) fn any_first_value(dn: &str) -> Option<String> {
    let (_, value) = parse_step(split_first(dn).0)?.into_iter().next()?;
    String::from_utf8(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_in_a_value_stays_in_it() {
        for value in [
            "ada",
            " ada ",
            "  ",
            "#1",
            "a,b",
            "a+b=c",
            "\"q\"",
            "<a;b>",
            "\\",
            "a\\,b",
            "é",
            "a\0b",
            "line\nbreak",
            "Lovelace, Ada + Co",
            ",ou=admins,dc=example",
            "x\\2c",
        ] {
            let dn = format!("cn={},ou=people,dc=example,dc=org", escape(value));
            let steps = parse(&dn).unwrap();
            assert_eq!(steps.len(), 4, "{dn}");
            assert_eq!(
                steps[0],
                [("cn".to_owned(), value.as_bytes().to_vec())],
                "{dn}"
            );
            assert_eq!(split_first(&dn).1, "ou=people,dc=example,dc=org", "{dn}");
            assert_eq!(first_value(&dn, "CN").as_deref(), Some(value));
        }
    }

    #[test]
    fn an_entry_that_several_attributes_name_keeps_the_others() {
        for (own, new, expected) in [
            ("uid=ada", "uid=eva", "uid=eva"),
            ("cn=Ada\\+ L+uid=ada", "uid=e\\+v", "uid=e\\+v+cn=Ada\\+ L"),
            ("UID=ada + cn=\"a+b\"", "uid=eva", "uid=eva+cn=\"a+b\""),
            ("cn=ada", "uid=eva", "uid=eva"),
        ] {
            assert_eq!(renamed(own, new), expected, "{own}");
        }
        assert!(has_all_of("cn=Ada L+uid=ADA", "uid=ada"));
        assert!(!has_all_of("cn=Ada L", "cn=ada") && !has_all_of("uid=ada", "uid=ada+cn=x"));
    }

    #[test]
    fn names_are_compared_as_a_directory_does() {
        for (one, other) in [
            ("uid=Ada,ou=People,dc=x", "UID=ada, ou=people , DC=X"),
            ("cn=a  b,dc=x", "cn=A B,dc=x"),
            ("cn=a\\,b,dc=x", "cn=\"a,b\",dc=x"),
            ("cn=\\61da,dc=x", "cn=ada,dc=x"),
            ("cn=a+uid=b,dc=x", "uid=B+cn=A,dc=x"),
            ("cn=ａｄａ,dc=x", "cn=ada,dc=x"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        assert!(!same("cn=a,dc=x", "cn=a\\,dc=x"));
        assert!(is_within("uid=a,ou=p,dc=x", "OU=p,dc=x"));
        assert!(!is_within("uid=a,ou=xp,dc=x", "ou=p,dc=x"));
        for broken in ["ada", "=x", "cn=a\\", "c n=a", "cn=\"a"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
