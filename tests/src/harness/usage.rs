//! What a process takes of the machine, as `/proc` tells it.

use std::fs;
use std::time::Duration;

use super::OrFail as _;

/// Memory of a process that is in use now, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub resident: u64,
    /// The same, where what it shares with other processes is shared out among them.
    pub proportional: u64,
    /// What is its own: the heap and the stacks.
    pub anonymous: u64,
    /// What is locked in memory.
    pub locked: u64,
}

impl Memory {
    /// Of a process.
    pub fn of(pid: u32) -> Self {
        let rollup = read(pid, "smaps_rollup");
        let of = |field| kib(&rollup, field);
        Self {
            resident: of("Rss:"),
            proportional: of("Pss:"),
            anonymous: of("Anonymous:"),
            locked: of("Locked:"),
        }
    }
}

/// Bytes of a process in memory.
pub fn resident(pid: u32) -> u64 {
    kib(&read(pid, "status"), "VmRSS:")
}

/// Bytes of a process that are locked in memory.
pub fn locked(pid: u32) -> u64 {
    kib(&read(pid, "status"), "VmLck:")
}

/// The most bytes that a process had in memory at any time. `None`: it is gone.
pub fn peak(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    // Of a process that has ended, and was not waited for, the fields are not there.
    status.contains("VmHWM:").then(|| kib(&status, "VmHWM:"))
}

/// Processor time that a process has used, in the system's ticks of 10 ms.
pub fn processor_time(pid: u32) -> Duration {
    times(pid, 11)
}

/// Processor time of the processes that this one has started and waited for.
pub fn processor_time_of_ended() -> Duration {
    times(std::process::id(), 13)
}

/// The name before may hold blanks; after it, user and system time are the 12th and 13th, those of
/// children the two that follow.
fn times(pid: u32, before: usize) -> Duration {
    let stat = read(pid, "stat");
    let (_, fields) = stat.rsplit_once(')').or_fail("name of the process");
    let times = fields.split_whitespace().skip(before).take(2);
    let ticks: u64 = times.filter_map(|time| time.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Threads of a process.
pub fn threads(pid: u32) -> u64 {
    let status = read(pid, "status");
    field(&status, "Threads:").or_fail("number of threads")
}

fn read(pid: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{file}")).or_fail(format!("read {file} of {pid}"))
}

fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.strip_prefix(name))?;
    value.split_whitespace().next()?.parse().ok()
}

fn kib(text: &str, name: &str) -> u64 {
    field(text, name).or_fail(name) * 1024
}

#[test]
fn of_this_process_something_is_known() {
    let own = std::process::id();
    let memory = Memory::of(own);
    assert!(memory.resident >= memory.proportional && memory.resident >= memory.anonymous);
    assert!(memory.anonymous > 0 && threads(own) > 0);
    assert!(peak(own).unwrap() >= memory.anonymous);
}
