//! A small root of its own, in which accounts can be made without touching the host's.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Files of a scratch root: path, mode, content.
const FILES: &[(&str, u32, &str)] = &[
    (
        "etc/passwd",
        0o644,
        "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    ),
    (
        "etc/shadow",
        0o600,
        "root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\nnobody:*:19000:0:99999:7:::\n",
    ),
    (
        "etc/group",
        0o644,
        "root:x:0:\ndaemon:x:1:\nadm:x:4:\nsudo:x:27:\nshadow:x:42:\nusers:x:100:\nnogroup:x:65534:\n",
    ),
    (
        "etc/gshadow",
        0o600,
        "root:*::\ndaemon:*::\nadm:*::\nsudo:*::\nshadow:*::\nusers:*::\nnogroup:*::\n",
    ),
    (
        "etc/login.defs",
        0o644,
        "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nSYS_UID_MIN 100\nSYS_UID_MAX 999\nSYS_GID_MIN 100\nSYS_GID_MAX 999\nUSERGROUPS_ENAB yes\nHOME_MODE 0700\n",
    ),
    (
        "etc/shells",
        0o644,
        "/bin/sh\n/bin/bash\n/usr/bin/bash\n/usr/sbin/nologin\n",
    ),
];

/// Makes a minimal tree under `path`: the account files with the system's own accounts and groups,
/// and an empty `home`. Point a connector's `prefix` there, and shadow-utils work on it alone.
///
/// # Errors
/// Where `path` holds any of the files already, which then stay as they are, or cannot be written.
pub fn create_scratch_root(path: &Path) -> io::Result<()> {
    for folder in ["etc", "home"] {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(path.join(folder))?;
    }
    for (name, mode, content) in FILES {
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(*mode)
            .open(path.join(name))?
            .write_all(content.as_bytes())?;
    }
    Ok(())
}
