//! A server, a gateway, a database and a directory.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use portcullis_directories::{Postgres, Slapd, Tools};
use portcullis_proto::gateway::v1::{Attribute, Value, value};
use portcullis_tests::harness::{
    Admin, Dial, Gateway, OrFail as _, Process, Server, Site as Folder, run, usage,
};

use super::Target;

/// What is measured, running.
pub(super) struct Site {
    pub(super) admin: Admin,
    pub(super) postgres: Postgres,
    pub(super) folder: Folder,
    slapd: Slapd,
    server: Server,
    gateway: Gateway,
    ledger: bool,
}

const TABLES: &str = "
    CREATE TABLE people (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, login text NOT NULL UNIQUE, full_name text, mail text,
        active boolean NOT NULL DEFAULT true);
    CREATE TABLE portcullis_calls (call text PRIMARY KEY, outcome text NOT NULL, at timestamptz NOT NULL DEFAULT now());
    CREATE ROLE portcullis LOGIN PASSWORD 'gateway-secret';
    GRANT SELECT, INSERT, UPDATE, DELETE ON people, portcullis_calls TO portcullis;";

const ACCOUNT: &str = r#"
[connectors.sql.account]
read = "SELECT id, login AS name, active AS enabled, full_name, mail FROM people"
create = "INSERT INTO people (login, full_name, mail, active) VALUES (:name, :full_name, :mail, :enabled)"
"#;

impl Site {
    /// As whom the gateway and the bare client work on the database.
    pub(super) const USER: &str = "portcullis";
    /// Its password.
    pub(super) const PASSWORD: &str = "gateway-secret";

    /// Starts all of it; the gateway has so many connections to each target, and with a `ledger`
    /// notes each call in the database.
    pub(super) async fn start(connections: usize, ledger: bool) -> Self {
        let folder = Folder::new();
        let (postgres, slapd) = tokio::join!(Postgres::start(), Slapd::start());
        postgres.query(TABLES);
        let connectors = format!(
            "{}{}",
            sql(&postgres, &folder, connections, ledger),
            ldap(&slapd, &folder, connections)
        );
        let mut server = Server::new(&folder, "");
        let dial = Dial::Out(server.dial_out_port);
        let mut gateway = Gateway::new(&folder, "bulk", dial, &connectors);
        // As it is by default: a line for each step of a call would be measured with it.
        for config in [&server.config, &gateway.config] {
            let text = std::fs::read_to_string(config).or_fail("read a configuration");
            let text = text.replace("level = \"debug\"", "level = \"info\"");
            std::fs::write(config, text).or_fail("write a configuration");
        }
        let admin = server.serve().await;
        gateway.enroll(&admin.add_gateway("bulk", "", false).await);
        gateway.start();
        admin.synchronized("bulk").await;
        for target in Target::ALL {
            admin
                .add_resource(target.name(), "bulk", target.name())
                .await;
        }
        Self {
            admin,
            postgres,
            folder,
            slapd,
            server,
            gateway,
            ledger,
        }
    }

    /// Whether each change of the database has its entry in a ledger there.
    pub(super) const fn has_ledger(&self) -> bool {
        self.ledger
    }

    /// The directory's tools, as whom the gateway works on it.
    pub(super) fn directory(&self) -> Tools {
        let tools = self.slapd.tools();
        tools.bound_as(Slapd::GATEWAY, Slapd::GATEWAY_PASSWORD)
    }

    /// Processor time that commands which have ended, the server, the gateway and the target have
    /// used.
    pub(super) fn processor_time(&self, target: Target) -> [Duration; 4] {
        let of = |process: &Option<Process>| {
            let process = process.as_ref();
            process.map(Process::processor_time).unwrap_or_default()
        };
        let target = match target {
            Target::Sql => self.postgres.processor_time(),
            Target::Ldap => self.slapd.processor_time(),
        };
        let commands = usage::processor_time_of_ended();
        let [server, gateway] = [of(&self.server.process), of(&self.gateway.process)];
        [commands, server, gateway, target]
    }

