//! The administrators' command.
#![forbid(unsafe_code)]

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Passwords pass through the buffers of libraries that do not erase them; freed memory never holds one.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    portcullis_server::admin_cli::main()
}
