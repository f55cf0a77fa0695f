//! Whether repository, head file and the rows that decide agree about where the log ends, and how
//! it goes on where they do not.

use std::sync::Arc;

use data_encoding::HEXLOWER;

use super::Writer;
use crate::audit::archive::{self, Anchor};
use crate::audit::chain::Chain;
use crate::audit::entry::{Draft, Outcome, Subject};
use crate::audit::error::{AuditError, Dispute};
use crate::audit::head::Found;
use crate::repository::{AuditEntry, AuditTip, RowsCheck};

/// A head file that was written and not flushed may be so much behind after a loss of power.
const UNFLUSHED_MS: u64 = 5_000;

impl Writer {
    /// Goes on from the last entry that is there, whatever the head file says.
    pub(super) async fn accept(
        &mut self,
        draft: Draft,
        loss: bool,
    ) -> Result<AuditTip, AuditError> {
        let dispute = self.dispute.ok_or(AuditError::Undisputed)?;
        if self.follow_at.is_some() && dispute.is_loss() && !loss {
            return Err(AuditError::Loss(dispute));
        }
        let found = match self.file.read()? {
            Found::Head(head) => format!(
                "the head file said {} {}",
                head.tip.count,
                HEXLOWER.encode(&head.tip.mac)
            ),
            Found::Missing => "the head file was missing".to_owned(),
            Found::Damaged => "the head file was damaged".to_owned(),
        };
        // An entry that was changed is gone on from, too: `verify` goes on telling of it.
        let _ = self.find_tip().await?;
        let before = self.tip;
        // What was kept may tell of entries that are not there any more.
        self.kept.retain(|kept| kept.begun <= before.count);
        let detail = format!(
            "{}; accepted: {dispute}; {found}; the repository {} {}",
            draft.detail,
            before.count,
            HEXLOWER.encode(&before.mac)
        );
        if self.chain.lacks_key_after(before.count).is_some() {
            let first = before.count + 1;
            let chain = Chain::extend(&self.repository, self.server, first).await?;
            self.chain = Arc::new(chain);
        }
        // From here on the rows are as they now are.
        let rows = self.repository.check_rows().await?;
        self.rows = self.is_of_tip(&rows).then_some(rows.base);
        let detail = match rows.bound {
            Some(false) if dispute != Dispute::Rows => format!("{detail}; and {}", Dispute::Rows),
            _ => detail,
        };
        self.dispute = None;
        // The head file stays as it is until the acceptance is written.
        self.head_behind = false;
        let accepted = self.commit(vec![draft.detail(&detail)]).await;
        if accepted.is_err() && self.tip == before {
            self.dispute = Some(dispute);
        }
        accepted?;
        tracing::warn!(%dispute, "an administrator accepted the audit log as it is");
        self.tell();
        Ok(self.tip)
    }

    /// Finds out whether the rows that decide are those that the last entry knows. What is wrong
    /// with single rows hinders nothing: they decide nothing.
    pub(super) async fn check_rows(&mut self, found: Found) -> Result<(), AuditError> {
        let checked = self.repository.check_rows().await?;
        for fault in &checked.faults {
            tracing::error!(
                kind = fault.kind,
                name = fault.name,
                "a record in the repository was changed or put in by hand: it decides nothing any more"
            );
        }
        self.kept.extend(about_rows(&checked, self.tip));
        self.rows = self.is_of_tip(&checked).then_some(checked.base);
        self.knows_rows = checked.bound.is_some() || self.tip == AuditTip::BEGINNING;
        let knows = matches!(found, Found::Head(head) if head.rows && head.tip.count > 0);
        let wrong = match checked.bound {
            Some(true) => return Ok(()),
            Some(false) => Dispute::Rows,
            None if knows => Dispute::RowsUnknown,
            None => return Ok(()),
        };
        self.dispute = self.dispute.or(Some(wrong));
        Ok(())
    }

    /// Whether the log ended where this writer knows it to end when the rows were looked at.
    fn is_of_tip(&self, rows: &RowsCheck) -> bool {
        rows.tip.unwrap_or(AuditTip::BEGINNING) == self.tip
    }

    /// Sets the tip to the last entry of the repository, and checks that entry.
    pub(super) async fn find_tip(
        &mut self,
    ) -> Result<Result<Option<AuditEntry>, Dispute>, AuditError> {
        let entries = self.repository.audit_entries();
        let Some(last) = entries.last().await? else {
            self.tip = AuditTip::BEGINNING;
            return Ok(self.chain.lacks_key_after(0).map_or(Ok(None), Err));
        };
        let changed = Dispute::LastChanged { seq: last.seq };
        let Ok(mac) = last.mac.as_slice().try_into() else {
            return Ok(Err(changed));
        };
        self.tip = AuditTip {
            count: last.seq,
            mac,
        };
        let before = self.mac_of(last.seq.saturating_sub(1)).await?;
        if let Some(dispute) = self.chain.lacks_key_after(last.seq) {
            return Ok(Err(dispute));
        }
        // One whose key is away stands before a key that an administrator had made: it cannot be
        // checked.
        match self.chain.mac(&before, &last) {
            Ok(expected) if expected != mac => Ok(Err(changed)),
            Ok(_) | Err(_) => Ok(Ok(Some(last))),
        }
    }

