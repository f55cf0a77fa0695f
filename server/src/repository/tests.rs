//! The conformance suite: what every repository has to do, whatever it stores in.

mod besides;
mod gateways;
mod keys;
mod repeated;
mod resources;
mod storage;
mod transfer;
mod withdrawals;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_common::handshake::Mode;
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{EnrolmentToken, Policy, Registration, Scope, UnixMillis};
use portcullis_common::secret::ServerKey;
use tempfile::TempDir;

use super::*;
use crate::keys::protection::Protection;
use crate::keys::{Keyring, authority, gateway_keys};

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
    /// Where every change is made twice.
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = repeating(&file(folder.path())).await;
        Self::in_folder(folder, database).await
    }

    /// Where every change is made once.
    async fn once() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&file(folder.path())).await.unwrap();
        Self::in_folder(folder, database).await
    }

    async fn in_folder(folder: TempDir, database: Database) -> Self {
        let protection = Protection::random();
        let keyring = Keyring::create(&database, &protection, NOW).await.unwrap();
        let keyring = Arc::new(keyring);
        let repository = Repository::new(database, keyring.clone());
        authority::create(&repository).await.unwrap();
        Self {
            folder,
            protection,
            repository,
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
        keys.add(id, wrapped, None, NOW).await.unwrap();
        keys.set_current(id, NOW).await.unwrap();
        self.keyring.add(id, key);
        assert!(self.keyring.set_current(id));
        before
    }

    /// A second handle on the same repository, as another process has it.
    pub(super) async fn another(&self) -> Repository {
        let database = Database::open(&file(self.folder.path())).await.unwrap();
        let keyring = Keyring::unlock(&database, &self.protection).await.unwrap();
        let repository = Repository::new(database, Arc::new(keyring));
        repository.open_authority().await.unwrap();
        repository
    }
}

impl Database {
    /// Lets the file grow no further than it is, as a full disk does; `None` lets it grow again.
    pub(crate) async fn limit_pages(&self, limit: Option<u32>) {
        let pages = limit.unwrap_or(1 << 20);
        let sql = format!("PRAGMA max_page_count = {pages}");
        self.write(move |tx| tx.batch(&sql)).await.unwrap();
    }
}

/// Makes a repository in which every change is made twice: what it leaves and gives is what the
/// second one does, after all of the first was undone.
async fn repeating(path: &Path) -> Database {
    Database::create(path).await.unwrap().close().await;
    let twice = Arc::new(Twice::default());
    Database::open_with(path, twice).await.unwrap()
}

/// Has every transaction made once more.
#[derive(Default)]
pub(super) struct Twice {
    repeated: AtomicBool,
}

impl WriteObserver for Twice {
    fn at(&self, moment: Moment) -> Fate {
        if moment == Moment::BeforeCommit && !self.repeated.fetch_xor(true, Ordering::Relaxed) {
            return Fate::Again;
        }
        Fate::GoOn
    }
}

/// Of a log without entries.
pub(super) const NO_ENTRY: LogEnd = LogEnd {
    tip: AuditTip::BEGINNING,
    rows: Some(RowsSum::ZERO),
};

/// Follows no log that has moved.
pub(super) fn moved(moved: &Moved) -> Result<(), AuditTip> {
    Err(moved.known)
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
    let rotated = repository
        .gateway_keys()
        .rotate(new, expected, Replaced::Retired)
        .await;
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
