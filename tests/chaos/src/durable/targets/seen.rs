//! What a target holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use portcullis_directories::{Samba, Slapd, Tools};
use portcullis_tests::harness::OrFail as _;

use super::servers::{Target, Targets};
use crate::durable::resources::{Kind, Resource};

/// An account that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::durable) struct Found {
    pub(in crate::durable) value: String,
    pub(in crate::durable) enabled: bool,
    /// Its entry is called otherwise: a rename did one of two things.
    pub(in crate::durable) is_half: bool,
    /// The name of its entry, where that is more than its own.
    dn: String,
    /// As it is stored, where it can be compared.
    password: Option<String>,
}

/// What of a resource is there, by names in lower case: each as often as it is there.
#[derive(Debug, Default)]
pub(in crate::durable) struct Seen {
    pub(in crate::durable) accounts: BTreeMap<String, Vec<Found>>,
    pub(in crate::durable) members: BTreeSet<String>,
    /// Every value that an account ever got, where the target tells.
    pub(in crate::durable) history: Option<Vec<String>>,
}

impl Targets {
    fn of(&self, resource: &Resource) -> Option<&Target> {
        let servers = self.servers.iter().map(|relayed| &relayed.target);
        servers
            .into_iter()
            .find(|target| target.kind() == resource.kind)
    }

    /// Reads all that is there of a resource.
    pub(in crate::durable) fn seen(&self, resource: &Resource) -> Seen {
        match self.of(resource) {
            Some(Target::Slapd(slapd)) => ldap(&slapd.tools(), resource),
            Some(Target::Samba(samba)) => active_directory(&samba.tools(), resource),
            Some(Target::Postgres(postgres)) => sql(|text| postgres.query(text), resource),
            None => unix(self.root.as_deref().unwrap_or(Path::new("/")), resource),
        }
    }

    /// Whether this is the password of an account; `None`: that cannot be seen here.
    pub(in crate::durable) fn has_password(
        &self,
        resource: &Resource,
        found: &Found,
        password: &str,
    ) -> Option<bool> {
        let bind = |tools: &Tools, name: &str| {
            Some(tools.bound_as(name, password).bind().status.success())
        };
        match self.of(resource) {
            Some(Target::Slapd(slapd)) => {
                // Tries of looks may have locked it for a while.
                let unlock = format!(
                    "dn: {}\nchangetype: modify\ndelete: pwdAccountLockedTime\n",
                    found.dn
                );
                let _ = slapd.tools().try_apply(&unlock);
                bind(&slapd.tools(), &found.dn)
            }
            Some(Target::Samba(samba)) => bind(&samba.tools(), &found.dn),
            Some(Target::Postgres(_)) => Some(found.password.as_deref() == Some(password)),
            None => None,
        }
    }
}

fn ldap(tools: &Tools, resource: &Resource) -> Seen {
    let (accounts, groups) = match resource.marked {
        true => ("ou=people", "ou=groups"),
        false => ("ou=plain", "ou=plaingroups"),
    };
    let wanted = ["uid", "description", "pwdAccountLockedTime"];
    let base = format!("{accounts},{}", Slapd::SUFFIX);
    let mut seen = Seen::default();
    for entry in entries(&tools.search(&base, "(objectClass=inetOrgPerson)", &wanted)) {
        // The time that stands for ever: that of an administrator.
        let locked = entry
            .get("pwdaccountlockedtime")
            .is_some_and(|at| at.iter().any(|at| at.starts_with("0000")));
        seen.add(
            first(&entry, "uid"),
            Found {
                value: first(&entry, "description"),
                enabled: !locked,
                is_half: false,
                dn: first(&entry, "dn"),
                password: None,
            },
        );
    }
    let base = format!("{groups},{}", Slapd::SUFFIX);
    seen.members = members(&tools.search(&base, "(objectClass=groupOfNames)", &["member"]));
    seen
}

fn active_directory(tools: &Tools, resource: &Resource) -> Seen {
    let unit = if resource.marked {
        "OU=marked"
    } else {
        "OU=plain"
    };
    let base = format!("{unit},{}", Samba::SUFFIX);
    let wanted = ["sAMAccountName", "description", "userAccountControl"];
    let mut seen = Seen::default();
    for entry in entries(&tools.search(&base, "(objectClass=user)", &wanted)) {
        let control: u32 = first(&entry, "useraccountcontrol")
            .parse()
            .unwrap_or_default();
        let name = first(&entry, "samaccountname");
        let dn = first(&entry, "dn");
        let own = format!("cn={name},").to_lowercase();
        seen.add(
            name,
            Found {
                value: first(&entry, "description"),
                enabled: control & 2 == 0,
                is_half: !dn.to_lowercase().starts_with(&own),
                dn,
                password: None,
            },
        );
    }
    seen.members = members(&tools.search(&base, "(objectClass=group)", &["member"]));
    seen
}

