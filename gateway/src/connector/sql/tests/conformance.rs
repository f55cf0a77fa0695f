//! Databases for the conformance suite: SQLite, and PostgreSQL where it is installed.

use std::ffi::OsString;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::site::{Site, skipped};

/// The tables; `ID` and `NOW` are what each engine calls a number that counts up, and now.
const TABLES: &str = "
    CREATE TABLE people (
        id ID, login text NOT NULL UNIQUE, full_name text, uid integer UNIQUE,
        active boolean NOT NULL DEFAULT TRUE, password text);
    CREATE TABLE units (id ID, name text NOT NULL UNIQUE, gid integer UNIQUE);
    CREATE TABLE memberships (
        person integer NOT NULL REFERENCES people (id) ON DELETE CASCADE,
        unit integer NOT NULL REFERENCES units (id) ON DELETE CASCADE,
        PRIMARY KEY (person, unit));
    CREATE TABLE calls (call text PRIMARY KEY, outcome text NOT NULL);";

/// The connector's keys; `LIST` is how each engine makes a list of a column.
const SECTION: &str = r#"
ledger = "calls"
password_hash = "sha512"
[connectors.NAME.account]
read = """SELECT p.id AS id, login AS name, active AS enabled, full_name, uid,
  (SELECT LIST(u.name) FROM memberships m JOIN units u ON u.id = m.unit WHERE m.person = p.id) AS groups
  FROM people p"""
create = "INSERT INTO people (login, full_name, uid, active, password) VALUES (:name, :full_name, :uid, :enabled, :password)"
rename = "UPDATE people SET login = :new_name WHERE id = :id"
delete = "DELETE FROM people WHERE id = :id"
enable = "UPDATE people SET active = TRUE WHERE id = :id"
disable = "UPDATE people SET active = FALSE WHERE id = :id"
set_password = "UPDATE people SET password = :password WHERE id = :id"
authenticate = "SELECT password FROM people WHERE id = :id"
[connectors.NAME.account.update]
full_name = "UPDATE people SET full_name = :value WHERE id = :id"
uid = "UPDATE people SET uid = :value WHERE id = :id"
[connectors.NAME.account.add]
groups = "INSERT INTO memberships SELECT :id, id FROM units WHERE name = :value"
[connectors.NAME.account.remove]
groups = "DELETE FROM memberships WHERE person = :id AND unit = (SELECT id FROM units WHERE name = :value)"
[connectors.NAME.group]
read = """SELECT u.id AS id, name, gid,
  (SELECT LIST(p.login) FROM memberships m JOIN people p ON p.id = m.person WHERE m.unit = u.id) AS members
  FROM units u"""
create = "INSERT INTO units (name, gid) VALUES (:name, :gid)"
rename = "UPDATE units SET name = :new_name WHERE id = :id"
delete = "DELETE FROM units WHERE id = :id"
[connectors.NAME.group.update]
gid = "UPDATE units SET gid = :value WHERE id = :id"
[connectors.NAME.group.add]
members = "INSERT INTO memberships SELECT id, :id FROM people WHERE login = :value"
[connectors.NAME.group.remove]
members = "DELETE FROM memberships WHERE unit = :id AND person = (SELECT id FROM people WHERE login = :value)"
"#;

fn site(kept: Box<dyn std::any::Any>, keys: &str, list: &str) -> Site {
    Site {
        _kept: kept,
        section: format!("type = \"sql\"\n{keys}\n{}", SECTION.replace("LIST", list)),
        free_text: "full_name",
        action: None,
    }
}

mod sqlite {
    use super::*;

    fn database() -> Option<Site> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("people.db");
        let tables = TABLES.replace("id ID", "id INTEGER PRIMARY KEY AUTOINCREMENT");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch(&tables).unwrap();
        let keys = format!("sqlite = \"{}\"", path.display());
        Some(site(Box::new(folder), &keys, "json_group_array"))
    }

    conforms!(database);
}

mod postgresql {
    use super::*;

    /// A server of all tests of this process, with a Unix socket and no other way in.
    static SERVER: OnceLock<Option<PathBuf>> = OnceLock::new();

    /// The number of the next database.
    static NEXT: AtomicU32 = AtomicU32::new(0);

    /// A database of its own on the server, or `None` where PostgreSQL is not installed.
    fn database() -> Option<Site> {
        let Some(folder) = SERVER.get_or_init(start) else {
            return skipped("PostgreSQL is not installed");
        };
        let name = format!("people{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let tables = TABLES.replace("id ID", "id serial PRIMARY KEY");
        sql(folder, "postgres", &format!("CREATE DATABASE {name}")).unwrap();
        sql(folder, &name, &tables).unwrap();
        let folder = folder.display();
        let keys = format!("postgresql = \"{folder}\"\ndatabase = \"{name}\"\nuser = \"postgres\"");
        Some(site(Box::new(()), &keys, "array_agg"))
    }

    conforms!(database);

    fn binaries() -> Option<PathBuf> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let folders = versions.flatten().map(|version| version.path().join("bin"));
        folders.filter(|bin| bin.join("postgres").exists()).max()
    }

    /// As a user without rights: PostgreSQL refuses to run as root.
    const AS_NOBODY: [&str; 4] = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];

    /// Runs the server, and removes its folder when it has ended.
    const SERVE: &str = r#"
        trap 'kill -QUIT $server' TERM
        folder=$1; shift
        "$@" & server=$!
        wait $server; wait $server
        rm -rf "$folder""#;

    fn program(program: &Path) -> Vec<OsString> {
        let root = rustix::process::geteuid().is_root();
        let before = AS_NOBODY.into_iter().filter(|_| root).map(OsString::from);
        before.chain([program.into()]).collect()
    }

    fn start() -> Option<PathBuf> {
        let bin = binaries()?;
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in("/tmp");
        let folder = folder.unwrap().keep();
        std::fs::set_permissions(&folder, Permissions::from_mode(0o777)).unwrap();
        let data = folder.join("data");
        let initialize = program(&bin.join("initdb"));
        let mut made = Command::new(&initialize[0]);
        made.args(&initialize[1..])
            .args([
                "-U",
                "postgres",
                "--auth=trust",
                "-E",
                "UTF8",
                "--locale=C",
                "--no-sync",
                "-D",
            ])
            .arg(&data)
            .stdout(Stdio::null());
        assert!(made.status().unwrap().success());
        // It hears of the end of the thread that started it, which comes with that of this process.
        let mut server = Command::new("setpriv");
        server
            .args(["--pdeathsig=TERM", "sh", "-c", SERVE, "sh"])
            .arg(&folder)
            .args(program(&bin.join("postgres")))
            .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c"])
            .arg(format!("unix_socket_directories={}", folder.display()))
            .arg("-D")
            .arg(&data)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        std::thread::spawn(move || server.spawn().unwrap().wait());
        let patience = Instant::now() + Duration::from_secs(60);
        while sql(&folder, "postgres", "SELECT 1").is_none() {
            assert!(Instant::now() < patience, "PostgreSQL does not start");
        }
        Some(folder)
    }

    fn sql(folder: &Path, database: &str, statements: &str) -> Option<()> {
        let done = Command::new(binaries()?.join("psql"))
            .args([
                "-X",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                "-U",
                "postgres",
                "-d",
                database,
            ])
            .args(["-c", statements, "-h"])
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        done.unwrap().success().then_some(())
    }
}
