//! The suites that protect records.

use std::fmt;
use std::str::FromStr;

/// How records are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum Suite {
    /// 3DES in counter mode, then HMAC-SHA256: mandatory, and the default.
    TdesCtrHmacSha256 = 1,
    /// AES-256-GCM: for sites whose policy has retired 3DES.
    Aes256Gcm = 2,
}

/// Why a text names no suite.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no suite of that name: there are `TDES-CTR-HMAC-SHA256` and `AES-256-GCM`")]
pub struct ParseSuiteError;

impl Suite {
    /// Every suite, in the default order of preference.
    pub const ALL: [Self; 2] = [Self::TdesCtrHmacSha256, Self::Aes256Gcm];

    /// Its number on the wire.
    pub const fn to_wire(self) -> u16 {
        self as u16
    }

    /// The suite with this number on the wire.
    pub const fn from_wire(number: u16) -> Option<Self> {
        match number {
            1 => Some(Self::TdesCtrHmacSha256),
            2 => Some(Self::Aes256Gcm),
            _ => None,
        }
    }

    /// The name used everywhere, in labels too.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TdesCtrHmacSha256 => "TDES-CTR-HMAC-SHA256",
            Self::Aes256Gcm => "AES-256-GCM",
        }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Suite {
    type Err = ParseSuiteError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.name() == text)
            .ok_or(ParseSuiteError)
    }
}
