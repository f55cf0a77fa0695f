//! Real listeners, over a real audit log.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit as _, Mac as _};
use portcullis_host::private_files::{self, create_private_file};
use rustls::pki_types::PrivateKeyDer;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket, UnixDatagram};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use super::webhook::Webhook;
use super::*;
use crate::audit::{AuditLog, Draft, Outcome, Subject};
use crate::config::Config;
use crate::serve::{Unlocked, init};

mod several;
mod tampering;

const SECRET: &[u8] = b"a secret of some length";
/// Reached only where something is wrong.
const DEADLINE: Duration = Duration::from_secs(60);

struct Fixture {
    folder: TempDir,
    config: Config,
    unlocked: Unlocked,
    log: AuditLog,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("data_dir = {:?}", folder.path().join("data"));
        let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        init::init(&config).await.unwrap();
        create_private_file(&folder.path().join("secret"), SECRET).unwrap();
        let unlocked = Unlocked::open(&config).await.unwrap();
        let log = AuditLog::open(&unlocked.repository, unlocked.server_id, &config.audit);
        let log = log.await.unwrap();
        Self {
            folder,
            config,
            unlocked,
            log,
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Sends to the places of this configuration, until the answer is dropped.
    async fn forward(&self, text: &str) -> Forwarding {
        let text = format!("data_dir = {:?}\n{text}", self.config.data_dir);
        let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        let repository = &self.unlocked.repository;
        let server = self.unlocked.server_id;
        Forwarding::start(&config.forward, repository, server)
            .await
            .unwrap()
    }

    async fn entry(&self, action: &str, object: &str) {
        let draft = Draft::new(Subject::server(), action, object, Outcome::Done);
        self.log.record(draft.detail("seen from a stranger")).await;
    }

    async fn last(&self) -> u64 {
        let entries = self.unlocked.repository.audit_entries();
        entries.last().await.unwrap().unwrap().seq
    }
}

/// A webhook that answers what it is told to, and hands on what it accepted.
async fn hook(status: u16) -> (u16, mpsc::Receiver<(String, String)>) {
    hook_that(move |_| status).await
}

/// One that answers as the body of the request has it.
async fn hook_that(
    status: impl Fn(&str) -> u16 + Send + Sync + 'static,
) -> (u16, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (told, requests) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            answer(stream, &status, &told).await;
        }
    });
    (port, requests)
}

/// Takes one request.
async fn answer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    status: impl Fn(&str) -> u16,
    told: &mpsc::Sender<(String, String)>,
) {
    let mut read = Vec::new();
    let (head, body) = loop {
        let mut part = [0; 4096];
        let count = stream.read(&mut part).await.unwrap();
        read.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = header(head, "content-length").parse::<usize>().unwrap();
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let status = status(&body);
    told.send((head, body)).await.unwrap();
    let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn header(head: &str, name: &str) -> String {
    let lines = head.lines().filter_map(|line| line.split_once(':'));
    let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().unwrap().1.trim().to_owned()
}

/// The `seq` of each entry of a request.
fn numbers(body: &str) -> Vec<u64> {
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let entries = body["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["seq"].as_u64().unwrap())
        .collect()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        sleep(Duration::from_millis(10)).await;
    }
}

fn lines(path: &str) -> Vec<u64> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let parsed = text.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        line["seq"].as_u64().unwrap()
    });
    parsed.collect()
}

