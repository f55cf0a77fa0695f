//! Several servers that share a repository, of which one sends to a place.

use super::*;
use crate::keys::Keyring;
use crate::keys::protection::Protection;
use crate::repository::{Database, on_postgres, stand};

struct Server {
    repository: Repository,
    file: String,
    forwarding: Forwarding,
}

impl Server {
    async fn start(folder: &TempDir, keyring: &Arc<Keyring>, name: &str) -> Self {
        let database = Database::open(&folder.path().join("test.db")).await;
        let repository = Repository::new(database.unwrap(), keyring.clone());
        stand(repository.database(), true);
        let file = folder.path().join(name).display().to_string();
        let text = format!("[forward.file]\ntype = \"file\"\npath = {file:?}\n");
        let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        let server = ServerId::from_array([2; 16]);
        let forwarding = Forwarding::start(&config.forward, &repository, server).await;
        Self {
            repository,
            file,
            forwarding: forwarding.unwrap(),
        }
    }

    async fn write(&self, entries: RangeInclusive<u64>) {
        let entries = entries.map(|seq| AuditEntry {
            seq,
            commit_first: seq,
            mac: vec![u8::try_from(seq).unwrap(); 32],
            ..AuditEntry::default()
        });
        let log = self.repository.audit_entries();
        log.insert(entries.collect()).await.unwrap();
    }

    fn sent(&self) -> Vec<u64> {
        lines(&self.file)
    }
}

#[tokio::test]
async fn one_server_sends_each_entry_and_another_goes_on_where_it_was_once_it_is_gone() {
    if !on_postgres() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(&folder.path().join("test.db")).await;
    let database = database.unwrap();
    let now = portcullis_host::clock::now();
    let keyring = Keyring::create(&database, &Protection::random(), now).await;
    let keyring = Arc::new(keyring.unwrap());
    let one = Server::start(&folder, &keyring, "one").await;
    let two = Server::start(&folder, &keyring, "two").await;
    one.write(1..=3).await;
    until("they are sent", || one.sent().len() + two.sent().len() >= 3).await;
    let (sender, other) = match one.sent().is_empty() {
        false => (one, two),
        true => (two, one),
    };
    // The other one knows how far it is, and does nothing.
    until("both know", || other.forwarding.places()[0].cursor() == 3).await;
    assert_eq!((sender.sent(), other.sent()), (vec![1, 2, 3], vec![]));
    stand(sender.repository.database(), false);
    drop(sender.forwarding);
    other.write(4..=5).await;
    until("the others are sent", || other.sent().len() >= 2).await;
    assert_eq!(other.sent(), [4, 5]);
}
