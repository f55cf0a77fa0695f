//! The conformance suite: what every repository has to do, whatever it stores in.

use std::path::Path;
use std::sync::Arc;

use portcullis_common::handshake::Mode;
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, Policy, Registration, Scope, UnixMillis};
use portcullis_common::secret::ServerKey;
use tempfile::TempDir;

use super::*;
use crate::keys::protection::Protection;
use crate::keys::{Keyring, gateway_keys};

pub(super) const NOW: UnixMillis = UnixMillis(1_000_000);
const POLICY: Policy = Policy {
    retired_key_grace_ms: 1_000,
};

pub(super) struct Fixture {
    folder: TempDir,
    protection: Protection,
    pub(super) keyring: Arc<Keyring>,
    pub(super) repository: Repository,
}

impl Fixture {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let protection = Protection::random();
        let database = Database::create(&file(folder.path())).await.unwrap();
        let keyring = Keyring::create(&database, &protection, NOW).await.unwrap();
        let keyring = Arc::new(keyring);
        Self {
            folder,
            protection,
            repository: Repository::new(database, keyring.clone()),
            keyring,
        }
    }

    /// Makes a server key and seals under it from now on. Gives the id of the key before.
    pub(super) async fn change_server_key(&self) -> KeyId {
        let before = self.keyring.current();
        let id = KeyId::random(KeyKind::Tdes, &mut rand::rng());
        let key = ServerKey::random(KeyKind::Tdes, &mut rand::rng());
        let keys = self.repository.database().server_keys();
        let wrapped = self.protection.wrap(id, &key);
        keys.add(id, wrapped, NOW).await.unwrap();
        keys.set_current(id, NOW).await.unwrap();
        self.keyring.add(id, key);
        assert!(self.keyring.set_current(id));
        before
    }

    /// A second handle on the same repository, as another process has it.
    pub(super) async fn another(&self) -> Repository {
        let database = Database::open(&file(self.folder.path())).await.unwrap();
        let keyring = Keyring::unlock(&database, &self.protection).await.unwrap();
        Repository::new(database, Arc::new(keyring))
    }
}

impl Database {
    /// Lets the file grow no further than it is, as a full disk does; `None` lets it grow again.
    pub(crate) async fn limit_pages(&self, limit: Option<u32>) {
        let pages = limit.unwrap_or(1 << 20);
        self.write(move |transaction| {
            Ok(transaction.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
        })
        .await
        .unwrap();
    }
}

fn file(folder: &Path) -> std::path::PathBuf {
    folder.join("test.db")
}

pub(super) fn registration(kind: KeyKind) -> Registration {
    let mut rng = rand::rng();
    let token = EnrolmentToken::random(GatewayId::random(&mut rng), kind, &mut rng);
    Registration::new(&token, NOW.plus(10), Some(NOW.plus(20)))
}

pub(super) async fn rotate(
    repository: &Repository,
    expected: Option<KeyId>,
) -> Result<KeyId, RotateError> {
    let new = gateway_keys::generate(KeyKind::Tdes, NOW);
    let id = new.id;
    let rotated = repository.gateway_keys().rotate(new, expected, false).await;
    rotated.unwrap().map(|_| id)
}

/// Everything that is stored, as text.
async fn everything(repository: &Repository) -> String {
    format!(
        "{:?} {:?} {:?}",
        repository.gateways().list().await.unwrap(),
        repository.gateway_keys().list().await.unwrap(),
        repository.resources().list().await.unwrap()
    )
}

#[tokio::test]
async fn a_registration_is_read_as_it_was_stored() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let key = rotate(&fixture.repository, None).await.unwrap();
    for (name, kind) in [("a", KeyKind::Tdes), ("b", KeyKind::Aes256)] {
        let stored = registration(kind);
        gateways
            .add(name, Reach::DialOut, &stored, NOW)
            .await
            .unwrap();
        let bound = stored.clone();
        gateways
            .update(stored.gateway_id, move |registration, keys| {
                assert_eq!(keys.len(), 1);
                registration.token.as_mut().unwrap().bound = Some([9; 32]);
                registration.last_proved = Some(key);
                registration.sent = vec![key, key];
            })
            .await
            .unwrap();
        let row = fixture.another().await.gateways().find(name).await.unwrap();
        let read = row.unwrap().registration;
        let (read_token, token) = (read.token.unwrap(), bound.token.unwrap());
        assert_eq!(read.gateway_id, bound.gateway_id);
        assert_eq!(read_token.key.expose(), token.key.expose());
        assert_eq!(read_token.key_id, token.key_id);
        assert_eq!(read_token.expires, NOW.plus(10));
        assert_eq!(read_token.bound, Some([9; 32]));
        assert_eq!(read.pairing_until, Some(NOW.plus(20)));
        assert_eq!(read.last_proved, Some(key));
        assert_eq!(read.sent, [key, key]);
    }
    let in_use = fixture.repository.gateway_keys().list().await.unwrap();
    assert_eq!(in_use[0].in_use_by, 2);
}

