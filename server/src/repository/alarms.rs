//! Alarms: what an administrator has to look into. Alike ones are one, which counts them; an alarm
//! is open until it is acknowledged, or its gateway enrolled anew.

use std::collections::HashMap;

use portcullis_common::rotation::UnixMillis;

use super::columns::{from_sql_millis, to_sql_millis};
use super::gateways::{GatewayRef, is_there};
use super::sql::{Row, Tx, params};
use super::{Gateways, RepositoryError};

/// Alarms kept of one gateway: the newest, and open ones before those that are closed.
const MAX_ALARMS: u32 = 20;

const COLUMNS: &str =
    "id, gateway, kind, raised_ms, last_ms, count, text, closed_ms, closed_by, reason";

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmKind {
    /// Two hosts seem to hold the key of one gateway.
    TwoHosts,
    /// Two hosts used one enrolment token.
    TokenInTwoHands,
    /// Two servers say that they have its link, by one and the same grant.
    TwoServers,
    /// It has seen a later grant than the repository has given out.
    WentBack,
    /// Its journal of calls is another one, or was put back to an earlier state.
    JournalLost,
    /// The gateway's record in the repository was changed by hand, and decides nothing.
    RecordChanged,
    /// Raised by another version of this program.
    Other,
}

impl AlarmKind {
    /// Its name in the repository and in answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TwoHosts => "two-hosts",
            Self::TokenInTwoHands => "token-in-two-hands",
            Self::TwoServers => "two-servers",
            Self::WentBack => "went-back",
            Self::JournalLost => "journal-lost",
            Self::RecordChanged => "record-changed",
            Self::Other => "other",
        }
    }

    fn from_name(name: &str) -> Self {
        match name {
            "two-hosts" => Self::TwoHosts,
            "token-in-two-hands" => Self::TokenInTwoHands,
            "two-servers" => Self::TwoServers,
            "went-back" => Self::WentBack,
            "journal-lost" => Self::JournalLost,
            "record-changed" => Self::RecordChanged,
            _ => Self::Other,
        }
    }
}

/// An alarm about to be raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAlarm {
    /// What it is about.
    pub kind: AlarmKind,
    /// What it has in common with those that it is counted with, such as the peers' addresses.
    pub alike: String,
    /// What happened, and what to do.
    pub text: String,
}

/// Something that an administrator has to look into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Names it.
    pub id: i64,
    /// Whose it is.
    pub gateway: String,
    /// What it is about.
    pub kind: AlarmKind,
    /// When it was first raised.
    pub first: UnixMillis,
    /// When it was raised last.
    pub last: UnixMillis,
    /// How often.
    pub count: u64,
    /// What happened last, and what to do.
    pub text: String,
    /// `None`: it is open.
    pub closed: Option<Closed>,
}

/// How an alarm was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// When.
    pub at: UnixMillis,
    /// Who acknowledged it; empty: the gateway enrolled anew.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Which alarms are acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledgement {
    /// Only the alarm with this id; `None`: all open ones of the gateway.
    pub alarm: Option<i64>,
    /// Who acknowledges them.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl Gateways<'_> {
    /// Raises an alarm, or counts it with the open one that is alike. Gives how often that one was
    /// raised: 1 where it is new.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn raise_alarm(
        &self,
        name: &str,
        alarm: NewAlarm,
        now: UnixMillis,
    ) -> Result<u64, RepositoryError> {
        let name = name.to_owned();
        self.database()
            .write(move |tx| raise(tx, &name, &alarm, now))
            .await
    }

    /// Alarms, those raised last first: of one gateway or of all, the open ones or all.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such gateway.
    pub async fn alarms(
        &self,
        gateway: Option<&str>,
        closed_too: bool,
    ) -> Result<Vec<Alarm>, RepositoryError> {
        let gateway = gateway.map(str::to_owned);
        self.database()
            .read(move |tx| {
                if let Some(name) = &gateway
                    && !is_there(tx, name)?
                {
                    return Err(GatewayRef::Name(name.clone()).not_found());
                }
                let sql = format!(
                    "SELECT {COLUMNS} FROM alarms
                     WHERE (?1 IS NULL OR gateway = ?1) AND (?2 <> 0 OR closed_ms IS NULL)
                     ORDER BY last_ms DESC, id DESC"
                );
                tx.query(&sql, &params![gateway, closed_too], read)
            })
            .await
    }

    /// The number of open alarms of each gateway that has any.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn open_alarms(&self) -> Result<HashMap<String, u32>, RepositoryError> {
        self.database()
            .read(|tx| {
                let sql =
                    "SELECT gateway, count(*) FROM alarms WHERE closed_ms IS NULL GROUP BY gateway";
                let counts = tx.query(sql, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
                Ok(counts.into_iter().collect())
            })
            .await
    }

    /// Closes open alarms of a gateway. Gives those that were closed.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such gateway.
    pub async fn acknowledge(
        &self,
        name: &str,
        acknowledgement: Acknowledgement,
        now: UnixMillis,
    ) -> Result<Vec<i64>, RepositoryError> {
        let name = name.to_owned();
        self.database()
            .write(move |tx| {
                if !is_there(tx, &name)? {
                    return Err(GatewayRef::Name(name.clone()).not_found());
                }
                let Acknowledgement { alarm, by, reason } = &acknowledgement;
                let open: Vec<i64> = tx.query(
                    "SELECT id FROM alarms
                     WHERE gateway = ?1 AND closed_ms IS NULL AND (?2 IS NULL OR id = ?2)",
                    &params![name, alarm],
                    |row| row.get(0),
                )?;
                for id in &open {
                    tx.execute(
                        "UPDATE alarms SET closed_ms = ?2, closed_by = ?3, reason = ?4 WHERE id = ?1",
                        &params![id, to_sql_millis(now), by, reason],
                    )?;
                }
                Ok(open)
            })
            .await
    }
}

