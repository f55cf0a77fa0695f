//! Pages on Windows: locked by `VirtualLock`, for which the working set is enlarged where it has no
//! room.

use std::ptr::{self, NonNull};

use windows_sys::Win32::System::Memory::{
    MEM_COMMIT, MEM_RELEASE, MEM_RESERVE, PAGE_NOACCESS, PAGE_READWRITE, VirtualAlloc, VirtualFree,
    VirtualLock, VirtualProtect,
};
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetProcessWorkingSetSize, SetProcessWorkingSetSize,
};

/// Bytes that are mapped at a time, and of the guards on either side: the granularity of
/// `VirtualAlloc`.
pub(super) const CHUNK: usize = 64 * 1024;

/// Maps `len` bytes of zeros, a multiple of [`CHUNK`], between two guards. `None` where the system
/// has none.
pub(super) fn map(len: usize) -> Option<NonNull<u8>> {
    let whole = len.checked_add(2 * CHUNK)?;
    // SAFETY: a new allocation, at an address that the system chooses, replaces nothing.
    let base = unsafe { VirtualAlloc(ptr::null(), whole, MEM_RESERVE | MEM_COMMIT, PAGE_NOACCESS) };
    let base = NonNull::new(base)?;
    // SAFETY: the guard's length is below the allocation's.
    let start = unsafe { base.byte_add(CHUNK) };
    let mut before = 0;
    // SAFETY: these bytes are of the allocation just made, which nobody else knows.
    let ready = unsafe { VirtualProtect(start.as_ptr(), len, PAGE_READWRITE, &raw mut before) };
    if ready == 0 {
        // SAFETY: the allocation just made, which nothing refers to.
        unsafe { VirtualFree(base.as_ptr(), 0, MEM_RELEASE) };
        return None;
    }
    Some(start.cast())
}

/// Keeps mapped pages in memory; whether the system did.
pub(super) fn lock(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: only where the pages are kept changes, not what they hold.
    let lock = || unsafe { VirtualLock(start.as_ptr().cast(), len) != 0 };
    lock() || (enlarge_working_set(len) && lock())
}

/// Gives back what [`map`] gave, guards and all.
///
/// # Safety
/// `map(len)` gave `start`, and nothing refers to it any more.
pub(super) unsafe fn unmap(start: NonNull<u8>, _len: usize) {
    // SAFETY: `map` mapped one guard before the start.
    let base = unsafe { start.byte_sub(CHUNK) };
    // SAFETY: the whole allocation that `map` made, by the caller's word unused.
    unsafe { VirtualFree(base.as_ptr().cast(), 0, MEM_RELEASE) };
}

/// A process may lock a little less than its smallest working set.
fn enlarge_working_set(by: usize) -> bool {
    let (mut least, mut most) = (0, 0);
    // SAFETY: the pseudo handle of this process is always valid, and both numbers are ours to be
    // written.
    unsafe {
        let process = GetCurrentProcess();
        GetProcessWorkingSetSize(process, &raw mut least, &raw mut most) != 0
            && SetProcessWorkingSetSize(process, least.saturating_add(by), most.saturating_add(by))
                != 0
    }
}
