//! Calls that may change something: what was accepted, how each stands, and what came of it.
//!
//! ```text
//! accepted ─→ waiting ─→ dispatched ─→ done, failed, indeterminate
//!                │  ↑         │  ↑               ↑
//!                │  └ unsent ─┘  └─→ unknown ────┘ (looked at)
//!                └─→ cancelled, expired
//! ```

mod accept;
mod call;
mod end;
mod payload;
mod row;
mod spent;
mod turn;
mod unknown;

use portcullis_common::rotation::UnixMillis;
use zeroize::Zeroizing;

use super::authority::{Authority, QUEUED_CALLS};
use super::columns::{from_sql_millis, to_sql_millis};
use super::sql::{Tx, params};
use super::{Repository, RepositoryError, Sealer, sealed_values};
use call::SELECTED;
pub use call::{
    CallCounts, Dispatched, EndOf, Enqueued, NewQueuedCall, OpenedPayload, Payload, PayloadError,
    QueuedCall, QueuedFilter, QueuedState,
};
pub use end::{EndedCall, WaitsAgain};
use payload::{field, place};
use row::{end_waiting, find, read, remove_payload, require};
pub(super) use spent::Spent;
pub use unknown::{Unacknowledged, UnknownCalls};

/// Whoever makes a direct call gives it up when its time is over. So much later nobody sees to it
/// any more, in milliseconds, and it would keep others from its object.
const ABANDONED_MS: i64 = 60_000;
/// Records that one transaction forgets.
const FORGOTTEN: u32 = 1_000;

/// Calls: in the order of their objects, each begun at most once.
#[derive(Clone, Copy, Debug)]
pub struct QueuedCalls<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// The calls that may change something, and what was queued.
    pub const fn queued_calls(&self) -> QueuedCalls<'_> {
        QueuedCalls { repository: self }
    }
}

impl QueuedCalls<'_> {
    /// The call of that id; `None`: none was queued, or it ended so long ago that it was forgotten.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self, call_id: &str) -> Result<Option<QueuedCall>, RepositoryError> {
        let call_id = call_id.to_owned();
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .look(move |tx| find(tx, &authority, &call_id))
            .await
    }

    /// How many have no outcome that is known.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn counts(&self) -> Result<CallCounts, RepositoryError> {
        self.repository
            .database
            .read(|tx| {
                let counted = tx.query(
                    "SELECT state, lost IS NOT NULL, count(*) FROM queued_calls
                     WHERE state IN (0, 1, 4) GROUP BY 1, 2",
                    &[],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get::<i64>(2)?)),
                )?;
                let mut counts = CallCounts::default();
                for (state, lost, count) in counted {
                    counts.add(QueuedState::of_row(state, lost)?, count.unsigned_abs());
                }
                Ok(counts)
            })
            .await
    }

    /// The first `limit` calls after `after` that `filter` selects, in the order in which they were
    /// queued.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(
        &self,
        filter: QueuedFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<QueuedCall>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .read(move |tx| {
                tx.query(
                    &QUEUED_CALLS.select(&format!(
                        "sequence > ?4 AND {SELECTED} ORDER BY sequence LIMIT ?5"
                    )),
                    &params![
                        filter.states(),
                        filter.resource,
                        filter.gateway,
                        after,
                        limit
                    ],
                    |row| read(row, &authority),
                )
            })
            .await
    }

    /// Takes back the calls that `filter` selects and that still wait, for this reason: at most
    /// `limit`, of which it gives the ids.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was taken back.
    pub async fn cancel_many(
        &self,
        filter: QueuedFilter,
        limit: u32,
        (now, why): (UnixMillis, &str),
    ) -> Result<Vec<String>, RepositoryError> {
        let why = why.to_owned();
        let authority = self.repository.database.authority()?;
        let (ids, numbers) = self
            .repository
            .database
            .write(move |tx| {
                let ids: Vec<String> = tx.query(
                    &format!(
                        "SELECT call_id FROM queued_calls WHERE state = 0 AND {SELECTED} ORDER BY sequence LIMIT ?4"
                    ),
                    &params![filter.states(), filter.resource, filter.gateway, limit],
                    |row| row.get(0),
                )?;
                let mut numbers = Vec::with_capacity(ids.len());
                for id in &ids {
                    let end = (QueuedState::Cancelled, Some(&*why));
                    numbers.extend(end_waiting(tx, &authority, id, end, now)?);
                }
                Ok((ids, numbers))
            })
            .await?;
        self.wait_no_more(numbers);
        Ok(ids)
    }

    /// Takes back a call that still waits, for this reason. Gives it as it then is: where it was
    /// dispatched or had ended, as it was.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is none of that id.
    pub async fn cancel(
        &self,
        call_id: &str,
        (now, why): (UnixMillis, &str),
    ) -> Result<QueuedCall, RepositoryError> {
        let (call_id, why) = (call_id.to_owned(), why.to_owned());
        let authority = self.repository.database.authority()?;
        let call = self
            .repository
            .database
            .write(move |tx| {
                if require(tx, &authority, &call_id)?.state == QueuedState::Waiting {
                    let end = (QueuedState::Cancelled, Some(&*why));
                    end_waiting(tx, &authority, &call_id, end, now)?;
                }
                require(tx, &authority, &call_id)
            })
            .await?;
        if call.state == QueuedState::Cancelled {
            self.wait_no_more([call.sequence]);
        }
        Ok(call)
    }

    /// What waits now may have been put back, and is not to be sent. Gives how many that are.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn doubt_waiting(&self) -> Result<usize, RepositoryError> {
        let filter = QueuedFilter {
            states: vec![QueuedState::Waiting],
            ..QueuedFilter::default()
        };
        let waiting = self.list(filter, 0, u32::MAX).await?;
        let sound = waiting.iter().filter(|call| call.fault.is_none());
        self.wait_no_more(sound.map(|call| call.sequence));
        Ok(waiting.len())
    }

    /// These wait no more: where their rows are put back by hand, they are not sent.
    fn wait_no_more(&self, numbers: impl IntoIterator<Item = i64>) {
        let spent = self.repository.database.spent();
        numbers.into_iter().for_each(|number| spent.add(number));
    }

    /// Ends what waits beyond its time, of direct calls those that their callers have abandoned,
    /// forgets what ended before `forget`, and what was sent of calls that ended before `erase`.
    /// Gives when there is something to do next, and those that expired.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn expire(
        &self,
        now: UnixMillis,
        erase: UnixMillis,
        forget: UnixMillis,
    ) -> Result<(Option<UnixMillis>, Vec<QueuedCall>), RepositoryError> {
        let authority = self.repository.database.authority()?;
        let (next, expired, numbers) = self
            .repository
            .database
            .write(move |tx| {
                let over = format!("expires_ms + direct * {ABANDONED_MS}");
                let selected = format!("state = 0 AND {over} <= ?1 ORDER BY sequence");
                let expired: Vec<QueuedCall> = tx.query(
                    &QUEUED_CALLS.select(&selected),
                    &params![to_sql_millis(now)],
                    |row| read(row, &authority),
                )?;
                let mut numbers = Vec::with_capacity(expired.len());
                for call in &expired {
                    let end = (QueuedState::Expired, None);
                    numbers.push(end_waiting(tx, &authority, &call.call_id, end, now)?);
                }
                let more = forget_old(tx, &authority, erase, forget)?;
                let sql = format!(
                    "SELECT min(CASE WHEN next_ms < {over} THEN next_ms ELSE {over} END) FROM queued_calls WHERE state = 0"
                );
                let next: Option<i64> = tx.query_one(&sql, &[], |row| row.get(0))?;
                let next = match more {
                    true => Some(now),
                    false => next.map(from_sql_millis),
                };
                Ok((next, expired, numbers))
            })
            .await?;
        self.wait_no_more(numbers.into_iter().flatten());
        Ok((next, expired))
    }
}