#[tokio::test]
async fn a_new_registration_takes_the_old_ones_place() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let (old, new) = (registration(KeyKind::Tdes), registration(KeyKind::Tdes));
    gateways
        .add("host1", Reach::DialOut, &old, NOW)
        .await
        .unwrap();
    let placed = new.clone();
    gateways
        .update("host1", move |registration, _| *registration = placed)
        .await
        .unwrap();
    assert!(gateways.find(old.gateway_id).await.unwrap().is_none());
    let error = gateways.update(old.gateway_id, |_, _| ()).await;
    assert!(matches!(error, Err(RepositoryError::NotFound { .. })));
    let row = gateways.find(new.gateway_id).await.unwrap().unwrap();
    let token = row.registration.token.unwrap();
    assert_eq!(token.key.expose(), new.token.unwrap().key.expose());
}

#[tokio::test]
async fn names_are_taken_once_and_missing_things_are_named() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let add = |registration: Registration| async move {
        gateways
            .add("host1", Reach::DialOut, &registration, NOW)
            .await
    };
    add(registration(KeyKind::Tdes)).await.unwrap();
    let error = add(registration(KeyKind::Tdes)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is already a gateway `host1`: choose another name"
    );

    let resources = fixture.repository.resources();
    let resource = Resource {
        name: "r".to_owned(),
        gateway: "nowhere".to_owned(),
        connector: "unix".to_owned(),
        settings: [("a".to_owned(), "1".to_owned())].into(),
        secret_settings: std::collections::BTreeSet::new(),
        created: NOW,
    };
    let error = resources.add(resource.clone()).await.unwrap_err();
    assert!(
        error.to_string().contains("no gateway `nowhere`"),
        "{error}"
    );
    let resource = Resource {
        gateway: "host1".to_owned(),
        ..resource
    };
    resources.add(resource.clone()).await.unwrap();
    let again = resources.add(resource.clone()).await.unwrap_err();
    assert!(matches!(again, RepositoryError::AlreadyExists { .. }));
    let changed = resources
        .update("r", |resource| {
            resource.settings = [("b".to_owned(), "2".to_owned())].into();
        })
        .await
        .unwrap();
    assert_eq!(resources.find("r").await.unwrap(), Some(changed.clone()));
    assert_eq!(changed.settings.len(), 1);
    let moved = resources
        .update("r", |resource| resource.gateway = "nowhere".to_owned())
        .await;
    assert!(moved.is_err());
    assert_eq!(resources.list().await.unwrap(), [changed]);
    resources.remove("r").await.unwrap();
    assert!(resources.remove("r").await.is_err());
    assert!(resources.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn secret_settings_do_not_follow_a_resource_to_another_place() {
    let fixture = Fixture::new().await;
    for name in ["g1", "g2"] {
        let token = registration(KeyKind::Tdes);
        let gateways = fixture.repository.gateways();
        gateways
            .add(name, Reach::DialOut, &token, NOW)
            .await
            .unwrap();
    }
    let resources = fixture.repository.resources();
    let resource = Resource {
        name: "r".to_owned(),
        gateway: "g1".to_owned(),
        connector: "ldap".to_owned(),
        settings: std::collections::BTreeMap::new(),
        secret_settings: std::collections::BTreeSet::new(),
        created: NOW,
    };
    resources.add(resource).await.unwrap();
    let secret = |name: &str| (name.to_owned(), zeroize::Zeroizing::new(b"hidden".to_vec()));
    let set = [secret("a"), secret("b")].into();
    resources.update_with("r", set, |_| ()).await.unwrap();
    let call = NewQueuedCall {
        call_id: "1".to_owned(),
        resource: "r".to_owned(),
        summary: String::new(),
        payload: zeroize::Zeroizing::new(Vec::new()),
        queued: NOW,
        expires: NOW,
    };
    let calls = fixture.repository.queued_calls();
    calls.enqueue(call, 3).await.unwrap();
    let moved = resources.update_with("r", [secret("b")].into(), |resource| {
        resource.gateway = "g2".to_owned();
    });
    let moved = moved.await.unwrap();
    assert_eq!((moved.dropped, moved.cancelled), (vec!["a".to_owned()], 1));
    let (_, secrets) = resources.open("r").await.unwrap().unwrap();
    assert_eq!(secrets, [secret("b")].into());
    let moved = resources.update_with("r", SecretSettings::new(), |resource| {
        resource.connector = "sql".to_owned();
    });
    assert_eq!(moved.await.unwrap().dropped, ["b"]);
}

#[tokio::test]
async fn of_two_servers_that_rotate_at_once_one_wins() {
    let fixture = Fixture::new().await;
    let other = fixture.another().await;
    let mut current = rotate(&fixture.repository, None).await.unwrap();
    for _ in 0..20 {
        let (a, b) = tokio::join!(
            rotate(&fixture.repository, Some(current)),
            rotate(&other, Some(current))
        );
        let (won, lost) = match (a, b) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("both or none: {both:?}"),
        };
        let expected = current;
        assert_eq!(
            lost,
            RotateError::NotCurrent {
                expected,
                current: won
            }
        );
        current = won;
        assert_eq!(other.gateway_keys().current().await.unwrap(), Some(won));
    }
    let keys = other.gateway_keys().list().await.unwrap();
    assert_eq!(keys.len(), 21);
    assert!(keys[0].info.retired.is_none());
    assert!(keys[1..].iter().all(|key| key.info.retired.is_some()));
    assert!(
        keys.windows(2)
            .all(|pair| pair[0].info.generation > pair[1].info.generation)
    );
}

