//! The audit log: who did what on what, and what came of it; never a secret.
//!
//! Each entry's MAC covers the one before, under a key that is sealed in the repository; the end of
//! the chain is also kept outside the repository ([`HeadFile`]) and told to the log. So an edit, a
//! cut tail and a rewrite show.
//!
//! Whatever changes something calls [`AuditLog::begin`] before it does, and [`Begun::end`] after;
//! what is recorded once it is over calls [`AuditLog::ready`] before and [`AuditLog::record`]
//! after. Where the log cannot be written the first of the two fails, and nothing may be done then.
//! Use cases of the admin API do not come here: each says how it is audited, and `admin::dispatch`
//! does it.

mod archive;
mod chain;
mod entry;
mod error;
mod floods;
mod flush;
mod head;
mod verify;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_common::id::ServerId;
use sha2::{Digest as _, Sha256};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::config;
use crate::repository::{AuditTip, Beside, Repository};
use archive::Copies;
pub use archive::{Anchor, ArchiveError};
use chain::Chain;
pub use entry::{Draft, Outcome, Subject};
pub use error::{AuditError, Dispute};
pub use head::{Head, HeadError, HeadFile, Known};
pub use verify::{Fault, Report, Verifier};
use writer::{Inspection, Request, STARTED, Writer};

/// Requests that may wait for the writer; whoever comes then waits to be let in.
const MAX_WAITING: usize = 1_024;

/// The entry of whoever accepts that a repository went back in time …
const ACCEPTED_LOSS: &str = "Repository/AcceptLoss";
/// … is about this generation.
const GENERATION: &str = "generation ";

/// The audit log. Cheap to clone; one task writes for all, and what arrives together is one
/// transaction.
#[derive(Clone, Debug)]
pub struct AuditLog {
    requests: mpsc::Sender<Request>,
    server: ServerId,
    repository: Repository,
    healthy: Arc<AtomicBool>,
    calls: bool,
    /// Held while entries leave the log for a file.
    archiving: Arc<Mutex<()>>,
    /// Copies that were made to archive what is in them.
    copies: Arc<Copies>,
}

impl AuditLog {
    /// Opens the log of `repository`. What is in dispute does not hinder the opening:
    /// [`Self::begin`] fails then. Operations that a crash cut off get the outcome `unknown`.
    ///
    /// # Errors
    /// [`AuditError::Repository`], [`AuditError::Head`].
    pub async fn open(
        repository: &Repository,
        server: ServerId,
        settings: &config::Audit,
    ) -> Result<Self, AuditError> {
        let log = Self::start(repository, server, settings, true).await?;
        let started = Draft::new(Subject::server(), STARTED, "", Outcome::Done)
            .detail(concat!("version ", env!("CARGO_PKG_VERSION")));
        log.record(started).await;
        Ok(log)
    }

