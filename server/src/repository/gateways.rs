//! The roster: gateways with their registrations and groups.

use std::sync::Arc;

use portcullis_common::id::GatewayId;
use portcullis_common::rotation::{GatewayKeyInfo, Registration, UnixMillis};
use portcullis_host::clock;

use super::authority::{Authority, Checked, GATEWAYS};
use super::columns::{from_sql_millis, to_sql_millis};
use super::registration::{COLUMN_COUNT, RegistrationRow, UncheckedRow, columns};
use super::sql::{Row, Tx, Value, params};
use super::{
    Alarm, AlarmKind, Database, Grant, Repository, RepositoryError, Sealer, alarms,
    gateway_demands, gateway_groups, gateway_keys, links, meta,
};

/// How a link to a gateway comes about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The server dials this HOST:PORT.
    Address(String),
    /// The gateway dials the server.
    DialOut,
}

/// A gateway in the roster.
#[derive(Clone, Debug)]
pub struct Gateway {
    /// Its name: chosen by an administrator, unique.
    pub name: String,
    /// Who dials whom.
    pub reach: Reach,
    /// Its current registration.
    pub registration: Registration,
    /// When it was first added.
    pub created: UnixMillis,
    /// When a link to it was last known to live.
    pub last_seen: Option<UnixMillis>,
    /// Why the last attempt at a link failed, and what to do; `None`: it did not.
    pub last_error: Option<String>,
    /// The groups that it is in, in order.
    pub groups: Vec<String>,
    /// The name that its host last told, and the version of its program.
    pub host: Option<String>,
    /// See `host`.
    pub version: Option<String>,
    /// How far its clock was ahead of the server's then, in milliseconds; negative: behind.
    pub clock_ahead_ms: Option<i64>,
    /// Those that are open, raised last first.
    pub alarms: Vec<Alarm>,
    /// It is reached through TLS alone.
    pub require_tls: bool,
    /// Its record was changed or put in by hand: it decides nothing.
    pub record_changed: bool,
}

/// Names a gateway: by its name, or by the id of its current registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayRef {
    /// By its name.
    Name(String),
    /// By the id of its current registration: finds nothing once it was registered again.
    Id(GatewayId),
}

impl From<&str> for GatewayRef {
    fn from(name: &str) -> Self {
        Self::Name(name.to_owned())
    }
}

impl From<GatewayId> for GatewayRef {
    fn from(id: GatewayId) -> Self {
        Self::Id(id)
    }
}

impl GatewayRef {
    pub(super) fn not_found(&self) -> RepositoryError {
        RepositoryError::NotFound {
            kind: "gateway",
            name: match self {
                Self::Name(name) => name.clone(),
                Self::Id(id) => id.to_string(),
            },
        }
    }
}

/// What an administrator changes of a gateway.
#[derive(Clone, Debug, Default)]
pub struct GatewayChange {
    /// Who dials whom; `None`: as it was.
    pub reach: Option<Reach>,
    /// Groups that it comes into.
    pub add_groups: Vec<String>,
    /// Groups that it leaves.
    pub remove_groups: Vec<String>,
    /// Whether it is reached through TLS alone; `None`: as it was.
    pub require_tls: Option<bool>,
}

/// The roster.
#[derive(Clone, Copy, Debug)]
pub struct Gateways<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// The roster: gateways and their registrations.
    pub const fn gateways(&self) -> Gateways<'_> {
        Gateways { repository: self }
    }
}

