//! The calls of a server that may change something: each is carried out once, whoever asks how
//! often.

use portcullis_common::id::ServerId;
use portcullis_proto::gateway::v1 as wire;
use tokio::time::{Instant, timeout_at};

use super::admitted::Admitted;
use super::change::not_looked;
use super::guarded::at_length;
use super::provisioner::{Provisioner, weight};
use crate::journal::{Claim, Digest, Journal, Known, Purpose};
use crate::model::{Call, Evidence, Failure, Indeterminate, ModelError, Outcome};
use crate::moment::NotAfter;

impl Provisioner {
    /// As [`Self::execute`], for a server, which may ask by [`Self::finished`] or by a look what
    /// came of it.
    pub async fn execute_for(&self, server: ServerId, call: wire::Call) -> Outcome {
        let at_any_time = NotAfter::default();
        self.execute_until(server, call, at_any_time).await
    }

    /// The same of a call that is begun at this moment at the latest. What the journal has of it is
    /// answered at any time.
    pub async fn execute_until(
        &self,
        server: ServerId,
        call: wire::Call,
        not_after: NotAfter,
    ) -> Outcome {
        if !call.changes() {
            if call.look {
                let message =
                    "only a call that may change something can be looked for: send this one again";
                return Outcome::Failed(Failure::invalid(message));
            }
            if not_after.has_passed() {
                return Outcome::Failed(Failure::late());
            }
            return self.execute(call).await;
        }
        match self.read(call, not_after).await {
            Ok((call, digest)) if call.look => self.look(server, call, digest).await,
            Ok((call, digest)) => self.once(server, call, digest).await,
            Err(failure) => Outcome::Failed(failure),
        }
    }

    /// What the journal has of these calls of `server`.
    pub fn finished(&self, server: ServerId, call_ids: &[String]) -> Vec<wire::FinishedCall> {
        self.journal().finished(server, call_ids)
    }

    async fn read(
        &self,
        mut call: wire::Call,
        not_after: NotAfter,
    ) -> Result<(Call, Digest), Failure> {
        let journal: Journal = self.journal().clone();
        let further = self.further_classes(&call.connector);
        let provisioner = self.clone();
        let reading = at_length(weight(&call), move || {
            let digest = journal.digest(&mut call);
            let call = provisioner.parse_call(call, &further)?;
            Ok::<_, ModelError>((Call { not_after, ..call }, digest))
        });
        Ok(reading.await??)
    }

    /// Carries a call out, or answers what came of it before.
    async fn once(&self, server: ServerId, call: Call, digest: Digest) -> Outcome {
        let arrived = Instant::now();
        match self.known(server, &call, digest, Purpose::Begin) {
            Known::New(claim) => match self.admit_in_time(call, arrived) {
                Ok(admitted) => admitted.carry_out(Some(claim)).await,
                Err(failure) => {
                    let outcome = Outcome::Failed(failure);
                    claim.end(&outcome);
                    outcome
                }
            },
            Known::Unseen(claim, evidence) => self.looked(call, arrived, claim, &evidence).await,
            known => self.answered(&call, arrived, known).await,
        }
    }

    fn admit_in_time(&self, call: Call, arrived: Instant) -> Result<Admitted, Failure> {
        if call.not_after.has_passed() {
            return Err(Failure::late());
        }
        self.admit_parsed(call, arrived)
    }

    /// Answers what became of a call, and begins nothing.
    async fn look(&self, server: ServerId, call: Call, digest: Digest) -> Outcome {
        let arrived = Instant::now();
        let purpose = if call.journal_lost {
            Purpose::LookAnyway
        } else {
            Purpose::Look
        };
        match self.known(server, &call, digest, purpose) {
            Known::Absent(claim) => match claim.bar(call.journal_lost).await {
                Ok(Some(claim)) => {
                    let nothing = Evidence::default();
                    self.looked(call, arrived, claim, &nothing).await
                }
                Ok(None) => Outcome::Failed(crate::journal::not_begun()),
                Err(failure) => not_looked(&failure.message, &Evidence::default()),
            },
            Known::Unseen(claim, evidence) => self.looked(call, arrived, claim, &evidence).await,
            known => self.answered(&call, arrived, known).await,
        }
    }

    fn known(&self, server: ServerId, call: &Call, digest: Digest, purpose: Purpose) -> Known {
        let ago = u64::try_from(call.accepted_ago.as_millis()).unwrap_or(u64::MAX);
        self.journal().claim(server, &call.id, digest, ago, purpose)
    }

    /// The answer where there is nothing to be done.
    async fn answered(&self, call: &Call, arrived: Instant, known: Known) -> Outcome {
        match known {
            Known::Ended(outcome) => outcome,
            Known::Other(message) if call.look => Outcome::Indeterminate(message.into()),
            Known::Other(message) => Outcome::Failed(Failure::invalid(message)),
            Known::Refused(failure) => Outcome::Failed(failure),
            Known::UnderWay(joined) => {
                let deadline = self.deadline(call, arrived);
                let waiting = timeout_at(deadline, joined.outcome());
                waiting.await.unwrap_or_else(|_| {
                    Outcome::Indeterminate(Indeterminate {
                        message: "the call is still under way: ask for it later".to_owned(),
                        look_again: true,
                        ..Indeterminate::default()
                    })
                })
            }
            // They have a claim, which the callers take; without it nobody saw the end.
            Known::New(_) | Known::Absent(_) | Known::Unseen(..) => {
                not_looked("the journal has lost the call", &Evidence::default())
            }
        }
    }

    /// Looks at the resource, and notes what was seen.
    async fn looked(
        &self,
        call: Call,
        arrived: Instant,
        claim: Claim,
        before: &Evidence,
    ) -> Outcome {
        let id = call.id.clone();
        let outcome = match self.admit_parsed(call, arrived) {
            Ok(admitted) => admitted.look(before).await,
            Err(failure) => not_looked(&failure.message, before),
        };
        tracing::info!(call = %id, result = super::call_log::summary(&outcome), "looked for a call");
        claim.end(&outcome);
        outcome
    }
}

#[cfg(test)]
#[path = "durable_tests.rs"]
mod tests;
