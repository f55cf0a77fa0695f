//! Samba as a controller of Active Directory, and more controllers of the same domain that have not
//! heard of its changes.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Weak};

use portcullis_tests::harness::{OrFail as _, Process, Site, eventually, run};
use rustix::process::Signal;
use tokio::sync::Mutex;

use crate::authority::{Authority, Files};
use crate::{Tools, loopback_address, trees};

/// A controller of the domain `example.test`. Root alone can run one. It listens at the ports of
/// LDAP (389 and 636) and of the global catalogue (3268 and 3269).
#[derive(Debug)]
pub struct Samba {
    process: Option<Process>,
    address: Ipv4Addr,
    files: Files,
    site: Site,
}

impl Samba {
    /// The domain's root.
    pub const SUFFIX: &str = "DC=example,DC=test";
    /// The domain's administrator, as a userPrincipalName.
    pub const ADMINISTRATOR: &str = "administrator@example.test";
    /// Its password.
    pub const PASSWORD: &str = "Adm1n-Passw0rd";
    /// The name in its certificate, beside `localhost` and its address.
    pub const NAME: &str = "dc1.example.test";

    /// Where the users of [`Samba::populated`] are.
    pub const POPULATED: &str = "OU=crowd,DC=example,DC=test";
    /// How many there are.
    pub const POPULATION: usize = 1702;
    /// The group that all of them are in.
    pub const CROWD: &str = "CN=everybody,OU=crowd,DC=example,DC=test";

    /// Starts the controller of a fresh domain.
    pub async fn start() -> Self {
        Self::start_from(&tree()).await
    }

    async fn start_from(tree: &Path) -> Self {
        let address = loopback_address();
        let site = Site::new();
        trees::copy(tree, &site.path().join("domain"));
        let names = [Self::NAME, "localhost", &address.to_string()];
        let files = Authority::ours().certificate(&names).write(site.path());
        let domain = site.path().join("domain");
        let configuration = configuration(&domain, address, Some(&files));
        fs::write(domain.join("smb.conf"), configuration).or_fail("write smb.conf");
        let mut started = Self {
            process: None,
            address,
            files,
            site,
        };
        started.restart().await;
        started
    }

