//! Finds the programs that the demonstration runs; under cargo, builds them first.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::DemoError;

/// Where the three programs are.
pub(super) struct Programs {
    pub(super) server: PathBuf,
    pub(super) gateway: PathBuf,
    pub(super) admin: PathBuf,
}

impl Programs {
    /// Beside this program; where cargo started it (which builds only the package it runs), cargo
    /// builds them first.
    pub(super) fn locate() -> Result<Self, DemoError> {
        let this = std::env::current_exe()
            .map_err(DemoError::file("find this program", "portcullis-demo"))?;
        let folder = this.parent().unwrap_or(Path::new(".")).to_path_buf();
        // Where another program of cargo's started this one, its environment speaks of another
        // package.
        let is_run_by_cargo =
            std::env::var("CARGO_PKG_NAME").is_ok_and(|name| name == env!("CARGO_PKG_NAME"));
        if is_run_by_cargo
            && let (Some(cargo), Some(manifest)) = (
                std::env::var_os("CARGO"),
                std::env::var_os("CARGO_MANIFEST_DIR"),
            )
        {
            build(Path::new(&cargo), Path::new(&manifest), &folder)?;
        }
        let beside = |name: &'static str| {
            let path = folder
                .join(name)
                .with_extension(std::env::consts::EXE_EXTENSION);
            if path.is_file() {
                Ok(path)
            } else {
                Err(DemoError::ProgramMissing {
                    name,
                    beside: folder.clone(),
                })
            }
        };
        Ok(Self {
            server: beside("portcullis-server")?,
            gateway: beside("portcullis-gateway")?,
            admin: beside("portcullis")?,
        })
    }
}

/// Builds the programs in one go.
fn build(cargo: &Path, manifest: &Path, folder: &Path) -> Result<(), DemoError> {
    println!("Building the programs ...");
    let mut command = Command::new(cargo);
    // What cargo told this program about its package: a build script that reads one of these would
    // otherwise run again here, and again under the next `cargo run`, with all that depends on it.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_of_a_package) {
            command.env_remove(name);
        }
    }
    // The default members, as for this program: nothing is built twice with other features.
    command
        .current_dir(manifest.join("../.."))
        .args(["build", "--bins"]);
    if folder.file_name().is_some_and(|name| name == "release") {
        command.arg("--release");
    }
    // The profile's folder lies in the target folder, wherever that is.
    if let Some(target) = folder.parent() {
        command.arg("--target-dir").arg(target);
    }
    let built = command
        .stdin(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if built { Ok(()) } else { Err(DemoError::Build) }
}

/// Whether cargo sets this variable for one package (and not the user for all of a build).
fn is_of_a_package(name: &str) -> bool {
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
        || name == "CARGO_PRIMARY_PACKAGE"
}
