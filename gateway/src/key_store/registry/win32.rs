//! What the registry store needs of Windows and no safe binding offers: DPAPI, access lists,
//! flushing.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::ptr::{null, null_mut};
use std::slice;

use windows_registry::Key;
use windows_sys::Win32::Foundation::{
    ERROR_FILE_NOT_FOUND, ERROR_INSUFFICIENT_BUFFER, ERROR_MORE_DATA, ERROR_SUCCESS, LocalFree,
};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::Cryptography::{
    CRYPT_INTEGER_BLOB, CRYPTPROTECT_LOCAL_MACHINE, CRYPTPROTECT_UI_FORBIDDEN, CryptProtectData,
    CryptUnprotectData,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, OWNER_SECURITY_INFORMATION, PROTECTED_DACL_SECURITY_INFORMATION,
};
use windows_sys::Win32::Storage::FileSystem::{WRITE_DAC, WRITE_OWNER};
use windows_sys::Win32::System::Registry::{
    HKEY_LOCAL_MACHINE, KEY_READ, KEY_WRITE, REG_CREATED_NEW_KEY, REG_OPTION_NON_VOLATILE,
    RegCreateKeyExW, RegFlushKey, RegGetKeySecurity, RegQueryValueExW, RegSetKeySecurity,
};
use zeroize::{Zeroize, Zeroizing};

use crate::descriptor::Descriptor;

const OWNER_AND_DACL: u32 = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
const PROTECTION: u32 = CRYPTPROTECT_LOCAL_MACHINE | CRYPTPROTECT_UI_FORBIDDEN;

