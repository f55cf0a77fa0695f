//! Lines of the account files, parsed byte for byte as the C library parses them.
//!
//! These are the rules of glibc's `fgetpwent`, `fgetgrent`, `fgetspent` and `fgetsgent`
//! (`nss/nss_readline.c` and `nss/nss_files/files-parse.c`), by which logins go. They are laxer
//! than those of shadow-utils: a line may begin with blanks, lack its last fields, and hold more of
//! them than it should.

/// A line of `etc/passwd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passwd<'a> {
    pub(super) name: &'a [u8],
    pub(super) password: &'a [u8],
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) gecos: &'a [u8],
    pub(super) home: &'a [u8],
    /// All that is left, colons too.
    pub(super) shell: &'a [u8],
}

/// A line of `etc/group`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group<'a> {
    pub(super) name: &'a [u8],
    pub(super) gid: u32,
    pub(super) members: Vec<&'a [u8]>,
}

/// A line of `etc/shadow`. Fields that are empty are -1, as the C library has them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Shadow<'a> {
    pub(super) name: &'a [u8],
    pub(super) password: &'a [u8],
    pub(super) last_change: i32,
    pub(super) min: i32,
    pub(super) max: i32,
    pub(super) warn: i32,
    pub(super) inactive: i32,
    pub(super) expires: i32,
}

/// A line of `etc/gshadow`, without its password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct GShadow<'a> {
    pub(super) name: &'a [u8],
    pub(super) administrators: Vec<&'a [u8]>,
    pub(super) members: Vec<&'a [u8]>,
}

/// A line that says something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    /// From its first character on.
    pub(super) text: &'a [u8],
    /// Whether blanks stand before that.
    indented: bool,
}

/// What a file has to say: its lines without those that are blank and without comments. A line
/// ends at its first NUL, and blanks at its beginning do not count.
pub(super) fn lines(file: &[u8]) -> impl Iterator<Item = Line<'_>> {
    file.split(|&byte| byte == b'\n')
        .enumerate()
        .map(|(index, whole)| {
            let whole = whole.split(|&byte| byte == 0).next().unwrap_or_default();
            let text = trim_start(whole);
            Line {
                number: index + 1,
                text,
                indented: text.len() != whole.len(),
            }
        })
        .filter(|line| !line.text.is_empty() && !line.text.starts_with(b"#"))
}

impl Line<'_> {
    /// Whether it is a marker of the old network directories, which `compat` of nsswitch.conf reads
    /// and nothing else.
    pub(super) fn is_marker(&self) -> bool {
        self.text.starts_with(b"+") || self.text.starts_with(b"-")
    }

    /// The name that it begins with, whether the rest makes sense or not.
    pub(super) fn name(&self) -> &[u8] {
        Fields(self.text).text()
    }

    /// Whether shadow-utils can change it: they take a line only with all of its `fields`, no more
    /// than those, and plain numbers at these places.
    pub(super) fn is_regular(&self, fields: usize, numbers: &[usize]) -> bool {
        let parts: Vec<_> = self.text.split(|&byte| byte == b':').collect();
        let plain = |index: &usize| {
            let part = parts.get(*index);
            part.is_some_and(|part| !part.is_empty() && part.iter().all(u8::is_ascii_digit))
        };
        !self.indented
            // They go on with the next line.
            && !self.text.ends_with(b"\\")
            && parts.len() == fields
            && numbers.iter().all(plain)
    }
}

pub(super) fn passwd(line: &[u8]) -> Option<Passwd<'_>> {
    let mut fields = Fields(line);
    Some(Passwd {
        name: fields.text(),
        password: fields.text(),
        uid: fields.number()?,
        gid: fields.number()?,
        gecos: fields.text(),
        home: fields.text(),
        shell: fields.0,
    })
}

pub(super) fn group(line: &[u8]) -> Option<Group<'_>> {
    let mut fields = Fields(line);
    let name = fields.text();
    fields.text();
    Some(Group {
        name,
        gid: fields.number()?,
        members: list(fields.0),
    })
}

pub(super) fn shadow(line: &[u8]) -> Option<Shadow<'_>> {
    let mut fields = Fields(line);
    let (name, password) = (fields.text(), fields.text());
    let (last_change, min, max) = (fields.day()?, fields.day()?, fields.day()?);
    let mut entry = Shadow {
        name,
        password,
        last_change,
        min,
        max,
        warn: -1,
        inactive: -1,
        expires: -1,
    };
    fields.0 = trim_start(fields.0);
    // Where nothing follows, it is the old form.
    if !fields.0.is_empty() {
        entry.warn = fields.day()?;
        entry.inactive = fields.day()?;
        entry.expires = fields.day()?;
        // The reserved field: a number, and the last one.
        if !fields.0.is_empty() && number(fields.0).1 != fields.0.len() {
            return None;
        }
    }
    Some(entry)
}

pub(super) fn gshadow(line: &[u8]) -> GShadow<'_> {
    let mut fields = Fields(line);
    let name = fields.text();
    fields.text();
    GShadow {
        name,
        administrators: list(fields.text()),
        members: list(fields.0),
    }
}

