//! OpenLDAP: a provider, and replicas of it that lag by as much as they do.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use portcullis_tests::harness::{OrFail as _, Process, Site, eventually, run};
use rustix::process::Signal;

use crate::authority::{Authority, Certificate, Files};
use crate::{Tools, loopback_address};

const LDAP: u16 = 3389;

/// What is particular to one server.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    /// Its certificate, where it is not to be a good one.
    pub certificate: Option<Certificate>,
    /// Lines of slapd.conf for its database, after all others.
    pub settings: String,
    /// Lines of the usual configuration that name this are left out; empty: none.
    pub lacks: &'static str,
    /// Entries beside those of every server here, in LDIF.
    pub entries: String,
}

/// A server of OpenLDAP with the suffix `dc=example,dc=org`. What is below `ou=people` and
/// `ou=groups` may be written by [`Slapd::GATEWAY`]; the server keeps memberOf; `uid` is unique, a
/// password has 12 characters at least, three wrong ones lock an account, and a search finds 500
/// entries at most, but any number in pages of up to 1,000.
#[derive(Debug)]
pub struct Slapd {
    process: Option<Process>,
    address: Ipv4Addr,
    files: Files,
    site: Site,
}

impl Slapd {
    /// Its port for TLS.
    pub const LDAPS: u16 = 3636;
    /// The suffix of its database.
    pub const SUFFIX: &str = "dc=example,dc=org";
    /// The gateway's own identity in it.
    pub const GATEWAY: &str = "cn=gateway,dc=example,dc=org";
    /// Its password.
    pub const GATEWAY_PASSWORD: &str = "gateway-secret";
    /// An identity without limits on what a search finds, for syncrepl.
    pub const SYNC: &str = "cn=sync,dc=example,dc=org";
    /// Its password.
    pub const SYNC_PASSWORD: &str = "sync-secret";
    /// Who may do everything.
    pub const ROOT: &str = "cn=root,dc=example,dc=org";
    /// Its password.
    pub const ROOT_PASSWORD: &str = "root-secret";
    /// The name in its certificate, beside `localhost` and its address.
    pub const NAME: &str = "ldap.example.test";

    /// Starts one.
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    /// Starts one that is particular.
    pub async fn start_with(setup: Setup) -> Self {
        let address = loopback_address();
        let mut slapd = Self::prepare(&setup, address, "");
        slapd.load(&format!("{SEED}\n{}", setup.entries));
        slapd.restart().await;
        slapd
    }

    /// Starts a replica, which follows this server by syncrepl and refers those who write to it.
    pub async fn replica(&self) -> Self {
        let settings = format!(
            "syncrepl rid=001 provider={} type=refreshAndPersist retry=\"1 +\" searchbase=\"{}\" bindmethod=simple \
             binddn=\"{}\" credentials={} tls_cacert={}\nupdateref {}\n",
            self.url(),
            Self::SUFFIX,
            Self::SYNC,
            Self::SYNC_PASSWORD,
            self.authority().display(),
            self.url()
        );
        let mut replica = Self::prepare(&Setup::default(), loopback_address(), &settings);
        replica.restart().await;
        replica
    }

    fn prepare(setup: &Setup, address: Ipv4Addr, following: &str) -> Self {
        let site = Site::new();
        let database = site.folder("database");
        let certificate = setup.certificate.clone().unwrap_or_else(|| {
            let address = address.to_string();
            Authority::ours().certificate(&[Self::NAME, "localhost", &address])
        });
        let files = certificate.write(site.path());
        let lacks = |line: &&str| !setup.lacks.is_empty() && line.contains(setup.lacks);
        let lines = CONFIGURATION.split_inclusive('\n');
        let text: String = lines.filter(|line| !lacks(line)).collect();
        let text = text
            .replace("<AUTHORITY>", &files.authority.to_string_lossy())
            .replace("<CERTIFICATE>", &files.certificate.to_string_lossy())
            .replace("<KEY>", &files.key.to_string_lossy())
            .replace("<DATABASE>", &database.to_string_lossy())
            .replace("<PIDFILE>", &site.path().join("pid").to_string_lossy());
        site.file(
            "slapd.conf",
            0o600,
            &format!("{text}{following}{}", setup.settings),
        );
        Self {
            process: None,
            address,
            files,
            site,
        }
    }

    /// Puts entries into its database before it is started, faster than any client.
    pub fn load(&mut self, ldif: &str) {
        let file = self.site.file("entries.ldif", 0o600, ldif);
        let mut command = Command::new("/usr/sbin/slapadd");
        command
            .arg("-q")
            .arg("-f")
            .arg(self.configuration())
            .arg("-l")
            .arg(&file);
        run(command);
        fs::remove_file(&file).or_fail(file.display());
    }

