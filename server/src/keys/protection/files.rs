//! Where the secret lies, and how a secret file is replaced so that a crash at any point leaves one
//! that opens the repository: the new one is written beside it, then the repository is changed,
//! then the new one takes its place. At the next start, whichever of the two opens the repository
//! wins.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{ProtectionError, Secret};
use crate::config::SecretSource;
use portcullis_host::{private_files, text};

/// Longer than any secret: what is longer is not read.
const MAX_FILE_LEN: usize = 2048;
/// Set by systemd for a service with credentials.
const CREDENTIALS_DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

/// Reads the secret from where the configuration says. A prompt waits for whoever sits at the
/// terminal.
///
/// # Errors
/// [`ProtectionError`].
pub fn read(source: &SecretSource) -> Result<Secret, ProtectionError> {
    match source {
        SecretSource::File(path) => read_private(path),
        SecretSource::Credential(name) => {
            let folder = std::env::var_os(CREDENTIALS_DIRECTORY).map(PathBuf::from);
            read_credential(folder.as_deref(), name)
        }
        SecretSource::Prompt => prompt("Secret of the repository: "),
    }
}

/// As [`read`], for a repository about to be made: at the terminal it is typed twice.
///
/// # Errors
/// [`ProtectionError`].
pub fn read_new(source: &SecretSource) -> Result<Secret, ProtectionError> {
    if *source != SecretSource::Prompt {
        return read(source);
    }
    let secret = prompt("Secret of the new repository: ")?;
    if prompt("Once more: ")? == secret {
        Ok(secret)
    } else {
        Err(ProtectionError::Mistyped)
    }
}

/// Asks for a secret at the terminal.
///
/// # Errors
/// [`ProtectionError::Prompt`], `Unsuitable`.
pub fn prompt(question: &str) -> Result<Secret, ProtectionError> {
    let line = rpassword::prompt_password(question)
        .map(Zeroizing::new)
        .map_err(ProtectionError::Prompt)?;
    parse(line.as_bytes(), "what was typed")
}

/// Reads a secret file, which only its owner may be able to read.
///
/// # Errors
/// [`ProtectionError`].
pub fn read_private(path: &Path) -> Result<Secret, ProtectionError> {
    let content = private_files::read_bounded(path, MAX_FILE_LEN).map_err(|source| {
        ProtectionError::Unreadable {
            path: path.to_owned(),
            source,
        }
    })?;
    private_files::check_private(path)?;
    parse(&content, &path.display().to_string())
}

/// What a message calls this source.
pub fn describe(source: &SecretSource) -> String {
    match source {
        SecretSource::File(path) => format!("the secret file {}", path.display()),
        SecretSource::Credential(name) => format!("the credential `{name}`"),
        SecretSource::Prompt => "the secret that was typed".to_owned(),
    }
}

