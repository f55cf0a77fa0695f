//! The servers that are at work on the repository: one row for each instance.
//!
//! Where servers share a database, these rows are read and written in transactions of their own, on
//! a connection of their own: no batch of other writes holds up a beat.

use std::fmt;
use std::sync::Arc;

use portcullis_common::rotation::UnixMillis;
use rand::RngExt;

use super::columns::{from_sql_millis, to_sql_millis};
use super::engine::Apart;
use super::instance::InstanceId;
use super::meta;
use super::sql::{self, Bind, Column, FromColumn, Row, Tx, Value, Work, params};
use super::{Database, RepositoryError, Store, postgres};

/// Whether a program that serves a repository may act on it: asked by whoever writes, told by
/// whoever keeps its row.
pub trait Fencing: fmt::Debug + Send + Sync {
    /// Whether nobody else can have ended it by now.
    fn may_act(&self) -> bool;

    /// Whether its row is gone.
    fn is_gone(&self) -> bool;

    /// Its row was found to be gone.
    fn set_gone(&self);
}

/// Who serves a repository.
#[derive(Clone, Debug)]
pub struct Served {
    /// The instance whose row has to stand for each of its writes.
    pub instance: InstanceId,
    /// Whether it may act.
    pub fencing: Arc<dyn Fencing>,
}

/// What an instance writes into its row again and again. Each is random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat([u8; 16]);

impl Beat {
    /// One that was never there before.
    pub fn random() -> Self {
        Self(rand::rng().random())
    }
}

impl From<[u8; 16]> for Beat {
    fn from(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl Bind for Beat {
    fn bind(&self) -> Value<'_> {
        self.0.bind()
    }
}

impl FromColumn for Beat {
    fn from_column(column: Column<'_>) -> Option<Self> {
        match column {
            Column::Blob(bytes) => bytes.try_into().ok().map(Self),
            _ => None,
        }
    }
}

/// A server that comes.
#[derive(Clone, Debug)]
pub struct NewServer {
    /// Its instance.
    pub instance: InstanceId,
    /// Its first beat.
    pub beat: Beat,
    /// Its name among the servers of the repository.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where other servers reach it; empty: nowhere.
    pub advertised: String,
    /// Tells the lock file that it holds from any other; `None`: it holds none.
    pub lock_file: Option<Vec<u8>>,
    /// When it was started, by its own clock.
    pub started: UnixMillis,
}

/// What a server has to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Links that it holds.
    pub links: u64,
    /// Calls that are under way.
    pub calls: u64,
    /// What went wrong last; `None`: nothing.
    pub last_error: Option<String>,
}

/// A server, as its row says.
#[derive(Clone, Debug)]
pub struct ServerRow {
    /// Its instance.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where other servers reach it; empty: nowhere.
    pub advertised: String,
    /// Its beat.
    pub beat: Beat,
    /// Tells the lock file that it holds from any other.
    pub lock_file: Option<Vec<u8>>,
    /// When it was started, by its own clock.
    pub started: UnixMillis,
    /// What it had to do when it last said so.
    pub load: Load,
    /// It takes no new links, and gives those that it has to others: an administrator said so, or
    /// it is about to end.
    pub drained: bool,
    /// The authority version that it has seen.
    pub seen: u64,
}

/// Why a server was not drained, or not put to work again. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotDrained {
    /// There is none.
    #[error("no server `{0}` is at work: `portcullis server list` shows which are")]
    Unknown(String),
    /// There are several.
    #[error(
        "{count} servers are called `{name}`: name one by its instance, as `portcullis --json server list` shows it"
    )]
    Ambiguous {
        /// How they are called.
        name: String,
        /// How many.
        count: usize,
    },
    /// It was drained before.
    #[error(
        "server `{0}` is drained already: `portcullis server list` shows how many links are still there, `portcullis server drain {0} --undo` puts it to work again"
    )]
    Already(String),
    /// It was not drained.
    #[error("server `{0}` is not drained: there is nothing to undo")]
    NotDrained(String),
    /// Nobody is left.
    #[error(
        "no other server could take over from `{0}`: every other one is gone or drained. Start one or put one to work again (`portcullis server drain NAME --undo`); with --force, `{0}` keeps its links and begins no queued call and no task"
    )]
    NoHeir(String),
    /// There are never several.
    #[error(
        "the repository is in a file, and its one server has nobody who could take over: stop it instead"
    )]
    OneServer,
}

/// The rows of the servers, wherever they are.
#[derive(Clone, Debug)]
pub struct ServerRows {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    /// In a file, which is one server's.
    File(Box<Database>),
    /// In a database, on a connection of its own.
    Apart(Apart),
}

