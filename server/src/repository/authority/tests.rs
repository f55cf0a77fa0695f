//! What an editor of the file cannot do unseen.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis_common::id::{GatewayId, KeyKind};
use portcullis_common::rotation::Registration;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use zeroize::Zeroizing;

use super::*;
use crate::config::Capability;
use crate::repository::tests::{Fixture, NOW, moved, registration, rotate};
use crate::repository::{
    AUDIT_MAC_LEN, ApplicationRow, AuditEntry, AuditTip, GatewayChange, GroupRow, LogEnd,
    LostSettings, Moved, NewApproval, NewQueuedCall, NewTask, PasswordPolicy, PayloadError, Reach,
    Repository, Resource, RowsCheck, SeenJournal, Written, tamper,
};
use crate::repository::{on_postgres, sessions};

/// A repository with rows in every table that decides, and an audit entry that knows them.
struct Site {
    fixture: Fixture,
    end: LogEnd,
}

impl Site {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let repository = &fixture.repository;
        for _ in 0..2 {
            rotate(repository, None).await.unwrap();
        }
        fixture.change_server_key().await;
        let gateways = repository.gateways();
        for name in ["host1", "host2"] {
            let token = registration(KeyKind::Tdes);
            let groups = vec!["web".to_owned(), "prod".to_owned()];
            let added = gateways.add_to(name, Reach::DialOut, groups, &token, NOW);
            added.await.unwrap();
        }
        for name in ["hr", "pay"] {
            let resource = Resource {
                name: name.to_owned(),
                gateway: "host1".to_owned(),
                connector: "ldap".to_owned(),
                settings: BTreeMap::from([("base".to_owned(), "dc=x".to_owned())]),
                secret_settings: BTreeSet::new(),
                mapping: BTreeMap::new(),
                groups: BTreeSet::new(),
                lost_settings: BTreeSet::new(),
                pending: BTreeMap::new(),
                common: BTreeMap::new(),
                fault: None,
                created: NOW,
            };
            repository.resources().add(resource).await.unwrap();
        }
        let site = Self {
            end: LogEnd {
                tip: AuditTip::BEGINNING,
                rows: Some(repository.check_rows().await.unwrap().base),
            },
            fixture,
        };
        site.set_password("hr").await;
        let task = NewTask {
            kind: "verify".to_owned(),
            parameters: "{}".to_owned(),
            subject: "ada (7)".to_owned(),
            progress: "{}".to_owned(),
            started: NOW,
        };
        site.repository()
            .database()
            .tasks()
            .start(task)
            .await
            .unwrap();
        let policy = PasswordPolicy {
            min_length: 8,
            ..PasswordPolicy::default()
        };
        site.repository()
            .password_policy()
            .set(policy)
            .await
            .unwrap();
        let journal = SeenJournal {
            incarnation: vec![1; 16],
            sequence: 5,
        };
        let gateways = site.repository().gateways();
        let id = GatewayId::random(&mut rand::rng());
        gateways.see_journal(id, journal, NOW).await.unwrap();
        let approval = NewApproval {
            method: "Keys/Export".to_owned(),
            object: String::new(),
            asked_by: ("ada (7)".to_owned(), Some(7)),
            contents: b"all of it".to_vec(),
            lifetime: Duration::from_secs(60),
        };
        let asked = site.repository().approvals();
        let asked = asked.ask(approval, |_| false, (8, 8));
        asked.await.unwrap();
        site.repository().users().add("ada", NOW).await.unwrap();
        let administrators = site.repository().administrators();
        let given = administrators.set("ada", Capability::Auditor, true);
        assert!(given.await.unwrap());
        let session = sessions::tests::new("se-1", "ada");
        site.repository().sessions().begin(session).await.unwrap();
        let setup = site.repository().login_setup();
        let made = setup.change(|rows| {
            let group = GroupRow {
                rule: "host".to_owned(),
                modules: "password:required".to_owned(),
            };
            let application = ApplicationRow {
                idle_ms: 1,
                absolute_ms: 2,
                single_session: true,
                disabled: false,
                message: String::new(),
                groups: "inside".to_owned(),
            };
            rows.groups.insert("inside".to_owned(), group);
            rows.applications.insert("hr".to_owned(), application);
            Ok::<_, ()>(())
        });
        made.await.unwrap().unwrap();
        site
    }

    async fn bound() -> Self {
        let mut site = Self::new().await;
        site.bind().await;
        assert_eq!(site.check().await.bound, Some(true));
        site
    }

    fn repository(&self) -> &Repository {
        &self.fixture.repository
    }

    async fn set_password(&self, resource: &str) {
        let password = Zeroizing::new(b"bind password".to_vec());
        let secrets = BTreeMap::from([("password".to_owned(), password)]);
        let resources = self.repository().resources();
        resources
            .update_with(resource, secrets, |_| ())
            .await
            .unwrap();
    }

    async fn register_again(&self, gateway: &str) {
        let again = registration(KeyKind::Tdes);
        let change = move |row: &mut Registration, _: &[_]| row.clone_from(&again);
        let gateways = self.repository().gateways();
        gateways.update(gateway, change).await.unwrap();
    }

    /// Writes an audit entry.
    async fn bind(&mut self) {
        let make = move |tip: AuditTip, _: &[Written], rows: &[u8; AUDIT_MAC_LEN]| {
            let seq = tip.count + 1;
            Ok(vec![AuditEntry {
                seq,
                commit_first: seq,
                outcome: "done".to_owned(),
                authority: rows.to_vec(),
                mac: vec![1; AUDIT_MAC_LEN],
                ..AuditEntry::default()
            }])
        };
        let log = self.repository().audit_entries();
        let appended = log.append(self.end, vec![None], moved, make).await;
        self.end = appended.unwrap().unwrap().end;
    }

    async fn check(&self) -> RowsCheck {
        self.repository().check_rows().await.unwrap()
    }

    fn attack(&self, sql: &str) {
        let sql = format!("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; {sql}");
        tamper(self.repository().database().path(), &sql);
    }

    /// Keeps a table as it is.
    fn keep(&self, table: &str) {
        self.attack(&format!("CREATE TABLE keep AS SELECT * FROM {table}"));
    }

    /// Puts back what was kept of it.
    fn put_back(&self, table: &str) {
        let columns = match table {
            // One of its columns is generated.
            "sealed_values" => "id, type, owner, field, sealed, context",
            _ => "*",
        };
        let into = columns.replace('*', "");
        let into = if into.is_empty() {
            into
        } else {
            format!("({into})")
        };
        self.attack(&format!(
            "DELETE FROM {table}; INSERT INTO {table} {into} SELECT {columns} FROM keep; DROP TABLE keep"
        ));
    }
}

