//! Searches files for secrets in the clear.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use aho_corasick::AhoCorasick;

/// Shorter ones are found by chance.
const MIN_LEN: usize = 12;

/// Secrets that no file may hold, each with what it is.
#[derive(Default)]
pub(super) struct Needles {
    known: BTreeMap<Vec<u8>, String>,
}

impl Needles {
    /// Remembers a secret, as it is and in hexadecimal.
    pub(super) fn add(&mut self, secret: &[u8], what: impl FnOnce() -> String) {
        if secret.len() < MIN_LEN || self.known.contains_key(secret) {
            return;
        }
        let what = what();
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        self.known
            .insert(hex.into_bytes(), format!("{what}, in hexadecimal"));
        self.known.insert(secret.to_vec(), what);
    }

    /// Remembers bytes that need not be secret, as they are.
    pub(super) fn add_as_is(&mut self, bytes: &[u8], what: &str) {
        self.known.insert(bytes.to_vec(), what.to_owned());
    }

    /// The first secret that a file below `folders` holds: what it is, and where. Files whose name
    /// begins with `but` are left out.
    pub(super) fn find(
        &self,
        folders: &[&Path],
        but: Option<&str>,
    ) -> Result<Option<String>, String> {
        let known: Vec<_> = self.known.iter().collect();
        let search = AhoCorasick::new(known.iter().map(|(bytes, _)| bytes))
            .map_err(|error| format!("the search cannot be built: {error}"))?;
        for path in files(folders)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if but.is_some_and(|but| name.starts_with(but)) {
                continue;
            }
            let content = read(&path)?;
            if let Some(found) = search.find(&content) {
                let what = known.get(found.pattern().as_usize());
                let what = what.map_or("a secret", |(_, what)| what);
                return Ok(Some(format!("{what} lies in {}", path.display())));
            }
        }
        Ok(None)
    }
}

/// Whether a file below `folders` holds these bytes.
pub(super) fn holds(folders: &[&Path], bytes: &[u8]) -> Result<bool, String> {
    let mut needles = Needles::default();
    needles.add_as_is(bytes, "");
    Ok(needles.find(folders, None)?.is_some())
}

fn files(folders: &[&Path]) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut waiting: Vec<_> = folders.iter().map(|path| path.to_path_buf()).collect();
    while let Some(folder) = waiting.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
        for entry in entries {
            let path = entry.map_err(|error| unreadable(&folder, &error))?.path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}
