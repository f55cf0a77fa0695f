//! `portcullis-server validate`: says whether the server would start, without starting it.

use std::path::Path;

use crate::config::Config;
use crate::serve::{ServeError, Unlocked};

/// `portcullis-server validate`
pub(super) fn run(config: &Config, file: &Path) -> Result<(), ServeError> {
    if file.exists() {
        println!("configuration  {} is valid", file.display());
    } else {
        println!(
            "configuration  {} is not there: the defaults hold",
            file.display()
        );
    }
    let unlocked = super::serve::runtime(1)
        .map_err(ServeError::Runtime)?
        .block_on(Unlocked::inspect(config))?;
    println!(
        "repository     {} opens; server {}",
        config.repository_file().display(),
        unlocked.server_id
    );
    Ok(())
}