#[tokio::test]
async fn an_alarm_reaches_syslog_of_every_kind_and_a_webhook_that_can_check_who_sent_it() {
    let fixture = Fixture::new().await;
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = fixture.path("log");
    let unix = UnixDatagram::bind(&socket).unwrap();
    let (port, mut requests) = hook(204).await;
    let _forwarding = fixture
        .forward(&format!(
            "[forward.udp]\ntype = \"syslog\"\nto = \"udp://{}\"\nwhat = \"alarms\"\n\
             [forward.tcp]\ntype = \"syslog\"\nto = \"tcp://{}\"\nwhat = \"alarms\"\n\
             [forward.unix]\ntype = \"syslog\"\nto = \"unix://{socket}\"\nwhat = \"alarms\"\n\
             [forward.hook]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/alarms?x=1\"\n\
             secret_file = {:?}\nwhat = \"alarms\"\n",
            udp.local_addr().unwrap(),
            tcp.local_addr().unwrap(),
            fixture.path("secret"),
        ))
        .await;
    fixture.entry("Gateways/Add", "gateway host1").await;
    fixture.entry(ALARM, "gateway host1").await;
    let alarm = fixture.last().await;
    let mut buffer = vec![0; 4096];
    let mut told = Vec::new();
    let count = udp.recv(&mut buffer).await.unwrap();
    told.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
    let count = unix.recv(&mut buffer).await.unwrap();
    told.push(String::from_utf8(buffer[..count].to_vec()).unwrap());
    let (mut stream, _) = tcp.accept().await.unwrap();
    let count = stream.read(&mut buffer).await.unwrap();
    let framed = String::from_utf8(buffer[..count].to_vec()).unwrap();
    let (length, message) = framed.split_once(' ').unwrap();
    assert_eq!(length.parse(), Ok(message.len()));
    told.push(message.to_owned());
    for message in told {
        assert!(message.starts_with("<105>1 "), "{message}");
        for part in [
            format!(" seq=\"{alarm}\""),
            " action=\"Gateway/Alarm\"".to_owned(),
            "seen from a stranger".to_owned(),
        ] {
            assert!(message.contains(&part), "{part} in {message}");
        }
    }
    let (head, body) = requests.recv().await.unwrap();
    assert!(head.starts_with("POST /alarms?x=1 HTTP/1.1"), "{head}");
    assert_eq!(numbers(&body), [alarm]);
    let signature = header(&head, "portcullis-signature");
    let parts: BTreeMap<_, _> = signature
        .split(',')
        .filter_map(|p| p.split_once('='))
        .collect();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(format!("{}.{body}", parts["t"]).as_bytes());
    assert_eq!(parts["v1"], HEXLOWER.encode(&mac.finalize().into_bytes()));
}

#[tokio::test]
async fn none_is_left_out_while_a_place_is_away_or_refuses_or_the_server_restarts() {
    let fixture = Fixture::new().await;
    let (file, gone) = (
        fixture.path("audit.jsonl"),
        fixture.path("gone/audit.jsonl"),
    );
    let (port, mut refused) = hook(500).await;
    let places = |port: u16| {
        format!(
            "[forward.file]\ntype = \"file\"\npath = {file:?}\n\
             [forward.gone]\ntype = \"file\"\npath = {gone:?}\n\
             [forward.hook]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\nsecret_file = {:?}\n",
            fixture.path("secret")
        )
    };
    let forwarding = fixture.forward(&places(port)).await;
    let first = fixture.last().await + 1;
    for number in 0..600 {
        fixture
            .entry("Things/Change", &format!("thing {number}"))
            .await;
    }
    let last = fixture.last().await;
    // One that works is not held up by those that do not.
    let has_all = |place: &&Arc<Place>| place.name == "file" && place.cursor() == last;
    until("the file has them", || {
        forwarding.places().iter().any(|place| has_all(&place))
    })
    .await;
    assert_eq!(lines(&file).last(), Some(&last));
    refused.recv().await.unwrap();
    until("faults are told", || {
        forwarding
            .places()
            .iter()
            .filter(|place| place.fault().is_some())
            .count()
            == 2
    })
    .await;
    drop(forwarding);
    // A crash in the middle of a line.
    fs::write(&file, fs::read_to_string(&file).unwrap().trim_end()).unwrap();
    fixture
        .entry("Things/Change", "while nothing is sent")
        .await;
    fs::create_dir(Path::new(&gone).parent().unwrap()).unwrap();
    let (port, mut requests) = hook(200).await;
    let forwarding = fixture.forward(&places(port)).await;
    let last = fixture.last().await;
    let all: Vec<_> = (first..=last).collect();
    until("all places have all", || {
        forwarding
            .places()
            .iter()
            .all(|place| place.cursor() >= last)
    })
    .await;
    assert_eq!(lines(&file), all);
    assert_eq!(lines(&gone), all);
    let mut hooked = Vec::new();
    while hooked.last() != Some(&last) {
        hooked.extend(numbers(&requests.recv().await.unwrap().1));
    }
    assert_eq!(hooked, all);
    assert!(
        forwarding
            .places()
            .iter()
            .all(|place| place.fault().is_none())
    );
}

