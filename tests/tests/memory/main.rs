//! What the memory of live programs and the files of the repository hold after calls and key
//! changes: no password of a call that is over, no deleted key, and no key at all outside the pages
//! that a core dump leaves out.
//!
//! The cores are taken by gdb, as an administrator or an attacker with his rights would take them.
//! Each is taken as dumps are, and the server's once more with the excluded pages; there the same
//! search finds its keys, so that it would have found them in the first.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test's own helpers fail the test"
)]

mod needles;
mod stores;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use needles::{Needle, found};
use portcullis_proto::gateway::v1::{
    Attribute, Call, Outcome, Run, Secret, Value, call, outcome, value,
};
use portcullis_tests::harness::{
    Admin, Dial, Finished, Gateway, Process, Scripts, Server, Site, run,
};
use rand::distr::{Alphanumeric, SampleString as _};
use stores::{Keys, keys};

/// The connector's name stands in the gateway's memory as long as it runs.
const PLANTED_CONNECTOR: &str = "planted-connector-8f31";
/// The gateway's name stands in the server's memory, and in the repository.
const PLANTED_GATEWAY: &str = "planted-gateway-27c5";
const RESOURCE: &str = "unix";

/// Everything that one run of the test needs, and every password that it used.
struct Place {
    // In this order: processes are killed before the folder they live in goes.
    gateway: Gateway,
    server: Server,
    admin: Admin,
    passwords: Vec<String>,
    _scratch: tempfile::TempDir,
    site: Site,
}

