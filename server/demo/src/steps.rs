//! The story, step by step.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::signal::unix::{SignalKind, signal};

use super::children::{self, Process};
use super::host::Privilege;
use super::narrator::Narrator;
use super::programs::Programs;
use super::{DemoArgs, DemoError};

/// The accounts that the demonstration makes.
const PEOPLE: &str = include_str!("../../../deploy/demo/people.csv");

const GATEWAY: &str = "demo-host";
const RESOURCE: &str = "demo-accounts";
const STEPS: usize = 8;
/// How long to wait for one thing to happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the demonstration to its end, or until Ctrl-C.
///
/// # Errors
/// [`DemoError`] says which step failed and why; the processes are ended in every case.
pub(super) async fn run(args: DemoArgs) -> Result<(), DemoError> {
    let mut interrupt =
        signal(SignalKind::interrupt()).map_err(DemoError::file("watch", "SIGINT"))?;
    let mut terminate =
        signal(SignalKind::terminate()).map_err(DemoError::file("watch", "SIGTERM"))?;
    let stop = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&stop);
    let mut story = tokio::task::spawn_blocking(move || tell(&args, heard));
    let told = tokio::select! {
        told = &mut story => told,
        () = async { tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} } } => {
            stop.store(true, Ordering::Relaxed);
            story.await
        }
    };
    if let Some(stage) = told.map_err(|_| DemoError::Interrupted)?? {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
        println!("\nEnding the gateway and the server.");
        drop(stage);
    }
    Ok(())
}

/// Everything the demonstration set up; it ends and goes away with this value.
/// The order of the fields is the order in which they end.
struct Stage {
    gateway: Option<Process>,
    server: Option<Process>,
    programs: Programs,
    privilege: Privilege,
    folder: PathBuf,
    stop: Arc<AtomicBool>,
    temporary: Option<TempDir>,
}

fn tell(args: &DemoArgs, stop: Arc<AtomicBool>) -> Result<Option<Stage>, DemoError> {
    let privilege = Privilege::of_this_host()?;
    let programs = Programs::locate()?;
    let mut narrator = Narrator::new(STEPS);
    let (folder, temporary) = folder(args)?;
    let mut stage = Stage {
        gateway: None,
        server: None,
        programs,
        privilege,
        folder,
        stop,
        temporary,
    };
    println!(
        "Portcullis: a central server pushes account changes to a gateway, through the sealed channel."
    );

    start_server(&mut stage, &mut narrator)?;
    let port = register(&stage, &mut narrator)?;
    enrol(&mut stage, &mut narrator, port)?;
    shake_hands(&mut stage, &mut narrator)?;
    provision(&stage, &mut narrator)?;
    show_accounts(&stage, &mut narrator)?;
    rotate(&mut stage, &mut narrator)?;
    provision_again(&stage, &mut narrator)?;

    println!(
        "\nDone in {:.1} s. Every call and every password crossed the wire sealed.",
        narrator.seconds()
    );
    if !args.keep {
        return Ok(None);
    }
    keep(&stage);
    Ok(Some(stage))
}

fn start_server(stage: &mut Stage, narrator: &mut Narrator) -> Result<(), DemoError> {
    narrator.step("Set up the central server");
    narrator.say(&format!("Everything lies in {}.", stage.folder.display()));
    stage.write("server.toml", &server_toml(&stage.folder), 0o600)?;
    let program = stage.programs.server.clone();
    let init = stage.run_program(
        &program,
        "portcullis-server",
        &["--config", "server.toml", "init"],
        narrator,
    )?;
    narrator.output(&init);
    narrator.command("portcullis-server --config server.toml serve &");
    let mut serve = Command::new(&program);
    serve
        .current_dir(&stage.folder)
        .args(["--config", "server.toml", "serve"]);
    let server = Process::start("server", serve, stage.folder.join("server.log"))?;
    narrator.say(&format!("The server runs as process {}.", server.id()));
    stage.server = Some(server);
    stage.wait("the server to answer", |stage| stage.status().is_some())
}

