//! Runs the programs of shadow-utils.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::exit_codes::Meaning;
use super::obstacle;
use crate::connector::process::{self, Program, RunError, printable};
use crate::model::{Failure, FailureKind};

/// Where the programs are looked for, in this order; also their `PATH`.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// The variable that names the root which a program works under, so that it is found by it.
const ROOT: &str = "PORTCULLIS_ROOT";

/// How often it is looked whether a program has ended that is nobody's child any more.
const POLL: Duration = Duration::from_millis(50);

/// Bytes that a program may write: they are to say little.
const MAX_OUTPUT: usize = 64 * 1024;

/// Letters of what a program says that stand in a message.
const MAX_SAID: usize = 1000;

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
    /// It could not lock or open the account files, and so wrote nothing.
    #[error("{tool}: {said}{}", .cause.as_ref().map(|cause| format!(". {}", cause.message)).unwrap_or_default())]
    Locked {
        tool: Tool,
        said: String,
        /// What was found to be in the way.
        cause: Option<Failure>,
    },
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
            Self::Locked { cause, .. } => cause
                .as_ref()
                .map_or(FailureKind::Unavailable, |cause| cause.kind),
            Self::Exited {
                tool,
                code,
                message,
            } => Meaning::of(*tool, *code).kind(*tool, message),
        };
        Failure::new(kind, self.to_string())
    }

    /// Whether the program ended before it wrote anything: it got no lock, its arguments were
    /// wrong, or names and ids were taken.
    pub(super) fn wrote_nothing(&self) -> bool {
        match self {
            Self::NotRun(_) | Self::Locked { .. } => true,
            Self::Exited { tool, code, .. } => Meaning::of(*tool, *code).wrote_nothing(),
            Self::Killed { .. } => false,
        }
    }

    /// Whether the program does not know an option that newer ones have.
    pub(super) fn is_usage(&self) -> bool {
        matches!(self, Self::Exited { tool, code, .. } if Meaning::of(*tool, *code) == Meaning::Usage)
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

    /// Waits for the programs that a gateway had started here and that outlived it: they may wait
    /// for a lock, and still change something. No other call may run one meanwhile.
    pub(super) async fn former_ended(&self, deadline: Instant) -> Result<(), Failure> {
        loop {
            let root = self.prefix.display().to_string();
            let running = super::blocking(move || Ok(process::running_with(ROOT, &root))).await?;
            let Some(pid) = running.first() else {
                return Ok(());
            };
            if Instant::now() + 2 * POLL > deadline {
                return Err(Failure::unavailable(format!(
                    "process {}, which an earlier run of the gateway started to change the account files, has not ended",
                    pid.as_raw_nonzero()
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Runs one to its end; answers what it had to say all the same. `arguments` hold no secret;
    /// `input` may.
    ///
    /// Under another folder than `/` it runs with that as its root. The option `--prefix` would
    /// not do: usermod before 4.14 looks groups up in the host's own files (shadow #691), and all
    /// of them take the host's lock in place of the folder's.
    pub(super) async fn run(
        &self,
        tool: Tool,
        arguments: &[impl AsRef<OsStr>],
        input: &[u8],
        deadline: Instant,
    ) -> Result<String, ToolError> {
        let path = self.find(tool).ok_or_else(|| {
            ToolError::NotRun(format!(
                "{tool} is not installed: install shadow-utils (Debian and Ubuntu: the package `passwd`)"
            ))
        })?;
        let mut all: Vec<OsString> = Vec::new();
        if &*self.prefix != Path::new("/") {
            all.push("--root".into());
            all.push(self.prefix.as_os_str().to_owned());
        }
        all.extend(arguments.iter().map(|one| one.as_ref().to_owned()));
        let environment = [
            ("LC_ALL", "C".into()),
            ("PATH", FOLDERS.join(":").into()),
            ("TZ", "UTC0".into()),
            (ROOT, self.prefix.as_os_str().to_owned()),
        ];
        let program = Program {
            path: &path,
            arguments: &all,
            environment: &environment,
            folder: Path::new("/"),
            input,
            deadline,
            max_output: MAX_OUTPUT,
            may_stray: false,
            user: None,
        };
        let finished = process::run(&program).await.map_err(|error| match error {
            RunError::NotStarted(_) => ToolError::NotRun(format!("{} {error}", path.display())),
            _ => ToolError::Killed {
                tool,
                reason: error.to_string(),
            },
        })?;
        let said = said(tool, &finished.errors, &finished.output, input);
        self.judge(tool, finished.status, said)
    }

    /// What a program came to that ended so, and said that.
    fn judge(&self, tool: Tool, status: ExitStatus, said: String) -> Result<String, ToolError> {
        match status.code() {
            Some(0) => {
                if !said.is_empty() {
                    tracing::info!(%tool, said, "a tool had something to say");
                }
                Ok(said)
            }
            // All files are locked and opened before the first is written.
            Some(_) if said.contains("cannot lock ") || said.contains("cannot open ") => {
                Err(ToolError::Locked {
                    tool,
                    said,
                    cause: obstacle::find(&self.prefix),
                })
            }
            Some(code) => Err(ToolError::Exited {
                tool,
                code,
                message: match said.as_str() {
                    "" => "it did not say why".to_owned(),
                    _ => said,
                },
            }),
            None => Err(ToolError::Killed {
                tool,
                reason: format!("was ended by a signal ({})", status),
            }),
        }
    }

    fn find(&self, tool: Tool) -> Option<PathBuf> {
        self.folders
            .iter()
            .map(|folder| folder.join(tool.name()))
            // Asks the kernel, which also knows a file system that runs nothing (`noexec`).
            .find(|path| path.is_file() && access(path, Access::EXEC_OK).is_ok())
    }
}

/// All that a program said, without its name in front of each line, without the secret that it
/// was given, and without what it misses in a root of a few files only.
fn said(tool: Tool, errors: &str, output: &[u8], input: &[u8]) -> String {
    let output = printable(output);
    let secret = Zeroizing::new(String::from_utf8_lossy(input).into_owned());
    let secret = secret.split_once(':').map(|(_, secret)| secret.trim_end());
    let start = format!("{tool}: ");
    let lines: Vec<_> = [errors, &output]
        .into_iter()
        .flat_map(|text| text.split("; "))
        .filter(|line| !line.is_empty() && !is_noise(line))
        .map(|line| line.strip_prefix(&start).unwrap_or(line))
        .collect();
    let said = lines.join("; ");
    let said = match secret {
        Some(secret) if !secret.is_empty() => said.replace(secret, "[secret]"),
        _ => said,
    };
    said.chars().take(MAX_SAID).collect()
}

/// What userdel says where there is no mail box to remove, and no /proc to look for processes in.
fn is_noise(line: &str) -> bool {
    line.starts_with("opendir /proc:")
        || line.contains(" mail spool (") && line.ends_with("not found")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_says_is_kept_but_for_its_secret() {
        let errors = "chpasswd: line 1: bad hash $6$abc; chpasswd: error detected";
        assert_eq!(
            said(Tool::ChPasswd, errors, b"and\nthis\n", b"ada:$6$abc\n"),
            "line 1: bad hash [secret]; error detected; and; this"
        );
        let noise = "opendir /proc: No such file or directory; userdel: ada kept";
        assert_eq!(said(Tool::UserDel, noise, b"", b""), "ada kept");
        assert_eq!(said(Tool::UserDel, "", b"", b""), "");
        assert_eq!(
            said(Tool::UserDel, &"x".repeat(9000), b"", b"").len(),
            MAX_SAID
        );
    }
}
