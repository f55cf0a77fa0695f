//! The file that a token is kept in: one JSON object, replaced as a whole.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use portcullis_host::private_files::{create_private_file, read_bounded, sync_dir};
use serde::{Deserialize, Serialize};

use crate::error::CliError;

/// Far more than a token takes.
const MAX_LEN: usize = 1 << 20;

/// What is in the file.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    resource: String,
    class: String,
    token: String,
}

/// The token file of a resource and class.
#[derive(Debug)]
pub(super) struct TokenFile {
    path: PathBuf,
    resource: String,
    class: String,
}

impl TokenFile {
    pub(super) fn new(path: &Path, resource: &str, class: &str) -> Self {
        Self {
            path: path.to_owned(),
            resource: resource.to_owned(),
            class: class.to_owned(),
        }
    }

    /// The token in it; empty where there is no file.
    ///
    /// # Errors
    /// [`CliError::Usage`] where it holds something else, or the token of another resource or
    /// class.
    pub(super) fn read(&self) -> Result<Vec<u8>, CliError> {
        let bytes = match read_bounded(&self.path, MAX_LEN) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(CliError::file("read", &self.path)(error)),
        };
        let wrong = |what: &str| {
            CliError::usage(format!(
                "{}: {what}; name another file, or begin anew with --restart",
                self.path.display()
            ))
        };
        let none = || wrong("it is no token file of `portcullis sync`");
        let kept: Kept = serde_json::from_slice(&bytes).map_err(|_| none())?;
        if (&kept.resource, &kept.class) != (&self.resource, &self.class) {
            return Err(wrong(&format!(
                "it holds the token of class {} of resource {}",
                kept.class, kept.resource
            )));
        }
        BASE64.decode(kept.token.as_bytes()).map_err(|_| none())
    }

    /// Replaces what is in it, durably.
    ///
    /// # Errors
    /// [`CliError::File`]; what was in it is still there then.
    pub(super) fn write(&self, token: &[u8]) -> Result<(), CliError> {
        let kept = Kept {
            resource: self.resource.clone(),
            class: self.class.clone(),
            token: BASE64.encode(token),
        };
        self.replace(&kept)
            .map_err(CliError::file("write", &self.path))
    }

    fn replace(&self, kept: &Kept) -> io::Result<()> {
        let mut name = OsString::from(".");
        name.push(self.path.file_name().unwrap_or_default());
        name.push(".new");
        let temporary = self.path.with_file_name(name);
        match fs::remove_file(&temporary) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut bytes = serde_json::to_vec(kept)?;
        bytes.push(b'\n');
        create_private_file(&temporary, &bytes)?;
        fs::rename(&temporary, &self.path)?;
        match self.path.parent() {
            Some(folder) if folder != Path::new("") => sync_dir(folder),
            _ => sync_dir(Path::new(".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_that_of_another_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let file = TokenFile::new(&path, "staff", "account");
        assert!(file.read().unwrap().is_empty());
        file.write(b"one").unwrap();
        file.write(b"\0two").unwrap();
        assert_eq!(file.read().unwrap(), b"\0two");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
        for (resource, class) in [("staff", "group"), ("other", "account")] {
            let error = TokenFile::new(&path, resource, class).read().unwrap_err();
            assert!(
                error
                    .to_string()
                    .contains("class account of resource staff")
            );
        }
        fs::write(&path, "hello").unwrap();
        let error = file.read().unwrap_err();
        assert!(error.to_string().contains("--restart"), "{error}");
    }
}
