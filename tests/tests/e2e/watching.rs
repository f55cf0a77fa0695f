//! Health and metrics of both programs, as whoever watches them reads them.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_tests::harness::{Finished, Programs, Scripts, Server, Site, eventually, free_port};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Pair, dial, registered};

/// Status and body.
pub(crate) async fn get(port: u16, path: &str) -> (u16, String) {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}

pub(crate) async fn until_ready(port: u16, status: u16) -> String {
    eventually("/ready", || async {
        let (found, body) = get(port, "/ready").await;
        (found == status).then_some(body)
    })
    .await
}

/// Spans go where nobody takes them: what became of them is counted all the same.
pub(crate) fn watched(port: u16) -> String {
    format!("[traces]\nendpoint = \"http://127.0.0.1:1\"\n[watch]\nlisten = \"127.0.0.1:{port}\"\n")
}

/// `[tls]` of the end of this name, which believes the authority of the other side.
fn tls(pki: &str, name: &str, ca: &str, others: &str) -> String {
    format!(
        "[tls]\ncertificate = \"{pki}/{name}.pem\"\nkey = \"{pki}/{name}.key\"\n\
         {ca} = \"{pki}/{others}-ca.pem\"\nrevoked = \"{pki}/{others}-revoked.pem\"\n"
    )
}

