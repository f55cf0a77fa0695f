//! Ownership and permissions of scripts, by access control list.
#![allow(unsafe_code)]

use std::ffi::{OsString, c_void};
use std::fs;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_SUCCESS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, GetNamedSecurityInfoW, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, DACL_SECURITY_INFORMATION, GetAce, PSECURITY_DESCRIPTOR,
    PSID,
};

use super::{Start, Unsafe};
use crate::config::Section;

/// Everybody: `S-1-1-0`; whoever logged in: `S-1-5-11`; the local users: `S-1-5-32-545`; guests: `S-1-5-32-546`; whoever
/// came over the network or sits at the console: `S-1-5-2`, `S-1-5-4`; nobody in particular: `S-1-5-7`.
const STRANGERS: [&str; 7] = [
    "S-1-1-0",
    "S-1-5-11",
    "S-1-5-32-545",
    "S-1-5-32-546",
    "S-1-5-2",
    "S-1-5-4",
    "S-1-5-7",
];

/// To write or append data, to delete a child, to delete, to change the list or the owner, and the generic rights that
/// include them.
const WRITING: u32 =
    0x0002 | 0x0004 | 0x0040 | 0x0001_0000 | 0x0004_0000 | 0x0008_0000 | 0x4000_0000 | 0x1000_0000;

/// The type of an entry that allows: `ACCESS_ALLOWED_ACE_TYPE`.
const ALLOWED: u8 = 0;

/// An entry that only passes itself on to children does not count for the folder itself.
const INHERIT_ONLY: u8 = 0x08;

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

    /// What the file's name says that it does. Programs and batch files start by themselves: they get no arguments, so
    /// that nothing has to be quoted for `cmd.exe`.
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
                program: plain(script),
                arguments: Vec::new(),
            },
        }
    }
}

/// What every script's environment holds, before that of the configuration: what Windows programs do not start without.
pub(in crate::connector::script) fn base_environment() -> Vec<(&'static str, OsString)> {
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

/// No stranger may be able to put anything into the folder.
pub(super) fn check_folder(folder: &Path) -> Result<(), Unsafe> {
    let found = fs::symlink_metadata(folder).map_err(|error| Unsafe::unreadable(folder, error))?;
    if !found.is_dir() {
        return Err(Unsafe::wrong(folder, "is no folder"));
    }
    check_list(folder)
}

/// No stranger may be able to change the script.
pub(super) fn check_file(file: &Path) -> Result<(), Unsafe> {
    let found = fs::symlink_metadata(file).map_err(|error| Unsafe::unreadable(file, error))?;
    if !found.is_file() || found.file_attributes() & FILE_ATTRIBUTE_REPARSE_POINT != 0 {
        return Err(Unsafe::wrong(file, "is no regular file"));
    }
    check_list(file)
}

const FILE_ATTRIBUTE_REPARSE_POINT: u32 = 0x400;

fn check_list(path: &Path) -> Result<(), Unsafe> {
    let writers = writers(path).map_err(|error| Unsafe::unreadable(path, error))?;
    match writers
        .into_iter()
        .find(|sid| STRANGERS.contains(&sid.as_str()))
    {
        None => Ok(()),
        Some(sid) => Err(Unsafe::wrong(
            path,
            format!(
                "can be written by {sid}, which stands for people at large: let only SYSTEM and Administrators write there"
            ),
        )),
    }
}

/// The security identifiers that an entry of the list lets write, as texts.
fn writers(path: &Path) -> io::Result<Vec<String>> {
    let name: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
    let mut list: *mut ACL = ptr::null_mut();
    let mut descriptor: PSECURITY_DESCRIPTOR = ptr::null_mut();
    // SAFETY: the name ends with a NUL; `list` and `descriptor` outlive the call; the unwanted results are null.
    let status = unsafe {
        GetNamedSecurityInfoW(
            name.as_ptr(),
            SE_FILE_OBJECT,
            DACL_SECURITY_INFORMATION,
            ptr::null_mut(),
            ptr::null_mut(),
            &raw mut list,
            ptr::null_mut(),
            &raw mut descriptor,
        )
    };
    if status != ERROR_SUCCESS {
        return Err(io::Error::from_raw_os_error(status.cast_signed()));
    }
    let _descriptor = Local(descriptor);
    if list.is_null() {
        // No list at all lets everybody do everything.
        return Ok(vec!["S-1-1-0".to_owned()]);
    }
    // SAFETY: the list is not null and lives as long as the descriptor, which is freed at the end of this function.
    let count = unsafe { (*list).AceCount };
    let mut writers = Vec::new();
    for index in 0..u32::from(count) {
        let mut entry: *mut c_void = ptr::null_mut();
        // SAFETY: the list is valid, the index below its count.
        if unsafe { GetAce(list, index, &raw mut entry) } == 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: every entry begins with a header.
        let header = unsafe { &*entry.cast::<ACE_HEADER>() };
        if header.AceType != ALLOWED || header.AceFlags & INHERIT_ONLY != 0 {
            continue;
        }
        let entry = entry.cast::<ACCESS_ALLOWED_ACE>();
        // SAFETY: the type says that the entry is one of these.
        if unsafe { (*entry).Mask } & WRITING != 0 {
            // SAFETY: in such an entry the identifier begins at `SidStart`.
            let sid: PSID = unsafe { (&raw mut (*entry).SidStart).cast() };
            writers.push(sid_text(sid)?);
        }
    }
    Ok(writers)
}

fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text: *mut u16 = ptr::null_mut();
    // SAFETY: the identifier is valid, and `text` outlives the call.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let _text = Local(text.cast());
    let length = (0..256)
        // SAFETY: the text ends with a NUL, and nothing behind that is read.
        .take_while(|&at| unsafe { *text.add(at) } != 0)
        .count();
    // SAFETY: so many characters were just read.
    let characters = unsafe { std::slice::from_raw_parts(text, length) };
    Ok(String::from_utf16_lossy(characters))
}

/// Memory that the system allocated for us.
struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        // SAFETY: allocated by the system for us to free, and freed once.
        unsafe { LocalFree(self.0) };
    }
}

/// Without the `\\?\` in front, which batch files and PowerShell do not take.
fn plain(path: &Path) -> PathBuf {
    path.to_str()
        .and_then(|text| text.strip_prefix(r"\\?\"))
        .filter(|rest| !rest.starts_with("UNC"))
        .map_or_else(|| path.to_owned(), PathBuf::from)
}
