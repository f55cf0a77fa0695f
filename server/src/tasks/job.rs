//! What a task is asked to do.

use serde::{Deserialize, Serialize};

use super::manage::Manage;
use super::sync_gateways::{self, SyncGateways};
use super::upgrade::{self, Upgrade};
use super::{JobError, Reporter, SERVER_KEY, Work, re_encrypt, verify};
use crate::repository::{ProtectedType, UnknownType};

/// What a task is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Job {
    /// Seal every value anew that is not under the current server key.
    ReEncrypt(ReEncrypt),
    /// Open every value and every server key.
    Verify,
    /// Push the current gateway key to the gateways that have not proved it.
    SyncGateways(SyncGateways),
    /// Several steps, in their order.
    Manage(Manage),
    /// Release gateways to be upgraded, wave by wave.
    Upgrade(Upgrade),
}

/// What [`Job::ReEncrypt`] is to seal anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReEncrypt {
    /// Names of protected types, and [`SERVER_KEY`]; none: all values, and no server key.
    pub types: Vec<String>,
}

/// A name of nothing that can be encrypted anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}, or {SERVER_KEY}")]
pub struct UnknownReEncryptType(#[from] UnknownType);

impl ReEncrypt {
    /// Values of these types; none: of all.
    pub fn of(types: &[ProtectedType]) -> Self {
        let types = types.iter().map(|kind| kind.name().to_owned());
        Self {
            types: types.collect(),
        }
    }

    /// What has these names: protected types, and [`SERVER_KEY`]; none: all values, and no server
    /// key.
    ///
    /// # Errors
    /// [`UnknownReEncryptType`].
    pub fn named(names: Vec<String>) -> Result<Self, UnknownReEncryptType> {
        for name in names.iter().filter(|name| *name != SERVER_KEY) {
            name.parse::<ProtectedType>()?;
        }
        Ok(Self { types: names })
    }

    /// Are the server keys to be wrapped anew? Only where they are named: it makes a fresh storage
    /// secret, which a plain change of the server key does not need.
    pub fn server_keys(&self) -> bool {
        self.types.iter().any(|name| name == SERVER_KEY)
    }

    /// The types of values, in the order of reports.
    pub fn types(&self) -> Vec<ProtectedType> {
        let all = ProtectedType::ALL.into_iter();
        all.filter(|kind| self.types.is_empty() || self.types.iter().any(|t| t == kind.name()))
            .collect()
    }
}

impl Job {
    /// What it is called: one task of each kind runs at once.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::ReEncrypt(_) => "re-encrypt",
            Self::Verify => "verify",
            Self::SyncGateways(_) => "sync-gateways",
            Self::Manage(_) => "manage",
            Self::Upgrade(_) => "upgrade",
        }
    }

    pub(super) async fn run(&self, work: &Work, reporter: &mut Reporter) -> Result<(), JobError> {
        match self {
            Self::ReEncrypt(job) => {
                if job.server_keys() {
                    re_encrypt::wrap_server_keys(work, reporter).await?;
                }
                re_encrypt::run(work, &job.types(), reporter).await
            }
            Self::Verify => verify::run(work, reporter).await,
            Self::SyncGateways(job) => sync_gateways::run(work, job, reporter).await,
            Self::Manage(job) => job.run(work, reporter).await,
            Self::Upgrade(job) => upgrade::run(work, job, reporter).await,
        }
    }
}
