//! Passwords of users and accounts: the policy that they obey, the dictionary, the history; and the
//! answers of users.
//!
//! What only has to be compared is kept as a slow digest ([`digest`]), sealed like any secret of
//! the repository.

pub mod dictionary;
pub mod digest;
mod forms;
mod rules;
pub mod users;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::repository::{HistoryEntry, HistoryOwner, PasswordPolicy, Repository, RepositoryError};
use digest::{Cost, Digest, DigestError, Recipe};
pub use rules::{Class, Violation, Violations};

/// Entries of a history, at most.
pub const MAX_HISTORY: u32 = 100;

/// Why a password was not taken. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// It breaks rules.
    #[error(transparent)]
    Refused(#[from] Violations),
    /// It cannot be judged now.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// The repository cannot be read or written.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// It is not the kind of text that is taken.
    #[error("{0}")]
    Malformed(&'static str),
    /// The user has none.
    #[error("user `{0}` has no password: `portcullis user set-password {0}` gives them one")]
    NoPassword(String),
}

/// A password that somebody is to have.
#[derive(Clone, Debug, Default)]
pub struct Candidate {
    /// The password.
    pub password: Zeroizing<Vec<u8>>,
    /// What they are called.
    pub names: Vec<String>,
    /// Whose earlier passwords it may not be.
    pub owner: Option<HistoryOwner>,
    /// The password that they have now, where it can be read.
    pub current: Option<Zeroizing<Vec<u8>>>,
}

/// What the policy says of a candidate.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The rules that it breaks; empty: none.
    pub violations: Vec<Violation>,
    /// Its place in the history, where one is kept.
    pub entry: Option<HistoryEntry>,
}

impl Verdict {
    /// Its place in the history, unless it breaks a rule.
    ///
    /// # Errors
    /// [`Violations`].
    pub fn accepted(self) -> Result<Option<HistoryEntry>, Violations> {
        if self.violations.is_empty() {
            Ok(self.entry)
        } else {
            Err(Violations(self.violations))
        }
    }
}

/// Holds a candidate against the policy. A policy that demands nothing costs nothing.
///
/// # Errors
/// [`PasswordError`], but never `Refused`: the verdict says what is wrong.
pub async fn judge(
    repository: &Repository,
    policy: &PasswordPolicy,
    candidate: &Candidate,
) -> Result<Verdict, PasswordError> {
    let mut verdict = Verdict::default();
    if *policy == PasswordPolicy::default() {
        return Ok(verdict);
    }
    let text = text_of(&candidate.password);
    verdict.violations = rules::violations(policy, &text, &candidate.names);
    if policy.forbid_words && dictionary::holds(repository, &text).await? {
        verdict.violations.push(Violation::IsWord);
    }
    let Some(owner) = &candidate.owner else {
        return Ok(verdict);
    };
    let depth = match owner {
        HistoryOwner::User(_) => policy.user_history,
        HistoryOwner::Account { .. } => policy.account_history,
    };
    if depth > 0 {
        let stored = repository.password_history().digests(owner.clone()).await?;
        let past = Past::read(&stored)?;
        let digests = past.digests(&candidate.password).await?;
        let is_current = candidate
            .current
            .as_ref()
            .is_some_and(|current| bool::from(current.ct_eq(&candidate.password)));
        if is_current || past.holds(&digests, depth) {
            verdict.violations.push(Violation::WasUsed(depth));
        }
        verdict.entry = digests.first().map(|digest| HistoryEntry {
            digest: digest.to_bytes(),
            depth,
        });
    }
    Ok(verdict)
}

/// What the rules look at: characters. What is no UTF-8 counts as one character each piece.
fn text_of(password: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(password).into_owned())
}

/// A history, newest first, with the recipes that its digests have: as a rule one, so that one slow
/// digest tells all.
struct Past {
    digests: Vec<Digest>,
    recipes: Vec<Recipe>,
}

impl Past {
    fn read(stored: &[Zeroizing<Vec<u8>>]) -> Result<Self, DigestError> {
        let digests = stored
            .iter()
            .map(|bytes| Digest::from_bytes(bytes))
            .collect::<Result<Vec<_>, _>>()?;
        let mut recipes: Vec<Recipe> = Vec::new();
        // The next entry takes the recipe of the newest, unless digests cost something else by now.
        match digests.first().map(Digest::recipe) {
            Some(newest) if newest.cost() == Cost::PASSWORD => recipes.push(newest),
            _ => recipes.push(Recipe::random(Cost::PASSWORD)),
        }
        for digest in &digests {
            if !recipes.contains(&digest.recipe()) {
                recipes.push(digest.recipe());
            }
        }
        Ok(Self { digests, recipes })
    }

    /// The digests of a password by each recipe; the first is that of a new entry.
    async fn digests(&self, password: &[u8]) -> Result<Vec<Digest>, DigestError> {
        let mut out = Vec::with_capacity(self.recipes.len());
        for recipe in &self.recipes {
            out.push(digest::digest(*recipe, password).await?);
        }
        Ok(out)
    }

    fn holds(&self, candidates: &[Digest], depth: u32) -> bool {
        let depth = usize::try_from(depth).unwrap_or(usize::MAX);
        let recent = self.digests.iter().take(depth);
        // All are compared, whichever it is.
        recent.fold(false, |found, digest| {
            candidates.iter().any(|candidate| candidate.matches(digest)) | found
        })
    }
}

#[cfg(test)]
mod tests;
