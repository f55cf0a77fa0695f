use serde::{Deserialize, Serialize};

use super::{JobError, Reporter, Work, re_encrypt, verify};
use crate::repository::ProtectedType;

/// What a task is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Job {
    /// Seal every value anew that is not under the current server key.
    ReEncrypt(ReEncrypt),
    /// Open every value and every server key.
    Verify,
}

/// What [`Job::ReEncrypt`] is to seal anew.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReEncrypt {
    /// Names of the types; none: all.
    pub types: Vec<String>,
}

impl ReEncrypt {
    /// Values of these types; none: of all.
    pub fn of(types: &[ProtectedType]) -> Self {
        let types = types.iter().map(|kind| kind.name().to_owned());
        Self {
            types: types.collect(),
        }
    }

    /// The types, in the order of reports.
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
        }
    }

    pub(super) async fn run(&self, work: &Work, reporter: &mut Reporter) -> Result<(), JobError> {
        match self {
            Self::ReEncrypt(job) => re_encrypt::run(work, &job.types(), reporter).await,
            Self::Verify => verify::run(work, reporter).await,
        }
    }
}
