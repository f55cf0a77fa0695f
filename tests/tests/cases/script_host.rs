//! A host with a script connector, a server that manages it, and `portcullis`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use portcullis_tests::harness::{Admin, Dial, Finished, Gateway, Server, Site};

/// The server, the gateway `h1` and its resource `scr1`.
pub(crate) struct ScriptHost {
    // In this order: processes are killed before the folder they live in goes.
    pub(crate) gateway: Gateway,
    admin: Admin,
    server: Server,
    pub(crate) scripts: PathBuf,
    _site: Site,
}

impl ScriptHost {
    /// With these scripts, each a name, its content and its mode.
    pub(crate) async fn new(scripts: &[(&str, &[u8], u32)]) -> Self {
        let site = Site::new();
        let folder = site.folder("scripts");
        let config = format!("[connectors.hr]\ntype = \"script\"\nfolder = {folder:?}\n");
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let dial = Dial::inward();
        let gateway = Gateway::new(&site, "h1", dial, &config);
        let token = admin.add_gateway("h1", &dial.address(), false).await;
        gateway.enroll(&token);
        let mut host = Self {
            gateway,
            admin,
            server,
            scripts: folder,
            _site: site,
        };
        for (name, content, mode) in scripts {
            host.put(name, content, *mode);
        }
        host.gateway.start();
        host.admin.synchronized("h1").await;
        host.admin.add_resource("scr1", "h1", "hr").await;
        host
    }

    /// Writes a script.
    pub(crate) fn put(&self, name: &str, content: &[u8], mode: u32) {
        let file = self.scripts.join(name);
        fs::write(&file, content).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[track_caller]
    pub(crate) fn portcullis(&self, line: &str) -> Finished {
        self.server.portcullis(line)
    }
}
