//! The choice among the kernels that the processor has the instructions for.

use std::iter;

use crate::backend::{Backend, Feature, Features};
use crate::simd;

impl Features {
    /// Those of this processor; none in a build without the cargo feature `simd`.
    pub fn detected() -> Self {
        let found = Feature::ALL
            .into_iter()
            .filter(|feature| simd::detected(*feature));
        Self(found.fold(0, |set, feature| set | feature as u8))
    }
}

impl Backend {
    /// Those that need no more than `features`, the fastest first. The last needs none.
    pub fn available(features: Features) -> impl Iterator<Item = Self> {
        let wide = simd::BACKENDS
            .iter()
            .filter(move |(needs, _)| needs.iter().all(|feature| features.has(*feature)))
            .map(|(_, backend)| *backend);
        wide.chain(iter::once(simd::ANY))
    }

    /// The fastest of this processor.
    pub fn fastest() -> Self {
        Self::available(Features::detected())
            .next()
            .unwrap_or(simd::ANY)
    }
}
