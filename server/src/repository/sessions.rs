//! Who is logged in.

use std::collections::BTreeMap;

use portcullis_common::rotation::UnixMillis;

use super::authority::{Authority, SESSIONS, Stamp};
use super::columns::{from_sql_millis, to_sql_millis};
use super::meta;
use super::sql::{Row, Tx, Value, params};
use super::users::require;
use super::{Repository, RepositoryError};

/// For how long it is known of a session that is over why it is, in milliseconds.
const TOLD_FOR: i64 = 24 * 60 * 60 * 1_000;

/// What a session counts by: neither of its limits is reached, and no other took its place.
const COUNTS: &str =
    "superseded_by IS NULL AND used_ms + idle_ms > ?1 AND made_ms + absolute_ms > ?1";

/// Somebody who is logged in, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// As people name it.
    pub id: String,
    /// SHA-256 of its secret.
    pub digest: [u8; 32],
    /// Whose it is.
    pub user: String,
    /// To which application they logged in.
    pub application: String,
    /// When that was, by the repository's clock.
    pub made: UnixMillis,
    /// When it was used last, as it is written down.
    pub used: UnixMillis,
    /// How long it may be idle, in milliseconds.
    pub idle_ms: u64,
    /// How long it lasts in any case, in milliseconds.
    pub absolute_ms: u64,
    /// From where they logged in.
    pub address: String,
    /// By which modules.
    pub method: String,
    /// The session that took its place.
    pub superseded_by: Option<String>,
}

/// A session that is to begin.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// As people name it.
    pub id: String,
    /// SHA-256 of its secret.
    pub digest: [u8; 32],
    /// Whose it is.
    pub user: String,
    /// To which application they log in.
    pub application: String,
    /// How long it may be idle, in milliseconds.
    pub idle_ms: u64,
    /// How long it lasts in any case, in milliseconds.
    pub absolute_ms: u64,
    /// From where they log in.
    pub address: String,
    /// By which modules.
    pub method: String,
    /// Whether it takes the place of the user's others at this application.
    pub single: bool,
}

/// The sessions.
#[derive(Clone, Copy, Debug)]
pub struct Sessions<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// Who is logged in.
    pub const fn sessions(&self) -> Sessions<'_> {
        Sessions { repository: self }
    }
}

impl Sessions<'_> {
    /// Begins one, in one transaction with the end of those whose place it takes.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such user any more.
    pub async fn begin(&self, new: NewSession) -> Result<(), RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                require(tx, &new.user)?;
                let now = to_sql_millis(tx.now()?);
                let old = now.saturating_sub(TOLD_FOR);
                let over = "used_ms + idle_ms < ?1 OR made_ms + absolute_ms < ?1";
                remove(tx, &authority, over, &params![old])?;
                if new.single {
                    supersede(tx, &authority, &new, now)?;
                }
                insert(tx, &authority, &new, now)
            })
            .await
    }

    /// The one of this id, with the time by the repository's clock; `None`: there is none.
    ///
    /// # Errors
    /// [`RepositoryError::RowChanged`] where what stands there was put in by hand.
    pub async fn find(&self, id: &str) -> Result<Option<(Session, UnixMillis)>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let id = id.to_owned();
        self.repository
            .database
            .read(move |tx| {
                let now = tx.now()?;
                let found = find(tx, &authority, &id)?;
                Ok(found.map(|session| (session, now)))
            })
            .await
    }

    /// Writes down that it is in use now. One that is gone is not.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn use_now(&self, id: &str) -> Result<(), RepositoryError> {
        let authority = self.repository.database.authority()?;
        let id = id.to_owned();
        self.repository
            .database
            .write(move |tx| {
                let now = to_sql_millis(tx.now()?);
                let guarded = authority.guard(tx, &SESSIONS, "id = ?1", &params![id])?;
                tx.execute(
                    "UPDATE sessions SET used_ms = ?2 WHERE id = ?1",
                    &params![id, now],
                )?;
                guarded.settle(tx)
            })
            .await
    }

    /// The first `limit` that count, after the id `after`, of one user or of all. What was put in
    /// by hand is left out.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(
        &self,
        user: Option<&str>,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Session>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let (user, after) = (user.map(str::to_owned), after.to_owned());
        self.repository
            .database
            .read(move |tx| {
                let now = to_sql_millis(tx.now()?);
                let whose = match &user {
                    Some(_) => "user_name = ?4",
                    None => "?4 = ''",
                };
                let filter = format!("{COUNTS} AND id > ?2 AND {whose} ORDER BY id LIMIT ?3");
                let user = user.as_deref().unwrap_or_default();
                let found = tx.query(
                    &SESSIONS.select(&filter),
                    &params![now, after, limit, user],
                    |row| believed(row, &authority),
                )?;
                Ok(found.into_iter().flatten().collect())
            })
            .await
    }

    /// Ends those of an application. Gives how many counted.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn end_of_application(&self, application: &str) -> Result<u64, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let application = application.to_owned();
        self.repository
            .database
            .write(move |tx| {
                let now = to_sql_millis(tx.now()?);
                let count =
                    format!("SELECT count(*) FROM sessions WHERE {COUNTS} AND application = ?2");
                let ended: i64 =
                    tx.query_one(&count, &params![now, application], |row| row.get(0))?;
                remove(tx, &authority, "application = ?1", &params![application])?;
                meta::raise_authority(tx)?;
                Ok(ended.unsigned_abs())
            })
            .await
    }

    /// How many count, by application.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn counts(&self) -> Result<BTreeMap<String, u32>, RepositoryError> {
        self.repository
            .database
            .read(|tx| {
                let now = to_sql_millis(tx.now()?);
                let sql = format!(
                    "SELECT application, count(*) FROM sessions WHERE {COUNTS} GROUP BY application"
                );
                let counts = tx.query(&sql, &params![now], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(counts.into_iter().collect())
            })
            .await
    }

    /// Ends one, `of` this user alone where one is named. `None`: there is no such session.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn end(
        &self,
        id: &str,
        of: Option<&str>,
    ) -> Result<Option<Session>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let (id, of) = (id.to_owned(), of.map(str::to_owned));
        self.repository
            .database
            .write(move |tx| {
                let found = tx.query_optional(&SESSIONS.select("id = ?1"), &params![id], read)?;
                let of = of.as_deref();
                let found = found.filter(|session| of.is_none_or(|user| session.user == user));
                if found.is_some() {
                    remove(tx, &authority, "id = ?1", &params![id])?;
                    meta::raise_authority(tx)?;
                }
                Ok(found)
            })
            .await
    }
}

