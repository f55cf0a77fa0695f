//! A private OpenLDAP for the conformance suite.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::site::{Site, skipped};

const SLAPD: &str = "/usr/sbin/slapd";

const PORT: u16 = 3636;

/// A server that ends with the test.
struct Server {
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A directory of its own, or `None` where there is no OpenLDAP.
fn site() -> Option<Site> {
    if !fs::exists(SLAPD).unwrap() || !fs::exists("/etc/ldap/schema/core.schema").unwrap() {
        return skipped("OpenLDAP is not installed");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let address = format!(
        "127.{}.{}.{}",
        rand::random_range(1..=254),
        rand::random_range(0..=255),
        rand::random_range(1..=254)
    );
    certify(path, &address);
    fs::create_dir(path.join("database")).unwrap();
    let configuration = CONFIGURATION.replace("<FOLDER>", &path.to_string_lossy());
    fs::write(path.join("slapd.conf"), configuration).unwrap();
    fs::write(path.join("entries.ldif"), ENTRIES).unwrap();
    let password = path.join("password");
    fs::write(&password, "gateway-secret\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let loaded = Command::new("/usr/sbin/slapadd")
        .args(["-q", "-f"])
        .arg(path.join("slapd.conf"))
        .arg("-l")
        .arg(path.join("entries.ldif"))
        .output()
        .unwrap();
    assert!(loaded.status.success(), "{loaded:?}");
    let process = Command::new(SLAPD)
        .arg("-f")
        .arg(path.join("slapd.conf"))
        .args(["-h", &format!("ldaps://{address}:{PORT}/"), "-d", "0"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let section = SECTION
        .replace("<FOLDER>", &path.to_string_lossy())
        .replace("<URL>", &format!("ldaps://{address}:{PORT}"));
    let server = Server {
        process,
        _folder: folder,
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect((address.as_str(), PORT)).is_err() {
        assert!(Instant::now() < deadline, "OpenLDAP does not start");
        thread::park_timeout(Duration::from_millis(10));
    }
    Some(Site {
        _kept: Box::new(server),
        section,
        free_text: "description",
        action: None,
    })
}

/// A certificate for the address, by an authority of its own.
fn certify(folder: &Path, address: &str) {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let certificate = authority.self_signed(&key).unwrap();
    fs::write(folder.join("authority.pem"), certificate.pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![address.to_owned()]).unwrap();
    let signed = params.signed_by(&own, &issuer).unwrap();
    fs::write(folder.join("server.pem"), signed.pem()).unwrap();
    fs::write(folder.join("server.key"), own.serialize_pem()).unwrap();
}

const CONFIGURATION: &str = "\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
include /etc/ldap/schema/nis.schema
pidfile <FOLDER>/pid
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload syncprov
TLSCertificateFile <FOLDER>/server.pem
TLSCertificateKeyFile <FOLDER>/server.key
security simple_bind=128
database mdb
suffix dc=example,dc=org
rootdn cn=root,dc=example,dc=org
directory <FOLDER>/database
dbnosync
index objectClass,uid,cn,member,entryCSN,entryUUID eq
access to attrs=userPassword by dn.exact=\"cn=gateway,dc=example,dc=org\" write by anonymous auth by * none
access to * by dn.exact=\"cn=gateway,dc=example,dc=org\" write by * none
overlay syncprov
syncprov-sessionlog 100
";

const ENTRIES: &str = "\
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

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups
";

const SECTION: &str = "\
type = \"ldap\"
servers = [\"<URL>\"]
ca_file = \"<FOLDER>/authority.pem\"
bind_dn = \"cn=gateway,dc=example,dc=org\"
bind_password_file = \"<FOLDER>/password\"
disable = \"employeeType=disabled\"
accounts.base = \"ou=people,dc=example,dc=org\"
accounts.defaults = { cn = \"{name}\", sn = \"{name}\" }
groups.base = \"ou=groups,dc=example,dc=org\"
groups.placeholder = \"cn=nobody,dc=example,dc=org\"
";

conforms!(site);
