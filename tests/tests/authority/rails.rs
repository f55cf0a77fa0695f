//! Ways around the guard rails of accounts and groups, and work without bound behind them: each is
//! tried through the server, as whoever stole it would.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use portcullis_proto::gateway::v1 as wire;
use portcullis_tests::harness::{Admin, Dial, Gateway, Server, Site};
use tempfile::TempDir;
use wire::ModificationOperation::{Add, Replace};
use wire::call::Verb;

/// Names in one call: the most that fit into what a gateway takes.
const NAMES: usize = 40_000;
/// What the call with all of them may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How much later its answer may come: the machine is shared.
const LATE: Duration = Duration::from_secs(8);

/// A server and a gateway that keeps accounts in a scratch root.
struct Host {
    server: Server,
    _gateway: Gateway,
    admin: Admin,
    scratch: TempDir,
    _site: Site,
}

impl Host {
    async fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let prefix = scratch.path();
        portcullis_gateway::connectors::unix::create_scratch_root(prefix).unwrap();
        populate(prefix);
        let config = format!(
            "[connectors.local]\ntype = \"unix\"\nprefix = {prefix:?}\npassword_hash = \"sha512\"\n"
        );
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let dial = Dial::inward();
        let mut gateway = Gateway::new(&site, "host1", dial, &config);
        let token = admin.add_gateway("host1", &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized("host1").await;
        admin.add_resource("unix", "host1", "local").await;
        Self {
            server,
            _gateway: gateway,
            admin,
            scratch,
            _site: site,
        }
    }

    fn files(&self) -> String {
        let read = |file: &str| fs::read_to_string(self.scratch.path().join(file)).unwrap();
        ["etc/passwd", "etc/group", "etc/shadow", "etc/gshadow"]
            .map(read)
            .concat()
    }
}

fn group(name: &str) -> Option<wire::ObjectRef> {
    Some(wire::ObjectRef {
        object_class: wire::ObjectClass::Group.into(),
        by: Some(wire::object_ref::By::Name(name.to_owned())),
        ..wire::ObjectRef::default()
    })
}

/// Alice is an administrator, bob one of the database's; eve is nobody in particular.
fn populate(prefix: &Path) {
    let add = |file: &str, lines: &[&str]| {
        let path = prefix.join(file);
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("sudo:x:27:", "sudo:x:27:alice,kate,lena");
        fs::write(path, text + &lines.join("\n") + "\n").unwrap();
    };
    let accounts = [
        ("alice", 1000, 1000),
        ("bob", 1001, 1001),
        ("eve", 1002, 1002),
        ("kate", 1003, 2000),
        // Her primary group has no line.
        ("lena", 1004, 4000),
    ];
    let passwd =
        accounts.map(|(name, uid, gid)| format!("{name}:x:{uid}:{gid}::/home/{name}:/bin/sh"));
    let shadow = accounts.map(|(name, ..)| format!("{name}:*:19000:0:99999:7:::"));
    add("etc/passwd", &passwd.each_ref().map(String::as_str));
    add("etc/shadow", &shadow.each_ref().map(String::as_str));
    let groups = [
        ("alice", 1000, ""),
        ("bob", 1001, ""),
        ("eve", 1002, ""),
        ("postgres", 115, "bob"),
        ("team", 2000, ""),
        ("sshusers", 3000, "alice,eve"),
        ("printers", 3001, "alice"),
        ("many", 3002, ""),
    ];
    let group = groups.map(|(name, gid, members)| format!("{name}:x:{gid}:{members}"));
    let gshadow = groups.map(|(name, _, members)| format!("{name}:!::{members}"));
    add("etc/group", &group.each_ref().map(String::as_str));
    add("etc/gshadow", &gshadow.each_ref().map(String::as_str));
    fs::write(prefix.join("etc/subuid"), "alice:50000:1000\n").unwrap();
    fs::write(prefix.join("etc/subgid"), "alice:50000:1000\n").unwrap();
}