impl ServerRows {
    /// Those of a repository that is not open yet; `None`: it is in a file.
    ///
    /// # Errors
    /// [`RepositoryError::Open`]: a thread cannot be had.
    pub fn open(store: &Store) -> Result<Option<Self>, RepositoryError> {
        let apart = Apart::of(store)?;
        Ok(apart.map(|apart| Self {
            place: Place::Apart(apart),
        }))
    }

    /// Those of a repository in a file.
    pub fn in_file(database: &Database) -> Self {
        Self {
            place: Place::File(Box::new(database.clone())),
        }
    }

    /// All of them, by name. Where an earlier version made the repository, there are none.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<ServerRow>, RepositoryError> {
        let is_apart = matches!(self.place, Place::Apart(_));
        self.change(
            move |tx| match is_apart && !postgres::has_table(tx, "servers")? {
                true => Ok(Vec::new()),
                false => list(tx),
            },
        )
        .await
    }

    /// Puts in the row of a server that comes, unless `bars` says that one of the others is in its
    /// way: gives that one then. Others come before it or after it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn join(
        &self,
        new: NewServer,
        bars: fn(&ServerRow) -> bool,
    ) -> Result<Option<ServerRow>, RepositoryError> {
        let is_apart = matches!(self.place, Place::Apart(_));
        self.change(move |tx| {
            if is_apart {
                postgres::lock_table(tx, "servers")?;
            } else {
                // The lock of the data folder proves that whoever was here is gone.
                tx.execute("DELETE FROM servers", &[])?;
            }
            // The answer to an earlier attempt may have been lost.
            let other = |row: &ServerRow| row.instance != new.instance && bars(row);
            if let Some(row) = list(tx)?.into_iter().find(other) {
                return Ok(Some(row));
            }
            tx.execute(
                "INSERT INTO servers (instance, name, version, advertised, beat, lock_file, started_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (instance) DO NOTHING",
                &params![
                    new.instance,
                    new.name,
                    new.version,
                    new.advertised,
                    new.beat,
                    new.lock_file,
                    to_sql_millis(new.started)
                ],
            )?;
            Ok(None)
        })
        .await
    }

    /// Gives an instance the beat `next`, provided that its row stands with the beat `last`; one
    /// whose acknowledgement was lost may be given again. Gives all rows as they are then; `None`:
    /// its own is gone, or another program beats in its place. Where it stands with one of the
    /// `former` beats of the instance, the repository went back in time, and all servers are told.
    /// One that `ends` stays drained, whatever an administrator undid.
    ///
    /// # Errors
    /// [`RepositoryError`]: nobody knows.
    pub async fn renew(
        &self,
        instance: InstanceId,
        last: Beat,
        next: Beat,
        former: Arc<[Beat]>,
        load: Load,
        ends: bool,
    ) -> Result<Option<Vec<ServerRow>>, RepositoryError> {
        self.change(move |tx| {
            let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
            let mut last = last;
            let sql = "SELECT beat FROM servers WHERE instance = ?1";
            let stands: Option<Beat> =
                tx.query_optional(sql, &params![instance], |row| row.get(0))?;
            if let Some(beat) = stands.filter(|beat| former.contains(beat)) {
                meta::set_went_back(tx)?;
                last = beat;
            }
            let renewed = tx.execute(
                "UPDATE servers SET beat = ?3, links = ?4, calls = ?5, last_error = ?6,
                    drained = CASE WHEN ?7 = 1 THEN 1 ELSE drained END
                 WHERE instance = ?1 AND (beat = ?2 OR beat = ?3)",
                &params![
                    instance,
                    last,
                    next,
                    count(load.links),
                    count(load.calls),
                    load.last_error,
                    i64::from(ends)
                ],
            )?;
            match renewed {
                0 => Ok(None),
                _ => list(tx).map(Some),
            }
        })
        .await
    }

    /// Ends an instance, provided that its beat is still this one. `false`: it is not.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn end(&self, instance: InstanceId, beat: Beat) -> Result<bool, RepositoryError> {
        self.change(move |tx| {
            let sql = "DELETE FROM servers WHERE instance = ?1 AND beat = ?2";
            Ok(tx.execute(sql, &params![instance, beat])? > 0)
        })
        .await
    }

    /// An instance has seen an authority version: nothing that it let through under an earlier one
    /// is unsent.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn set_seen(
        &self,
        instance: InstanceId,
        version: u64,
    ) -> Result<(), RepositoryError> {
        let version = i64::try_from(version).unwrap_or(i64::MAX);
        self.change(move |tx| {
            let sql = "UPDATE servers SET seen = ?2 WHERE instance = ?1 AND seen < ?2";
            tx.execute(sql, &params![instance, version]).map(drop)
        })
        .await
    }

    /// An instance holds the secret of the protection that was offered under this id.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn set_holds(
        &self,
        instance: InstanceId,
        offer: [u8; 16],
    ) -> Result<(), RepositoryError> {
        self.change(move |tx| {
            let sql = "UPDATE servers SET holds = ?2 WHERE instance = ?1";
            tx.execute(sql, &params![instance, offer]).map(drop)
        })
        .await
    }

    /// The names of the servers beside this instance, each with whether it holds the secret of the
    /// protection that was offered under this id.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn holding(
        &self,
        beside: InstanceId,
        offer: [u8; 16],
    ) -> Result<Vec<(String, bool)>, RepositoryError> {
        self.change(move |tx| {
            tx.query(
                "SELECT name, holds IS NOT DISTINCT FROM ?2 FROM servers WHERE instance <> ?1
                 ORDER BY name",
                &params![beside, offer],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
        })
        .await
    }

    /// Has the row of an instance say that it takes no new links, and that others are to take those
    /// that it has.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn hands_over(&self, instance: InstanceId) -> Result<(), RepositoryError> {
        self.change(move |tx| {
            let sql = "UPDATE servers SET drained = 1 WHERE instance = ?1";
            tx.execute(sql, &params![instance]).map(drop)
        })
        .await
    }

    /// Drains the server of this name or instance, or with `undo` puts it to work again. One whose
    /// work no other could take is drained only by `force`. Gives its row as it was before.
    ///
    /// # Errors
    /// [`RepositoryError`]; within it [`NotDrained`].
    pub async fn drain(
        &self,
        server: String,
        undo: bool,
        force: bool,
    ) -> Result<Result<ServerRow, NotDrained>, RepositoryError> {
        if matches!(self.place, Place::File(_)) {
            return Ok(Err(NotDrained::OneServer));
        }
        self.change(move |tx| {
            // Of two that are drained at once, each would go by that the other one stays.
            postgres::lock_table(tx, "servers")?;
            let rows = list(tx)?;
            let row = match drainable(&rows, &server, undo, force) {
                Ok(row) => row.clone(),
                Err(why) => return Ok(Err(why)),
            };
            let sql = "UPDATE servers SET drained = ?2 WHERE instance = ?1";
            tx.execute(sql, &params![row.instance, i64::from(!undo)])?;
            Ok(Ok(row))
        })
        .await
    }

    /// Removes the row of an instance that is gone, or about to be.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn remove(&self, instance: InstanceId) -> Result<(), RepositoryError> {
        self.change(move |tx| {
            let sql = "DELETE FROM servers WHERE instance = ?1";
            tx.execute(sql, &params![instance]).map(drop)
        })
        .await
    }

    async fn change<T, F>(&self, work: F) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        match &self.place {
            Place::File(database) => database.write(work).await,
            Place::Apart(apart) => sql::answer(apart.write(Work::new(work)).await?),
        }
    }
}

