//! Registers wider than a word: the only unsafe code of the ciphers.
//!
//! Every intrinsic here needs an extension of the instruction set, and works on values in
//! registers, or on references to arrays of the register's size. What makes them safe to call is
//! one rule: a register type is private to its file, and used only by the kernel of its own
//! backend, which [`Backend::available`](crate::Backend::available) gives out only where the
//! processor has the extension.
//!
//! Without the cargo feature `simd`, and on a processor for which there are no registers here,
//! there is no unsafe code.

#![cfg_attr(feature = "simd", allow(unsafe_code))]

#[cfg(all(feature = "simd", target_arch = "aarch64", target_endian = "little"))]
#[path = "aarch64.rs"]
mod arch;
#[cfg(all(feature = "simd", target_arch = "x86_64"))]
#[path = "x86_64/mod.rs"]
mod arch;
#[cfg(not(all(
    feature = "simd",
    any(
        target_arch = "x86_64",
        all(target_arch = "aarch64", target_endian = "little")
    )
)))]
#[path = "none.rs"]
mod arch;

pub(crate) use arch::{ANY, BACKENDS, detected};
