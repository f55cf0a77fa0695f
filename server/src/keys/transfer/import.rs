//! Keys into a server, from an export.

use std::sync::Arc;

use portcullis_common::crypto::export::{
    ExportFile, ExportFileError, KeyEntry, KeyPurpose, KeyState, OpenKey,
};
use portcullis_common::id::KeyId;
use portcullis_common::secret::{ExportSecret, GatewayKey, ServerKey};
use portcullis_host::clock;

use crate::keys::Keyring;
use crate::keys::manager::{Inner, KeyError, KeyManager, to_its_end};
use crate::keys::protection::pbe::{self, PbeError};
use crate::keys::protection::{Protection, Secret};
use crate::repository::{
    ImportedGatewayKey, ImportedServerKey, KeyImport, OpenError, ProtectedType, Repository,
    RepositoryError, Selection,
};

/// Values opened at a time, to see whether they open.
const BATCH: usize = 500;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The repository cannot be read or written.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The file.
    #[error(transparent)]
    File(#[from] ExportFileError),
    /// Its secret cannot be derived from the passphrase.
    #[error("the export cannot be opened: {0}")]
    Pbe(PbeError),
    /// Another key has this id.
    #[error(
        "{purpose} key {id} is here already with other bytes: nothing was imported; one of the two is not what it seems, so find out where the export comes from", purpose = .purpose.name()
    )]
    Conflict {
        /// What it is for.
        purpose: KeyPurpose,
        /// Its id.
        id: KeyId,
    },
    /// Anybody can make such an export, with bytes of his choice.
    #[error(
        "gateway key {0} is here by name only, and an export without a passphrase does not prove which bytes it had: nothing was imported; import an export that has a passphrase, or first the server key that gateway key {0} is sealed under"
    )]
    Unproven(KeyId),
}

impl From<RepositoryError> for ImportError {
    fn from(error: RepositoryError) -> Self {
        Self::Key(error.into())
    }
}

/// What became of a key of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// It was not here, and is now.
    Imported,
    /// It was here, the same.
    Present,
    /// It was here by name only, sealed under a server key that is away; now it opens.
    Restored,
}

/// A key of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportedKey {
    /// What the export says of it.
    pub entry: KeyEntry,
    /// What became of it.
    pub what: What,
}

/// Values of one type that open now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// What they are.
    pub kind: ProtectedType,
    /// How many.
    pub values: u64,
}

/// What an import did; of a dry run, what it would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Every key of the export.
    pub keys: Vec<ImportedKey>,
    /// Values that had been closed, because their server key was away, and open now.
    pub opened: Vec<Opened>,
    /// Values that do not open, though their server key is here now: they were changed.
    pub damaged: u64,
    /// Values that stay closed: their server key is still away.
    pub still_closed: u64,
}

impl KeyManager {
    /// Takes the keys of an export in, all or none. None becomes current.
    ///
    /// # Errors
    /// [`ImportError`]: nothing was imported.
    pub async fn import(
        &self,
        file: &[u8],
        passphrase: Option<Secret>,
        dry_run: bool,
    ) -> Result<Imported, ImportError> {
        let file = ExportFile::parse(file)?;
        let proven = file.needs_passphrase();
        let inner = Arc::clone(&self.inner);
        to_its_end(async move {
            // Deriving is meant to take long: beside the tasks of the server.
            let opened =
                tokio::task::spawn_blocking(move || open(&file, passphrase.as_ref())).await;
            let keys = opened.map_err(|_| KeyError::Stopping)??;
            let protection = inner.protection.lock().await;
            let plan = Plan::new(&inner, &protection, keys).await?;
            if !proven {
                plan.restores_nothing()?;
            }
            let imported = plan.report(&inner).await?;
            if !dry_run {
                plan.carry_out(&inner, &protection).await?;
            }
            Ok(imported)
        })
        .await
    }
}

