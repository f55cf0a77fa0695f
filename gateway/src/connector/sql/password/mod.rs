//! Passwords: the gateway's own at the database, and the hashes of those of accounts.

mod hashing;
#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;

use std::path::{Path, PathBuf};

use super::engine::Fault;
use crate::connector::{Context, secret_file};
use crate::model::{FailureKind, Password};

pub(super) use hashing::{Hashing, Scheme};

/// The secret setting of a resource with the password of the gateway's own user.
pub(super) const SETTING: &str = "password";

/// Where the password of the gateway's own user at the database is.
#[derive(Clone, Debug)]
pub(super) enum BindPassword {
    /// In a file, read for every connection: a new one takes effect by itself.
    File(PathBuf),
    /// In the resource's secret setting.
    Setting,
}

impl BindPassword {
    /// The password; `None`: the resource gives none, and the database may ask for none.
    pub(super) fn read(&self, cx: &Context) -> Result<Option<Password>, Fault> {
        match self {
            Self::Setting => Ok(given(cx).cloned()),
            Self::File(path) => secret_file::read(path).map(Some).map_err(|text| {
                Fault::refused(FailureKind::Unavailable, format!("`password_file`: {text}"))
            }),
        }
    }
}

impl BindPassword {
    /// What is wrong with its file, which the owner of this folder reads.
    pub(super) fn fault(&self, owner_of: Option<&Path>) -> Option<String> {
        match self {
            Self::Setting => None,
            Self::File(path) => secret_file::read_by(owner_of, path)
                .err()
                .map(|wrong| format!("`password_file`: {wrong}")),
        }
    }
}

/// The password that the resource gives.
pub(super) fn given(cx: &Context) -> Option<&Password> {
    cx.secret_settings.get(SETTING)
}