/// Whether shadow-utils may work on a scratch root here.
fn may_make_accounts() -> bool {
    let may = rustix::process::geteuid().is_root();
    if !may {
        eprintln!("skipped: accounts in a scratch root need root here");
    }
    may
}

/// Each line is one attack, after those above it: what they would leave is what it builds on.
const ATTACKS: &[&str] = &[
    // The own group of a protected account, once it is called otherwise.
    "group rename unix alice --to team1",
    "group update unix team1 --add members=eve",
    "account create unix mallory --set primary_group=team1",
    "group update unix alice --add members=eve",
    "account create unix mallory2 --set primary_group=alice",
    // The same by its number alone: kate's primary group is not called as she is.
    "group update unix team --add members=eve",
    "account update unix eve --add groups=team",
    "account create unix mallory3 --set primary_group=team",
    "group create unix stolen --set gid:int=4000 --set members=eve",
    // Memberships of a protected account, from the group's side.
    "group update unix sshusers --remove members=alice",
    "group update unix many --add members=alice",
    "group update unix sshusers --set members=eve",
    "group delete unix printers",
    "group rename unix sshusers --to nobodys",
    // Somebody who rules by a group with a low id.
    "account set-password unix bob --password-stdin",
    "account update unix bob --set shell=/bin/bash",
    "account rename unix bob --to robert",
    // Ids that are not people's.
    "account create unix over --set uid:int=100000",
    "account create unix over2 --set uid:int=4000000",
    "account create unix inside --set uid:int=50500",
    "group create unix over3 --set gid:int=100000",
    "group create unix inside2 --set gid:int=50501",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_rails_hold_by_whatever_way() {
    if !may_make_accounts() {
        return;
    }
    let host = Host::new().await;
    let before = host.files();
    let mut succeeded = Vec::new();
    for attack in ATTACKS {
        let told = tokio::task::block_in_place(|| {
            let password = "Owned-By-Mallory-41\n";
            let finished = host.server.portcullis_given(attack, password);
            match finished.status.success() {
                true => "done".to_owned(),
                false => finished.stderr,
            }
        });
        // Those that build on one that failed are about something that is not there.
        let refused = told.contains("guard rail") || told.contains("there is no group");
        if !refused {
            succeeded.push(format!("{attack}: {told}"));
        }
    }
    assert!(succeeded.is_empty(), "not refused: {succeeded:#?}");
    assert_eq!(host.files(), before);
    // What is nobody's but eve's stays open.
    for open in [
        "group update unix many --add members=eve",
        "group rename unix many --to more",
        "group get unix more",
        "account update unix eve --set expires=2030-01-01",
    ] {
        tokio::task::block_in_place(|| host.server.portcullis(open)).ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_list_keeps_to_the_time_of_its_call() {
    if !may_make_accounts() {
        return;
    }
    let host = Host::new().await;
    let text = |number: usize| wire::Value {
        kind: Some(wire::value::Kind::Text(format!("name{number:05}"))),
    };
    let modification = |part: usize| wire::Modification {
        operation: if part == 0 { Replace } else { Add }.into(),
        name: "members".to_owned(),
        values: (part * NAMES / 4..(part + 1) * NAMES / 4)
            .map(text)
            .collect(),
    };
    let update = wire::Update {
        object: group("many"),
        modifications: (0..4).map(modification).collect(),
    };
    let before = host.files();
    let began = Instant::now();
    let call = wire::Call {
        timeout_ms: u32::try_from(TIMEOUT.as_millis()).unwrap(),
        verb: Some(Verb::Update(update)),
        ..wire::Call::default()
    };
    let outcome = host.admin.try_call("unix", call).await;
    let took = began.elapsed();
    // Nobody has any of these names, so that nothing is to be done.
    let failed = matches!(
        &outcome,
        Ok(outcome) if matches!(outcome.result, Some(wire::outcome::Result::Failed(_)))
    );
    assert!(failed, "after {took:?}: {outcome:?}");
    assert!(took < TIMEOUT + LATE, "the call took {took:?}");
    eprintln!("a group update of {NAMES} names took {took:?}");
    assert_eq!(host.files(), before);
}
