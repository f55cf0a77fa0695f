//! Runs a program under limits: no shell, a clean environment, bounded time and output, nothing
//! left running.

#[cfg(unix)]
#[path = "unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "windows.rs"]
mod platform;
#[cfg(unix)]
mod strays;

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

use platform::Group;
pub(crate) use platform::{RunAs, how_it_ended};
#[cfg(unix)]
pub(crate) use strays::running_with;

/// What is run, and under which limits.
#[derive(Debug)]
pub(crate) struct Program<'a> {
    /// Its absolute path.
    pub(crate) path: &'a Path,
    /// Its arguments. Everybody on the host can read them: never a secret.
    pub(crate) arguments: &'a [OsString],
    /// All of its environment. Never a secret.
    pub(crate) environment: &'a [(&'a str, OsString)],
    /// Its working directory.
    pub(crate) folder: &'a Path,
    /// Its standard input, whole.
    pub(crate) input: &'a [u8],
    /// When it has to have ended.
    pub(crate) deadline: Instant,
    /// Bytes that it may write to standard output.
    pub(crate) max_output: usize,
    /// Whether it may have started processes that leave its group: they are looked for, among all
    /// that run on this host.
    pub(crate) may_stray: bool,
    /// Who it runs as; `None`: who this program runs as.
    pub(crate) user: Option<&'a RunAs>,
}

/// A program that ended by itself, within its limits. It has no `Debug`: its output may hold a
/// secret.
#[cfg(unix)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) output: Zeroizing<Vec<u8>>,
    /// The first [`MAX_ERRORS`] bytes of standard error, as text fit for a log.
    pub(crate) errors: String,
}

/// Why a program did not end by itself, within its limits.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    /// It never ran.
    #[error("cannot be started: {0}")]
    NotStarted(io::Error),
    /// It was killed because its time was up.
    #[error("did not end in time and was killed")]
    TimedOut,
    /// It was killed because it wrote too much.
    #[error("wrote more than {0} bytes and was killed")]
    Flooded(usize),
    /// Its pipes broke.
    #[error("could not be watched any longer and was killed: {0}")]
    Lost(io::Error),
}

/// What a program has written so far, however it ended. It has no `Debug`: it may hold a secret.
#[derive(Default)]
pub(crate) struct Heard {
    /// Standard output.
    pub(crate) output: Zeroizing<Vec<u8>>,
    /// The first [`MAX_ERRORS`] bytes of standard error.
    pub(crate) errors: Zeroizing<Vec<u8>>,
    /// There was more on standard error.
    pub(crate) errors_cut: bool,
}

/// Bytes of standard error that are kept; what goes beyond is read and dropped.
pub(crate) const MAX_ERRORS: usize = 8 * 1024;

/// How long the pipes may stay open after the program ended and what it left behind was killed.
const LINGER: Duration = Duration::from_secs(1);

/// Runs a program to its end, and kills whatever it left running.
#[cfg(unix)]
pub(crate) async fn run(program: &Program<'_>) -> Result<Finished, RunError> {
    let mut heard = Heard::default();
    let status = run_heard(program, &mut heard).await?;
    Ok(Finished {
        status,
        errors: printable(&heard.errors),
        output: heard.output,
    })
}

/// Runs a program to its end, and kills whatever it left running. Tells in `heard` what it wrote,
/// also where it did not end by itself.
pub(crate) async fn run_heard(
    program: &Program<'_>,
    heard: &mut Heard,
) -> Result<ExitStatus, RunError> {
    let mut command = Command::new(program.path);
    command
        .args(program.arguments)
        .env_clear()
        .envs(program.environment.iter().map(|(key, value)| (key, value)))
        .current_dir(program.folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mark = platform::prepare(&mut command, program.may_stray);
    if let Some(user) = program.user {
        user.prepare(&mut command);
    }
    let mut child = command.spawn().map_err(RunError::NotStarted)?;
    let group = match Group::of(&child, mark) {
        Ok(group) => group,
        Err(error) => {
            // On Windows it has run nothing yet; elsewhere it has been in its group since it began.
            let _ = child.kill().await;
            return Err(RunError::NotStarted(error));
        }
    };
    let result = timeout_at(program.deadline, watch(&mut child, &group, program, heard)).await;
    group.kill();
    // Reaps it: at once, since it has been killed.
    let _ = child.kill().await;
    result.unwrap_or(Err(RunError::TimedOut))
}

async fn watch(
    child: &mut Child,
    group: &Group,
    program: &Program<'_>,
    heard: &mut Heard,
) -> Result<ExitStatus, RunError> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(RunError::Lost(io::Error::other("a pipe is missing")));
    };
    let feeding = async {
        // A program that does not want its input may close it; that is its own affair.
        let _ = stdin.write_all(program.input).await;
        drop(stdin);
    };
    let reading = async {
        tokio::try_join!(
            read_capped(stdout, &mut heard.output, program.max_output),
            read_and_drop(stderr, &mut heard.errors, &mut heard.errors_cut),
        )
        .map(|_| ())
    };
    let mut talking = std::pin::pin!(async { tokio::join!(feeding, reading).1 });
    tokio::select! {
        result = &mut talking => {
            result?;
            child.wait().await.map_err(RunError::Lost)
        }
        status = child.wait() => {
            let status = status.map_err(RunError::Lost)?;
            // What it left running may hold the pipes open for ever.
            group.kill();
            if let Ok(result) = timeout(LINGER, talking).await {
                result?;
            }
            Ok(status)
        }
    }
}

async fn read_capped(
    mut from: impl AsyncRead + Unpin,
    to: &mut Vec<u8>,
    most: usize,
) -> Result<(), RunError> {
    let mut buffer = Zeroizing::new(vec![0; 8192]);
    loop {
        let count = from.read(&mut buffer).await.map_err(RunError::Lost)?;
        if count == 0 {
            return Ok(());
        }
        if to.len() + count > most {
            return Err(RunError::Flooded(most));
        }
        to.extend_from_slice(buffer.get(..count).unwrap_or_default());
    }
}

async fn read_and_drop(
    mut from: impl AsyncRead + Unpin,
    kept: &mut Vec<u8>,
    cut: &mut bool,
) -> Result<(), RunError> {
    let mut buffer = Zeroizing::new(vec![0; 4096]);
    loop {
        let count = from.read(&mut buffer).await.map_err(RunError::Lost)?;
        if count == 0 {
            return Ok(());
        }
        let room = MAX_ERRORS.saturating_sub(kept.len());
        *cut |= count > room;
        kept.extend_from_slice(buffer.get(..count.min(room)).unwrap_or_default());
    }
}

/// Text that can stand in a log and a message: one line, no control characters. A byte that is not
/// UTF-8 is written out, as `\xe4`.
pub(crate) fn printable(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            // Writing to a String does not fail.
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).collect::<String>())
        .map(|line| line.trim().to_owned())
        .filter(|line| !line.is_empty())
        .collect();
    lines.join("; ")
}