impl Place {
    async fn new() -> Self {
        let site = Site::new();
        let scratch = tempfile::tempdir().unwrap();
        portcullis_gateway::connectors::unix::create_scratch_root(scratch.path()).unwrap();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let scripts = Scripts::new(&site, "scripts");
        let config = format!(
            "{}[connectors.{PLANTED_CONNECTOR}]\ntype = \"unix\"\nprefix = {:?}\n",
            scripts.config(),
            scratch.path()
        );
        let dial = Dial::Out(server.dial_out_port);
        let mut gateway = Gateway::new(&site, PLANTED_GATEWAY, dial, &config);
        let token = admin.add_gateway(PLANTED_GATEWAY, "", false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized(PLANTED_GATEWAY).await;
        for (resource, connector) in [
            (RESOURCE, PLANTED_CONNECTOR),
            ("journal", Scripts::CONNECTOR),
        ] {
            admin
                .add_resource(resource, PLANTED_GATEWAY, connector)
                .await;
        }
        Self {
            gateway,
            server,
            admin,
            passwords: Vec::new(),
            _scratch: scratch,
            site,
        }
    }

    fn password(&mut self) -> String {
        let password = Alphanumeric.sample_string(&mut rand::rng(), 24);
        self.passwords.push(password.clone());
        password
    }

    /// A call of the administrators' command that hands over a password.
    #[track_caller]
    fn with_password(&self, verb: &str, account: &str, password: &str) -> Finished {
        let line = format!("account {verb} {RESOURCE} {account} --password-stdin");
        let input = format!("{password}\n");
        self.server.portcullis_given(&line, &input)
    }

    /// Every way of a password: set, changed, right, wrong, as a script's argument, in a call that
    /// is refused.
    async fn calls(&mut self, account: &str) {
        let first = self.password();
        self.with_password("create", account, &first).ok();
        for _ in 0..3 {
            let next = self.password();
            self.with_password("set-password", account, &next).ok();
            self.with_password("authenticate", account, &next).ok();
            let wrong = self.password();
            self.with_password("authenticate", account, &wrong)
                .refused();
        }
        let argument = self.password();
        let done = self.run_script("record", &argument).await;
        assert!(
            matches!(done.result, Some(outcome::Result::Done(_))),
            "{done:?}"
        );
        let refused = self.password();
        let failed = self.run_script("no-such-action", &refused).await;
        assert!(
            matches!(failed.result, Some(outcome::Result::Failed(_))),
            "{failed:?}"
        );
    }

    async fn run_script(&self, action: &str, password: &str) -> Outcome {
        let kind = value::Kind::Secret(Secret::plain(password.into()));
        let call = Call {
            verb: Some(call::Verb::Run(Run {
                action: action.to_owned(),
                arguments: vec![Attribute {
                    name: "password".to_owned(),
                    values: vec![Value { kind: Some(kind) }],
                }],
            })),
            ..Call::default()
        };
        self.admin.call("journal", call).await
    }

    #[track_caller]
    fn key_command(&self, line: &str) {
        self.server.portcullis(&format!("key {line}")).ok();
    }

    /// Exports all keys. Gives the passphrase.
    fn export(&self) -> String {
        let passphrase = Alphanumeric.sample_string(&mut rand::rng(), 24);
        let file = self.site.file("passphrase", 0o600, &passphrase);
        let (file, export) = (file.display(), self.site.path().join("keys.export"));
        let export = export.display();
        self.key_command(&format!("export '{export}' --passphrase-file '{file}'"));
        passphrase
    }

    async fn keys(&self, copy: &str) -> Keys {
        let gateway = self.admin.gateway(PLANTED_GATEWAY).await;
        keys(&self.site, &self.server.data, copy, &gateway.gateway_id).await
    }

    fn core(&self, of: &Program, whole: bool) -> Vec<u8> {
        let prefix = self.site.path().join(of.name);
        let mut gcore = Command::new("gcore");
        if whole {
            gcore.arg("-a");
        }
        gcore.arg("-o").arg(&prefix).arg(of.process.to_string());
        run(gcore);
        let mut file = prefix.into_os_string();
        file.push(format!(".{}", of.process));
        let file = PathBuf::from(file);
        let core = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        core
    }
}

struct Program {
    name: &'static str,
    process: u32,
    /// What its memory holds for everybody to see.
    planted: &'static str,
}

impl Program {
    fn new(name: &'static str, process: Option<&Process>, planted: &'static str) -> Self {
        let process = process.unwrap().id();
        Self {
            name,
            process,
            planted,
        }
    }
}

/// The repository's file and those beside it.
fn repository(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let files = fs::read_dir(data)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.to_string_lossy().contains(".db"))
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes cores with gdb, as root: tests/run memory"]
async fn neither_memory_nor_repository_holds_what_is_over_or_secret() {
    let mut place = Place::new().await;
    place.calls("eve").await;
    let before = place.keys("before").await;
    let passphrase = place.export();
    place.key_command("generate-server --kind aes-256 --set-current");
    place.key_command("re-encrypt");
    place.admin.rotate(30_000).await;
    place.admin.synchronized(PLANTED_GATEWAY).await;
    for id in &before.ids {
        place.key_command(&format!("delete {id}"));
    }
    place.calls("mallory").await;
    let now = place.keys("now").await;
    let deleted = before.ids.iter().all(|id| !now.ids.contains(id));
    assert!(deleted, "nothing was deleted");

    let passwords = place.passwords.iter();
    let mut unwanted: Vec<_> = passwords
        .map(|password| Needle::text("a password of a finished call", password))
        .collect();
    unwanted.push(Needle::text("the passphrase of the export", &passphrase));
    for keys in [&before, &now] {
        unwanted.extend(keys.all());
    }
    let server = place.server.process.as_ref();
    let server = Program::new("server", server, PLANTED_GATEWAY);
    let gateway = place.gateway.process.as_ref();
    let gateway = Program::new("gateway", gateway, PLANTED_CONNECTOR);
    for program in [&server, &gateway] {
        dump_holds_none(&place, program, &unwanted);
    }

    // The gateway reads its key when it shakes hands; the server has its keys at hand.
    let whole = place.core(&server, true);
    for key in &now.of_the_server {
        let found = !found(&whole, std::slice::from_ref(key)).is_empty();
        let what = key.what();
        assert!(
            found,
            "{what} is not even in the excluded pages: this search proves nothing"
        );
    }
    // A deleted key is gone from those pages, too.
    assert_eq!(found(&whole, &before.server_keys), Vec::<String>::new());
    repository_holds_none(&place, &unwanted, &before, &now);
}

/// What a core file of the program holds: the planted word, and nothing unwanted.
fn dump_holds_none(place: &Place, program: &Program, unwanted: &[Needle]) {
    let name = program.name;
    let planted = [Needle::text("the planted word", program.planted)];
    let core = place.core(program, false);
    let planted = found(&core, &planted);
    assert!(!planted.is_empty(), "{name}: this search proves nothing");
    assert_eq!(found(&core, unwanted), Vec::<String>::new(), "{name}");
    let (bytes, secrets) = (core.len(), unwanted.len());
    println!("{name}: {bytes} bytes dumped, {secrets} secrets searched for");
}

/// What the repository's files hold: the planted word, the wrapped keys of `now`, and nothing
/// unwanted.
fn repository_holds_none(place: &Place, unwanted: &[Needle], before: &Keys, now: &Keys) {
    let files = repository(&place.server.data);
    assert!(
        files.len() >= 3,
        "the repository, its -wal and its -shm: {files:?}"
    );
    let is_there = |needle: &Needle| {
        let needle = std::slice::from_ref(needle);
        let mut files = files.iter();
        files.any(|(_, bytes)| !found(bytes, needle).is_empty())
    };
    let planted = Needle::text("the planted word", PLANTED_GATEWAY);
    assert!(is_there(&planted), "this search proves nothing");
    for (path, bytes) in &files {
        let secrets = found(bytes, unwanted);
        assert_eq!(secrets, Vec::<String>::new(), "{}", path.display());
        // Not even wrapped does a deleted key remain.
        let wrapped = found(bytes, &before.wrapped);
        assert_eq!(wrapped, Vec::<String>::new(), "{}", path.display());
    }
    for key in &now.wrapped {
        assert!(is_there(key), "this search proves nothing");
    }
}
