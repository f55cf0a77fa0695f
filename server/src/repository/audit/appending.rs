//! How entries are appended: after the last one, whichever server wrote that.

use std::sync::Arc;

use super::{AuditEntries, AuditEntry, COLUMNS, anchor, bytes, last, to_sql};
use crate::repository::audit_tip::{AUDIT_MAC_LEN, AuditTip};
use crate::repository::authority::Authority;
use crate::repository::instance::InstanceId;
use crate::repository::sql::{Bind as _, Tx, Value, params};
use crate::repository::{Beside, RepositoryError, RowsSum, authority};

/// The outcome of an entry that is to have one yet.
const BEGUN: &str = "begun";

/// Where the log ends, as somebody knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The last entry.
    pub tip: AuditTip,
    /// The sum over the rows that decide that this entry knows; `None`: it is to be read there.
    pub rows: Option<RowsSum>,
}

/// The log ends elsewhere than it did: another server has appended to it, or somebody else has
/// changed it.
#[derive(Debug)]
pub struct Moved {
    /// Where it was known to end.
    pub known: AuditTip,
    /// The MAC of that entry as it now stands; `None`: it is not there.
    pub known_mac: Option<Vec<u8>>,
    /// The last entry; `None`: there is none.
    pub last: Option<AuditEntry>,
    /// The MAC of the one before; `None`: it is not there.
    pub before_last: Option<Vec<u8>>,
    /// What stands in the place of archived entries.
    pub anchor: Option<Vec<u8>>,
    /// Whether the sum over the rows that decide is the one that the last entry knows.
    pub rows_known: bool,
}

/// What became of an entry: its number; `None`: what was to be done beside it says that it is not
/// written. An error is that of the work: the entry is not written, and the others are.
pub type Written = Result<Option<u64>, Arc<RepositoryError>>;

/// Entries that were appended.
#[derive(Debug)]
pub struct Appended {
    /// Where the log ends.
    pub end: LogEnd,
    /// What became of each.
    pub written: Vec<Written>,
}

impl AuditEntries<'_> {
    /// Appends entries in one transaction, and with them what is to be done beside them and the
    /// changes of rows that decide since the last one. Where the log does not end where it is
    /// `known` to, `follow` says whether it is gone on from. `make` is told the last entry, which
    /// entries are written and the MAC over the sum of those rows as it then is, for the last of
    /// them, and makes them. Gives where the log ends then, and what became of each.
    ///
    /// # Errors
    /// [`RepositoryError`], or within it the error of `follow` or `make`: nothing was appended
    /// then.
    pub async fn append<E>(
        &self,
        known: LogEnd,
        besides: Vec<Option<Beside>>,
        follow: impl Fn(&Moved) -> Result<(), E> + Send + 'static,
        make: impl Fn(AuditTip, &[Written], &[u8; AUDIT_MAC_LEN]) -> Result<Vec<AuditEntry>, E>
        + Send
        + 'static,
    ) -> Result<Result<Appended, E>, RepositoryError>
    where
        E: Send + 'static,
    {
        let authority = self.repository.database.authority()?;
        let database = &self.repository.database;
        let instance = database.is_shared().then(|| database.instance());
        database
            .write_alone(move |tx| {
                let LogEnd { tip, rows } = match end(tx, &authority, known, &follow)? {
                    Ok(end) => end,
                    Err(error) => return Ok(Err(error)),
                };
                authority::begin_to_gather(tx);
                let (last, written) = do_besides(tx, tip.count, &besides)?;
                if last == tip.count {
                    authority.insert_gathered(tx)?;
                    let end = LogEnd { tip, rows };
                    return Ok(Ok(Appended { end, written }));
                }
                let base = rows.unwrap_or_default();
                let (sum, bound) = authority::fold(tx, &authority, base, last)?;
                let entries = match make(tip, &written, &bound) {
                    Ok(entries) => entries,
                    Err(error) => return Ok(Err(error)),
                };
                let tip = entries.last().and_then(AuditTip::of).unwrap_or(tip);
                insert(tx, &entries, Some(&authority.masked(tip, sum)))?;
                if let Some(instance) = instance {
                    keep_open(tx, &entries, instance)?;
                }
                let rows = Some(sum);
                let end = LogEnd { tip, rows };
                Ok(Ok(Appended { end, written }))
            })
            .await
    }

    /// Where the log ends now; `known` and `follow`: as in [`Self::append`].
    ///
    /// # Errors
    /// [`RepositoryError`], or within it the error of `follow`.
    pub async fn end<E>(
        &self,
        known: LogEnd,
        follow: impl Fn(&Moved) -> Result<(), E> + Send + 'static,
    ) -> Result<Result<LogEnd, E>, RepositoryError>
    where
        E: Send + 'static,
    {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .look(move |tx| end(tx, &authority, known, &follow))
            .await
    }

    /// Appends entries as they are.
    #[cfg(test)]
    pub(crate) async fn insert(&self, entries: Vec<AuditEntry>) -> Result<(), RepositoryError> {
        self.repository
            .database
            .write(move |tx| insert(tx, &entries, None))
            .await
    }
}