#[tokio::test]
async fn a_secret_that_others_can_read_signs_nothing() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = Fixture::new().await;
    let secret = fixture.path("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let (port, mut requests) = hook(200).await;
    let text = format!(
        "[forward.hook]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\nsecret_file = {secret:?}\n"
    );
    let forwarding = fixture.forward(&text).await;
    fixture.entry("Things/Change", "thing").await;
    until("the fault", || forwarding.places()[0].fault().is_some()).await;
    let fault = forwarding.places()[0].fault().unwrap();
    assert!(fault.contains("secret"), "{fault}");
    assert!(requests.try_recv().is_err());
}

/// A certificate of `localhost` that vouches for itself, and what a server shows it with.
fn localhost() -> (String, TlsAcceptor) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    (made.cert.pem(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn a_webhook_over_https_is_sent_nothing_until_its_certificate_is_believed() {
    let fixture = Fixture::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (pem, acceptor) = localhost();
    let (foreign, _) = localhost();
    let (told, mut requests) = mpsc::channel(64);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                answer(stream, |_| 200, &told).await;
            }
        }
    });
    let ca_file = fixture.path("ca.pem");
    fs::write(&ca_file, foreign).unwrap();
    let forwarding = fixture
        .forward(&format!(
            "[forward.hook]\ntype = \"webhook\"\nurl = \"https://localhost:{port}/in\"\n\
             secret_file = {:?}\nca_file = {ca_file:?}\n",
            fixture.path("secret")
        ))
        .await;
    fixture.entry("Things/Change", "thing").await;
    let place = &forwarding.places()[0];
    until("the certificate is refused", || place.fault().is_some()).await;
    let fault = place.fault().unwrap();
    assert!(fault.contains("https://localhost"), "{fault}");
    assert!(requests.try_recv().is_err());
    // The right file in its place is read without a restart, and one place's sends go on with it.
    fs::write(&ca_file, pem).unwrap();
    let first = fixture.last().await;
    let (head, body) = requests.recv().await.unwrap();
    assert!(head.starts_with("POST /in HTTP/1.1"), "{head}");
    assert_eq!(numbers(&body), [first]);
    fixture.entry("Things/Change", "thing").await;
    let (_, body) = requests.recv().await.unwrap();
    assert_eq!(numbers(&body), [first + 1]);
}

#[tokio::test]
async fn a_send_that_is_given_up_leaves_no_connection_behind() {
    let fixture = Fixture::new().await;
    // Connections are taken for it, and nobody answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", silent.local_addr().unwrap());
    let secret = fixture.path("secret").into();
    let server = fixture.unlocked.server_id;
    let mut webhook = Webhook::new(url.parse().unwrap(), secret, None, server);
    let entry = AuditEntry::default();
    assert!(
        timeout(Duration::from_millis(200), webhook.send(&[&entry]))
            .await
            .is_err()
    );
    let (mut stream, _) = silent.accept().await.unwrap();
    let mut request = Vec::new();
    stream.read_to_end(&mut request).await.unwrap();
    assert!(request.starts_with(b"POST / HTTP/1.1"));
}

