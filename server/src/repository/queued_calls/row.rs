//! A row of the queue: read and checked, and changed with its MAC.

use portcullis_common::rotation::UnixMillis;

use super::{QueuedCall, QueuedState};
use crate::repository::authority::{Authority, QUEUED_CALLS, Stamp};
use crate::repository::columns::{from_sql_millis, to_sql_millis};
use crate::repository::sql::{Row, Tx, Value, params};
use crate::repository::{ProtectedType, RepositoryError, sealed_values};

/// The call of that id; `None`: there is none.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn find(
    tx: &mut Tx<'_>,
    authority: &Authority,
    call_id: &str,
) -> Result<Option<QueuedCall>, RepositoryError> {
    let sql = QUEUED_CALLS.select("call_id = ?1");
    tx.query_optional(&sql, &params![call_id], |row| read(row, authority))
}

/// The call of that id.
///
/// # Errors
/// [`RepositoryError::NotFound`] where there is none.
pub(super) fn require(
    tx: &mut Tx<'_>,
    authority: &Authority,
    call_id: &str,
) -> Result<QueuedCall, RepositoryError> {
    find(tx, authority, call_id)?.ok_or_else(|| RepositoryError::NotFound {
        kind: "call",
        name: call_id.to_owned(),
    })
}

/// Changes a row, also one whose MAC is wrong, which it stays.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn change<T>(
    tx: &mut Tx<'_>,
    authority: &Authority,
    call_id: &str,
    work: impl FnOnce(&mut Tx<'_>) -> Result<T, RepositoryError>,
) -> Result<T, RepositoryError> {
    let guarded = authority.guard_any(tx, &QUEUED_CALLS, "call_id = ?1", &params![call_id])?;
    let done = work(tx)?;
    guarded.settle(tx)?;
    Ok(done)
}

/// Changes the row of a call by an `UPDATE` of one row, where its condition holds, and makes its
/// MAC; one that is wrong stays so. Gives whether it did.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn update(
    tx: &mut Tx<'_>,
    authority: &Authority,
    call_id: &str,
    update: &str,
    params: &[Value<'_>],
) -> Result<bool, RepositoryError> {
    let table = &QUEUED_CALLS;
    let sql = table.select("call_id = ?1");
    let stamp = |row: &Row<'_>| Stamp::read(table, row, 0);
    let Some(before) = tx.query_optional(&sql, &params![call_id], stamp)? else {
        return Ok(false);
    };
    let checked = match authority.check_alone(table, &before) {
        Ok(checked) => Some(checked),
        Err(RepositoryError::RowChanged { .. }) => None,
        Err(error) => return Err(error),
    };
    let Some(after) = tx.query_optional(&table.returning(update), params, stamp)? else {
        return Ok(false);
    };
    if let Some(checked) = checked {
        authority.renew_read(tx, table, &after, Some(&checked.mac))?;
    }
    Ok(true)
}

/// Ends a call that waits, as what it then is and why. Gives its number; `None`: its row does not
/// check, and numbers nothing.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn end_waiting(
    tx: &mut Tx<'_>,
    authority: &Authority,
    call_id: &str,
    (state, why): (QueuedState, Option<&str>),
    now: UnixMillis,
) -> Result<Option<i64>, RepositoryError> {
    change(tx, authority, call_id, |tx| {
        tx.execute(
            "UPDATE queued_calls SET state = ?2, ended_ms = ?3, lost = ?4
             WHERE call_id = ?1 AND state = 0",
            &params![call_id, state.number(), to_sql_millis(now), why],
        )
    })?;
    remove_payload(tx, call_id)?;
    let call = require(tx, authority, call_id)?;
    Ok(call.fault.is_none().then_some(call.sequence))
}

/// Erases what was to be sent.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn remove_payload(tx: &mut Tx<'_>, call_id: &str) -> Result<(), RepositoryError> {
    sealed_values::remove_of_owner(tx, ProtectedType::QueuedCall, call_id.as_bytes())
}

/// A row with the columns of [`QUEUED_CALLS`] and its MAC. Of one that does not check, nobody knows
/// what came.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn read(row: &Row<'_>, authority: &Authority) -> Result<QueuedCall, RepositoryError> {
    let mut call = unchecked(row)?;
    let stamp = Stamp::read(&QUEUED_CALLS, row, 0)?;
    match authority.check_alone(&QUEUED_CALLS, &stamp) {
        Ok(_) => {}
        Err(RepositoryError::RowChanged { name, .. }) => {
            (call.state, call.outcome) = (QueuedState::Indeterminate, None);
            call.fault = Some(format!(
                "the record of queued call `{name}` in the repository was changed or put in by hand: it is not sent, and nobody knows what came of it; look at the object before the call is made again under another id"
            ));
        }
        Err(error) => return Err(error),
    }
    Ok(call)
}

/// A row that was just written: it has no MAC yet.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn unchecked(row: &Row<'_>) -> Result<QueuedCall, RepositoryError> {
    Ok(QueuedCall {
        call_id: row.get(0)?,
        sequence: row.get(1)?,
        resource: row.get(2)?,
        summary: row.get(3)?,
        state: QueuedState::of_row(row.get(4)?, row.get::<Option<String>>(18)?.is_some())?,
        queued: from_sql_millis(row.get(5)?),
        expires: from_sql_millis(row.get(6)?),
        dispatched: row.get::<Option<i64>>(7)?.map(from_sql_millis),
        ended: row.get::<Option<i64>>(8)?.map(from_sql_millis),
        outcome: row.get(9)?,
        digest: row.get(10)?,
        direct: row.get::<i64>(12)? == 1,
        gateway: row.get(15)?,
        attempt: row.get(16)?,
        next: row.get::<Option<i64>>(17)?.map(from_sql_millis),
        why: row.get(18)?,
        begun: row.get::<i64>(19)?.cast_unsigned(),
        retry_of: row.get(20)?,
        fault: None,
    })
}
