//! A program and its children as a process group.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_host::users::{self, User};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use tokio::process::{Child, Command};

use super::strays::Mark;

/// The process group of one program. To drop it kills what still runs in it.
#[derive(Debug)]
pub(super) struct Group {
    leader: Pid,
    /// By which those are known that left the group.
    mark: Option<Mark>,
    /// Once is enough; later the number may be that of somebody else's group.
    killed: AtomicBool,
}

/// Has the program lead a process group of its own, and mark what it starts.
pub(super) fn prepare(command: &mut Command, may_stray: bool) -> Option<Mark> {
    command.process_group(0);
    let mark = may_stray.then(Mark::new);
    command.envs(mark.iter().map(Mark::variable));
    mark
}

/// CAP_KILL, CAP_SETGID and CAP_SETUID, as capabilities(7) numbers them.
const RIGHTS: u64 = 1 << 5 | 1 << 6 | 1 << 7;

/// Another user than this program's own, whom a program runs as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunAs {
    name: String,
    user: User,
}

impl RunAs {
    /// The user of this name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        let user = users::find(name)?;
        Ok(Self {
            name: name.to_owned(),
            user,
        })
    }

    /// Why no program can be run as this user.
    pub(crate) fn fault(&self) -> Option<String> {
        let own = geteuid().as_raw();
        if self.user.uid == own || has_rights() {
            return None;
        }
        Some(format!(
            "the scripts are to run as `{}`, and this process runs as user {own} without the right to change that: run it as that user, or give its unit CAP_SETUID, CAP_SETGID and CAP_KILL",
            self.name
        ))
    }

    /// Has a program run as this user, with its first group alone.
    pub(super) fn prepare(&self, command: &mut Command) {
        if self.user.uid != geteuid().as_raw() {
            // The library drops all other groups of a process that is root's.
            command.gid(self.user.gid).uid(self.user.uid);
        }
    }
}

/// Whether this process may become another user, and kill that one's processes.
fn has_rights() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let held = line.and_then(|line| u64::from_str_radix(line.trim(), 16).ok());
    held.is_some_and(|held| held & RIGHTS == RIGHTS)
}

/// How a program ended, in words that follow its name. signal(7).
pub(crate) fn how_it_ended(status: ExitStatus) -> String {
    if let Some(code) = status.code() {
        return format!("ended with exit code {code}");
    }
    let signal = status.signal().unwrap_or_default();
    let name = match signal {
        1 => " (HUP)",
        2 => " (INT)",
        3 => " (QUIT)",
        4 => " (ILL: an instruction that this processor does not have)",
        6 => " (ABRT)",
        7 => " (BUS)",
        8 => " (FPE)",
        9 => " (KILL: somebody killed it, or the system did because memory ran out)",
        11 => " (SEGV: a fault in its program)",
        13 => " (PIPE)",
        14 => " (ALRM)",
        15 => " (TERM)",
        24 => " (XCPU: its limit of processor time)",
        25 => " (XFSZ: its limit of the size of a file)",
        31 => " (SYS: a system call that is forbidden to it)",
        _ => "",
    };
    format!("was ended by signal {signal}{name}")
}

impl Group {
    /// The group that `child` leads.
    pub(super) fn of(child: &Child, mark: Option<Mark>) -> io::Result<Self> {
        child
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw)
            .map(|leader| Self {
                leader,
                mark,
                killed: AtomicBool::new(false),
            })
            .ok_or_else(|| io::Error::other("it has no process id"))
    }

    /// Kills whatever of it still runs, and what has left the group, as far as it is found.
    pub(super) fn kill(&self) {
        if !self.killed.swap(true, Ordering::Relaxed) {
            // First: who is whose child is known while the parent runs.
            if let Some(mark) = &self.mark {
                mark.kill_all(self.leader);
            }
            // Fails only where nothing of the group runs any more.
            let _ = kill_process_group(self.leader, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}