impl Gateways<'_> {
    pub(super) const fn database(&self) -> &Database {
        &self.repository.database
    }

    pub(super) fn sealer(&self) -> Arc<dyn Sealer> {
        self.repository.sealer.clone()
    }

    /// Adds a gateway under a new name.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyExists`] where the name is taken.
    pub async fn add(
        &self,
        name: &str,
        reach: Reach,
        registration: &Registration,
        now: UnixMillis,
    ) -> Result<(), RepositoryError> {
        self.add_to(name, reach, Vec::new(), registration, now)
            .await
    }

    /// Adds a gateway under a new name, and puts it into groups.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyExists`] where the name is taken.
    pub async fn add_to(
        &self,
        name: &str,
        reach: Reach,
        groups: Vec<String>,
        registration: &Registration,
        now: UnixMillis,
    ) -> Result<(), RepositoryError> {
        let chosen = GatewayChange {
            add_groups: groups,
            ..GatewayChange::default()
        };
        self.add_with(name, reach, chosen, registration, now).await
    }

    /// Adds a gateway under a new name, as `chosen` has it.
    ///
    /// # Errors
    /// [`RepositoryError::AlreadyExists`] where the name is taken.
    pub async fn add_with(
        &self,
        name: &str,
        reach: Reach,
        chosen: GatewayChange,
        registration: &Registration,
        now: UnixMillis,
    ) -> Result<(), RepositoryError> {
        let name = name.to_owned();
        let sealer = &*self.repository.sealer;
        let row = RegistrationRow::new(&name, &reach, now, registration, sealer);
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                if is_there(tx, &name)? {
                    return Err(RepositoryError::AlreadyExists {
                        kind: "gateway",
                        name: name.clone(),
                    });
                }
                row.insert(tx)?;
                gateway_groups::add(tx, &name, &chosen.add_groups)?;
                if let Some(demanded) = chosen.require_tls {
                    gateway_demands::set_tls(tx, &name, demanded)?;
                }
                authority.added(tx, &GATEWAYS, Value::Text(&name))
            })
            .await
    }

    /// All of them, by name.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<Gateway>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| select(tx, &authority, None, &*sealer))
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
                let count: i64 =
                    tx.query_one("SELECT count(*) FROM gateways", &[], |row| row.get(0))?;
                Ok(count.unsigned_abs())
            })
            .await
    }

    /// The gateway named; `None` where there is none.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(
        &self,
        gateway: impl Into<GatewayRef>,
    ) -> Result<Option<Gateway>, RepositoryError> {
        let gateway = gateway.into();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                let found = select(tx, &authority, Some(&gateway), &*sealer)?;
                Ok(found.into_iter().next())
            })
            .await
    }

    /// The names of the gateways at an address, in order.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn names_at(&self, address: &str) -> Result<Vec<String>, RepositoryError> {
        let address = address.to_owned();
        self.repository
            .database
            .read(move |tx| {
                tx.query(
                    "SELECT name FROM gateways WHERE address = ?1 ORDER BY name",
                    &params![address],
                    |row| row.get(0),
                )
            })
            .await
    }

    /// Shows a gateway's registration and all gateway keys to `look`, as they are in one moment.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such gateway.
    pub async fn look<T, F>(
        &self,
        gateway: impl Into<GatewayRef>,
        look: F,
    ) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&Registration, &[GatewayKeyInfo]) -> T + Send + 'static,
    {
        let gateway = gateway.into();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .look(move |tx| {
                let keys = gateway_keys::infos(tx, &authority)?;
                let (row, _) = find_row(tx, &authority, &gateway)?;
                Ok(look(&row.decode(&*sealer)?, &keys))
            })
            .await
    }

    /// Lets `change` alter a gateway's registration, with all gateway keys before it, in one
    /// immediate transaction. Whatever it returns, the registration that it leaves is stored,
    /// durably when this returns. A new registration may take the old one's place.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such gateway; [`RepositoryError`] where
    /// nothing was stored.
    pub async fn update<T, F>(
        &self,
        gateway: impl Into<GatewayRef>,
        change: F,
    ) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Registration, &[GatewayKeyInfo]) -> T + Send + 'static,
    {
        self.update_at(gateway, move |registration, keys, _| {
            change(registration, keys)
        })
        .await
    }

    /// As [`Self::update`], for a `change` that goes by the time of the transaction.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn update_at<T, F>(
        &self,
        gateway: impl Into<GatewayRef>,
        change: F,
    ) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Registration, &[GatewayKeyInfo], UnixMillis) -> T + Send + 'static,
    {
        let changed = self.update_seen(gateway, move |registration, keys, now| {
            (change(registration, keys, now), None)
        });
        Ok(changed.await?.0)
    }

    /// As [`Self::update_at`], for a `change` that may also say that a link to the gateway lives
    /// now: that it was seen is stored with the rest, and the link is given to this instance.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn update_seen<T, F>(
        &self,
        gateway: impl Into<GatewayRef>,
        change: F,
    ) -> Result<(T, Option<Grant>), RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Registration, &[GatewayKeyInfo], UnixMillis) -> (T, Option<UnixMillis>)
            + Send
            + 'static,
    {
        let instance = self.repository.database.instance();
        let gateway = gateway.into();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .write(move |tx| {
                let keys = gateway_keys::infos(tx, &authority)?;
                let (stored, checked) = find_row(tx, &authority, &gateway)?;
                let mut registration = stored.decode(&*sealer)?;
                let now = tx.now()?;
                let (value, seen) = change(&mut registration, &keys, now);
                let row = stored.with(&registration, &*sealer);
                if row.differs(&stored) {
                    row.store(tx, &authority, &stored, &checked)?;
                }
                if row.withdraws(&stored) {
                    meta::raise_authority(tx)?;
                }
                if row.gateway_id() != stored.gateway_id() {
                    links::forget(tx, stored.gateway_id())?;
                }
                if row.first_proves(&stored) {
                    alarms::close_former(tx, &stored.name, row.gateway_id(), now)?;
                }
                let Some(seen) = seen else {
                    return Ok((value, None));
                };
                note_seen(tx, &stored.name, seen)?;
                let grant = links::take(tx, registration.gateway_id, instance, now)?;
                Ok((value, Some(grant)))
            })
            .await
    }

    /// As [`Self::update_at`], for a `change` that seldom changes anything: it is first made on
    /// what a reader sees, and where nothing came of it there is nothing to store, and no writer
    /// to wait for.
    ///
    /// # Errors
    /// As [`Self::update`].
    pub async fn update_where_changed<T, F>(
        &self,
        gateway: impl Into<GatewayRef>,
        change: F,
    ) -> Result<T, RepositoryError>
    where
        T: Send + 'static,
        F: Fn(&mut Registration, &[GatewayKeyInfo], UnixMillis) -> T + Clone + Send + 'static,
    {
        let gateway = gateway.into();
        let (wanted, tried) = (gateway.clone(), change.clone());
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        let unchanged = self
            .repository
            .database
            .read(move |tx| {
                let keys = gateway_keys::infos(tx, &authority)?;
                let (stored, _) = find_row(tx, &authority, &wanted)?;
                let mut registration = stored.decode(&*sealer)?;
                let value = tried(&mut registration, &keys, tx.now()?);
                let row = stored.with(&registration, &*sealer);
                Ok((!row.differs(&stored)).then_some(value))
            })
            .await?;
        match unchanged {
            Some(value) => Ok(value),
            None => self.update_at(gateway, change).await,
        }
    }

    /// Changes who dials whom.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such gateway.
    pub async fn set_reach(&self, name: &str, reach: Reach) -> Result<(), RepositoryError> {
        let change = GatewayChange {
            reach: Some(reach),
            ..GatewayChange::default()
        };
        self.change(name, change).await
    }

    /// Changes what an administrator chose of a gateway.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such gateway.
    pub async fn change(&self, name: &str, change: GatewayChange) -> Result<(), RepositoryError> {
        let name = name.to_owned();
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                let guarded = authority.guard(tx, &GATEWAYS, "name = ?1", &params![name])?;
                if guarded.is_empty() {
                    return Err(GatewayRef::Name(name.clone()).not_found());
                }
                if let Some(reach) = &change.reach {
                    tx.execute(
                        "UPDATE gateways SET address = ?2, last_error = NULL WHERE name = ?1",
                        &params![name, address(reach)],
                    )?;
                }
                if let Some(demanded) = change.require_tls {
                    gateway_demands::set_tls(tx, &name, demanded)?;
                }
                gateway_groups::remove(tx, &name, &change.remove_groups)?;
                gateway_groups::add(tx, &name, &change.add_groups)?;
                guarded.settle(tx)
            })
            .await
    }

    /// A link to it lived until now: clears its last error. Where the link was this instance's, its
    /// row says that there is none any more.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn lost(
        &self,
        name: &str,
        gateway: GatewayId,
        now: UnixMillis,
    ) -> Result<(), RepositoryError> {
        let name = name.to_owned();
        let instance = self.repository.database.instance();
        self.repository
            .database
            .write(move |tx| {
                links::lost(tx, gateway, instance)?;
                note_seen(tx, &name, now)
            })
            .await
    }

    /// What a gateway said of itself, and how far its clock is ahead where that is known. Writes
    /// only what is new: a clock by which it may go differently within a second is not.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn described(
        &self,
        name: &str,
        host: &str,
        version: &str,
        clock_ahead_ms: Option<i64>,
    ) -> Result<(), RepositoryError> {
        let (name, host, version) = (name.to_owned(), host.to_owned(), version.to_owned());
        let (asked, told) = (name.clone(), (host.clone(), version.clone()));
        let known = self.repository.database.read(move |tx| {
            let sql = "SELECT 1 FROM gateways WHERE name = ?1 AND host IS NOT DISTINCT FROM ?2
                         AND version IS NOT DISTINCT FROM ?3
                         AND (clock_ahead_ms IS NOT DISTINCT FROM ?4
                              OR abs(?4 - clock_ahead_ms) < 1000)";
            tx.exists(sql, &params![asked, told.0, told.1, clock_ahead_ms])
        });
        if known.await? {
            return Ok(());
        }
        self.repository
            .database
            .write(move |tx| {
                tx.execute(
                    "UPDATE gateways SET host = ?2, version = ?3, clock_ahead_ms = ?4 WHERE name = ?1",
                    &params![name, host, version, clock_ahead_ms],
                )?;
                Ok(())
            })
            .await
    }

    /// An attempt at a link failed. Writes only where the error is another than the last.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn failed(&self, name: &str, error: &str) -> Result<(), RepositoryError> {
        let (name, error) = (name.to_owned(), error.to_owned());
        self.repository
            .database
            .write(move |tx| {
                tx.execute(
                    "UPDATE gateways SET last_error = ?2 WHERE name = ?1 AND last_error IS DISTINCT FROM ?2",
                    &params![name, error],
                )?;
                Ok(())
            })
            .await
    }
}

