//! The gateway agent's program.

use std::process::ExitCode;

use portcullis_common::secret::wiping::Wiping;

/// Passwords and keys do not outlive their use, not even in freed memory.
#[global_allocator]
static ALLOCATOR: Wiping = Wiping::new();

fn main() -> ExitCode {
    portcullis_gateway::cli::main()
}
