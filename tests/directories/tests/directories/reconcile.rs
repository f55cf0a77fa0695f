//! `portcullis reconcile` between OpenLDAP and PostgreSQL, while both are written to.

use std::time::Instant;

use portcullis_directories::{Postgres, Slapd};
use portcullis_tests::harness::{Dial, Finished, Gateway, PATIENCE, Server, Site, run_to_end};

/// Each change leaves a row in `changes`, and a page of `read` waits as long as another session
/// holds the lock of `gate`, with the rows as they were before it waited.
const TABLES: &str = "
    CREATE TABLE people (id int PRIMARY KEY, login text NOT NULL UNIQUE, sn text);
    CREATE TABLE changes (number bigserial PRIMARY KEY, id int NOT NULL, deleted boolean NOT NULL);
    CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO changes (id, deleted) VALUES (coalesce(NEW.id, OLD.id), TG_OP = 'DELETE');
        RETURN NULL; END $$;
    CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON people FOR EACH ROW EXECUTE FUNCTION noted();
    CREATE FUNCTION gate() RETURNS boolean LANGUAGE plpgsql STABLE AS $$ BEGIN
        PERFORM pg_advisory_xact_lock_shared(7); RETURN true; END $$;
    CREATE ROLE portcullis LOGIN PASSWORD 'gateway-secret';
    GRANT SELECT ON people, changes TO portcullis;
    INSERT INTO people VALUES (10, 'ann', 'Old'), (11, 'bob', 'Bob'), (12, 'cid', 'Cid'), (13, 'dan', 'Dan'), (14, 'eve', 'Eve');";

const CHANGES: &str = "
    UPDATE people SET sn = 'Ann' WHERE login = 'ann';
    DELETE FROM people WHERE login = 'bob';
    UPDATE people SET sn = 'New' WHERE login = 'cid';
    UPDATE people SET login = 'eva' WHERE login = 'eve';
    INSERT INTO people VALUES (1, 'fay', 'Fay'), (99, 'gus', 'Gus');";

/// The same in the directory, but for what it had before.
const DIRECTORY_CHANGES: &str = "
dn: uid=bob,ou=people,dc=example,dc=org
changetype: delete

dn: uid=cid,ou=people,dc=example,dc=org
changetype: modify
replace: sn
sn: New

dn: uid=eve,ou=people,dc=example,dc=org
changetype: modrdn
newrdn: uid=eva
deleteoldrdn: 1

dn: uid=gus,ou=people,dc=example,dc=org
changetype: add
objectClass: inetOrgPerson
cn: Gus
sn: Gus
";

/// Both servers, and a server and a gateway with a connector on each.
struct Subject {
    postgres: Postgres,
    slapd: Slapd,
    // In this order: processes are killed before the folder they live in goes.
    _gateway: Gateway,
    server: Server,
    site: Site,
}

impl Subject {
    async fn start() -> Self {
        let (postgres, slapd) = tokio::join!(Postgres::start(), Slapd::start());
        postgres.query(TABLES);
        let people = ["ann", "bob", "cid", "dan", "eve", "fay"];
        let people = people.map(|name| {
            let sn = name[..1].to_uppercase() + &name[1..];
            format!("dn: uid={name},ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\ncn: {sn}\nsn: {sn}\n\n")
        });
        slapd.tools().apply(&people.concat());
        let site = Site::new();
        let mut server = Server::new(&site, "");
        let admin = server.serve().await;
        let config = config(&site, &postgres, &slapd);
        let mut gateway = Gateway::new(&site, "host1", Dial::Out(server.dial_out_port), &config);
        gateway.enroll(&admin.add_gateway("host1", "", false).await);
        gateway.start();
        admin.synchronized("host1").await;
        for name in ["directory", "database"] {
            admin.add_resource(name, "host1", name).await;
        }
        Self {
            postgres,
            slapd,
            _gateway: gateway,
            server,
            site,
        }
    }

    /// Runs the command, and `changes` once the directory was read to its end, and of the database
    /// the first page.
    fn run_while(&self, line: &str, changes: impl FnOnce()) -> Finished {
        let lock = "FROM pg_locks WHERE locktype = 'advisory' AND objid = 7 AND";
        std::thread::scope(|scope| {
            let gate = "SELECT pg_advisory_lock(7); SELECT pg_sleep(600)";
            scope.spawn(|| self.postgres.try_query(gate));
            self.until(&format!("SELECT 1 {lock} granted"));
            let command = self.server.admin_command(line);
            let running = scope.spawn(|| run_to_end(command, ""));
            self.until(&format!("SELECT 1 {lock} NOT granted"));
            changes();
            let open = format!("SELECT pg_terminate_backend(pid) {lock} granted");
            self.postgres.query(&open);
            running.join().unwrap()
        })
    }

