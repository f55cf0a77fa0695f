//! On Unix it is the gateway's own, with mode 0600 or stricter, or a credential of its service.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path};

use portcullis_host::private_files;
use zeroize::Zeroizing;

/// Below it systemd lays the credentials of each unit.
const CREDENTIALS: &str = "/run/credentials";

pub(super) fn check_for_owner_of(folder: &Path, path: &Path) -> Result<(), String> {
    if is_credential(path) {
        return Ok(());
    }
    let of = |path: &Path| path.metadata().map(|found| found.uid());
    let user = match (of(folder), private_files::this_user()) {
        (Ok(owner), _) => owner,
        // Who makes the folder at his first start is not known yet: the file may be his already.
        (Err(_), 0) => of(path).unwrap_or(0),
        (Err(_), user) => user,
    };
    private_files::check_private_to(path, user).map_err(|error| error.to_string())
}

pub(super) fn check(path: &Path) -> Result<(), String> {
    // systemd vouches for who may read it, by means that its mode does not show.
    if is_credential(path) {
        return Ok(());
    }
    private_files::check_private(path).map_err(|error| error.to_string())
}

pub(super) fn read(path: &Path, longest: usize) -> io::Result<Zeroizing<Vec<u8>>> {
    private_files::read_bounded(path, longest)
}

/// Whether a path leads to a credential. With `..` in it, it may lead anywhere.
fn is_credential(path: &Path) -> bool {
    let leads_up = path.components().any(|part| part == Component::ParentDir);
    path.starts_with(CREDENTIALS) && !leads_up
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_leads_out_of_the_credentials_is_checked_like_any_other_file() {
        for (path, credential) in [
            (
                "/run/credentials/portcullis-gateway.service/directory",
                true,
            ),
            ("/run/credentials/./a.service//directory", true),
            ("/run/credentials/../../etc/passwd", false),
            ("/run/credentials/a.service/../../../etc/passwd", false),
            ("/run/credentials-of-mine/a", false),
            ("run/credentials/a", false),
        ] {
            assert_eq!(is_credential(Path::new(path)), credential, "{path}");
        }
        let folder = tempfile::tempdir().unwrap();
        let open = folder.path().join("open");
        fs::write(&open, "secret").unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).unwrap();
        let around = format!("/run/credentials/../..{}", open.display());
        check(Path::new(&around)).unwrap_err();
    }
}