/// The server of this name or instance, where it may be drained, or with `undo` put to work again.
fn drainable<'a>(
    rows: &'a [ServerRow],
    server: &str,
    undo: bool,
    force: bool,
) -> Result<&'a ServerRow, NotDrained> {
    let is_meant = |row: &&ServerRow| row.name == server || row.instance.to_string() == server;
    let meant: Vec<_> = rows.iter().filter(is_meant).collect();
    let name = || server.to_owned();
    let row = match *meant.as_slice() {
        [row] => row,
        [] => return Err(NotDrained::Unknown(name())),
        _ => {
            return Err(NotDrained::Ambiguous {
                name: name(),
                count: meant.len(),
            });
        }
    };
    let has_heir = rows
        .iter()
        .any(|other| other.instance != row.instance && !other.drained);
    match (undo, row.drained) {
        (true, false) => Err(NotDrained::NotDrained(name())),
        (false, true) => Err(NotDrained::Already(name())),
        (false, false) if !has_heir && !force => Err(NotDrained::NoHeir(name())),
        _ => Ok(row),
    }
}

fn list(tx: &mut Tx<'_>) -> Result<Vec<ServerRow>, RepositoryError> {
    tx.query(
        "SELECT instance, name, version, advertised, beat, lock_file, started_ms, links, calls, last_error, drained, seen
         FROM servers ORDER BY name, instance",
        &[],
        read,
    )
}

fn read(row: &Row<'_>) -> Result<ServerRow, RepositoryError> {
    let count = |index| row.get::<i64>(index).map(i64::unsigned_abs);
    Ok(ServerRow {
        instance: row.get(0)?,
        name: row.get(1)?,
        version: row.get(2)?,
        advertised: row.get(3)?,
        beat: row.get(4)?,
        lock_file: row.get(5)?,
        started: from_sql_millis(row.get(6)?),
        load: Load {
            links: count(7)?,
            calls: count(8)?,
            last_error: row.get(9)?,
        },
        drained: row.get(10)?,
        seen: count(11)?,
    })
}
