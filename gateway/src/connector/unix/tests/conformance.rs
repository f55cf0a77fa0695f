//! A scratch root for the conformance suite.

use portcullis_gateway::connectors::unix::create_scratch_root;

use crate::site::{Site, skipped};

/// A root of its own, or `None` where no account can be made.
fn site() -> Option<Site> {
    if !rustix::process::geteuid().is_root() {
        return skipped("shadow-utils change accounts for root only");
    }
    let folder = tempfile::tempdir().unwrap();
    create_scratch_root(folder.path()).unwrap();
    let prefix = folder.path().display();
    let section = format!("type = \"unix\"\nprefix = \"{prefix}\"\npassword_hash = \"sha512\"");
    Some(Site {
        _kept: Box::new(folder),
        section,
        free_text: "full_name",
        action: None,
    })
}

conforms!(site);