/// Opens every key of an export.
pub(super) fn open(
    file: &ExportFile,
    passphrase: Option<&Secret>,
) -> Result<Vec<OpenKey>, ImportError> {
    let secret = match (file.encrypted(), passphrase) {
        (Some(encrypted), Some(passphrase)) => pbe::decrypt(encrypted, passphrase.expose())
            .map(ExportSecret::from)
            .map_err(|error| match error {
                PbeError::WrongPassphrase => ExportFileError::WrongPassphrase.into(),
                other => ImportError::Pbe(other),
            })?,
        (None, None) => ExportSecret::public_default(),
        (Some(_), None) => return Err(ExportFileError::PassphraseNeeded.into()),
        (None, Some(_)) => return Err(ExportFileError::NoPassphrase.into()),
    };
    Ok(file.open(&secret)?)
}

/// What is to become of each key, with nothing changed yet.
struct Plan {
    server: Vec<(KeyEntry, ServerKey, What)>,
    gateway: Vec<(KeyEntry, GatewayKey, What)>,
    /// The keys that are here, and those that will be.
    overlay: Arc<Keyring>,
}

impl Plan {
    async fn new(
        inner: &Inner,
        protection: &Protection,
        keys: Vec<OpenKey>,
    ) -> Result<Self, ImportError> {
        let stored = inner.database.server_keys().list().await?;
        let (mut server, mut gateway_keys) = (Vec::new(), Vec::new());
        for key in keys {
            let entry = key.entry;
            let weak = |_| ExportFileError::WeakKey(entry.id);
            let kind = entry.id.kind();
            match entry.purpose {
                KeyPurpose::Server => {
                    let key = ServerKey::from_bytes(kind, &key.bytes).map_err(weak)?;
                    if let Some(held) = inner.keyring.key(entry.id) {
                        same(entry, held.expose(), key.expose())?;
                    }
                    // What is stored decides: an import whose commit gave an error may have taken
                    // effect all the same.
                    let what = match stored.iter().find(|row| row.id == entry.id) {
                        None => What::Imported,
                        Some(row) => match protection.unwrap(row.id, &row.wrapped) {
                            Ok(here) => same(entry, here.expose(), key.expose())?,
                            Err(_) => return Err(conflict(entry)),
                        },
                    };
                    server.push((entry, key, what));
                }
                KeyPurpose::Gateway => {
                    let key = GatewayKey::from_bytes(kind, &key.bytes).map_err(weak)?;
                    gateway_keys.push((entry, key));
                }
            }
        }
        let all = server.iter().map(|(entry, key, _)| (entry.id, key.clone()));
        let overlay = Arc::new(inner.keyring.with(all));
        let repository = Repository::new(inner.database.clone(), overlay.clone());
        let here = repository.gateway_keys().list().await?;
        let mut gateway = Vec::new();
        for (entry, key) in gateway_keys {
            let what = if here.iter().any(|row| row.info.id == entry.id) {
                compare(&repository, entry, &key).await?
            } else {
                What::Imported
            };
            gateway.push((entry, key, what));
        }
        Ok(Self {
            server,
            gateway,
            overlay,
        })
    }

    fn restores_nothing(&self) -> Result<(), ImportError> {
        let mut gateway = self.gateway.iter();
        match gateway.find(|(_, _, what)| *what == What::Restored) {
            Some((entry, ..)) => Err(ImportError::Unproven(entry.id)),
            None => Ok(()),
        }
    }

    async fn report(&self, inner: &Inner) -> Result<Imported, ImportError> {
        let server = self.server.iter().map(|(entry, _, what)| (entry, what));
        let gateway = self.gateway.iter().map(|(entry, _, what)| (entry, what));
        let keys = server.chain(gateway).map(|(entry, what)| ImportedKey {
            entry: *entry,
            what: *what,
        });
        let mut imported = Imported {
            keys: keys.collect(),
            opened: Vec::new(),
            damaged: 0,
            still_closed: inner.closed_values(&self.overlay).await?,
        };
        for (entry, ..) in &self.server {
            if inner.keyring.key(entry.id).is_none() {
                self.try_values(inner, entry.id, &mut imported).await?;
            }
        }
        Ok(imported)
    }

