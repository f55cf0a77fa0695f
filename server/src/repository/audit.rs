//! The rows of the audit log. What they mean, and what chains them, is `crate::audit`'s.

mod appending;

use std::sync::Arc;

use zeroize::Zeroizing;

use super::audit_tip::{AUDIT_MAC_LEN, AuditTip};
use super::instance::has_no_server;
use super::sql::{Column, Row, Tx, params};
use super::{
    AuditFields, Beside, OpenError, Place, ProtectedType, Repository, RepositoryError,
    sealed_values,
};
pub use appending::{Appended, LogEnd, Moved, Written};

/// The name in `meta` of what stands in the place of archived entries.
const ANCHOR: &str = "audit_anchor";

/// Entries that one look at the log goes through: others read in between.
const WINDOW: i64 = 20_000;

const COLUMNS: &str =
    "seq, commit_first, time_ms, subject, action, object, outcome, begun, detail, mac, authority,
    call_id, resource, object_class, object_name, \"user\", gateway";

/// An entry as it is stored. What was read may have been changed by anybody: only its MAC says that
/// it was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditEntry {
    /// 1, 2, … without a gap.
    pub seq: u64,
    /// The first entry that was written in the same transaction.
    pub commit_first: u64,
    /// When it was written, in milliseconds since 1970.
    pub time_ms: u64,
    /// Who.
    pub subject: String,
    /// What.
    pub action: String,
    /// On what; empty: on the server itself.
    pub object: String,
    /// What came of it.
    pub outcome: String,
    /// The entry `begun` that this is the outcome of; 0: of none.
    pub begun: u64,
    /// More, in words; never a secret.
    pub detail: String,
    /// The MAC over the sum of all rows that decide, as they stood with this entry; empty: the last
    /// entry of its commit has it, or it is older than such sums.
    pub authority: Vec<u8>,
    /// What it is about, field by field.
    pub fields: AuditFields,
    /// The MAC over the one before and all of the above.
    pub mac: Vec<u8>,
}

/// A key of the chain.
#[derive(Debug)]
pub struct AuditKeyRow {
    /// It chains the entries from this one on, up to the next key's first.
    pub first: u64,
    /// The key, or why it does not open. It stays where it was opened: an array would leave copies
    /// wherever it is moved.
    pub key: Result<Zeroizing<Vec<u8>>, OpenError>,
}

impl AuditTip {
    /// The end of a log whose last entry this is; `None`: its MAC is none.
    pub(crate) fn of(last: &AuditEntry) -> Option<Self> {
        Some(Self {
            count: last.seq,
            mac: last.mac.as_slice().try_into().ok()?,
        })
    }
}

/// Which entries a list is to hold. Empty texts and zeros select everything.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Before this entry.
    pub before: u64,
    /// Not earlier, in milliseconds since 1970.
    pub since_ms: u64,
    /// Not later, in milliseconds since 1970.
    pub until_ms: u64,
    /// A part of the subject.
    pub subject: String,
    /// A part of the action.
    pub action: String,
    /// A part of the object, or of one of the fields.
    pub object: String,
    /// What these fields hold, each whole.
    pub fields: AuditFields,
    /// The whole outcome.
    pub outcome: String,
    /// With the entries `begun` whose outcome is there.
    pub with_begun: bool,
}

/// The audit log.
#[derive(Clone, Copy, Debug)]
pub struct AuditEntries<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// The audit log's entries.
    pub const fn audit_entries(&self) -> AuditEntries<'_> {
        AuditEntries { repository: self }
    }
}

