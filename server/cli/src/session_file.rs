//! The file of who is logged in: the server and the secret of the session, a line each. Whoever can
//! read it is that user, so that it is its owner's alone.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use portcullis_host::private_files::{check_private, create_private_dir, read_bounded};
use zeroize::Zeroizing;

use crate::error::CliError;

/// Bytes of the file at most.
const MAX_FILE: usize = 8 << 10;

/// Where the session is kept.
#[derive(Debug)]
pub(crate) struct SessionFile {
    /// `None`: nothing says where.
    path: Option<PathBuf>,
}

impl SessionFile {
    /// The one that was named, or else the one in the home folder.
    pub(crate) fn new(named: Option<PathBuf>) -> Self {
        let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
        let own = home.map(|home| PathBuf::from(home).join(".config/portcullis/session"));
        Self {
            path: named.or(own),
        }
    }

    /// The secret of the session at this server; `None`: there is none.
    pub(crate) fn read(&self, server: &str) -> Result<Option<Zeroizing<String>>, CliError> {
        let Some(path) = &self.path else {
            return Ok(None);
        };
        let content = match read_bounded(path, MAX_FILE) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CliError::file("read", path)(error)),
        };
        check_private(path).map_err(|error| CliError::usage(error.to_string()))?;
        let lines = str::from_utf8(&content)
            .ok()
            .and_then(|text| text.split_once('\n'));
        let Some((of, secret)) = lines else {
            return Err(CliError::usage(format!(
                "{} holds no session: remove it, then run `portcullis login`",
                path.display()
            )));
        };
        // What one server gave is no other's to see.
        Ok((of == server).then(|| Zeroizing::new(secret.trim_end().to_owned())))
    }

    /// Keeps the secret of a session, in the place of an earlier one.
    pub(crate) fn write(&self, server: &str, secret: &[u8]) -> Result<&Path, CliError> {
        let path = self.path.as_deref().ok_or_else(|| {
            CliError::usage("nothing says where the session is to be kept: give --session FILE")
        })?;
        let folder = match path.parent() {
            Some(folder) if folder != Path::new("") => folder,
            _ => Path::new("."),
        };
        let written = || {
            create_private_dir(folder)?;
            // It has mode 0600 from the beginning.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(server.as_bytes())?;
            file.write_all(b"\n")?;
            file.write_all(secret)?;
            file.write_all(b"\n")?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            Ok(())
        };
        written().map_err(CliError::file("write", path))?;
        Ok(path)
    }

    /// Forgets the session.
    pub(crate) fn remove(&self) -> Result<(), CliError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CliError::file("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_session_is_its_owners_alone_and_goes_to_the_server_that_gave_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new/session");
        let file = SessionFile::new(Some(path.clone()));
        assert_eq!(file.read("/one.sock").unwrap(), None);
        file.write("/one.sock", b"pcs_first").unwrap();
        file.write("/one.sock", b"pcs_secret").unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let read = file.read("/one.sock").unwrap().unwrap();
        assert_eq!(*read, "pcs_secret");
        assert_eq!(file.read("/two.sock").unwrap(), None);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = file.read("/one.sock").unwrap_err();
        assert!(!refused.to_string().contains("pcs_"), "{refused}");
        file.remove().unwrap();
        file.remove().unwrap();
        assert_eq!(file.read("/one.sock").unwrap(), None);
    }
}