fn queued_call(id: &str) -> NewQueuedCall {
    NewQueuedCall {
        call_id: id.to_owned(),
        resource: "hr".to_owned(),
        summary: "set-password".to_owned(),
        payload: Zeroizing::new(b"payload".to_vec()),
        queued: NOW,
        expires: NOW.plus(1_000),
        digest: vec![7; 32],
        lanes: ("ada".to_owned(), "ada".to_owned()),
        direct: None,
        after: None,
        retry_of: None,
        trace_id: None,
    }
}

#[tokio::test]
async fn any_column_of_any_row_that_is_changed_shows() {
    if on_postgres() {
        return;
    }
    let site = Site::bound().await;
    for id in ["one", "two"] {
        let queued = site.repository().queued_calls();
        queued.enqueue(queued_call(id), 10).await.unwrap();
    }
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    for round in 0..60 {
        let table = TABLES[rng.random_range(0..TABLES.len())];
        let columns: Vec<_> = table.columns.split(", ").chain(["mac"]).collect();
        let column = columns[rng.random_range(0..columns.len())];
        let Table { name, key, .. } = table;
        site.keep(name);
        site.attack(&format!(
            "UPDATE {name} SET {column} =
               CASE (SELECT type FROM pragma_table_info('{name}') WHERE name = '{column}')
                 WHEN 'INTEGER' THEN coalesce({column}, 0) + 1000
                 WHEN 'TEXT' THEN coalesce({column}, '') || 'x'
                 ELSE CAST(coalesce({column}, x'') || x'01' AS BLOB) END
             WHERE {key} = (SELECT {key} FROM {name} ORDER BY {key} LIMIT 1
                            OFFSET {} % (SELECT count(*) FROM {name}))",
            rng.random_range(0..8)
        ));
        let checked = site.check().await;
        assert!(
            checked.fault_count > 0,
            "seed {seed}, round {round}: {name}.{column}"
        );
        site.put_back(name);
        let checked = site.check().await;
        assert_eq!(
            (checked.fault_count, checked.bound),
            (0, Some(true)),
            "{name}"
        );
    }
}

#[tokio::test]
async fn what_belongs_to_a_row_elsewhere_is_part_of_it() {
    if on_postgres() {
        return;
    }
    let site = Site::bound().await;
    let change = GatewayChange {
        require_tls: Some(true),
        ..GatewayChange::default()
    };
    let gateways = site.repository().gateways();
    gateways.change("host1", change).await.unwrap();
    for (table, sql) in [
        ("gateway_demands", "DELETE FROM gateway_demands"),
        ("gateway_demands", "UPDATE gateway_demands SET what = 'x'"),
        (
            "gateway_demands",
            "INSERT INTO gateway_demands VALUES ('host2', 'tls')",
        ),
        (
            "gateway_groups",
            "DELETE FROM gateway_groups WHERE name = 'prod'",
        ),
        (
            "gateway_groups",
            "UPDATE gateway_groups SET name = 'db' WHERE name = 'prod'",
        ),
        (
            "resource_settings",
            "UPDATE resource_settings SET value = 'dc=evil'",
        ),
        ("resource_settings", "DELETE FROM resource_settings"),
        (
            "sealed_values",
            "DELETE FROM sealed_values WHERE type = 'resource-password'",
        ),
    ] {
        site.keep(table);
        site.attack(sql);
        assert!(site.check().await.fault_count > 0, "{sql}");
        site.put_back(table);
        assert_eq!(site.check().await.fault_count, 0, "{sql}");
    }
}

