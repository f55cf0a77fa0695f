//! What the connector's own configuration says on homes and shells.

use std::fs;
use std::path::{Path, PathBuf};

use super::database::Database;
use super::homes::shares;
use crate::model::{Failure, FailureKind};

/// The home of an account that has none.
pub(super) const NO_HOME: &str = "/nonexistent";

/// Shells that let nobody in: allowed on every host.
const NO_LOGIN: [&str; 4] = [
    "/usr/sbin/nologin",
    "/sbin/nologin",
    "/usr/bin/false",
    "/bin/false",
];

/// The connector's own configuration, but for hashing.
#[derive(Clone, Debug)]
pub(super) struct Policy {
    connector: String,
    pub(super) prefix: PathBuf,
    pub(super) home_base: PathBuf,
    pub(super) create_home: bool,
    pub(super) remove_home: bool,
    /// Whether a new account's comment field names the call that made it.
    pub(super) marker: bool,
    pub(super) allowed_shells: Option<Vec<String>>,
}

impl Policy {
    pub(super) fn new(connector: &str, prefix: &Path) -> Self {
        Self {
            connector: connector.to_owned(),
            prefix: prefix.to_owned(),
            home_base: PathBuf::from("/home"),
            create_home: true,
            remove_home: false,
            marker: false,
            allowed_shells: None,
        }
    }

    /// The prefix in one spelling, whoever works under it: without links where it is there, and in
    /// any case without doubled slashes.
    pub(super) fn root(&self) -> String {
        let root = self.prefix.canonicalize();
        root.unwrap_or_else(|_| self.prefix.components().collect())
            .display()
            .to_string()
    }

    /// A home lies directly in the base, so that no folder above it belongs to anybody but the
    /// host; and it is nobody else's. `owner` is the account's own name.
    pub(super) fn check_home(
        &self,
        database: &Database,
        owner: &str,
        home: &str,
    ) -> Result<(), Failure> {
        if home == NO_HOME {
            return Ok(());
        }
        if !self.is_in_base(home) {
            return Err(self.refusal(
                "home_base",
                format!(
                    "`{home}` does not lie directly in {}",
                    self.home_base.display()
                ),
            ));
        }
        match shares(database, owner, home) {
            Some(other) if Path::new(&other.home) == Path::new(home) => Err(Failure::rejected(
                format!("`{home}` is the home directory of `{}` already", other.name),
            )),
            Some(other) => Err(Failure::rejected(format!(
                "`{home}` holds the home directory of `{}`",
                other.name
            ))),
            None => Ok(()),
        }
    }

    pub(super) fn is_in_base(&self, home: &str) -> bool {
        let Some(base) = self.home_base.to_str() else {
            return false;
        };
        let name = home
            .strip_prefix(base.trim_end_matches('/'))
            .and_then(|rest| rest.strip_prefix('/'));
        name.is_some_and(|name| {
            !name.is_empty()
                && name.len() <= 64
                && !name.starts_with(['.', '-'])
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        })
    }

    /// A shell that the host offers to everybody, or that lets nobody in.
    pub(super) fn check_shell(&self, shell: &str) -> Result<(), Failure> {
        let allowed = match &self.allowed_shells {
            Some(shells) => shells.iter().any(|allowed| allowed == shell),
            None => {
                NO_LOGIN.contains(&shell)
                    || fs::read_to_string(self.prefix.join("etc/shells")).is_ok_and(|text| {
                        text.lines()
                            .any(|line| line.starts_with('/') && line.trim() == shell)
                    })
            }
        };
        if allowed && shell.starts_with('/') && !shell.contains(':') {
            return Ok(());
        }
        let why = match &self.allowed_shells {
            Some(shells) => format!("`{shell}` is none of {}", shells.join(", ")),
            None => format!(
                "`{shell}` stands not in {}",
                self.prefix.join("etc/shells").display()
            ),
        };
        Err(self.refusal("allowed_shells", why))
    }

    /// Only root may change accounts; root of a user namespace may under a prefix.
    pub(super) fn check_privilege(&self) -> Result<(), Failure> {
        if rustix::process::geteuid().is_root() {
            return Ok(());
        }
        Err(Failure::unavailable(
            "the gateway does not run as root and so can read accounts but not change them: run it as root, or under a prefix as root of a user namespace (`unshare -r`)",
        ))
    }

    fn refusal(&self, key: &str, why: String) -> Failure {
        Failure::new(
            FailureKind::Refused,
            format!(
                "the gateway's configuration forbids this: {why} (see `{key}` of [connectors.{}])",
                self.connector
            ),
        )
    }
}
