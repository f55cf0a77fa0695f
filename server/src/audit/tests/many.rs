//! One log that several servers append to, on each engine.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use portcullis_common::id::{GatewayId, KeyKind};
use portcullis_common::rotation::{EnrolmentToken, Registration, UnixMillis};
use tempfile::TempDir;

use super::*;
use crate::keys::protection::Protection;
use crate::keys::{Keyring, authority};
use crate::repository::{Database, Fate, Moment, Reach, WriteObserver, on_postgres, stand};

const NOW: UnixMillis = UnixMillis(1_000_000);
const SERVER: ServerId = ServerId::from_array([2; 16]);
/// Operations of each server, of two entries each.
const OPERATIONS: usize = 500;
/// Operations of a server that are under way at once.
const AT_ONCE: usize = 50;

/// A repository and whoever has it open.
struct Site {
    folder: TempDir,
    protection: Protection,
    head: Head,
}

struct Server {
    repository: Repository,
    log: AuditLog,
}

impl Site {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let protection = Protection::random();
        let database = Database::create(&folder.path().join("test.db")).await;
        let database = database.unwrap();
        let keyring = Keyring::create(&database, &protection, NOW).await.unwrap();
        let repository = Repository::new(database, Arc::new(keyring));
        authority::create(&repository).await.unwrap();
        let head = create(&repository, SERVER).await.unwrap();
        repository.database().close().await;
        Self {
            folder,
            protection,
            head,
        }
    }

    /// A server, with a head file of its own.
    async fn start(&self, name: &str, observer: Option<Arc<dyn WriteObserver>>) -> Server {
        let path = self.folder.path().join("test.db");
        let database = match observer {
            None => Database::open(&path).await.unwrap(),
            Some(observer) => Database::open_with(&path, observer).await.unwrap(),
        };
        let keyring = Keyring::unlock(&database, &self.protection).await.unwrap();
        let repository = Repository::new(database, Arc::new(keyring));
        repository.open_authority().await.unwrap();
        let settings = config::Audit {
            head_file: self.folder.path().join(name).join("head"),
            calls: true,
        };
        let head = HeadFile::new(settings.head_file.clone());
        if matches!(head.read().unwrap(), head::Found::Missing) {
            head.create(&self.head).unwrap();
        }
        stand(repository.database(), true);
        let log = AuditLog::attach(&repository, SERVER, &settings).await;
        Server {
            repository,
            log: log.unwrap(),
        }
    }
}

impl Server {
    /// Does all its operations; gives how many were begun.
    async fn work(&self, name: &str) -> usize {
        let mut begun = 0;
        for first in (0..OPERATIONS).step_by(AT_ONCE) {
            let operations = (first..first + AT_ONCE).map(|number| self.operation(name, number));
            let done = futures_util::future::join_all(operations).await;
            begun += done.into_iter().filter(|done| *done).count();
        }
        begun
    }

    /// One in ten of them changes a row that decides.
    async fn operation(&self, name: &str, number: usize) -> bool {
        let object = format!("{name}-{number}");
        let Ok(begun) = self.log.begin(alice(), "Things/Change", &object).await else {
            return false;
        };
        if number.is_multiple_of(10) {
            let mut rng = rand::rng();
            let gateway = GatewayId::random(&mut rng);
            let token = EnrolmentToken::random(gateway, KeyKind::Tdes, &mut rng);
            let token = Registration::new(&token, NOW, None);
            let gateways = self.repository.gateways();
            // Where the server dies, so does this.
            let _ = gateways.add(&object, Reach::DialOut, &token, NOW).await;
        }
        begun.end(Outcome::Done, "").await;
        true
    }

    async fn entries(&self) -> Vec<AuditEntry> {
        let entries = self.repository.audit_entries();
        entries.scan(0, 10_000).await.unwrap()
    }
}

/// Ends a server after so many commits, before it knows of the last one.
struct Death(AtomicU32);