/// What is left of a line, field by field.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Up to the next colon, or to the end.
    fn text(&mut self) -> &'a [u8] {
        match self.0.iter().position(|&byte| byte == b':') {
            Some(colon) => {
                let (text, rest) = self.0.split_at(colon);
                self.0 = rest.get(1..).unwrap_or_default();
                text
            }
            None => std::mem::take(&mut self.0),
        }
    }

    /// A number that has to be there.
    fn number(&mut self) -> Option<u32> {
        let (number, length) = number(self.0);
        self.advance(length)?;
        number
    }

    /// A number that may be empty, which then is -1. The line must not end before it.
    fn day(&mut self) -> Option<i32> {
        if self.0.is_empty() {
            return None;
        }
        let (number, length) = number(self.0);
        self.advance(length)?;
        // The C library keeps the lowest 32 bits, with a sign.
        Some(number.map_or(-1, u32::cast_signed))
    }

    /// Goes past a number and the colon behind it; `None` where something else stands there.
    fn advance(&mut self, length: usize) -> Option<()> {
        self.0 = match self.0.get(length..)?.split_first() {
            None => &[],
            Some((b':', rest)) => rest,
            Some(_) => return None,
        };
        Some(())
    }
}

/// `strtoul` in base 10, and the bytes that belong to the number; `None` and 0 where there is none,
/// or where it has more than 32 bits, a negative one after it was taken from 2^64 among them.
fn number(text: &[u8]) -> (Option<u32>, usize) {
    let unsigned = trim_start(text);
    let (negative, digits) = match unsigned.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, unsigned),
    };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit());
    let count = count.count();
    if count == 0 {
        return (None, 0);
    }
    let value = digits.iter().take(count).try_fold(0u64, |value, digit| {
        value
            .checked_mul(10)?
            .checked_add(u64::from(digit.wrapping_sub(b'0')))
    });
    let value = value.map(|value| match negative {
        true => value.wrapping_neg(),
        false => value,
    });
    match value.map(u32::try_from) {
        Some(Ok(number)) => (Some(number), text.len() - digits.len() + count),
        _ => (None, 0),
    }
}

/// Names between commas. Blanks before a name do not count; those behind it do.
fn list(text: &[u8]) -> Vec<&[u8]> {
    text.split(|&byte| byte == b',')
        .map(trim_start)
        .filter(|name| !name.is_empty())
        .collect()
}

/// `isspace` in the C locale.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blank = text.iter().take_while(|byte| is_space(**byte)).count();
    text.get(blank..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_begin_at_their_first_character_and_end_at_nul() {
        let file = b"a:1\n\n  # note\n \t b:2\r\nc\0d:3\n\0e\n\x0b\x0c\nlast";
        let found: Vec<_> = lines(file).map(|line| (line.number, line.text)).collect();
        let expected: [(usize, &[u8]); 4] = [(1, b"a:1"), (4, b"b:2\r"), (5, b"c"), (8, b"last")];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_shadow_utils_cannot_change_is_known() {
        let regular = |file: &'static str| {
            let mut lines = lines(file.as_bytes());
            lines.next().is_some_and(|line| line.is_regular(4, &[2]))
        };
        assert!(regular("g:x:3:a,b\n") && regular("g:x:3:a,b\r\n"));
        for odd in [
            " g:x:3:",
            "g:x:3",
            "g:x:3::",
            "g:x: 3:",
            "g:x:+3:",
            "g:x:3:a\\",
        ] {
            assert!(!regular(odd), "{odd}");
        }
    }

    #[test]
    fn numbers_are_those_of_strtoul() {
        for (text, value, length) in [
            ("", None, 0),
            (":", None, 0),
            (" -:", None, 0),
            ("x1", None, 0),
            ("5:", Some(5), 1),
            (" +5 ", Some(5), 3),
            ("-1", None, 0),
            ("4294967295", Some(u32::MAX), 10),
            ("4294967296", None, 0),
            ("99999999999999999999999", None, 0),
            ("-18446744073709551615", Some(1), 21),
            ("0x5", Some(0), 1),
        ] {
            assert_eq!(number(text.as_bytes()), (value, length), "{text:?}");
        }
    }

    #[test]
    fn lines_that_lack_fields_or_have_too_many_are_read_as_logins_read_them() {
        let short = passwd(b"a:x:1:2:Short:/home/a").unwrap();
        assert_eq!((short.home, short.shell), (&b"/home/a"[..], &b""[..]));
        let long = passwd(b"a:x:1:2:Long:/home/a:/bin/bash:extra\r").unwrap();
        assert_eq!(long.shell, b"/bin/bash:extra\r");
        for bad in ["a:x:1", "a:x::2", "a:x:1 :2:::", "a:x:1x:2:::", "a"] {
            assert!(passwd(bad.as_bytes()).is_none(), "{bad}");
        }
        let group_of = |line: &'static str| group(line.as_bytes()).map(|group| group.members);
        assert_eq!(group_of("g:x:3"), Some(vec![]));
        let odd: Vec<&[u8]> = vec![b"a", b"b \r", b"c:d"];
        assert_eq!(group_of("g:x:3: a,,b \r, c:d"), Some(odd));
        assert!(group(b"g:x:").is_none());
    }

    #[test]
    fn days_of_shadow_may_be_empty_but_not_missing() {
        let days = |line: &'static str| {
            shadow(line.as_bytes()).map(|s| (s.last_change, s.max, s.inactive, s.expires))
        };
        assert_eq!(days("a:*:1:0:9:7:2:3:"), Some((1, 9, 2, 3)));
        assert_eq!(days("a:*:::::::"), Some((-1, -1, -1, -1)));
        assert_eq!(days("a:*:1:0:9"), Some((1, 9, -1, -1)));
        assert_eq!(days("a:*:1:0:9:"), Some((1, 9, -1, -1)));
        assert_eq!(
            days("a:*:3000000000:0:9"),
            Some((-1_294_967_296, 9, -1, -1))
        );
        for bad in [
            "a:*",
            "a:*:1:0:",
            "a:*:1:0:9:7:2:",
            "a:*:1:0:9:7:2:3:x",
            "a:*:-1:0:9:7:2:3:",
            "a:*:1:0:9:7:2:99999999999:",
        ] {
            assert!(shadow(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