#[tokio::test]
async fn of_two_servers_that_bind_a_token_one_wins() {
    let fixture = Fixture::new().await;
    let other = fixture.another().await;
    let stored = registration(KeyKind::Tdes);
    let (id, key) = (stored.gateway_id, stored.token.as_ref().unwrap().key_id);
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    let bind = |repository: Repository, nonce: [u8; 32]| async move {
        let gateways = repository.gateways();
        gateways
            .update(id, move |registration, _| {
                registration.bind(id, key, &nonce, NOW)
            })
            .await
            .unwrap()
    };
    let (a, b) = tokio::join!(
        bind(fixture.repository.clone(), [1; 32]),
        bind(other, [2; 32])
    );
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
}

#[tokio::test]
async fn what_a_transition_leaves_is_stored_also_where_it_fails() {
    let fixture = Fixture::new().await;
    let key = rotate(&fixture.repository, None).await.unwrap();
    let stored = registration(KeyKind::Tdes);
    let id = stored.gateway_id;
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    let scope = gateways
        .update(id, move |registration, keys| {
            registration.proved(id, Mode::Secure, key, keys, &POLICY, NOW)
        })
        .await
        .unwrap();
    assert!(scope.is_err(), "this key was never sent: {scope:?}");
    let row = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!(row.registration.pairing_until, None, "any proof closes it");

    gateways
        .update(id, move |registration, _| registration.sent.push(key))
        .await
        .unwrap();
    let scope = gateways
        .update(id, move |registration, keys| {
            registration.proved(id, Mode::Secure, key, keys, &POLICY, NOW)
        })
        .await
        .unwrap();
    assert_eq!(scope, Ok(Scope::Full));
}

#[tokio::test]
async fn a_change_that_a_reader_tried_first_is_stored_and_where_there_is_none_nothing_is() {
    let fixture = Fixture::new().await;
    let stored = registration(KeyKind::Tdes);
    let id = stored.gateway_id;
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    let looked = gateways.update_where_changed(id, |registration, _| registration.pairing_until);
    assert_eq!(looked.await.unwrap(), Some(NOW.plus(20)));
    let closed =
        gateways.update_where_changed(id, |registration, _| registration.pairing_until.take());
    assert_eq!(closed.await.unwrap(), Some(NOW.plus(20)));
    let row = fixture.another().await.gateways().find(id).await.unwrap();
    assert_eq!(row.unwrap().registration.pairing_until, None);
}

