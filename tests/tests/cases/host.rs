//! A host whose accounts lie under a scratch root, a server that manages it, and `portcullis`.

use std::fs;
use std::path::PathBuf;

use portcullis_gateway::connectors::unix::create_scratch_root;
use portcullis_tests::harness::{Dial, Finished, Gateway, Server, Site};

/// The server, the gateway `h1` and its resource `unix1`.
pub(crate) struct Host {
    // In this order: processes are killed before the folder they live in goes.
    _gateway: Gateway,
    pub(crate) server: Server,
    pub(crate) root: PathBuf,
    site: Site,
}

impl Host {
    /// With `more` in the connector's section of the configuration; `None` where this process is
    /// not root, as shadow-utils ask for.
    pub(crate) async fn new(more: &str) -> Option<Self> {
        let site = Site::new();
        let root = site.folder("root");
        create_scratch_root(&root).unwrap();
        Self::under(site, root, more).await
    }

    /// The same with this root, perhaps that of the host itself.
    pub(crate) async fn under(site: Site, root: PathBuf, more: &str) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: shadow-utils change accounts for root only");
            return None;
        }
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let dial = Dial::inward();
        let config = format!("[connectors.local]\ntype = \"unix\"\nprefix = {root:?}\n{more}");
        let mut gateway = Gateway::new(&site, "h1", dial, &config);
        let token = admin.add_gateway("h1", &dial.address(), false).await;
        gateway.enroll(&token);
        gateway.start();
        admin.synchronized("h1").await;
        admin.add_resource("unix1", "h1", "local").await;
        Some(Self {
            _gateway: gateway,
            server,
            root,
            site,
        })
    }

    #[track_caller]
    pub(crate) fn portcullis(&self, line: &str) -> Finished {
        self.server.portcullis(line)
    }

    #[track_caller]
    pub(crate) fn portcullis_given(&self, line: &str, input: &str) -> Finished {
        self.server.portcullis_given(line, input)
    }

    /// Puts lines behind those of a file under the root.
    pub(crate) fn append(&self, file: &str, lines: &[u8]) {
        let mut content = fs::read(self.root.join(file)).unwrap_or_default();
        content.extend_from_slice(lines);
        fs::write(self.root.join(file), content).unwrap();
    }

    /// A file under the root.
    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.root.join(file)).unwrap()
    }

    /// A file that holds a password.
    pub(crate) fn password_file(&self, password: &str) -> PathBuf {
        let name = format!("password-{password}");
        self.site.file(&name, 0o600, &format!("{password}\n"))
    }

    /// An account as `--output json` has it.
    #[track_caller]
    pub(crate) fn account(&self, name: &str) -> serde_json::Value {
        let shown = self.portcullis(&format!("--output json account get unix1 {name}"));
        serde_json::from_str(&shown.ok().stdout).unwrap()
    }
}
