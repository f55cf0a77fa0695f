//! Processes that a program left behind and that are in its process group no more, as a daemon does
//! by `setsid`.
//!
//! Each program has an own [`Mark`] in its environment, which its children inherit. A process that
//! bears the mark is the program's, whoever is its parent by then; so is the child of one that is
//! (proc(5), `/proc/PID/environ` and `/proc/PID/stat`). What took the mark away from itself is
//! found only while its parent still runs.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

/// The variable that holds the mark.
const VARIABLE: &str = "PORTCULLIS_RUN";
/// Looks at all processes, at most: who makes new ones faster than they are killed is beyond this.
const MAX_LOOKS: usize = 16;

/// What tells the processes of one program from all others.
#[derive(Clone, Debug)]
pub(super) struct Mark(String);

impl Mark {
    /// Of a program about to be started.
    pub(super) fn new() -> Self {
        Self(format!("{:032x}", rand::random::<u128>()))
    }

    /// The variable to put into its environment.
    pub(super) fn variable(&self) -> (&'static str, &str) {
        (VARIABLE, &self.0)
    }

    /// Kills all that bear the mark, and the children of `leader` and of those, until there is
    /// none.
    pub(super) fn kill_all(&self, leader: Pid) {
        let mut killed = HashSet::new();
        for _ in 0..MAX_LOOKS {
            let found = self.find(leader);
            let mut new = false;
            for pid in found {
                // One that is there still was killed a moment ago, or is not to be killed by us.
                if killed.insert(pid) {
                    new = true;
                    // Fails only where it has ended meanwhile, or is another user's.
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            if !new {
                return;
            }
        }
    }

    fn find(&self, leader: Pid) -> HashSet<Pid> {
        let all = processes();
        let entry = format!("{VARIABLE}={}", self.0);
        let mut ours: HashSet<Pid> = all
            .iter()
            .filter(|(pid, _)| bears(*pid, entry.as_bytes()))
            .map(|(pid, _)| *pid)
            .collect();
        loop {
            let before = ours.len();
            for (pid, parent) in &all {
                if parent.is_some_and(|parent| parent == leader || ours.contains(&parent)) {
                    ours.insert(*pid);
                }
            }
            if ours.len() == before {
                break;
            }
        }
        // It is reaped by who started it.
        ours.remove(&leader);
        ours
    }
}

/// The processes that have this variable in their environment, with this value.
pub(crate) fn running_with(variable: &str, value: &str) -> Vec<Pid> {
    let entry = format!("{variable}={value}");
    let pids = processes().into_iter().map(|(pid, _)| pid);
    pids.filter(|pid| bears(*pid, entry.as_bytes())).collect()
}

/// All processes with their parents.
fn processes() -> Vec<(Pid, Option<Pid>)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| {
            let number = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let pid = Pid::from_raw(number)?;
            Some((pid, parent(pid)))
        })
        .collect()
}

/// The fourth field of `stat`; the second, in parentheses, may hold anything.
fn parent(pid: Pid) -> Option<Pid> {
    let stat = fs::read(file(pid, "stat")).ok()?;
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    Pid::from_raw(rest.split_ascii_whitespace().nth(1)?.parse().ok()?)
}

fn bears(pid: Pid, entry: &[u8]) -> bool {
    let environment = fs::read(file(pid, "environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|it| it == entry)
}

fn file(pid: Pid, name: &str) -> std::path::PathBuf {
    Path::new("/proc")
        .join(pid.as_raw_nonzero().to_string())
        .join(name)
}
