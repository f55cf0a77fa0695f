//! They are started, killed and started again.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use portcullis_directories::{Postgres, Samba, Setup, Slapd, Tools};
use portcullis_gateway::connectors::unix::create_scratch_root;
use portcullis_tests::harness::{OrFail as _, Proxy, Site};

use super::sections::{active_directory, ldap, sql};
use crate::durable::Fault;
use crate::durable::resources::{Kind, RESOURCES, Resource};

/// A server.
pub(in crate::durable) enum Target {
    Slapd(Slapd),
    Samba(Samba),
    Postgres(Postgres),
}

/// A server behind its relay.
pub(in crate::durable) struct Relayed {
    pub(in crate::durable) target: Target,
    pub(in crate::durable) relay: Proxy,
}

/// All that are installed here.
pub(in crate::durable) struct Targets {
    pub(in crate::durable) servers: Vec<Relayed>,
    pub(in crate::durable) root: Option<PathBuf>,
    pub(in crate::durable) resources: Vec<Resource>,
    /// What is not, each with the reason.
    pub(in crate::durable) left_out: Vec<String>,
}

const LDAP_UNITS: &str = "\
dn: ou=plain,dc=example,dc=org
objectClass: organizationalUnit
ou: plain

dn: ou=plaingroups,dc=example,dc=org
objectClass: organizationalUnit
ou: plaingroups
";

const AD_UNITS: &str = "\
dn: OU=marked,DC=example,DC=test
objectClass: organizationalUnit

dn: OU=plain,DC=example,DC=test
objectClass: organizationalUnit
";

const TABLES: &str = "
    CREATE ROLE portcullis LOGIN PASSWORD 'gateway-secret';
    CREATE TABLE portcullis_calls (call text PRIMARY KEY, outcome text NOT NULL, at timestamptz NOT NULL DEFAULT now());
    GRANT SELECT, INSERT, UPDATE ON portcullis_calls TO portcullis;";

const FORGETFUL_LEDGER: &str = "
    CREATE FUNCTION forget() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
        DELETE FROM portcullis_calls WHERE call = NEW.call; RETURN NULL; END $$;
    CREATE CONSTRAINT TRIGGER forget AFTER INSERT ON portcullis_calls DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION forget();";

/// A table for accounts, and every value that any of them ever got.
fn table(name: &str) -> String {
    format!(
        "CREATE TABLE {name} (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), login text NOT NULL UNIQUE, full_name text,
            active boolean NOT NULL DEFAULT true, password text, teams text[] NOT NULL DEFAULT '{{}}');
        CREATE TABLE {name}_history (value text, number bigserial);
        CREATE FUNCTION {name}_keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
            INSERT INTO {name}_history (value) VALUES (NEW.full_name); RETURN NULL; END $$;
        CREATE TRIGGER made AFTER INSERT ON {name} FOR EACH ROW EXECUTE FUNCTION {name}_keep();
        CREATE TRIGGER changed AFTER UPDATE ON {name} FOR EACH ROW
            WHEN (NEW.full_name IS DISTINCT FROM OLD.full_name) EXECUTE FUNCTION {name}_keep();
        GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO portcullis;"
    )
}

impl Targets {
    /// Starts those of these kinds that are installed.
    pub(in crate::durable) async fn start(
        site: &Site,
        only: &[Kind],
        fault: Option<Fault>,
    ) -> Self {
        let mut targets = Self {
            servers: Vec::new(),
            root: None,
            resources: Vec::new(),
            left_out: Vec::new(),
        };
        let kinds = [Kind::Ldap, Kind::ActiveDirectory, Kind::Sql, Kind::Unix];
        for kind in kinds {
            if !only.is_empty() && !only.contains(&kind) {
                continue;
            }
            if let Some(why) = missing(kind) {
                targets.left_out.push(why.to_owned());
                continue;
            }
            targets.add(kind, site, fault).await;
            let of_it = RESOURCES.iter().filter(|resource| resource.kind == kind);
            targets.resources.extend(of_it);
        }
        targets
    }

