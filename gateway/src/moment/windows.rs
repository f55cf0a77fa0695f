//! `GetTickCount64`, which counts sleep and hibernation.
#![allow(unsafe_code)]

use windows_sys::Win32::System::SystemInformation::GetTickCount64;

pub(super) fn running_ms() -> u64 {
    // SAFETY: it takes nothing, cannot fail, and only reads a counter of the system.
    unsafe { GetTickCount64() }
}
