//! What an administrator meets on the command line when something is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod support;

use std::fs;
use std::net::TcpListener;
use std::process::Command;

use portcullis_common::id::KeyKind;
use support::server::{Server, code, master_key, token};
use support::{Gateway, PROGRAM, Site, errors, finish, free_address, words};
use tonic::Code;

#[test]
fn run_without_a_key_store_says_how_to_get_one_and_creates_nothing() {
    let site = Site::listening();
    for verb in ["run", "key show", "validate"] {
        let refused = site.refused(verb, "");
        assert!(refused.contains("there is no key store at"), "{refused}");
        assert!(refused.contains("portcullis-gateway enroll"), "{refused}");
        assert!(refused.contains("mount or restore"), "{refused}");
    }
    assert!(!site.state_dir().exists());
}

#[test]
fn a_damaged_key_store_is_fatal_and_can_be_reset() {
    let site = Site::listening();
    site.done("enroll", &token().to_text());
    let keys = site.state_dir().join("keys");
    let mut bytes = fs::read(&keys).unwrap();
    bytes[20] ^= 1;
    fs::write(&keys, bytes).unwrap();
    for verb in ["run", "key show", "pair --for 1m", "validate"] {
        let refused = site.refused(verb, "");
        assert!(refused.contains("the key record is damaged"), "{refused}");
    }
    site.done("key reset --yes", "");
    site.done("pair --for 1m", "");
}

#[test]
fn a_gateway_that_dials_out_pairs_by_its_name_or_not_at_all() {
    let server = "127.0.0.1:9".parse().unwrap();
    let refused = Site::dialling(server, None).refused("pair --for 1m", "");
    assert!(refused.contains("[dial_out]"), "{refused}");
    Site::dialling(server, Some("web1")).done("pair --for 1m", "");
}

#[test]
fn a_reset_has_to_be_confirmed() {
    let site = Site::listening();
    let token = token();
    site.done("enroll", &token.to_text());
    for answer in ["", "yes\n", "no\n"] {
        let refused = site.refused("key reset", answer);
        assert!(refused.contains("nothing was changed"), "{refused}");
    }
    assert!(
        site.done("key show", "")
            .contains(&token.key_id().to_string())
    );
    site.done("key reset", "reset\n");
    assert!(site.done("key show", "").contains("holds no key"));
}

#[test]
fn pairing_is_never_open_longer_than_a_day() {
    let site = Site::listening();
    for time in ["25h", "0s", "soon", ""] {
        let output = site.cli(&format!("pair --for '{time}'"), "");
        assert_eq!(output.status.code(), Some(2), "{time}");
    }
    assert!(!site.state_dir().exists());
}

#[test]
fn a_second_run_on_the_same_state_folder_is_refused() {
    let site = Site::listening();
    site.done("pair --for 1m", "");
    let gateway = site.run();
    let refused = site.refused("run", "");
    assert!(refused.contains("already running on"), "{refused}");
    gateway.kill();
    site.run();
}

#[test]
fn a_port_in_use_is_named_with_the_way_to_find_who_uses_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::new(&format!("[listen]\naddress = \"{address}\"\n"));
    site.done("pair --for 1m", "");
    for verb in ["run", "validate"] {
        let refused = site.refused(verb, "");
        assert!(
            refused.contains(&format!("port {} on", address.port())),
            "{refused}"
        );
        assert!(refused.contains("is in use"), "{refused}");
        assert!(refused.contains("ss -ltnp"), "{refused}");
    }
}

#[test]
fn a_watch_port_in_use_is_named_before_the_start() {
    let address = free_address();
    let taken = TcpListener::bind(address).unwrap();
    let site = Site::listening_with(&format!("[watch]\nlisten = \"{address}\"\n"));
    site.done("pair --for 1m", "");
    let refused = site.refused("validate", "");
    assert!(refused.contains("1 problem found"), "{refused}");
    assert!(refused.contains("another watch.listen"), "{refused}");
    let doctor = site.cli("doctor", "");
    assert_eq!(doctor.status.code(), Some(2));
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("another watch.listen"), "{doctor}");
    drop(taken);
    let gateway = site.run();
    let told = site.done("validate", "");
    assert!(told.contains("its ports were not tried"), "{told}");
    gateway.kill();
    // One port for both is found as well.
    let both = format!("[listen]\naddress = \"{address}\"\n[watch]\nlisten = \"{address}\"\n");
    let refused = Site::new(&both).refused("validate", "");
    assert!(refused.contains("another watch.listen"), "{refused}");
}