fn note_seen(tx: &mut Tx<'_>, name: &str, now: UnixMillis) -> Result<(), RepositoryError> {
    tx.execute(
        "UPDATE gateways SET last_seen_ms = ?2, last_error = NULL WHERE name = ?1",
        &params![name, to_sql_millis(now)],
    )?;
    Ok(())
}

pub(super) fn is_there(tx: &mut Tx<'_>, name: &str) -> Result<bool, RepositoryError> {
    tx.exists("SELECT 1 FROM gateways WHERE name = ?1", &params![name])
}

fn address(reach: &Reach) -> Option<&str> {
    match reach {
        Reach::Address(address) => Some(address),
        Reach::DialOut => None,
    }
}

fn select(
    tx: &mut Tx<'_>,
    authority: &Authority,
    only: Option<&GatewayRef>,
    sealer: &dyn Sealer,
) -> Result<Vec<Gateway>, RepositoryError> {
    let filter = match only {
        None => "",
        Some(GatewayRef::Name(_)) => "WHERE name = ?1",
        Some(GatewayRef::Id(_)) => "WHERE gateway_id = ?1",
    };
    let columns = columns();
    let sql = format!(
        "SELECT {columns}, last_seen_ms, last_error, host, version, clock_ahead_ms FROM gateways {filter} ORDER BY name"
    );
    let read = |row: &Row<'_>| Ok((UncheckedRow::read(row)?, Seen::read(row)?));
    let rows = match only {
        None => tx.query(&sql, &[], read)?,
        Some(GatewayRef::Name(name)) => tx.query(&sql, &params![name], read)?,
        Some(GatewayRef::Id(id)) => tx.query(&sql, &params![id.to_bytes()], read)?,
    };
    // Where all are wanted, one query for the alarms of all of them.
    let mut all = match only {
        None => Some(alarms::open_of_all(tx)?),
        Some(_) => None,
    };
    let mut gateways = Vec::with_capacity(rows.len());
    for (row, seen) in rows {
        let alarms = match &mut all {
            Some(alarms) => alarms.remove(row.name()).unwrap_or_default(),
            None => alarms::open_of(tx, row.name())?,
        };
        gateways.push(checked(tx, authority, row, seen, alarms, sealer)?);
    }
    Ok(gateways)
}