    /// As [`Self::open`], for somebody else than the server: the log does not say that it started.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn attach(
        repository: &Repository,
        server: ServerId,
        settings: &config::Audit,
    ) -> Result<Self, AuditError> {
        Self::start(repository, server, settings, false).await
    }

    /// `serves`: what it finds concerns the other servers, too.
    async fn start(
        repository: &Repository,
        server: ServerId,
        settings: &config::Audit,
        serves: bool,
    ) -> Result<Self, AuditError> {
        let head = HeadFile::new(settings.head_file.clone());
        let healthy = Arc::new(AtomicBool::new(false));
        let writer = Writer::open(repository.clone(), server, head, healthy.clone()).await?;
        if serves {
            writer.tell_of_loss().await?;
        }
        let (requests, queue) = mpsc::channel(MAX_WAITING);
        tokio::spawn(writer.run(queue));
        Ok(Self {
            requests,
            server,
            repository: repository.clone(),
            healthy,
            calls: settings.calls,
            archiving: Arc::default(),
            copies: Arc::default(),
        })
    }

    /// Whether provisioning calls leave entries.
    pub const fn calls(&self) -> bool {
        self.calls
    }

    /// The same log, for whoever is not to write entries about calls.
    #[cfg(test)]
    pub(crate) fn without_calls(mut self) -> Self {
        self.calls = false;
        self
    }

    /// Writes the entry `begun`, durably, before something is changed.
    ///
    /// # Errors
    /// [`AuditError`]: nothing may be changed then.
    pub async fn begin(
        &self,
        subject: Subject,
        action: &str,
        object: &str,
    ) -> Result<Begun, AuditError> {
        let draft = Draft::new(subject, action, object, Outcome::Begun);
        // Nothing is done beside it that could leave it out.
        self.begin_draft(draft).await?.ok_or(AuditError::Closed)
    }

    /// As [`Self::begin`], with all that `draft` says; `None`: what was to be done beside it says
    /// that it is not written.
    ///
    /// # Errors
    /// [`AuditError`]: nothing may be changed then.
    pub async fn begin_draft(&self, draft: Draft) -> Result<Option<Begun>, AuditError> {
        let draft = draft.ended(Outcome::Begun);
        let (answer, result) = oneshot::channel();
        self.send(Request::Begin {
            draft: draft.clone(),
            answer,
        })
        .await?;
        let seq = result.await.map_err(|_| AuditError::Closed)??;
        Ok(seq.map(|seq| Begun {
            log: self.clone(),
            draft: Some(draft.of(seq)),
        }))
    }

    /// Whether [`Self::record`] will be able to write: to be asked before what is recorded is done.
    ///
    /// # Errors
    /// [`AuditError`]: nothing may be done then.
    pub async fn ready(&self) -> Result<(), AuditError> {
        if self.healthy.load(Ordering::Acquire) {
            return Ok(());
        }
        let (answer, result) = oneshot::channel();
        self.send(Request::Retry { answer }).await?;
        result.await.map_err(|_| AuditError::Closed)?
    }

    /// Writes an entry about what is over. Where that fails it is kept in memory and written before
    /// anything else, with what is to be done beside it.
    pub async fn record(&self, draft: Draft) -> Recorded {
        let (answer, written) = oneshot::channel();
        // An error says that the log is closed: the operation's entry `begun` stays without its
        // outcome, which says that much.
        match self.send(Request::Record { draft, answer }).await {
            Ok(()) => written.await.unwrap_or(Recorded::Not),
            Err(_) => Recorded::Not,
        }
    }

    /// As [`Self::record`], without waiting: for where a future is dropped.
    pub fn record_later(&self, draft: Draft) {
        let (answer, _) = oneshot::channel();
        if self
            .requests
            .try_send(Request::Record { draft, answer })
            .is_err()
        {
            tracing::error!(
                "an audit entry about an abandoned operation found no room; its outcome stays unknown"
            );
        }
    }

    /// Notes a request that was refused. Floods of one subject are collapsed; where the log cannot
    /// be written, only the server's log has it.
    pub async fn refused(&self, draft: Draft) {
        let draft = draft.ended(Outcome::Refused);
        let (answer, noted) = oneshot::channel();
        if self.send(Request::Refused { draft, answer }).await.is_ok() {
            // An error says that the log is closed.
            let _ = noted.await;
        }
    }

    /// Verifies every entry, the head file, and that the chain passes through the heads `known`
    /// from elsewhere.
    ///
    /// # Errors
    /// [`AuditError`] where the log cannot be read; what is wrong with it is in the report.
    pub async fn verify(&self, known: Vec<AuditTip>) -> Result<Report, AuditError> {
        let inspection = self.inspect().await?;
        let chain = Chain::load(&self.repository, self.server).await?;
        verify::verify(&self.repository, chain, inspection, known).await
    }

    async fn inspect(&self) -> Result<Inspection, AuditError> {
        let (answer, result) = oneshot::channel();
        self.send(Request::Inspect { answer }).await?;
        result.await.map_err(|_| AuditError::Closed)
    }

    /// Where the log ended when its head file was flushed just now.
    ///
    /// # Errors
    /// [`AuditError`] where it cannot be.
    async fn flushed_head(&self) -> Result<AuditTip, AuditError> {
        let (answer, result) = oneshot::channel();
        self.send(Request::Flush { answer }).await?;
        result.await.map_err(|_| AuditError::Closed)?
    }

    /// A digest of what [`Self::accept`] would accept: where the log ends, its head file, and which
    /// records were changed, removed, put back or put in by hand.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn faults_digest(&self) -> Result<[u8; 32], AuditError> {
        let Inspection { tip, head, dispute } = self.inspect().await?;
        let last = self.repository.audit_entries().last().await?;
        let last = last.map(|entry| (entry.seq, entry.mac));
        let rows = self.repository.check_rows().await?;
        let faults = (rows.base, rows.bound, rows.fault_count, rows.faults);
        let found = format!("{:?}", (tip, head?, dispute, last, faults));
        Ok(Sha256::digest(found).into())
    }

    /// Where the log ends.
    ///
    /// # Errors
    /// [`AuditError`].
    pub async fn head(&self) -> Result<Head, AuditError> {
        let (answer, result) = oneshot::channel();
        self.send(Request::Inspect { answer }).await?;
        let tip = result.await.map_err(|_| AuditError::Closed)?.tip;
        let chain = Chain::load(&self.repository, self.server).await?;
        Ok(chain.head(tip, true)?)
    }

    /// Checks entries that came from elsewhere, such as an export, against this log's key.
    ///
    /// # Errors
    /// [`AuditError::Repository`].
    pub async fn verifier(&self) -> Result<Verifier, AuditError> {
        let chain = Chain::load(&self.repository, self.server).await?;
        Ok(Verifier::new(chain))
    }

    /// Goes on from the repository's last entry although the head file disagrees, and writes down
    /// who said so and what was found.
    ///
    /// # Errors
    /// [`AuditError`]; `Undisputed` where there is nothing to accept, `Loss` where that is not
    /// enough.
    pub async fn accept(&self, subject: Subject, reason: &str) -> Result<Head, AuditError> {
        self.go_on(subject, reason, false).await
    }

    /// As [`Self::accept`], by somebody who sees to all that a repository which went back in time
    /// asks for.
    ///
    /// # Errors
    /// As [`Self::accept`], but for `Loss`.
    pub async fn accept_loss(&self, subject: Subject, reason: &str) -> Result<Head, AuditError> {
        self.go_on(subject, reason, true).await
    }

    async fn go_on(&self, subject: Subject, reason: &str, loss: bool) -> Result<Head, AuditError> {
        let draft = Draft::new(subject, "Audit/Accept", "", Outcome::Done).detail(reason);
        let (answer, result) = oneshot::channel();
        self.send(Request::Accept {
            draft,
            loss,
            answer,
        })
        .await?;
        let tip = result.await.map_err(|_| AuditError::Closed)??;
        let chain = Chain::load(&self.repository, self.server).await?;
        Ok(chain.head(tip, true)?)
    }

    /// Writes what is left, and tells the log where it ends. To be called before the repository is
    /// closed.
    pub async fn close(&self) {
        let stopped = Draft::new(Subject::server(), "Server/Stop", "", Outcome::Done);
        self.record(stopped).await;
        self.detach().await;
    }

    /// As [`Self::close`], for somebody else than the server: the log does not say that it stopped.
    pub async fn detach(&self) {
        let (answer, closed) = oneshot::channel();
        if self.send(Request::Close { answer }).await.is_ok() {
            // An error says that it is closed already.
            let _ = closed.await;
        }
    }

    async fn send(&self, request: Request) -> Result<(), AuditError> {
        self.requests
            .send(request)
            .await
            .map_err(|_| AuditError::Closed)
    }
}

