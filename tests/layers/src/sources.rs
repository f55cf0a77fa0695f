//! The files that are read: Rust and manifests, from a folder or from memory.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Texts by their path below the workspace's root, with `/` between folders.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: BTreeMap<String, String>,
}

impl Sources {
    /// Reads every `*.rs` and `Cargo.toml` below a folder, but for hidden folders and what cargo
    /// has built.
    ///
    /// # Errors Where a folder or file cannot be read, or is not UTF-8; the error names it.
    pub fn read(root: &Path) -> io::Result<Self> {
        let mut sources = Self::default();
        sources.read_folder(root, "")?;
        Ok(sources)
    }

    fn read_folder(&mut self, root: &Path, folder: &str) -> io::Result<()> {
        let named = |error: io::Error, path: &str| {
            let path = root.join(path);
            io::Error::new(
                error.kind(),
                format!("cannot read {}: {error}", path.display()),
            )
        };
        let entries = fs::read_dir(root.join(folder)).map_err(|error| named(error, folder))?;
        for entry in entries {
            let entry = entry.map_err(|error| named(error, folder))?;
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            let path = join(folder, &name);
            let kind = entry.file_type().map_err(|error| named(error, &path))?;
            if kind.is_dir() {
                let built = name == "target" || entry.path().join("CACHEDIR.TAG").exists();
                if !name.starts_with('.') && !built {
                    self.read_folder(root, &path)?;
                }
            } else if name == "Cargo.toml" || name.ends_with(".rs") {
                let text = fs::read_to_string(entry.path()).map_err(|error| named(error, &path))?;
                self.files.insert(path, text);
            }
        }
        Ok(())
    }

    /// Adds a file, or replaces its text.
    pub fn put(&mut self, path: &str, text: impl Into<String>) {
        self.files.insert(path.to_owned(), text.into());
    }

    /// The text of a file.
    pub fn get(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// The paths of the files below a folder (the empty name: below the root), in order.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        self.files
            .keys()
            .map(String::as_str)
            .filter(move |path| strip_folder(path, folder).is_some())
    }
}

/// The path below a folder; `None` where it lies elsewhere.
pub fn strip_folder<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    if folder.is_empty() {
        return Some(path);
    }
    path.strip_prefix(folder)?.strip_prefix('/')
}

/// The path of `name` as seen from a folder, without `.` and `..` in it.
pub fn join(folder: &str, name: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in name.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
    }
    parts.join("/")
}

/// The folder in which a file lies.
pub fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_joined_without_dots() {
        assert_eq!(join("a/b", "../c.rs"), "a/c.rs");
        assert_eq!(join("", "./c.rs"), "c.rs");
        assert_eq!(folder_of("a/b/c.rs"), "a/b");
        assert_eq!(strip_folder("ab/c.rs", "a"), None);
    }
}
