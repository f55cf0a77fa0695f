//! The one task that appends: what arrives while a transaction is under way goes into the next one
//! together.

mod agreement;
mod follow;
mod gather;
mod loss;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use portcullis_common::id::ServerId;
use portcullis_host::clock;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

pub(super) use agreement::older;

use super::Recorded;
use super::chain::Chain;
use super::entry::{Draft, Outcome, Subject};
use super::error::{AuditError, Dispute};
use super::floods::Floods;
use super::flush::Flusher;
use super::head::{Found, HeadError, HeadFile, Known};
use crate::repository::{
    AUDIT_MAC_LEN, Appended, AuditEntry, AuditTip, Beside, LogEnd, Repository, RowsSum, Written,
};
use gather::Gatherer;

/// Requests that one transaction answers at most.
const MAX_TOGETHER: usize = 1_024;
/// Entries kept in memory while they cannot be written. Operations are refused meanwhile: only
/// those under way add to them.
const MAX_KEPT: usize = 8_192;
/// The log is told of the head after so many entries …
const TELL_ENTRIES: u64 = 256;
/// … or when it has changed since so long ago.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// How often the head file is moved to what other servers have appended.
const FOLLOW_EVERY: Duration = Duration::from_secs(1);

/// What the entry of a start is about.
pub(super) const STARTED: &str = "Server/Start";
const GIVEN_UP: &str = "it was given up before anything was done";

pub(super) enum Request {
    /// Nothing is done unless this is durable.
    Begin {
        draft: Draft,
        answer: oneshot::Sender<Result<Option<u64>, AuditError>>,
    },
    /// It is done already: kept until it can be written.
    Record {
        draft: Draft,
        answer: oneshot::Sender<Recorded>,
    },
    Refused {
        draft: Draft,
        answer: oneshot::Sender<()>,
    },
    /// Write what is kept, or say why not.
    Retry {
        answer: oneshot::Sender<Result<(), AuditError>>,
    },
    Inspect {
        answer: oneshot::Sender<Inspection>,
    },
    /// Flush the head file, and say where it says that the log ends.
    Flush {
        answer: oneshot::Sender<Result<AuditTip, AuditError>>,
    },
    Accept {
        draft: Draft,
        /// Whoever asks sees to the rest of what a loss asks for.
        loss: bool,
        answer: oneshot::Sender<Result<AuditTip, AuditError>>,
    },
    Close {
        answer: oneshot::Sender<()>,
    },
}

/// The state of the log between two commits.
#[derive(Debug)]
pub(super) struct Inspection {
    pub(super) tip: AuditTip,
    pub(super) head: Result<Found, HeadError>,
    pub(super) dispute: Option<Dispute>,
}

pub(super) struct Writer {
    repository: Repository,
    server: ServerId,
    chain: Arc<Chain>,
    file: HeadFile,
    flusher: Flusher,
    tip: AuditTip,
    /// The sum over the rows that decide, as the last entry knows it; `None`: it is to be read
    /// there.
    rows: Option<RowsSum>,
    /// Whether it does: an entry of an earlier version does not.
    knows_rows: bool,
    /// The head file is not where the log ends.
    head_behind: bool,
    dispute: Option<Dispute>,
    /// The database as it is known; `None`: the log is in a file.
    database: Option<Known>,
    kept: VecDeque<Draft>,
    /// What became of the entries of the last commit that were not kept; empty: it took no effect.
    written: Vec<Written>,
    floods: Floods,
    gatherer: Gatherer,
    told: AuditTip,
    tell_at: Instant,
    /// `None`: nobody else appends.
    follow_at: Option<Instant>,
    healthy: Arc<AtomicBool>,
}

/// An entry for the next transaction, and who waits for it.
struct Waiting {
    draft: Draft,
    answer: Answer,
}

enum Answer {
    Begin(oneshot::Sender<Result<Option<u64>, AuditError>>),
    Record(oneshot::Sender<Recorded>),
    Refused(oneshot::Sender<()>),
}

