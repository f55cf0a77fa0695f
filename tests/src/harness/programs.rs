//! Where the programs are: built by cargo beside the one that runs now, in the same profile.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::OrFail as _;

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
    pub fn built() -> &'static Self {
        static BUILT: OnceLock<Programs> = OnceLock::new();
        BUILT.get_or_init(build)
    }
}

fn build() -> Programs {
    let here = env::current_exe().or_fail("where this program is");
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
        super::run(command);
    }
    let at = |name: &str| {
        let path = folder.join(name);
        let built = path.exists();
        assert!(
            built,
            "{} is not there: cargo did not build it",
            path.display()
        );
        path
    };
    Programs {
        server: at("portcullis-server"),
        gateway: at("portcullis-gateway"),
        admin: at("portcullis"),
    }
}
