//! Linux by its files; elsewhere on Unix most of it is not told.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// What users without privileges may still write.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    found.f_bavail.checked_mul(found.f_frsize)
}

/// Whose a folder is, and who looks.
pub(super) fn users(folder: &Path) -> Option<(u32, u32)> {
    let owner = fs::metadata(folder).ok()?.uid();
    Some((owner, crate::private_files::this_user()))
}

pub(super) fn user_name(user: u32) -> Option<String> {
    crate::users::name_of(user)
}

/// As systemd has it: its own client, or what `timedatectl` says of the kernel's clock.
pub(super) fn clock_synchronized() -> Option<bool> {
    if Path::new("/run/systemd/timesync/synchronized").exists() {
        return Some(true);
    }
    let mut command = Command::new("timedatectl");
    command.args(["show", "--property=NTPSynchronized", "--value"]);
    let said = command.stderr(Stdio::null()).output().ok()?;
    match String::from_utf8_lossy(&said.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// The devices and files in use.
pub(super) fn swap() -> Option<Vec<String>> {
    let text = fs::read_to_string("/proc/swaps").ok()?;
    let names = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_whitespace().next());
    Some(names.map(str::to_owned).collect())
}

pub(super) fn core_pattern() -> Option<String> {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").ok()?;
    Some(crate::text::printable(pattern.trim()))
}

/// When the package manager last changed its record.
pub(super) fn patches_age() -> Option<Duration> {
    let records = [
        "/var/lib/dpkg/status",
        "/var/lib/rpm/rpmdb.sqlite",
        "/usr/lib/sysimage/rpm/rpmdb.sqlite",
        "/lib/apk/db/installed",
    ];
    let times = records
        .iter()
        .filter_map(|path| fs::metadata(path).ok()?.modified().ok());
    times.max().map(age)
}

pub(super) fn needs_restart() -> bool {
    Path::new("/run/reboot-required").exists()
}

/// TCP ports on which somebody listens beyond loopback.
pub(super) fn open_ports() -> Option<Vec<u16>> {
    let mut ports = BTreeSet::new();
    let mut read = false;
    for file in ["/proc/net/tcp", "/proc/net/tcp6"] {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        read = true;
        ports.extend(text.lines().skip(1).filter_map(listening));
    }
    read.then(|| ports.into_iter().collect())
}

/// The port of a line of `/proc/net/tcp`, if it is one of a socket that listens for others.
fn listening(line: &str) -> Option<u16> {
    /// `TCP_LISTEN`.
    const LISTEN: &str = "0A";
    let mut words = line.split_whitespace().skip(1);
    let (local, state) = (words.next()?, words.nth(1)?);
    let (address, port) = local.rsplit_once(':')?;
    // The lowest byte of the first word in the order of this machine's memory.
    let first = match cfg!(target_endian = "little") {
        true => address.get(6..8)?,
        false => address.get(..2)?,
    };
    let loopback = match address.len() {
        8 => first == "7F",
        _ => {
            address == "00000000000000000000000001000000"
                || address == "00000000000000000000000000000001"
        }
    };
    (state == LISTEN && !loopback).then(|| u16::from_str_radix(port, 16).ok())?
}

/// The age of a time; of one to come, nothing.
fn age(time: std::time::SystemTime) -> Duration {
    time.elapsed().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_on_loopback_alone_is_not_reached() {
        let rows = [
            ("0: 00000000:243F 00000000:0000 0A 0", Some(9279)),
            ("1: 0100007F:2440 00000000:0000 0A 0", None),
            ("2: 0500000A:0016 00000000:0000 01 0", None),
            (
                "3: 00000000000000000000000000000000:0016 0:0 0A 0",
                Some(22),
            ),
            ("4: 00000000000000000000000001000000:0019 0:0 0A 0", None),
            ("no line", None),
        ];
        for (line, port) in rows {
            assert_eq!(listening(line), port, "{line}");
        }
    }
}
