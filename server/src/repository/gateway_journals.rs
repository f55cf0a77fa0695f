//! How far each gateway's journal of calls was seen, so that one that is gone, or was put back to
//! an earlier state, is known.

use portcullis_common::id::GatewayId;
use portcullis_common::rotation::UnixMillis;

use super::authority::{GATEWAY_JOURNALS, Stamp};
use super::columns::{from_sql_millis, to_sql_millis};
use super::sql::{Bind as _, params};
use super::{Gateways, RepositoryError};

/// A journal as its gateway describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenJournal {
    /// Made with the journal.
    pub incarnation: Vec<u8>,
    /// Of its last record.
    pub sequence: u64,
}

/// What is known of a gateway's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalMemory {
    /// It was just found to be another one, or an earlier state of itself.
    pub was_lost: bool,
    /// When that was found last; `None`: never. What it does not have of a call that was dispatched
    /// before proves nothing.
    pub lost: Option<UnixMillis>,
}

impl Gateways<'_> {
    /// Compares the journal of a registration with how far it was seen, and remembers it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn see_journal(
        &self,
        gateway: GatewayId,
        seen: SeenJournal,
        now: UnixMillis,
    ) -> Result<JournalMemory, RepositoryError> {
        let owner = gateway.to_bytes();
        let authority = self.database().authority()?;
        self.database()
            .write(move |tx| {
                let sql = GATEWAY_JOURNALS.select("gateway_id = ?1");
                let before = tx.query_optional(&sql, &params![owner], |row| {
                    let stamp = Stamp::read(&GATEWAY_JOURNALS, row, 0)?;
                    let incarnation: Vec<u8> = row.get(1)?;
                    let sequence: i64 = row.get(2)?;
                    let lost: i64 = row.get(3)?;
                    Ok((stamp, incarnation, sequence.cast_unsigned(), lost))
                })?;
                let (was_lost, lost) = match &before {
                    None => (false, 0),
                    Some((stamp, incarnation, sequence, lost)) => {
                        // A record that was changed by hand may hide that the journal was lost.
                        let sound = authority.check_alone(&GATEWAY_JOURNALS, stamp).is_ok();
                        let goes_on =
                            sound && *incarnation == seen.incarnation && *sequence <= seen.sequence;
                        if goes_on && *sequence == seen.sequence {
                            return Ok(memory(false, *lost));
                        }
                        match goes_on {
                            true => (false, *lost),
                            false => (true, to_sql_millis(now)),
                        }
                    }
                };
                let owned = "gateway_id = ?1";
                let guarded = authority.guard_any(tx, &GATEWAY_JOURNALS, owned, &params![owner])?;
                tx.execute(
                    "INSERT INTO gateway_journals (gateway_id, incarnation, sequence, lost_ms)
                     VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (gateway_id) DO UPDATE SET incarnation = excluded.incarnation,
                        sequence = excluded.sequence, lost_ms = excluded.lost_ms",
                    &params![owner, seen.incarnation, seen.sequence.cast_signed(), lost],
                )?;
                guarded.replaced(tx, owner.bind())?;
                Ok(memory(was_lost, lost))
            })
            .await
    }
}

fn memory(was_lost: bool, lost: i64) -> JournalMemory {
    JournalMemory {
        was_lost,
        lost: (lost > 0).then(|| from_sql_millis(lost)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tamper;
    use super::super::tests::{Fixture, NOW};
    use super::*;

    #[tokio::test]
    async fn a_journal_that_is_another_one_or_behind_is_lost_and_that_is_remembered() {
        let fixture = Fixture::new().await;
        let gateways = fixture.repository.gateways();
        let id = GatewayId::random(&mut rand::rng());
        let see = async |incarnation: u8, sequence, at| {
            let seen = SeenJournal {
                incarnation: vec![incarnation; 16],
                sequence,
            };
            let seen = gateways.see_journal(id, seen, NOW.plus(at)).await.unwrap();
            (seen.was_lost, seen.lost)
        };
        let lost = |at| Some(NOW.plus(at));
        assert_eq!(see(1, 5, 1).await, (false, None));
        assert_eq!(see(1, 9, 2).await, (false, None));
        assert_eq!(see(1, 9, 3).await, (false, None));
        assert_eq!(see(1, 8, 4).await, (true, lost(4)));
        assert_eq!(see(1, 8, 5).await, (false, lost(4)));
        assert_eq!(see(2, 20, 6).await, (true, lost(6)));
        assert_eq!(see(2, 21, 7).await, (false, lost(6)));
        assert_eq!(
            fixture.repository.check_rows().await.unwrap().fault_count,
            0
        );
        let path = fixture.repository.database().path();
        tamper(path, "UPDATE gateway_journals SET sequence = 1");
        assert_eq!(see(2, 22, 8).await, (true, lost(8)));
    }
}
