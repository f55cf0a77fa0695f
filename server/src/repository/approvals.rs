//! Requests that wait for a second person, whichever server they were made to.

use std::time::Duration;

use portcullis_common::rotation::UnixMillis;

use super::authority::{APPROVALS, Authority, Stamp};
use super::columns::{from_sql_millis, to_sql_millis};
use super::sql::{Row, Tx, Value, params};
use super::{Database, Repository, RepositoryError};

const CONTENTS: &[u8] = b"portcullis approval contents v1";

/// A request that waits for a second person, or was approved by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredApproval {
    /// Its number: it is never given out again.
    pub number: i64,
    /// The request's method.
    pub method: String,
    /// What it is about.
    pub object: String,
    /// Who asked for it.
    pub asked_by: (String, Option<u32>),
    /// When that was, by the repository's clock.
    pub asked: UnixMillis,
    /// From when on it counts no more, by the same clock.
    pub expires: UnixMillis,
    /// Who approved it.
    pub approved_by: Option<String>,
}

/// A request for which a second person is needed.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// Its method.
    pub method: String,
    /// What it is about.
    pub object: String,
    /// Who asks for it.
    pub asked_by: (String, Option<u32>),
    /// All of its contents. They are not stored.
    pub contents: Vec<u8>,
    /// How long it waits.
    pub lifetime: Duration,
}

/// What is to become of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It was approved, and that is used up now.
    Approved(StoredApproval),
    /// It waits already.
    Waits(StoredApproval),
    /// It waits from now on.
    New(StoredApproval),
    /// As many wait as may.
    TooMany,
}

/// The requests that wait for a second person.
#[derive(Clone, Copy, Debug)]
pub struct StoredApprovals<'a> {
    database: &'a Database,
}

impl Repository {
    /// What waits for a second person.
    pub const fn approvals(&self) -> StoredApprovals<'_> {
        StoredApprovals {
            database: &self.database,
        }
    }
}

impl StoredApprovals<'_> {
    /// Asks for a request to be carried out. `same_user` says of who asked for another one whether
    /// it is the same user; at most `of_user` of one user wait, and `of_all` in all. An approval
    /// that there is for it is used up, by one server alone.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn ask(
        &self,
        new: NewApproval,
        same_user: impl Fn(&StoredApproval) -> bool + Send + 'static,
        (of_user, of_all): (usize, usize),
    ) -> Result<Asked, RepositoryError> {
        let authority = self.database.authority()?;
        let contents = authority.tag(&[CONTENTS, new.method.as_bytes(), b"\0", &new.contents]);
        self.database
            .write(move |tx| {
                let now = tx.now()?;
                let fresh = fresh(tx, &authority, now)?;
                let same = fresh.iter().find(|one| {
                    one.contents == contents
                        && one.shown.method == new.method
                        && same_user(&one.shown)
                });
                match same {
                    Some(Held { shown, .. }) if shown.approved_by.is_some() => {
                        remove(tx, &authority, "number = ?1", &params![shown.number])?;
                        return Ok(Asked::Approved(shown.clone()));
                    }
                    Some(Held { shown, .. }) => return Ok(Asked::Waits(shown.clone())),
                    None => {}
                }
                let of_this = fresh.iter().filter(|one| same_user(&one.shown));
                if fresh.len() >= of_all || of_this.count() >= of_user {
                    return Ok(Asked::TooMany);
                }
                insert(tx, &authority, &new, &contents, now).map(Asked::New)
            })
            .await
    }

    /// A second person approves the request of this number, provided that `may` says so of it. A
    /// second approval changes nothing. `None`: no such request waits.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn approve(
        &self,
        number: i64,
        by: &str,
        may: impl Fn(&StoredApproval) -> bool + Send + 'static,
    ) -> Result<Option<Result<StoredApproval, StoredApproval>>, RepositoryError> {
        let by = by.to_owned();
        let authority = self.database.authority()?;
        self.database
            .write(move |tx| {
                let now = tx.now()?;
                let fresh = fresh(tx, &authority, now)?;
                let found = fresh.into_iter().find(|one| one.shown.number == number);
                let Some(Held { mut shown, .. }) = found else {
                    return Ok(None);
                };
                if !may(&shown) {
                    return Ok(Some(Err(shown)));
                }
                if shown.approved_by.is_none() {
                    let guarded =
                        authority.guard(tx, &APPROVALS, "number = ?1", &params![number])?;
                    tx.execute(
                        "UPDATE approvals SET approved_by = ?2 WHERE number = ?1",
                        &params![number, by],
                    )?;
                    guarded.settle(tx)?;
                    shown.approved_by = Some(by.clone());
                }
                Ok(Some(Ok(shown)))
            })
            .await
    }

    /// Those that wait, or are approved and not used yet; oldest first.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<StoredApproval>, RepositoryError> {
        let authority = self.database.authority()?;
        self.database
            .read(move |tx| {
                let now = tx.now()?;
                let fresh = fresh(tx, &authority, now)?;
                Ok(fresh.into_iter().map(|one| one.shown).collect())
            })
            .await
    }

    /// Removes those whose time has come, and gives those of them that were believed.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was removed.
    pub async fn expire(&self) -> Result<Vec<StoredApproval>, RepositoryError> {
        let authority = self.database.authority()?;
        self.database
            .write(move |tx| {
                let now = to_sql_millis(tx.now()?);
                let over = believed(tx, &authority, "expires_ms <= ?1", now)?;
                if !over.is_empty() {
                    remove(tx, &authority, "expires_ms <= ?1", &params![now])?;
                }
                Ok(over.into_iter().map(|one| one.shown).collect())
            })
            .await
    }
}