/// A pair, with TLS around its link, whose programs answer on these ports.
async fn watched_pair(on_server: u16, on_gateway: u16) -> Pair {
    let site = Site::new();
    let lines = site.path().join("audit.jsonl");
    let pki = site.path().join("pki").display().to_string();
    let forward = format!(
        "[forward.disk]\ntype = \"file\"\npath = {lines:?}\n{}{}",
        tls(&pki, "server", "gateway_ca", "gateways"),
        watched(on_server)
    );
    let mut server = Server::new(&site, &forward);
    server.portcullis(&format!("tls init --dir {pki}")).ok();
    for whose in ["server server", "gateway host1"] {
        let line = format!("tls {whose} --out {pki} --dir {pki}");
        server.portcullis(&line).ok();
    }
    let admin = server.serve().await;
    let scripts = Scripts::new(&site, "scripts");
    let config = format!(
        "{}{}{}link_within = \"1s\"\n",
        scripts.config(),
        tls(&pki, "host1", "server_ca", "servers"),
        watched(on_gateway)
    );
    let (mut gateway, token) = registered(&site, &admin, dial(&server, false), &config).await;
    gateway.enroll(&token);
    gateway.start();
    admin.synchronized("host1").await;
    let connector = Scripts::CONNECTOR;
    admin.add_resource("journal", "host1", connector).await;
    Pair {
        gateway,
        server,
        admin,
        scripts,
        site,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_programs_tell_how_they_are_and_what_the_dashboard_and_the_alerts_ask_for() {
    let (on_server, on_gateway) = (free_port(), free_port());
    let mut pair = watched_pair(on_server, on_gateway).await;
    let outcome = pair.record("watched").await;
    assert!(matches!(outcome.result, Some(OutcomeResult::Done(_))));
    for port in [on_server, on_gateway] {
        assert_eq!(get(port, "/live").await.0, 200);
        let body = until_ready(port, 200).await;
        assert!(body.starts_with("{\"ready\":true"), "{body}");
    }
    let server = eventually("the server's metrics", || async {
        let text = get(on_server, "/metrics").await.1;
        let done = "portcullis_calls_total{verb=\"run\",outcome=\"done\"} 1";
        text.contains(done).then_some(text)
    })
    .await;
    for line in [
        "portcullis_ready{check=\"repository\"} 1\n",
        "portcullis_ready{check=\"keyring\"} 1\n",
        "portcullis_audit_writable 1\n",
        "portcullis_gateways{state=\"up\"} 1\n",
        "portcullis_gateways{state=\"down\"} 0\n",
        "portcullis_gateways_not_synchronized 0\n",
        "portcullis_forward_working{place=\"disk\"} 1\n",
        "portcullis_call_duration_seconds_count{verb=\"run\"} 1\n",
        "portcullis_server_keys_unprotected 0\n",
        "portcullis_tls_expiry_timestamp_seconds{of=\"certificate\"} 1",
        "portcullis_tls_expiry_timestamp_seconds{of=\"authority\"} ",
        "portcullis_tls_expiry_timestamp_seconds{of=\"revoked\"} ",
    ] {
        assert!(server.contains(line), "{line} in {server}");
    }
    assert!(server.ends_with("# EOF\n"));
    let gateway = get(on_gateway, "/metrics").await.1;
    for line in [
        "portcullis_gateway_ready{check=\"link\"} 1\n",
        "portcullis_gateway_enrolled 1\n",
        "portcullis_gateway_journal_writable 1\n",
        "portcullis_gateway_calls_total{verb=\"run\",outcome=\"done\"} 1\n",
        "portcullis_gateway_tls_expiry_timestamp_seconds{of=\"certificate\"} 1",
    ] {
        assert!(gateway.contains(line), "{line} in {gateway}");
    }
    let status = pair.server.portcullis("status").ok().stdout;
    for told in ["server.pem: until 20", "(in 397 days)"] {
        assert!(status.contains(told), "{told} in {status}");
    }
    let status = pair.gateway.cli("status").ok().stdout;
    for told in [" over TLS, secure mode", "host1.pem, valid until 20"] {
        assert!(status.contains(told), "{told} in {status}");
    }
    // No series names a gateway: there may be ten thousand of them.
    assert!(!server.contains("host1"), "{server}");
    let told = server + &gateway;
    every_name_is_told(&told);
    the_guide_has_each_metric(&told);

    pair.server.kill();
    let body = until_ready(on_gateway, 503).await;
    assert!(body.contains("no link for"), "{body}");
    pair.server.serve().await;
    until_ready(on_gateway, 200).await;
}

/// What stands in `deploy/monitoring` asks for metrics that there are.
fn every_name_is_told(told: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/monitoring");
    let mut asked = BTreeSet::new();
    for file in fs::read_dir(folder).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let names =
            words.filter(|word| word.starts_with("portcullis_") || word.starts_with("process_"));
        asked.extend(names.map(str::to_owned));
    }
    assert!(asked.len() > 25, "{asked:?}");
    let is_told = |name: &String| {
        [format!("\n{name}{{"), format!("\n{name} ")]
            .iter()
            .any(|start| told.contains(start))
    };
    let unknown: Vec<_> = asked.iter().filter(|name| !is_told(name)).collect();
    assert!(unknown.is_empty(), "nobody tells {unknown:?}");
}

/// What a gateway tells where it runs in processes, as the one here does not.
const IN_PROCESSES: [&str; 1] = ["portcullis_gateway_worker_up"];

/// The guide has a row for each metric, with what to do, and none for what there is not.
fn the_guide_has_each_metric(told: &str) {
    let guide = include_str!("../../../deploy/OPERATIONS.md");
    let tables = guide.split("#### Every metric").nth(1).unwrap();
    let tables = tables.split("\n### ").next().unwrap();
    let mut rows = BTreeSet::new();
    for row in tables.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [name, meaning, remedy] = cells[..] else {
            panic!("a row has three cells: {row}");
        };
        assert!(!meaning.is_empty() && !remedy.is_empty(), "{row}");
        let name = name.trim_matches('`').split('{').next().unwrap();
        assert!(rows.insert(name), "twice: {row}");
    }
    // As the names stand in samples: OpenMetrics has a counter's type under its name without end.
    let types = told.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let metrics: BTreeSet<_> = types
        .map(|line| match line.split_once(' ').unwrap() {
            (name, "counter") => format!("{name}_total"),
            (name, "info") => format!("{name}_info"),
            (name, _) => name.to_owned(),
        })
        .collect();
    let metrics = metrics.iter().map(String::as_str);
    let metrics: BTreeSet<_> = metrics.chain(IN_PROCESSES).collect();
    assert_eq!(rows, metrics);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_others_reach_has_to_be_said_twice_and_a_taken_one_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let site = Site::new();
    let server = Server::new(&site, "");
    let text = fs::read_to_string(&server.config).unwrap();
    let refused = |watch: &str, line: &str| {
        fs::write(&server.config, format!("{text}{watch}")).unwrap();
        server.cli(line).refused().stderr
    };
    let told = refused("[watch]\nlisten = \"0.0.0.0:9280\"\n", "validate");
    assert!(told.contains("beyond_this_host"), "{told}");
    for line in ["validate", "serve"] {
        let told = refused(&watched(port), line);
        assert!(told.contains("[watch] listen"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_verified_beside_the_log_that_goes_on_after_it() {
    let site = Site::new();
    let mut server = Server::new(&site, "");
    server.serve().await;
    for name in ["host1", "host2", "host3"] {
        server
            .portcullis(&format!("gateway add {name} --dial-out"))
            .ok();
    }
    let (one, two) = (site.path().join("one.jsonl"), site.path().join("two.jsonl"));
    let archive = |file: &Path| format!("audit archive {} --before 0s", file.display());
    let ahead = archive(&one).replace("0s", "2999-01-01");
    let told = server.portcullis(&ahead).refused().stderr;
    assert!(told.contains("later than now"), "{told}");
    assert!(!one.exists());
    server.portcullis(&archive(&one)).ok();
    let list = server.portcullis("audit list --output json").ok().stdout;
    assert!(
        !list.contains("\"Gateways/Add\"") || !list.contains("host1"),
        "{list}"
    );
    assert!(list.contains("Audit/Archive"), "{list}");
    let verified = server.portcullis("audit verify").ok().stdout;
    assert!(verified.contains("up to entry"), "{verified}");
    server.kill();
    server.serve().await;
    server.portcullis(&archive(&one)).refused();
    server.portcullis(&archive(&two)).ok();
    let rest = site.path().join("rest.jsonl");
    server
        .portcullis(&format!("audit export {}", rest.display()))
        .ok();
    let files = [&one, &two, &rest].map(|file| format!(" --file {}", file.display()));
    let verified = server
        .portcullis(&format!("audit verify{}", files.concat()))
        .ok()
        .stdout;
    assert!(verified.contains("all sound"), "{verified}");
    server
        .portcullis(&format!("audit verify{}{}", files[0], files[2]))
        .refused();
    server.portcullis("audit verify").ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_was_cut_off_goes_on_with_its_file() {
    let site = Site::new();
    let mut server = Server::new(&site, "");
    server.serve().await;
    let file = site.path().join("one.jsonl");
    let archive = format!("audit archive {} --before 0s", file.display());
    server.portcullis("gateway add host1 --dial-out").ok();
    // What the command leaves where it was killed before the entries left the log.
    server
        .portcullis(&format!("audit export {}", file.display()))
        .ok();
    server.portcullis("gateway add host2 --dial-out").ok();
    let whole = fs::read_to_string(&file).unwrap();
    let (entries, _head) = whole.trim_end().rsplit_once('\n').unwrap();
    let (_first, rest) = whole.split_once('\n').unwrap();
    for other in [
        "",
        entries,
        rest,
        &whole.replace("host1", "host2"),
        &format!("{whole}{whole}"),
    ] {
        fs::write(&file, other).unwrap();
        server.portcullis(&archive).refused();
    }
    fs::write(&file, &whole).unwrap();
    server.portcullis(&archive).ok();
    let verified = server.portcullis("audit verify").ok().stdout;
    assert!(verified.contains("up to entry"), "{verified}");
    assert_eq!(fs::read_to_string(&file).unwrap(), whole);
    server.portcullis(&archive).refused();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_script_for_snmp_has_a_number_a_line_whether_or_not_the_server_answers() {
    let site = Site::new();
    let mut server = Server::new(&site, "");
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../deploy/snmp/portcullis-snmp"
    );
    let socket = server.socket.clone();
    let numbers = || {
        let run = std::process::Command::new(script)
            .arg("--socket")
            .arg(&socket)
            .env("PORTCULLIS", &Programs::built().admin)
            .output()
            .unwrap();
        let text = String::from_utf8(run.stdout).unwrap();
        text.lines()
            .map(|line| line.parse::<u32>().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(numbers(), [3, 0, 0, 0, 0, 0, 0]);
    server.serve().await;
    assert_eq!(numbers(), [0; 7]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctors_of_both_programs_find_what_is_wrong_and_say_what_to_do() {
    let (on_server, on_gateway) = (free_port(), free_port());
    let pair = watched_pair(on_server, on_gateway).await;
    let (server, gateway) = (&pair.server, &pair.gateway);
    let of = |found: &Finished, check: &str| {
        let json: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
        let all = json["findings"].as_array().unwrap().clone();
        let states = all.iter().filter(|one| one["check"] == check);
        let states: Vec<_> = states
            .map(|one| one["state"].as_str().unwrap().to_owned())
            .collect();
        assert!(!states.is_empty(), "{check}: {}", found.stdout);
        states.join(" ")
    };
    let found = server.cli("doctor --output json");
    for check in [
        "server",
        "repository",
        "key protection",
        "server key",
        "gateways",
        "pairing",
        "audit log",
    ] {
        assert_eq!(of(&found, check), "fine", "{check}: {}", found.stdout);
    }
    assert_eq!(of(&found, "secret"), "warning");
    let found = gateway.cli("doctor --output json");
    for check in [
        "gateway",
        "key store",
        "enrolment",
        "pairing",
        "link",
        "journal",
        "connectors",
    ] {
        assert_eq!(of(&found, check), "fine", "{check}: {}", found.stdout);
    }
    // An entry changed by hand, a loose secret, a link that is gone.
    let database = rusqlite::Connection::open(server.data.join("portcullis.db")).unwrap();
    let change = "DROP TRIGGER audit_entries_never_change;
                  UPDATE audit_entries SET subject = 'x' WHERE seq = 2";
    database.execute_batch(change).unwrap();
    let found = server.cli("doctor --output json");
    assert_eq!(
        (found.status.code(), of(&found, "audit log")),
        (Some(2), "critical".to_owned())
    );
    let mut server = pair.server;
    server.kill();
    let found = eventually("the link is missed", || async {
        let found = gateway.cli("doctor --output json");
        (of(&found, "link") == "critical").then_some(found)
    })
    .await;
    assert_eq!(found.status.code(), Some(2));
    let secret = server.data.join("server.secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let found = server.cli("doctor");
    assert_eq!(found.status.code(), Some(2));
    assert!(found.stdout.contains("chmod 0600"), "{}", found.stdout);
}

/// Everything below a folder, with whose it is.
fn belongings(folder: &Path) -> BTreeSet<(PathBuf, u32)> {
    let mut all = BTreeSet::from([(folder.to_owned(), fs::metadata(folder).unwrap().uid())]);
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let metadata = entry.metadata().unwrap();
        match metadata.is_dir() {
            true => all.extend(belongings(&entry.path())),
            false => {
                all.insert((entry.path(), metadata.uid()));
            }
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn root_is_told_to_run_the_doctor_as_the_services_user_and_to_take_no_file_from_him() {
    const NOBODY: u32 = 65_534;
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    let mut pair = Pair::dialled_in("").await;
    pair.server.kill();
    pair.gateway.kill();
    let head = pair.server.data.with_file_name("server-audit");
    let folders = [&pair.server.data, &head, &pair.gateway.state];
    for folder in folders {
        for (path, _) in belongings(folder) {
            std::os::unix::fs::chown(path, Some(NOBODY), None).unwrap();
        }
    }
    let before = folders.map(|folder| belongings(folder));
    for (found, program) in [
        (pair.server.cli("doctor"), "portcullis-server"),
        (pair.gateway.cli("doctor"), "portcullis-gateway"),
    ] {
        let told = found.stdout;
        let remedy = format!("`runuser -u nobody -- {program} doctor`");
        assert!(told.contains(&remedy), "{told}");
        assert!(
            !told.contains("chown") && !told.contains("CRITICAL"),
            "{told}"
        );
    }
    assert_eq!(folders.map(|folder| belongings(folder)), before);

    // What is wrong for the service's user is told to root, too, and mended for that user.
    let secret = pair.server.data.join("server.secret");
    std::os::unix::fs::chown(&secret, Some(0), None).unwrap();
    let found = pair.server.cli("doctor");
    assert_eq!(found.status.code(), Some(2));
    let remedy = format!("`chown {NOBODY} {}`", secret.display());
    assert!(found.stdout.contains(&remedy), "{}", found.stdout);
}