impl AuditEntries<'_> {
    /// The keys of the chain, oldest first.
    ///
    /// # Errors
    /// [`RepositoryError`]; a key that does not open is no error here.
    pub async fn keys(&self) -> Result<Vec<AuditKeyRow>, RepositoryError> {
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .read(move |tx| {
                tx.query(
                    "SELECT owner, sealed FROM sealed_values WHERE type = ?1 AND field = ?2 ORDER BY owner",
                    &params![ProtectedType::AuditKey.name(), KEY_FIELD],
                    |row| {
                        let (owner, sealed): (Vec<u8>, Vec<u8>) = (row.get(0)?, row.get(1)?);
                        let first = <[u8; 8]>::try_from(owner.as_slice())
                            .map_err(|_| RepositoryError::damaged("owner of an audit key"))?;
                        Ok(AuditKeyRow {
                            first: u64::from_be_bytes(first),
                            key: sealer.open(&key_place(&first), &sealed),
                        })
                    },
                )
            })
            .await
    }

    /// Stores the key that chains the entries from `first` on.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn add_key(&self, first: u64, key: &[u8]) -> Result<(), RepositoryError> {
        let first = first.to_be_bytes();
        let sealed = self.repository.sealer.seal(&key_place(&first), key);
        self.repository
            .database
            .write(move |tx| sealed_values::put(tx, &key_place(&first), &sealed))
            .await
    }

    /// The last entry; `None`: the log is empty.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn last(&self) -> Result<Option<AuditEntry>, RepositoryError> {
        self.repository.database.read(last).await
    }

    /// The last of the entries that were all written before this time; 0: the first was not.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn last_before(&self, time_ms: u64) -> Result<u64, RepositoryError> {
        self.repository
            .database
            .read(move |tx| {
                let first: Option<i64> = tx.query_one(
                    "SELECT MIN(seq) FROM audit_entries WHERE time_ms >= ?1",
                    &params![to_sql(time_ms)],
                    |row| row.get(0),
                )?;
                let last: Option<i64> =
                    tx.query_one("SELECT MAX(seq) FROM audit_entries", &[], |row| row.get(0))?;
                let before = first.map_or(last.unwrap_or(0), |first| first - 1);
                Ok(before.max(0).cast_unsigned())
            })
            .await
    }

    /// What stands in the place of archived entries; `None`: none were archived.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn anchor(&self) -> Result<Option<Vec<u8>>, RepositoryError> {
        self.repository.database.read(anchor).await
    }

    /// Removes the entries up to `tip`, in whose place this stands from now on, with its MAC. An
    /// anchor of later entries stays: it never moves back.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was removed.
    pub async fn remove_up_to(
        &self,
        tip: AuditTip,
        tag: [u8; AUDIT_MAC_LEN],
    ) -> Result<(), RepositoryError> {
        let anchor = [&tip.count.to_be_bytes()[..], &tip.mac, &tag].concat();
        self.repository
            .database
            .write(move |tx| {
                tx.execute(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET value = excluded.value
                     WHERE excluded.value > meta.value",
                    &params![ANCHOR, anchor],
                )?;
                tx.execute(
                    "DELETE FROM audit_entries WHERE seq <= ?1",
                    &params![to_sql(tip.count)],
                )?;
                Ok(())
            })
            .await
    }

    /// The first `limit` entries after `after`, oldest first.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn scan(&self, after: u64, limit: u32) -> Result<Vec<AuditEntry>, RepositoryError> {
        self.repository
            .database
            .read(move |tx| scan(tx, after, limit))
            .await
    }

    /// The same, and what stood in the place of archived entries at that moment.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn scan_with_anchor(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<(Option<Vec<u8>>, Vec<AuditEntry>), RepositoryError> {
        self.repository
            .database
            .read(move |tx| Ok((anchor(tx)?, scan(tx, after, limit)?)))
            .await
    }

    /// At most `limit` of the entries that `filter` selects, newest first.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn page(
        &self,
        filter: AuditFilter,
        limit: u32,
    ) -> Result<Vec<AuditEntry>, RepositoryError> {
        let wanted = limit as usize;
        let mut found = Vec::new();
        let mut end = filter.before;
        let filter = Arc::new(filter);
        loop {
            let left = (wanted - found.len()) as u32;
            let filter = Arc::clone(&filter);
            let (entries, next) = self
                .repository
                .database
                .read(move |tx| window(tx, &filter, end, left))
                .await?;
            found.extend(entries);
            match next {
                Some(next) if found.len() < wanted => end = next,
                _ => return Ok(found),
            }
        }
    }

    /// The entries `begun` without an outcome after entry `after`, oldest first; `nobodys`: without
    /// those that are an instance's to end.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn unfinished(
        &self,
        after: u64,
        nobodys: bool,
    ) -> Result<Vec<AuditEntry>, RepositoryError> {
        self.repository
            .database
            .read(move |tx| {
                tx.query(
                    &format!(
                        "SELECT {COLUMNS} FROM audit_entries AS e WHERE seq > ?1 AND outcome = 'begun'
                           AND NOT EXISTS (SELECT 1 FROM audit_entries WHERE begun = e.seq AND begun <> 0)
                           AND (?2 = 0 OR NOT EXISTS (SELECT 1 FROM audit_open o WHERE o.seq = e.seq))
                         ORDER BY seq"
                    ),
                    &params![to_sql(after), nobodys],
                    read,
                )
            })
            .await
    }

    /// The entries `begun` without an outcome whose instance is gone, oldest first. Of a repository
    /// that other servers may be at work on.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn left_open(&self) -> Result<Vec<AuditEntry>, RepositoryError> {
        let instance = self.repository.database.instance();
        self.repository
            .database
            .look(move |tx| {
                let seqs: Vec<i64> = tx.query(
                    &format!(
                        "SELECT seq FROM audit_open WHERE {} ORDER BY seq",
                        has_no_server(true)
                    ),
                    &params![instance],
                    |row| row.get(0),
                )?;
                let sql = format!("SELECT {COLUMNS} FROM audit_entries WHERE seq = ?1");
                let mut left = Vec::with_capacity(seqs.len());
                for seq in seqs {
                    left.extend(tx.query_optional(&sql, &params![seq], read)?);
                }
                Ok(left)
            })
            .await
    }

    /// Whether the entry `seq` has no outcome yet: to be done beside one, which is left out where
    /// another server has written it.
    pub fn has_no_outcome(&self, seq: u64) -> Beside {
        let (work, _) = Beside::new(move |tx, _| {
            let sql = "SELECT 1 FROM audit_entries WHERE begun = ?1 AND begun <> 0";
            let ended = tx.exists(sql, &params![to_sql(seq)])?;
            tx.execute(
                "DELETE FROM audit_open WHERE seq = ?1",
                &params![to_sql(seq)],
            )?;
            Ok((!ended).then_some((true, ())))
        });
        work
    }

    /// The last entry about this action; 0: there is none. As quick as it is recent.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn last_of(&self, action: &str) -> Result<u64, RepositoryError> {
        let action = action.to_owned();
        self.repository
            .database
            .read(move |tx| {
                let last: Option<i64> = tx.query_optional(
                    "SELECT seq FROM audit_entries WHERE action = ?1 ORDER BY seq DESC LIMIT 1",
                    &params![action],
                    |row| row.get(0),
                )?;
                Ok(last.map_or(0, i64::cast_unsigned))
            })
            .await
    }
}

