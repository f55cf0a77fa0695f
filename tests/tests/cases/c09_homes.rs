//! Homes that are there already.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};

use crate::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn a_home_that_is_somebody_elses_is_refused_before_anything_is_made() {
    let Some(host) = Host::new("").await else {
        return;
    };
    let home = |name: &str| host.root.join("home").join(name);
    fs::create_dir_all(host.root.join("srv/other")).unwrap();
    fs::create_dir(home("anna")).unwrap();
    fs::write(home("anna/note"), "note").unwrap();
    fs::set_permissions(home("anna"), fs::Permissions::from_mode(0o700)).unwrap();
    if chown(home("anna"), Some(1500), Some(1500)).is_err() {
        eprintln!("skipped: nothing can belong to another user here");
        return;
    }
    symlink("../srv/other", home("link")).unwrap();
    symlink("/nowhere", home("dangling")).unwrap();
    fs::write(home("file"), "").unwrap();
    let before = host.read("etc/passwd");
    for (name, said) in [
        ("anna", "belongs to the uid 1500"),
        ("link", "symbolic link to `../srv/other`"),
        ("dangling", "symbolic link to `/nowhere`"),
        ("file", "no folder"),
    ] {
        host.portcullis(&format!("account create unix1 {name}"))
            .refused()
            .saying(said);
        assert_eq!(host.read("etc/passwd"), before, "{name}");
    }
    host.portcullis("account create unix1 anna --set uid=1500")
        .ok();
    assert_eq!(home("anna").metadata().unwrap().uid(), 1500);
    assert_eq!(fs::read(home("anna/note")).unwrap(), b"note");
}