fn register(stage: &Stage, narrator: &mut Narrator) -> Result<u16, DemoError> {
    narrator.step("Register a gateway and receive its enrolment token");
    let port = free_port()?;
    let address = format!("127.0.0.1:{port}");
    let added = stage.admin(
        &[
            "gateway",
            "add",
            GATEWAY,
            "--address",
            &address,
            "--token-file",
            "token",
        ],
        narrator,
    )?;
    narrator.output(&added);
    narrator.say(
        "The token is a one-time credential for this gateway alone, with a random key of its own. It lies in a file \
         that only its owner may read.",
    );
    Ok(port)
}

fn enrol(stage: &mut Stage, narrator: &mut Narrator, port: u16) -> Result<(), DemoError> {
    narrator.step("Enrol the gateway on its host, and start it");
    create_scratch_root(&stage.folder.join("host"))?;
    stage.write("gateway.toml", &gateway_toml(&stage.folder, port), 0o600)?;
    let program = stage.programs.gateway.clone();
    let arguments = [
        "--config",
        "gateway.toml",
        "enroll",
        "--token-file",
        "token",
    ];
    let enrolled = stage.run_program(&program, "portcullis-gateway", &arguments, narrator)?;
    narrator.output(&enrolled);
    narrator.command("portcullis-gateway --config gateway.toml run &");
    let mut run = stage.privilege.command(&program);
    run.current_dir(&stage.folder)
        .args(["--config", "gateway.toml", "run"]);
    let gateway = Process::start("gateway", run, stage.folder.join("gateway.log"))?;
    narrator.say(&format!(
        "The gateway runs as process {}, {}, and listens on port {port} (9278 where it is installed).",
        gateway.id(),
        match stage.privilege {
            Privilege::Root => "as root",
            Privilege::UserNamespace => "root only in a user namespace of its own",
        }
    ));
    stage.gateway = Some(gateway);
    Ok(())
}

fn shake_hands(stage: &mut Stage, narrator: &mut Narrator) -> Result<(), DemoError> {
    narrator.step("The server dials; enrolment and handshake");
    stage.wait("the link", Stage::linked)?;
    narrator.say(&format!(
        "First session, under the token's key: the server bound the token to this gateway and installed the gateway's own \
         master key. Second session, under that key: mode {}, suite {}, master key {}. Both sides erased the token's key. \
         The session key, 168 random bits wrapped under the master key, is new for every session.",
        stage.field("/session/mode").unwrap_or_default(),
        stage.field("/session/suite").unwrap_or_default(),
        stage.field("/session/key_id").unwrap_or_default(),
    ));
    narrator.output(&stage.admin(&["gateway", "list"], narrator)?);
    Ok(())
}

fn provision(stage: &Stage, narrator: &mut Narrator) -> Result<(), DemoError> {
    narrator.step("Provision the accounts of a CSV file");
    stage.write("people.csv", PEOPLE, 0o600)?;
    let connector = [
        "resource",
        "add",
        RESOURCE,
        "--gateway",
        GATEWAY,
        "--connector",
        "accounts",
    ];
    narrator.output(&stage.admin(&connector, narrator)?);
    narrator.output(&stage.admin(&["resource", "test", RESOURCE], narrator)?);
    narrator.output(&stage.admin(&["account", "import", RESOURCE, "people.csv"], narrator)?);
    Ok(())
}

fn show_accounts(stage: &Stage, narrator: &mut Narrator) -> Result<(), DemoError> {
    narrator.step("Look at what is there now");
    narrator.output(&stage.admin(&["account", "list", RESOURCE], narrator)?);
    let passwd = stage.folder.join("host/etc/passwd");
    narrator.command("tail -n 3 host/etc/passwd");
    let text = fs::read_to_string(&passwd).map_err(DemoError::file("read", &passwd))?;
    let lines: Vec<_> = text.lines().collect();
    narrator.output(&lines[lines.len().saturating_sub(3)..].join("\n"));
    Ok(())
}

fn rotate(stage: &mut Stage, narrator: &mut Narrator) -> Result<(), DemoError> {
    narrator.step("Rotate the gateway key of the whole fleet");
    let before = stage.field("/last_proved_key_id").unwrap_or_default();
    narrator.output(&stage.admin(&["key", "rotate-gateway", "--wait", "15s"], narrator)?);
    stage.wait("the new key's proof", |stage| {
        stage.linked()
            && stage
                .field("/session/key_id")
                .is_some_and(|id| id != before)
    })?;
    narrator.say(&format!(
        "The gateway held {before}. It stored the new key beside it, shook hands under {}, and only then, when the server \
         had proved that it holds the new one too, erased the old.",
        stage.field("/session/key_id").unwrap_or_default(),
    ));
    narrator.output(&stage.admin(&["key", "list"], narrator)?);
    Ok(())
}

