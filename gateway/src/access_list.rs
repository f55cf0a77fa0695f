//! Windows: who owns files and folders, and whom their access lists let in.
//!
//! Trusted are SYSTEM, Administrators, the installer of Windows and the gateway's own user, as root
//! and its own user are elsewhere. Everybody else is a stranger, by whatever group they come.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fmt;
use std::io;
use std::os::windows::ffi::OsStrExt;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::path::{Path, PathBuf};
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::{ERROR_ALREADY_EXISTS, ERROR_SUCCESS, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, GetNamedSecurityInfoW, SE_FILE_OBJECT,
};
use windows_sys::Win32::Security::{
    ACCESS_ALLOWED_ACE, ACE_HEADER, ACL, DACL_SECURITY_INFORMATION, GetAce, GetTokenInformation,
    OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::Storage::FileSystem::CreateDirectoryW;
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

use crate::descriptor::Descriptor;

/// SYSTEM, Administrators, TrustedInstaller; and those that stand for the owner, who is checked for
/// himself.
const TRUSTED: [&str; 5] = [
    "S-1-5-18",
    "S-1-5-32-544",
    "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
    "S-1-3-0",
    "S-1-3-4",
];

/// SYSTEM and Administrators, everything; nobody else anything; nothing inherited from above, all
/// of it passed on below.
const PRIVATE: &str = "D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)";

/// What a stranger must not be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// To read what stands in a file.
    Reading,
    /// To remove what lies in a folder, or the folder, and put something else in its place.
    Replacing,
    /// That, and to write or to put anything in.
    Writing,
    /// Anything.
    Anything,
}

impl Forbidden {
    fn mask(self) -> u32 {
        // To delete, to delete a child, to change the list or the owner, and the generic right that
        // includes them.
        const REPLACING: u32 = 0x0001_0000 | 0x0040 | 0x0004_0000 | 0x0008_0000 | 0x1000_0000;
        // To write or append data, attributes and extended ones, and the generic right that
        // includes them.
        const WRITING: u32 = 0x0002 | 0x0004 | 0x0010 | 0x0100 | 0x4000_0000;
        // To read data, to change the list or the owner so as to read it then, and the generic
        // rights that include them.
        const READING: u32 = 0x0001 | 0x0004_0000 | 0x0008_0000 | 0x1000_0000 | 0x8000_0000;
        match self {
            Self::Reading => READING,
            Self::Replacing => REPLACING,
            Self::Writing => REPLACING | WRITING,
            Self::Anything => u32::MAX,
        }
    }
}

impl Forbidden {
    fn advice(self, path: &Path, account: &str) -> String {
        if self == Self::Replacing {
            return "move what lies in it to a folder that only SYSTEM and Administrators can change".to_owned();
        }
        let passed_on = if path.is_dir() { "(OI)(CI)" } else { "" };
        format!(
            "let only SYSTEM and Administrators do so (`icacls \"{}\" /inheritance:r /remove *{account} \
             /grant *S-1-5-18:{passed_on}F *S-1-5-32-544:{passed_on}F`)",
            path.display()
        )
    }
}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reading => "read",
            Self::Replacing => "replaced",
            Self::Writing => "written",
            Self::Anything => "opened",
        })
    }
}

/// Why a file or folder is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untrusted {
    /// It belongs to a stranger, who may do anything with it.
    #[error(
        "belongs to {owner}: it has to belong to SYSTEM, to Administrators or to the gateway's own user (`icacls \"{path}\" /setowner *S-1-5-32-544`)",
        path = path.display()
    )]
    Owner { path: PathBuf, owner: String },
    /// Its list lets a stranger in.
    #[error("can be {forbidden} by {account}: {}", forbidden.advice(path, account))]
    Account {
        path: PathBuf,
        forbidden: Forbidden,
        account: String,
    },
    /// Its list has an entry that this program does not understand.
    #[error(
        "has an access list with an entry of type {0}, which this program does not judge: remove that entry"
    )]
    Entry(u8),
    /// The system does not tell.
    #[error("cannot be examined: {0}")]
    Unknown(#[from] io::Error),
}

