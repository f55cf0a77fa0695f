//! Gateways that are measured: by what stands in their configuration.

use std::path::Path;

use portcullis_directories::Authority;
use portcullis_tests::harness::{OrFail as _, Scripts, Site};

/// Where Debian and others keep the authorities that a host trusts.
const HOST_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Which connectors a gateway has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Connectors {
    Unix,
    All,
}

impl Connectors {
    pub(super) const ALL: [Self; 2] = [Self::Unix, Self::All];

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Unix => "`unix` alone",
            Self::All => "every type of connector",
        }
    }

    pub(super) fn gateway(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::All => "all",
        }
    }

    /// What it may have in memory, in MiB.
    pub(super) fn target(self) -> f64 {
        match self {
            Self::Unix => 15.0,
            Self::All => 20.0,
        }
    }

    /// What stands in the configuration of its gateway.
    pub(super) fn config(self, site: &Site) -> String {
        let unix = unix(site, self.gateway());
        match self {
            Self::Unix => unix,
            Self::All => unix + &Scripts::new(site, "scripts").config() + &networked(site),
        }
    }
}

fn unix(site: &Site, name: &str) -> String {
    let prefix = site.folder(&format!("{name}-root"));
    let made = portcullis_gateway::connectors::unix::create_scratch_root(&prefix);
    made.or_fail("make a root for accounts");
    format!("[connectors.local]\ntype = \"unix\"\nprefix = {prefix:?}\n")
}

/// Directories and databases that nobody asks for anything: none of them has to be there.
fn networked(site: &Site) -> String {
    let authority = Authority::ours().file(site);
    let password = site.file("password", 0o600, "gateway-secret");
    // The default, which is the most to hold: all authorities of the host.
    let trust = match Path::new(HOST_AUTHORITIES).exists() {
        true => String::new(),
        false => format!("ca_file = {authority:?}\n"),
    };
    format!(
        r#"
[connectors.directory]
type = "ldap"
servers = ["ldaps://ldap1.example.org", "ldaps://ldap2.example.org"]
{trust}bind_dn = "cn=gateway,dc=example,dc=org"
bind_password_file = {password:?}
[connectors.directory.accounts]
base = "ou=people,dc=example,dc=org"
[connectors.directory.groups]
base = "ou=groups,dc=example,dc=org"

[connectors.office]
type = "active-directory"
servers = ["ldaps://dc1.example.com", "ldaps://dc2.example.com"]
ca_file = {authority:?}
bind_dn = "portcullis@example.com"
bind_password_file = {password:?}
[connectors.office.accounts]
base = "OU=Staff,DC=example,DC=com"
[connectors.office.groups]
base = "OU=Groups,DC=example,DC=com"

[connectors.people]
type = "sql"
postgresql = "db.example.com:5432"
database = "hr"
user = "portcullis"
password_file = {password:?}
ca_file = {authority:?}
[connectors.people.account]
read = "SELECT id, login AS name, active AS enabled, full_name FROM people"
create = "INSERT INTO people (login, full_name, active) VALUES (:name, :full_name, :enabled)"
delete = "DELETE FROM people WHERE id = :id"
"#
    )
}
