//! Runs the programs of shadow-utils.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::time::Instant;

use crate::connector::process::{self, Program, RunError};
use crate::model::{Failure, FailureKind};

/// Where the programs are looked for, in this order; also their `PATH`.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Bytes that a program may write: they are to say little.
const MAX_OUTPUT: usize = 64 * 1024;

/// The programs that the connector uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tool {
    UserAdd,
    UserMod,
    UserDel,
    GroupAdd,
    GroupMod,
    GroupDel,
    ChPasswd,
    GPasswd,
}

impl Tool {
    pub(super) const ALL: [Self; 8] = [
        Self::UserAdd,
        Self::UserMod,
        Self::UserDel,
        Self::GroupAdd,
        Self::GroupMod,
        Self::GroupDel,
        Self::ChPasswd,
        Self::GPasswd,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::UserAdd => "useradd",
            Self::UserMod => "usermod",
            Self::UserDel => "userdel",
            Self::GroupAdd => "groupadd",
            Self::GroupMod => "groupmod",
            Self::GroupDel => "groupdel",
            Self::ChPasswd => "chpasswd",
            Self::GPasswd => "gpasswd",
        }
    }

    /// The option that makes it work under another folder than `/`. `--prefix` only moves the
    /// files; the two that lack it change their root, which takes privilege (of the host or of a
    /// user namespace).
    const fn prefix_option(self) -> &'static str {
        match self {
            Self::ChPasswd | Self::GPasswd => "--root",
            _ => "--prefix",
        }
    }

    /// What the exit code says, by the manual page of the program.
    fn kind_of(self, code: i32) -> FailureKind {
        match (self, code) {
            // The two password programs know only 0 and not 0.
            (Self::ChPasswd | Self::GPasswd, _) => FailureKind::Unavailable,
            (_, 3) => FailureKind::Invalid,
            (_, 4 | 9) => FailureKind::AlreadyExists,
            (_, 6) => FailureKind::NotFound,
            // In use, logged in, no home.
            (_, 8 | 12) => FailureKind::Rejected,
            (_, 2) => FailureKind::Internal,
            _ => FailureKind::Unavailable,
        }
    }
}

impl fmt::Display for Tool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum ToolError {
    /// It is not there, or it never ran. Nothing has changed.
    #[error("{0}")]
    NotRun(String),
    /// It ended with an error code.
    #[error("{tool} failed (exit code {code}): {message}")]
    Exited {
        tool: Tool,
        code: i32,
        message: String,
    },
    /// It was killed. What it did until then is unknown.
    #[error("{tool} {reason}")]
    Killed { tool: Tool, reason: String },
}

impl ToolError {
    /// The failure that this is, once it is known that nothing has changed.
    pub(super) fn into_failure(self) -> Failure {
        let kind = match &self {
            Self::NotRun(_) | Self::Killed { .. } => FailureKind::Unavailable,
            Self::Exited { tool, code, .. } => tool.kind_of(*code),
        };
        Failure::new(kind, self.to_string())
    }

    /// Whether the program ended before it wrote anything: its arguments were wrong, or names and
    /// ids were taken.
    pub(super) fn wrote_nothing(&self) -> bool {
        match self {
            Self::NotRun(_) => true,
            Self::Exited { code, message, .. } => {
                matches!(code, 2 | 3 | 4 | 6 | 9) || message.contains("cannot lock")
            }
            Self::Killed { .. } => false,
        }
    }
}

/// Finds and runs them, all under one prefix.
#[derive(Clone, Debug)]
pub(super) struct Tools {
    prefix: Arc<Path>,
    folders: Arc<[PathBuf]>,
}

impl Tools {
    pub(super) fn new(prefix: &Path) -> Self {
        Self {
            prefix: prefix.into(),
            folders: FOLDERS.iter().map(PathBuf::from).collect(),
        }
    }

    /// Looks for the programs elsewhere, for the tests of what happens when one fails.
    #[cfg(test)]
    pub(super) fn with_folder(mut self, folder: &Path) -> Self {
        self.folders = std::iter::once(folder.to_owned())
            .chain(self.folders.iter().cloned())
            .collect();
        self
    }

    /// Those that are not installed.
    pub(super) fn missing(&self) -> Vec<Tool> {
        Tool::ALL
            .into_iter()
            .filter(|tool| self.find(*tool).is_none())
            .collect()
    }

    /// Runs one to its end. `arguments` hold no secret; `input` may.
    pub(super) async fn run(
        &self,
        tool: Tool,
        arguments: &[&str],
        input: &[u8],
        deadline: Instant,
    ) -> Result<(), ToolError> {
        let path = self.find(tool).ok_or_else(|| {
            ToolError::NotRun(format!(
                "{tool} is not installed: install shadow-utils (Debian and Ubuntu: the package `passwd`)"
            ))
        })?;
        let mut all: Vec<OsString> = Vec::new();
        if &*self.prefix != Path::new("/") {
            all.push(tool.prefix_option().into());
            all.push(self.prefix.as_os_str().to_owned());
        }
        all.extend(arguments.iter().map(OsString::from));
        let environment = [
            ("LC_ALL", "C".into()),
            ("PATH", FOLDERS.join(":").into()),
            ("TZ", "UTC0".into()),
        ];
        let program = Program {
            path: &path,
            arguments: &all,
            environment: &environment,
            folder: Path::new("/"),
            input,
            deadline,
            max_output: MAX_OUTPUT,
        };
        let finished = process::run(&program).await.map_err(|error| match error {
            RunError::NotStarted(_) => ToolError::NotRun(format!("{} {error}", path.display())),
            _ => ToolError::Killed {
                tool,
                reason: error.to_string(),
            },
        })?;
        match finished.status.code() {
            Some(0) => {
                if !finished.errors.is_empty() {
                    tracing::debug!(%tool, said = finished.errors, "a tool had something to say");
                }
                Ok(())
            }
            Some(code) => Err(ToolError::Exited {
                tool,
                code,
                message: without_prefix(&finished.errors, tool),
            }),
            None => Err(ToolError::Killed {
                tool,
                reason: format!("was ended by a signal ({})", finished.status),
            }),
        }
    }

    fn find(&self, tool: Tool) -> Option<PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join(tool.name()))
            .find(|path| {
                path.metadata()
                    .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
            })
    }
}

/// The program's own words, without its name in front.
fn without_prefix(errors: &str, tool: Tool) -> String {
    let said = errors
        .strip_prefix(tool.name())
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(errors);
    if said.is_empty() {
        "it did not say why".to_owned()
    } else {
        said.chars().take(500).collect()
    }
}
