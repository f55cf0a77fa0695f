//! Tasks over a real repository, with faults at each write.

mod manage;
mod running;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{OnceLock, mpsc};

use portcullis_common::id::{KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, Registration};
use tempfile::TempDir;
use tokio_stream::StreamExt;

use super::*;
use crate::audit;
use crate::config::{Audit, Config};
use crate::fleet;
use crate::keys::protection::Protection;
use crate::keys::{Keyring, authority};
use crate::repository::{
    Database, Fate, Moment, ProtectedType, Reach, Replaced, SealedValue, Sealer, Selection,
    WriteObserver, literal, tamper,
};

const TYPES: [ProtectedType; 3] = [
    ProtectedType::UserPassword,
    ProtectedType::PasswordHistory,
    ProtectedType::QueuedCall,
];

/// A stopped server's folder.
struct Stopped {
    folder: TempDir,
    server: ServerId,
}

/// A server's tasks at work in a folder.
struct Running {
    folder: TempDir,
    server: ServerId,
    database: Database,
    tasks: Tasks,
    work: Work,
}

impl Stopped {
    /// Values under a key that is not current any more: `many` of the first type, a few of the
    /// others.
    async fn new(many: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let protection = Protection::public_default();
        let database = Database::create(&folder.path().join("test.db"))
            .await
            .unwrap();
        let keyring = Keyring::create(&database, &protection, clock::now())
            .await
            .unwrap();
        let keyring = Arc::new(keyring);
        let repository = Repository::new(database.clone(), keyring.clone());
        let keys = KeyManager::new(database.clone(), keyring, protection);
        keys.generate(Some(KeyKind::Aes256), true).await.unwrap();
        for (kind, count) in TYPES.into_iter().zip([many, 3, 3]) {
            store(&database, &keys, kind, count).await;
        }
        keys.generate(Some(KeyKind::Tdes), true).await.unwrap();
        authority::create(&repository).await.unwrap();
        store(&database, &keys, ProtectedType::UserAnswer, 2).await;
        database.close().await;
        Self {
            folder,
            server: ServerId::random(&mut rand::rng()),
        }
    }

    /// Another folder of the same content.
    fn copy(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self {
            server: self.server,
            folder,
        }
    }

    async fn start(self, observer: Option<Arc<dyn WriteObserver>>) -> Running {
        let path = self.folder.path().join("test.db");
        let database = match observer {
            Some(observer) => Database::open_with(&path, observer).await.unwrap(),
            None => Database::open(&path).await.unwrap(),
        };
        let protection = Protection::public_default();
        let keyring = Arc::new(Keyring::unlock(&database, &protection).await.unwrap());
        let repository = Repository::new(database.clone(), keyring.clone());
        repository.open_authority().await.unwrap();
        let settings = Audit {
            head_file: self.folder.path().join("audit.head"),
            calls: false,
        };
        let config = Config::parse("", "test.toml".as_ref()).unwrap();
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        if !settings.head_file.exists() {
            let head = audit::create(&repository, self.server).await.unwrap();
            let file = audit::HeadFile::new(settings.head_file.clone());
            file.create(&head).unwrap();
        }
        let audit = AuditLog::open(&repository, self.server, &settings).await;
        let settings = fleet::Settings::new(self.server, &config);
        let (fleet, audit) = (Fleet::new(repository.clone(), settings), audit.unwrap());
        let work = Work {
            provisioning: Provisioning::new(repository.clone(), fleet.clone(), audit.clone()),
            fleet,
            keys: KeyManager::new(database.clone(), keyring, protection),
            audit,
            secret: config.secret.clone(),
            repository,
        };
        Running {
            folder: self.folder,
            server: self.server,
            database,
            tasks: Tasks::new(work.clone()),
            work,
        }
    }
}

impl Running {
    async fn stop(self) -> Stopped {
        self.tasks.stop().await;
        self.work.audit.close().await;
        self.database.close().await;
        Stopped {
            folder: self.folder,
            server: self.server,
        }
    }

