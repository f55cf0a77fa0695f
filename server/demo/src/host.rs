//! What the demonstration needs of the host: the account tools, and the right to use them in a
//! scratch root.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::DemoError;

const TOOLS: [&str; 4] = ["useradd", "usermod", "userdel", "groupadd"];
const TOOL_FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// How the gateway is started so that it may change accounts in its scratch root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privilege {
    /// As root.
    Root,
    /// As an ordinary user, root in a user namespace of its own.
    UserNamespace,
}

impl Privilege {
    /// Finds out, or says what is missing.
    pub(super) fn of_this_host() -> Result<Self, DemoError> {
        if let Some(missing) = TOOLS.into_iter().find(|tool| find(tool).is_none()) {
            return Err(DemoError::Host(format!(
                "this host has no {missing}: the demonstration makes real accounts (in a scratch folder) with the \
                 shadow utilities; install them (Debian: `apt-get install passwd`, Fedora: `dnf install shadow-utils`)"
            )));
        }
        if rustix::process::geteuid().is_root() {
            return Ok(Self::Root);
        }
        let works = find("unshare").is_some_and(|unshare| {
            Command::new(unshare)
                .args(["--map-root-user", "true"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success())
        });
        if works {
            return Ok(Self::UserNamespace);
        }
        Err(DemoError::Host(
            "an ordinary user needs `unshare` (package util-linux) and user namespaces for this demonstration, and \
             `unshare --map-root-user true` fails here: run it as root, or allow user namespaces (sysctl \
             kernel.unprivileged_userns_clone=1, and on Ubuntu kernel.apparmor_restrict_unprivileged_userns=0)"
                .to_owned(),
        ))
    }

    /// The command that runs `program` with this privilege.
    pub(super) fn command(self, program: &Path) -> Command {
        match (self, find("unshare")) {
            (Self::UserNamespace, Some(unshare)) => {
                let mut command = Command::new(unshare);
                command.arg("--map-root-user").arg("--").arg(program);
                command
            }
            _ => Command::new(program),
        }
    }
}

fn find(tool: &str) -> Option<PathBuf> {
    TOOL_FOLDERS
        .iter()
        .map(|folder| Path::new(folder).join(tool))
        .find(|path| path.is_file())
}