/// Ends those of a user.
pub(super) fn end_of_user(
    tx: &mut Tx<'_>,
    authority: &Authority,
    user: &str,
) -> Result<(), RepositoryError> {
    remove(tx, authority, "user_name = ?1", &params![user])
}

/// None of them counts any more.
pub(super) fn end_all(tx: &mut Tx<'_>, authority: &Authority) -> Result<(), RepositoryError> {
    remove(tx, authority, "true", &[])
}

fn supersede(
    tx: &mut Tx<'_>,
    authority: &Authority,
    new: &NewSession,
    now: i64,
) -> Result<(), RepositoryError> {
    let filter = format!("{COUNTS} AND user_name = ?2 AND application = ?3");
    let whose = params![now, new.user, new.application];
    let guarded = authority.guard_any(tx, &SESSIONS, &filter, &whose)?;
    if guarded.is_empty() {
        return Ok(());
    }
    tx.execute(
        &format!("UPDATE sessions SET superseded_by = ?4 WHERE {filter}"),
        &params![now, new.user, new.application, new.id],
    )?;
    meta::raise_authority(tx)?;
    guarded.settle(tx)
}

fn insert(
    tx: &mut Tx<'_>,
    authority: &Authority,
    new: &NewSession,
    now: i64,
) -> Result<(), RepositoryError> {
    let millis = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO sessions (id, digest, user_name, application, made_ms, used_ms, idle_ms, absolute_ms, address, method)
         VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9)",
        &params![
            new.id,
            new.digest,
            new.user,
            new.application,
            now,
            millis(new.idle_ms),
            millis(new.absolute_ms),
            new.address,
            new.method
        ],
    )?;
    authority.added(tx, &SESSIONS, Value::Text(&new.id))
}

