//! Versions of the programs, and which of them understand one another.

use std::fmt;
use std::str::FromStr;

/// MAJOR.MINOR.PATCH; what follows (`-rc1`, `+abc`, `~1`) is left aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that is no version: give MAJOR.MINOR.PATCH, as `portcullis-gateway --version` shows it")]
pub struct NoVersion;

impl Version {
    /// Whether a server of one and a gateway of the other understand one another, and may take each
    /// other's place: both have the same major version, and minor versions that are the same or one
    /// apart.
    pub const fn fits(self, other: Self) -> bool {
        self.major == other.major && self.minor.abs_diff(other.minor) <= 1
    }

    /// The minor version next to this one on the way to `goal`; `None`: that is of another major
    /// version, and no minor version leads there.
    #[must_use]
    pub const fn step_towards(self, goal: Self) -> Option<Self> {
        if self.major != goal.major {
            return None;
        }
        let minor = if goal.minor > self.minor {
            self.minor.saturating_add(1)
        } else {
            self.minor.saturating_sub(1)
        };
        Some(Self {
            minor,
            patch: 0,
            ..self
        })
    }
}

impl FromStr for Version {
    type Err = NoVersion;

    fn from_str(text: &str) -> Result<Self, NoVersion> {
        let end = text.find(['-', '+', '~']).unwrap_or(text.len());
        let mut parts = text.get(..end).unwrap_or_default().split('.').map(number);
        let mut next = || parts.next().flatten().ok_or(NoVersion);
        let version = Self {
            major: next()?,
            minor: next()?,
            patch: next()?,
        };
        match parts.next() {
            None => Ok(version),
            Some(_) => Err(NoVersion),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// Digits alone: `parse` would take a sign, too.
fn number(text: &str) -> Option<u32> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then_some(())?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_fit_and_others_do_not() {
        for (one, other, fit) in [
            ("1.4.0", "1.4.9", true),
            ("1.4.0", "1.5.0", true),
            ("1.5.2-rc1", "1.4.0", true),
            ("1.4.0", "1.6.0", false),
            ("1.4.0", "2.4.0", false),
            ("0.1.0", "0.2.0", true),
        ] {
            let (one, other): (Version, Version) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.fits(other), fit, "{one} {other}");
            assert_eq!(other.fits(one), fit, "{other} {one}");
        }
        let (old, new): (Version, Version) = ("1.4.3".parse().unwrap(), "1.7.0".parse().unwrap());
        let step = |from: Version, to| from.step_towards(to).map(|version| version.to_string());
        assert_eq!(step(old, new).as_deref(), Some("1.5.0"));
        assert_eq!(step(new, old).as_deref(), Some("1.6.0"));
        assert_eq!(step(old, "2.0.0".parse().unwrap()), None);
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in [
            "", "1", "1.2", "1.2.3.4", "v1.2.3", "1.2.x", "1.+2.3", "1..3",
        ] {
            assert_eq!(text.parse::<Version>(), Err(NoVersion), "{text}");
        }
    }
}
