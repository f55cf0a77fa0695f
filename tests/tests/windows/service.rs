//! The gateway as a service, under Wine's manager of services.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use portcullis_tests::harness::{Admin, Dial, Finished, Server, Site, Wine, drive_z, eventually};

use super::{Pair, private_file};

/// The tests' program for what Wine's own do not show and do (tests/windows/host.c).
pub(super) fn host(arguments: &[&str]) -> Finished {
    let program = std::env::var("PORTCULLIS_TEST_HOST_EXE").unwrap();
    Wine::from_environment().run(&program, arguments)
}

/// It ended with 0 and printed each of these.
#[track_caller]
pub(super) fn told(finished: Finished, texts: &[&str]) {
    let finished = finished.ok();
    for text in texts {
        assert!(
            finished.stdout.contains(text),
            "`{text}` is not in: {finished}"
        );
    }
}

/// It ended otherwise, with whatever status the programs of Windows have for it.
#[track_caller]
pub(super) fn fails(finished: Finished) {
    assert!(!finished.status.success(), "{finished}");
}

/// The events that services have reported so far, as Wine has seen the calls: id and text. It
/// stores none.
pub(super) fn events() -> Vec<(u64, String)> {
    let file = std::env::var("PORTCULLIS_TEST_SERVICES_LOG").unwrap();
    let log = fs::read(file).unwrap();
    let mut called = HashMap::new();
    let mut events = Vec::new();
    for line in String::from_utf8_lossy(&log).lines() {
        let Some((thread, rest)) = line.split_once(':') else {
            continue;
        };
        if let Some(arguments) = rest.strip_prefix("Call advapi32.ReportEventW(") {
            let id = arguments.split(',').nth(3).unwrap();
            // What lies above the 32 bits of it belongs to nobody.
            let id = u64::from_str_radix(id, 16).unwrap() & u64::from(u32::MAX);
            called.insert(thread.to_owned(), id);
        } else if let Some((_, text)) = rest.split_once(":eventlog:ReportEventW ")
            && let Some(id) = called.remove(thread)
        {
            events.push((id, text.to_owned()));
        }
    }
    events
}

