//! Ownership and permissions of scripts, by access control list.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read as _;
use std::os::windows::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Start, Unfit};
use crate::access_list::{self, Forbidden, plain};
use crate::config::Section;

/// What starts a PowerShell script, where the configuration names it.
#[derive(Clone, Debug)]
pub(super) struct Interpreter {
    powershell: Option<PathBuf>,
}

impl Interpreter {
    pub(super) fn configure(section: &mut Section<'_>) -> Self {
        let powershell = section.text("powershell").map(PathBuf::from);
        if powershell
            .as_deref()
            .is_some_and(|path| !path.is_absolute())
        {
            section.problem(
                "powershell",
                "the absolute path of powershell.exe or pwsh.exe is allowed",
            );
        }
        Self { powershell }
    }

    /// What the file's name says that it does. Programs and batch files start by themselves: they
    /// get no arguments, so that nothing has to be quoted for `cmd.exe`.
    pub(super) fn stem(&self, file: &Path) -> Option<String> {
        let extension = file.extension()?.to_str()?.to_ascii_lowercase();
        let starts = match extension.as_str() {
            "exe" | "cmd" | "bat" => true,
            "ps1" => self.powershell.is_some(),
            _ => false,
        };
        let stem = file.file_stem()?.to_str()?.to_ascii_lowercase();
        starts.then_some(stem)
    }

    pub(super) fn start(&self, script: &Path) -> Start {
        let is_powershell = script
            .extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("ps1"));
        match &self.powershell {
            Some(powershell) if is_powershell => Start {
                script: script.to_owned(),
                program: powershell.clone(),
                arguments: vec![
                    "-NoLogo".into(),
                    "-NoProfile".into(),
                    "-NonInteractive".into(),
                    "-File".into(),
                    plain(script).into(),
                ],
            },
            _ => Start {
                script: script.to_owned(),
                program: plain(script),
                arguments: Vec::new(),
            },
        }
    }

    /// What keeps a script from starting, in words that follow its path.
    pub(super) fn obstacle(&self, script: &Path, _search_path: &OsStr) -> Option<String> {
        let ending = script.extension()?.to_ascii_lowercase();
        let head = |length: usize| {
            let mut head = vec![0; length];
            let read = fs::File::open(script).and_then(|mut file| file.read_exact(&mut head));
            read.is_ok().then_some(head)
        };
        match ending.to_str()? {
            "ps1" => {
                let powershell = self.powershell.as_deref()?;
                (!powershell.is_file()).then(|| {
                    format!(
                        "is started by {} (`powershell` in the configuration), which is not there",
                        powershell.display()
                    )
                })
            }
            // The command processor takes the mark for a part of the first command.
            "cmd" | "bat" if head(3).as_deref() == Some(b"\xef\xbb\xbf") => {
                Some("begins with a byte order mark: save it without one".to_owned())
            }
            "exe" if head(2).as_deref() != Some(b"MZ") => {
                Some("is no program of Windows".to_owned())
            }
            _ => None,
        }
    }
}

/// What every script's environment holds, before that of the configuration: what Windows programs
/// do not start without.
pub(crate) fn base_environment() -> Vec<(&'static str, OsString)> {
    let inherited = ["SystemRoot", "SystemDrive", "ComSpec", "TEMP", "PATHEXT"];
    let mut environment: Vec<_> = inherited
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?)))
        .collect();
    if let Some(root) = std::env::var_os("SystemRoot") {
        environment.push(("PATH", PathBuf::from(root).join("System32").into()));
    }
    environment
}

const FILE_ATTRIBUTE_REPARSE_POINT: u32 = 0x400;

/// No stranger may be able to put anything into the folder or in its place.
pub(super) fn check_folder(folder: &Path) -> Result<(), Unfit> {
    let found = fs::symlink_metadata(folder).map_err(|error| Unfit::unreadable(folder, error))?;
    if !found.is_dir() {
        return Err(Unfit::not_safe(folder, "is no folder"));
    }
    check_list(folder)?;
    access_list::check_above(folder).map_err(|(above, error)| {
        Unfit::not_safe(&plain(&above), format!("{error}; the scripts lie in it"))
    })
}

/// No stranger may be able to change the script.
pub(super) fn check_file(file: &Path) -> Result<(), Unfit> {
    let found = fs::symlink_metadata(file).map_err(|error| Unfit::unreadable(file, error))?;
    if !found.is_file() || found.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        return Err(Unfit::not_safe(file, "is no regular file"));
    }
    check_list(file)
}

fn check_list(path: &Path) -> Result<(), Unfit> {
    access_list::check(path, Forbidden::Writing)
        .map_err(|error| Unfit::not_safe(&plain(path), error.to_string()))
}