    /// How many accounts a target has.
    pub(super) fn count(&self, target: Target) -> usize {
        match target {
            Target::Sql => {
                let counted = self.postgres.query("SELECT count(*) FROM people");
                counted.trim().parse().or_fail("a count")
            }
            Target::Ldap => {
                let base = "ou=people,dc=example,dc=org";
                let tools = self.slapd.tools();
                let found = tools.search(base, "(uid=*)", &["1.1"]);
                found.lines().filter(|line| line.starts_with("dn:")).count()
            }
        }
    }

    /// Imports the accounts of these names; how long that took.
    pub(super) fn import(&self, target: Target, names: &[String], in_flight: usize) -> Duration {
        let file = self.csv(target, names);
        let line = format!(
            "--output json account import {} {} --in-flight {in_flight}",
            target.name(),
            file.display()
        );
        let command = self.server.admin_command(&line);
        let began = Instant::now();
        run(command);
        began.elapsed()
    }

    fn csv(&self, target: Target, names: &[String]) -> PathBuf {
        let attributes = attributes(target, "name");
        let columns = attributes.iter().map(|attribute| attribute.name.as_str());
        let mut text = format!("name,{}\n", columns.collect::<Vec<_>>().join(","));
        for name in names {
            text.push_str(name);
            for attribute in self::attributes(target, name) {
                text.push(',');
                text.push_str(&text_of(&attribute));
            }
            text.push('\n');
        }
        let first = names.first().map_or("none", String::as_str);
        self.folder
            .file(&format!("{}-{first}.csv", target.name()), 0o600, &text)
    }
}

fn sql(postgres: &Postgres, folder: &Folder, connections: usize, ledger: bool) -> String {
    let password = folder.file("sql-password", 0o600, Site::PASSWORD);
    let ledger = match ledger {
        true => "ledger = \"portcullis_calls\"\n",
        false => "",
    };
    format!(
        "[connectors.sql]\ntype = \"sql\"\npostgresql = \"localhost:{}\"\naddress = \"{}\"\ndatabase = \"postgres\"\nuser = {:?}\n\
         password_file = {password:?}\nca_file = {:?}\nconnections = {connections}\n{ledger}{ACCOUNT}",
        postgres.port(),
        postgres.address(),
        Site::USER,
        postgres.authority()
    )
}

fn ldap(slapd: &Slapd, folder: &Folder, connections: usize) -> String {
    let password = folder.file("ldap-password", 0o600, Slapd::GATEWAY_PASSWORD);
    format!(
        "[connectors.ldap]\ntype = \"ldap\"\nservers = [{:?}]\nbind_dn = {:?}\nbind_password_file = {password:?}\n\
         ca_file = {:?}\nconnections = {connections}\naccounts.base = \"ou=people,dc=example,dc=org\"\n",
        slapd.url(),
        Slapd::GATEWAY,
        slapd.authority()
    )
}

/// So many names, each of them once in a run.
pub(super) fn names(prefix: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("{prefix}-{number:06}"))
        .collect()
}

/// What an account has beside its name.
pub(super) fn attributes(target: Target, name: &str) -> Vec<Attribute> {
    let given = match target {
        Target::Sql => vec![("full_name", full_name(name)), ("mail", mail(name))],
        Target::Ldap => vec![
            ("cn", full_name(name)),
            ("sn", name.to_owned()),
            ("mail", mail(name)),
        ],
    };
    let attribute = |(name, text): (&str, String)| Attribute {
        name: name.to_owned(),
        values: vec![Value {
            kind: Some(value::Kind::Text(text)),
        }],
    };
    given.into_iter().map(attribute).collect()
}

fn text_of(attribute: &Attribute) -> String {
    let text = attribute.values.iter().find_map(|value| match &value.kind {
        Some(value::Kind::Text(text)) => Some(text.clone()),
        _ => None,
    });
    text.unwrap_or_default()
}

pub(super) fn full_name(name: &str) -> String {
    format!("Account {name}")
}

pub(super) fn mail(name: &str) -> String {
    format!("{name}@example.org")
}