/// True: there are more.
fn forget_old(
    tx: &mut Tx<'_>,
    authority: &Authority,
    erase: UnixMillis,
    forget: UnixMillis,
) -> Result<bool, RepositoryError> {
    let ids = |tx: &mut Tx<'_>, what: &str, before: UnixMillis| {
        let sql =
            format!("SELECT call_id FROM queued_calls WHERE {what} AND ended_ms < ?1 LIMIT ?2");
        tx.query(&sql, &params![to_sql_millis(before), FORGOTTEN], |row| {
            row.get::<String>(0)
        })
    };
    let old = ids(tx, "state > 1", forget)?;
    for id in &old {
        accept::forget(tx, authority, id)?;
    }
    let kept = ids(tx, "kept = 1", erase)?;
    for id in &kept {
        remove_payload(tx, id)?;
        tx.execute(
            "UPDATE queued_calls SET kept = 0 WHERE call_id = ?1",
            &params![id],
        )?;
    }
    Ok(old.len().max(kept.len()) >= FORGOTTEN as usize)
}

/// Ends what waits for a resource that is removed, or is reached in another way from now on, as
/// `why` says. Gives the ids.
pub(super) fn cancel_of_resource(
    tx: &mut Tx<'_>,
    authority: &Authority,
    (resource, why): (&str, &str),
    now: UnixMillis,
) -> Result<Vec<String>, RepositoryError> {
    let waiting: Vec<String> = tx.query(
        "SELECT call_id FROM queued_calls WHERE state = 0 AND resource = ?1 ORDER BY sequence",
        &params![resource],
        |row| row.get(0),
    )?;
    for call_id in &waiting {
        let end = (QueuedState::Cancelled, Some(why));
        end_waiting(tx, authority, call_id, end, now)?;
    }
    Ok(waiting)
}

/// How many calls wait for a gateway, or are under way through it.
pub(super) fn open_of_gateway(tx: &mut Tx<'_>, gateway: &str) -> Result<u64, RepositoryError> {
    let open: i64 = tx.query_one(
        "SELECT count(*) FROM queued_calls q JOIN resources r ON r.name = q.resource
         WHERE q.state < 2 AND r.gateway = ?1",
        &params![gateway],
        |row| row.get(0),
    )?;
    Ok(open.unsigned_abs())
}

/// Seals the payloads that wait for a gateway for its new name. To be called while its resources
/// still name the old one.
pub(super) fn follow_rename(
    tx: &mut Tx<'_>,
    authority: &Authority,
    old: &str,
    new: &str,
    sealer: &dyn Sealer,
) -> Result<(), RepositoryError> {
    let open: Vec<(String, String)> = tx.query(
        "SELECT q.call_id, q.resource FROM queued_calls q JOIN resources r ON r.name = q.resource
         WHERE (q.state < 2 OR q.kept = 1) AND r.gateway = ?1",
        &params![old],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    QueuedCalls::follow(tx, authority, old, new)?;
    for (call_id, resource) in open {
        let (before, after) = (field(&resource, old), field(&resource, new));
        let context = sealed_values::context_of(tx, &place(&call_id, &before, &[]))?;
        let context = context.unwrap_or_default();
        let from = place(&call_id, &before, &context);
        let Some(sealed) = sealed_values::find(tx, &from)? else {
            continue;
        };
        let payload = Zeroizing::new(sealer.open(&from, &sealed)?);
        sealed_values::remove(tx, &from)?;
        let to = place(&call_id, &after, &context);
        sealed_values::put(tx, &to, &sealer.seal(&to, &payload))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
