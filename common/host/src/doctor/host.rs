//! What both programs ask of their host.

use super::{Diagnosis, system};

/// Installed patches are looked for at least so often, in days.
const PATCHES: u64 = 45;

/// Looks at the host that the program runs on.
pub fn examine_host(diagnosis: &mut Diagnosis) {
    clock(diagnosis);
    match system::swap() {
        Some(swap) if !swap.is_empty() => diagnosis.note(
            "swap",
            format!("memory may be swapped to {}", swap.join(", ")),
            "keys are never swapped out, but passwords on their way may be: encrypt swap, or switch it off (`swapoff -a`)",
        ),
        Some(_) => diagnosis.fine("swap", "there is none"),
        None => unknown(diagnosis, "swap"),
    }
    match system::core_pattern() {
        Some(pattern) => diagnosis.fine(
            "core dumps",
            format!("the programs forbid their own (others go to `{pattern}`)"),
        ),
        None => unknown(diagnosis, "core dumps"),
    }
    match system::patches_age() {
        Some(age) => diagnosis.age(
            "patches",
            "what was last installed on this host",
            age,
            PATCHES,
            "install the security patches of the operating system",
        ),
        None => unknown(diagnosis, "patches"),
    }
    if system::needs_restart() {
        diagnosis.warning(
            "restart",
            "patches are installed that hold from the next start of this host on",
            "restart it",
        );
    }
    match system::open_ports() {
        Some(ports) => diagnosis.fine(
            "ports",
            format!(
                "others reach these TCP ports of this host: {}",
                list(&ports)
            ),
        ),
        None => unknown(diagnosis, "ports"),
    }
}

fn clock(diagnosis: &mut Diagnosis) {
    match system::clock_synchronized() {
        Some(true) => diagnosis.fine("clock", "it is synchronized"),
        Some(false) => diagnosis.warning(
            "clock",
            "it is not synchronized: tokens, pairing and the audit log go by it",
            "run an NTP client (`systemctl enable --now systemd-timesyncd`, or chrony)",
        ),
        None => unknown(diagnosis, "clock"),
    }
}

fn unknown(diagnosis: &mut Diagnosis, check: &'static str) {
    diagnosis.note(check, "this system does not tell", "look by its own means");
}

fn list(ports: &[u16]) -> String {
    let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
    match ports.is_empty() {
        true => "none".to_owned(),
        false => ports.join(", "),
    }
}
