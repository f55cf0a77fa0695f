//! The temporary folder of one test.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::HarnessError;

/// A temporary folder, removed with everything in it when dropped; kept where `PORTCULLIS_TEST_KEEP` is set.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
}

impl Site {
    /// Makes the folder, readable by its owner only.
    ///
    /// # Errors
    /// [`HarnessError::Io`].
    pub fn new() -> Result<Self, HarnessError> {
        let mut folder = tempfile::Builder::new()
            .prefix("portcullis-")
            .tempdir()
            .map_err(HarnessError::io("make a temporary folder"))?;
        if std::env::var_os("PORTCULLIS_TEST_KEEP").is_some() {
            folder.disable_cleanup(true);
            eprintln!("kept: {}", folder.path().display());
        }
        Ok(Self { folder })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a folder in it, mode 0700.
    ///
    /// # Errors
    /// [`HarnessError::Io`].
    pub fn folder(&self, name: &str) -> Result<PathBuf, HarnessError> {
        let path = self.path().join(name);
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)))
            .map_err(HarnessError::io(format!("make the folder {name}")))?;
        Ok(path)
    }

    /// Writes a file in it, with this mode.
    ///
    /// # Errors
    /// [`HarnessError::Io`].
    pub fn file(&self, name: &str, mode: u32, text: &str) -> Result<PathBuf, HarnessError> {
        let path = self.path().join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .map_err(HarnessError::io(format!("write {name}")))?;
        Ok(path)
    }
}

/// A loopback port that nobody used a moment ago, and that no other call in this process gave.
///
/// # Errors
/// [`HarnessError::Io`] where there is none.
pub fn free_port() -> Result<u16, HarnessError> {
    use std::sync::{Mutex, PoisonError};
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    for _ in 0..1000 {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(HarnessError::io("find a free port"))?
            .port();
        if !given.contains(&port) {
            given.push(port);
            return Ok(port);
        }
    }
    Err(HarnessError::io("find a free port")(
        io::ErrorKind::AddrInUse.into(),
    ))
}