/// Waits until an event of this id was reported whose text has these words.
pub(super) async fn reported(id: u64, words: &str) {
    eventually(&format!("event {id} with {words:?}"), || async {
        let mut events = events().into_iter();
        events
            .any(|(found, text)| found == id && text.contains(words))
            .then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn a_service_is_installed_started_reloaded_stopped_in_order_and_removed() {
    let pair = Pair::new(true).await;
    let wine = Wine::from_environment();
    let instance = pair
        .host
        .windows_folder
        .trim_start_matches(r"C:\")
        .to_owned();
    let service = format!("PortcullisGateway-{instance}");
    let verb = |verb: &str| pair.cli(&format!("service {verb} --instance {instance}"));
    verb("start").refused().saying("service install");
    pair.cli("service run")
        .refused()
        .saying("manager of services");

    let file = pair.host.folder.join("token.txt");
    private_file(&file, &pair.token);
    let token = format!(r"{}\token.txt", pair.host.windows_folder);
    let install = format!("install --token-file '{token}'");
    told(
        verb(&install),
        &[
            "was there and stays as it is",
            "is installed",
            &format!("next: `portcullis-gateway service start --instance {instance}`"),
        ],
    );
    let status = verb("status");
    assert_eq!(status.status.code(), Some(1), "{status}");
    assert!(status.stdout.contains("is stopped"), "{status}");

    wine.run("net", &["start", &service]).ok();
    pair.admin.synchronized("host1").await;
    told(verb("status"), &["is running", "automatic"]);
    pair.record("by-the-service").await;
    told(verb("start"), &["was running already"]);

    // What `sc control NAME paramchange` asks.
    let config = pair.host.folder.join("gateway.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(
        &config,
        text.replace("level = \"debug\"", "level = \"info\""),
    )
    .unwrap();
    host(&["paramchange", &service]).ok();
    let log = pair.host.folder.join("state").join("gateway.log");
    logged(&log, "configuration reloaded: log.level").await;

    wine.run("net", &["stop", &service]).ok();
    logged(&log, "calls under way are carried to their end").await;
    logged(&log, "INFO portcullis_gateway::service: stopped").await;

    told(verb("uninstall"), &["is removed", "keys and journal stay"]);
    verb("status").refused().saying("there is no service");
    told(verb("uninstall"), &["there was no service"]);
    let shown = pair.cli("key show").ok();
    assert!(shown.stdout.contains("active"), "{shown}");

    let dialled = pair.host.gateway.dial;
    let Dial::Out(port) = dialled else {
        panic!("{dialled:?}");
    };
    reported(1, &format!("dialling 127.0.0.1:{port}")).await;
    reported(21, "enrolled: this gateway holds a master key").await;
    reported(5, "configuration reloaded: log.level").await;
    reported(2, "calls under way are carried to their end").await;
    reported(3, "stopped").await;
}

#[test]
#[ignore = "needs the .exe and Wine: tests/run windows"]
fn the_program_holds_the_text_of_each_event() {
    let program = drive_z(Wine::from_environment().gateway_exe());
    for id in ["1", "23", "61", "101"] {
        let shown = host(&["text", &program, id, "told"]).ok();
        assert_eq!(shown.stdout.trim(), "told", "{id}");
    }
    host(&["text", &program, "99", "told"]).refused();
}

async fn logged(log: &Path, text: &str) {
    eventually(&format!("{text:?} in the log"), || async {
        let log = fs::read_to_string(log).ok()?;
        log.contains(text).then_some(())
    })
    .await;
}

/// A host on which nothing is set up.
pub(super) struct Bare {
    _server: Server,
    pub(super) admin: Admin,
    _site: Site,
    pub(super) wine: Wine,
    /// Where it dials.
    pub(super) address: String,
    /// A file with a token that works, as the gateway sees it, and from outside.
    pub(super) token: (String, PathBuf),
}

impl Bare {
    pub(super) async fn new(name: &str) -> Self {
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let text = admin.add_gateway(name, "", true).await;
        let path = site.path().join("host.token");
        private_file(&path, &text);
        Self {
            address: format!("127.0.0.1:{}", server.dial_out_port),
            _server: server,
            admin,
            token: (drive_z(&path), path),
            _site: site,
            wine: Wine::from_environment(),
        }
    }

    fn gateway(&self, line: &[&str]) -> Finished {
        let program = drive_z(self.wine.gateway_exe());
        self.wine.run(&program, line)
    }

    /// A file of `%ProgramData%\Portcullis`.
    pub(super) fn data(&self, name: &str) -> PathBuf {
        self.wine
            .drive_c()
            .join("ProgramData/Portcullis")
            .join(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the .exe and Wine: tests/run windows"]
async fn a_gateway_is_set_up_from_nothing_or_nothing_is_left_behind() {
    let bare = Bare::new("host1").await;
    let (token, outside) = &bare.token;
    let install = |server: &str| {
        let of = [
            "service",
            "install",
            "--instance",
            "bare",
            "--start",
            "--server",
            server,
        ];
        bare.gateway(&[&of[..], &["--token-file", token]].concat())
    };
    let settings = bare.data("gateway-bare.toml");
    let nothing_is_there = || {
        assert!(!settings.exists());
        let status = bare.gateway(&["service", "status", "--instance", "bare"]);
        status.refused().saying("there is no service");
    };
    install("nowhere").refused().saying("the port is missing");
    nothing_is_there();
    fs::set_permissions(outside, fs::Permissions::from_mode(0o644)).unwrap();
    install(&bare.address)
        .refused()
        .saying("can be read by S-1-1-0");
    nothing_is_there();
    let text = fs::read_to_string(outside).unwrap();
    private_file(outside, &text[1..]);
    install(&bare.address).refused().saying("token");
    nothing_is_there();

    private_file(outside, &text);
    told(
        install(&bare.address),
        &["PortcullisGateway-bare is running"],
    );
    bare.admin.synchronized("host1").await;
    let written = fs::read_to_string(&settings).unwrap();
    // Again, and with another server: what is there holds.
    told(
        install("other.example.com:9279"),
        &["already enrolled", "stays as it is", "says otherwise"],
    );
    assert_eq!(fs::read_to_string(&settings).unwrap(), written);
    assert!(bare.admin.gateway("host1").await.connected);

    let uninstall = ["service", "uninstall", "--instance", "bare", "--purge"];
    told(
        bare.gateway(&uninstall),
        &["settings, keys and journal are removed"],
    );
    nothing_is_there();
    assert!(!bare.data("gateway-bare").exists());
}