#[test]
fn the_doctor_of_a_gateway_that_was_never_enrolled_says_what_to_run_and_nothing_of_what_cannot_be()
{
    let site = Site::listening();
    let doctor = site.cli("doctor", "");
    let told = String::from_utf8(doctor.stdout).unwrap();
    assert!(told.contains("this gateway is not set up yet"), "{told}");
    assert!(told.contains("`portcullis-gateway enroll` here"), "{told}");
    for line in ["it is not running", "enrolment", "journal", "nobody says"] {
        assert!(!told.contains(line), "{told}");
    }
}

#[cfg(unix)]
#[test]
fn a_token_file_of_another_user_is_refused_to_root_too() {
    use std::os::unix::fs::{PermissionsExt as _, chown};
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let site = Site::listening();
    let file = site.path().join("token");
    fs::write(&file, &*token().to_text()).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    chown(&file, Some(47_112), None).unwrap();
    let line = format!("enroll --token-file {}", file.display());
    let refused = site.refused(&line, "");
    assert!(refused.contains("belongs to user 47112"), "{refused}");
    assert!(refused.contains("`chown 0 "), "{refused}");
    chown(&file, Some(0), None).unwrap();
    site.done(&line, "");
}

#[test]
fn validate_reports_every_problem_at_once() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let site = Site::new(&format!(
        "[listen]\naddress = \"{address}\"\n[connectors.a]\ntype = \"telepathy\"\n"
    ));
    let refused = site.refused("validate", "");
    assert!(refused.contains("3 problems found"), "{refused}");
    for part in ["telepathy", "there is no key store", "is in use"] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(!site.state_dir().exists());
}

#[test]
fn a_wrong_configuration_starts_nothing_and_names_file_line_and_key() {
    let site = Site::new("[limits]\ncalls = \"many\"\n");
    let config = site.config();
    for verb in ["run", "validate", "status", "enroll"] {
        let refused = site.refused(verb, "");
        let place = format!("{}, line 3: limits.calls: ", config.display());
        assert!(refused.contains(&place), "{refused}");
    }
    fs::remove_file(config).unwrap();
    assert!(site.refused("run", "").contains("there is no such file"));
}

#[test]
fn what_a_script_is_asked_is_told_without_a_configuration() {
    let site = Site::new("wrong");
    assert!(site.done("script-protocol", "").contains("standard input"));
}