/// A trusted owner, and nothing forbidden for any stranger.
pub(crate) fn check(path: &Path, forbidden: Forbidden) -> Result<(), Untrusted> {
    let own = own_user()?;
    let security = Security::of(path)?;
    let owner = security.owner()?;
    let is_trusted = |sid: &str| sid == own || TRUSTED.contains(&sid);
    if !is_trusted(&owner) {
        let path = plain(path);
        return Err(Untrusted::Owner { path, owner });
    }
    let allowed = security.allowed(forbidden.mask())?;
    match allowed.into_iter().find(|sid| !is_trusted(sid)) {
        None => Ok(()),
        Some(account) => Err(Untrusted::Account {
            path: plain(path),
            forbidden,
            account,
        }),
    }
}

/// Nobody but its owner, whoever that is, and those that are trusted can read a file.
pub(crate) fn check_readers(path: &Path) -> Result<(), Untrusted> {
    let forbidden = Forbidden::Reading;
    let own = own_user()?;
    let security = Security::of(path)?;
    let owner = security.owner()?;
    let allowed = security.allowed(forbidden.mask())?.into_iter();
    let mut strangers =
        allowed.filter(|sid| *sid != own && *sid != owner && !TRUSTED.contains(&sid.as_str()));
    match strangers.next() {
        None => Ok(()),
        Some(account) => Err(Untrusted::Account {
            path: plain(path),
            forbidden,
            account,
        }),
    }
}

/// No stranger can put another folder in the place of one of those above `path`: the first that is
/// unsafe, and why.
pub(crate) fn check_above(path: &Path) -> Result<(), (PathBuf, Untrusted)> {
    path.ancestors().skip(1).try_for_each(|above| {
        check(above, Forbidden::Replacing).map_err(|error| (above.to_owned(), error))
    })
}

/// Makes a folder, and those above it that are missing, closed to strangers from their first
/// moment. What is there stays.
pub(crate) fn create_private_folders(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(above) = path.parent() {
        create_private_folders(above)?;
    }
    let descriptor = Descriptor::parse(PRIVATE)?;
    let attributes = descriptor.attributes()?;
    let name = wide(path);
    // SAFETY: the name ends with a zero; it, the attributes and their descriptor live through the
    // call.
    if unsafe { CreateDirectoryW(name.as_ptr(), &raw const attributes) } == 0 {
        let error = io::Error::last_os_error();
        // Somebody else was faster: whoever goes on checks what is there.
        if error.raw_os_error() != Some(ERROR_ALREADY_EXISTS.cast_signed()) {
            return Err(error);
        }
    }
    Ok(())
}

