//! What an account has beside its lines in passwd, shadow and group, on a real root.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_tests::harness::Site;

use crate::host::Host;
use crate::namespace::{copy_over, is_inside, mount};

#[tokio::test(flavor = "multi_thread")]
async fn ranges_and_jobs_follow_a_rename_and_go_with_the_account() {
    let name = "c15_rename::ranges_and_jobs_follow_a_rename_and_go_with_the_account";
    if !is_inside(name) {
        return;
    }
    let site = Site::new();
    let own = site.folder("own");
    mount(&["-t", "tmpfs", "tmpfs"], &own);
    for folder in ["/etc", "/home", "/var/mail", "/var/spool"] {
        let folder = Path::new(folder).canonicalize().unwrap();
        copy_over(&folder, &own.join(folder.file_name().unwrap()));
    }
    for file in ["/etc/subuid", "/etc/subgid"] {
        fs::write(file, "").unwrap();
    }
    let real = PathBuf::from("/");
    let Some(host) = Host::under(site, real, "remove_home = true\n").await else {
        return;
    };
    let crontabs = host.root.join("var/spool/cron/crontabs");
    fs::create_dir_all(&crontabs).unwrap();
    host.portcullis("account create unix1 sub1").ok();
    let range = fs::read_to_string("/etc/subuid").unwrap();
    assert!(range.starts_with("sub1:"), "{range}");
    fs::write(crontabs.join("sub1"), "@daily true\n").unwrap();
    host.portcullis("account rename unix1 sub1 --to sub2").ok();
    for file in ["/etc/subuid", "/etc/subgid"] {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.starts_with("sub2:"), "{text}");
    }
    assert!(crontabs.join("sub2").exists() && !crontabs.join("sub1").exists());
    host.portcullis("account delete unix1 sub2").ok();
    assert_eq!(fs::read_to_string("/etc/subuid").unwrap(), "");
    assert_eq!(fs::read_to_string("/etc/subgid").unwrap(), "");
    assert!(!crontabs.join("sub2").exists());

    // What is left of another account of the name is not inherited.
    fs::write(crontabs.join("sub1"), "@daily true\n").unwrap();
    host.portcullis("account create unix1 sub1")
        .refused()
        .saying("/var/spool/cron/crontabs/sub1");
}