/// Verifies the log of a repository that nobody has to be writing to, and its head file. What is
/// written meanwhile is not held against it.
///
/// # Errors
/// [`AuditError`] where it cannot be read; what is wrong with it is in the report.
pub async fn verify_at_rest(
    repository: &Repository,
    server: ServerId,
    head: HeadFile,
) -> Result<Report, AuditError> {
    let chain = Chain::load(repository, server).await?;
    // In this order: what is written in between comes after the head.
    let head = head.read();
    let last = repository.audit_entries().last().await?;
    let tip = last.and_then(|last| AuditTip::of(&last));
    let inspection = Inspection {
        tip: tip.unwrap_or(AuditTip::BEGINNING),
        head,
        dispute: None,
    };
    verify::verify(repository, chain, inspection, Vec::new()).await
}

/// The entry of this generation, in which somebody accepts that a repository went back in time:
/// servers whose head files know what was lost go on from it.
pub fn accepted_loss(who: Subject, generation: u64) -> Draft {
    let object = format!("{GENERATION}{generation}");
    Draft::new(who, ACCEPTED_LOSS, &object, Outcome::Done)
}

/// The repository is to be moved into another database: its head file says nothing of the one that
/// it was in from now on.
///
/// # Errors
/// [`AuditError`] where the file cannot be read or written.
pub async fn leave_database(
    repository: &Repository,
    server: ServerId,
    head: &HeadFile,
) -> Result<(), AuditError> {
    let chain = Chain::load(repository, server).await?;
    if let head::Found::Head(found) = head.read()?
        && found.database.is_some()
        && chain.made(&found)
    {
        head.write(&chain.head(found.tip, found.rows)?)?;
        head.flush()?;
    }
    Ok(())
}

/// What became of an entry about what is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is durable.
    Written,
    /// It is kept in memory until it can be written.
    Kept,
    /// It is not written: what was to be done beside it says so, or the log is closed.
    Not,
}

/// Makes the audit key of a repository just made, and gives what its head file is to hold.
///
/// # Errors
/// [`AuditError::Repository`].
pub async fn create(repository: &Repository, server: ServerId) -> Result<Head, AuditError> {
    let chain = Chain::extend(repository, server, 1).await?;
    Ok(chain.head(AuditTip::BEGINNING, true)?)
}

/// An operation that was begun. Dropped without [`Self::end`], it leaves the outcome `unknown`.
#[derive(Debug)]
#[must_use = "its outcome has to be written: call `end`"]
pub struct Begun {
    log: AuditLog,
    draft: Option<Draft>,
}

impl Begun {
    /// Writes what came of it.
    pub async fn end(mut self, outcome: Outcome, detail: &str) {
        if let Some(draft) = self.draft.take() {
            self.log.record(draft.ended(outcome).detail(detail)).await;
        }
    }

    /// Writes what came of it, with this done in the same transaction.
    pub async fn end_with(mut self, outcome: Outcome, detail: &str, work: Beside) -> Recorded {
        match self.draft.take() {
            Some(draft) => {
                let draft = draft.ended(outcome).detail(detail).beside(work);
                self.log.record(draft).await
            }
            None => Recorded::Not,
        }
    }

    /// Whoever is to know what came of it writes that.
    pub fn leave(mut self) {
        self.draft = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(draft) = self.draft.take() {
            self.log.record_later(
                draft
                    .ended(Outcome::Unknown)
                    .detail("it was abandoned before its outcome was known"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
