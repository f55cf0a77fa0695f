//! Gateways for Windows: the cross-built .exe under Wine, which `tests/run windows` sets up.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::process::run_to_end;
use super::{Dial, Finished, Gateway, OrFail as _, Site};

/// Leaves a line in the journal, and answers with nothing, which is an answer.
const BATCH: &str = "@echo off\r\necho from a batch file>>%JOURNAL%\r\n";

/// A path of this host as programs under Wine have it: its root is their drive Z.
pub fn drive_z(path: &Path) -> String {
    format!("Z:{}", path.display()).replace('/', r"\")
}

/// Where the programs are that run under Wine.
#[derive(Clone, Debug)]
pub struct Wine {
    gateway: PathBuf,
    script: PathBuf,
    prefix: PathBuf,
}

/// A gateway under Wine, with a folder of its own on drive C.
#[derive(Debug)]
pub struct WindowsGateway {
    /// The gateway.
    pub gateway: Gateway,
    /// Its folder, as seen from outside.
    pub folder: PathBuf,
    /// The same, as the gateway sees it.
    pub windows_folder: String,
}

impl Wine {
    /// As the environment says: `PORTCULLIS_TEST_GATEWAY_EXE`, `PORTCULLIS_TEST_SCRIPT_EXE` and
    /// `WINEPREFIX`.
    pub fn from_environment() -> Self {
        let path = |name: &str| PathBuf::from(env::var_os(name).or_fail(name));
        Self {
            gateway: path("PORTCULLIS_TEST_GATEWAY_EXE"),
            script: path("PORTCULLIS_TEST_SCRIPT_EXE"),
            prefix: path("WINEPREFIX"),
        }
    }

    /// Drive C, as seen from outside.
    pub fn drive_c(&self) -> PathBuf {
        self.prefix.join("drive_c")
    }

    /// The gateway's program, as seen from outside.
    pub fn gateway_exe(&self) -> &Path {
        &self.gateway
    }

    /// The tests' script, as seen from outside.
    pub fn script_exe(&self) -> &Path {
        &self.script
    }

    /// Runs a program of Windows to its end.
    #[track_caller]
    pub fn run(&self, program: &str, arguments: &[&str]) -> Finished {
        let mut command = Command::new("wine");
        command.arg(program).args(arguments);
        run_to_end(command, "")
    }

    /// Writes a configuration with one connector, `scripts`, whose folder holds the test's script
    /// under these names, and a batch file, `run-batch`.
    pub fn gateway(&self, site: &Site, name: &str, dial: Dial, scripts: &[&str]) -> WindowsGateway {
        self.gateway_with(site, name, dial, scripts, "")
    }

    /// The same, with `more` added to its configuration.
    pub fn gateway_with(
        &self,
        site: &Site,
        name: &str,
        dial: Dial,
        scripts: &[&str],
        more: &str,
    ) -> WindowsGateway {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let instance = format!(
            "test-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let folder = self.prefix.join("drive_c").join(&instance);
        let windows_folder = format!(r"C:\{instance}");
        let dialling = dial.config(name);
        let text = format!(
            "instance = '{instance}'\nstate_dir = '{windows_folder}\\state'\n{dialling}[log]\nlevel = \"debug\"\n\
             [connectors.scripts]\ntype = \"script\"\nfolder = '{windows_folder}\\scripts'\ntimeout = \"5s\"\n\
             [connectors.scripts.environment]\nJOURNAL = '{windows_folder}\\journal'\n{more}"
        );
        fs::create_dir_all(folder.join("scripts"))
            .and_then(|()| {
                scripts.iter().try_for_each(|script| {
                    let to = folder.join("scripts").join(format!("{script}.exe"));
                    fs::copy(&self.script, to).map(drop)
                })
            })
            .and_then(|()| fs::write(folder.join("scripts").join("run-batch.cmd"), BATCH))
            .and_then(|()| fs::write(folder.join("gateway.toml"), text))
            .or_fail("set up a gateway on drive C");
        WindowsGateway {
            gateway: Gateway::launched(
                name,
                format!(r"{windows_folder}\gateway.toml").into(),
                folder.join("state"),
                dial,
                vec!["wine".into(), self.gateway.clone()],
                site.path().join(format!("{instance}.log")),
            ),
            folder,
            windows_folder,
        }
    }
}