impl Writer {
    /// Finds out where the log ends and whether its head file says the same.
    pub(super) async fn open(
        repository: Repository,
        server: ServerId,
        file: HeadFile,
        healthy: Arc<AtomicBool>,
    ) -> Result<Self, AuditError> {
        file.check_folder()?;
        // One without any key is in dispute: whoever makes a repository makes its first key and its
        // head file, too.
        let chain = Arc::new(Chain::load(&repository, server).await?);
        let shared = repository.database().is_shared();
        let mut writer = Self {
            repository,
            server,
            chain,
            flusher: Flusher::start(file.clone()),
            file,
            tip: AuditTip::BEGINNING,
            rows: None,
            knows_rows: false,
            head_behind: true,
            dispute: None,
            database: None,
            kept: VecDeque::new(),
            written: Vec::new(),
            floods: Floods::default(),
            gatherer: Gatherer::default(),
            told: AuditTip::BEGINNING,
            tell_at: Instant::now(),
            follow_at: shared.then(Instant::now),
            healthy,
        };
        let found = writer.file.read()?;
        writer.database = writer.known_database().await?;
        let last = writer.find_tip().await?;
        writer.dispute = match last {
            Err(dispute) => Some(dispute),
            Ok(last) => writer.compare(found, last.as_ref()).await?,
        };
        writer.check_rows(found).await?;
        let head = writer
            .chain
            .head_in(writer.tip, writer.knows_rows, writer.database)
            .map(Found::Head);
        writer.head_behind = head != Ok(found);
        if let Some(dispute) = writer.dispute {
            tracing::error!(%dispute, "the audit log takes no entries: see `portcullis audit verify`");
        }
        // Each start closes what the runs before left open.
        let entries = writer.repository.audit_entries();
        let since = entries.last_of(STARTED).await?;
        let left = entries.unfinished(since, true).await?;
        writer.keep_unfinished(&left);
        writer.find_left_open().await?;
        Ok(writer)
    }

    /// What instances that are gone have begun gets the outcome `unknown`.
    async fn find_left_open(&mut self) -> Result<(), AuditError> {
        if self.follow_at.is_some() {
            let left = self.repository.audit_entries().left_open().await?;
            self.keep_unfinished(&left);
        }
        Ok(())
    }

    fn keep_unfinished(&mut self, left: &[AuditEntry]) {
        for begun in left {
            let kept = self.kept.iter().any(|kept| kept.begun == begun.seq);
            if !kept {
                // Another server may find it as well.
                let work = self.repository.audit_entries().has_no_outcome(begun.seq);
                self.kept.push_back(unfinished(begun).beside(work));
            }
        }
    }

