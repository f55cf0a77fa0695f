//! The people of the identity system, with their passwords and answers.

use portcullis_common::rotation::UnixMillis;
use zeroize::Zeroizing;

use super::columns::{from_sql_millis, to_sql_millis};
use super::password_history::{self, HistoryEntry, HistoryOwner};
use super::sql::{Row, Tx, params};
use super::{
    Place, ProtectedType, Repository, RepositoryError, administrators, meta, sealed_values,
    sessions,
};

/// A person of the identity system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their name, unique.
    pub name: String,
    /// When they were added.
    pub created: UnixMillis,
    /// When their password was last set; `None`: they have none.
    pub password_set: Option<UnixMillis>,
    /// The questions of which the answers are kept, in their order.
    pub questions: Vec<String>,
}

/// The users. Their passwords can be read again, on purpose: they are given to accounts.
#[derive(Clone, Copy, Debug)]
pub struct Users<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// The people of the identity system.
    pub const fn users(&self) -> Users<'_> {
        Users { repository: self }
    }
}

impl Users<'_> {
    /// Adds one under a new name.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyExists`] where the name is taken.
    pub async fn add(&self, name: &str, now: UnixMillis) -> Result<User, RepositoryError> {
        let name = name.to_owned();
        self.repository
            .database
            .write(move |tx| {
                let added = tx.execute(
                    "INSERT INTO users (name, created_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
                    &params![name, to_sql_millis(now)],
                )?;
                let name = name.clone();
                if added == 0 {
                    return Err(RepositoryError::AlreadyExists { kind: "user", name });
                }
                Ok(User {
                    name,
                    created: now,
                    password_set: None,
                    questions: Vec::new(),
                })
            })
            .await
    }

    /// The first `limit` after the name `after`, by name.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self, after: &str, limit: u32) -> Result<Vec<User>, RepositoryError> {
        let after = after.to_owned();
        self.repository
            .database
            .read(move |tx| {
                let users = tx.query(
                    "SELECT name, created_ms, password_set_ms FROM users WHERE name > ?1 ORDER BY name LIMIT ?2",
                    &params![after, limit],
                    read,
                )?;
                users
                    .into_iter()
                    .map(|user| with_questions(tx, user))
                    .collect()
            })
            .await
    }

    /// The user of that name; `None` where there is none.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self, name: &str) -> Result<Option<User>, RepositoryError> {
        let name = name.to_owned();
        self.repository
            .database
            .read(move |tx| {
                find(tx, &name)?
                    .map(|user| with_questions(tx, user))
                    .transpose()
            })
            .await
    }

    /// Removes one, with password, answers and history, rights and sessions.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is none of that name.
    pub async fn remove(&self, name: &str) -> Result<(), RepositoryError> {
        let authority = self.repository.database.authority()?;
        let name = name.to_owned();
        self.repository
            .database
            .write(move |tx| {
                if tx.execute("DELETE FROM users WHERE name = ?1", &params![name])? == 0 {
                    return Err(not_found(&name));
                }
                for kind in [
                    ProtectedType::UserPassword,
                    ProtectedType::UserAnswer,
                    ProtectedType::PasswordHistory,
                ] {
                    sealed_values::remove_of_owner(tx, kind, name.as_bytes())?;
                }
                administrators::forget(tx, &authority, &name)?;
                sessions::end_of_user(tx, &authority, &name)?;
                meta::raise_authority(tx).map(drop)
            })
            .await
    }

    /// Stores a password, and with it its place in the history.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such user.
    pub async fn set_password(
        &self,
        name: &str,
        password: &[u8],
        history: Option<HistoryEntry>,
        now: UnixMillis,
    ) -> Result<(), RepositoryError> {
        let name = name.to_owned();
        let sealer = self.repository.sealer.clone();
        let sealed = sealer.seal(&password_place(&name), password);
        let history =
            history.map(|entry| entry.seal(HistoryOwner::User(name.clone()), sealer.as_ref()));
        self.repository
            .database
            .write(move |tx| {
                let changed = tx.execute(
                    "UPDATE users SET password_set_ms = ?2 WHERE name = ?1",
                    &params![name, to_sql_millis(now)],
                )?;
                if changed == 0 {
                    return Err(not_found(&name));
                }
                sealed_values::put(tx, &password_place(&name), &sealed)?;
                match &history {
                    Some(history) => password_history::store(tx, history),
                    None => Ok(()),
                }
            })
            .await
    }

    /// The password of a user; `None`: they have none.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such user, `Sealed` where it does not open.
    pub async fn password(
        &self,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, RepositoryError> {
        let name = name.to_owned();
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                require(tx, &name)?;
                let place = password_place(&name);
                sealed_values::find(tx, &place)?
                    .map(|sealed| Ok(sealer.open(&place, &sealed)?))
                    .transpose()
            })
            .await
    }

    /// Stores the digest of an answer, in the place of an earlier answer to that question.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such user.
    pub async fn set_answer(
        &self,
        name: &str,
        question: &str,
        digest: &[u8],
    ) -> Result<(), RepositoryError> {
        let (name, question) = (name.to_owned(), question.to_owned());
        let place = answer_place(&name, &question);
        let sealed = self.repository.sealer.seal(&place, digest);
        self.repository
            .database
            .write(move |tx| {
                require(tx, &name)?;
                sealed_values::put(tx, &answer_place(&name, &question), &sealed)
            })
            .await
    }

    /// The digest of the answer to a question; `None`: none is kept.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such user, `Sealed` where it does not open.
    pub async fn answer(
        &self,
        name: &str,
        question: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, RepositoryError> {
        let (name, question) = (name.to_owned(), question.to_owned());
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                require(tx, &name)?;
                let place = answer_place(&name, &question);
                sealed_values::find(tx, &place)?
                    .map(|sealed| Ok(sealer.open(&place, &sealed)?))
                    .transpose()
            })
            .await
    }

    /// Forgets the answer to a question. True: there was one.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such user.
    pub async fn remove_answer(&self, name: &str, question: &str) -> Result<bool, RepositoryError> {
        let (name, question) = (name.to_owned(), question.to_owned());
        self.repository
            .database
            .write(move |tx| {
                require(tx, &name)?;
                let place = answer_place(&name, &question);
                let there = sealed_values::find(tx, &place)?.is_some();
                sealed_values::remove(tx, &place)?;
                Ok(there)
            })
            .await
    }
}