fn remove(
    tx: &mut Tx<'_>,
    authority: &Authority,
    filter: &str,
    params: &[Value<'_>],
) -> Result<(), RepositoryError> {
    let guarded = authority.guard_any(tx, &SESSIONS, filter, params)?;
    if guarded.is_empty() {
        return Ok(());
    }
    tx.execute(&format!("DELETE FROM sessions WHERE {filter}"), params)?;
    guarded.settle(tx)
}

fn find(
    tx: &mut Tx<'_>,
    authority: &Authority,
    id: &str,
) -> Result<Option<Session>, RepositoryError> {
    tx.query_optional(&SESSIONS.select("id = ?1"), &params![id], |row| {
        let stamp = Stamp::read(&SESSIONS, row, 0)?;
        authority.check_alone(&SESSIONS, &stamp)?;
        read(row)
    })
}

fn believed(row: &Row<'_>, authority: &Authority) -> Result<Option<Session>, RepositoryError> {
    let stamp = Stamp::read(&SESSIONS, row, 0)?;
    let sound = authority.check_alone(&SESSIONS, &stamp).is_ok();
    sound.then(|| read(row)).transpose()
}

fn read(row: &Row<'_>) -> Result<Session, RepositoryError> {
    let digest: Vec<u8> = row.get(1)?;
    let millis = |number: i64| u64::try_from(number).unwrap_or(0);
    Ok(Session {
        id: row.get(0)?,
        digest: digest
            .try_into()
            .map_err(|_| RepositoryError::damaged("digest of a session"))?,
        user: row.get(2)?,
        application: row.get(3)?,
        made: from_sql_millis(row.get(4)?),
        used: from_sql_millis(row.get(5)?),
        idle_ms: millis(row.get(6)?),
        absolute_ms: millis(row.get(7)?),
        address: row.get(8)?,
        method: row.get(9)?,
        superseded_by: row.get(10)?,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::tests::{Fixture, NOW};
    use super::*;

    pub(in crate::repository) fn new(id: &str, user: &str) -> NewSession {
        NewSession {
            id: id.to_owned(),
            digest: [7; 32],
            user: user.to_owned(),
            application: "api".to_owned(),
            idle_ms: 60_000,
            absolute_ms: 120_000,
            address: "uid 1001".to_owned(),
            method: "password (required)".to_owned(),
            single: false,
        }
    }

    async fn ids(sessions: Sessions<'_>, user: Option<&str>) -> Vec<String> {
        let found = sessions.list(user, "", 10).await.unwrap();
        found.into_iter().map(|session| session.id).collect()
    }

    #[tokio::test]
    async fn sessions_are_kept_until_they_end_and_the_newer_takes_the_place_of_the_older() {
        let fixture = Fixture::new().await;
        let users = fixture.repository.users();
        let sessions = fixture.repository.sessions();
        let refused = sessions.begin(new("se-0", "ada")).await;
        assert!(matches!(refused, Err(RepositoryError::NotFound { .. })));
        for user in ["ada", "bob"] {
            users.add(user, NOW).await.unwrap();
        }
        for (id, user) in [("se-1", "ada"), ("se-2", "ada"), ("se-3", "bob")] {
            sessions.begin(new(id, user)).await.unwrap();
        }
        let read = fixture.another().await;
        assert_eq!(ids(read.sessions(), None).await, ["se-1", "se-2", "se-3"]);
        assert_eq!(ids(read.sessions(), Some("ada")).await, ["se-1", "se-2"]);
        let (one, _) = sessions.find("se-1").await.unwrap().unwrap();
        assert_eq!((one.user.as_str(), one.idle_ms), ("ada", 60_000));
        sessions.use_now("se-1").await.unwrap();

        let single = NewSession {
            single: true,
            ..new("se-4", "ada")
        };
        sessions.begin(single).await.unwrap();
        assert_eq!(ids(sessions, None).await, ["se-3", "se-4"]);
        let (one, _) = sessions.find("se-1").await.unwrap().unwrap();
        assert_eq!(one.superseded_by.as_deref(), Some("se-4"));

        assert_eq!(sessions.end("se-3", Some("ada")).await.unwrap(), None);
        assert!(sessions.end("se-3", Some("bob")).await.unwrap().is_some());
        assert_eq!(sessions.end("se-3", None).await.unwrap(), None);
        users.remove("ada").await.unwrap();
        assert_eq!(ids(sessions, None).await, [] as [&str; 0]);
        assert_eq!(sessions.find("se-4").await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_session_that_was_put_in_by_hand_is_nobodys() {
        let fixture = Fixture::new().await;
        for user in ["ada", "bob"] {
            fixture.repository.users().add(user, NOW).await.unwrap();
        }
        let sessions = fixture.repository.sessions();
        sessions.begin(new("se-1", "ada")).await.unwrap();
        let changed = fixture
            .repository
            .database
            .write(|tx| tx.execute("UPDATE sessions SET user_name = 'bob'", &[]));
        changed.await.unwrap();
        let found = sessions.find("se-1").await;
        assert!(
            matches!(found, Err(RepositoryError::RowChanged { .. })),
            "{found:?}"
        );
        assert_eq!(ids(sessions, None).await, [] as [&str; 0]);
        assert!(sessions.end("se-1", None).await.unwrap().is_some());
    }
}
