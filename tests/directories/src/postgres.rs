//! PostgreSQL: a cluster of its own for each test, which is no user's that matters.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portcullis_tests::harness::{
    Finished, OrFail as _, Process, Site, eventually, run, run_to_end,
};
use rustix::process::{Signal, geteuid};

use crate::authority::{Authority, Certificate, Files};
use crate::{loopback_address, trees};

/// Whom a cluster belongs to where root runs the tests: PostgreSQL refuses to be root.
pub(crate) const NOBODY: u32 = 65534;
const PORT: u16 = 5432;
/// As which a standby follows.
const STANDBY: &str = "standby";

/// The network namespace in which a cluster and its clients run; `None`: that of the tests.
type Place = Option<String>;

/// A cluster of PostgreSQL that speaks over TLS, with the superuser `postgres`.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Process>,
    place: Place,
    address: Ipv4Addr,
    files: Files,
    programs: PathBuf,
    site: Site,
}

impl Postgres {
    /// The superuser.
    pub const SUPERUSER: &str = "postgres";
    /// Its password.
    pub const PASSWORD: &str = "postgres-secret";
    /// The name in its certificate, beside `localhost` and its address.
    pub const NAME: &str = "sql.example.test";

    /// Starts one.
    pub async fn start() -> Self {
        Self::start_in(None, loopback_address()).await
    }

    /// Starts one in a network namespace, on an address there.
    pub async fn start_on(netns: &str, address: Ipv4Addr) -> Self {
        Self::start_in(Some(netns.to_owned()), address).await
    }

    async fn start_in(place: Place, address: Ipv4Addr) -> Self {
        let programs = programs();
        let version = programs
            .parent()
            .and_then(Path::file_name)
            .or_fail("version of PostgreSQL");
        let tree = trees::tree(&format!("postgresql-{}", version.display()), |folder| {
            initialize(&programs, folder);
        });
        let site = Site::new();
        let data = site.path().join("data");
        trees::copy(&tree.join("data"), &data);
        let names = [Self::NAME, "localhost", &address.to_string()];
        let files = Authority::ours().certificate(&names).write(site.path());
        let mut settings = fs::read_to_string(data.join("postgresql.conf")).or_fail("settings");
        settings += &format!(
            "listen_addresses = '{address}'\nport = {PORT}\nunix_socket_directories = '{}'\nssl = on\n\
             ssl_cert_file = '{}'\nssl_key_file = '{}'\nmax_connections = 60\n",
            site.path().display(),
            files.certificate.display(),
            files.key.display()
        );
        fs::write(data.join("postgresql.conf"), settings).or_fail("write postgresql.conf");
        let rules = "local all all scram-sha-256\n\
                     hostssl all all 127.0.0.0/8 scram-sha-256\n\
                     hostssl replication all 127.0.0.0/8 scram-sha-256\n\
                     hostssl all all samenet scram-sha-256\n\
                     hostssl replication all samenet scram-sha-256\n";
        fs::write(data.join("pg_hba.conf"), rules).or_fail("write pg_hba.conf");
        if geteuid().is_root() {
            for path in [site.path(), &files.certificate, &files.key] {
                chown(path, Some(NOBODY), Some(NOBODY)).or_fail(path.display());
            }
        }
        let mut started = Self {
            process: None,
            place,
            address,
            files,
            programs,
            site,
        };
        started.restart().await;
        started
    }

    /// Starts a standby of it, which has what it has from then on.
    pub async fn standby(&self) -> Self {
        self.standby_on(loopback_address()).await
    }

