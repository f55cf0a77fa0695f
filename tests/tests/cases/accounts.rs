//! A server, a gateway and accounts in a scratch root: what most cases need.

use std::fs;
use std::process::{Command, Stdio};

use portcullis_tests::harness::{Dial, Finished, Gateway, Server, Site};
use tempfile::TempDir;

/// The resource `unix`, whose accounts lie in a scratch root.
pub(crate) struct Accounts {
    // In this order: processes are killed before the folder they live in goes.
    _gateway: Gateway,
    pub(crate) server: Server,
    pub(crate) site: Site,
    scratch: TempDir,
}

impl Accounts {
    /// `None` where shadow-utils may not work on a scratch root: they need root.
    pub(crate) async fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: accounts in a scratch root need root here");
            return None;
        }
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let scratch = tempfile::tempdir().unwrap();
        portcullis_gateway::connectors::unix::create_scratch_root(scratch.path()).unwrap();
        let prefix = scratch.path();
        let config = format!("[connectors.local]\ntype = \"unix\"\nprefix = {prefix:?}\n");
        let dial = Dial::inward();
        let mut gateway = Gateway::new(&site, "host1", dial, &config);
        let token = admin.add_gateway("host1", &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized("host1").await;
        admin.add_resource("unix", "host1", "local").await;
        Some(Self {
            _gateway: gateway,
            server,
            site,
            scratch,
        })
    }

    #[track_caller]
    pub(crate) fn portcullis(&self, line: &str) -> Finished {
        self.server.portcullis(line)
    }

    /// Whether there is an account of this name on the host.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        let passwd = fs::read_to_string(self.scratch.path().join("etc/passwd")).unwrap();
        let head = format!("{name}:");
        passwd.lines().any(|line| line.starts_with(&head))
    }

    /// A file with these bytes.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.site.file(name, 0o600, "");
        fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    }

    /// `portcullis` with its standard output there: its exit code and its messages.
    pub(crate) fn printing_to(&self, line: &str, out: impl Into<Stdio>) -> (Option<i32>, String) {
        let mut command: Command = self.server.admin_command(line);
        let output = command.stdin(Stdio::null()).stdout(out).output().unwrap();
        let messages = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), messages)
    }
}