#[tokio::test]
async fn a_place_that_comes_back_after_an_archive_goes_on_and_what_it_missed_is_told() {
    let fixture = Fixture::new().await;
    let path = fixture.path("audit.jsonl");
    let text = format!("[forward.file]\ntype = \"file\"\npath = {path:?}\n");
    let forwarding = fixture.forward(&text).await;
    fixture.entry("Things/Change", "thing").await;
    let had = fixture.last().await;
    until("the entry is sent", || {
        forwarding.places()[0].cursor() == had
    })
    .await;
    drop(forwarding);
    let repository = &fixture.unlocked.repository;
    assert_eq!(archived_since(repository, had).await.unwrap(), None);
    for number in 0..4 {
        let thing = format!("thing {number}");
        fixture.entry("Things/Change", &thing).await;
    }
    let log = &fixture.log;
    let head = log.archivable(u64::MAX, u64::MAX).await.unwrap().unwrap();
    log.archive(head.tip, u64::MAX).await.unwrap();
    let gone = archived_since(repository, had).await.unwrap();
    assert_eq!(gone, Some(had + 1..=head.tip.count));
    let _forwarding = fixture.forward(&text).await;
    until("what is left is sent", || {
        lines(&path) == [had, head.tip.count + 1]
    })
    .await;
}

#[tokio::test]
async fn a_webhook_that_takes_less_at_once_is_sent_less_at_once() {
    let fixture = Fixture::new().await;
    let few = |body: &str| if numbers(body).len() > 3 { 413 } else { 200 };
    let (port, mut requests) = hook_that(few).await;
    let secret = fixture.path("secret");
    let text = format!(
        "[forward.hook]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:{port}/\"\nsecret_file = {secret:?}\n"
    );
    let begun = fixture.last().await;
    drop(fixture.forward(&text).await);
    for number in 0..20 {
        let thing = format!("thing {number}");
        fixture.entry("Things/Change", &thing).await;
    }
    let last = fixture.last().await;
    let forwarding = fixture.forward(&text).await;
    let place = &forwarding.places()[0];
    until("it has them", || place.cursor() == last).await;
    assert_eq!(place.fault(), None);
    let mut taken = Vec::new();
    while let Ok((_, body)) = requests.try_recv() {
        taken.extend(Some(numbers(&body)).filter(|sent| sent.len() <= 3));
    }
    assert_eq!(taken.concat(), (begun + 1..=last).collect::<Vec<_>>());
    drop(forwarding);
    // One that takes not even one of them.
    let (port, _requests) = hook(413).await;
    let none = text.replace(
        text.split('"').nth(3).unwrap(),
        &format!("http://127.0.0.1:{port}/"),
    );
    fixture.entry("Things/Change", "large").await;
    let forwarding = fixture.forward(&none).await;
    let place = &forwarding.places()[0];
    until("the fault", || place.fault().is_some()).await;
    let told = format!("entry {} alone", last + 1);
    let fault = place.fault().unwrap();
    assert!(fault.contains(&told), "{fault}");
}

#[tokio::test]
async fn files_that_keep_a_place_from_taking_entries_are_seen_before() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let fixture = Fixture::new().await;
    let (secret, path) = (fixture.path("secret"), fixture.path("audit.jsonl"));
    let told = |path: &str| {
        let text = format!(
            "[forward.hook]\ntype = \"webhook\"\nurl = \"http://127.0.0.1:1/\"\nsecret_file = {secret:?}\n\
             [forward.siem]\ntype = \"file\"\npath = {path:?}\n"
        );
        let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        let faults = inspect(&config.forward, private_files::this_user());
        let faults = faults
            .into_iter()
            .map(|(name, why)| format!("{name}: {why}"));
        faults.collect::<Vec<_>>().join("\n")
    };
    assert_eq!(told(&path), "");
    assert!(!Path::new(&path).exists());
    assert!(told(&fixture.path("gone/audit.jsonl")).contains("siem: "));
    symlink("elsewhere", &path).unwrap();
    assert!(told(&path).contains("it is a link"));
    fs::remove_file(&path).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(told(&path).starts_with("hook: "));
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&secret, "short").unwrap();
    assert!(told(&path).contains("less than 16 bytes"));
    fs::remove_file(&secret).unwrap();
    assert!(told(&path).starts_with("hook: "));
}