    /// Starts a standby of it on an address where it is itself.
    pub async fn standby_on(&self, address: Ipv4Addr) -> Self {
        let site = Site::new();
        let names = [Self::NAME, "localhost", &address.to_string()];
        let files = Authority::ours().certificate(&names).write(site.path());
        if geteuid().is_root() {
            for path in [site.path(), &files.certificate, &files.key] {
                chown(path, Some(NOBODY), Some(NOBODY)).or_fail(path.display());
            }
        }
        let primary = format!(
            "host={} port={PORT} user={} password={} sslmode=require application_name={STANDBY}",
            self.address,
            Self::SUPERUSER,
            Self::PASSWORD
        );
        let data = site.path().join("data");
        let mut command = as_nobody_in(&self.place, &self.programs.join("pg_basebackup"));
        command.arg("-D").arg(&data).args(["-d", &primary]);
        command.args(["-X", "stream", "-c", "fast", "--no-sync"]);
        run(command);
        let mut settings = fs::read_to_string(data.join("postgresql.conf")).or_fail("settings");
        settings += &format!(
            "listen_addresses = '{address}'\nunix_socket_directories = '{}'\nssl_cert_file = '{}'\nssl_key_file = '{}'\n\
             primary_conninfo = '{primary}'\n",
            site.path().display(),
            files.certificate.display(),
            files.key.display()
        );
        fs::write(data.join("postgresql.conf"), settings).or_fail("write postgresql.conf");
        fs::write(data.join("standby.signal"), "").or_fail("write standby.signal");
        let mut started = Self {
            process: None,
            place: self.place.clone(),
            address,
            files,
            programs: self.programs.clone(),
            site,
        };
        started.restart().await;
        started
    }

    /// From now on it acknowledges what its standby has, and nothing else.
    pub async fn wait_for_standby(&self) {
        self.query(&format!(
            "alter system set synchronous_standby_names = '{STANDBY}';
             select pg_reload_conf();"
        ));
        let sql = "select count(*) from pg_stat_replication where sync_state = 'sync'";
        eventually("the standby to follow", async || {
            (self.query(sql).trim() == "1").then_some(())
        })
        .await;
    }

    /// Makes a primary of a standby.
    pub fn promote(&self) {
        let promoted = self.query("select pg_promote(true, 60)");
        assert_eq!(promoted.trim(), "t", "it was not promoted");
    }

    /// Whether it is installed.
    pub fn is_installed() -> bool {
        installed().is_some()
    }

    /// Starts it where it is not running, and waits until it takes connections.
    pub async fn restart(&mut self) {
        // After a kill, processes of the one before it hold its memory for a while, and a new one
        // ends at once.
        loop {
            let mut command = as_nobody_in(&self.place, &self.programs.join("postgres"));
            command.arg("-D").arg(self.site.path().join("data"));
            let process = Process::start(command, &self.site.path().join("log"));
            let runs = eventually("PostgreSQL to answer", async || {
                match self.try_query("select 1").status.success() {
                    true => Some(true),
                    false => process.has_ended().then_some(false),
                }
            })
            .await;
            if runs {
                self.process = Some(process);
                return;
            }
        }
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        PORT
    }

    /// The file with the certificate of the authority that issued its own.
    pub fn authority(&self) -> &Path {
        &self.files.authority
    }

    /// The folder of its Unix socket, where no TLS is spoken.
    pub fn socket_folder(&self) -> &Path {
        self.site.path()
    }

    /// Makes a database of this name, owned by a user of the same name and this password.
    #[track_caller]
    pub fn database(&self, name: &str, password: &str) {
        self.query(&format!(
            "create role {name} login password '{password}';
             create database {name} owner {name} encoding 'UTF8' template template0;"
        ));
    }

    /// Lets a user in on its socket without a password.
    pub fn trust(&self, user: &str) {
        let rules = self.data().join("pg_hba.conf");
        let before = fs::read_to_string(&rules).or_fail("read pg_hba.conf");
        let written = fs::write(&rules, format!("local all {user} trust\n{before}"));
        written.or_fail("write pg_hba.conf");
        self.query("select pg_reload_conf()");
    }

    /// Processor time that it has used.
    pub fn processor_time(&self) -> Duration {
        let process = self.process.as_ref();
        process.map(Process::processor_time).unwrap_or_default()
    }

    /// Its folder.
    pub fn site(&self) -> &Site {
        &self.site
    }

    fn data(&self) -> PathBuf {
        self.site.path().join("data")
    }

    /// What it has written to its log.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Runs SQL as the superuser; gives the rows, fields parted by `|`.
    #[track_caller]
    pub fn query(&self, sql: &str) -> String {
        self.try_query(sql).ok().stdout
    }