fn raise(
    tx: &mut Tx<'_>,
    name: &str,
    alarm: &NewAlarm,
    now: UnixMillis,
) -> Result<u64, RepositoryError> {
    let now = to_sql_millis(now);
    let open: Option<(i64, i64)> = tx.query_optional(
        "SELECT id, count FROM alarms
         WHERE gateway = ?1 AND kind = ?2 AND alike = ?3 AND closed_ms IS NULL",
        &params![name, alarm.kind.name(), alarm.alike],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    if let Some((id, count)) = open {
        tx.execute(
            "UPDATE alarms SET count = count + 1, last_ms = ?2, text = ?3 WHERE id = ?1",
            &params![id, now, alarm.text],
        )?;
        return Ok(count.unsigned_abs().saturating_add(1));
    }
    tx.execute(
        "INSERT INTO alarms (gateway, raised_ms, last_ms, kind, alike, text, gateway_id)
         SELECT name, ?2, ?2, ?3, ?4, ?5, gateway_id FROM gateways WHERE name = ?1",
        &params![name, now, alarm.kind.name(), alarm.alike, alarm.text],
    )?;
    tx.execute(
        "DELETE FROM alarms WHERE gateway = ?1 AND id NOT IN
           (SELECT id FROM alarms WHERE gateway = ?1
            ORDER BY closed_ms IS NULL DESC, last_ms DESC, id DESC LIMIT ?2)",
        &params![name, MAX_ALARMS],
    )?;
    Ok(1)
}

/// The gateway enrolled: what was about a former registration of it is over.
pub(super) fn close_former(
    tx: &mut Tx<'_>,
    name: &str,
    gateway_id: &[u8],
    now: UnixMillis,
) -> Result<(), RepositoryError> {
    tx.execute(
        "UPDATE alarms SET closed_ms = ?3, closed_by = '', reason = 'the gateway enrolled anew'
         WHERE gateway = ?1 AND closed_ms IS NULL AND gateway_id IS DISTINCT FROM ?2",
        &params![name, gateway_id, to_sql_millis(now)],
    )?;
    Ok(())
}

/// The open alarms of every gateway that has any, those raised last first.
pub(super) fn open_of_all(tx: &mut Tx<'_>) -> Result<HashMap<String, Vec<Alarm>>, RepositoryError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM alarms WHERE closed_ms IS NULL ORDER BY last_ms DESC, id DESC"
    );
    let mut alarms = HashMap::<String, Vec<Alarm>>::new();
    for alarm in tx.query(&sql, &[], read)? {
        alarms.entry(alarm.gateway.clone()).or_default().push(alarm);
    }
    Ok(alarms)
}

/// The open alarms of one gateway, those raised last first.
pub(super) fn open_of(tx: &mut Tx<'_>, gateway: &str) -> Result<Vec<Alarm>, RepositoryError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM alarms WHERE gateway = ?1 AND closed_ms IS NULL
         ORDER BY last_ms DESC, id DESC"
    );
    tx.query(&sql, &params![gateway], read)
}

fn read(row: &Row<'_>) -> Result<Alarm, RepositoryError> {
    let closed: Option<i64> = row.get(7)?;
    let (by, reason): (Option<String>, Option<String>) = (row.get(8)?, row.get(9)?);
    Ok(Alarm {
        id: row.get(0)?,
        gateway: row.get(1)?,
        kind: AlarmKind::from_name(&row.get::<String>(2)?),
        first: from_sql_millis(row.get(3)?),
        last: from_sql_millis(row.get(4)?),
        count: row.get::<i64>(5)?.unsigned_abs(),
        text: row.get(6)?,
        closed: closed.map(|at| Closed {
            at: from_sql_millis(at),
            by: by.unwrap_or_default(),
            reason: reason.unwrap_or_default(),
        }),
    })
}
