//! The central server.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use portcullis_common::secret::wiping::Wiping;

/// Erases what is freed: payloads pass through buffers that know nothing of secrets.
#[global_allocator]
static ALLOCATOR: Wiping = Wiping::new();

fn main() -> ExitCode {
    portcullis_server::cli::main()
}
