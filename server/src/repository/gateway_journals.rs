//! How far each gateway's journal of calls was seen, so that one that is gone, or was put back to
//! an earlier state, is known.

use portcullis_common::id::GatewayId;
use portcullis_common::rotation::UnixMillis;

use super::authority::{Authority, GATEWAY_JOURNALS, Stamp};
use super::columns::{from_sql_millis, to_sql_millis};
use super::sql::{Bind as _, Tx, params};
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
        let (now_seen, by) = (seen.clone(), self.database().authority()?);
        let known = self.database().look(move |tx| {
            let before = Before::read(tx, &by, owner)?;
            Ok(before.filter(|before| before.is(&now_seen)))
        });
        // Thousands come back at once where a server starts: what is as it was takes no writer.
        if let Some(before) = known.await? {
            return Ok(memory(false, before.lost));
        }
        self.database()
            .write(move |tx| {
                let (was_lost, lost) = match Before::read(tx, &authority, owner)? {
                    None => (false, 0),
                    Some(before) if before.goes_on(&seen) => (false, before.lost),
                    Some(_) => (true, to_sql_millis(now)),
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

/// A journal as it was seen before.
struct Before {
    seen: SeenJournal,
    lost: i64,
    /// The record was not changed by hand: else it may hide that the journal was lost.
    sound: bool,
}

impl Before {
    fn read(
        tx: &mut Tx<'_>,
        authority: &Authority,
        owner: [u8; 16],
    ) -> Result<Option<Self>, RepositoryError> {
        let sql = GATEWAY_JOURNALS.select("gateway_id = ?1");
        tx.query_optional(&sql, &params![owner], |row| {
            let stamp = Stamp::read(&GATEWAY_JOURNALS, row, 0)?;
            let sequence: i64 = row.get(2)?;
            Ok(Self {
                seen: SeenJournal {
                    incarnation: row.get(1)?,
                    sequence: sequence.cast_unsigned(),
                },
                lost: row.get(3)?,
                sound: authority.check_alone(&GATEWAY_JOURNALS, &stamp).is_ok(),
            })
        })
    }

    fn is(&self, seen: &SeenJournal) -> bool {
        self.sound && self.seen == *seen
    }

    fn goes_on(&self, seen: &SeenJournal) -> bool {
        let own = &self.seen;
        self.sound && own.incarnation == seen.incarnation && own.sequence <= seen.sequence
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
