//! What servers withdraw: followed where another one did it, and waited for where it was done here.
//!
//! At the latest a second after a withdrawal was committed, a server goes by nothing that it looked
//! up before; then it says so. Whoever withdrew something waits until all have, or are gone.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::config::SecretSource;
use crate::fleet::Fleet;
use crate::keys::KeyManager;
use crate::repository::{Database, RepositoryError};
use crate::servers::Member;

/// How often the authority version is asked for.
const EVERY: Duration = Duration::from_secs(1);
/// How long a withdrawal waits for the other servers. One that is silent is ended before.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why nobody knows that a withdrawal is done.
#[derive(Debug, thiserror::Error)]
pub enum NotDone {
    /// Some servers have not said that they have seen it.
    #[error(
        "it is withdrawn, and it is not known whether it is done: it still waits for {}, which may send what was let through before; give the same command again to wait on", .0.join(", ")
    )]
    WaitsFor(Vec<String>),
    /// The repository cannot be asked.
    #[error(
        "it is withdrawn, and it is not known whether the other servers have seen that: {0}; give the same command again to wait for them"
    )]
    Repository(#[from] RepositoryError),
}

/// Follows what is withdrawn. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Withdrawals {
    inner: Arc<Inner>,
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
        loop {
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "what other servers withdrew is not known");
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
        let seen = member.until_seen(version, PATIENCE).await?;
        seen.map_err(NotDone::WaitsFor)
    }

    /// Looks whether something was withdrawn, and goes by it. Gives the version of which all is
    /// known then.
    async fn look(&self) -> Result<u64, RepositoryError> {
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
        if let Err(error) = keys.renew(secret).await {
            tracing::error!(%error, "the server keys were not read again: what was sealed since on other servers does not open here");
        }
        fleet.look_again().await?;
        if let Some(member) = member.get() {
            member.has_seen(version).await?;
        }
        *seen = Some(version);
        Ok(version)
    }
}
