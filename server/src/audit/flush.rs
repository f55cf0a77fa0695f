//! Flushes the head file soon after it was written: nobody's answer waits for that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::head::{HeadError, HeadFile};

/// How long what is written is gathered before it is flushed.
const GATHER: Duration = Duration::from_millis(500);
/// What was not flushed for so long, the next commit flushes itself, and waits for it.
const OVERDUE: Duration = Duration::from_secs(2);

/// The task that flushes, and what is known of its work.
#[derive(Debug)]
pub(super) struct Flusher {
    file: HeadFile,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
    /// Since when the file has been written and not flushed.
    since: Option<Instant>,
}

#[derive(Debug, Default)]
struct Shared {
    written: Notify,
    /// It was written since it was flushed last, or that failed.
    behind: AtomicBool,
}

impl Flusher {
    /// One that has nothing to do yet.
    pub(super) fn start(file: HeadFile) -> Self {
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(run(file.clone(), Arc::clone(&shared)));
        Self {
            file,
            shared,
            task,
            since: None,
        }
    }

    /// Whether the next commit has to flush by itself.
    pub(super) fn is_overdue(&mut self) -> bool {
        if !self.shared.behind.load(Ordering::Acquire) {
            self.since = None;
        }
        self.since.is_some_and(|since| since.elapsed() >= OVERDUE)
    }

    /// The file was written.
    pub(super) fn written(&mut self) {
        if !self.shared.behind.swap(true, Ordering::AcqRel) || self.since.is_none() {
            self.since = Some(Instant::now());
        }
        self.shared.written.notify_one();
    }

    /// The file was written, and flushed with it.
    pub(super) fn flushed(&mut self) {
        self.since = None;
        self.shared.behind.store(false, Ordering::Release);
    }

    /// Flushes the file now.
    ///
    /// # Errors
    /// [`HeadError`]: the next commit tries it again.
    pub(super) async fn flush(&mut self) -> Result<(), HeadError> {
        flush(&self.file, &self.shared).await?;
        self.since = None;
        Ok(())
    }

    /// Flushes what is left.
    pub(super) async fn finish(&mut self) {
        self.task.abort();
        if self.shared.behind.load(Ordering::Acquire) {
            told(flush(&self.file, &self.shared).await);
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(file: HeadFile, shared: Arc<Shared>) {
    loop {
        shared.written.notified().await;
        tokio::time::sleep(GATHER).await;
        told(flush(&file, &shared).await);
    }
}

async fn flush(file: &HeadFile, shared: &Shared) -> Result<(), HeadError> {
    // What is written from here on is flushed the next time.
    shared.behind.store(false, Ordering::Release);
    let file = file.clone();
    let flushed = tokio::task::spawn_blocking(move || file.flush()).await;
    // An error says that the server stops.
    let flushed = flushed.unwrap_or(Ok(()));
    if flushed.is_err() {
        shared.behind.store(true, Ordering::Release);
    }
    flushed
}

fn told(flushed: Result<(), HeadError>) {
    if let Err(error) = flushed {
        tracing::error!(%error, "the audit log's head file was not flushed: the next entry waits for it");
    }
}
