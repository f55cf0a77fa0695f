//! The ids that a host has for accounts and groups: `etc/login.defs` (login.defs(5)), and what
//! `etc/subuid` and `etc/subgid` (subuid(5)) give away.

use std::path::Path;

use super::files;
use super::text::shown;
use crate::model::{Failure, IdRange, IdRanges};

/// Reads them, as they are now.
pub(super) fn read(prefix: &Path) -> Result<IdRanges, Failure> {
    let defs = read_if_there(prefix, "etc/login.defs")?;
    let range = |first: &str, last: &str| {
        Some(IdRange {
            first: setting(&defs, first).unwrap_or(1000),
            last: setting(&defs, last).unwrap_or(60_000),
            source: format!(
                "{first} and {last} in {}",
                prefix.join("etc/login.defs").display()
            ),
        })
    };
    Ok(IdRanges {
        accounts: range("UID_MIN", "UID_MAX"),
        groups: range("GID_MIN", "GID_MAX"),
        given_to_accounts: given(prefix, "etc/subuid")?,
        given_to_groups: given(prefix, "etc/subgid")?,
    })
}

fn read_if_there(prefix: &Path, name: &str) -> Result<String, Failure> {
    Ok(shown(&files::read_if_there(prefix, name)?))
}

/// Without empty ones and comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines();
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The last line counts, as for the programs of shadow-utils, which read numbers as C writes them.
fn setting(defs: &str, name: &str) -> Option<u64> {
    let values = lines(defs).filter_map(|line| {
        let rest = line.trim_start().strip_prefix(name)?;
        let value = rest.strip_prefix([' ', '\t'])?;
        number(value.split_whitespace().next()?.trim_matches('"'))
    });
    values.last()
}

fn number(text: &str) -> Option<u64> {
    if let Some(hexadecimal) = text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        return u64::from_str_radix(hexadecimal, 16).ok();
    }
    match text.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        Some(octal) => u64::from_str_radix(octal, 8).ok(),
        None => text.parse().ok(),
    }
}

/// Ranges of ids that are given to somebody: `NAME:FIRST:COUNT`.
fn given(prefix: &Path, file: &str) -> Result<Vec<IdRange>, Failure> {
    let text = read_if_there(prefix, file)?;
    let range = |line: &str| {
        let mut fields = line.split(':');
        let (owner, first, count) = (fields.next()?, fields.next()?, fields.next()?);
        let (first, count): (u64, u64) = (first.trim().parse().ok()?, count.trim().parse().ok()?);
        Some(IdRange {
            first,
            last: first.checked_add(count.checked_sub(1)?)?,
            source: format!("{file} gives to `{owner}`"),
        })
    };
    Ok(lines(&text).filter_map(range).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hosts_own_ranges_are_read_as_its_programs_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc");
        std::fs::create_dir(&etc).unwrap();
        let ranges = read(folder.path()).unwrap();
        let bounds = |range: Option<IdRange>| range.map(|range| (range.first, range.last));
        assert_eq!(bounds(ranges.accounts), Some((1000, 60_000)));
        assert!(ranges.given_to_accounts.is_empty());

        let defs = "# UID_MIN 1\nUID_MIN\t\t 500\nUID_MAX 0x7d0\nUID_MAXIMUM 1\nGID_MIN 01750\nGID_MAX 2\nGID_MAX \"30000\"\nSUB_UID_MIN 7\n";
        std::fs::write(etc.join("login.defs"), defs).unwrap();
        std::fs::write(etc.join("subuid"), "ada:100000:65536\nbroken\neve:5:0\n").unwrap();
        std::fs::write(etc.join("subgid"), "1000:200000:1\n").unwrap();
        let ranges = read(folder.path()).unwrap();
        assert_eq!(bounds(ranges.accounts), Some((500, 2000)));
        assert_eq!(bounds(ranges.groups), Some((1000, 30_000)));
        let given = |ranges: &[IdRange]| -> Vec<_> {
            ranges
                .iter()
                .map(|range| (range.first, range.last))
                .collect()
        };
        assert_eq!(given(&ranges.given_to_accounts), [(100_000, 165_535)]);
        assert_eq!(given(&ranges.given_to_groups), [(200_000, 200_000)]);
    }
}
