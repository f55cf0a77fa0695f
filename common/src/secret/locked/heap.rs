//! The ordinary heap in the place of locked pages.

use std::ops::{Deref, DerefMut};

use zeroize::ZeroizeOnDrop;

use super::NotLocked;

/// A value that wipes itself when dropped, on the heap.
pub struct Locked<T: ZeroizeOnDrop>(Box<T>);

impl<T: ZeroizeOnDrop> Locked<T> {
    /// Keeps `value`.
    pub fn new(value: T) -> Self {
        Self(Box::new(value))
    }
}

impl<T: ZeroizeOnDrop> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ZeroizeOnDrop> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

/// Nothing is locked in this build.
///
/// # Errors
/// [`NotLocked`], always.
pub const fn check() -> Result<(), NotLocked> {
    Err(NotLocked { bytes: 0 })
}
