//! The heap in the place of pages, where there is nothing to lock: other systems, and under an
//! interpreter.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Bytes that are taken at a time.
pub(super) const CHUNK: usize = 64 * 1024;
const ALIGN: usize = 4096;

/// Takes `len` bytes of zeros. `None` where there are none.
pub(super) fn map(len: usize) -> Option<NonNull<u8>> {
    let layout = Layout::from_size_align(len, ALIGN).ok()?;
    // SAFETY: the length is a chunk's at least, never zero.
    NonNull::new(unsafe { alloc_zeroed(layout) })
}

/// Nothing is locked.
pub(super) const fn lock(_start: NonNull<u8>, _len: usize) -> bool {
    false
}

/// Gives back what [`map`] gave.
///
/// # Safety
/// `map(len)` gave `start`, and nothing refers to it any more.
pub(super) unsafe fn unmap(start: NonNull<u8>, len: usize) {
    if let Ok(layout) = Layout::from_size_align(len, ALIGN) {
        // SAFETY: by the caller's word it came from `map`, with this layout.
        unsafe { dealloc(start.as_ptr(), layout) };
    }
}