    /// Adds lines to its configuration, for its next start.
    pub fn append(&self, lines: &str) {
        let file = self.configuration();
        let text = fs::read_to_string(&file).or_fail(file.display());
        fs::write(&file, text + lines).or_fail(file.display());
    }

    /// Starts it where it is not running, and waits until it answers.
    pub async fn restart(&mut self) {
        let mut command = Command::new("/usr/sbin/slapd");
        let listen = format!(
            "ldaps://{0}:{1}/ ldap://{0}:{LDAP}/",
            self.address,
            Self::LDAPS
        );
        command
            .arg("-f")
            .arg(self.configuration())
            .args(["-h", &listen, "-d", "0"]);
        self.process = Some(Process::start(command, &self.site.path().join("log")));
        eventually("OpenLDAP to answer", async || {
            let open = tokio::net::TcpStream::connect((self.address, Self::LDAPS)).await;
            open.is_ok().then_some(())
        })
        .await;
    }

    /// Where it listens for TLS.
    pub fn url(&self) -> String {
        format!("ldaps://{}:{}", self.address, Self::LDAPS)
    }

    /// Where it listens for connections that begin in the clear.
    pub fn starttls_url(&self) -> String {
        format!("ldap://{}:{LDAP}", self.address)
    }

    /// Its address.
    pub fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// The file with the certificate of the authority that issued its own.
    pub fn authority(&self) -> &Path {
        &self.files.authority
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

    /// OpenLDAP's tools, bound as who may do everything.
    pub fn tools(&self) -> Tools {
        Tools {
            url: self.url(),
            authority: self.authority().to_owned(),
            bind: Self::ROOT.to_owned(),
            password: Self::ROOT_PASSWORD.to_owned(),
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

    fn configuration(&self) -> PathBuf {
        self.site.path().join("slapd.conf")
    }
}

const CONFIGURATION: &str = "\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile <PIDFILE>
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
moduleload ppolicy
moduleload memberof
moduleload refint
moduleload unique
TLSCACertificateFile <AUTHORITY>
TLSCertificateFile <CERTIFICATE>
TLSCertificateKeyFile <KEY>
security simple_bind=128 update_tls=128
sizelimit size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited
database mdb
suffix dc=example,dc=org
rootdn cn=root,dc=example,dc=org
rootpw root-secret
directory <DATABASE>
maxsize 4294967296
index objectClass,entryUUID,entryCSN,modifyTimestamp eq
index uid,cn,sn,mail,member,memberUid,uidNumber,gidNumber eq
limits dn.exact=\"cn=gateway,dc=example,dc=org\" size.soft=500 size.hard=500 size.pr=1000 size.prtotal=unlimited
limits dn.exact=\"cn=sync,dc=example,dc=org\" size.soft=unlimited size.hard=unlimited time=unlimited
access to attrs=userPassword by dn.exact=\"cn=gateway,dc=example,dc=org\" write by dn.exact=\"cn=sync,dc=example,dc=org\" read by anonymous auth by self =xw by * none
access to * by dn.exact=\"cn=gateway,dc=example,dc=org\" write by users read by anonymous auth
overlay memberof
memberof-group-oc groupOfNames
memberof-member-ad member
overlay refint
refint_attributes member
refint_nothing cn=nobody,dc=example,dc=org
overlay ppolicy
ppolicy_default cn=default,ou=policies,dc=example,dc=org
ppolicy_hash_cleartext
ppolicy_use_lockout
overlay unique
unique_uri ldap:///ou=people,dc=example,dc=org?uid?one
overlay syncprov
syncprov-sessionlog 10000
";

const SEED: &str = "\
dn: dc=example,dc=org
objectClass: dcObject
objectClass: organization
o: Example
dc: example

dn: cn=gateway,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: gateway
userPassword: gateway-secret

dn: cn=sync,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: sync
userPassword: sync-secret

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: ou=policies,dc=example,dc=org
objectClass: organizationalUnit
ou: policies

dn: cn=default,ou=policies,dc=example,dc=org
objectClass: organizationalRole
objectClass: pwdPolicy
cn: default
pwdAttribute: userPassword
pwdMinLength: 12
pwdCheckQuality: 2
pwdInHistory: 3
pwdLockout: TRUE
pwdMaxFailure: 3
pwdLockoutDuration: 60
";
