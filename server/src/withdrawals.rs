//! What servers withdraw: followed where another one did it, and waited for where it was done here.
//!
//! At the latest a second after a withdrawal was committed, a server goes by nothing that it looked
//! up before; then it says so. Whoever withdrew something waits until all have, or are gone.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::config::SecretSource;
use crate::fleet::Fleet;
use crate::keys::{KeyManager, RenewError};
use crate::repository::{Database, RepositoryError};
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
            let error = self.look().await.err().map(|error| error.to_string());
            if let Some(error) = error.as_ref().filter(|error| told.as_ref() != Some(*error)) {
                tracing::warn!(
                    error,
                    "this server may not go by what others withdrew, and they wait for it"
                );
            }
            told = error;
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
            member.has_seen(version).await?;
        }
        *seen = Some(version);
        Ok(version)
    }
}
