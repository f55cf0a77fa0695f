//! libFuzzer on the target that `PORTCULLIS_FUZZ_TARGET` names.
#![no_main]
#![allow(unsafe_code, reason = "what the macro defines is called from C++")]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use portcullis_fuzz::{TARGETS, Target};

#[allow(clippy::disallowed_methods, reason = "libFuzzer has the main function")]
static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("PORTCULLIS_FUZZ_TARGET").unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == name);
    *target.unwrap_or_else(|| {
        eprintln!("PORTCULLIS_FUZZ_TARGET: there is no target `{name}`");
        std::process::exit(2);
    })
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));