fn sql(query: impl Fn(&str) -> String, resource: &Resource) -> Seen {
    let table = resource.name.replace('-', "");
    let mut seen = Seen::default();
    let rows = query(&format!(
        "SELECT login, full_name, active, password, array_to_string(teams, ',') FROM {table}"
    ));
    for row in rows.lines() {
        let fields: Vec<_> = row.split('|').collect();
        let [login, value, active, password, teams] = fields.as_slice() else {
            continue;
        };
        if *login == resource.team_name() {
            seen.members = teams
                .split(',')
                .map(str::to_owned)
                .filter(|it| !it.is_empty())
                .collect();
        }
        seen.add(
            (*login).to_owned(),
            Found {
                value: (*value).to_owned(),
                enabled: *active == "t",
                is_half: false,
                dn: String::new(),
                password: (!password.is_empty()).then(|| (*password).to_owned()),
            },
        );
    }
    let history = query(&format!(
        "SELECT value FROM {table}_history ORDER BY number"
    ));
    seen.history = Some(history.lines().map(str::to_owned).collect());
    seen
}

fn unix(root: &Path, resource: &Resource) -> Seen {
    let read = |name: &str| fs::read_to_string(root.join(name)).or_fail(name);
    let fields = |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
    let field = |fields: &[String], at: usize| fields.get(at).cloned().unwrap_or_default();
    let shadow: BTreeMap<_, _> = read("etc/shadow")
        .lines()
        .map(|line| (field(&fields(line), 0), field(&fields(line), 7)))
        .collect();
    let mut seen = Seen::default();
    for line in read("etc/passwd").lines() {
        let fields = fields(line);
        let (name, gecos) = (field(&fields, 0), field(&fields, 4));
        if name.starts_with(resource.name) {
            let expires = shadow.get(&name).map_or("", String::as_str);
            seen.add(
                name,
                Found {
                    value: gecos.split(',').next().unwrap_or_default().to_owned(),
                    // That of a disabled account lies long ago.
                    enabled: expires.is_empty(),
                    is_half: false,
                    dn: String::new(),
                    password: None,
                },
            );
        }
    }
    for line in read("etc/group").lines() {
        let fields = fields(line);
        if field(&fields, 0) == resource.team_name() {
            let members = field(&fields, 3);
            seen.members = members
                .split(',')
                .map(str::to_owned)
                .filter(|it| !it.is_empty())
                .collect();
        }
    }
    seen
}

impl Seen {
    fn add(&mut self, name: String, found: Found) {
        self.accounts
            .entry(name.to_lowercase())
            .or_default()
            .push(found);
    }
}

impl Resource {
    /// Whether an account that is there is one of those that stay.
    pub(in crate::durable) fn is_fixed(&self, name: &str) -> bool {
        let prefix = format!("{}m", self.name.replace('-', ""));
        let is_member = name
            .strip_prefix(&prefix)
            .is_some_and(|rest| rest.parse::<u32>().is_ok());
        is_member || (self.kind == Kind::Sql && name == self.team_name())
    }
}

/// The entries of LDIF without folded lines, attributes in lower case.
fn entries(ldif: &str) -> Vec<BTreeMap<String, Vec<String>>> {
    let blocks = ldif.split("\n\n").filter(|block| !block.trim().is_empty());
    let entry = |block: &str| {
        let mut entry: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in block.lines() {
            if let Some((name, value)) = line.split_once(": ") {
                entry
                    .entry(name.to_lowercase())
                    .or_default()
                    .push(value.to_owned());
            }
        }
        entry
    };
    blocks
        .map(entry)
        .filter(|entry| entry.contains_key("dn"))
        .collect()
}

fn first(entry: &BTreeMap<String, Vec<String>>, name: &str) -> String {
    entry
        .get(name)
        .and_then(|values| values.first())
        .cloned()
        .unwrap_or_default()
}

/// The names of the members of the one group.
fn members(ldif: &str) -> BTreeSet<String> {
    let of_it = entries(ldif)
        .into_iter()
        .flat_map(|mut entry| entry.remove("member").unwrap_or_default());
    let name = |dn: String| {
        let step = dn.split(',').next().unwrap_or_default().to_owned();
        step.split_once('=')
            .map(|(_, name)| name.to_lowercase())
            .unwrap_or_default()
    };
    of_it.map(name).filter(|name| name != "nobody").collect()
}