    /// The last that is heard of a task.
    async fn end_of(&self, id: u64) -> Task {
        let mut states = Box::pin(self.tasks.watch(id).await.unwrap());
        let mut last = None;
        while let Some(task) = states.next().await {
            last = Some(task);
        }
        last.unwrap()
    }

    async fn values(&self) -> Vec<SealedValue> {
        let values = self.database.sealed_values();
        let all = values.batch(Selection::default(), 0, usize::MAX).await;
        let mut all = all.unwrap();
        all.retain(|value| {
            !matches!(
                value.kind,
                ProtectedType::AuditKey | ProtectedType::AuthorityKey | ProtectedType::GatewayKey
            )
        });
        all
    }

    /// Checks that each value of the fixture opens to what was stored, and gives how many there
    /// are.
    async fn all_open(&self) -> usize {
        let values = self.values().await;
        let keyring = self.work.keys.keyring();
        for value in &values {
            let opened = keyring.open(&value.place(), &value.sealed).unwrap();
            assert_eq!(*opened, content(value.kind, &value.owner));
        }
        values.len()
    }

    async fn under_current(&self) -> bool {
        let current = self.work.keys.keyring().current();
        let counts = self.database.sealed_values().counts().await.unwrap();
        counts.iter().all(|count| count.server_key == Some(current))
    }

    fn tamper(&self, sql: &str) {
        tamper(self.database.path(), sql);
    }
}

fn content(kind: ProtectedType, owner: &[u8]) -> Vec<u8> {
    [kind.name().as_bytes(), b" of ", owner].concat()
}

async fn store(database: &Database, keys: &KeyManager, kind: ProtectedType, count: usize) {
    let values = (0..count).map(|number| {
        let owner = format!("user{number}").into_bytes();
        let mut value = SealedValue {
            row: 0,
            kind,
            owner,
            field: "secret".to_owned(),
            sealed: Vec::new(),
            context: Vec::new(),
        };
        value.sealed = keys
            .keyring()
            .seal(&value.place(), &content(kind, &value.owner));
        value
    });
    let values = values.collect();
    database.sealed_values().store(values).await.unwrap();
}

fn all() -> Job {
    Job::ReEncrypt(ReEncrypt::default())
}

/// Does something at the n-th transaction that writes.
struct AtWrite<F> {
    count: AtomicU32,
    n: u32,
    moment: Moment,
    act: F,
}

impl<F: Fn() -> Fate + Send + Sync> AtWrite<F> {
    fn new(n: u32, moment: Moment, act: F) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicU32::new(0),
            n,
            moment,
            act,
        })
    }

    fn reached(&self) -> bool {
        self.count.load(Ordering::SeqCst) >= self.n
    }
}

impl<F: Fn() -> Fate + Send + Sync> WriteObserver for AtWrite<F> {
    fn at(&self, moment: Moment) -> Fate {
        if moment == self.moment && self.count.fetch_add(1, Ordering::SeqCst) + 1 == self.n {
            return (self.act)();
        }
        Fate::GoOn
    }
}

/// Starts a job on a copy of `fixture` again and again, and has the server die at its first write,
/// at its second, and so on. Each time it is started anew, ends the work without having lost a
/// value, and is handed to `check`. Gives how many writes it died at.
async fn crash_at_every_write(
    fixture: &Stopped,
    moment: impl Fn(u32) -> Moment,
    job: impl AsyncFn(&Running) -> Job,
    check: impl AsyncFn(&Running, u32, Task),
) -> u32 {
    let values = fixture.copy().start(None).await.all_open().await;
    let mut crashes = 0;
    for n in 1.. {
        // The audit log's own entry of the start comes first.
        let observer = AtWrite::new(n + 2, moment(n), || Fate::Die);
        let running = fixture.copy().start(Some(observer.clone())).await;
        let job = job(&running).await;
        if let Ok(task) = running.tasks.start(job.clone(), "ada").await {
            running.end_of(task.id).await;
        }
        let crashed = observer.reached();
        let again = running.stop().await.start(None).await;
        assert!(again.all_open().await >= values, "write {n}");
        again.tasks.resume_interrupted().await.unwrap();
        let task = match again.tasks.list().await.unwrap().into_iter().next() {
            Some(task) => task,
            None => again.tasks.start(job, "ada").await.unwrap(),
        };
        let ended = again.end_of(task.id).await;
        assert_eq!(
            ended.state,
            TaskState::Done,
            "write {n}: {:?}",
            ended.reason
        );
        assert!(again.all_open().await >= values, "write {n}");
        check(&again, n, ended).await;
        if !crashed {
            return crashes;
        }
        crashes += 1;
    }
    crashes
}