    pub(super) async fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let mut requests = Vec::with_capacity(MAX_TOGETHER);
        loop {
            let wake = self
                .follow_at
                .map_or(self.tell_at, |at| at.min(self.tell_at));
            let received = timeout_at(wake, queue.recv_many(&mut requests, MAX_TOGETHER)).await;
            match received {
                Ok(0) => {
                    self.flusher.finish().await;
                    return self.tell();
                }
                Ok(_) => {
                    self.gatherer.gather(&mut queue, &mut requests).await;
                    if let Some(closed) = self.handle(&mut requests).await {
                        self.flusher.finish().await;
                        self.tell();
                        // Nobody waits any more.
                        let _ = closed.send(());
                        return;
                    }
                }
                Err(_) => {
                    self.follow().await;
                    if Instant::now() >= self.tell_at {
                        self.tick().await;
                    }
                }
            }
        }
    }

    /// Answers all `requests`; gives whom to tell where one of them ends the log.
    async fn handle(&mut self, requests: &mut Vec<Request>) -> Option<oneshot::Sender<()>> {
        let mut waiting = Vec::with_capacity(requests.len());
        let mut rest = Vec::new();
        for request in requests.drain(..) {
            let (draft, answer) = match request {
                Request::Begin { draft, answer } => (draft, Answer::Begin(answer)),
                Request::Record { draft, answer } => (draft, Answer::Record(answer)),
                Request::Refused { draft, answer } => match self.admit(draft) {
                    Some(draft) => (draft, Answer::Refused(answer)),
                    None => {
                        // Nobody waits any more where the caller was cancelled; so below.
                        let _ = answer.send(());
                        continue;
                    }
                },
                other => {
                    rest.push(other);
                    continue;
                }
            };
            waiting.push(Waiting { draft, answer });
        }
        if !waiting.is_empty() {
            self.write(waiting).await;
        }
        let mut closed = None;
        for request in rest {
            match request {
                Request::Retry { answer } => {
                    let retried = self.commit(Vec::new()).await.map(|_| ());
                    let _ = answer.send(retried);
                }
                Request::Inspect { answer } => {
                    let inspection = Inspection {
                        tip: self.tip,
                        head: self.file.read(),
                        dispute: self.dispute,
                    };
                    let _ = answer.send(inspection);
                }
                Request::Flush { answer } => {
                    let flushed = self.flush_head().await;
                    let _ = answer.send(flushed);
                }
                Request::Accept {
                    draft,
                    loss,
                    answer,
                } => {
                    let accepted = self.accept(draft, loss).await;
                    let _ = answer.send(accepted);
                }
                Request::Close { answer } => closed = Some(answer),
                Request::Begin { .. } | Request::Record { .. } | Request::Refused { .. } => {}
            }
        }
        closed
    }

    /// Writes entries in one transaction, and answers for each.
    async fn write(&mut self, waiting: Vec<Waiting>) {
        let drafts = waiting.iter().map(|one| one.draft.clone()).collect();
        let result = self.commit(drafts).await;
        let mut written = std::mem::take(&mut self.written).into_iter();
        for Waiting { draft, answer } in waiting {
            let written = written.next();
            match answer {
                Answer::Begin(answer) => {
                    let seq = written.clone().and_then(|it| it.ok().flatten());
                    let outcome = match (&result, written) {
                        (Err(error), _) => Err(error.clone()),
                        (Ok(()), Some(written)) => written.map_err(AuditError::Repository),
                        (Ok(()), None) => Err(AuditError::Closed),
                    };
                    let refused = outcome.is_err();
                    let gone = answer.send(outcome).is_err();
                    // Nothing was done, though the entry stands.
                    match seq {
                        Some(seq) if refused || gone => {
                            self.keep(draft.of(seq).ended(Outcome::Failed).detail(GIVEN_UP));
                        }
                        Some(_) => self.gatherer.begun(),
                        None => {}
                    }
                }
                Answer::Record(answer) => {
                    if draft.begun != 0 {
                        self.gatherer.ended();
                    }
                    let recorded = match written {
                        Some(written) => recorded(written, &draft),
                        None => {
                            self.keep(draft);
                            Recorded::Kept
                        }
                    };
                    let _ = answer.send(recorded);
                }
                Answer::Refused(answer) => {
                    let _ = answer.send(());
                }
            }
        }
    }

    /// Appends what is kept and `drafts`, and moves the head file. Where this fails although the
    /// tip has moved, the entries stand and only the head file does not.
    async fn commit(&mut self, drafts: Vec<Draft>) -> Result<(), AuditError> {
        let committed = self.try_commit(drafts).await;
        if let Err(error) = &committed
            && self.healthy.swap(false, Ordering::AcqRel)
        {
            tracing::error!(%error, "the audit log takes no entries: what would be audited is refused until it does");
        }
        if committed.is_ok() {
            self.healthy.store(self.kept.is_empty(), Ordering::Release);
        }
        committed
    }

    async fn try_commit(&mut self, drafts: Vec<Draft>) -> Result<(), AuditError> {
        self.written.clear();
        if let Some(dispute) = self.dispute {
            return Err(AuditError::Disputed(dispute));
        }
        if self.head_behind {
            self.write_head().await?;
        }
        if drafts.is_empty() && self.kept.is_empty() {
            return Ok(());
        }
        let drafts: Arc<[_]> = self.kept.iter().cloned().chain(drafts).collect();
        let mut appended = self.append(Arc::clone(&drafts)).await?;
        if appended.is_err() {
            // Another server may have begun to chain under another key.
            self.load_chain().await?;
            appended = self.append(drafts).await?;
        }
        let Appended { end, written } = match appended {
            Ok(appended) => appended,
            Err(dispute) => {
                self.dispute = Some(dispute);
                return Err(AuditError::Disputed(dispute));
            }
        };
        let mut written = written.into_iter();
        for (kept, written) in self.kept.drain(..).zip(written.by_ref()) {
            recorded(written, &kept);
        }
        self.written = written.collect();
        self.move_to(end).await
    }

    /// Appends `drafts` after the last entry, whichever server wrote that.
    async fn append(
        &mut self,
        drafts: Arc<[Draft]>,
    ) -> Result<Result<Appended, Dispute>, AuditError> {
        let besides: Vec<Option<Beside>> =
            drafts.iter().map(|draft| draft.beside.clone()).collect();
        let (chain, time_ms) = (Arc::clone(&self.chain), clock::now().0);
        let known = self.end();
        let log = self.repository.audit_entries();
        // Where the log ends, which rows there are, and which entries are written, is known within
        // the transaction only: so the chain is made there.
        let append = log.append(
            known,
            besides,
            follow::check(Arc::clone(&self.chain)),
            move |before, written, rows| {
                let drafts = drafts.iter().zip(written);
                let drafts = drafts.filter(|(_, written)| matches!(written, Ok(Some(_))));
                let drafts: Vec<_> = drafts.map(|(draft, _)| draft).collect();
                chained(&chain, before, time_ms, &drafts, rows)
            },
        );
        append.await.map_err(|error| self.lost_with(error))
    }

    /// The log ends there now: so does the head file.
    async fn move_to(&mut self, end: LogEnd) -> Result<(), AuditError> {
        self.rows = end.rows;
        if self.tip == end.tip {
            return Ok(());
        }
        (self.tip, self.knows_rows) = (end.tip, true);
        self.head_behind = true;
        self.write_head().await?;
        if self.tip.count.saturating_sub(self.told.count) >= TELL_ENTRIES {
            self.tell();
        }
        Ok(())
    }

    const fn end(&self) -> LogEnd {
        LogEnd {
            tip: self.tip,
            rows: self.rows,
        }
    }

    async fn load_chain(&mut self) -> Result<(), AuditError> {
        let chain = Chain::load(&self.repository, self.server).await?;
        self.chain = Arc::new(chain);
        Ok(())
    }

    async fn write_head(&mut self) -> Result<(), AuditError> {
        let head = self
            .chain
            .head_in(self.tip, self.knows_rows, self.database)?;
        let file = self.file.clone();
        let overdue = self.flusher.is_overdue();
        let write = move || {
            file.write(&head)?;
            match overdue {
                true => file.flush(),
                false => Ok(()),
            }
        };
        tokio::task::spawn_blocking(write)
            .await
            .map_err(|_| AuditError::Closed)??;
        match overdue {
            true => self.flusher.flushed(),
            false => self.flusher.written(),
        }
        self.head_behind = false;
        Ok(())
    }

    async fn flush_head(&mut self) -> Result<AuditTip, AuditError> {
        // In dispute the head file is left as it is: nobody knows then what it has to say.
        self.commit(Vec::new()).await?;
        self.flusher.flush().await?;
        Ok(self.tip)
    }

    fn admit(&mut self, draft: Draft) -> Option<Draft> {
        let silent = self.floods.admit(&draft.subject, clock::now())?;
        tracing::warn!(
            subject = %draft.subject,
            method = draft.action,
            reason = draft.detail,
            silent,
            "refused an administrator's request"
        );
        if silent == 0 {
            return Some(draft);
        }
        let detail = format!(
            "{} (and {silent} more before, not written one by one)",
            draft.detail
        );
        Some(draft.detail(&detail))
    }

    fn keep(&mut self, draft: Draft) {
        if self.kept.len() >= MAX_KEPT {
            tracing::error!(subject = %draft.subject, action = draft.action, object = draft.object,
                outcome = draft.outcome.name(), "an audit entry found no room and is lost but for this line");
            return;
        }
        self.kept.push_back(draft);
        self.healthy.store(false, Ordering::Release);
    }

    async fn tick(&mut self) {
        let silenced: Vec<_> = self
            .floods
            .due(clock::now())
            .into_iter()
            .map(|(subject, silent)| {
                Draft::new(subject, "refused requests", "", Outcome::Refused)
                    .detail(&format!("{silent} more, not written one by one"))
            })
            .collect();
        if !silenced.is_empty() || !self.kept.is_empty() || self.head_behind {
            // Tried again with the next request; the failure was told when it began.
            let _ = self.commit(silenced).await;
        }
        self.tell();
    }

    /// Tells the log where the audit log ends: what is told there, nobody takes back by writing to
    /// this host's files.
    fn tell(&mut self) {
        self.tell_at = Instant::now() + TELL_EVERY;
        if self.told != self.tip {
            self.told = self.tip;
            tracing::info!(
                count = self.tip.count,
                mac = HEXLOWER.encode(&self.tip.mac),
                "audit head"
            );
        }
    }
}