fn find(tx: &mut Tx<'_>, name: &str) -> Result<Option<User>, RepositoryError> {
    tx.query_optional(
        "SELECT name, created_ms, password_set_ms FROM users WHERE name = ?1",
        &params![name],
        read,
    )
}

pub(super) fn require(tx: &mut Tx<'_>, name: &str) -> Result<(), RepositoryError> {
    find(tx, name)?.map(drop).ok_or_else(|| not_found(name))
}

fn read(row: &Row<'_>) -> Result<User, RepositoryError> {
    Ok(User {
        name: row.get(0)?,
        created: from_sql_millis(row.get(1)?),
        password_set: row.get::<Option<i64>>(2)?.map(from_sql_millis),
        questions: Vec::new(),
    })
}

fn with_questions(tx: &mut Tx<'_>, mut user: User) -> Result<User, RepositoryError> {
    user.questions = sealed_values::fields(tx, ProtectedType::UserAnswer, user.name.as_bytes())?;
    user.questions.sort_unstable();
    Ok(user)
}

fn not_found(name: &str) -> RepositoryError {
    RepositoryError::NotFound {
        kind: "user",
        name: name.to_owned(),
    }
}

fn password_place(name: &str) -> Place<'_> {
    Place {
        kind: ProtectedType::UserPassword,
        owner: name.as_bytes(),
        field: "password",
        context: &[],
    }
}

fn answer_place<'a>(name: &'a str, question: &'a str) -> Place<'a> {
    Place {
        kind: ProtectedType::UserAnswer,
        owner: name.as_bytes(),
        field: question,
        context: &[],
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixture, NOW};
    use super::*;

    async fn values(fixture: &Fixture) -> u64 {
        let values = fixture.repository.database().sealed_values();
        let counts = values.counts().await.unwrap();
        let of_users = counts
            .iter()
            .filter(|count| count.kind != ProtectedType::AuthorityKey);
        of_users.map(|count| count.values).sum()
    }

    fn entry(digest: &[u8]) -> Option<HistoryEntry> {
        Some(HistoryEntry {
            digest: Zeroizing::new(digest.to_vec()),
            depth: 2,
        })
    }

    #[tokio::test]
    async fn a_user_is_read_as_stored_and_leaves_nothing_behind() {
        let fixture = Fixture::new().await;
        let users = fixture.repository.users();
        users.add("ada", NOW).await.unwrap();
        users.add("bob", NOW).await.unwrap();
        let error = users.add("ada", NOW).await.unwrap_err();
        assert!(
            matches!(error, RepositoryError::AlreadyExists { .. }),
            "{error}"
        );
        assert_eq!(users.password("ada").await.unwrap(), None);
        let later = NOW.plus(5);
        users
            .set_password("ada", b"secret", entry(b"digest"), later)
            .await
            .unwrap();
        users.set_answer("ada", "Pet?", b"rex").await.unwrap();
        users.set_answer("ada", "Pet?", b"tom").await.unwrap();
        users.set_answer("ada", "City?", b"x").await.unwrap();
        fixture.change_server_key().await;

        let read = fixture.another().await;
        let ada = read.users().find("ada").await.unwrap().unwrap();
        assert_eq!(ada.questions, ["City?", "Pet?"]);
        assert_eq!(ada.password_set, Some(later));
        let password = read.users().password("ada").await.unwrap().unwrap();
        assert_eq!(**password, *b"secret");
        let answer = read.users().answer("ada", "Pet?").await.unwrap().unwrap();
        assert_eq!(**answer, *b"tom");
        assert!(users.remove_answer("ada", "City?").await.unwrap());
        assert!(!users.remove_answer("ada", "City?").await.unwrap());

        let names = async |after: &str| {
            let list = users.list(after, 10).await.unwrap();
            list.into_iter().map(|user| user.name).collect::<Vec<_>>()
        };
        assert_eq!(names("").await, ["ada", "bob"]);
        assert_eq!(names("ada").await, ["bob"]);
        assert_eq!(values(&fixture).await, 3);
        users.remove("ada").await.unwrap();
        assert_eq!(values(&fixture).await, 0);
        assert_eq!(users.find("ada").await.unwrap(), None);
    }

    #[tokio::test]
    async fn nothing_is_stored_for_a_user_who_is_not_there() {
        let fixture = Fixture::new().await;
        let users = fixture.repository.users();
        for error in [
            users
                .set_password("eve", b"x", entry(b"d"), NOW)
                .await
                .unwrap_err(),
            users.set_answer("eve", "Pet?", b"x").await.unwrap_err(),
            users
                .remove_answer("eve", "Pet?")
                .await
                .map(drop)
                .unwrap_err(),
            users.password("eve").await.map(drop).unwrap_err(),
            users.answer("eve", "Pet?").await.map(drop).unwrap_err(),
            users.remove("eve").await.unwrap_err(),
        ] {
            assert!(matches!(error, RepositoryError::NotFound { .. }), "{error}");
        }
        assert_eq!(values(&fixture).await, 0);
    }
}