/// One of them before its commit, the next after it.
fn by_turns(n: u32) -> Moment {
    [Moment::BeforeCommit, Moment::AfterCommit][n as usize % 2]
}

#[tokio::test]
async fn everything_is_sealed_anew_and_each_type_is_counted() {
    let running = Stopped::new(700).await.start(None).await;
    let task = running.tasks.start(all(), "ada (7)").await.unwrap();
    let ended = running.end_of(task.id).await;
    assert_eq!((ended.state, ended.reason), (TaskState::Done, None));
    assert_eq!(ended.subject, "ada (7)");
    assert_eq!(running.all_open().await, 708);
    assert!(running.under_current().await);
    // Zero counts included; the answers were under the current key before.
    assert_eq!(ended.progress.types.len(), ProtectedType::ALL.len());
    let of = |kind: ProtectedType| {
        let found = ended.progress.types.iter().find(|t| t.name == kind.name());
        let found = found.unwrap();
        (found.total, found.done)
    };
    assert_eq!(of(ProtectedType::UserPassword), (700, 700));
    assert_eq!(of(ProtectedType::QueuedCall), (3, 3));
    assert_eq!(of(ProtectedType::UserAnswer), (0, 0));
    assert_eq!(of(ProtectedType::PolicyWord), (0, 0));
}

#[tokio::test]
async fn only_the_types_asked_for_are_sealed_anew() {
    let running = Stopped::new(5).await.start(None).await;
    let named = ReEncrypt::named(vec!["queued-call".to_owned()]);
    let job = Job::ReEncrypt(named.unwrap());
    let task = running.tasks.start(job, "ada").await.unwrap();
    assert_eq!(running.end_of(task.id).await.state, TaskState::Done);
    let current = running.work.keys.keyring().current();
    for value in running.values().await {
        let key = portcullis_common::crypto::storage::server_key_id(&value.sealed);
        let moved = matches!(
            value.kind,
            ProtectedType::QueuedCall | ProtectedType::UserAnswer
        );
        assert_eq!(key == Some(current), moved, "{:?}", value.kind);
    }
    assert_eq!(running.all_open().await, 13);
}

#[tokio::test]
async fn a_crash_at_any_write_loses_no_value_and_the_next_start_ends_the_work() {
    let fixture = Stopped::new(600).await;
    for moment in [Moment::BeforeCommit, Moment::AfterCommit] {
        let check = async |again: &Running, n, _| {
            assert_eq!(again.all_open().await, 608);
            assert!(again.under_current().await, "write {n}, {moment:?}");
        };
        let crashes = crash_at_every_write(&fixture, |_| moment, async |_| all(), check).await;
        assert!(crashes >= 6, "only {crashes} writes were reached");
    }
}

#[tokio::test]
async fn a_full_disk_at_any_write_loses_no_value_and_the_task_can_be_resumed() {
    let fixture = Stopped::new(600).await;
    let mut failures = 0;
    for n in 3.. {
        let observer = AtWrite::new(n, Moment::BeforeCommit, || Fate::Full);
        let running = fixture.copy().start(Some(observer.clone())).await;
        let started = running.tasks.start(all(), "ada").await;
        let ended = match &started {
            Ok(task) => Some(running.end_of(task.id).await),
            Err(error) => {
                assert!(error.to_string().contains("disk"), "{error}");
                None
            }
        };
        assert_eq!(running.all_open().await, 608, "write {n}");
        if !observer.reached() {
            break;
        }
        let again = match ended {
            Some(task) if task.state == TaskState::Failed => {
                failures += 1;
                let reason = task.reason.unwrap();
                assert!(reason.contains("disk"), "{reason}");
                running.tasks.resume(task.id).await.unwrap()
            }
            _ => running.tasks.start(all(), "ada").await.unwrap(),
        };
        assert_eq!(running.end_of(again.id).await.state, TaskState::Done);
        assert_eq!(running.all_open().await, 608);
        assert!(running.under_current().await, "write {n}");
    }
    assert!(
        failures >= 4,
        "only {failures} writes of the task were reached"
    );
}

