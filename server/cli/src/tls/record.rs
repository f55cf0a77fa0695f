//! What an authority has issued and revoked: a file to which lines are added.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use portcullis_host::text;

use crate::error::CliError;

/// Bytes of the file: some hundred thousand certificates.
const LONGEST: u64 = 32 << 20;

/// One certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Issued {
    /// Its serial number, in hexadecimal digits.
    pub(super) serial: String,
    /// Until when it is valid, in seconds since 1970.
    pub(super) until_s: u64,
    /// For whom.
    pub(super) name: String,
    /// When it was revoked.
    pub(super) revoked_s: Option<u64>,
}

/// All that was issued, oldest first.
pub(super) fn read(path: &Path) -> Result<Vec<Issued>, CliError> {
    let broken = |what: String| CliError::File {
        action: "read",
        path: path.to_owned(),
        source: io::Error::new(io::ErrorKind::InvalidData, what),
    };
    let content = text::read_file(path, LONGEST).map_err(|error| broken(error.to_string()))?;
    let mut all: Vec<Issued> = Vec::new();
    for (index, line) in content.lines().enumerate() {
        let words: Vec<_> = line.split(' ').collect();
        let number = |word: &str| word.parse::<u64>().ok();
        let taken = match words.as_slice() {
            ["issued", serial, until, name] => number(until).map(|until_s| {
                all.push(Issued {
                    serial: (*serial).to_owned(),
                    until_s,
                    name: (*name).to_owned(),
                    revoked_s: None,
                });
            }),
            ["revoked", serial, at] => number(at).and_then(|at| {
                let mut known = all.iter_mut();
                let found = known.find(|issued| issued.serial == *serial)?;
                found.revoked_s = Some(at);
                Some(())
            }),
            _ => None,
        };
        taken.ok_or_else(|| broken(format!("line {} is none of its lines", index + 1)))?;
    }
    Ok(all)
}

/// Adds a line, durably.
pub(super) fn add(path: &Path, line: &str) -> Result<(), CliError> {
    let written = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| {
            file.write_all(format!("{line}\n").as_bytes())?;
            file.sync_all()
        });
    written.map_err(|source| CliError::File {
        action: "write",
        path: path.to_owned(),
        source,
    })
}