    /// The controller that the tests of this process share while they run beside one another.
    /// Whoever changes the domain keeps to an organizational unit of his own.
    pub async fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Samba>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::start().await);
        *shared = Arc::downgrade(&started);
        started
    }

    /// Starts the controller of a domain with [`Samba::POPULATION`] users, all of them members of
    /// the group [`Samba::CROWD`].
    pub async fn populated() -> Self {
        let from = populated_tree().await;
        Self::start_from(&from).await
    }

    /// Starts another controller of the same domain, which has heard of nothing that was changed
    /// since the domain was made: the objects of that time have the same GUIDs.
    pub async fn stale(&self) -> Self {
        Self::start().await
    }

    /// Starts it where it is not running, and waits until it answers.
    pub async fn restart(&mut self) {
        let mut command = Command::new("samba");
        command
            .args([
                "-i",
                "-M",
                "single",
                "--no-process-group",
                "--debug-stdout",
                "-s",
            ])
            .arg(self.site.path().join("domain/smb.conf"));
        self.process = Some(Process::start(command, &self.site.path().join("log")));
        eventually("Samba to answer", async || {
            let open = tokio::net::TcpStream::connect((self.address, 636)).await;
            (open.is_ok() && self.tools().bind().status.success()).then_some(())
        })
        .await;
    }

    /// Where it listens for TLS.
    pub fn url(&self) -> String {
        format!("ldaps://{}:636", self.address)
    }

    /// Where it listens for connections that begin in the clear.
    pub fn starttls_url(&self) -> String {
        format!("ldap://{}:389", self.address)
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The file with the certificate of the authority that issued its own.
    pub fn authority(&self) -> &Path {
        &self.files.authority
    }

    /// Its folder.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// OpenLDAP's tools, bound as the domain's administrator.
    pub fn tools(&self) -> Tools {
        Tools {
            url: self.url(),
            authority: self.authority().to_owned(),
            bind: Self::ADMINISTRATOR.to_owned(),
            password: Self::PASSWORD.to_owned(),
        }
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Stops it in mid-work (SIGSTOP): connections are taken, and nothing answers.
    pub fn suspend(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        self.process
            .as_ref()
            .or_fail("server that runs")
            .signal(signal);
    }
}

/// The version of Samba, fit for a file's name.
fn version() -> String {
    let mut asked = Command::new("samba");
    asked.arg("--version");
    let said = run(asked).stdout;
    let last = said.trim().rsplit(' ').next().unwrap_or_default();
    format!("samba-{last}")
}

/// The domain with many users. It is made from the other by a controller that runs.
async fn populated_tree() -> PathBuf {
    let name = format!("{}-populated", version());
    let made = tokio::task::spawn_blocking(move || trees::find(&name)).await;
    let place = match made.or_fail("look for a tree") {
        trees::Kept::Made(tree) => return tree,
        trees::Kept::ToMake(place) => place,
    };
    let mut samba = Samba::start().await;
    let mut users = format!(
        "dn: {}\nobjectClass: organizationalUnit\n\n",
        Samba::POPULATED
    );
    let mut group = format!("dn: {}\nobjectClass: group\n", Samba::CROWD);
    for number in 0..Samba::POPULATION {
        let dn = format!("CN=user{number:04},{}", Samba::POPULATED);
        users += &format!("dn: {dn}\nobjectClass: user\nsAMAccountName: user{number:04}\n\n");
        group += &format!("member: {dn}\n");
    }
    samba.tools().apply(&format!("{users}{group}"));
    samba.kill();
    place.keep(&samba.site.path().join("domain"))
}

/// The domain as it was made: seconds of work, kept for all runs.
fn tree() -> PathBuf {
    trees::tree(&version(), |folder| {
        let address = loopback_address();
        for name in ["state", "lock", "cache", "run", "bind-dns", "private"] {
            fs::create_dir_all(folder.join(name)).or_fail(name);
        }
        let file = folder.join("smb.conf");
        fs::write(&file, configuration(folder, address, None)).or_fail(file.display());
        let mut command = Command::new("samba-tool");
        command.args([
            "domain",
            "provision",
            "--realm=EXAMPLE.TEST",
            "--domain=EXAMPLE",
            "--server-role=dc",
        ]);
        command.args(["--dns-backend=NONE", "--host-name=dc1"]);
        command.arg(format!("--host-ip={address}"));
        command.arg(format!("--adminpass={}", Samba::PASSWORD));
        command.arg(format!("--configfile={}", file.display()));
        run(command);
    })
}

/// Nothing waits for the disk: what a process has written outlives its death all the same.
fn configuration(folder: &Path, address: Ipv4Addr, files: Option<&Files>) -> String {
    let d = folder.display();
    let tls = files.map_or_else(String::new, |files| {
        format!(
            "tls keyfile = {}\ntls certfile = {}\ntls cafile = {}\n",
            files.key.display(),
            files.certificate.display(),
            files.authority.display()
        )
    });
    format!(
        "[global]\nnetbios name = DC1\nrealm = EXAMPLE.TEST\nworkgroup = EXAMPLE\n\
         server role = active directory domain controller\nserver services = ldap\n\
         interfaces = {address}/8\nbind interfaces only = yes\nprivate dir = {d}/private\n\
         state directory = {d}/state\nlock directory = {d}/lock\ncache directory = {d}/cache\n\
         pid directory = {d}/run\nncalrpc dir = {d}/run/ncalrpc\n\
         winbindd socket directory = {d}/run/winbindd\nntp signd socket directory = {d}/run/ntp\n\
         binddns dir = {d}/bind-dns\nlog file = {d}/log\nldb:nosync = true\n{tls}\
         [sysvol]\npath = {d}/state/sysvol\nread only = no\n\
         [netlogon]\npath = {d}/state/sysvol/example.test/scripts\nread only = no\n"
    )
}
