//! SSE2, AVX2, AVX-512 on registers of 256 and of 512 bits, and the general registers.

mod registers;
mod rounds;

use std::is_x86_feature_detected;

use registers::{Avx2, Avx512, Avx512Vl, Scalar, Sse2};

use crate::backend::{Backend, Feature};
use crate::kernel::add_batches;
use crate::schedule::Schedule;

/// The fastest first, each with what it needs.
pub(crate) const BACKENDS: &[(&[Feature], Backend)] = &[
    (
        &[Feature::Avx512f],
        Backend::new("avx512", 4096, 4096, avx512),
    ),
    (
        &[Feature::Avx512f, Feature::Avx512vl, Feature::Avx2],
        Backend::new("avx512vl", 4096, 2048, avx512vl),
    ),
    (&[Feature::Avx2], Backend::new("avx2", 4096, 2048, avx2)),
    (&[Feature::Sse2], Backend::new("sse2", 2048, 1024, sse2)),
];

/// What every processor of this kind can run.
pub(crate) const ANY: Backend = Backend::new("u64", 2048, 512, add_batches::<Scalar>);

pub(crate) fn detected(feature: Feature) -> bool {
    match feature {
        Feature::Avx512f => is_x86_feature_detected!("avx512f"),
        Feature::Avx512vl => is_x86_feature_detected!("avx512vl"),
        Feature::Avx2 => is_x86_feature_detected!("avx2"),
        Feature::Sse2 => is_x86_feature_detected!("sse2"),
        Feature::Neon => false,
    }
}

/// `$name` is the kernel on `$register`, compiled with `$features`.
macro_rules! backend {
    ($name:ident, $register:ty, $features:literal) => {
        fn $name(schedule: &Schedule, first: u64, data: &mut [u8]) {
            #[target_feature(enable = $features)]
            fn enabled(schedule: &Schedule, first: u64, data: &mut [u8]) {
                add_batches::<$register>(schedule, first, data);
            }
            // SAFETY: this function is called through its entry in `BACKENDS` alone, which is given
            // out only where the processor has these features.
            unsafe { enabled(schedule, first, data) }
        }
    };
}

backend!(avx512, Avx512, "avx512f");
backend!(avx512vl, Avx512Vl, "avx512f,avx512vl,avx2");
backend!(avx2, Avx2, "avx2");
backend!(sse2, Sse2, "sse2");
