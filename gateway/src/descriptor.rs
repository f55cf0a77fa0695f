//! Windows: security descriptors, made from SDDL.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::io;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::LocalFree;
use windows_sys::Win32::Security::Authorization::{
    ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::SECURITY_ATTRIBUTES;

/// An owner and an access list, as the system takes them; freed when dropped.
pub(crate) struct Descriptor(*mut c_void);

impl Descriptor {
    /// What `sddl` says.
    ///
    /// # Errors
    /// What the system said.
    pub(crate) fn parse(sddl: &str) -> io::Result<Self> {
        let sddl: Vec<u16> = sddl.encode_utf16().chain([0]).collect();
        let mut descriptor = Self(null_mut());
        // SAFETY: the text ends with a zero and lives through the call; the descriptor is a valid
        // place for the result, which it then owns; the size is not asked for.
        let converted = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                sddl.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor.0,
                null_mut(),
            )
        };
        if converted == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(descriptor)
    }

    /// For calls that take it. Valid as long as `self` lives.
    pub(crate) const fn as_ptr(&self) -> *mut c_void {
        self.0
    }

    /// For calls that make something closed from its first moment. Valid as long as `self` lives.
    ///
    /// # Errors
    /// None that can come: the structure's size fits its own field.
    pub(crate) fn attributes(&self) -> io::Result<SECURITY_ATTRIBUTES> {
        Ok(SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).map_err(io::Error::other)?,
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: the system allocated it and says to free it so, and nothing refers to it any
            // more.
            unsafe { LocalFree(self.0) };
        }
    }
}
