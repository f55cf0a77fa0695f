//! What servers withdraw: followed where another one did it, and waited for where it was done here.
//!
//! At the latest a second after a withdrawal was committed, a server goes by nothing that it looked
//! up before; then it says so. Whoever withdrew something waits until all have, or are gone.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::config::SecretSource;
use crate::fleet::Fleet;
use crate::keys::protection;
use crate::keys::{KeyManager, RenewError};
use crate::repository::{Database, Offer, RepositoryError, tell_refusal};
use crate::servers::Member;

/// How often the authority version is asked for.
const EVERY: Duration = Duration::from_secs(1);
/// How long a command that withdraws something waits for the other servers. One that is silent for
/// ten seconds is ended meanwhile, and waited for no more.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why nobody knows that a withdrawal is done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// Some servers have not said that they have seen it.
    #[error(
        "it took effect, and still waits for server {}, which beats but may go by what it knew before (`portcullis server list`)", .0.join(", server ")
    )]
    WaitsFor(Vec<String>),
    /// The repository cannot be asked.
    #[error("it took effect, and whether the other servers go by it is not known: {0}")]
    Repository(#[from] RepositoryError),
    /// The keys are protected anew, and this server cannot read them.
    #[error("it took effect, but this server cannot read the server keys again: {0}")]
    Keys(#[from] RenewError),
}

/// Follows what is withdrawn. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Withdrawals {
    inner: Arc<Inner>,
    patience: Duration,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    keys: KeyManager,
    secret: SecretSource,
    fleet: Fleet,
    member: OnceLock<Member>,
    /// The version of which all is known here. Held by whoever looks.
    seen: Mutex<Option<u64>>,
}