/// Where the next secret lies until the repository is changed.
pub fn staged(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Writes the next secret beside the one in use, durably. What lies there already is never
/// overwritten: it may be the only secret that opens the repository.
///
/// # Errors
/// [`ProtectionError::System`]: nothing was written.
pub fn stage(path: &Path, secret: &Secret) -> Result<(), ProtectionError> {
    let beside = staged(path);
    private_files::create_private_file(&beside, &secret.to_file())
        .and_then(|()| {
            // Made just now, for a change that does not come.
            sync_folder_of(path).inspect_err(|_| drop(fs::remove_file(&beside)))
        })
        .map_err(|source| system("write", &beside, source))
}

/// The next secret takes the place of the one in use, durably.
///
/// # Errors
/// [`ProtectionError::System`].
pub fn place(path: &Path) -> Result<(), ProtectionError> {
    fs::rename(staged(path), path)
        .and_then(|()| sync_folder_of(path))
        .map_err(|source| system("replace", path, source))
}

/// Puts the secret in use where the next one would lie: a repository that it opens takes it back at
/// the next start. What lies there already is never overwritten.
///
/// # Errors
/// [`ProtectionError::System`]: it is where it was.
pub fn put_aside(path: &Path) -> Result<(), ProtectionError> {
    let beside = staged(path);
    if is_there(&beside)? {
        let source = io::ErrorKind::AlreadyExists.into();
        return Err(system("overwrite", &beside, source));
    }
    match fs::rename(path, &beside) {
        // Whoever keeps it elsewhere meanwhile finds nothing to be put aside.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        moved => moved
            .and_then(|()| sync_folder_of(path).inspect_err(|_| drop(fs::rename(&beside, path))))
            .map_err(|source| system("move aside", path, source)),
    }
}

/// Does a secret lie where the next one would?
///
/// # Errors
/// [`ProtectionError::System`].
pub fn is_staged(path: &Path) -> Result<bool, ProtectionError> {
    is_there(&staged(path))
}

/// Is there a secret, or is one configured? A repository without protection must not have one: see
/// [`ProtectionError::Downgraded`].
///
/// # Errors
/// [`ProtectionError::Downgraded`].
pub fn must_be_none(source: &SecretSource) -> Result<(), ProtectionError> {
    match source {
        SecretSource::File(path) if path.symlink_metadata().is_err() => Ok(()),
        other => Err(ProtectionError::Downgraded {
            origin: describe(other),
        }),
    }
}

/// Removes the next secret, where there is one; `false`: there was none.
///
/// # Errors
/// [`ProtectionError::System`].
pub fn discard(path: &Path) -> Result<bool, ProtectionError> {
    let beside = staged(path);
    match fs::remove_file(&beside).and_then(|()| sync_folder_of(path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(system("remove", &beside, source)),
    }
}

/// systemd vouches for who may read it, by means that its mode does not show.
fn read_credential(folder: Option<&Path>, name: &str) -> Result<Secret, ProtectionError> {
    let missing = |reason: String| ProtectionError::Credential {
        name: name.to_owned(),
        reason,
    };
    let folder = folder.ok_or_else(|| missing(format!("{CREDENTIALS_DIRECTORY} is not set")))?;
    let content = private_files::read_bounded(&folder.join(name), MAX_FILE_LEN)
        .map_err(|error| missing(error.to_string()))?;
    parse(
        &content,
        &describe(&SecretSource::Credential(name.to_owned())),
    )
}

fn parse(bytes: &[u8], origin: &str) -> Result<Secret, ProtectionError> {
    let text = text::decode(bytes).map_err(|error| ProtectionError::NoText {
        origin: origin.to_owned(),
        error,
    })?;
    Secret::parse(text.as_bytes()).map_err(|error| ProtectionError::Unsuitable {
        origin: origin.to_owned(),
        error,
    })
}

fn is_there(path: &Path) -> Result<bool, ProtectionError> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(system("look for", path, source)),
    }
}

fn sync_folder_of(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), private_files::sync_dir)
}

fn system(action: &'static str, path: &Path, source: io::Error) -> ProtectionError {
    ProtectionError::System {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::keys::protection::SecretError;

    #[test]
    fn a_secret_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.secret");
        let secret = Secret::random(&mut rand::rng());
        private_files::create_private_file(&path, &secret.to_file()).unwrap();
        assert_eq!(read_private(&path).unwrap(), secret);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = read_private(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 0600"), "{error}");
    }

    #[test]
    fn a_credential_is_read_and_a_missing_one_is_told_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let written = "\u{feff}correct horse battery\r\n";
        fs::write(folder.path().join("portcullis"), written).unwrap();
        let secret = read_credential(Some(folder.path()), "portcullis").unwrap();
        assert_eq!(secret.expose(), b"correct horse battery");
        for folder in [Some(folder.path()), None] {
            let error = read_credential(folder, "other").unwrap_err().to_string();
            assert!(error.contains("LoadCredential=other:FILE"), "{error}");
        }
    }

    #[test]
    fn a_file_that_holds_no_secret_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.secret");
        for (content, expected) in [
            (vec![], SecretError::Empty),
            (vec![b'x'; 1 << 20], SecretError::Long),
            (b"PCS1-MFRGG".to_vec(), SecretError::Damaged),
        ] {
            let _ = fs::remove_file(&path);
            private_files::create_private_file(&path, &content).unwrap();
            let error = read_private(&path).unwrap_err();
            assert!(error.to_string().contains("server.secret"), "{error}");
            assert!(
                matches!(&error, ProtectionError::Unsuitable { error, .. } if *error == expected),
                "{error}"
            );
        }
        for (content, hint) in [
            (
                &b"correct h\xf6rse battery"[..],
                "byte 10 of line 1 is not UTF-8",
            ),
            (b"\xff\xfec\0o\0r\0r\0e\0c\0t\0", "UTF-16"),
            (b"correct\0horse battery", "NUL"),
        ] {
            fs::remove_file(&path).unwrap();
            private_files::create_private_file(&path, content).unwrap();
            let error = read_private(&path).unwrap_err().to_string();
            assert!(
                error.contains(hint) && error.contains("server.secret"),
                "{error}"
            );
            assert!(!error.contains("battery"), "{error}");
        }
    }
}
