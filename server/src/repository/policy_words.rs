//! The words that no password may be.

use zeroize::Zeroizing;

use super::sql::{Tx, params};
use super::{Place, ProtectedType, Repository, RepositoryError, sealed_values};

/// Bytes of a tag.
pub const TAG_LEN: usize = 16;
/// Owner of the dictionary's own recipe.
const DICTIONARY: &[u8] = b"dictionary";
const RECIPE: &str = "recipe";
const DIGEST: &str = "digest";

/// A word as it is stored.
#[derive(Clone, Debug)]
pub struct PolicyWord {
    /// Says which word it is, to those who know the dictionary's recipe.
    pub tag: [u8; TAG_LEN],
    /// The whole digest.
    pub digest: Zeroizing<Vec<u8>>,
}

/// The dictionary: words that no password may be, found by the tags of their digests.
///
/// The recipe (with the salt) of all of them is one more sealed value of their type.
#[derive(Clone, Copy, Debug)]
pub struct PolicyWords<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// Words that no password may be.
    pub const fn policy_words(&self) -> PolicyWords<'_> {
        PolicyWords { repository: self }
    }
}

impl PolicyWords<'_> {
    /// How digests of words are computed; `None`: there was no word yet.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where it does not open.
    pub async fn recipe(&self) -> Result<Option<Zeroizing<Vec<u8>>>, RepositoryError> {
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                let place = place(DICTIONARY, RECIPE);
                sealed_values::find(tx, &place)?
                    .map(|sealed| Ok(sealer.open(&place, &sealed)?))
                    .transpose()
            })
            .await
    }

    /// The recipe, which from now on is `new` where there was none.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where it does not open.
    pub async fn recipe_or(&self, new: &[u8]) -> Result<Zeroizing<Vec<u8>>, RepositoryError> {
        let sealer = self.repository.sealer.clone();
        let place = place(DICTIONARY, RECIPE);
        let sealed = sealer.seal(&place, new);
        self.repository
            .database
            .write(move |tx| {
                let found = sealed_values::find(tx, &place)?;
                if found.is_none() {
                    sealed_values::put(tx, &place, &sealed)?;
                }
                Ok(sealer.open(&place, found.as_ref().unwrap_or(&sealed))?)
            })
            .await
    }

    /// Adds words, in one transaction. Gives how many were not there yet.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn add(&self, words: Vec<PolicyWord>) -> Result<u64, RepositoryError> {
        let sealer = &self.repository.sealer;
        let words: Vec<_> = words
            .into_iter()
            .map(|word| {
                let sealed = sealer.seal(&place(&word.tag, DIGEST), &word.digest);
                (word.tag, sealed)
            })
            .collect();
        self.repository
            .database
            .write(move |tx| {
                let mut added = 0;
                for (tag, sealed) in &words {
                    if !holds(tx, tag)? {
                        sealed_values::put(tx, &place(tag, DIGEST), sealed)?;
                        added += 1;
                    }
                }
                Ok(added)
            })
            .await
    }

    /// The stored digest of the first of these that is there; `None`: none is.
    ///
    /// # Errors
    /// [`RepositoryError`]; `Sealed` where it does not open.
    pub async fn find(
        &self,
        tags: Vec<[u8; TAG_LEN]>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, RepositoryError> {
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                for tag in &tags {
                    let place = place(tag, DIGEST);
                    if let Some(sealed) = sealed_values::find(tx, &place)? {
                        return Ok(Some(sealer.open(&place, &sealed)?));
                    }
                }
                Ok(None)
            })
            .await
    }

    /// Removes a word. True: it was there.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn remove(&self, tag: [u8; TAG_LEN]) -> Result<bool, RepositoryError> {
        self.repository
            .database
            .write(move |tx| {
                let there = holds(tx, &tag)?;
                sealed_values::remove(tx, &place(&tag, DIGEST))?;
                Ok(there)
            })
            .await
    }

    /// How many there are.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn count(&self) -> Result<u64, RepositoryError> {
        self.repository
            .database
            .read(|tx| {
                let count: i64 = tx.query_one(
                    "SELECT count(*) FROM sealed_values WHERE type = ?1 AND owner <> ?2",
                    &params![ProtectedType::PolicyWord.name(), DICTIONARY],
                    |row| row.get(0),
                )?;
                Ok(count.unsigned_abs())
            })
            .await
    }

    /// Removes all of them and their recipe: the next word begins a dictionary of another salt.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn clear(&self) -> Result<(), RepositoryError> {
        self.repository
            .database
            .write(|tx| {
                tx.execute(
                    "DELETE FROM sealed_values WHERE type = ?1",
                    &params![ProtectedType::PolicyWord.name()],
                )?;
                Ok(())
            })
            .await
    }
}

fn holds(tx: &mut Tx<'_>, tag: &[u8]) -> Result<bool, RepositoryError> {
    Ok(sealed_values::find(tx, &place(tag, DIGEST))?.is_some())
}

const fn place<'a>(owner: &'a [u8], field: &'a str) -> Place<'a> {
    Place {
        kind: ProtectedType::PolicyWord,
        owner,
        field,
        context: &[],
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;

    fn word(tag: u8, digest: &[u8]) -> PolicyWord {
        PolicyWord {
            tag: [tag; TAG_LEN],
            digest: Zeroizing::new(digest.to_vec()),
        }
    }

    #[tokio::test]
    async fn words_are_found_by_tag_and_counted_without_their_recipe() {
        let fixture = Fixture::new().await;
        let words = fixture.repository.policy_words();
        assert_eq!(words.recipe().await.unwrap(), None);
        let recipe = words.recipe_or(b"first").await.unwrap();
        assert_eq!(**recipe, *b"first");
        assert_eq!(**words.recipe_or(b"second").await.unwrap(), *b"first");
        let three = vec![word(1, b"a"), word(2, b"b"), word(1, b"a")];
        assert_eq!(words.add(three).await.unwrap(), 2);
        assert_eq!(words.add(vec![word(2, b"b")]).await.unwrap(), 0);
        assert_eq!(words.count().await.unwrap(), 2);

        let find = async |tags: &[u8]| {
            let tags = tags.iter().map(|tag| [*tag; TAG_LEN]).collect();
            let found = words.find(tags).await.unwrap();
            found.map(|digest| digest.to_vec())
        };
        assert_eq!(find(&[9, 2]).await, Some(b"b".to_vec()));
        assert_eq!(find(&[9]).await, None);
        assert!(words.remove([2; TAG_LEN]).await.unwrap());
        assert!(!words.remove([2; TAG_LEN]).await.unwrap());
        assert_eq!(find(&[2]).await, None);
        words.clear().await.unwrap();
        assert_eq!(words.count().await.unwrap(), 0);
        assert_eq!(words.recipe().await.unwrap(), None);
    }
}