/// What decides nothing of a gateway.
struct Seen {
    last: Option<UnixMillis>,
    error: Option<String>,
    host: Option<String>,
    version: Option<String>,
    clock_ahead_ms: Option<i64>,
}

impl Seen {
    /// Reads the columns that follow those of [`UncheckedRow`].
    fn read(row: &Row<'_>) -> Result<Self, RepositoryError> {
        Ok(Self {
            last: row.get::<Option<i64>>(COLUMN_COUNT)?.map(from_sql_millis),
            error: row.get(COLUMN_COUNT + 1)?,
            host: row.get(COLUMN_COUNT + 2)?,
            version: row.get(COLUMN_COUNT + 3)?,
            clock_ahead_ms: row.get(COLUMN_COUNT + 4)?,
        })
    }
}

/// The gateway of a row, with its groups. One whose MAC is wrong decides nothing: the gateway is
/// let in by no key, and is in no group.
fn checked(
    tx: &mut Tx<'_>,
    authority: &Authority,
    row: UncheckedRow,
    seen: Seen,
    alarms: Vec<Alarm>,
    sealer: &dyn Sealer,
) -> Result<Gateway, RepositoryError> {
    let (name, closed) = (row.name().to_owned(), row.closed());
    let (reach, created) = row.reach();
    let mut gateway = Gateway {
        reach,
        registration: closed,
        created,
        last_seen: seen.last,
        last_error: seen.error,
        host: seen.host,
        version: seen.version,
        clock_ahead_ms: seen.clock_ahead_ms,
        groups: Vec::new(),
        alarms,
        require_tls: false,
        record_changed: false,
        name,
    };
    match row.check(tx, authority) {
        Ok((row, _)) => {
            gateway.registration = row.decode(sealer)?;
            gateway.groups = gateway_groups::of(tx, &gateway.name)?;
            gateway.require_tls = gateway_demands::tls(tx, &gateway.name)?;
        }
        Err(error @ RepositoryError::RowChanged { .. }) => {
            gateway.record_changed = true;
            gateway.last_error = Some(error.to_string());
            let alarm = Alarm {
                id: 0,
                gateway: gateway.name.clone(),
                kind: AlarmKind::RecordChanged,
                first: clock::now(),
                last: clock::now(),
                count: 1,
                text: error.to_string(),
                closed: None,
            };
            gateway.alarms.insert(0, alarm);
        }
        Err(error) => return Err(error),
    }
    Ok(gateway)
}

pub(super) fn find_row(
    tx: &mut Tx<'_>,
    authority: &Authority,
    gateway: &GatewayRef,
) -> Result<(RegistrationRow, Checked), RepositoryError> {
    let columns = columns();
    let found = match gateway {
        GatewayRef::Name(name) => tx.query_optional(
            &format!("SELECT {columns} FROM gateways WHERE name = ?1"),
            &params![name],
            UncheckedRow::read,
        ),
        GatewayRef::Id(id) => tx.query_optional(
            &format!("SELECT {columns} FROM gateways WHERE gateway_id = ?1"),
            &params![id.to_bytes()],
            UncheckedRow::read,
        ),
    };
    let found = found?.ok_or_else(|| gateway.not_found())?;
    found.check(tx, authority)
}
