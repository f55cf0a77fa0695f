//! Systems that are not asked.

use std::path::Path;
use std::time::Duration;

pub(super) fn free_bytes(_: &Path) -> Option<u64> {
    None
}

pub(super) fn users(_: &Path) -> Option<(u32, u32)> {
    None
}

pub(super) fn user_name(_: u32) -> Option<String> {
    None
}

pub(super) fn clock_synchronized() -> Option<bool> {
    None
}

pub(super) fn swap() -> Option<Vec<String>> {
    None
}

pub(super) fn core_pattern() -> Option<String> {
    None
}

pub(super) fn patches_age() -> Option<Duration> {
    None
}

pub(super) fn needs_restart() -> bool {
    false
}

pub(super) fn open_ports() -> Option<Vec<u16>> {
    None
}