/// Encrypts under a key of this Windows installation.
pub(super) fn protect(data: &[u8], entropy: &[u8]) -> io::Result<Vec<u8>> {
    let (input, entropy) = (borrow(data)?, borrow(entropy)?);
    let mut output = Local::empty();
    // SAFETY: both inputs describe slices that live through the call and are only read (the
    // pointers are `mut` by declaration alone); the other pointers may be null; `output` is a valid
    // place for the result, which it then owns.
    let done = unsafe {
        CryptProtectData(
            &raw const input,
            null(),
            &raw const entropy,
            null(),
            null(),
            PROTECTION,
            output.as_blob(),
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(output.bytes().to_vec())
}

/// Decrypts what [`protect`] gave on this Windows installation, with the same entropy.
pub(super) fn unprotect(data: &[u8], entropy: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    let (input, entropy) = (borrow(data)?, borrow(entropy)?);
    let mut output = Local::empty();
    // SAFETY: as in `protect`.
    let done = unsafe {
        CryptUnprotectData(
            &raw const input,
            null_mut(),
            &raw const entropy,
            null(),
            null(),
            PROTECTION,
            output.as_blob(),
        )
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Zeroizing::new(output.bytes().to_vec()))
}

/// Creates a key below `HKEY_LOCAL_MACHINE`, with this owner and access list from its first moment:
/// whoever opened it before it was closed could go on reading. Opens it where it is there already;
/// its access list is left as it is then.
pub(super) fn create(path: &str, sddl: &str) -> io::Result<Key> {
    let path = wide(path);
    let descriptor = Descriptor::parse(sddl)?;
    let attributes = descriptor.attributes()?;
    let (mut key, mut disposition) = (null_mut(), 0);
    // SAFETY: the path ends with a zero; it, the attributes and their descriptor live through the
    // call; the class may be null; the two results are valid places.
    let status = unsafe {
        RegCreateKeyExW(
            HKEY_LOCAL_MACHINE,
            path.as_ptr(),
            0,
            null(),
            REG_OPTION_NON_VOLATILE,
            KEY_READ | KEY_WRITE | WRITE_DAC | WRITE_OWNER,
            &raw const attributes,
            &raw mut key,
            &raw mut disposition,
        )
    };
    succeeded(status)?;
    // SAFETY: the handle was just opened, is valid, and nobody else owns it.
    let key = unsafe { Key::from_raw(key) };
    if disposition == REG_CREATED_NEW_KEY {
        // Not every implementation heeds the attributes; nothing is in the key yet.
        restrict(&key, sddl)?;
    }
    Ok(key)
}

/// The bytes of a value, `limit` at most, read in one step; `None` where there is no such value.
/// [`io::ErrorKind::FileTooLarge`] where it has more.
pub(super) fn value(key: &Key, name: &str, limit: usize) -> io::Result<Option<Vec<u8>>> {
    let name = wide(name);
    let mut bytes = vec![0; limit];
    let mut length = u32::try_from(limit).map_err(io::Error::other)?;
    // SAFETY: the handle is open as long as `key` lives; the name ends with a zero; the buffer has
    // `length` bytes; all of them live through the call, and the unwanted results are null.
    let status = unsafe {
        RegQueryValueExW(
            key.as_raw(),
            name.as_ptr(),
            null(),
            null_mut(),
            bytes.as_mut_ptr(),
            &raw mut length,
        )
    };
    match status {
        ERROR_FILE_NOT_FOUND => Ok(None),
        ERROR_MORE_DATA => Err(io::ErrorKind::FileTooLarge.into()),
        status => {
            succeeded(status)?;
            bytes.truncate(length as usize);
            Ok(Some(bytes))
        }
    }
}

/// Sets owner and access list; the key must have been opened with `WRITE_DAC` and `WRITE_OWNER`.
pub(super) fn restrict(key: &Key, sddl: &str) -> io::Result<()> {
    let descriptor = Descriptor::parse(sddl)?;
    // SAFETY: the handle is open as long as `key` lives; the descriptor was made by the system just
    // now.
    let status = unsafe {
        RegSetKeySecurity(
            key.as_raw(),
            OWNER_AND_DACL | PROTECTED_DACL_SECURITY_INFORMATION,
            descriptor.as_ptr(),
        )
    };
    succeeded(status)
}

/// Owner and access list, as SDDL; the key must have been opened with `READ_CONTROL`.
pub(super) fn access_of(key: &Key) -> io::Result<String> {
    let mut length = 0;
    // SAFETY: the handle is open as long as `key` lives; with a length of 0 nothing is written but
    // the length.
    let status =
        unsafe { RegGetKeySecurity(key.as_raw(), OWNER_AND_DACL, null_mut(), &raw mut length) };
    if status != ERROR_INSUFFICIENT_BUFFER {
        succeeded(status)?;
    }
    // Of 8-byte words: a descriptor has to be aligned.
    let mut descriptor = vec![0_u64; (length as usize).div_ceil(8)];
    // SAFETY: the buffer has at least `length` bytes and lives through the call.
    let status = unsafe {
        RegGetKeySecurity(
            key.as_raw(),
            OWNER_AND_DACL,
            descriptor.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    succeeded(status)?;
    let mut text = Text(null_mut());
    let mut text_length = 0;
    // SAFETY: the descriptor was written by the system just now; `text` is a valid place for the
    // result, which it then owns.
    let converted = unsafe {
        ConvertSecurityDescriptorToStringSecurityDescriptorW(
            descriptor.as_mut_ptr().cast(),
            SDDL_REVISION_1,
            OWNER_AND_DACL,
            &raw mut text.0,
            &raw mut text_length,
        )
    };
    if converted == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the system gave a text of that many UTF-16 units, which lives until `text` is
    // dropped.
    let units = unsafe { slice::from_raw_parts(text.0, text_length as usize) };
    Ok(String::from_utf16_lossy(units)
        .trim_end_matches('\0')
        .to_owned())
}

/// Writes the key to disk before it returns.
pub(super) fn flush(key: &Key) -> io::Result<()> {
    // SAFETY: the handle is open as long as `key` lives.
    succeeded(unsafe { RegFlushKey(key.as_raw()) })
}

fn succeeded(status: u32) -> io::Result<()> {
    if status == ERROR_SUCCESS {
        Ok(())
    } else {
        Err(io::Error::from_raw_os_error(status.cast_signed()))
    }
}

/// As the system takes texts: UTF-16, a zero at its end.
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Describes a slice that the callee only reads.
fn borrow(bytes: &[u8]) -> io::Result<CRYPT_INTEGER_BLOB> {
    Ok(CRYPT_INTEGER_BLOB {
        cbData: u32::try_from(bytes.len()).map_err(io::Error::other)?,
        pbData: bytes.as_ptr().cast_mut(),
    })
}

/// A result that the system allocated: zeroed before it is freed, for it may hold keys.
struct Local(CRYPT_INTEGER_BLOB);

impl Local {
    const fn empty() -> Self {
        Self(CRYPT_INTEGER_BLOB {
            cbData: 0,
            pbData: null_mut(),
        })
    }

    fn as_blob(&mut self) -> *mut CRYPT_INTEGER_BLOB {
        &raw mut self.0
    }

    fn bytes(&mut self) -> &mut [u8] {
        if self.0.pbData.is_null() {
            return &mut [];
        }
        // SAFETY: the system allocated that many bytes, which nothing else refers to, and which
        // live until `self` is dropped.
        unsafe { slice::from_raw_parts_mut(self.0.pbData, self.0.cbData as usize) }
    }
}

impl Drop for Local {
    fn drop(&mut self) {
        self.bytes().zeroize();
        free(self.0.pbData.cast());
    }
}

struct Text(*mut u16);

impl Drop for Text {
    fn drop(&mut self) {
        free(self.0.cast());
    }
}

/// Frees what the system allocated; for the owners above, each of which calls it once.
fn free(allocation: *mut c_void) {
    if !allocation.is_null() {
        // SAFETY: the pointer came from a function that says to free its result so, and its owner
        // is being dropped.
        unsafe { LocalFree(allocation) };
    }
}