const KEY_FIELD: &str = "key";

fn key_place(first: &[u8]) -> Place<'_> {
    Place {
        kind: ProtectedType::AuditKey,
        owner: first,
        field: KEY_FIELD,
        context: &[],
    }
}

fn anchor(tx: &mut Tx<'_>) -> Result<Option<Vec<u8>>, RepositoryError> {
    tx.query_optional(
        "SELECT value FROM meta WHERE name = ?1",
        &params![ANCHOR],
        |row| row.get(0),
    )
}

fn scan(tx: &mut Tx<'_>, after: u64, limit: u32) -> Result<Vec<AuditEntry>, RepositoryError> {
    tx.query(
        &format!("SELECT {COLUMNS} FROM audit_entries WHERE seq > ?1 ORDER BY seq LIMIT ?2"),
        &params![to_sql(after), limit],
        read,
    )
}

fn last(tx: &mut Tx<'_>) -> Result<Option<AuditEntry>, RepositoryError> {
    tx.query_optional(
        &format!("SELECT {COLUMNS} FROM audit_entries ORDER BY seq DESC LIMIT 1"),
        &[],
        read,
    )
}

/// Reads a row whatever somebody wrote into it: the MAC tells what is wrong with it, an error here
/// would only hide which row it is.
fn read(row: &Row<'_>) -> Result<AuditEntry, RepositoryError> {
    Ok(AuditEntry {
        seq: number(row, 0)?,
        commit_first: number(row, 1)?,
        time_ms: number(row, 2)?,
        subject: text(row, 3)?,
        action: text(row, 4)?,
        object: text(row, 5)?,
        outcome: text(row, 6)?,
        begun: number(row, 7)?,
        detail: text(row, 8)?,
        mac: bytes(row, 9)?,
        authority: bytes(row, 10)?,
        fields: AuditFields {
            call_id: text(row, 11)?,
            resource: text(row, 12)?,
            object_class: text(row, 13)?,
            object_name: text(row, 14)?,
            user: text(row, 15)?,
            gateway: text(row, 16)?,
        },
    })
}

