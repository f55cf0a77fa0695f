//! Several servers append to one log: how one of them goes on from what others have appended.
//!
//! What was known of the log has to be a part of it still, and its last entry has to be one that
//! the chain's key made. Whoever has not that key can add none, nor change one that another MAC
//! goes on from.

use std::sync::Arc;

use tokio::time::Instant;

use super::{FOLLOW_EVERY, Writer};
use crate::audit::archive::{self, Anchor};
use crate::audit::chain::Chain;
use crate::audit::error::{AuditError, Dispute};
use crate::repository::{AuditTip, Moved, tell_refusal};

/// Whether a log that has moved is gone on from.
pub(super) fn check(chain: Arc<Chain>) -> impl Fn(&Moved) -> Result<(), Dispute> + Send + 'static {
    move |moved| follows(&chain, moved)
}

fn follows(chain: &Chain, moved: &Moved) -> Result<(), Dispute> {
    let known = moved.known;
    let start = match archive::anchored(moved.anchor.as_deref(), chain) {
        Anchor::At(start) => start,
        Anchor::Forged => AuditTip::BEGINNING,
    };
    // The MAC of an entry, as far as it can be known.
    let mac_of = |seq: u64, found: &Option<Vec<u8>>| match seq {
        0 => Some(AuditTip::BEGINNING.mac.to_vec()),
        seq if seq == start.count => Some(start.mac.to_vec()),
        _ => found.clone(),
    };
    let Some(last) = &moved.last else {
        return match known.count {
            0 => rows(moved),
            _ => Err(Dispute::Moved),
        };
    };
    let archived = start.count > known.count;
    if last.seq < known.count
        || (!archived && mac_of(known.count, &moved.known_mac).as_deref() != Some(&known.mac))
    {
        return Err(Dispute::Moved);
    }
    if last.seq > known.count {
        let before = mac_of(last.seq.saturating_sub(1), &moved.before_last);
        let expected = chain.mac(&before.unwrap_or_default(), last)?;
        if last.mac != expected {
            return Err(Dispute::Moved);
        }
    }
    rows(moved)
}

const fn rows(moved: &Moved) -> Result<(), Dispute> {
    match moved.rows_known {
        true => Ok(()),
        false => Err(Dispute::Rows),
    }
}

impl Writer {
    /// Moves the head file to what other servers have appended meanwhile, where that is due.
    pub(super) async fn follow(&mut self) {
        let now = Instant::now();
        if self.follow_at.is_none_or(|due| now < due) {
            return;
        }
        self.follow_at = Some(now + FOLLOW_EVERY);
        if self.dispute.is_some() {
            return;
        }
        if let Err(error) = self.look_around().await {
            // The next entry finds the same, and says so to whoever wants it written.
            tell_refusal!(error, "the end of the audit log was not found");
        }
    }

    async fn look_around(&mut self) -> Result<(), AuditError> {
        let goes_on = self.look_for_end().await?;
        self.look_for_loss(goes_on).await?;
        if self.dispute.is_some() {
            return Ok(());
        }
        self.find_left_open().await?;
        match self.kept.is_empty() {
            true => Ok(()),
            false => self.commit(Vec::new()).await,
        }
    }

    /// `false`: the log does not go on from where it was known to end.
    async fn look_for_end(&mut self) -> Result<bool, AuditError> {
        for _ in 0..2 {
            let entries = self.repository.audit_entries();
            let check = check(Arc::clone(&self.chain));
            match entries.end(self.end(), check).await? {
                Ok(end) => return self.move_to(end).await.map(|()| true),
                // Another server may have begun to chain under another key.
                Err(_) => self.load_chain().await?,
            }
        }
        // Nothing is decided here: the next append looks once more, within its transaction.
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repository::AuditEntry;

    fn entry(chain: &Chain, before: &[u8], seq: u64) -> AuditEntry {
        let mut entry = AuditEntry {
            seq,
            commit_first: seq,
            ..AuditEntry::default()
        };
        entry.mac = chain.mac(before, &entry).unwrap().to_vec();
        entry
    }

    fn moved(known: AuditTip, last: &AuditEntry, before: &AuditEntry) -> Moved {
        Moved {
            known,
            known_mac: Some(known.mac.to_vec()),
            last: Some(last.clone()),
            before_last: Some(before.mac.clone()),
            anchor: None,
            rows_known: true,
        }
    }

    #[test]
    fn only_what_goes_on_from_the_known_end_under_the_same_key_is_followed() {
        let chain = Chain::of_key(1);
        let first = entry(&chain, &[0; 32], 1);
        let second = entry(&chain, &first.mac, 2);
        let third = entry(&chain, &second.mac, 3);
        let known = AuditTip::of(&first).unwrap();
        follows(&chain, &moved(known, &third, &second)).unwrap();
        follows(&chain, &moved(AuditTip::BEGINNING, &third, &second)).unwrap();
        let cut = moved(AuditTip::of(&third).unwrap(), &second, &first);
        let forged = entry(&Chain::of_key(2), &second.mac, 3);
        let forged = moved(known, &forged, &second);
        let mut rewritten = moved(known, &third, &second);
        rewritten.known_mac = Some(vec![9; 32]);
        let mut removed = moved(known, &third, &second);
        removed.known_mac = None;
        let mut elsewhere = moved(known, &third, &second);
        elsewhere.before_last = Some(first.mac);
        let mut emptied = moved(known, &third, &second);
        emptied.last = None;
        for moved in [cut, forged, rewritten, removed, elsewhere, emptied] {
            assert_eq!(follows(&chain, &moved), Err(Dispute::Moved), "{moved:?}");
        }
        let mut rows = moved(known, &third, &second);
        rows.rows_known = false;
        assert_eq!(follows(&chain, &rows), Err(Dispute::Rows));
    }

    #[test]
    fn an_end_that_another_server_archived_is_gone_on_from() {
        let chain = Chain::of_key(1);
        let second = entry(&chain, &[3; 32], 2);
        let third = entry(&chain, &second.mac, 3);
        let at = AuditTip::of(&second).unwrap();
        let tag = chain.anchor(at).unwrap();
        let known = AuditTip {
            count: 1,
            mac: [3; 32],
        };
        let mut moved = moved(known, &third, &second);
        (moved.known_mac, moved.before_last) = (None, None);
        assert_eq!(follows(&chain, &moved), Err(Dispute::Moved));
        moved.anchor = Some([&at.count.to_be_bytes()[..], &at.mac, &tag].concat());
        follows(&chain, &moved).unwrap();
        let elsewhere = Chain::of_key(2);
        assert_eq!(follows(&elsewhere, &moved), Err(Dispute::Moved));
    }
}
