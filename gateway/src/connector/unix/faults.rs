//! What is wrong with the account files, for `test`, `get` and the log.

use std::fmt::{self, Write as _};

use super::files;
use super::lines::Line;
use super::text::shown;

/// Lines or names that are written out before the rest is only counted.
const SHOWN: usize = 10;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The C library reads no account or group out of a line.
    Senseless(Place),
    /// A line of the old network directories.
    Marker(Place),
    /// A name that cannot be shown: empty, too long, or of bytes that are no text.
    Nameless(Place),
    /// A line that the C library reads and shadow-utils do not.
    Irregular(Place),
    /// An account that is asked for no password.
    NoPassword(String),
    /// The password of an account is to stand in shadow, which has no line for it.
    NoShadow(String),
    /// A group that group and gshadow have with other members, or gshadow alone has.
    GroupsDiffer(String),
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    file: &'static str,
    line: usize,
    /// What the line begins with, as a name.
    name: String,
}

impl Place {
    fn of(file: &'static str, line: &Line<'_>) -> Self {
        let mut name = shown(line.name());
        name.truncate(name.floor_char_boundary(64));
        Self {
            file,
            line: line.number,
            name,
        }
    }
}

impl Fault {
    pub(super) fn senseless(file: &'static str, line: &Line<'_>) -> Self {
        Self::Senseless(Place::of(file, line))
    }

    pub(super) fn marker(file: &'static str, line: &Line<'_>) -> Self {
        Self::Marker(Place::of(file, line))
    }

    pub(super) fn nameless(file: &'static str, line: &Line<'_>) -> Self {
        Self::Nameless(Place::of(file, line))
    }

    pub(super) fn irregular(file: &'static str, line: &Line<'_>) -> Self {
        Self::Irregular(Place::of(file, line))
    }

    /// Of a line that no account or group came of.
    pub(super) fn unread(file: &'static str, line: &Line<'_>) -> Self {
        match line.is_marker() {
            true => Self::marker(file, line),
            false => Self::senseless(file, line),
        }
    }

    fn place(&self) -> Option<&Place> {
        match self {
            Self::Senseless(place)
            | Self::Marker(place)
            | Self::Nameless(place)
            | Self::Irregular(place) => Some(place),
            Self::NoPassword(_) | Self::NoShadow(_) | Self::GroupsDiffer(_) => None,
        }
    }
}

/// All that is wrong, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Why an account (in passwd) or a group of this name is not there, although a line has it.
    pub(super) fn of_name(&self, file: &'static str, name: &str) -> Option<String> {
        let is_it = |place: &&Place| place.file == file && place.name == name;
        self.0.iter().find_map(|fault| {
            let place = match fault {
                Fault::Senseless(place) | Fault::Marker(place) => Some(place),
                _ => None,
            };
            place.filter(is_it).map(|place| {
                format!(
                    "line {} of {} begins with `{name}`, but the C library reads no more out of it: mend it ({})",
                    place.line, place.file, checker(file)
                )
            })
        })
    }

    /// A sentence on the lines of a file that are so, each in the singular and in the plural.
    fn lines(
        &self,
        sentences: &mut Sentences,
        file: &'static str,
        (is, are): (&str, &str),
        of: fn(&Fault) -> bool,
    ) {
        let lines = self.0.iter().filter(|fault| of(fault));
        let lines = lines.filter_map(Fault::place);
        let lines: Vec<_> = lines.filter(|place| place.file == file).collect();
        if lines.is_empty() {
            return;
        }
        let (plural, what) = match lines.len() {
            1 => ("", is),
            _ => ("s", are),
        };
        let places = list(lines.iter().map(|place| place.line.to_string()));
        sentences.add(format!(
            "{} line{plural} of {file} {what}: line{plural} {places} ({})",
            lines.len(),
            checker(file)
        ));
    }
}

/// The sentences, one after the other.
#[derive(Default)]
struct Sentences(String);

impl Sentences {
    fn add(&mut self, sentence: String) {
        if !self.0.is_empty() {
            self.0.push_str("; ");
        }
        self.0.push_str(&sentence);
    }
}

/// What can be wrong with a line, in the singular and in the plural.
type OfLines = ((&'static str, &'static str), fn(&Fault) -> bool);

const OF_LINES: &[OfLines] = &[
    (
        (
            "makes no sense to the C library",
            "make no sense to the C library",
        ),
        |fault| matches!(fault, Fault::Senseless(_)),
    ),
    (
        (
            "names a network directory, which is not read",
            "name network directories, which are not read",
        ),
        |fault| matches!(fault, Fault::Marker(_)),
    ),
    (
        (
            "has a name that cannot be shown",
            "have names that cannot be shown",
        ),
        |fault| matches!(fault, Fault::Nameless(_)),
    ),
    (
        (
            "is read at logins but cannot be changed by shadow-utils",
            "are read at logins but cannot be changed by shadow-utils",
        ),
        |fault| matches!(fault, Fault::Irregular(_)),
    ),
];

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut all = Sentences::default();
        for file in [files::PASSWD, files::SHADOW, files::GROUP, files::GSHADOW] {
            for (what, of) in OF_LINES {
                self.lines(&mut all, file, *what, *of);
            }
        }
        let named = |of: fn(&Fault) -> Option<&String>| {
            let names: Vec<_> = self.0.iter().filter_map(of).collect();
            (!names.is_empty()).then(|| list(names.into_iter().map(|name| format!("`{name}`"))))
        };
        let no_password = named(|fault| match fault {
            Fault::NoPassword(name) => Some(name),
            _ => None,
        });
        if let Some(names) = no_password {
            all.add(format!(
                "the password field of {names} is empty, so that no password is asked for"
            ));
        }
        let no_shadow = named(|fault| match fault {
            Fault::NoShadow(name) => Some(name),
            _ => None,
        });
        if let Some(names) = no_shadow {
            all.add(format!(
                "{} has no line for the password of {names} (pwck)",
                files::SHADOW
            ));
        }
        let differ = named(|fault| match fault {
            Fault::GroupsDiffer(name) => Some(name),
            _ => None,
        });
        if let Some(names) = differ {
            all.add(format!(
                "{} and {} disagree on the members of {names} (grpck)",
                files::GROUP,
                files::GSHADOW
            ));
        }
        f.write_str(&all.0)
    }
}

/// The program that shows what is wrong with a file.
fn checker(file: &str) -> &'static str {
    match file {
        files::PASSWD | files::SHADOW => "pwck",
        _ => "grpck",
    }
}

fn list(all: impl ExactSizeIterator<Item = String>) -> String {
    let more = all.len().saturating_sub(SHOWN);
    let shown: Vec<_> = all.take(SHOWN).collect();
    let mut text = shown.join(", ");
    if more > 0 {
        let _ = write!(text, " and {more} more");
    }
    text
}
