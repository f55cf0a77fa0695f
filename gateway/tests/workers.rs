//! A gateway in processes: the one that faces the servers, and its two workers, as real processes.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

#[path = "workers/bench.rs"]
mod bench;
#[path = "workers/broken.rs"]
mod broken;
mod support;
#[path = "workers/watching.rs"]
mod watching;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::Path;
use std::sync::Arc;

use bench::*;
use portcullis_common::calls::Answer as Heard;
use portcullis_common::handshake::{CallPlace, Way};
use portcullis_proto::gateway::v1 as wire;
use prost::Message as _;
use support::server::Calls;
use wire::call::Verb;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_go_through_both_workers_while_what_faces_the_servers_has_no_privilege() {
    let (bench, privileged, networked, gateway) = Bench::new().await;
    if is_root() {
        assert_eq!(capabilities(gateway.pid()), 0);
        assert_eq!(capabilities(networked.child.id()), 0);
        assert_ne!(capabilities(privileged.child.id()), 0);
    }
    let link = bench.link(&gateway).await;
    let before = described(&link).await;
    let names: Vec<_> = before.connectors.iter().map(|info| &*info.name).collect();
    assert_eq!(names, ["host", "web"]);
    assert!(before.connectors.iter().all(|info| info.faults.is_empty()));
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
    let unknown = answer(&link, get("nowhere")).await;
    assert!(
        unknown.contains("host") && unknown.contains("web"),
        "{unknown}"
    );

    let id = "password-1";
    let place = CallPlace {
        way: Way::Call,
        number: 0,
        call_id: id,
    };
    let password = link.seal(place, b"Correct-Horse-7");
    let verb = Verb::SetPassword(wire::SetPassword {
        object: object("ada"),
        password: Some(password),
    });
    assert_eq!(answer(&link, call(id, "host", verb)).await, "done");
    let given = fs::read_to_string(bench.file("password")).unwrap();
    assert!(given.contains("Correct-Horse-7"), "{given}");
    // Each worker's journal counts, and the guard rails are the worker's.
    let after = described(&link).await.journal.unwrap();
    let before = before.journal.unwrap();
    assert_eq!(after.incarnation, before.incarnation);
    assert!(after.sequence > before.sequence);
    let protected = Verb::Delete(wire::Delete {
        object: object("eve"),
    });
    let refused = answer(&link, call("eve-1", "host", protected)).await;
    assert!(refused.starts_with("Refused"), "{refused}");

    let another = bench.link(&gateway).await;
    let mut calls = Calls::open(&another.channel).await.unwrap();
    let search = Verb::Search(wire::Search {
        object_class: wire::ObjectClass::Account.into(),
        ..wire::Search::default()
    });
    let number = calls.send(&call("search-1", "web", search)).await.unwrap();
    let item = calls.next(number).await.unwrap();
    assert!(matches!(item, Heard::Item(_)), "{item:?}");
    let Heard::End(end) = calls.next(number).await.unwrap() else {
        panic!("no end");
    };
    let end = wire::SearchItem::decode(end).unwrap();
    let Some(wire::search_item::Kind::End(end)) = end.kind else {
        panic!("{end:?}");
    };
    assert_eq!(end.failure, None);

    let status = bench.site.done("status", "");
    assert!(status.contains("privileged running"), "{status}");
    assert!(!bench.site.state_dir().join("journal").exists());
    let shown = bench.site.done("journal show --worker privileged", "");
    assert!(shown.contains("1 call in"), "{shown}");
    let which = bench.site.refused("journal show", "");
    assert!(which.contains("--worker networked"), "{which}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_worker_had_begun_is_found_by_looking() {
    for (fate, expected) in [("rm there", "done"), (":", "NotBegun")] {
        let (bench, privileged, _networked, gateway) = Bench::new().await;
        fs::write(bench.file("fate"), fate).unwrap();
        let link = Arc::new(bench.link(&gateway).await);
        let before = described(&link).await.journal.unwrap();
        let same = Arc::clone(&link);
        let calling = tokio::spawn(async move { answer(&same, delete(false)).await });
        bench.until_begun().await;
        drop(privileged);
        let told = calling.await.unwrap();
        assert!(told.starts_with("look again"), "{told}");
        // While it is away, nobody knows; what the other has goes on.
        let told = answer(&link, delete(true)).await;
        assert!(told.starts_with("look again"), "{told}");
        assert_eq!(answer(&link, get("web")).await, "done");

        let _privileged = bench.worker("privileged");
        let after = described(&link).await.journal.unwrap();
        assert_eq!(after.incarnation, before.incarnation);
        let told = answer(&link, delete(true)).await;
        assert!(told.starts_with(expected), "{told}");
        let told = answer(&link, delete(false)).await;
        assert!(told.starts_with(expected), "{told}");
        assert_eq!(bench.runs(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_away_is_told_of_and_its_calls_are_not_begun() {
    let (bench, privileged, _networked, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let before = described(&link).await;
    drop(privileged);
    let told = answer(&link, delete(false)).await;
    assert!(told.starts_with("Unavailable"), "{told}");
    assert!(
        told.contains("systemctl status portcullis-gateway-privileged"),
        "{told}"
    );
    assert_eq!(answer(&link, get("web")).await, "done");
    let now = described(&link).await;
    assert_eq!(now.journal, before.journal);
    assert_eq!(
        now.connectors[0].allowed_verbs,
        before.connectors[0].allowed_verbs
    );
    assert!(now.connectors[0].faults[0].contains("cannot be reached"));
    assert!(now.connectors[1].faults.is_empty());
    let doctor = bench.site.cli("doctor", "");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("`privileged` is not running"), "{doctor}");

    fs::write(bench.file("go"), "").unwrap();
    fs::write(bench.file("fate"), "rm there").unwrap();
    let _privileged = bench.worker("privileged");
    assert_eq!(answer(&link, delete(false)).await, "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_looks_at_private_files_as_the_user_of_the_process_that_reads_them() {
    if !is_root() {
        return;
    }
    let (bench, _privileged, networked, _gateway) = Bench::new().await;
    let file = |name: &str, owner, text: &str| {
        let path = bench.site.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        chown(&path, Some(owner), Some(owner)).unwrap();
        path
    };
    let key = rcgen::KeyPair::generate().unwrap();
    let names = vec!["gateway".to_owned()];
    let certificate = rcgen::CertificateParams::new(names).unwrap();
    let certificate = certificate.self_signed(&key).unwrap().pem();
    let certificate = file("gateway.pem", own(), &certificate);
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let looked = |password_of, key_of| {
        let password = file("password", password_of, "secret\n");
        let key = file("gateway.key", key_of, &key.serialize_pem());
        let more = format!(
            "[tls]\ncertificate = {certificate:?}\nkey = {key:?}\nserver_ca = {certificate:?}\n\
             [connectors.staff]\ntype = \"ldap\"\nservers = [\"ldaps://127.0.0.1\"]\nbind_dn = \"cn=gateway,dc=x\"\n\
             bind_password_file = {password:?}\naccounts.base = \"dc=x\"\n"
        );
        fs::write(bench.site.config(), format!("{config}{more}")).unwrap();
        ["validate", "doctor"].map(|verb| {
            let output = bench.site.cli(verb, "");
            let (said, wrong) = (output.stdout, output.stderr);
            String::from_utf8([said, wrong].concat()).unwrap()
        })
    };
    for told in looked(NETWORKED, FRONT) {
        assert!(!told.contains("password"), "{told}");
        assert!(!told.contains("gateway.key belongs"), "{told}");
    }
    for told in looked(FRONT, NETWORKED) {
        assert!(told.contains("/password belongs to"), "{told}");
        assert!(told.contains("gateway.key belongs"), "{told}");
    }
    // Before its first start nobody knows as whom the worker will run.
    drop(networked);
    fs::remove_dir_all(bench.site.path().join("state-networked")).unwrap();
    for told in looked(NETWORKED, FRONT) {
        assert!(!told.contains("/password belongs"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn root_gives_nothing_away_in_the_folder_of_what_faces_the_servers_and_believes_none_of_it() {
    if !is_root() {
        return;
    }
    let (bench, _privileged, _networked, gateway) = Bench::new().await;
    drop(gateway);
    let report = bench.site.state_dir().join("status.json");
    let text = fs::read_to_string(&report).unwrap();
    let mut told: serde_json::Value = serde_json::from_str(&text).unwrap();
    told["last_error"] = serde_json::json!({
        "at_unix_ms": 1,
        "message": "\u{1b}]0;x\u{7}\u{1b}[2Jall is well",
    });
    fs::write(&report, told.to_string()).unwrap();
    for verb in ["status", "doctor"] {
        let output = bench.site.cli(verb, "");
        let shown = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!shown.contains(['\u{1b}', '\u{7}']), "{verb}: {shown:?}");
    }
    let status = bench.site.done("status", "");
    assert!(status.contains("[2Jall is well"), "{status}");

    // Where the system lets anybody make another name for a file of root's.
    let secret = bench.site.path().join("of-root");
    fs::write(&secret, "secret").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    for name in ["status.json", "run.lock"] {
        let planted = bench.site.state_dir().join(name);
        fs::remove_file(&planted).unwrap();
        fs::hard_link(&secret, &planted).unwrap();
        for verb in ["status", "validate", "reload"] {
            bench.site.cli(verb, "");
        }
        assert_eq!(fs::metadata(&secret).unwrap().uid(), 0, "{name}");
        fs::remove_file(&planted).unwrap();
        fs::write(&planted, "").unwrap();
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_a_worker_lost_is_told_before_anything_is_concluded_from_it() {
    let (bench, privileged, _networked, gateway) = Bench::new().await;
    fs::write(bench.file("fate"), "rm there").unwrap();
    fs::write(bench.file("go"), "").unwrap();
    let link = bench.link(&gateway).await;
    let before = described(&link).await.journal.unwrap();
    assert_eq!(answer(&link, delete(false)).await, "done");
    let kept = described(&link).await.journal.unwrap();
    assert!(kept.sequence > before.sequence);
    drop(privileged);
    let state = bench.site.path().join("state-privileged");
    for file in ["journal", "journal.key"] {
        fs::remove_file(state.join(file)).unwrap();
    }
    let _privileged = bench.worker("privileged");
    // The new journal does not have the call, which proves nothing.
    let told = answer(&link, delete(true)).await;
    assert!(told.starts_with("look again"), "{told}");
    link.until_ended().await;
    let link = bench.link(&gateway).await;
    let after = described(&link).await.journal.unwrap();
    assert_ne!(after.incarnation, before.incarnation);
    let look = wire::Call {
        journal_lost: true,
        ..delete(true)
    };
    let told = answer(&link, look).await;
    assert!(told.starts_with("unknown"), "{told}");
    assert_eq!(bench.runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_reaches_the_workers_and_tells_what_is_wrong() {
    let (bench, _privileged, _networked, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let folder = bench.site.path().join("web");
    let added = format!(
        "[connectors.more]\ntype = \"script\"\nworker = \"networked\"\nfolder = {folder:?}\n"
    );
    fs::write(bench.site.config(), format!("{config}{added}")).unwrap();
    let told = bench.site.done("reload", "");
    assert!(told.contains("connector `more` added"), "{told}");
    assert_eq!(answer(&link, get("more")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
    let nowhere = added.replace("worker = \"networked\"\n", "");
    fs::write(bench.site.config(), format!("{config}{nowhere}")).unwrap();
    let told = bench.site.refused("reload", "");
    assert!(told.contains("connectors.more.worker"), "{told}");
    assert_eq!(answer(&link, get("more")).await, "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_that_one_worker_refuses_is_told_as_that_everywhere() {
    let (bench, _privileged, _networked, gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    // Only the worker that has the connector reads that file.
    let staff = "[connectors.staff]\ntype = \"ldap\"\nservers = [\"ldaps://127.0.0.1\"]\n\
                 bind_dn = \"cn=gateway,dc=x\"\nbind_password_file = \"/nowhere\"\n\
                 ca_file = \"/nowhere\"\naccounts.base = \"dc=x\"\n";
    let folder = bench.site.path().join("host");
    let more = format!(
        "[connectors.more]\ntype = \"script\"\nworker = \"privileged\"\nfolder = {folder:?}\n"
    );
    fs::write(bench.site.config(), format!("{config}{more}{staff}")).unwrap();
    let told = bench.site.refused("reload", "");
    assert!(
        told.contains("has reloaded, but for what is named here"),
        "{told}"
    );
    assert!(told.contains("worker `networked`: "), "{told}");
    assert_eq!(answer(&link, get("more")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
    let status = bench.site.done("status", "");
    let line = status
        .lines()
        .find(|line| line.starts_with("reload"))
        .unwrap();
    assert!(line.contains("connector `more` added"), "{status}");
    assert!(
        line.contains("not in the workers that the faults above name"),
        "{status}"
    );
    let doctor = bench.site.cli("doctor", "");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(
        doctor.contains("the other processes have reloaded"),
        "{doctor}"
    );
    fs::write(bench.site.config(), &config).unwrap();
    bench.site.done("reload", "");
    let status = bench.site.done("status", "");
    assert!(!status.contains("the faults above"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_may_take_all_connectors_of_one_worker_but_not_of_both() {
    let (bench, mut privileged, _networked, mut gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let none = &config[..config.find("[connectors.").unwrap()];
    fs::write(bench.site.config(), none).unwrap();
    let told = bench.site.refused("reload", "");
    let refused = "a reload that removes every connector is refused";
    assert!(told.contains(refused), "{told}");
    gateway.wait_for(refused);
    // An empty file says nothing of `[workers]` either.
    fs::write(bench.site.config(), "").unwrap();
    for id in [gateway.pid(), privileged.child.id()] {
        let pid = rustix::process::Pid::from_raw(id.try_into().unwrap());
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::HUP).unwrap();
    }
    gateway.wait_for(refused);
    privileged.wait_for(refused);
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");

    let moved = config.replace("worker = \"networked\"", "worker = \"privileged\"");
    fs::write(bench.site.config(), moved).unwrap();
    let told = bench.site.done("reload", "");
    assert!(told.contains("connector `web` added"), "{told}");
    assert!(told.contains("connector `web` removed"), "{told}");
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_taken_from_the_configuration_go_on_until_a_restart() {
    let (bench, privileged, _networked, mut gateway) = Bench::new().await;
    let link = bench.link(&gateway).await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let (workers, connectors) = (config.find("[workers]"), config.find("[connectors."));
    let whole = config[..workers.unwrap()].to_owned() + &config[connectors.unwrap()..];
    let lines = whole.lines().filter(|line| !line.starts_with("worker = "));
    let without: String = lines.flat_map(|line| [line, "\n"]).collect();
    fs::write(bench.site.config(), &without).unwrap();
    for id in [gateway.pid(), privileged.child.id()] {
        let pid = rustix::process::Pid::from_raw(id.try_into().unwrap());
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::HUP).unwrap();
    }
    gateway.wait_for("[workers] waits for a restart");
    assert_eq!(answer(&link, get("host")).await, "done");
    assert_eq!(answer(&link, get("web")).await, "done");
}

#[test]
fn a_second_worker_names_the_unit_of_the_first() {
    let front = if is_root() { FRONT } else { own() };
    let (bench, _privileged, _networked) = Bench::with_workers(front, "");
    let told = bench.site.refused("worker --kind privileged", "");
    assert!(
        told.contains("`systemctl stop portcullis-gateway-privileged`"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_run_as_the_user_that_the_configuration_names() {
    let (bench, _privileged, _networked, gateway) = Bench::new().await;
    let config = fs::read_to_string(bench.site.config()).unwrap();
    let named = if is_root() { NETWORKED } else { own() };
    let with = |name: &str| {
        let line = format!("type = \"script\"\nuser = \"{named}\"\n");
        let at = config.find(&format!("[connectors.{name}]")).unwrap();
        let (before, after) = config.split_at(at);
        before.to_owned() + &after.replacen("type = \"script\"\n", &line, 1)
    };
    // What it writes lies in a folder of that user's.
    let data: &Path = &bench.site.path().join("data");
    bench.script(
        "host",
        "run-who",
        &format!("id -u > {data:?}/who; echo '{{}}'"),
    );
    fs::write(bench.site.config(), with("host")).unwrap();
    bench.site.done("reload", "");
    let link = bench.link(&gateway).await;
    let who = Verb::Run(wire::Run {
        action: "who".into(),
        arguments: Vec::new(),
    });
    assert_eq!(answer(&link, call("who-1", "host", who)).await, "done");
    let who = fs::read_to_string(data.join("who")).unwrap();
    assert_eq!(who.trim(), named.to_string());
}