#[tokio::test]
async fn what_changes_or_goes_meanwhile_is_neither_overwritten_nor_missed() {
    let fixture = Stopped::new(600).await;
    let path = fixture.folder.path().join("test.db");
    // After the first batch was stored: a value is deleted, another takes the place of a third, and
    // so on.
    let act = move || {
        let run = |sql: &str| tamper(&path, sql);
        run(
            "DELETE FROM sealed_values WHERE type = 'user-password' AND owner = CAST('user599' AS BLOB)",
        );
        run("DELETE FROM sealed_values WHERE type = 'password-history'");
        Fate::GoOn
    };
    let observer = AtWrite::new(6, Moment::AfterCommit, act);
    let running = fixture.start(Some(observer.clone())).await;
    let task = running.tasks.start(all(), "ada").await.unwrap();
    let ended = running.end_of(task.id).await;
    assert!(observer.reached());
    assert_eq!(ended.state, TaskState::Done, "{:?}", ended.reason);
    assert_eq!(running.all_open().await, 604);
    assert!(running.under_current().await);
}

#[tokio::test]
async fn another_choice_of_key_under_way_is_followed() {
    let fixture = Stopped::new(600).await;
    let chosen: Arc<OnceLock<(Arc<Keyring>, KeyId)>> = Arc::default();
    let told = chosen.clone();
    let act = move || {
        if let Some((keyring, id)) = told.get() {
            assert!(keyring.set_current(*id));
        }
        Fate::GoOn
    };
    let observer = AtWrite::new(7, Moment::BeforeCommit, act);
    let running = fixture.start(Some(observer.clone())).await;
    let third = running.work.keys.generate(None, false).await.unwrap();
    let _ = chosen.set((running.work.keys.keyring().clone(), third));
    let task = running.tasks.start(all(), "ada").await.unwrap();
    assert_eq!(running.end_of(task.id).await.state, TaskState::Done);
    assert!(observer.reached());
    assert_eq!(running.work.keys.keyring().current(), third);
    assert_eq!(running.all_open().await, 608);
    assert!(running.under_current().await);
}

#[tokio::test]
async fn what_does_not_open_is_left_and_listed() {
    let running = Stopped::new(5).await.start(None).await;
    running.tamper(
        "CREATE TEMP TABLE swap AS SELECT owner, sealed FROM sealed_values WHERE type = 'user-password' AND owner = CAST('user0' AS BLOB);
         UPDATE sealed_values SET sealed = (SELECT sealed FROM swap) WHERE type = 'user-password' AND owner = CAST('user1' AS BLOB);
         UPDATE sealed_values SET sealed = substr(sealed, 1, 10) WHERE type = 'queued-call' AND owner = CAST('user2' AS BLOB);",
    );
    let before = running.values().await;
    for (job, all_done) in [(all(), 9), (Job::Verify, 11)] {
        let kind = job.kind();
        let task = running.tasks.start(job, "ada").await.unwrap();
        let ended = running.end_of(task.id).await;
        assert_eq!(ended.state, TaskState::Failed);
        assert!(ended.reason.unwrap().starts_with("2 values do not open"));
        let mut found: Vec<_> = ended.progress.findings.iter().collect();
        found.sort_by_key(|finding| &finding.owner);
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.kind.as_str(), f.owner.as_str(), f.field.as_str(), f.why))
            .collect();
        let expected = [
            ("user-password", "`user1`", "secret", Why::Forged),
            ("queued-call", "`user2`", "secret", Why::Malformed),
        ];
        assert_eq!(found, expected, "{kind}");
        let of_fixture = ended.progress.types.iter();
        let others = [SERVER_KEY, RECORD, "audit-key", "authority-key"];
        let of_fixture = of_fixture.filter(|t| !others.contains(&&*t.name));
        assert_eq!(of_fixture.map(|t| t.done).sum::<u64>(), all_done, "{kind}");
    }
    let after = running.values().await;
    for (before, after) in before.iter().zip(&after) {
        let bad = (before.kind, before.owner.as_slice());
        if bad == (TYPES[0], b"user1") || bad == (TYPES[2], b"user2") {
            assert_eq!(before, after);
        }
    }
}