fn provision_again(stage: &Stage, narrator: &mut Narrator) -> Result<(), DemoError> {
    narrator.step("Provision again, under the new key");
    stage.write("password", "Katherine-1962-orbit\n", 0o600)?;
    let create = [
        "account",
        "create",
        RESOURCE,
        "katherine.johnson",
        "--set",
        "full_name=Katherine Johnson",
        "--password-file",
        "password",
    ];
    narrator.output(&stage.admin(&create, narrator)?);
    let authenticate = [
        "account",
        "authenticate",
        RESOURCE,
        "katherine.johnson",
        "--password-file",
        "password",
    ];
    narrator.output(&stage.admin(&authenticate, narrator)?);
    narrator.output(&stage.admin(&["account", "disable", RESOURCE, "ken.thompson"], narrator)?);
    narrator.output(&stage.admin(&["account", "delete", RESOURCE, "frances.allen"], narrator)?);
    narrator.output(&stage.admin(&["gateway", "ping", GATEWAY], narrator)?);
    Ok(())
}

fn keep(stage: &Stage) {
    let bin = stage.programs.admin.parent().unwrap_or(Path::new("."));
    println!("\nServer and gateway keep running. In another terminal, type:");
    println!(
        "  export PATH={}:$PATH PORTCULLIS_SOCKET={}",
        bin.display(),
        stage.socket().display()
    );
    for command in [
        format!("portcullis gateway show {GATEWAY}"),
        format!("portcullis account get {RESOURCE} ada.lovelace"),
        format!("portcullis account set-password {RESOURCE} ada.lovelace"),
        "portcullis key rotate-gateway".to_owned(),
        "portcullis --help".to_owned(),
    ] {
        println!("  {command}");
    }
    println!(
        "Logs: {0}/server.log and {0}/gateway.log. Ctrl-C here ends both.",
        stage.folder.display()
    );
}

impl Stage {
    fn socket(&self) -> PathBuf {
        self.folder.join("admin.sock")
    }

    /// Fails once the user has had enough.
    fn go_on(&self) -> Result<(), DemoError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(DemoError::Interrupted);
        }
        Ok(())
    }

    fn write(&self, name: &str, content: &str, mode: u32) -> Result<(), DemoError> {
        let path = self.folder.join(name);
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(DemoError::file("write", path))
    }

    fn run_program(
        &self,
        program: &Path,
        name: &str,
        arguments: &[&str],
        narrator: &Narrator,
    ) -> Result<String, DemoError> {
        self.go_on()?;
        let shown = shown(name, arguments);
        narrator.command(&shown);
        let mut command = Command::new(program);
        command.current_dir(&self.folder).args(arguments);
        children::run(&shown, command)
    }

    /// Runs the administrators' command and shows it.
    fn admin(&self, arguments: &[&str], narrator: &Narrator) -> Result<String, DemoError> {
        self.go_on()?;
        let shown = shown("portcullis", arguments);
        narrator.command(&shown);
        children::run(&shown, self.admin_command(arguments))
    }

    fn admin_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.admin);
        command
            .current_dir(&self.folder)
            .env("PORTCULLIS_SOCKET", self.socket())
            .env("COLUMNS", "110")
            .args(arguments);
        command
    }

    fn status(&self) -> Option<String> {
        children::run(
            "portcullis status",
            self.admin_command(&["status", "--output", "json"]),
        )
        .ok()
    }

    /// The gateway has a live link, under the current key.
    fn linked(&self) -> bool {
        self.field("/session/mode").is_some()
            && self
                .field("/synchronized")
                .is_some_and(|value| value == "true")
    }

    /// A field of `portcullis gateway show`, by its JSON pointer, as text.
    fn field(&self, pointer: &str) -> Option<String> {
        let command = self.admin_command(&["gateway", "show", GATEWAY, "--output", "json"]);
        let shown = children::run("portcullis gateway show", command).ok()?;
        let gateway: serde_json::Value = serde_json::from_str(&shown).ok()?;
        match gateway.pointer(pointer)? {
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }

    #[allow(
        clippy::disallowed_methods,
        reason = "the demonstration has no runtime"
    )]
    fn wait(&mut self, what: &'static str, done: impl Fn(&Self) -> bool) -> Result<(), DemoError> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            self.go_on()?;
            for process in [self.server.as_mut(), self.gateway.as_mut()]
                .into_iter()
                .flatten()
            {
                process.check()?;
            }
            if done(self) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let logs = self.folder.clone();
        if let Some(temporary) = self.temporary.as_mut() {
            temporary.disable_cleanup(true);
        }
        Err(DemoError::Late {
            what,
            seconds: PATIENCE.as_secs(),
            logs,
        })
    }
}