/// Where the log ends, with the sum over the rows that decide.
fn end<E>(
    tx: &mut Tx<'_>,
    authority: &Authority,
    known: LogEnd,
    follow: &impl Fn(&Moved) -> Result<(), E>,
) -> Result<Result<LogEnd, E>, RepositoryError> {
    let last = last(tx)?;
    let tip = match &last {
        None => Some(AuditTip::BEGINNING),
        Some(last) => AuditTip::of(last),
    };
    if tip == Some(known.tip) && known.rows.is_some() {
        return Ok(Ok(known));
    }
    let rows = authority::base(tx, authority)?;
    let moved = Moved {
        known: known.tip,
        known_mac: mac_at(tx, known.tip.count)?,
        before_last: match &last {
            Some(last) => mac_at(tx, last.seq.saturating_sub(1))?,
            None => None,
        },
        last,
        anchor: anchor(tx)?,
        rows_known: rows.is_some(),
    };
    Ok(follow(&moved).map(|()| LogEnd {
        tip: tip.unwrap_or(known.tip),
        rows,
    }))
}

/// The MAC of an entry; `None`: it is not there.
fn mac_at(tx: &mut Tx<'_>, seq: u64) -> Result<Option<Vec<u8>>, RepositoryError> {
    tx.query_optional(
        "SELECT mac FROM audit_entries WHERE seq = ?1",
        &params![to_sql(seq)],
        |row| bytes(row, 0),
    )
}

/// Does what is to be done beside the entries after `count`. Gives the number of the last entry
/// that is written.
///
/// As a rule none of it fails, and one savepoint does for all: each further one would keep every
/// page once more that the work changes. Where one fails, all is done again, each in a savepoint
/// of its own: what fails takes nothing else along.
fn do_besides(
    tx: &mut Tx<'_>,
    count: u64,
    besides: &[Option<Beside>],
) -> Result<(u64, Vec<Written>), RepositoryError> {
    let mut work = besides.iter().flatten();
    if work.next().is_some()
        && work.next().is_some()
        && let Ok(done) = authority::undone_if_failed(tx, |tx| {
            each_beside(tx, count, besides, |beside, tx, entry| {
                beside.run(tx, entry).map(Ok)
            })
        })?
    {
        return Ok(done);
    }
    each_beside(tx, count, besides, |beside, tx, entry| {
        authority::undone_if_failed(tx, |tx| beside.run(tx, entry))
    })
}

/// Has `run` do each of them: an error within its result is that of one alone.
fn each_beside(
    tx: &mut Tx<'_>,
    count: u64,
    besides: &[Option<Beside>],
    run: impl Fn(&Beside, &mut Tx<'_>, u64) -> Result<Result<bool, RepositoryError>, RepositoryError>,
) -> Result<(u64, Vec<Written>), RepositoryError> {
    let mut last = count;
    let mut written = Vec::with_capacity(besides.len());
    for beside in besides {
        let done = match beside {
            None => Ok(true),
            Some(beside) => run(beside, tx, last + 1)?,
        };
        last += u64::from(matches!(done, Ok(true)));
        written.push(done.map(|done| done.then_some(last)).map_err(Arc::new));
    }
    Ok((last, written))
}

/// Inserts entries; `sum`: what stands beside the last of them.
fn insert(
    tx: &mut Tx<'_>,
    entries: &[AuditEntry],
    sum: Option<&[u8]>,
) -> Result<(), RepositoryError> {
    let rows: Vec<_> = (0..entries.len())
        .rev()
        .zip(entries)
        .map(|(left, entry)| {
            let [call_id, resource, class, name, user, gateway] = entry.fields.bound();
            [
                Value::Integer(to_sql(entry.seq)),
                Value::Integer(to_sql(entry.commit_first)),
                Value::Integer(to_sql(entry.time_ms)),
                Value::Text(&entry.subject),
                Value::Text(&entry.action),
                Value::Text(&entry.object),
                Value::Text(&entry.outcome),
                Value::Integer(to_sql(entry.begun)),
                Value::Text(&entry.detail),
                Value::Blob(&entry.mac),
                match entry.authority.as_slice() {
                    [] => Value::Null,
                    bound => Value::Blob(bound),
                },
                call_id,
                resource,
                class,
                name,
                user,
                gateway,
                match (left, sum) {
                    (0, Some(sum)) => Value::Blob(sum),
                    _ => Value::Null,
                },
            ]
        })
        .collect();
    tx.execute_many(
        &format!(
            "INSERT INTO audit_entries ({COLUMNS}, rows_sum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"
        ),
        &rows,
    )?;
    Ok(())
}

/// Notes which of these are open, and for whom, and of which they are the outcome.
fn keep_open(
    tx: &mut Tx<'_>,
    entries: &[AuditEntry],
    instance: InstanceId,
) -> Result<(), RepositoryError> {
    let begun = entries.iter().filter(|entry| entry.outcome == BEGUN);
    let begun: Vec<_> = begun
        .map(|entry| [Value::Integer(to_sql(entry.seq)), instance.bind()])
        .collect();
    tx.execute_many(
        "INSERT INTO audit_open (seq, instance) VALUES (?1, ?2)",
        &begun,
    )?;
    let ended = entries.iter().filter(|entry| entry.begun != 0);
    let ended: Vec<_> = ended
        .map(|entry| [Value::Integer(to_sql(entry.begun))])
        .collect();
    tx.execute_many("DELETE FROM audit_open WHERE seq = ?1", &ended)?;
    Ok(())
}
