//! The dictionary: words that no password may be.
//!
//! All words have one recipe, whose salt is sealed like they are. So one digest for each form of a
//! password finds it, however many words there are, and without the salt nobody can try words on
//! what the repository's file shows.

use zeroize::Zeroizing;

use super::PasswordError;
use super::digest::{self, Cost, Digest, Recipe};
use super::forms;
use crate::repository::{PolicyWord, Repository, TAG_LEN};

/// Words digested before others get their turn.
const AT_A_TIME: usize = 64;

/// Adds words; those that are empty are left out. Gives how many were not there yet.
///
/// # Errors
/// [`PasswordError`]; words added before it stay.
pub async fn add(repository: &Repository, words: &[String]) -> Result<u64, PasswordError> {
    let words: Vec<_> = words
        .iter()
        .map(|word| forms::word(word))
        .filter(|word| !word.is_empty())
        .collect();
    if words.iter().any(|word| word.len() > forms::MAX_LEN) {
        return Err(PasswordError::Malformed(
            "a word of the dictionary has at most 1024 bytes: nothing was added",
        ));
    }
    let new = Recipe::random(Cost::WORD).to_bytes();
    let recipe = Recipe::from_bytes(&repository.policy_words().recipe_or(&new).await?)?;
    let mut added = 0;
    for some in words.chunks(AT_A_TIME) {
        let digests = digest::digests(recipe, some.to_vec()).await?;
        let stored = digests
            .iter()
            .map(|digest| PolicyWord {
                tag: tag(digest),
                digest: digest.to_bytes(),
            })
            .collect();
        added += repository.policy_words().add(stored).await?;
    }
    Ok(added)
}

/// Removes a word. True: it was there.
///
/// # Errors
/// [`PasswordError`].
pub async fn remove(repository: &Repository, word: &str) -> Result<bool, PasswordError> {
    let Some(recipe) = repository.policy_words().recipe().await? else {
        return Ok(false);
    };
    let recipe = Recipe::from_bytes(&recipe)?;
    let digest = digest::digest(recipe, &forms::word(word)).await?;
    Ok(repository.policy_words().remove(tag(&digest)).await?)
}

/// Is this password a word, in one of its forms?
pub(super) async fn holds(
    repository: &Repository,
    password: &Zeroizing<String>,
) -> Result<bool, PasswordError> {
    let Some(recipe) = repository.policy_words().recipe().await? else {
        return Ok(false);
    };
    let forms = forms::of_password(password)
        .into_iter()
        .filter(|form| form.len() <= forms::MAX_LEN)
        .collect();
    let digests = digest::digests(Recipe::from_bytes(&recipe)?, forms).await?;
    let tags = digests.iter().map(tag).collect();
    let Some(found) = repository.policy_words().find(tags).await? else {
        return Ok(false);
    };
    let found = Digest::from_bytes(&found)?;
    Ok(digests.iter().any(|digest| digest.matches(&found)))
}

/// The first half of the digest.
fn tag(digest: &Digest) -> [u8; TAG_LEN] {
    let mut tag = [0; TAG_LEN];
    for (to, from) in tag.iter_mut().zip(digest.value()) {
        *to = *from;
    }
    tag
}