    /// The MAC of this entry, also where it is the last one that was archived; empty: it is not
    /// there.
    pub(super) async fn mac_of(&self, seq: u64) -> Result<Vec<u8>, AuditError> {
        if seq == 0 {
            return Ok(AuditTip::BEGINNING.mac.to_vec());
        }
        if let Anchor::At(start) = self.anchor().await?
            && start.count == seq
        {
            return Ok(start.mac.to_vec());
        }
        let entries = self.repository.audit_entries();
        let found = entries.scan(seq.saturating_sub(1), 1).await?;
        let found = found.into_iter().find(|entry| entry.seq == seq);
        Ok(found.unwrap_or_default().mac)
    }

    /// In what the head file disagrees with the log's end.
    pub(super) async fn compare(
        &self,
        found: Found,
        last: Option<&AuditEntry>,
    ) -> Result<Option<Dispute>, AuditError> {
        let head = match found {
            Found::Missing => return Ok(Some(Dispute::HeadMissing)),
            Found::Damaged => return Ok(Some(Dispute::HeadDamaged)),
            Found::Head(head) if !self.chain.made(&head) => return Ok(Some(Dispute::HeadDamaged)),
            Found::Head(head) => head,
        };
        if self.is_known_to_have_gone_back().await? {
            return Ok(Some(Dispute::WentBack));
        }
        if self.was_accepted_after(&head).await? {
            return Ok(None);
        }
        if let Some(dispute) = self.lost_since(&head) {
            return Ok(Some(dispute));
        }
        let head = head.tip;
        let count = self.tip.count;
        if head.count > count {
            let head = head.count;
            return Ok(Some(Dispute::Cut { head, count }));
        }
        let shared = self.repository.database().is_shared();
        if shared
            && let Anchor::At(start) = self.anchor().await?
            && start.count > head.count
        {
            // Others went on while this server was away, and archived what it knew the end of.
            return Ok(None);
        }
        if self.mac_of(head.count).await? != head.mac {
            return Ok(Some(Dispute::Rewritten { seq: head.count }));
        }
        if shared {
            return Ok(None);
        }
        let entries = self.repository.audit_entries();
        let missed = entries.scan(head.count, 1).await?;
        Ok(older(head.count, missed.first(), last))
    }

    async fn anchor(&self) -> Result<Anchor, AuditError> {
        Ok(archive::anchor(&self.repository, &self.chain).await?)
    }
}

/// What the log says of the rows that decide, as a start found them; `None`: nothing.
fn about_rows(checked: &RowsCheck, tip: AuditTip) -> Option<Draft> {
    let server = Subject::server();
    if checked.fault_count > 0 {
        let named: Vec<_> = checked
            .faults
            .iter()
            .map(|fault| format!("{} {}", fault.kind, fault.name))
            .collect();
        let detail = format!(
            "{} records in the repository were changed or put in by hand, and decide nothing: {}",
            checked.fault_count,
            named.join(", ")
        );
        let draft = Draft::new(server, "Repository/Check", "", Outcome::Failed);
        return Some(draft.detail(&detail));
    }
    // In a repository just made they carry them from the beginning.
    if checked.bound.is_some() || tip == AuditTip::BEGINNING {
        return None;
    }
    let counts: Vec<_> = checked
        .counts
        .iter()
        .map(|(table, count)| format!("{table} {count}"))
        .collect();
    let detail = format!(
        "records that decide carry MACs from here on: {}",
        counts.join(", ")
    );
    let draft = Draft::new(server, "Repository/Bind", "", Outcome::Done);
    Some(draft.detail(&detail))
}

/// A head file may be behind by the last commit, which a crash may have cut off from it, and by
/// what a loss of power took of it before it was flushed. `missed` is the first entry that it does
/// not count.
pub(in crate::audit) fn older(
    head: u64,
    missed: Option<&AuditEntry>,
    last: Option<&AuditEntry>,
) -> Option<Dispute> {
    let (missed, last) = (missed?, last?);
    let one_commit = head + 1 >= last.commit_first;
    let unflushed = last.time_ms.saturating_sub(missed.time_ms) <= UNFLUSHED_MS;
    (!one_commit && !unflushed).then_some(Dispute::HeadOlder {
        head,
        count: last.seq,
    })
}