    /// Opens every value under a key that is about to arrive.
    async fn try_values(
        &self,
        inner: &Inner,
        id: KeyId,
        imported: &mut Imported,
    ) -> Result<(), ImportError> {
        use crate::repository::Sealer as _;
        let mut after = 0;
        loop {
            let selection = Selection {
                under: Some(id),
                ..Selection::default()
            };
            let values = inner.database.sealed_values();
            let values = values.batch(selection, after, BATCH).await?;
            let Some(last) = values.last() else {
                return Ok(());
            };
            after = last.row;
            for value in &values {
                if self.overlay.open(&value.place(), &value.sealed).is_err() {
                    imported.damaged += 1;
                    continue;
                }
                match imported.opened.iter_mut().find(|it| it.kind == value.kind) {
                    Some(opened) => opened.values += 1,
                    None => imported.opened.push(Opened {
                        kind: value.kind,
                        values: 1,
                    }),
                }
            }
        }
    }

    async fn carry_out(&self, inner: &Inner, protection: &Protection) -> Result<(), ImportError> {
        let now = clock::now();
        let server_keys = self
            .imported_server_keys()
            .map(|(entry, key)| ImportedServerKey {
                id: entry.id,
                wrapped: protection.wrap(entry.id, key),
                created: entry.created.min(now),
                retired: entry.retired.map_or(now, |time| time.min(now)),
            });
        let gateway_keys = self
            .gateway
            .iter()
            .filter(|(_, _, what)| *what != What::Present)
            .map(|(entry, key, _)| ImportedGatewayKey {
                id: entry.id,
                key: key.clone(),
                created: entry.created.min(now),
                retired: entry.retired.map_or(now, |time| time.min(now)),
                compromised: entry.state == KeyState::Compromised,
                withdrawn: entry.state == KeyState::Withdrawn,
            });
        let import = KeyImport {
            server_keys: server_keys.collect(),
            gateway_keys: gateway_keys.collect(),
        };
        inner.repository().import_keys(import).await?;
        for (entry, key, what) in &self.server {
            inner.keyring.add(entry.id, key.clone());
            if *what == What::Imported {
                tracing::info!(key = %entry.id, "server key imported");
            }
        }
        Ok(())
    }

    fn imported_server_keys(&self) -> impl Iterator<Item = (&KeyEntry, &ServerKey)> {
        self.server
            .iter()
            .filter(|(_, _, what)| *what == What::Imported)
            .map(|(entry, key, _)| (entry, key))
    }
}

impl Inner {
    /// How many values have a server key that is not in `keyring`.
    pub(in crate::keys) async fn closed_values(
        &self,
        keyring: &Keyring,
    ) -> Result<u64, RepositoryError> {
        let counts = self.database.sealed_values().counts().await?;
        let held = keyring.ids();
        let closed = counts
            .iter()
            .filter(|count| count.server_key.is_none_or(|id| !held.contains(&id)));
        Ok(closed.map(|count| count.values).sum())
    }
}

fn same(entry: KeyEntry, here: &[u8], there: &[u8]) -> Result<What, ImportError> {
    if here == there {
        return Ok(What::Present);
    }
    Err(conflict(entry))
}

const fn conflict(entry: KeyEntry) -> ImportError {
    ImportError::Conflict {
        purpose: entry.purpose,
        id: entry.id,
    }
}

/// The gateway key of this id that is here, beside the one of the export.
async fn compare(
    repository: &Repository,
    entry: KeyEntry,
    key: &GatewayKey,
) -> Result<What, ImportError> {
    match repository.gateway_keys().open(&[entry.id]).await {
        Ok(here) => here.first().map_or(Ok(What::Restored), |here| {
            same(entry, here.expose(), key.expose())
        }),
        Err(RepositoryError::Sealed(OpenError::UnknownKey { .. })) => Ok(What::Restored),
        Err(error) => Err(error.into()),
    }
}
