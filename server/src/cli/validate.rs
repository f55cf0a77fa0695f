//! `portcullis-server validate`: says whether the server would start, without starting it.

use std::path::Path;

use portcullis_host::output;

use crate::config::Config;
use crate::repository::Store;
use crate::serve::{Inspection, ServeError};

/// `portcullis-server validate`
pub(super) fn run(config: &Config, file: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let what = if file.exists() {
        "is valid"
    } else {
        "is not there: the defaults hold"
    };
    output::print(&format!("configuration  {} {what}\n", file.display()))?;
    let inspection = super::serve::runtime(1)
        .map_err(ServeError::Runtime)?
        .block_on(Inspection::of(config))?;
    output::print(&format!(
        "repository     {} opens; server {}\n",
        Store::of(config),
        inspection.server_id
    ))?;
    for line in &inspection.fine {
        output::print(&format!("{line}\n"))?;
    }
    for warning in &inspection.warnings {
        eprintln!("warning: {warning}");
    }
    Ok(())
}