#[tokio::test]
async fn a_gateway_seen_with_its_change_has_no_error_any_more() {
    let fixture = Fixture::new().await;
    let stored = registration(KeyKind::Tdes);
    let id = stored.gateway_id;
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    for (seen, error) in [(None, Some("away".to_owned())), (Some(NOW.plus(5)), None)] {
        gateways.failed("host1", "away").await.unwrap();
        gateways
            .update_seen(id, move |_, _| ((), seen))
            .await
            .unwrap();
        let row = gateways.find("host1").await.unwrap().unwrap();
        assert_eq!((row.last_seen, row.last_error), (seen, error));
    }
    assert_eq!(gateways.count().await.unwrap(), 1);
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_is_told_as_such() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    rotate(repository, None).await.unwrap();
    let limit = |pages: u32| {
        repository.database.write(move |transaction| {
            Ok(transaction.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?)
        })
    };
    // SQLite takes no limit below what is in use, so this is exactly that.
    limit(1).await.unwrap();
    let mut added = 0;
    let error = loop {
        let before = everything(repository).await;
        let result = repository
            .gateways()
            .add(
                &format!("host{added} {}", "x".repeat(500)),
                Reach::DialOut,
                &registration(KeyKind::Tdes),
                NOW,
            )
            .await;
        match result {
            Ok(()) => added += 1,
            Err(error) => {
                assert_eq!(everything(repository).await, before);
                break error;
            }
        }
        assert!(added < 1_000, "the limit does not hold");
    };
    assert!(matches!(error, RepositoryError::Full), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");

    limit(1_000_000).await.unwrap();
    rotate(repository, None).await.unwrap();
}

#[tokio::test]
async fn a_ciphertext_moved_to_another_row_does_not_open() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let (first, second) = (
        rotate(repository, None).await.unwrap(),
        rotate(repository, None).await.unwrap(),
    );
    repository
        .gateway_keys()
        .open(&[first, second])
        .await
        .unwrap();
    repository
        .database
        .write(move |transaction| {
            transaction.execute(
                "UPDATE sealed_values SET sealed = (SELECT sealed FROM sealed_values WHERE owner = ?1) WHERE owner = ?2",
                (first.to_bytes(), second.to_bytes()),
            )?;
            Ok(())
        })
        .await
        .unwrap();
    let error = repository.gateway_keys().open(&[second]).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::Sealed(OpenError::Forged(_))),
        "{error}"
    );
    repository.gateway_keys().open(&[first]).await.unwrap();
}

#[tokio::test]
async fn no_secret_stands_in_the_file() {
    let fixture = Fixture::new().await;
    let stored = registration(KeyKind::Tdes);
    let token = stored.token.as_ref().unwrap().key.clone();
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    let new = gateway_keys::generate(KeyKind::Tdes, NOW);
    let key = new.key.clone();
    let keys = fixture.repository.gateway_keys();
    keys.rotate(new, None, false).await.unwrap().unwrap();
    fixture.repository.database.close().await;
    let bytes = std::fs::read(file(fixture.folder.path())).unwrap();
    for secret in [token.expose(), key.expose()] {
        assert!(!bytes.windows(8).any(|window| window == &secret[..8]));
    }
    assert!(
        bytes.windows(5).any(|window| window == b"host1"),
        "the file read is the repository"
    );
}

#[tokio::test]
async fn a_newer_schema_and_a_strange_file_are_refused_untouched() {
    let fixture = Fixture::new().await;
    let path = file(fixture.folder.path());
    fixture
        .repository
        .database
        .write(|transaction| Ok(transaction.pragma_update(None, "user_version", 99)?))
        .await
        .unwrap();
    fixture.repository.database.close().await;
    let before = std::fs::read(&path).unwrap();
    let error = Database::open(&path).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::NewerSchema { found: 99, .. }),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::write(
        &path,
        "this is no database, whatever its name says".repeat(50),
    )
    .unwrap();
    let error = Database::open(&path).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Damaged(_)), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = Database::open(&path).await.unwrap_err();
    assert!(
        error.to_string().contains("portcullis-server init"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_asked_after_the_end_fails_and_a_second_end_is_none() {
    let fixture = Fixture::new().await;
    let database = &fixture.repository.database;
    let id = ServerId::random(&mut rand::rng());
    database.meta().set_server_id(id).await.unwrap();
    assert_eq!(database.meta().server_id().await.unwrap(), id);
    database.close().await;
    database.close().await;
    let error = database.meta().server_id().await.unwrap_err();
    assert!(matches!(error, RepositoryError::Closed), "{error}");
}

#[tokio::test]
async fn alarms_are_kept_newest_first_and_bounded() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &registration(KeyKind::Tdes), NOW)
        .await
        .unwrap();
    for number in 0..30 {
        let text = format!("alarm {number}");
        gateways.raise_alarm("host1", &text, NOW).await.unwrap();
    }
    let row = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!(row.alarms.len(), 20);
    assert_eq!(row.alarms[0].text, "alarm 29");
    assert_eq!(row.last_error, None);
    gateways.failed("host1", "no route").await.unwrap();
    let failed = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!(failed.last_error.as_deref(), Some("no route"));
    gateways.seen("host1", NOW.plus(5)).await.unwrap();
    let seen = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!((seen.last_error, seen.last_seen), (None, Some(NOW.plus(5))));
}

