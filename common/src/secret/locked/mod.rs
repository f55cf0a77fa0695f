//! Memory for keys, and for what is as good as a key: never swapped out, in no core dump, not
//! handed to a forked child, wiped when it is given back.
//!
//! With the feature `locked-memory` the values stand in pages of their own (`arena`); without it,
//! or on a system that has no such pages, on the ordinary heap. The interface is the same, and
//! safe.

#[cfg(feature = "locked-memory")]
mod arena;
#[cfg(not(feature = "locked-memory"))]
#[path = "heap.rs"]
mod arena;
#[cfg(all(feature = "locked-memory", unix, not(miri)))]
#[path = "pages_unix.rs"]
mod pages;
#[cfg(all(feature = "locked-memory", windows, not(miri)))]
#[path = "pages_windows.rs"]
mod pages;
#[cfg(all(feature = "locked-memory", any(miri, not(any(unix, windows)))))]
#[path = "pages_heap.rs"]
mod pages;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::{Deref, DerefMut};

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::stack;
pub use arena::{Locked, check};

/// The system refused to lock memory that holds keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the system refused to lock {bytes} bytes of memory that hold keys: they stay out of core dumps, but may be swapped out; raise the limit for locked memory (LimitMEMLOCK= in the systemd unit, `ulimit -l`) to 1 MiB and 4 KiB more for every link"
)]
pub struct NotLocked {
    /// How many, so far.
    pub bytes: usize,
}

impl<T: ZeroizeOnDrop> Locked<T> {
    /// Keeps what `make` gives, and wipes the stack that it was made on.
    pub fn make(make: impl FnOnce() -> T) -> Self {
        stack::wiped(|| Self::new(make()))
    }
}

impl<T: ZeroizeOnDrop + Clone> Clone for Locked<T> {
    fn clone(&self) -> Self {
        Self::make(|| T::clone(self))
    }
}

impl<T: ZeroizeOnDrop> ZeroizeOnDrop for Locked<T> {}

impl<T: ZeroizeOnDrop> fmt::Debug for Locked<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked([redacted])")
    }
}

/// `N` secret bytes in locked memory.
#[derive(Clone, Debug)]
pub struct LockedBytes<const N: usize>(Locked<Zeroizing<[u8; N]>>);

impl<const N: usize> LockedBytes<N> {
    /// Zeros, to be written over in place.
    pub fn zeroed() -> Self {
        Self(Locked::new(Zeroizing::new([0; N])))
    }

    /// A copy of `bytes`, which the caller wipes.
    pub fn copy_of(bytes: &[u8; N]) -> Self {
        let mut copy = Self::zeroed();
        copy.copy_from_slice(bytes);
        copy
    }
}

impl<const N: usize> Deref for LockedBytes<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> DerefMut for LockedBytes<N> {
    fn deref_mut(&mut self) -> &mut [u8; N] {
        &mut self.0
    }
}

impl<const N: usize> Zeroize for LockedBytes<N> {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for LockedBytes<N> {}
