//! The temporary folder of one test.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use super::OrFail as _;

/// A temporary folder, removed with everything in it when dropped; kept where
/// `PORTCULLIS_TEST_KEEP` is set.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
}

impl Site {
    /// Makes the folder, readable by its owner only.
    #[allow(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        let mut folder = tempfile::Builder::new()
            .prefix("portcullis-")
            .tempdir()
            .or_fail("make a temporary folder");
        if std::env::var_os("PORTCULLIS_TEST_KEEP").is_some() {
            folder.disable_cleanup(true);
            eprintln!("kept: {}", folder.path().display());
        }
        Self { folder }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Makes a folder in it, mode 0700.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(&path)
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o700)))
            .or_fail(path.display());
        path
    }

    /// Writes a file in it, with this mode.
    pub fn file(&self, name: &str, mode: u32, text: &str) -> PathBuf {
        let path = self.path().join(name);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| fs::write(&path, text))
            .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(mode)))
            .or_fail(path.display());
        path
    }
}

/// A loopback port that nobody used a moment ago, and that no other call in this process gave.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    loop {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .or_fail("find a free port")
            .port();
        if !given.contains(&port) {
            given.push(port);
            return port;
        }
    }
}