/// None of them counts any more.
pub(super) fn forget_all(tx: &mut Tx<'_>, authority: &Authority) -> Result<(), RepositoryError> {
    remove(tx, authority, "true", &[])
}

struct Held {
    shown: StoredApproval,
    contents: Vec<u8>,
}

/// Those that count, oldest first.
fn fresh(
    tx: &mut Tx<'_>,
    authority: &Authority,
    now: UnixMillis,
) -> Result<Vec<Held>, RepositoryError> {
    believed(tx, authority, "expires_ms > ?1", to_sql_millis(now))
}

/// Those that `filter` selects and whose MAC is right: another one decides nothing.
fn believed(
    tx: &mut Tx<'_>,
    authority: &Authority,
    filter: &str,
    now: i64,
) -> Result<Vec<Held>, RepositoryError> {
    let sql = APPROVALS.select(&format!("{filter} ORDER BY number"));
    let rows = tx.query(&sql, &params![now], |row| {
        let stamp = Stamp::read(&APPROVALS, row, 0)?;
        let sound = authority.check_alone(&APPROVALS, &stamp).is_ok();
        sound.then(|| read(row)).transpose()
    })?;
    Ok(rows.into_iter().flatten().collect())
}

fn read(row: &Row<'_>) -> Result<Held, RepositoryError> {
    let uid: Option<i64> = row.get(5)?;
    let shown = StoredApproval {
        number: row.get(0)?,
        method: row.get(1)?,
        object: row.get(2)?,
        asked_by: (row.get(4)?, uid.and_then(|uid| u32::try_from(uid).ok())),
        asked: from_sql_millis(row.get(6)?),
        expires: from_sql_millis(row.get(7)?),
        approved_by: row.get(8)?,
    };
    Ok(Held {
        shown,
        contents: row.get(3)?,
    })
}

fn insert(
    tx: &mut Tx<'_>,
    authority: &Authority,
    new: &NewApproval,
    contents: &[u8],
    now: UnixMillis,
) -> Result<StoredApproval, RepositoryError> {
    let lifetime = u64::try_from(new.lifetime.as_millis()).unwrap_or(u64::MAX);
    let expires = now.plus(lifetime);
    let (asked_by, uid) = &new.asked_by;
    let number = tx.query_one(
        "INSERT INTO approvals (method, object, contents, asked_by, asked_uid, asked_ms, expires_ms)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING number",
        &params![
            new.method,
            new.object,
            contents,
            asked_by,
            uid.map(i64::from),
            to_sql_millis(now),
            to_sql_millis(expires)
        ],
        |row| row.get(0),
    )?;
    authority.added(tx, &APPROVALS, Value::Integer(number))?;
    Ok(StoredApproval {
        number,
        method: new.method.clone(),
        object: new.object.clone(),
        asked_by: new.asked_by.clone(),
        asked: now,
        expires,
        approved_by: None,
    })
}

fn remove(
    tx: &mut Tx<'_>,
    authority: &Authority,
    filter: &str,
    params: &[Value<'_>],
) -> Result<(), RepositoryError> {
    let guarded = authority.guard_any(tx, &APPROVALS, filter, params)?;
    tx.execute(&format!("DELETE FROM approvals WHERE {filter}"), params)?;
    guarded.settle(tx)
}