/// Without the `\\?\` in front, which neither people nor batch files nor PowerShell take.
pub(crate) fn plain(path: &Path) -> PathBuf {
    path.to_str()
        .and_then(|text| text.strip_prefix(r"\\?\"))
        .filter(|rest| !rest.starts_with("UNC"))
        .map_or_else(|| path.to_owned(), PathBuf::from)
}

/// Owner and access list of one file or folder.
struct Security {
    owner: PSID,
    list: *mut ACL,
    /// What the two point into.
    _descriptor: Local,
}

impl Security {
    fn of(path: &Path) -> io::Result<Self> {
        let name = wide(path);
        let mut owner: PSID = null_mut();
        let mut list: *mut ACL = null_mut();
        let mut descriptor: PSECURITY_DESCRIPTOR = null_mut();
        // SAFETY: the name ends with a zero; all places for results outlive the call; the unwanted
        // ones are null.
        let status = unsafe {
            GetNamedSecurityInfoW(
                name.as_ptr(),
                SE_FILE_OBJECT,
                OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION,
                &raw mut owner,
                null_mut(),
                &raw mut list,
                null_mut(),
                &raw mut descriptor,
            )
        };
        if status != ERROR_SUCCESS {
            return Err(io::Error::from_raw_os_error(status.cast_signed()));
        }
        Ok(Self {
            owner,
            list,
            _descriptor: Local(descriptor),
        })
    }

    fn owner(&self) -> io::Result<String> {
        if self.owner.is_null() {
            return Err(io::Error::other("it has no owner"));
        }
        // SAFETY: the identifier lies in the descriptor, which lives as long as `self`.
        unsafe { sid_text(self.owner) }
    }

    /// The accounts that an entry of the list lets do anything of `mask`.
    fn allowed(&self, mask: u32) -> Result<Vec<String>, Untrusted> {
        const ALLOWED: [u8; 2] = [0, 9];
        const DENIED: [u8; 4] = [1, 6, 10, 12];
        // An entry that only passes itself on to children does not count for the folder itself.
        const INHERIT_ONLY: u8 = 0x08;
        if self.list.is_null() {
            // No list at all lets everybody do everything.
            return Ok(vec!["S-1-1-0".to_owned()]);
        }
        // SAFETY: the list is not null and lies in the descriptor, which lives as long as `self`.
        let count = unsafe { (*self.list).AceCount };
        let mut allowed = Vec::new();
        for index in 0..u32::from(count) {
            let mut entry: *mut c_void = null_mut();
            // SAFETY: the list is valid, the index below its count.
            if unsafe { GetAce(self.list, index, &raw mut entry) } == 0 {
                return Err(io::Error::last_os_error().into());
            }
            // SAFETY: every entry begins with a header.
            let header = unsafe { &*entry.cast::<ACE_HEADER>() };
            if header.AceFlags & INHERIT_ONLY != 0 || DENIED.contains(&header.AceType) {
                continue;
            }
            if !ALLOWED.contains(&header.AceType) {
                return Err(Untrusted::Entry(header.AceType));
            }
            let entry = entry.cast::<ACCESS_ALLOWED_ACE>();
            // SAFETY: entries of both types begin as this one does.
            if unsafe { (*entry).Mask } & mask != 0 {
                // SAFETY: in such an entry the identifier begins at `SidStart`.
                allowed.push(unsafe { sid_text((&raw mut (*entry).SidStart).cast()) }?);
            }
        }
        Ok(allowed)
    }
}

/// The user that this process runs as.
fn own_user() -> io::Result<String> {
    let mut token = null_mut();
    // SAFETY: the process's own handle is always valid; `token` is a valid place for the result.
    if unsafe { OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just opened, is valid, and nobody else owns it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Of 8-byte words, since the structure has to be aligned; larger than it and the longest
    // identifier (68 bytes).
    let mut buffer = [0_u64; 32];
    let mut length = 0;
    let room = u32::try_from(size_of_val(&buffer)).map_err(io::Error::other)?;
    // SAFETY: the handle is valid; the buffer has `room` bytes and lives through the call.
    let known = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            buffer.as_mut_ptr().cast(),
            room,
            &raw mut length,
        )
    };
    if known == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system wrote such a structure at the buffer's beginning, with an identifier
    // within the buffer.
    unsafe { sid_text((*buffer.as_ptr().cast::<TOKEN_USER>()).User.Sid) }
}

/// An identifier as text, such as `S-1-5-18`.
///
/// # Safety
/// `sid` points to a valid identifier.
unsafe fn sid_text(sid: PSID) -> io::Result<String> {
    let mut text: *mut u16 = null_mut();
    // SAFETY: the caller promises the identifier; `text` outlives the call.
    if unsafe { ConvertSidToStringSidW(sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    let _text = Local(text.cast());
    let length = (0..256)
        // SAFETY: the text ends with a zero, and nothing behind that is read.
        .take_while(|&at| unsafe { *text.add(at) } != 0)
        .count();
    // SAFETY: the count is that of the characters just read.
    let characters = unsafe { std::slice::from_raw_parts(text, length) };
    Ok(String::from_utf16_lossy(characters))
}

fn wide(path: &Path) -> Vec<u16> {
    path.as_os_str().encode_wide().chain([0]).collect()
}

/// Memory that the system allocated for us.
struct Local(*mut c_void);

impl Drop for Local {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: allocated by the system for us to free, and freed once.
            unsafe { LocalFree(self.0) };
        }
    }
}
