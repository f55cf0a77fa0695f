//! Calls of which nobody knows what came, and those whose gateways are to be told that it is known.

use portcullis_common::id::GatewayId;

use super::row::{change, read};
use super::{QueuedCall, QueuedCalls};
use crate::repository::authority::{Authority, QUEUED_CALLS};
use crate::repository::instance::{InstanceId, has_no_server};
use crate::repository::resources;
use crate::repository::sql::{Tx, params};
use crate::repository::{Payload, RepositoryError};

/// A call as its gateway knows it: its id, and how many attempts there were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unacknowledged {
    /// Its id.
    pub call_id: String,
    /// The last attempt.
    pub attempt: u32,
}

/// What stands behind the name of the gateway where calls were dispatched to a registration that is
/// no more. No gateway's name holds a blank.
const FORMER: &str = " (former registration)";

/// Calls that are handed over in one transaction.
const HANDED_AT_ONCE: u32 = 256;

/// Calls of which nobody knows what came, and the registration that they were dispatched to.
#[derive(Clone, Debug, Default)]
pub struct UnknownCalls {
    /// Whom they were dispatched to; `None`: its registration is no more.
    pub to: Option<GatewayId>,
    /// The calls.
    pub calls: Vec<QueuedCall>,
}

impl QueuedCalls<'_> {
    /// The gateways of the calls that are this instance's and of which nobody knows what came.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn gateways_of_unknown(&self) -> Result<Vec<String>, RepositoryError> {
        let instance = self.repository.database.instance();
        let sql = "SELECT DISTINCT gateway FROM queued_calls
             WHERE state = 1 AND lost IS NOT NULL AND instance = ?1";
        self.repository
            .database
            .read(move |tx| tx.query(sql, &params![instance], |row| row.get(0)))
            .await
    }

    /// The first `limit` calls after `after` that were dispatched to this gateway, are this
    /// instance's, and of which nobody knows what came.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn unknown(
        &self,
        gateway: &str,
        after: i64,
        limit: u32,
    ) -> Result<UnknownCalls, RepositoryError> {
        let gateway = gateway.to_owned();
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        self.repository
            .database
            .read(move |tx| {
                let calls = tx.query(
                    &QUEUED_CALLS.select(
                        "state = 1 AND lost IS NOT NULL AND gateway = ?1 AND sequence > ?2
                             AND instance = ?4
                         ORDER BY sequence LIMIT ?3",
                    ),
                    &params![gateway, after, limit, instance],
                    |row| read(row, &authority),
                )?;
                let to = registration_of(tx, &gateway)?;
                Ok(UnknownCalls { to, calls })
            })
            .await
    }

    /// Hands the calls that are this instance's, and of which nobody knows what came, to the
    /// servers that have the links to their gateways now: those look, and write what came of them,
    /// from then on. Gives how many.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was handed over.
    pub async fn hand_over(&self) -> Result<usize, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        let database = &self.repository.database;
        if database
            .look(move |tx| held_elsewhere(tx, instance))
            .await?
            .is_empty()
        {
            return Ok(0);
        }
        let handed = database
            .write(move |tx| {
                let held = held_elsewhere(tx, instance)?;
                for call in &held {
                    change(tx, &authority, &call.call_id, |tx| {
                        tx.execute(
                            "UPDATE queued_calls SET instance = ?2 WHERE call_id = ?1",
                            &params![call.call_id, call.holder],
                        )
                    })?;
                }
                Ok(held)
            })
            .await?;
        // One of them that was not begun may come here again, as one that waits.
        for call in &handed {
            database.spent().remove(call.sequence);
        }
        Ok(handed.len())
    }

    /// The direct calls that wait for their turn at servers whose rows are gone: nobody waits for
    /// them any more.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn abandoned(&self) -> Result<Vec<QueuedCall>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let instance = self.repository.database.instance();
        let has_no_server = has_no_server(self.repository.database.is_shared());
        self.repository
            .database
            .read(move |tx| {
                let sql = QUEUED_CALLS.select(&format!(
                    "state = 0 AND direct = 1 AND {has_no_server} ORDER BY sequence"
                ));
                tx.query(&sql, &params![instance], |row| read(row, &authority))
            })
            .await
    }

    /// What was sent, as long as it is kept; `None`: its server key is not here.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where its resource is gone.
    pub async fn payload(&self, call: &QueuedCall) -> Result<Option<Payload>, RepositoryError> {
        let (call_id, resource) = (call.call_id.clone(), call.resource.clone());
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                let route = resources::route(tx, &authority, &resource)?;
                super::payload::payload(tx, &*sealer, &call_id, resource.clone(), &route)
            })
            .await
    }

    /// The trace that a call belongs to, where it has one: 32 hexadecimal digits.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn trace_id(&self, call_id: &str) -> Result<Option<String>, RepositoryError> {
        let call_id = call_id.to_owned();
        let found: Option<Option<String>> = self
            .repository
            .database
            .read(move |tx| {
                let sql = "SELECT trace_id FROM queued_calls WHERE call_id = ?1";
                tx.query_optional(sql, &params![call_id], |row| row.get(0))
            })
            .await?;
        // Anybody who can write to the repository's file may have put in another.
        let is_one = |id: &String| id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
        Ok(found.flatten().filter(is_one))
    }

    /// The gateways that have not been told of calls that ended.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn gateways_unacknowledged(&self) -> Result<Vec<String>, RepositoryError> {
        let sql = "SELECT DISTINCT gateway FROM queued_calls WHERE acknowledged = 0 AND state > 1";
        self.repository
            .database
            .read(move |tx| tx.query(sql, &[], |row| row.get(0)))
            .await
    }

    /// At most `limit` calls that ended and whose gateway has not been told so, and the
    /// registration that they were dispatched to; `None`: it is no more.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn unacknowledged(
        &self,
        gateway: &str,
        limit: u32,
    ) -> Result<(Option<GatewayId>, Vec<Unacknowledged>), RepositoryError> {
        let gateway = gateway.to_owned();
        self.repository
            .database
            .read(move |tx| {
                let calls = tx.query(
                    "SELECT call_id, attempt FROM queued_calls
                     WHERE acknowledged = 0 AND gateway = ?1 AND state > 1 LIMIT ?2",
                    &params![gateway, limit],
                    |row| {
                        Ok(Unacknowledged {
                            call_id: row.get(0)?,
                            attempt: row.get(1)?,
                        })
                    },
                )?;
                Ok((registration_of(tx, &gateway)?, calls))
            })
            .await
    }

    /// The gateways of these calls know that their outcomes are stored.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn acknowledged(&self, calls: Vec<Unacknowledged>) -> Result<(), RepositoryError> {
        self.repository
            .database
            .write(move |tx| {
                for call in &calls {
                    tx.execute(
                        "UPDATE queued_calls SET acknowledged = 1
                         WHERE call_id = ?1 AND attempt = ?2 AND state > 1",
                        &params![call.call_id, call.attempt],
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// Has the calls that were dispatched to a gateway stay with its registration, which is no
    /// more: whoever has the name next is neither asked of them nor told.
    pub(in crate::repository) fn orphan(
        tx: &mut Tx<'_>,
        authority: &Authority,
        gateway: &str,
    ) -> Result<(), RepositoryError> {
        Self::follow(tx, authority, gateway, &format!("{gateway}{FORMER}"))
    }

    /// Has the calls that are under way through a gateway follow it to its new name.
    pub(in crate::repository) fn follow(
        tx: &mut Tx<'_>,
        authority: &Authority,
        old: &str,
        new: &str,
    ) -> Result<(), RepositoryError> {
        let ids: Vec<String> = tx.query(
            "SELECT call_id FROM queued_calls WHERE gateway = ?1 AND (state = 1 OR acknowledged = 0)",
            &params![old],
            |row| row.get(0),
        )?;
        for id in ids {
            change(tx, authority, &id, |tx| {
                tx.execute(
                    "UPDATE queued_calls SET gateway = ?2 WHERE call_id = ?1",
                    &params![id, new],
                )
            })?;
        }
        Ok(())
    }
}

/// A call of which nobody knows what came, and who has the link to its gateway.
struct HeldElsewhere {
    call_id: String,
    sequence: i64,
    holder: InstanceId,
}

/// Those of this instance whose gateways other servers have the links to.
fn held_elsewhere(
    tx: &mut Tx<'_>,
    instance: InstanceId,
) -> Result<Vec<HeldElsewhere>, RepositoryError> {
    tx.query(
        "SELECT q.call_id, q.sequence, l.instance
         FROM queued_calls q
            JOIN gateways g ON g.name = q.gateway
            JOIN links l ON l.gateway_id = g.gateway_id
            JOIN servers s ON s.instance = l.instance
         WHERE q.state = 1 AND q.lost IS NOT NULL AND q.instance = ?1 AND l.instance <> ?1
         ORDER BY q.sequence LIMIT ?2",
        &params![instance, HANDED_AT_ONCE],
        |row| {
            Ok(HeldElsewhere {
                call_id: row.get(0)?,
                sequence: row.get(1)?,
                holder: row.get(2)?,
            })
        },
    )
}

/// `None`: no gateway has that name, as where [`FORMER`] stands behind it.
fn registration_of(tx: &mut Tx<'_>, gateway: &str) -> Result<Option<GatewayId>, RepositoryError> {
    let sql = "SELECT gateway_id FROM gateways WHERE name = ?1";
    let found: Option<Vec<u8>> = tx.query_optional(sql, &params![gateway], |row| row.get(0))?;
    Ok(found.and_then(|bytes| GatewayId::from_bytes(&bytes)))
}