#[tokio::test]
async fn groups_come_and_go_with_their_gateways() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let groups = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let stored = registration(KeyKind::Tdes);
    gateways
        .add_to("a", Reach::DialOut, groups(&["west", "east"]), &stored, NOW)
        .await
        .unwrap();
    gateways
        .add("b", Reach::DialOut, &registration(KeyKind::Tdes), NOW)
        .await
        .unwrap();
    let change = GatewayChange {
        reach: None,
        add_groups: groups(&["north", "east"]),
        remove_groups: groups(&["west", "south"]),
    };
    gateways.change("a", change.clone()).await.unwrap();
    let found = gateways.find("a").await.unwrap().unwrap();
    assert_eq!(found.groups, ["east", "north"]);
    assert_eq!(found.reach, Reach::DialOut);
    let listed = gateways.list().await.unwrap();
    assert_eq!(listed[0].groups, found.groups);
    assert!(listed[1].groups.is_empty());
    let holdings = gateways.holdings().await.unwrap();
    assert_eq!(holdings.gateways[0].groups, found.groups);
    let error = gateways.change("c", change).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::NotFound { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_key_is_deleted_only_once_no_gateway_depends_on_it() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let (gateways, keys) = (repository.gateways(), repository.gateway_keys());
    let first = rotate(repository, None).await.unwrap();
    for name in ["enrolling", "proved", "sent"] {
        gateways
            .add(name, Reach::DialOut, &registration(KeyKind::Tdes), NOW)
            .await
            .unwrap();
    }
    let second = rotate(repository, Some(first)).await.unwrap();
    let current = rotate(repository, Some(second)).await.unwrap();
    gateways
        .update("enrolling", move |row, _| {
            row.token.as_mut().unwrap().bound = Some([9; 32]);
            row.sent = vec![second];
        })
        .await
        .unwrap();
    gateways
        .update("proved", move |row, _| {
            row.token = None;
            row.last_proved = Some(second);
        })
        .await
        .unwrap();
    gateways
        .update("sent", move |row, _| {
            row.token = None;
            row.last_proved = Some(first);
            row.sent = vec![second, current];
        })
        .await
        .unwrap();

    let found = keys.dependents(second).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|dependent| (dependent.gateway.as_str(), dependent.dependency))
        .collect();
    let expected = [
        ("enrolling", Dependency::Enrolling),
        ("proved", Dependency::LastProved),
        ("sent", Dependency::Sent),
    ];
    assert_eq!(found, expected);
    let refused = keys.delete(second).await.unwrap().unwrap_err();
    assert!(
        matches!(&refused, DeleteKeyError::InUse { dependents, .. } if dependents.len() == 3),
        "{refused}"
    );
    let refused = keys.delete(current).await.unwrap();
    assert_eq!(refused, Err(DeleteKeyError::Current(current)));
    keys.open(&[second, current]).await.unwrap();

    for name in ["enrolling", "proved", "sent"] {
        gateways
            .update(name, move |row, _| {
                row.token = None;
                row.last_proved = Some(current);
                row.sent.clear();
            })
            .await
            .unwrap();
    }
    keys.delete(second).await.unwrap().unwrap();
    assert!(keys.open(&[second]).await.is_err());
    let error = keys.delete(second).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::NoSuchKey(id) if id == second),
        "{error}"
    );
    let values = repository.database().sealed_values();
    let left = values.batch(Selection::default(), 0, 10).await.unwrap();
    assert_eq!(left.len(), 2);
}

#[tokio::test]
async fn a_roll_back_withdraws_the_current_key_alone() {
    let fixture = Fixture::new().await;
    let keys = fixture.repository.gateway_keys();
    let first = rotate(&fixture.repository, None).await.unwrap();
    let second = rotate(&fixture.repository, Some(first)).await.unwrap();
    let fresh = || gateway_keys::generate(KeyKind::Tdes, NOW);
    let late = keys.roll_back(fresh(), Some(first)).await.unwrap();
    assert!(late.is_err());
    let new = fresh();
    let id = new.id;
    let withdrawn = keys.roll_back(new, Some(second)).await.unwrap();
    assert_eq!(withdrawn, Ok(Some(second)));
    let listed = keys.list().await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|row| (row.info.id, row.info.withdrawn, row.info.compromised))
        .collect();
    assert_eq!(
        listed,
        [
            (id, false, false),
            (second, true, false),
            (first, false, false)
        ]
    );
}
