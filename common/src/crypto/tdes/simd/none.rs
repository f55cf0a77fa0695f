//! A processor for which there are no registers here but those of the portable backend.

use crate::crypto::tdes::backend::{Backend, Feature};
use crate::crypto::tdes::kernel::add_batches;

pub(in crate::crypto::tdes) const BACKENDS: &[(&[Feature], Backend)] = &[];

pub(in crate::crypto::tdes) const ANY: Backend = Backend::new("u64", 2048, add_batches::<u64>);

pub(in crate::crypto::tdes) fn detected(_: Feature) -> bool {
    false
}
