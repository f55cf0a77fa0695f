//! What the check finds, as it is printed.

use std::fmt;

/// What is wrong about an import or a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A file or manifest cannot be read as what it is.
    Unreadable,
    /// A file is in no module.
    Orphan,
    /// A macro or an attribute hides what is imported.
    Hidden,
    /// An import from a crate that the manifest does not name.
    UnknownCrate,
    /// An import against the declared direction.
    Climb,
    /// An import that is declared in neither direction.
    Undeclared,
    /// Folders that import one another.
    Circle,
    /// A comment that is too wide, or a file without one that says what it is for.
    Comment,
    /// The arrows name what is not there, or leave out what is.
    Arrows,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The crate, by its short name; empty where it concerns none.
    pub package: String,
    /// Of which kind it is.
    pub kind: Kind,
    /// What is wrong, with file and line.
    pub text: String,
}

impl Finding {
    /// One thing that is wrong in a crate, or in none where that is empty.
    pub fn new(package: impl Into<String>, kind: Kind, text: impl Into<String>) -> Self {
        Self {
            package: package.into(),
            kind,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.package.is_empty() {
            write!(f, "{}: ", self.package)?;
        }
        f.write_str(&self.text)
    }
}