fn shown(name: &str, arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        if argument.contains(' ') {
            format!("'{argument}'")
        } else {
            (*argument).to_owned()
        }
    });
    [name.to_owned()]
        .into_iter()
        .chain(quoted)
        .collect::<Vec<_>>()
        .join(" ")
}

fn folder(args: &DemoArgs) -> Result<(PathBuf, Option<TempDir>), DemoError> {
    let Some(folder) = &args.dir else {
        let temporary = tempfile::Builder::new()
            .prefix("portcullis-demo-")
            .tempdir()
            .map_err(DemoError::file("make", std::env::temp_dir()))?;
        return Ok((temporary.path().to_path_buf(), Some(temporary)));
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(DemoError::file("make", folder))?;
    let folder = folder
        .canonicalize()
        .map_err(DemoError::file("find", folder))?;
    let mut entries = fs::read_dir(&folder).map_err(DemoError::file("read", &folder))?;
    if entries.next().is_some() {
        Err(DemoError::FolderInUse(folder))
    } else {
        Ok((folder, None))
    }
}

fn free_port() -> Result<u16, DemoError> {
    TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(DemoError::file("find a free port on", "127.0.0.1"))
}

/// A folder that looks like a host to the account tools: enough of `etc` for them to work with
/// `--prefix`.
fn create_scratch_root(root: &Path) -> Result<(), DemoError> {
    for folder in ["etc", "home"] {
        let path = root.join(folder);
        fs::create_dir_all(&path).map_err(DemoError::file("make", path))?;
    }
    let files = [
        ("passwd", "root:x:0:0:root:/root:/bin/sh\n", 0o644),
        ("group", "root:x:0:\nusers:x:100:\n", 0o644),
        ("shadow", "root:*:20000:0:99999:7:::\n", 0o600),
        ("gshadow", "root:*::\nusers:!::\n", 0o600),
        ("shells", "/bin/sh\n/bin/bash\n", 0o644),
        (
            "login.defs",
            "UID_MIN 1000\nUID_MAX 60000\nGID_MIN 1000\nGID_MAX 60000\nUSERGROUPS_ENAB yes\n",
            0o644,
        ),
    ];
    for (name, content, mode) in files {
        let path = root.join("etc").join(name);
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .map_err(DemoError::file("write", path))?;
    }
    Ok(())
}

fn server_toml(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "data_dir = \"{folder}/server\"\n\n[admin]\nsocket = \"{folder}/admin.sock\"\n\n[dial_out]\nlisten = \"\"\n\n\
         [links]\nbackoff_min = \"200ms\"\nbackoff_max = \"2s\"\n"
    )
}

fn gateway_toml(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        "state_dir = \"{folder}/gateway\"\n\n[listen]\naddress = \"127.0.0.1:{port}\"\n\n[connectors.accounts]\n\
         type = \"unix\"\nprefix = \"{folder}/host\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_with_something_in_it_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("mine"), "").unwrap();
        let args = DemoArgs {
            demo: None,
            keep: false,
            dir: Some(folder.path().to_path_buf()),
        };
        assert!(matches!(
            super::folder(&args),
            Err(DemoError::FolderInUse(_))
        ));
    }

    #[test]
    fn every_person_has_a_password_of_their_own() {
        let mut passwords: Vec<_> = PEOPLE
            .lines()
            .skip(1)
            .filter_map(|line| line.rsplit(',').next())
            .collect();
        let count = passwords.len();
        passwords.sort_unstable();
        passwords.dedup();
        assert_eq!((count, passwords.len()), (8, 8));
    }
}