    async fn add(&mut self, kind: Kind, site: &Site, fault: Option<Fault>) {
        let target = match kind {
            Kind::Ldap => {
                let setup = Setup {
                    entries: LDAP_UNITS.to_owned(),
                    ..Setup::default()
                };
                Target::Slapd(Slapd::start_with(setup).await)
            }
            Kind::ActiveDirectory => {
                let samba = Samba::start().await;
                samba.tools().apply(AD_UNITS);
                Target::Samba(samba)
            }
            Kind::Sql => {
                let postgres = Postgres::start().await;
                postgres.query(TABLES);
                for name in ["sqlledger", "sqlplain"] {
                    postgres.query(&table(name));
                }
                if fault == Some(Fault::Ledger) {
                    postgres.query(FORGETFUL_LEDGER);
                }
                Target::Postgres(postgres)
            }
            Kind::Unix => {
                let root = site.folder("root");
                create_scratch_root(&root).or_fail("make a root of account files");
                self.root = Some(root);
                return;
            }
        };
        let relay = Proxy::to(target.address()).await;
        self.servers.push(Relayed { target, relay });
    }

    /// Has one of them lose an account.
    pub(in crate::durable) fn forget_one(&self) {
        if let Some(relayed) = self.servers.first() {
            return relayed.target.forget_one();
        }
        let file = self
            .root
            .as_deref()
            .unwrap_or(Path::new(""))
            .join("etc/passwd");
        let text = std::fs::read_to_string(&file).or_fail(file.display());
        let lines = text.lines().filter(|line| !line.starts_with("unixm0:"));
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        std::fs::write(&file, text).or_fail(file.display());
    }

    /// The section of the gateway's configuration of a resource.
    pub(in crate::durable) fn section(&self, site: &Site, resource: &Resource) -> String {
        let name = resource.name;
        let rails = format!("[connectors.{name}.guard_rails]\nmax_deletes_per_hour = 1000000\n");
        if resource.kind == Kind::Unix {
            let root = self.root.clone().unwrap_or_default();
            return format!(
                "[connectors.{name}]\ntype = \"unix\"\nprefix = {root:?}\ncreate_home = false\npassword_hash = \"sha512\"\n{rails}"
            );
        }
        let of_kind = |it: &&Relayed| it.target.kind() == resource.kind;
        let relayed = self.servers.iter().find(of_kind);
        let relayed = relayed.or_fail(format!("server of {name}"));
        let port = relayed.relay.port;
        let head = relayed.target.head(name, port, site);
        let tail = match (resource.kind, resource.marked) {
            (Kind::Ldap, true) => ldap(
                name,
                "ou=people",
                "ou=groups",
                "marker = \"employeeNumber\"\n",
            ),
            (Kind::Ldap, false) => ldap(name, "ou=plain", "ou=plaingroups", ""),
            (Kind::ActiveDirectory, true) => {
                active_directory(name, "OU=marked", "marker = \"adminDescription\"\n")
            }
            (Kind::ActiveDirectory, false) => active_directory(name, "OU=plain", ""),
            (Kind::Sql, true) => sql(name, "sqlledger", "ledger = \"portcullis_calls\"\n"),
            (Kind::Sql, false) => sql(name, "sqlplain", ""),
            (Kind::Unix, _) => String::new(),
        };
        format!("{head}{tail}{rails}")
    }
}

fn forget_entry(tools: &Tools, base: &str, filter: &str) {
    let found = tools.search(base, filter, &["1.1"]);
    let dn = found.lines().find_map(|line| line.strip_prefix("dn: "));
    if let Some(dn) = dn {
        tools.delete(dn);
    }
}

