//! A repository in a database may go back in time: to a standby that lacked the last changes, to an
//! earlier primary, to a backup. Whoever finds that writes it into the repository, and no server
//! appends until somebody accepts it, with all that this asks for.

use std::sync::Arc;

use super::Writer;
use crate::audit::error::{AuditError, Dispute};
use crate::audit::head::{Head, Known};
use crate::audit::{ACCEPTED_LOSS, GENERATION};
use crate::repository::RepositoryError;

impl Writer {
    /// What is to be known of the database.
    pub(super) async fn known_database(&self) -> Result<Option<Known>, RepositoryError> {
        let database = self.repository.database();
        let Some(lineage) = database.place().lineage() else {
            return Ok(None);
        };
        Ok(Some(Known {
            lineage,
            generation: database.meta().generation().await?,
        }))
    }

    /// Whether the log says that a loss was accepted since `head` was written: what it knows beside
    /// may have been lost then.
    pub(super) async fn was_accepted_after(&self, head: &Head) -> Result<bool, AuditError> {
        let Some(known) = head.database.filter(|_| self.database.is_some()) else {
            return Ok(false);
        };
        let entries = self.repository.audit_entries();
        let seq = entries.last_of(ACCEPTED_LOSS).await?;
        let before = seq.saturating_sub(1);
        let found = entries.scan(before, 1).await?;
        let Some(entry) = found.first().filter(|entry| entry.seq == seq) else {
            return Ok(false);
        };
        // Whoever writes to the repository without the log's key accepts nothing.
        let mac = self.chain.mac(&self.mac_of(before).await?, entry);
        let generation = entry.object.strip_prefix(GENERATION);
        let generation = generation.and_then(|number| number.parse::<u64>().ok());
        Ok(mac.is_ok_and(|mac| entry.mac == mac)
            && generation.is_some_and(|generation| generation > known.generation))
    }

    /// What `head` knows that this database cannot have.
    pub(super) fn lost_since(&self, head: &Head) -> Option<Dispute> {
        let (known, found) = (head.database?.lineage, self.database?.lineage);
        match found.follows(known) {
            true => None,
            false if known.system == found.system => {
                Some(Dispute::EarlierTimeline { known, found })
            }
            false => Some(Dispute::OtherDatabase { known, found }),
        }
    }

    /// Whether a server found that the repository went back, and nobody accepted it yet.
    pub(super) async fn is_known_to_have_gone_back(&self) -> Result<bool, RepositoryError> {
        match self.database {
            None => Ok(false),
            Some(_) => self.repository.database().meta().went_back().await,
        }
    }

    /// Looks whether the database went back in time while this server runs, and keeps which one it
    /// is. `goes_on`: the log goes on from where it was known to end.
    pub(super) async fn look_for_loss(&mut self, goes_on: bool) -> Result<(), AuditError> {
        let Some(known) = self.database else {
            return Ok(());
        };
        if self.is_known_to_have_gone_back().await? {
            self.stop(Dispute::WentBack);
            return Ok(());
        }
        let now = self.repository.database().place().lineage();
        let Some(now) = now.filter(|now| *now != known.lineage) else {
            return Ok(());
        };
        if !goes_on {
            self.stop(Dispute::TailLost);
            return self.tell_of_loss().await;
        }
        tracing::warn!(before = %known.lineage, %now, "the database has another primary: a standby was promoted");
        self.database = Some(Known {
            lineage: now,
            ..known
        });
        self.head_behind = true;
        self.write_head().await
    }

    /// Writes into the repository that it went back in time, where that is in dispute.
    pub(in crate::audit) async fn tell_of_loss(&self) -> Result<(), AuditError> {
        let shared = self.database.is_some();
        if shared && self.dispute.is_some_and(|dispute| dispute.is_loss()) {
            self.repository.database().meta().set_went_back().await?;
        }
        Ok(())
    }

    /// Why an append failed. One that the database refuses for what it lost is a dispute.
    pub(super) fn lost_with(&mut self, error: RepositoryError) -> AuditError {
        match error {
            RepositoryError::WentBack { .. } => {
                self.stop(Dispute::TailLost);
                AuditError::Disputed(Dispute::TailLost)
            }
            error => AuditError::Repository(Arc::new(error)),
        }
    }

    fn stop(&mut self, dispute: Dispute) {
        if self.dispute.is_none() {
            tracing::error!(%dispute, "the repository went back in time: all servers stop until `portcullis-server repository accept-loss`");
            self.dispute = Some(dispute);
        }
    }
}
