//! `portcullis-server demo`.

use crate::demo::{self, DemoArgs, DemoError};

/// Runs the demonstration.
pub(super) fn run(arguments: &DemoArgs) -> Result<(), DemoError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| DemoError::Host(format!("cannot start the demonstration: {source}")))?
        .block_on(demo::run(arguments.clone()))
}