fn number(row: &Row<'_>, column: usize) -> Result<u64, RepositoryError> {
    Ok(match row.column(column)? {
        // A negative one was never written here, nor is its like above 2^63.
        Column::Integer(number) => number.cast_unsigned(),
        _ => u64::MAX,
    })
}

fn text(row: &Row<'_>, column: usize) -> Result<String, RepositoryError> {
    Ok(String::from_utf8_lossy(&bytes(row, column)?).into_owned())
}

fn bytes(row: &Row<'_>, column: usize) -> Result<Vec<u8>, RepositoryError> {
    Ok(match row.column(column)? {
        Column::Text(bytes) | Column::Blob(bytes) => bytes.to_vec(),
        _ => Vec::new(),
    })
}

/// Of the [`WINDOW`] entries before `end`, or the last ones where that is 0, at most `limit` that
/// `filter` selects; and before which entry the next window ends.
fn window(
    tx: &mut Tx<'_>,
    filter: &AuditFilter,
    end: u64,
    limit: u32,
) -> Result<(Vec<AuditEntry>, Option<u64>), RepositoryError> {
    let end = match end {
        0 => tx.query_one("SELECT MAX(seq) FROM audit_entries", &[], |row| {
            Ok(row.get::<Option<i64>>(0)?.unwrap_or(0) + 1)
        })?,
        end => to_sql(end),
    };
    let begin = (end - WINDOW).max(1);
    let sql = format!(
        "SELECT {COLUMNS} FROM audit_entries AS e
         WHERE seq >= ?1 AND seq < ?2 AND time_ms >= ?3 AND (?4 = 0 OR time_ms <= ?4)
           AND instr(subject, ?5) > 0 AND instr(action, ?6) > 0
           AND (instr(object, ?7) > 0 OR instr(call_id, ?7) > 0 OR instr(resource, ?7) > 0 OR instr(object_name, ?7) > 0
                OR instr(\"user\", ?7) > 0 OR instr(gateway, ?7) > 0)
           AND (?11 = '' OR call_id = ?11) AND (?12 = '' OR resource = ?12) AND (?13 = '' OR object_class = ?13)
           AND (?14 = '' OR object_name = ?14) AND (?15 = '' OR \"user\" = ?15) AND (?16 = '' OR gateway = ?16)
           AND (?8 = '' OR outcome = ?8)
           AND (?9 <> 0 OR outcome <> 'begun'
                OR NOT EXISTS (SELECT 1 FROM audit_entries WHERE begun = e.seq AND begun <> 0))
         ORDER BY seq DESC LIMIT ?10"
    );
    let (since, until) = (to_sql(filter.since_ms), to_sql(filter.until_ms));
    let params = params![
        begin,
        end,
        since,
        until,
        filter.subject,
        filter.action,
        filter.object,
        filter.outcome,
        filter.with_begun,
        limit,
        filter.fields.call_id,
        filter.fields.resource,
        filter.fields.object_class,
        filter.fields.object_name,
        filter.fields.user,
        filter.fields.gateway,
    ];
    let entries = tx.query(&sql, &params, read)?;
    let next = (begin > 1).then(|| begin.cast_unsigned());
    Ok((entries, next))
}

fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
