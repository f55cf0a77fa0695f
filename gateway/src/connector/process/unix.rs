//! A program and its children as a process group.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process_group};
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