#[test]
fn a_token_is_never_taken_from_the_command_line() {
    let site = Site::listening();
    let token = token();
    let output = site.cli(&format!("enroll {}", *token.to_text()), "");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn status_in_json_holds_what_the_table_shows() {
    let site = Site::listening();
    let token = token();
    site.done("enroll", &token.to_text());
    let json = site.done("status --output json", "");
    let status: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(status["running"], false);
    assert_eq!(status["gateway_id"], token.gateway_id().to_string());
    assert_eq!(status["enrolment_key_id"], token.key_id().to_string());
    let table = site.done("status", "");
    assert!(table.contains("not running"), "{table}");
    assert!(table.contains(&token.gateway_id().to_string()), "{table}");
}

#[test]
fn a_reload_takes_connectors_and_says_what_waits() {
    let site = Site::listening();
    assert!(site.refused("reload", "").contains("is not running"));
    site.done("enroll", &token().to_text());
    let mut gateway = site.run();
    gateway.wait_for("no connector in the configuration");
    let held = fs::read_to_string(site.config()).unwrap();
    let scripts = site.path().join("scripts");
    let hr = format!("[connectors.hr]\ntype = \"script\"\nfolder = {scripts:?}\n");
    let write = |more: &str| fs::write(site.config(), format!("{held}{more}")).unwrap();
    write(&format!("{hr}[limits]\ncalls = 7\n"));
    let told = site.done("reload", "");
    assert!(told.contains("connector `hr` added"), "{told}");
    assert!(told.contains("[limits] waits for a restart"), "{told}");
    let fault = "calls will fail: connector `hr` (script): ";
    assert!(told.contains(fault), "{told}");
    gateway.wait_for(fault);
    assert!(
        site.done("status", "")
            .contains("fault        connector `hr`")
    );

    write(&format!("{hr}timeout = \"0s\"\n"));
    let refused = site.refused("reload", "");
    let place = format!(
        "{}, line 7: connectors.hr.timeout: ",
        site.config().display()
    );
    assert!(refused.contains(&place), "{refused}");
    gateway.wait_for("what held before holds on");
    let status = site.done("status", "");
    assert!(status.contains(&place), "{status}");

    // The rest of the file is not written yet.
    write("");
    let refused = site.refused("reload", "");
    assert!(
        refused.contains("removes every connector is refused"),
        "{refused}"
    );
    #[cfg(unix)]
    {
        let user = rustix::process::geteuid().as_raw();
        write(&format!(
            "{hr}worker = \"privileged\"\n[workers]\nuser = \"{user}\"\n"
        ));
        let told = site.done("reload", "");
        assert!(told.contains("nothing changed"), "{told}");
        assert!(told.contains("[workers] waits for a restart"), "{told}");
    }
    write(&hr.replace("connectors.hr", "connectors.payroll"));
    let told = site.done("reload", "");
    assert!(told.contains("connector `hr` removed"), "{told}");
    let at_once = std::thread::scope(|scope| {
        let reload = || scope.spawn(|| site.done("reload", ""));
        let all: Vec<_> = (0..8).map(|_| reload()).collect();
        let told = all.into_iter().map(|one| one.join().unwrap());
        told.collect::<Vec<_>>()
    });
    for told in at_once {
        assert!(told.contains("nothing changed"), "{told}");
    }
    #[cfg(unix)]
    {
        write(&format!(
            "{}[log]\nlevel = \"debug\"\n",
            hr.replace("connectors.hr", "connectors.payroll")
        ));
        let pid = rustix::process::Pid::from_raw(i32::try_from(gateway.pid()).unwrap());
        rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::HUP).unwrap();
        gateway.wait_for("configuration reloaded: log.level");
        gateway.stop();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_token_again_changes_nothing_and_the_check_keeps_its_word() {
    let (site, token) = (Site::listening(), token());
    let check = |expected: i32| {
        let output = site.cli("status --check", "");
        let shown = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(expected), "{shown}");
    };
    check(6);
    site.done("enroll", &token.to_text());
    check(5);
    let gateway = site.run();
    check(4);
    let mut server = Server::of(&token);
    let enrolling = server.dial(gateway.address).await.unwrap();
    let key = master_key(KeyKind::Tdes);
    enrolling.install(&key).await.unwrap();
    server.keys.insert(0, key);
    let link = server.dial(gateway.address).await.unwrap();
    link.ping().await.unwrap();
    let held = site.done("key show", "");
    for line in ["enroll", "enroll --replace"] {
        let told = site.done(line, &token.to_text());
        assert!(told.contains("already enrolled"), "{told}");
    }
    assert_eq!(site.done("key show", ""), held);
    let refused = site.refused("enroll", &self::token().to_text());
    assert!(refused.contains("already holds a key"), "{refused}");
    let config = fs::read_to_string(site.config()).unwrap();
    fs::write(
        site.config(),
        format!("{config}[connectors.hr]\ntype = \"script\"\nfolder = \"/nowhere\"\n"),
    )
    .unwrap();
    check(1);
}

#[test]
fn validate_says_what_calls_would_meet_and_what_was_not_tried() {
    let site = Site::listening();
    site.done("enroll", &token().to_text());
    let told = site.done("validate", "");
    assert!(told.contains("there is no connector"), "{told}");

    let peer = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = peer.local_addr().unwrap();
    let site = Site::dialling(address, None);
    site.done("enroll", &token().to_text());
    let told = site.done("validate", "");
    assert!(told.contains("was not tried"), "{told}");
    let told = site.done("validate --connect", "");
    assert!(told.contains("can be reached"), "{told}");
    drop(peer);
    let refused = site.refused("validate --connect", "");
    assert!(refused.contains("cannot reach the server"), "{refused}");
}

#[cfg(unix)]
#[test]
fn validate_names_a_prefix_that_is_not_there_and_scripts_that_would_not_start() {
    use std::os::unix::fs::PermissionsExt as _;
    let scripts = tempfile::tempdir().unwrap();
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    mode(scripts.path(), 0o755);
    for (name, content, bits) in [
        ("get", "#!/bin/sh\r\n", 0o755),
        ("run-quiet", "#!/bin/sh\n", 0o644),
        ("search.py", "#!/bin/sh\n", 0o755),
    ] {
        let file = scripts.path().join(name);
        fs::write(&file, content).unwrap();
        mode(&file, bits);
    }
    let site = Site::listening_with(&format!(
        "[connectors.local]\ntype = \"unix\"\nprefix = \"/nonexist\"\n\
         [connectors.hr]\ntype = \"script\"\nfolder = {:?}\n",
        scripts.path()
    ));
    site.done("enroll", &token().to_text());
    let refused = site.refused("validate", "");
    for part in [
        "3 problems found",
        "connector `local` (unix): /nonexist is no folder",
        "asks for `/bin/sh\\r`",
        "run-quiet cannot be executed",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    // None of it keeps the gateway from starting.
    let mut gateway = site.run();
    gateway.wait_for("search.py is never run");
    let status = site.done("status", "");
    assert!(status.contains("/nonexist is no folder"), "{status}");
}

/// The program as it is where no byte fits on the disk any more.
#[cfg(unix)]
fn on_a_full_disk(site: &Site, line: &str) -> Command {
    let mut command = Command::new("sh");
    let full = "trap '' XFSZ; ulimit -f 0; exec \"$@\"";
    command.args(["-c", full, "sh", PROGRAM, "--config"]);
    command.arg(site.config()).args(words(line));
    command
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_record_and_nothing_half_done() {
    let site = Site::listening();
    let first = token();
    site.done("enroll", &first.to_text());
    for (line, input) in [
        ("enroll --replace", token().to_text().to_string()),
        ("key reset --yes", String::new()),
    ] {
        let output = finish(on_a_full_disk(&site, line), &input);
        assert_eq!(output.status.code(), Some(1));
        let refused = errors(&output);
        assert!(
            refused.contains("is full: nothing was changed"),
            "{refused}"
        );
    }
    assert!(
        site.done("key show", "")
            .contains(&first.key_id().to_string())
    );
    assert!(!site.state_dir().join("keys.new").exists());

    let empty = Site::listening();
    let output = finish(on_a_full_disk(&empty, "enroll"), &first.to_text());
    assert!(errors(&output).contains("is full"), "{}", errors(&output));
    assert!(
        empty
            .refused("key show", "")
            .contains("there is no key store")
    );
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_a_new_key_and_keeps_the_one_in_use() {
    let (site, token) = (Site::listening(), token());
    site.done("enroll", &token.to_text());
    let mut gateway = Gateway::start(on_a_full_disk(&site, "run"));
    let server = Server::of(&token);
    let link = server.dial(gateway.address).await.unwrap();
    let refused = link.install(&master_key(KeyKind::Tdes)).await;
    assert_eq!(code(refused), Code::Unavailable);
    gateway.wait_for("is full");
    link.ping().await.unwrap();
    gateway.kill();

    let gateway = site.run();
    let link = server.dial(gateway.address).await.unwrap();
    link.install(&master_key(KeyKind::Tdes)).await.unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_running_gateway_leaves_no_core_file() {
    let site = Site::listening();
    site.done("pair --for 1m", "");
    let gateway = site.run();
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let numbers: Vec<_> = core.unwrap().split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"]);
}
