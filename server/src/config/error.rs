//! Why a configuration cannot be used, as its reader has to know it.

use std::fmt;
use std::io;
use std::path::PathBuf;

use portcullis_host::config::ConfigProblem;
use portcullis_host::text::printable;

/// Why the configuration cannot be used. Nothing was started.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something in it is wrong: all of it, in the order of the file.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Fault>),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1, and what stands there; `None`: values in several lines do not go together.
    pub line: Option<(u32, String)>,
    /// The key, dotted from the root; empty where several are meant.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl ConfigError {
    /// What was found in the `text` of a file.
    pub(super) fn of(problems: Vec<ConfigProblem>, text: &str) -> Self {
        let fault = |problem: ConfigProblem| Fault {
            line: problem.line.map(|line| (line, line_of(text, line))),
            path: problem.file,
            key: problem.key,
            message: problem.message,
        };
        Self::Invalid(problems.into_iter().map(fault).collect())
    }
}

fn line_of(text: &str, line: u32) -> String {
    let index = line.saturating_sub(1) as usize;
    let line = text.lines().nth(index).unwrap_or_default();
    printable(line.trim())
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some((line, text)) = &self.line {
            write!(f, ", line {line}, `{text}`")?;
            // The lines of a long list do not show the key.
            let name = self.key.rsplit('.').next().unwrap_or_default();
            if !text.contains(name) {
                write!(f, ": {}", self.key)?;
            }
        }
        write!(f, ": {}", self.message)
    }
}

/// One fault alone, or a heading and one a line.
struct Lines<'a>(&'a [Fault]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [fault] = self.0 {
            return fault.fmt(f);
        }
        f.write_str("the configuration is wrong; nothing was started or changed")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}
