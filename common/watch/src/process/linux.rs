//! As Linux has it in `/proc/self`.

use std::fs;

use super::Found;

pub(super) fn find() -> Found {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let open = fs::read_dir("/proc/self/fd").ok().map(Iterator::count);
    Found {
        // The unit is always kB, which means 1024 bytes.
        resident_bytes: word(&status, "VmRSS:").map(|kib: u64| kib * 1024),
        // The folder itself is open while it is counted.
        open_files: open.map(|open| open.saturating_sub(1) as u64),
        most_files: word(&limits, "Max open files"),
    }
}

/// The number that is the first word after `start` on its line.
fn word(text: &str, start: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(start))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_files_are_found() {
        let found = find();
        assert!(found.resident_bytes > Some(100_000), "{found:?}");
        assert!(found.open_files > Some(2), "{found:?}");
        assert!(found.most_files >= found.open_files, "{found:?}");
    }
}
