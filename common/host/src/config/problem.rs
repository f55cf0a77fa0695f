//! What is wrong with a configuration file, as its reader has to know it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::text::printable;

/// One thing that is wrong: where, which key, and what is allowed instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigProblem {
    /// The configuration file.
    pub file: PathBuf,
    /// The line, from 1; `None` where the file as a whole is meant.
    pub line: Option<u32>,
    /// The key, dotted from the root (`listen.address`); empty where the file as a whole is meant.
    pub key: String,
    /// What is wrong and what is allowed.
    pub message: String,
}

impl fmt::Display for ConfigProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Collects the problems of one file, so that all are reported at once.
#[derive(Debug)]
pub struct Problems {
    file: PathBuf,
    found: Mutex<Vec<ConfigProblem>>,
}

impl Problems {
    /// None yet, of `file`.
    pub fn new(file: &Path) -> Self {
        Self {
            file: file.to_owned(),
            found: Mutex::default(),
        }
    }

    /// The configuration file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Adds one.
    pub fn add(
        &self,
        line: impl Into<Option<u32>>,
        key: impl Into<String>,
        message: impl Into<String>,
    ) {
        // Keys and values stand in them as they are in the file: they are not to steer a terminal.
        let problem = ConfigProblem {
            file: self.file.clone(),
            line: line.into(),
            key: printable(&key.into()),
            message: printable(&message.into()),
        };
        self.lock().push(problem);
    }

    /// Adds those of `others` that are not there yet.
    pub fn join(&self, others: Vec<ConfigProblem>) {
        let mut found = self.lock();
        for other in others {
            if !found.contains(&other) {
                found.push(other);
            }
        }
    }

    /// Whether anything was found.
    pub fn any(&self) -> bool {
        !self.lock().is_empty()
    }

    /// Whether nothing was found wrong with the value of `key`, dotted from the root.
    pub fn none_of(&self, key: &str) -> bool {
        self.lock().iter().all(|problem| problem.key != key)
    }

    /// All that were found, in the order of the file.
    pub fn into_vec(self) -> Vec<ConfigProblem> {
        let mut found = self
            .found
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        found.sort_by_key(|problem| problem.line);
        found
    }

    fn lock(&self) -> MutexGuard<'_, Vec<ConfigProblem>> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
