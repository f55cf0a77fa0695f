use serde::{Deserialize, Serialize};

use super::manage::Manage;
use super::{JobError, Reporter, SERVER_KEY, Work, re_encrypt, sync_gateways, verify};
use crate::fleet::{Pace, Push};
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
}

/// Whom [`Job::SyncGateways`] reaches, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncGateways {
    /// Only gateways in one of these groups; none: all.
    pub groups: Vec<String>,
    /// Gateways asked in a minute; 0: as fast as they answer; `None`: the usual pace.
    pub per_minute: Option<u32>,
    /// Also those that refused the key a moment ago, and those that wait to be dialled again.
    pub force: bool,
}

impl SyncGateways {
    /// As the fleet takes it.
    pub fn push(&self) -> Push {
        Push {
            groups: self.groups.iter().cloned().collect(),
            holders_of: None,
            pace: match self.per_minute {
                None => Pace::default(),
                Some(0) => Pace::FullSpeed,
                Some(number) => Pace::PerMinute(number),
            },
            force: self.force,
        }
    }
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

    /// What has these names: protected types, and [`SERVER_KEY`]; none: all values, and no server key.
    ///
    /// # Errors
    /// [`UnknownReEncryptType`].
    pub fn named(names: Vec<String>) -> Result<Self, UnknownReEncryptType> {
        for name in names.iter().filter(|name| *name != SERVER_KEY) {
            name.parse::<ProtectedType>()?;
        }
        Ok(Self { types: names })
    }

    /// Are the server keys to be wrapped anew? Only where they are named: it makes a fresh storage secret, which a plain
    /// change of the server key does not need.
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
        }
    }
}