/// Why the server keys are not protected anew: nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum NotHeld {
    /// Some servers would not open the keys any more.
    #[error(
        "server {} does not hold the new secret, and would not open the server keys any more: put it beside the secret file there, under the name of that file with `.new` behind it and mode 0600, then run this again with the same secret (--secret-file); nothing was changed", .0.join(", server ")
    )]
    By(Vec<String>),
    /// There is no secret to be held.
    #[error(
        "the public default key cannot take the place of a secret while several servers are at work on the repository: stop the others first (`portcullis server list`); nothing was changed"
    )]
    NoSecret,
    /// Some servers have not said whether they hold it.
    #[error("nothing was changed: whether every server holds the new secret is not known ({0})")]
    Unknown(#[from] NotDone),
    /// The repository cannot be asked.
    #[error("nothing was changed: {0}")]
    Repository(#[from] RepositoryError),
}

impl Withdrawals {
    /// Of what stands in `database`; `secret` opens the server keys.
    pub fn new(database: Database, keys: KeyManager, secret: SecretSource, fleet: Fleet) -> Self {
        Self {
            inner: Arc::new(Inner {
                database,
                keys,
                secret,
                fleet,
                member: OnceLock::new(),
                seen: Mutex::default(),
            }),
            patience: PATIENCE,
        }
    }

    /// This is the server that follows them. A second one is not taken.
    pub fn tell(&self, member: Member) {
        let _ = self.inner.member.set(member);
    }

    /// Follows them for as long as it is polled. A repository in a file is one server's, which
    /// knows what it does.
    pub async fn follow(self) {
        if !self.inner.database.is_shared() {
            return;
        }
        let mut told = None;
        loop {
            match self.look().await {
                Ok(_) => told = None,
                Err(NotDone::Repository(error)) => {
                    tell_refusal!(error, "what other servers withdrew is not known");
                }
                Err(error) => {
                    let error = error.to_string();
                    if told.as_ref() != Some(&error) {
                        tracing::error!(
                            error,
                            "this server may not go by what others withdrew, and they wait for it"
                        );
                    }
                    told = Some(error);
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Waits until every server goes by what was withdrawn before this was asked, or is gone.
    ///
    /// # Errors
    /// [`NotDone`]: it is withdrawn all the same.
    pub async fn done(&self) -> Result<(), NotDone> {
        if !self.inner.database.is_shared() {
            return Ok(());
        }
        let version = self.look().await?;
        let Some(member) = self.inner.member.get() else {
            return Ok(());
        };
        let seen = member.until_seen(version, self.patience).await?;
        seen.map_err(NotDone::WaitsFor)
    }

    /// Before the server keys are protected by another secret: asks every server whether it holds
    /// that, by what it opens.
    ///
    /// # Errors
    /// [`NotHeld`]: the keys are to stay protected as they are.
    pub async fn all_hold(&self, encrypted: Option<&[u8]>) -> Result<(), NotHeld> {
        let Some(member) = self.inner.member.get() else {
            return Ok(());
        };
        let id = rand::random();
        if !self.inner.database.is_shared() || member.holding(id).await?.is_empty() {
            return Ok(());
        }
        let encrypted = encrypted.ok_or(NotHeld::NoSecret)?.to_vec();
        let protection = self.inner.database.protection();
        protection.offer(Offer { id, encrypted }).await?;
        let seen = self.done().await;
        let holding = member.holding(id).await;
        protection.end_offer().await?;
        seen?;
        let lacking = holding?.into_iter().filter(|(_, holds)| !holds);
        let lacking: Vec<_> = lacking.map(|(name, _)| name).collect();
        match lacking.is_empty() {
            true => Ok(()),
            false => Err(NotHeld::By(lacking)),
        }
    }

    /// Says whether this server holds the secret of a protection that is offered.
    async fn answer_offer(&self, member: &Member) -> Result<(), RepositoryError> {
        let Some(offer) = self.inner.database.protection().offered().await? else {
            return Ok(());
        };
        match protection::holds_secret(&self.inner.secret, &offer.encrypted).await {
            Ok(true) => member.holds(offer.id).await,
            Ok(false) => Ok(()),
            Err(error) => {
                tracing::warn!(%error, "another server offers a protection that no secret opens");
                Ok(())
            }
        }
    }

    /// Looks whether something was withdrawn, and goes by it. Gives the version of which all is
    /// known then.
    async fn look(&self) -> Result<u64, NotDone> {
        let Inner {
            database,
            keys,
            secret,
            fleet,
            member,
            seen,
        } = &*self.inner;
        let mut seen = seen.lock().await;
        // Before all that is read: what is withdrawn meanwhile has a later one.
        let version = database.meta().authority_version().await?;
        if *seen == Some(version) {
            return Ok(version);
        }
        // No call goes from here on that was let through by what was looked up before.
        database.changed_elsewhere();
        fleet.look_again().await?;
        keys.renew(secret).await?;
        // What was let through before is sent, or its connection is closed: nothing of it follows.
        fleet.nothing_unsent().await;
        if let Some(member) = member.get() {
            self.answer_offer(member).await?;
            member.has_seen(version).await?;
        }
        *seen = Some(version);
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use portcullis_common::id::ServerId;
    use portcullis_common::rotation::UnixMillis;
    use portcullis_host::private_files::create_private_file;
    use tempfile::TempDir;

    use super::*;
    use crate::config::Config;
    use crate::fleet::Settings;
    use crate::keys::protection::pbe::Kdf;
    use crate::keys::protection::{Protection, Secret, Unlock, unlock};
    use crate::keys::{KeyError, Keyring, NewProtection, ProtectionChange, authority};
    use crate::repository::{Repository, Scheme, Store, on_postgres, test_place};
    use crate::servers::tests::beside;

    /// Longer than anything here takes.
    const LONG: Duration = Duration::from_secs(30);

    struct Site {
        folder: TempDir,
        store: Store,
        secret: Secret,
    }

    struct Server {
        secret: PathBuf,
        source: SecretSource,
        keys: KeyManager,
        withdrawals: Withdrawals,
    }

    impl Site {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("test.db");
            let secret = Secret::random(&mut rand::rng());
            let database = Database::create(&path).await.unwrap();
            let protection = Protection::random();
            let scheme = protection.encrypt(&secret, Kdf::Pbkdf2).unwrap();
            let now = UnixMillis(1_000_000);
            let table = database.protection();
            let switched = table.switch(None, scheme, Vec::new(), now).await;
            switched.unwrap();
            let keyring = Keyring::create(&database, &protection, now).await.unwrap();
            let repository = Repository::new(database, Arc::new(keyring));
            authority::create(&repository).await.unwrap();
            repository.database().close().await;
            Self {
                store: test_place(&path),
                folder,
                secret,
            }
        }

        async fn server(&self, name: &str) -> Server {
            let (database, member) = beside(&self.store, name).await;
            let secret = self.folder.path().join(name);
            create_private_file(&secret, &self.secret.to_file()).unwrap();
            let source = SecretSource::File(secret.clone());
            let protection = unlock(&database, &source, Unlock::Look).await.unwrap();
            let keyring = Keyring::unlock(&database, &protection).await.unwrap();
            let keyring = Arc::new(keyring);
            let repository = Repository::new(database.clone(), keyring.clone());
            repository.open_authority().await.unwrap();
            let keys = KeyManager::new(database.clone(), keyring, protection);
            let config = Config::parse("", "test.toml".as_ref()).unwrap();
            let settings = Settings::new(ServerId::from_array([2; 16]), &config);
            let fleet = Fleet::new(repository, settings);
            let withdrawals = Withdrawals::new(database, keys.clone(), source.clone(), fleet);
            withdrawals.tell(member);
            Server {
                secret,
                source,
                keys,
                withdrawals,
            }
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_withdrawal_says_for_whom_it_waits_and_is_done_once_that_server_goes_by_it() {
        if !on_postgres() {
            return;
        }
        let site = Site::new().await;
        let (mut one, two) = (site.server("one").await, site.server("two").await);
        one.withdrawals.patience = Duration::from_millis(300);
        let waited = one.withdrawals.done().await;
        assert!(
            matches!(&waited, Err(NotDone::WaitsFor(names)) if *names == ["two"]),
            "{waited:?}"
        );
        let follows = tokio::spawn(two.withdrawals.clone().follow());
        one.withdrawals.patience = LONG;
        one.withdrawals.done().await.unwrap();
        // A key that one server made is held by all before anything is sealed under it.
        let made = one.keys.generate(None, false).await.unwrap();
        one.withdrawals.done().await.unwrap();
        assert!(two.keys.keyring().key(made).is_some());
        follows.abort();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keys_are_protected_anew_only_once_every_server_holds_the_new_secret() {
        if !on_postgres() {
            return;
        }
        let site = Site::new().await;
        let (one, two) = (site.server("one").await, site.server("two").await);
        let follows = tokio::spawn(two.withdrawals.clone().follow());
        let new = Secret::random(&mut rand::rng());
        let protection = NewProtection::Pbe {
            secret: Some(new.clone()),
            kdf: Kdf::Pbkdf2,
        };
        let change = ProtectionChange::prepare(protection, &one.source).await;
        let change = change.unwrap();
        let refused = one.withdrawals.all_hold(change.encrypted()).await;
        assert!(
            matches!(&refused, Err(NotHeld::By(names)) if *names == ["two"]),
            "{refused:?}"
        );
        let refused = one.withdrawals.all_hold(None).await;
        assert!(matches!(refused, Err(NotHeld::NoSecret)), "{refused:?}");
        let staged = two.secret.with_extension("new");
        create_private_file(&staged, &new.to_file()).unwrap();
        one.withdrawals.all_hold(change.encrypted()).await.unwrap();
        follows.abort();
        one.keys.protect_by(change, &one.source).await.unwrap();
        // Under the former protection no key comes in any more.
        let refused = two.keys.generate(None, false).await;
        assert!(
            matches!(
                refused,
                Err(KeyError::Repository(RepositoryError::ProtectionChanged))
            ),
            "{refused:?}"
        );
        two.withdrawals.look().await.unwrap();
        assert!(!staged.exists());
        let made = two.keys.generate(None, false).await.unwrap();
        one.withdrawals.look().await.unwrap();
        assert!(one.keys.keyring().key(made).is_some());
        let row = two.withdrawals.inner.database.protection().find().await;
        let Some(Scheme::Pbe(encrypted)) = row.unwrap().map(|row| row.scheme) else {
            panic!("unprotected");
        };
        let source = SecretSource::File(two.secret);
        assert!(protection::holds_secret(&source, &encrypted).await.unwrap());
    }
}