    /// Runs SQL as the superuser, and says what came of it.
    pub fn try_query(&self, sql: &str) -> Finished {
        let mut command = self.client(Self::SUPERUSER, Self::PASSWORD);
        command.args(["-f", "-"]);
        run_to_end(command, sql)
    }

    /// psql as this user, which commits every statement by itself and stops at the first error.
    pub fn client(&self, user: &str, password: &str) -> Command {
        let mut command = within(&self.place, &self.programs.join("psql"));
        let place = format!(
            "host={} port={PORT} user={user} dbname=postgres sslmode=verify-full sslrootcert={} connect_timeout=10",
            self.address,
            self.authority().display()
        );
        command.env("PGPASSWORD", password);
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", &place]);
        command
    }

    /// Has it show another certificate to whoever connects from now on, soon after.
    pub fn show(&self, certificate: &Certificate) {
        // Who owns the files stays.
        certificate.write(self.site.path());
        let process = self.process.as_ref();
        process.or_fail("server that runs").signal(Signal::HUP);
    }

    /// Ends it, and keeps what it stores then: it is to be started again.
    pub fn keep_state(&mut self) -> PathBuf {
        self.shut_down();
        let kept = self.site.path().join("kept");
        trees::copy(&self.data(), &kept);
        kept
    }

    /// Kills it, and puts back what it stored once: it is to be started again.
    pub fn put_back(&mut self, kept: &Path) {
        self.kill();
        fs::remove_dir_all(self.data()).or_fail("remove what it stores");
        trees::copy(kept, &self.data());
    }

    /// Kills it at once (SIGKILL).
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends it as an administrator would who does not wait for clients (SIGINT).
    pub fn shut_down(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal(Signal::INT);
            process.wait();
        }
    }

    /// Stops it in mid-work (SIGSTOP), with all that serve its connections.
    pub fn suspend(&self) {
        self.signal_all("STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal_all("CONT");
    }

    fn signal_all(&self, signal: &str) {
        let process = self.process.as_ref().or_fail("server that runs");
        let id = process.id().to_string();
        let name = format!("-{signal}");
        // Where it serves nobody and has no children, pkill finds none.
        let mut children = Command::new("pkill");
        children.args([&name, "-P", &id]);
        run_to_end(children, "");
        let mut itself = Command::new("kill");
        itself.args([&name, &id]);
        run(itself);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(process) = &self.process {
            // Its children hear of it, as they would not of a SIGKILL.
            process.signal(Signal::QUIT);
        }
    }
}

/// Debian keeps each version in a folder of its own, outside of `PATH`.
fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let programs = versions.flatten().map(|version| version.path().join("bin"));
    let complete = programs.filter(|folder| folder.join("initdb").exists());
    complete.max()
}

fn programs() -> PathBuf {
    installed().or_fail("PostgreSQL with an initdb")
}

fn initialize(programs: &Path, folder: &Path) {
    let password = folder.join("password");
    fs::write(&password, Postgres::PASSWORD).or_fail(password.display());
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).or_fail("a mode");
    if geteuid().is_root() {
        for path in [folder, &password] {
            chown(path, Some(NOBODY), Some(NOBODY)).or_fail(path.display());
        }
    }
    let mut command = as_nobody(&programs.join("initdb"));
    command
        .arg("-D")
        .arg(folder.join("data"))
        .arg(format!("--pwfile={}", password.display()))
        .args([
            "-U",
            Postgres::SUPERUSER,
            "--auth=scram-sha-256",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
    run(command);
}

pub(crate) fn as_nobody(program: &Path) -> Command {
    as_nobody_in(&None, program)
}

fn within(place: &Place, program: &Path) -> Command {
    let Some(netns) = place else {
        return Command::new(program);
    };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", netns]).arg(program);
    command
}

fn as_nobody_in(place: &Place, program: &Path) -> Command {
    let mut command = if geteuid().is_root() {
        let mut command = within(place, Path::new("setpriv"));
        let id = NOBODY.to_string();
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
        command.arg(program);
        command
    } else {
        within(place, program)
    };
    // It looks for its working directory, and for certificates at home, which may be closed to it.
    command.current_dir("/").env("HOME", "/");
    command
}
