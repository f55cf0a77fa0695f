//! What came of each of many gateways, as it is shown and listed.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::{Value, json};

use crate::error::CliError;
use crate::time::{rfc3339, time_and_age};
use crate::view::{Listed, View};

/// What came of one of them.
pub(super) struct Made {
    pub(super) name: String,
    pub(super) bundle: PathBuf,
    pub(super) token_file: PathBuf,
    /// It is reached through TLS alone, and its bundle has none.
    pub(super) lacks_tls: bool,
    pub(super) came: Came,
}

pub(super) enum Came {
    Added {
        gateway_id: String,
        address: String,
        expires: i64,
    },
    Present {
        gateway_id: String,
        address: String,
        token_is_here: bool,
    },
    Failed(String),
}

impl Made {
    pub(super) const fn failed(&self) -> bool {
        matches!(self.came, Came::Failed(_))
    }

    /// What came of it: a word, and what is to be known besides.
    fn result(&self) -> (&'static str, String) {
        let (word, token) = match &self.came {
            Came::Added { .. } => ("added", None),
            Came::Present { token_is_here, .. } if *token_is_here => ("present", None),
            Came::Present { .. } => (
                "present",
                Some(format!(
                    "its token is not here: where it is lost, `portcullis gateway token {} --token-file {}` makes another",
                    self.name,
                    self.token_file.display()
                )),
            ),
            Came::Failed(why) => return ("FAILED", why.clone()),
        };
        let tls = self.lacks_tls.then(|| {
            "it is reached through TLS alone, and its bundle has no [tls]: add one, or it gets no link".to_owned()
        });
        let notes: Vec<_> = token.into_iter().chain(tls).collect();
        (word, notes.join("; "))
    }

    /// Its id and address, the file with its token, and until when that is valid in milliseconds
    /// since 1970.
    fn registered(&self) -> (&str, &str, Option<&Path>, i64) {
        match &self.came {
            Came::Added {
                gateway_id,
                address,
                expires,
            } => (gateway_id, address, Some(&self.token_file), *expires),
            Came::Present {
                gateway_id,
                address,
                token_is_here,
            } => {
                let file = token_is_here.then_some(self.token_file.as_path());
                (gateway_id, address, file, 0)
            }
            Came::Failed(_) => ("", "", None, 0),
        }
    }
}

impl Listed for Made {
    const NONE: &'static str = "no gateway was asked for";
    const HEADING: &'static [&'static str] = &[
        "gateway",
        "result",
        "bundle",
        "token",
        "valid until",
        "note",
    ];

    fn row(&self, now: SystemTime) -> Vec<String> {
        let (word, note) = self.result();
        let (_, _, token_file, expires) = self.registered();
        vec![
            self.name.clone(),
            word.to_owned(),
            self.bundle.display().to_string(),
            token_file.map_or_else(String::new, |path| path.display().to_string()),
            time_and_age(expires, now).unwrap_or_default(),
            note,
        ]
    }
}

impl View for Made {
    fn table(&self, now: SystemTime) -> String {
        self.row(now).join("  ")
    }

    fn json(&self) -> Value {
        let (word, note) = self.result();
        let (id, address, token_file, expires) = self.registered();
        json!({
            "gateway": self.name,
            "result": word.to_lowercase(),
            "note": note,
            "gateway_id": id,
            "address": address,
            "bundle": self.bundle.to_string_lossy(),
            "token_file": token_file.map(|path| path.to_string_lossy()),
            "token_expires": rfc3339(expires),
        })
    }
}

/// The list for other programs, in place of that of an earlier run. It names tokens' files, and
/// holds no token.
pub(super) fn write_list(path: &Path, made: &[Made]) -> Result<(), CliError> {
    let written = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        let mut csv = csv::Writer::from_writer(Vec::new());
        csv.write_record([
            "name",
            "result",
            "gateway_id",
            "address",
            "bundle",
            "token_file",
            "token_expires",
            "note",
        ])?;
        for one in made {
            let (word, note) = one.result();
            let (id, address, token_file, expires) = one.registered();
            let token_file = token_file.map(|path| path.to_string_lossy().into_owned());
            csv.write_record([
                &one.name,
                &word.to_lowercase(),
                id,
                address,
                &one.bundle.to_string_lossy(),
                &token_file.unwrap_or_default(),
                &rfc3339(expires).unwrap_or_default(),
                &note,
            ])?;
        }
        let text = csv.into_inner().map_err(csv::IntoInnerError::into_error)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(CliError::file("write", path))
}