/// What is said of an entry that came to its transaction.
fn recorded(written: Written, draft: &Draft) -> Recorded {
    match written {
        Ok(Some(_)) => Recorded::Written,
        Ok(None) => Recorded::Not,
        Err(error) => {
            tracing::error!(action = draft.action, object = draft.object, %error, "an audit entry was not written, for what goes with it failed");
            Recorded::Not
        }
    }
}

/// The entries of `drafts`, chained after `before`: the last one knows the `rows` that decide.
fn chained(
    chain: &Chain,
    before: AuditTip,
    time_ms: u64,
    drafts: &[&Draft],
    rows: &[u8; AUDIT_MAC_LEN],
) -> Result<Vec<AuditEntry>, Dispute> {
    let mut tip = before;
    let mut entries = Vec::with_capacity(drafts.len());
    for (left, draft) in (0..drafts.len()).rev().zip(drafts) {
        let mut entry = AuditEntry {
            seq: tip.count + 1,
            commit_first: before.count + 1,
            time_ms,
            subject: draft.subject.to_string(),
            action: draft.action.clone(),
            object: draft.object.clone(),
            outcome: draft.outcome.name().to_owned(),
            begun: draft.begun,
            detail: draft.detail.clone(),
            fields: draft.fields.clone(),
            authority: match left {
                0 => rows.to_vec(),
                _ => Vec::new(),
            },
            mac: Vec::new(),
        };
        tip = AuditTip {
            count: entry.seq,
            mac: chain.mac(&tip.mac, &entry)?,
        };
        entry.mac = tip.mac.to_vec();
        entries.push(entry);
    }
    Ok(entries)
}

fn unfinished(begun: &AuditEntry) -> Draft {
    Draft::new(
        Subject::server(),
        &begun.action,
        &begun.object,
        Outcome::Unknown,
    )
    .of(begun.seq)
    .about(begun.fields.clone())
    .detail("the server ended before its outcome was known")
}
