//! A processor for which there are no registers here but those of the portable backend.

use crate::crypto::tdes::backend::{Backend, Feature};

pub(in crate::crypto::tdes) const BACKENDS: &[(&[Feature], Backend)] = &[];

pub(in crate::crypto::tdes) fn detected(_: Feature) -> bool {
    false
}