#[tokio::test]
async fn values_whose_key_is_away_wait_for_it() {
    let running = Stopped::new(5).await.start(None).await;
    let keyring = running.work.keys.keyring();
    let old = keyring
        .ids()
        .into_iter()
        .find(|id| *id != keyring.current() && id.kind() == KeyKind::Aes256);
    let old = old.unwrap();
    let key = keyring.key(old).unwrap();
    running.tamper(&format!(
        "DELETE FROM server_keys WHERE id = {}",
        literal(&old.to_bytes())
    ));
    assert!(keyring.remove(old));
    let task = running.tasks.start(all(), "ada").await.unwrap();
    let ended = running.end_of(task.id).await;
    assert_eq!(ended.state, TaskState::Done);
    assert_eq!(ended.progress.undecryptable(), 11);
    assert_eq!(ended.progress.findings.len(), 11);
    assert!(
        ended
            .progress
            .findings
            .iter()
            .all(|finding| { finding.why == Why::KeyAbsent && finding.key == old.to_string() })
    );
    // It tells whether everything opens: no.
    let task = running.tasks.start(Job::Verify, "ada").await.unwrap();
    let ended = running.end_of(task.id).await;
    assert_eq!(ended.state, TaskState::Failed);
    assert_eq!(ended.progress.undecryptable(), 11);

    running.tamper(&format!(
        "INSERT INTO server_keys (id, generation, wrapped, created_ms) VALUES ({}, 99, x'00', 1)",
        literal(&old.to_bytes())
    ));
    keyring.add(old, key);
    let task = running.tasks.start(all(), "ada").await.unwrap();
    assert_eq!(running.end_of(task.id).await.state, TaskState::Done);
    assert_eq!(running.all_open().await, 13);
    // The row is no key of this protection.
    let task = running.tasks.start(Job::Verify, "ada").await.unwrap();
    let ended = running.end_of(task.id).await;
    assert_eq!(ended.state, TaskState::Failed);
    // Nor is its record one that this server stored.
    let found = ended.progress.findings.iter();
    let found: Vec<_> = found.map(|found| (&*found.kind, &*found.owner)).collect();
    assert!(found.contains(&(SERVER_KEY, &old.to_string())), "{found:?}");
    assert!(
        found.contains(&(RECORD, &format!("server key `{old}`"))),
        "{found:?}"
    );
}

/// A task whose first batch waits to be stored until the test lets it.
#[test]
fn a_stored_task_is_read_by_the_next_version() {
    // As they stand in repositories: never change these.
    let known = [
        (
            r#"{"kind":"re-encrypt","types":["queued-call"]}"#,
            "re-encrypt",
        ),
        (r#"{"kind":"verify"}"#, "verify"),
        (
            r#"{"kind":"sync-gateways","groups":["canary"],"per_minute":60,"force":true}"#,
            "sync-gateways",
        ),
        (
            r#"{"kind":"manage","server_key":"3des-00000000000000000000000000000001","re_encrypt":true,"gateway_key":null,"sync":false,"verify":true}"#,
            "manage",
        ),
    ];
    for (text, kind) in known {
        let job: Job = serde_json::from_str(text).unwrap();
        assert_eq!(job.kind(), kind);
        assert_eq!(to_json(&job), text);
    }
}