#[tokio::test]
async fn rows_put_back_removed_or_added_show_in_the_sum() {
    if on_postgres() {
        return;
    }
    let mut site = Site::bound().await;
    // A row, and a whole table, as they were before a gateway was revoked.
    site.keep("gateways");
    let gateways = site.repository().gateways();
    let revoked = gateways.update("host2", |row, _| row.revoke());
    revoked.await.unwrap();
    site.bind().await;
    assert_eq!(site.check().await.bound, Some(true));
    site.put_back("gateways");
    let checked = site.check().await;
    assert_eq!((checked.fault_count, checked.bound), (0, Some(false)));

    // One that is deleted, and put back.
    let site = Site::bound().await;
    site.keep("gateway_keys");
    site.attack("DELETE FROM gateway_keys WHERE generation = 1");
    let checked = site.check().await;
    assert_eq!((checked.fault_count, checked.bound), (0, Some(false)));
    site.put_back("gateway_keys");
    assert_eq!(site.check().await.bound, Some(true));

    // The MAC of another row makes no row right.
    site.attack(
        "UPDATE gateways SET mac = (SELECT mac FROM gateways WHERE name = 'host1') WHERE name = 'host2'",
    );
    let checked = site.check().await;
    assert_eq!((checked.fault_count, checked.bound), (1, Some(false)));
    assert_eq!(checked.faults[0].name, "host2");
}

#[tokio::test]
async fn a_difference_counts_once_and_only_if_this_server_made_it() {
    if on_postgres() {
        return;
    }
    let mut site = Site::bound().await;
    site.keep("gateways");
    site.register_again("host2").await;
    let before_bound = site.check().await;
    assert_eq!(before_bound.bound, Some(true));
    // Its difference is kept, bound, and put back with the row that it speaks of.
    site.attack("CREATE TABLE kept_changes AS SELECT * FROM authority_changes");
    site.bind().await;
    site.register_again("host2").await;
    site.bind().await;
    site.put_back("gateways");
    site.attack("INSERT INTO authority_changes SELECT * FROM kept_changes");
    assert_eq!(site.check().await.bound, Some(false));
    // Nor does one that somebody makes up, with the right entry in it.
    site.attack(
        "DELETE FROM authority_changes;
         INSERT INTO authority_changes (epoch, before, after, mac)
         SELECT (SELECT max(seq) FROM audit_entries), NULL, mac, mac FROM gateways",
    );
    assert_eq!(site.check().await.bound, Some(false));
    // The next entry does not take it for granted, either.
    site.bind().await;
    assert_eq!(site.check().await.bound, Some(false));
}

#[tokio::test]
async fn nothing_in_the_file_takes_part_in_a_change() {
    if on_postgres() {
        return;
    }
    let mut site = Site::bound().await;
    site.attack(
        "CREATE TRIGGER planted AFTER UPDATE ON gateways
         BEGIN UPDATE gateways SET address = 'evil:1', pairing_until_ms = 9999999999999; END",
    );
    site.register_again("host2").await;
    site.bind().await;
    let checked = site.check().await;
    assert_eq!((checked.fault_count, checked.bound), (0, Some(true)));
    let evil = "SELECT 1 FROM gateways WHERE address = 'evil:1'";
    let found = site
        .repository()
        .database()
        .read(move |tx| tx.exists(evil, &[]));
    assert!(!found.await.unwrap());
}

#[tokio::test]
async fn a_table_that_is_made_otherwise_is_not_worked_with() {
    if on_postgres() {
        return;
    }
    for attack in [
        "ALTER TABLE gateways ADD COLUMN planted TEXT DEFAULT 'x'",
        "DROP INDEX one_current_server_key",
        "ALTER TABLE gateway_groups RENAME TO kept; CREATE VIEW gateway_groups AS SELECT * FROM kept",
        "PRAGMA writable_schema = 1; UPDATE sqlite_schema SET sql = replace(sql, 'compromised INTEGER NOT NULL DEFAULT 0', 'compromised INTEGER NOT NULL DEFAULT 1') WHERE name = 'gateway_keys'",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test.db");
        Database::create(&path).await.unwrap().close().await;
        Database::open(&path).await.unwrap().close().await;
        tamper(&path, attack);
        let error = Database::open(&path).await.unwrap_err();
        let changed = matches!(error, RepositoryError::SchemaChanged { .. });
        assert!(changed, "{attack}: {error}");
    }
}

