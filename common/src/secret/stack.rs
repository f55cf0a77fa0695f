//! The stack after a secret: what a function leaves in its frames stays there until something else
//! is called.

use std::hint::black_box;

/// Bytes that are wiped: more than any derivation, hash or key schedule here uses.
const DEPTH: usize = 8 * 1024;

/// Runs `work` and wipes the frames that it and what it called had. Its result must hold no secret
/// by value.
pub fn wiped<T>(work: impl FnOnce() -> T) -> T {
    wiped_to::<DEPTH, T>(work)
}

/// The same for work that is known to use no more than `DEPTH` bytes, and runs so often that it
/// matters.
#[inline(never)]
pub fn wiped_to<const DEPTH: usize, T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    wipe::<DEPTH>();
    result
}

/// A frame of its own, so that it begins where that of [`wipe`] will.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe<const DEPTH: usize>() {
    let frames = [0_u8; DEPTH];
    // Seen from here, so that the zeros are written.
    black_box(&frames);
}
