//! The portable backend alone.

use crate::crypto::tdes::backend::{Backend, Feature};
use crate::crypto::tdes::kernel::add_batches;

/// Bytes of a batch: four of the registers' own, which share the masks. Miri would take seconds for the others.
const LEN: usize = if cfg!(miri) { 512 } else { 2048 };

pub(in crate::crypto::tdes) const BACKENDS: &[(&[Feature], Backend)] = &[];

pub(in crate::crypto::tdes) const ANY: Backend = Backend::new("u64", LEN, add_batches::<u64>);

pub(in crate::crypto::tdes) fn detected(_: Feature) -> bool {
    false
}
