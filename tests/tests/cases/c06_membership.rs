//! Members that join and leave while others change the same group.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::thread::JoinHandle;

use rustix::fs::{FlockOperation, fcntl_lock};

use crate::host::Host;

#[tokio::test(flavor = "multi_thread")]
async fn a_membership_is_changed_and_nothing_else() {
    let Some(host) = Host::new("").await else {
        return;
    };
    let mut passwd = String::new();
    let names: Vec<String> = (0..11_600).map(|n| format!("student{n:05}")).collect();
    for (n, name) in names.iter().enumerate() {
        passwd += &format!("{name}:x:{}:3000::/home/{name}:/bin/sh\n", 20_000 + n);
    }
    host.append("etc/passwd", passwd.as_bytes());
    let class = names[..11_000].join(",");
    let groups = format!(
        "students:x:3000:\nclass:x:3001:{class}\nsmall:x:3002:student00100\nteam:x:3003:student00006,leaver\n"
    );
    host.append("etc/group", groups.as_bytes());

    let line = |name: &str| {
        let text = String::from_utf8(host.read("etc/group")).unwrap();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.to_owned()
    };
    let editing = edit_while_waiting(&host);
    host.portcullis("group update unix1 small --add members=student00170")
        .ok();
    editing.join().unwrap();
    assert_eq!(
        line("small:"),
        "small:x:3002:student00100,student00179,student00170"
    );

    // More names than an argument can hold.
    host.portcullis("group update unix1 class --add members=student11500")
        .ok();
    host.portcullis("group update unix1 class --remove members=student00000")
        .ok();
    assert_eq!(line("class:").split(',').count(), 11_000);

    // A name that is no account any more.
    host.portcullis("group update unix1 team --add members=student00003")
        .ok();
    host.portcullis("group update unix1 team --remove members=leaver")
        .ok();
    assert_eq!(line("team:"), "team:x:3003:student00006,student00003");

    // No lock, nothing written: known, and worth another attempt.
    fs::write(host.root.join("etc/group.lock"), "1").unwrap();
    host.portcullis("group update unix1 team --add members=student00004")
        .refused()
        .saying("of process 1");
}

/// Holds the lock until a change waits for it, and has then added a member by hand.
fn edit_while_waiting(host: &Host) -> JoinHandle<()> {
    let lock = File::create(host.root.join("etc/.pwd.lock")).unwrap();
    fcntl_lock(&lock, FlockOperation::LockExclusive).unwrap();
    let path = host.root.join("etc/group");
    std::thread::spawn(move || {
        let inode = format!(":{} ", lock.metadata().unwrap().ino());
        let waits = |line: &str| line.contains("-> ") && line.contains(&inode);
        while !fs::read_to_string("/proc/locks")
            .unwrap()
            .lines()
            .any(waits)
        {
            std::thread::yield_now();
        }
        let text = fs::read_to_string(&path).unwrap();
        let edited = text.replace("student00100\n", "student00100,student00179\n");
        fs::write(&path, edited).unwrap();
        drop(lock);
    })
}
