//! The module that compares a password with that of a user of the identity system.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

use super::flags::ModuleResult;
use crate::passwords::digest::{self, Cost, Recipe};
use crate::repository::{Repository, RepositoryError};

/// The recipe by which each try pays. Nothing is ever compared by it.
static TOLL: LazyLock<Recipe> = LazyLock::new(|| Recipe::random(Cost::PASSWORD));

/// What a module found.
pub(super) struct Found {
    pub(super) result: ModuleResult,
    /// The user, where it succeeded.
    pub(super) user: Option<String>,
    /// Why nobody could tell.
    pub(super) why: Option<String>,
}

/// Is `password` that of `user`? A user who is not there, or has none, costs what a wrong password
/// does.
///
/// What a user has can be opened, for it is given to accounts; it needs no slow digest to be
/// compared. Each try pays for one all the same, in a queue of log-ins: that hides by how much one
/// look differs from another, and bounds how many guesses a second this server takes.
pub(super) async fn check(repository: &Repository, user: &str, password: &[u8]) -> Found {
    let stored = match repository.users().password(user).await {
        Ok(stored) => stored,
        Err(RepositoryError::NotFound { .. }) => None,
        Err(error) => return unavailable(&error),
    };
    if let Err(error) = digest::digest_of_log_in(*TOLL, password).await {
        return unavailable(&error);
    }
    let given = Sha256::digest(password);
    let there = Sha256::digest(stored.as_ref().map_or(&[][..], |stored| stored));
    let same = bool::from(given.ct_eq(&there)) & stored.is_some();
    Found {
        result: if same {
            ModuleResult::Success
        } else {
            ModuleResult::Failure
        },
        user: same.then(|| user.to_owned()),
        why: None,
    }
}

fn unavailable(why: &dyn std::error::Error) -> Found {
    Found {
        result: ModuleResult::Unavailable,
        user: None,
        why: Some(why.to_string()),
    }
}
