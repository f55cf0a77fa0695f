//! Where the programs are: built by cargo beside the one that runs now, in the same profile.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use super::HarnessError;

/// The three programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `portcullis-server`
    pub server: PathBuf,
    /// `portcullis-gateway`
    pub gateway: PathBuf,
    /// `portcullis`
    pub admin: PathBuf,
}

impl Programs {
    /// Has cargo build them, once in each process.
    ///
    /// # Errors
    /// [`HarnessError`] where they cannot be built or are not there afterwards.
    pub fn built() -> Result<&'static Self, HarnessError> {
        static BUILT: OnceLock<Programs> = OnceLock::new();
        static BUILDING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(programs) = BUILT.get() {
            return Ok(programs);
        }
        let programs = build()?;
        Ok(BUILT.get_or_init(|| programs))
    }
}

fn build() -> Result<Programs, HarnessError> {
    let here = env::current_exe().map_err(HarnessError::io("where this program is"))?;
    // Tests lie in `PROFILE/deps`, programs in `PROFILE`.
    let folder = here
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .unwrap_or(Path::new("."))
        .to_owned();
    if let Some(cargo) = env::var_os("CARGO") {
        let mut command = Command::new(cargo);
        // As tests/run builds them: nothing is built twice with other features.
        command.args(["build", "--quiet", "--workspace", "--bins"]);
        command.args(["--exclude", "portcullis-generate"]);
        if folder.ends_with("release") {
            command.arg("--release");
        }
        if let Some(target) = folder.parent() {
            command.arg("--target-dir").arg(target);
        }
        super::run(command, None)?;
    }
    let at = |name: &str| {
        let path = folder.join(name);
        if path.exists() {
            Ok(path)
        } else {
            Err(HarnessError::NotBuilt(path))
        }
    };
    Ok(Programs {
        server: at("portcullis-server")?,
        gateway: at("portcullis-gateway")?,
        admin: at("portcullis")?,
    })
}