    /// Waits until the query has a row.
    fn until(&self, query: &str) {
        let begun = Instant::now();
        while self.postgres.query(query).is_empty() {
            assert!(begun.elapsed() < PATIENCE, "waited in vain: {query}");
        }
    }
}

fn config(site: &Site, postgres: &Postgres, slapd: &Slapd) -> String {
    let password = site.file("password", 0o600, "gateway-secret\n");
    format!(
        r#"
[connectors.directory]
type = "ldap"
servers = [{:?}]
bind_dn = "{}"
bind_password_file = {password:?}
ca_file = {:?}
accounts.base = "ou=people,dc=example,dc=org"
groups.base = "ou=groups,dc=example,dc=org"
groups.placeholder = "cn=nobody,dc=example,dc=org"
[connectors.database]
type = "sql"
user = "portcullis"
password_file = {password:?}
postgresql = "localhost:{}"
address = "{}"
database = "postgres"
ca_file = {:?}
[connectors.database.account]
read = "SELECT id, login AS name, sn FROM people WHERE gate()"
changes = "SELECT number AS change, id, deleted FROM changes"
overlap = 1
"#,
        slapd.url(),
        Slapd::GATEWAY,
        slapd.authority(),
        postgres.port(),
        postgres.address(),
        postgres.authority()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd and PostgreSQL: tests/run directories"]
async fn what_changes_on_both_sides_while_they_are_read_is_no_difference() {
    let it = Subject::start().await;
    let line = "--output json reconcile database --against directory --attribute sn --page-size 2";
    let finished = it.run_while(line, || {
        it.postgres.query(CHANGES);
        it.slapd.tools().apply(DIRECTORY_CHANGES);
    });
    let counts = finished.ok().stdout;
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    for (kind, count) in [("same", 6), ("missing", 0), ("unknown", 0), ("changed", 0)] {
        assert_eq!(counts[kind], count, "{kind}: {counts}");
    }
    // A change may come more than once.
    assert!(counts["changed_meanwhile"].as_u64() >= Some(10), "{counts}");
}

const GROUPS: [(&str, &[&str]); 3] = [
    ("staff", &["ann", "bob"]),
    ("crew", &["cid", "dan"]),
    ("former", &["eve"]),
];

/// The members of a group are a set, in whatever order a side has them.
const SOURCE: &str = "name,member\nstaff,ann;cid\ncrew,dan;cid\nguests,fay\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs slapd and PostgreSQL: tests/run directories"]
async fn groups_are_compared_by_their_members_and_repaired() {
    let it = Subject::start().await;
    let dn = |name: &str| format!("uid={name},ou=people,dc=example,dc=org");
    let groups = GROUPS.map(|(name, members)| {
        let members: String = members
            .iter()
            .map(|member| format!("member: {}\n", dn(member)))
            .collect();
        format!("dn: cn={name},ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: {name}\n{members}\n")
    });
    it.slapd.tools().apply(&groups.concat());
    let source = it.site.file("groups.csv", 0o600, SOURCE);
    let line = format!(
        "--output json reconcile directory --class group --source {} --attribute member",
        source.display()
    );
    let counts = |more: &str| -> serde_json::Value {
        let finished = it.server.portcullis(&format!("{line} {more}"));
        serde_json::from_str(&finished.ok().stdout).unwrap()
    };
    let told = counts("");
    for (kind, count) in [("same", 1), ("missing", 1), ("unknown", 1), ("changed", 1)] {
        assert_eq!(told[kind], count, "{kind}: {told}");
    }
    let repaired = &counts("--repair --most-deletes 1")["repaired"];
    for (what, count) in [
        ("created", 1),
        ("updated", 1),
        ("deleted", 1),
        ("failed", 0),
    ] {
        assert_eq!(repaired[what], count, "{what}: {repaired}");
    }
    let told = counts("");
    for (kind, count) in [("same", 3), ("missing", 0), ("unknown", 0), ("changed", 0)] {
        assert_eq!(told[kind], count, "{kind}: {told}");
    }
    for (name, members) in [
        ("staff", &["ann", "cid"][..]),
        ("crew", &["cid", "dan"]),
        ("guests", &["fay"]),
        ("former", &[]),
    ] {
        let group = format!("cn={name},ou=groups,dc=example,dc=org");
        let mut there = it.slapd.tools().values(&group, "member");
        there.sort();
        let expected: Vec<_> = members.iter().map(|member| dn(member)).collect();
        assert_eq!(there, expected, "{name}");
    }
}
