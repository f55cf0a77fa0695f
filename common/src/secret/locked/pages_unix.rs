//! Pages on Unix: locked by `mlock`, and on Linux out of core dumps (`MADV_DONTDUMP`) and of forked
//! children (`MADV_DONTFORK`).

use std::ptr::{self, NonNull};

use rustix::mm::{
    MapFlags, MprotectFlags, ProtFlags, madvise, mlock, mmap_anonymous, mprotect, munmap,
};

/// Bytes that are mapped at a time, and of the guards on either side: a multiple of every page size
/// in use.
pub(super) const CHUNK: usize = 64 * 1024;

#[cfg(target_os = "linux")]
const ADVICE: &[rustix::mm::Advice] = &[
    rustix::mm::Advice::LinuxDontDump,
    rustix::mm::Advice::LinuxDontFork,
];
#[cfg(not(target_os = "linux"))]
const ADVICE: &[rustix::mm::Advice] = &[];

/// Maps `len` bytes of zeros, a multiple of [`CHUNK`], between two guards. `None` where the system
/// has none, or does not keep them out of core dumps.
pub(super) fn map(len: usize) -> Option<NonNull<u8>> {
    let whole = len.checked_add(2 * CHUNK)?;
    // SAFETY: a new mapping, at an address that the system chooses, replaces nothing.
    let base = unsafe {
        mmap_anonymous(
            ptr::null_mut(),
            whole,
            ProtFlags::empty(),
            MapFlags::PRIVATE,
        )
        .ok()?
    };
    // SAFETY: the guard's length is below the mapping's.
    let start = unsafe { base.byte_add(CHUNK) };
    // SAFETY: these bytes are of the mapping just made, which nobody else knows. No advice of the
    // list drops content.
    let ready = unsafe {
        mprotect(start, len, MprotectFlags::READ | MprotectFlags::WRITE).is_ok()
            && ADVICE
                .iter()
                .all(|advice| madvise(start, len, *advice).is_ok())
    };
    if !ready {
        // SAFETY: the mapping just made, which nothing refers to.
        unsafe { munmap(base, whole) }.ok()?;
        return None;
    }
    NonNull::new(start.cast())
}

/// Keeps mapped pages in memory; whether the system did.
pub(super) fn lock(start: NonNull<u8>, len: usize) -> bool {
    // SAFETY: only where the pages are kept changes, not what they hold.
    unsafe { mlock(start.as_ptr().cast(), len) }.is_ok()
}

/// Gives back what [`map`] gave, guards and all.
///
/// # Safety
/// `map(len)` gave `start`, and nothing refers to it any more.
pub(super) unsafe fn unmap(start: NonNull<u8>, len: usize) {
    // SAFETY: `map` mapped one guard before the start.
    let base = unsafe { start.as_ptr().byte_sub(CHUNK) };
    // An error would leave the wiped pages mapped.
    // SAFETY: the whole mapping that `map` made, by the caller's word unused.
    let _ = unsafe { munmap(base.cast(), len + 2 * CHUNK) };
}