impl WriteObserver for Death {
    fn at(&self, moment: Moment) -> Fate {
        let ended = moment == Moment::AfterCommit && self.0.fetch_sub(1, Ordering::Relaxed) == 1;
        if ended { Fate::Die } else { Fate::GoOn }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_and_one_that_dies_append_to_one_chain_with_one_outcome_an_entry() {
    let site = Site::new().await;
    let dying: Arc<dyn WriteObserver> = Arc::new(Death(AtomicU32::new(12)));
    let (one, two, three) = (
        site.start("one", None).await,
        site.start("two", None).await,
        site.start("three", Some(dying)).await,
    );
    let begun = tokio::join!(one.work("one"), two.work("two"), three.work("three"));
    assert_eq!((begun.0, begun.1), (OPERATIONS, OPERATIONS));
    assert!(begun.2 < OPERATIONS);
    // Whoever starts after all of them finds what the dead one left.
    stand(three.repository.database(), false);
    three.repository.database().close().await;
    let three = site.start("three", None).await;
    three.log.ready().await.unwrap();
    let entries = three.entries().await;
    let mut outcomes = vec![0; entries.len() + 1];
    for entry in &entries {
        outcomes[entry.begun as usize] += 1;
    }
    for entry in entries.iter().filter(|entry| entry.outcome == "begun") {
        assert_eq!(outcomes[entry.seq as usize], 1, "{entry:?}");
    }
    let done = entries.iter().filter(|entry| entry.outcome == "done");
    assert!(done.count() >= 2 * OPERATIONS);
    for server in [one, two, three] {
        let head = server.log.head().await.unwrap();
        // The head file of each is of an entry of the one chain, and it goes on from there.
        let report = server.log.verify(vec![head.tip]).await.unwrap();
        assert_eq!(report.faults, []);
        server.operation("last", 0).await;
        let report = server.log.verify(vec![head.tip]).await.unwrap();
        assert_eq!((report.faults, report.head), (vec![], Some(report.count)));
    }
}

#[tokio::test]
async fn what_a_server_that_is_gone_has_begun_is_ended_by_another_and_nothing_else_is() {
    if !on_postgres() {
        return;
    }
    let site = Site::new().await;
    let (one, two) = (site.start("one", None).await, site.start("two", None).await);
    let gone = site.start("gone", None).await;
    let begin = async |server: &Server| {
        let begun = server.log.begin(alice(), "Things/Change", "x").await;
        // As of one that was killed: it writes no outcome.
        let _begun = std::mem::ManuallyDrop::new(begun.unwrap());
    };
    begin(&one).await;
    begin(&gone).await;
    begin(&two).await;
    // One that comes meanwhile does not end them, either.
    let three = site.start("three", None).await;
    three.log.ready().await.unwrap();
    assert_eq!(three.entries().await.len(), 3);
    stand(gone.repository.database(), false);
    let ended = async {
        while one.entries().await.len() < 4 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended)
        .await
        .unwrap();
    // Whoever else has found it leaves it.
    for server in [&one, &two, &three] {
        assert!(server.operation("after", 1).await);
    }
    let entries = one.entries().await;
    let unknown: Vec<_> = entries
        .iter()
        .filter(|it| it.outcome == "unknown")
        .collect();
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!(unknown[0].begun, 2);
    assert_eq!(entries.len(), 4 + 3 * 2);
}

#[tokio::test]
async fn a_server_goes_on_from_what_another_appended_and_from_nothing_else() {
    let site = Site::new().await;
    let (one, two) = (site.start("one", None).await, site.start("two", None).await);
    assert!(one.operation("one", 0).await);
    assert!(two.operation("two", 0).await);
    assert!(one.operation("one", 10).await);
    let path = site.folder.path().join("test.db");
    let attack = |sql: &str| tamper(&path, sql);
    if !on_postgres() {
        attack("DROP TRIGGER audit_entries_never_change; DROP TRIGGER audit_entries_never_go");
    }
    // An entry of nobody who has the key.
    attack(
        "INSERT INTO audit_entries (seq, commit_first, time_ms, subject, action, object, outcome, begun, detail, mac,
             authority, rows_sum)
         SELECT seq + 1, seq + 1, time_ms, subject, action, object, outcome, 0, detail, mac, authority, rows_sum
         FROM audit_entries WHERE seq = 6",
    );
    for server in [&one, &two] {
        let refused = server.log.begin(alice(), "Things/Change", "x").await;
        let Err(AuditError::Disputed(dispute)) = refused else {
            panic!("{refused:?}");
        };
        assert!(
            matches!(dispute, Dispute::Moved | Dispute::Rows),
            "{dispute}"
        );
    }
    attack("DELETE FROM audit_entries WHERE seq = 7");
    let two = site.start("two", None).await;
    assert!(two.operation("two", 20).await);
    assert_eq!(two.log.verify(Vec::new()).await.unwrap().faults, []);
}
