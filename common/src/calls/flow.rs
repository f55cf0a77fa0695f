//! What the two directions of a call have in common on both sides.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::incoming::Incoming;
use super::outgoing::Outgoing;

/// The two directions of one call.
pub(super) trait Flow {
    fn outgoing(&mut self) -> &mut Outgoing;
    fn incoming(&mut self) -> &mut Incoming;
}

/// Calls by their numbers. These are counted up; a peer that chooses them otherwise to make them
/// collide gains little, since there are never many.
pub(super) type Calls<C> = HashMap<u64, C, FxBuildHasher>;
