//! Where secrets must not be: logs, command lines, environments, and the memory that a core file
//! would hold.

use std::fs;
use std::io::{Read, Seek, SeekFrom};

use portcullis_tests::harness::{Gateway, eventually};

use crate::{Pair, scratch_root};

const PASSWORD: &str = "Xq7-unlikely-passphrase-93";

#[tokio::test(flavor = "multi_thread")]
async fn passwords_and_tokens_stay_out_of_logs_arguments_and_memory() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: to look into another process's memory needs root");
        return;
    }
    let (_scratch, config) = scratch_root();
    let pair = Pair::dialled_in(&config).await;
    pair.admin.add_resource("unix", "host1", "local").await;
    for verb in ["create", "set-password", "authenticate"] {
        let line = format!("account {verb} unix eve --password-stdin");
        let given = pair
            .server
            .portcullis_given(&line, &format!("{PASSWORD}\n"));
        given.ok();
    }
    // A live link's HTTP/2 buffer keeps what it received last; the link is replaced, and with it
    // the buffer.
    pair.admin.rotate(30_000).await;
    pair.admin.synchronized("host1").await;

    let stored = fs::read(pair.key_store()).unwrap();
    for (who, process, log) in [
        ("gateway", &pair.gateway.process, pair.gateway.whole_log()),
        ("server", &pair.server.process, pair.server.whole_log()),
    ] {
        assert!(!log.contains(PASSWORD), "{who}'s log holds the password");
        let enough = log.len() > 200;
        assert!(enough, "{who} logged nothing: the check above is void");
        let id = process.as_ref().unwrap().id();
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{id}/{file}")).unwrap();
            assert!(!contains(&text, PASSWORD.as_bytes()), "{who}'s {file}");
        }
        leaves_no_core_file(who, id);

        // The search finds what is there; the password goes with the old link, and nothing freed
        // keeps it.
        let readable = contains(&memory(id), b"portcullis");
        assert!(readable, "{who}'s memory could not be read");
        eventually(&format!("{who}'s memory to hold no password"), || async {
            (count(&memory(id), PASSWORD.as_bytes()) == 0).then_some(())
        })
        .await;
    }
    assert!(!contains(&stored, PASSWORD.as_bytes()));
}

fn leaves_no_core_file(who: &str, process: u32) {
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let mut lines = limits.lines();
    let core = lines.find(|line| line.starts_with("Max core file size"));
    let soft = core.unwrap().split_whitespace().nth(4);
    assert_eq!(soft, Some("0"), "{who} may leave a core file: {core:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_token_is_in_no_log() {
    let pair = Pair::dialled_out("").await;
    let token = pair.admin.add_gateway("host2", "", false).await;
    let mut other = Gateway::new(&pair.site, "host2", pair.gateway.dial, "");
    other.enroll(&token);
    other.start();
    pair.admin.synchronized("host2").await;
    for log in [other.whole_log(), pair.server.whole_log()] {
        assert!(log.len() > 200);
        assert!(!log.contains(&token));
        // Nor its greater part, whatever it was cut to.
        assert!(!log.contains(&token[token.len() / 2..]));
    }
}

/// All that the process can write to, as a core file would have it.
fn memory(process: u32) -> Vec<u8> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let mut file = fs::File::open(format!("/proc/{process}/mem")).unwrap();
    let mut all = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(rights)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((from, to)) = range.split_once('-') else {
            continue;
        };
        if !rights.starts_with("rw") {
            continue;
        }
        let from = u64::from_str_radix(from, 16).unwrap();
        let to = u64::from_str_radix(to, 16).unwrap();
        let mut part = vec![0; usize::try_from(to - from).unwrap()];
        // Regions that the kernel keeps to itself cannot be read.
        if file.seek(SeekFrom::Start(from)).is_ok() && file.read_exact(&mut part).is_ok() {
            all.append(&mut part);
        }
    }
    all
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    count(bytes, wanted) > 0
}

fn count(bytes: &[u8], wanted: &[u8]) -> usize {
    let first = wanted[0];
    let mut found = 0;
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(wanted) {
            found += 1;
        }
        rest = &rest[at + 1..];
    }
    found
}