impl Target {
    pub(in crate::durable) const fn kind(&self) -> Kind {
        match self {
            Self::Slapd(_) => Kind::Ldap,
            Self::Samba(_) => Kind::ActiveDirectory,
            Self::Postgres(_) => Kind::Sql,
        }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Slapd(slapd) => (slapd.address(), Slapd::LDAPS).into(),
            Self::Samba(samba) => (samba.address(), 636).into(),
            Self::Postgres(postgres) => (postgres.address(), postgres.port()).into(),
        }
    }

    fn authority(&self) -> &Path {
        match self {
            Self::Slapd(slapd) => slapd.authority(),
            Self::Samba(samba) => samba.authority(),
            Self::Postgres(postgres) => postgres.authority(),
        }
    }

    /// The first keys of a connector on it, through the relay at a port.
    fn head(&self, name: &str, port: u16, site: &Site) -> String {
        let (server_name, bind, password) = match self {
            Self::Slapd(_) => (Slapd::NAME, Slapd::GATEWAY, Slapd::GATEWAY_PASSWORD),
            Self::Samba(_) => (Samba::NAME, Samba::ADMINISTRATOR, Samba::PASSWORD),
            Self::Postgres(_) => (Postgres::NAME, "portcullis", "gateway-secret"),
        };
        let file = site.file(&format!("{name}.password"), 0o600, password);
        let authority = self.authority();
        let relay = Ipv4Addr::LOCALHOST;
        match self {
            Self::Postgres(_) => format!(
                "[connectors.{name}]\ntype = \"sql\"\npostgresql = \"{server_name}:{port}\"\naddress = \"{relay}\"\n\
                 database = \"postgres\"\nuser = \"{bind}\"\npassword_file = {file:?}\nca_file = {authority:?}\n"
            ),
            Self::Slapd(_) | Self::Samba(_) => {
                let kind = match self {
                    Self::Samba(_) => "active-directory",
                    _ => "ldap",
                };
                format!(
                    "[connectors.{name}]\ntype = \"{kind}\"\nservers = [\"ldaps://{relay}:{port}\"]\nserver_name = \"{server_name}\"\n\
                     ca_file = {authority:?}\nbind_dn = \"{bind}\"\nbind_password_file = {file:?}\n"
                )
            }
        }
    }

    /// Has it lose an account.
    fn forget_one(&self) {
        match self {
            Self::Slapd(slapd) => {
                let base = format!("ou=people,{}", Slapd::SUFFIX);
                forget_entry(&slapd.tools(), &base, "(&(uid=*)(!(uid=*m0)))");
            }
            Self::Samba(samba) => {
                let base = format!("OU=marked,{}", Samba::SUFFIX);
                let filter = "(&(objectClass=user)(!(sAMAccountName=*m0)))";
                forget_entry(&samba.tools(), &base, filter);
            }
            Self::Postgres(postgres) => drop(postgres.query(
                "DELETE FROM sqlledger WHERE login = (SELECT min(login) FROM sqlledger WHERE teams = '{}')",
            )),
        }
    }

    /// Kills it at once.
    pub(in crate::durable) fn kill(&mut self) {
        match self {
            Self::Slapd(slapd) => slapd.kill(),
            Self::Samba(samba) => samba.kill(),
            Self::Postgres(postgres) => postgres.kill(),
        }
    }

    /// Starts it again, and waits until it answers.
    pub(in crate::durable) async fn restart(&mut self) {
        match self {
            Self::Slapd(slapd) => slapd.restart().await,
            Self::Samba(samba) => samba.restart().await,
            Self::Postgres(postgres) => postgres.restart().await,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Slapd(_) => "slapd",
            Self::Samba(_) => "samba",
            Self::Postgres(_) => "postgresql",
        })
    }
}

/// Why there is no target of this kind here.
fn missing(kind: Kind) -> Option<&'static str> {
    let tools = is_program("ldapsearch") && is_program("ldapmodify");
    match kind {
        Kind::Ldap if !is_program("slapd") || !tools => Some("OpenLDAP is not installed"),
        Kind::ActiveDirectory if !is_root() => {
            Some("Samba runs a controller of Active Directory for root alone")
        }
        Kind::ActiveDirectory if !is_program("samba") || !is_program("samba-tool") || !tools => {
            Some("Samba with its controller is not installed")
        }
        Kind::Sql if !Postgres::is_installed() => Some("PostgreSQL is not installed"),
        Kind::Unix if !is_root() => Some("shadow-utils change accounts for root alone"),
        _ => None,
    }
}

fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders
        .into_iter()
        .any(|folder| folder.join(name).is_file())
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|about| about.uid() == 0)
}