#[tokio::test]
async fn a_row_that_does_not_check_decides_nothing_and_the_rest_goes_on() {
    if on_postgres() {
        return;
    }
    let site = Site::bound().await;
    let gateways = site.repository().gateways();
    site.attack(
        "UPDATE gateways SET pairing_until_ms = 9999999999999 WHERE name = 'host1';
         UPDATE resources SET connector = 'evil' WHERE name = 'pay'",
    );
    let all = gateways.list().await.unwrap();
    assert_eq!(all.len(), 2);
    let closed = &all[0];
    assert_eq!(closed.registration.pairing_until, None);
    assert!(closed.registration.token.is_none() && closed.groups.is_empty());
    assert!(closed.alarms[0].text.contains("changed or put in by hand"));
    assert!(all[1].registration.token.is_some());
    for looked in [
        gateways.look("host1", |_, _| ()).await,
        gateways.update("host1", |_, _| ()).await,
    ] {
        let error = looked.unwrap_err();
        assert!(
            matches!(error, RepositoryError::RowChanged { .. }),
            "{error}"
        );
    }
    gateways.look("host2", |_, _| ()).await.unwrap();
    let holdings = gateways.holdings().await.unwrap();
    assert!(holdings.gateways[0].last_error.is_some());
    // What was sealed for the gateway goes nowhere while nobody knows which gateway that is.
    let resources = site.repository().resources();
    assert!(resources.open("hr").await.unwrap().unwrap().is_err());
    assert!(resources.open("pay").await.is_err());
    assert!(resources.list().await.unwrap()[1].fault.is_some());
    // It can be removed, like any other.
    resources.remove("pay").await.unwrap();
    assert_eq!(site.check().await.fault_count, 1);
}

#[tokio::test]
async fn secret_settings_and_queued_payloads_are_for_one_registration_and_connector() {
    if on_postgres() {
        return;
    }
    let site = Site::new().await;
    let resources = site.repository().resources();
    let queued = site.repository().queued_calls();
    queued.enqueue(queued_call("one"), 10).await.unwrap();
    let opened = resources.open("hr").await.unwrap().unwrap().unwrap();
    assert_eq!(&**opened.secrets["password"], b"bind password");
    assert!(queued.lost_waiting("host1").await.unwrap().is_empty());

    site.register_again("host1").await;
    let lost = resources.open("hr").await.unwrap().unwrap();
    let expected = LostSettings {
        resource: "hr".to_owned(),
        gateway: "host1".to_owned(),
        settings: vec!["password".to_owned()],
    };
    assert_eq!(lost.unwrap_err(), expected);
    let shown = resources.find("hr").await.unwrap().unwrap();
    assert!(shown.lost_settings.iter().eq(["password"]));
    assert_eq!(shown.settings["base"], "dc=x");
    let lost = queued.lost_waiting("host1").await.unwrap();
    assert_eq!(lost[0].call.call_id, "one");
    assert!(matches!(
        lost[0].payload,
        Err(PayloadError::Elsewhere { .. })
    ));

    site.set_password("hr").await;
    let opened = resources.open("hr").await.unwrap().unwrap().unwrap();
    assert_eq!(&**opened.secrets["password"], b"bind password");
    // Another context in its row opens it no more than another place.
    site.attack(
        "UPDATE sealed_values SET context = CAST((SELECT gateway_id FROM gateways WHERE name = 'host2') || 'ldap' AS BLOB)
         WHERE type = 'resource-password'",
    );
    assert!(resources.open("hr").await.unwrap().unwrap().is_err());
}

#[tokio::test]
async fn another_server_goes_on_from_the_sum_of_the_last_entry_and_from_no_other() {
    if on_postgres() {
        return;
    }
    let mut site = Site::bound().await;
    site.bind().await;
    let unknown = LogEnd {
        rows: None,
        ..site.end
    };
    let log = site.repository().audit_entries();
    let knows = |moved: &Moved| match moved.rows_known {
        true => Ok(()),
        false => Err(()),
    };
    let end = log.end(unknown, knows).await.unwrap();
    assert_eq!(end, Ok(site.end));
    for planted in [
        "mac",
        "authority",
        "(SELECT rows_sum FROM audit_entries WHERE seq = 1)",
    ] {
        site.attack(&format!(
            "DROP TRIGGER IF EXISTS audit_entries_never_change;
             UPDATE audit_entries SET rows_sum = {planted} WHERE seq = (SELECT MAX(seq) FROM audit_entries)"
        ));
        assert_eq!(log.end(unknown, knows).await.unwrap(), Err(()), "{planted}");
    }
}
