//! Long work that outlives whoever asked for it, and the server: each task is stored, tells how far
//! it is, and is resumed after a crash. What is left to do is found in the repository, so that
//! nothing is done twice and nothing left out.
//!
//! To add a kind: a variant of [`Job`], and a function that does the work through a [`Reporter`].

mod delete_unused;
mod error;
mod job;
pub mod manage;
mod progress;
pub mod re_encrypt;
mod reporter;
mod sync_gateways;
#[cfg(test)]
mod tests;
mod upgrade;
mod verify;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, Stream, StreamExt};
use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::audit::{AuditLog, Outcome, Subject};
use crate::config::SecretSource;
use crate::fleet::Fleet;
use crate::keys::KeyManager;
use crate::provisioning::Provisioning;
use crate::repository::{Admission, NewTask, Repository, RepositoryError, TaskRow, TaskState};
use crate::withdrawals::Withdrawals;
pub use error::{Interrupt, JobError, TaskError};
pub use job::{Job, ReEncrypt, UnknownReEncryptType};
pub use progress::{
    Finding, MAX_FINDINGS, Progress, RECORD, SERVER_KEY, Step, StepState, TypeProgress, Why,
};
pub use reporter::Reporter;
pub use sync_gateways::SyncGateways;
pub use upgrade::{Upgrade, Wave};

/// The shortest time between two states that a watcher gets.
const WATCH_INTERVAL: Duration = Duration::from_millis(100);

/// How often a task is looked at that another server runs.
const LOOK_ELSEWHERE: Duration = Duration::from_millis(500);
/// How long a server may take to end a task whose end was asked for at another one.
const PATIENCE_ELSEWHERE: Duration = Duration::from_secs(30);

/// What tasks work on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Work {
    /// The repository.
    pub repository: Repository,
    /// The server keys.
    pub keys: KeyManager,
    /// The gateways.
    pub fleet: Fleet,
    /// What gateways are tried by.
    pub provisioning: Provisioning,
    /// Where each task leaves its entries.
    pub audit: AuditLog,
    /// Where the server takes its secret from at its start.
    pub secret: SecretSource,
}

/// A task as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: u64,
    /// What it does.
    pub kind: String,
    /// Who asked for it.
    pub subject: String,
    /// How it stands.
    pub state: TaskState,
    /// Why it failed, where it did.
    pub reason: Option<String>,
    /// How far it is.
    pub progress: Progress,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended.
    pub ended: Option<UnixMillis>,
}

/// The tasks of one server. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    work: Work,
    withdrawals: Option<Withdrawals>,
    live: Mutex<LiveTasks>,
}

#[derive(Debug, Default)]
struct LiveTasks {
    tasks: HashMap<u64, Live>,
    /// No other begins.
    stopping: bool,
}

/// A task at work, or one whose end could not be stored yet.
#[derive(Debug)]
struct Live {
    task: watch::Receiver<Task>,
    interrupt: watch::Sender<Option<Interrupt>>,
}

impl Live {
    /// Tells it to end; the first reason holds.
    fn interrupt(&self, reason: Interrupt) {
        self.interrupt.send_if_modified(|interrupt| {
            let first = interrupt.is_none();
            interrupt.get_or_insert(reason);
            first
        });
    }

    /// Tells it to end. Gives what tells when it has.
    fn cancel(&self) -> watch::Receiver<Task> {
        self.interrupt(Interrupt::Cancelled);
        self.task.clone()
    }
}

impl Tasks {
    /// The tasks of the repository in `work`; none is at work yet.
    pub fn new(work: Work) -> Self {
        Self::among(work, None)
    }

    /// The same, where other servers share the repository, and are waited for by `withdrawals`.
    pub fn among(work: Work, withdrawals: Option<Withdrawals>) -> Self {
        Self {
            inner: Arc::new(Inner {
                work,
                withdrawals,
                live: Mutex::default(),
            }),
        }
    }

    /// What tasks work on.
    pub fn work(&self) -> &Work {
        &self.inner.work
    }

    /// Those that failed and were not followed by another of their kind.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn failed(&self) -> Result<Vec<TaskRow>, RepositoryError> {
        let mut seen = HashSet::new();
        let mut tasks = self.stored().list().await?;
        tasks.retain(|task| seen.insert(task.kind.clone()) && task.state == TaskState::Failed);
        Ok(tasks)
    }

    /// Takes over what earlier instances of the server left, and takes it up again: once, when the
    /// server starts.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was taken up.
    pub async fn resume_interrupted(&self) -> Result<(), RepositoryError> {
        for row in self.stored().take_over().await? {
            match job(&row) {
                Ok(job) => {
                    tracing::info!(task = row.id, kind = row.kind, "task resumed");
                    // None was told to stop yet.
                    let _ = self.begin(row, job);
                }
                Err(error) => tracing::warn!(%error, "task not resumed"),
            }
        }
        Ok(())
    }

    /// Has other servers go on with the tasks of this one, which is drained: those at work here end
    /// at the next point where they can be resumed. To be asked again until it is not drained any
    /// more.
    ///
    /// # Errors
    /// [`RepositoryError`]: they stay until this is asked again.
    pub async fn hand_over(&self) -> Result<(), RepositoryError> {
        let at_work: Vec<_> = {
            let live = self.live();
            for live in live.tasks.values() {
                live.interrupt(Interrupt::HandedOver);
            }
            live.tasks.keys().copied().collect()
        };
        for id in self.stored().give_up(at_work).await? {
            tracing::info!(
                task = id,
                "task handed over: another server goes on with it"
            );
        }
        Ok(())
    }

    /// Starts a task for `subject`.
    ///
    /// # Errors
    /// [`TaskError`]: nothing was started.
    pub async fn start(&self, job: Job, subject: &str) -> Result<Task, TaskError> {
        let new = NewTask {
            kind: job.kind().to_owned(),
            parameters: to_json(&job),
            subject: subject.to_owned(),
            progress: to_json(&Progress::default()),
            started: clock::now(),
        };
        let database = self.inner.work.repository.database().clone();
        self.admit(job, async move { database.tasks().start(new).await })
            .await
    }

    /// Lets a task that failed or was cancelled go on with what is left to do.
    ///
    /// # Errors
    /// [`TaskError`]: it was not resumed.
    pub async fn resume(&self, id: u64) -> Result<Task, TaskError> {
        self.settle().await?;
        let row = self.row(id).await?;
        let job = job(&row)?;
        match row.state {
            TaskState::Running => {
                return Err(TaskError::AlreadyRunning { kind: row.kind, id });
            }
            TaskState::Done => return Err(TaskError::Done(id)),
            TaskState::Failed | TaskState::Cancelled => {}
        }
        let database = self.inner.work.repository.database().clone();
        self.admit(job, async move { database.tasks().resume(id).await })
            .await
    }

    /// Ends a running task at the next point where it can be resumed, and gives it as it stands
    /// then.
    ///
    /// # Errors
    /// [`TaskError::Ended`] where it has ended by itself.
    pub async fn cancel(&self, id: u64) -> Result<Task, TaskError> {
        let live = {
            let live = self.live();
            live.tasks.get(&id).map(Live::cancel)
        };
        match live {
            Some(mut task) => {
                let ended = task.wait_for(|task| task.state != TaskState::Running).await;
                let task = ended.map_err(|_| TaskError::Stopping)?.clone();
                match task.state {
                    TaskState::Cancelled => Ok(task),
                    state => Err(TaskError::Ended { id, state }),
                }
            }
            None => {
                let row = self.row(id).await?;
                if row.state != TaskState::Running {
                    return Err(TaskError::Ended {
                        id,
                        state: row.state,
                    });
                }
                // Of a later version: it runs nowhere.
                let (state, now) = (TaskState::Cancelled, clock::now());
                let stored = self.stored();
                let ended = stored.end(id, state, None, row.progress, now).await?;
                match ended {
                    true => self.show(id).await,
                    false => self.cancel_elsewhere(id).await,
                }
            }
        }
    }

    /// Has the server that runs a task end it.
    async fn cancel_elsewhere(&self, id: u64) -> Result<Task, TaskError> {
        self.stored().ask_to_end(id).await?;
        let until = Instant::now() + PATIENCE_ELSEWHERE;
        loop {
            let task = self.show(id).await?;
            match task.state {
                TaskState::Cancelled => return Ok(task),
                TaskState::Running if Instant::now() >= until => {
                    return Err(TaskError::NotYet(id));
                }
                TaskState::Running => sleep(LOOK_ELSEWHERE).await,
                state => return Err(TaskError::Ended { id, state }),
            }
        }
    }

    /// Ends the tasks whose end was asked for at other servers.
    ///
    /// # Errors
    /// [`RepositoryError`]: they go on until this is asked again.
    pub async fn heed_others(&self) -> Result<(), RepositoryError> {
        let asked = self.stored().asked_to_end().await?;
        let live = self.live();
        for live in asked.iter().filter_map(|id| live.tasks.get(id)) {
            live.cancel();
        }
        Ok(())
    }

    /// Every task that is remembered, newest first.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<Task>, RepositoryError> {
        let rows = self.stored().list().await?;
        let live = self.live();
        let newest = |row| {
            let task = Task::read(row);
            let live = live
                .tasks
                .get(&task.id)
                .map(|live| live.task.borrow().clone());
            live.unwrap_or(task)
        };
        Ok(rows.into_iter().map(newest).collect())
    }

    /// One task.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`].
    pub async fn show(&self, id: u64) -> Result<Task, TaskError> {
        let live = self
            .live()
            .tasks
            .get(&id)
            .map(|live| live.task.borrow().clone());
        match live {
            Some(task) => Ok(task),
            None => Ok(Task::read(self.row(id).await?)),
        }
    }

    /// The upgrade that was started last, and what it was asked to do; `None`: none is remembered.
    ///
    /// # Errors
    /// [`TaskError`].
    pub async fn last_upgrade(&self) -> Result<Option<(Task, Upgrade)>, TaskError> {
        let rows = self.stored().list().await?;
        let last = rows.into_iter().find_map(|row| match job(&row) {
            Ok(Job::Upgrade(upgrade)) => Some((row.id, upgrade)),
            _ => None,
        });
        match last {
            Some((id, upgrade)) => Ok(Some((self.show(id).await?, upgrade))),
            None => Ok(None),
        }
    }

    /// A task as it stands now and at each change, until it has ended. Where the stream ends with a
    /// running task, the server stops.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`].
    pub async fn watch(
        &self,
        id: u64,
    ) -> Result<impl Stream<Item = Task> + Send + use<>, TaskError> {
        let task = self.show(id).await?;
        let changes = self.live().tasks.get(&id).map(|live| live.task.clone());
        let shared = self.inner.work.repository.database().is_shared();
        let elsewhere = (shared && changes.is_none()).then(|| (self.clone(), task.clone()));
        let here = stream::unfold((Some(task), changes), |(first, changes)| async move {
            if let Some(task) = first {
                let running = task.state == TaskState::Running;
                return Some((task, (None, changes.filter(|_| running))));
            }
            let mut changes = changes?;
            changes.changed().await.ok()?;
            // What else changes meanwhile is told with it.
            sleep(WATCH_INTERVAL).await;
            let task = changes.borrow_and_update().clone();
            let running = task.state == TaskState::Running;
            Some((task, (None, Some(changes).filter(|_| running))))
        });
        // What another server tells of it stands in the repository.
        let there = stream::unfold(elsewhere, |elsewhere| async move {
            let (tasks, told) = elsewhere?;
            let mut task = told.clone();
            while task == told && told.state == TaskState::Running {
                sleep(LOOK_ELSEWHERE).await;
                task = tasks.show(told.id).await.ok()?;
            }
            (task != told).then(|| (task.clone(), Some((tasks, task))))
        });
        Ok(StreamExt::chain(here, there))
    }

    /// Interrupts every task, so that it is resumed at the next start, and waits until none is at
    /// work.
    pub async fn stop(&self) {
        let ends: Vec<_> = {
            let mut live = self.live();
            live.stopping = true;
            let ends = live.tasks.values().map(|live| {
                live.interrupt.send_replace(Some(Interrupt::Stopping));
                live.task.clone()
            });
            ends.collect()
        };
        for mut task in ends {
            // The end of the channel is the end of the task.
            while task.borrow_and_update().state == TaskState::Running
                && task.changed().await.is_ok()
            {}
        }
    }

    /// Stores a task as running and begins it: both, or neither, whether or not its caller still
    /// waits.
    async fn admit(
        &self,
        job: Job,
        admission: impl Future<Output = Result<Admission, RepositoryError>> + Send + 'static,
    ) -> Result<Task, TaskError> {
        let fleet = &self.inner.work.fleet;
        if fleet.is_drained() && !fleet.gives_away() {
            return Err(TaskError::Drained);
        }
        self.settle().await?;
        let tasks = self.clone();
        tokio::spawn(async move {
            match admission.await? {
                // Handed over with what this server has.
                Admission::Admitted(row) if tasks.inner.work.fleet.gives_away() => {
                    Ok(Task::read(row))
                }
                Admission::Admitted(row) => tasks.begin(row, job),
                Admission::Busy(id) => Err(TaskError::AlreadyRunning {
                    kind: job.kind().to_owned(),
                    id,
                }),
            }
        })
        .await
        .map_err(|_| TaskError::Stopping)?
    }

    /// Where the server is about to end, it begins when it starts again.
    fn begin(&self, row: TaskRow, job: Job) -> Result<Task, TaskError> {
        let task = Task::read(row);
        let (told, watched) = watch::channel(task.clone());
        let (interrupt, interrupted) = watch::channel(None);
        let reporter = Reporter {
            id: task.id,
            database: self.inner.work.repository.database().clone(),
            withdrawals: self.inner.withdrawals.clone(),
            task: told.clone(),
            interrupt: interrupted,
            stored: Instant::now(),
        };
        let live = Live {
            task: watched,
            interrupt,
        };
        let mut tasks = self.live();
        if tasks.stopping {
            return Err(TaskError::Stopping);
        }
        tasks.tasks.insert(task.id, live);
        drop(tasks);
        tokio::spawn(self.clone().carry_out(job, reporter, told));
        Ok(task)
    }

    async fn carry_out(self, job: Job, reporter: Reporter, task: watch::Sender<Task>) {
        let id = reporter.id;
        let result = self.audited(job, reporter, &task).await;
        let (state, reason) = match result {
            Ok(()) => (TaskState::Done, None),
            Err(error) if error.resumes_by_itself() => {
                self.live().tasks.remove(&id);
                return;
            }
            Err(JobError::Interrupted(_)) => (TaskState::Cancelled, None),
            Err(error) => (TaskState::Failed, Some(error.to_string())),
        };
        tracing::info!(task = id, state = state.name(), reason, "task ended");
        let mut ended = task.borrow().clone();
        (ended.state, ended.reason, ended.ended) = (state, reason, Some(clock::now()));
        // Stored first: whoever hears of the end may start the next one at once.
        let stored = self.store_end(&ended).await;
        task.send_replace(ended);
        match stored {
            Ok(()) => drop(self.live().tasks.remove(&id)),
            Err(error) => {
                tracing::warn!(task = id, %error, "the end of the task is not stored yet");
            }
        }
    }

    /// Does the work between two entries of the audit log.
    async fn audited(
        &self,
        job: Job,
        mut reporter: Reporter,
        task: &watch::Sender<Task>,
    ) -> Result<(), JobError> {
        let work = self.inner.work.clone();
        let action = format!("Task/{}", job.kind());
        let subject = Subject::written(&task.borrow().subject);
        let object = format!("task {}", reporter.id);
        let begun = work.audit.begin(subject, &action, &object).await?;
        // In a task of its own: whatever breaks there is its failure, and no other's.
        let result = tokio::spawn(async move { job.run(&work, &mut reporter).await })
            .await
            .unwrap_or(Err(JobError::Broken));
        let progress = task.borrow().progress.clone();
        let done = format!("{} of {} values", progress.done(), progress.total());
        match &result {
            Ok(()) => begun.end(Outcome::Done, &done).await,
            Err(error) if error.resumes_by_itself() => {
                let why = format!("{done}; {}", error.goes_on());
                begun.end(Outcome::Unknown, &why).await;
            }
            Err(error) => {
                begun
                    .end(Outcome::Failed, &format!("{done}; {error}"))
                    .await
            }
        }
        result
    }

    /// Stores the ends that could not be stored when they came.
    async fn settle(&self) -> Result<(), RepositoryError> {
        let ended: Vec<_> = {
            let live = self.live();
            let tasks = live.tasks.values().map(|live| live.task.borrow().clone());
            tasks
                .filter(|task| task.state != TaskState::Running)
                .collect()
        };
        for task in ended {
            self.store_end(&task).await?;
            self.live().tasks.remove(&task.id);
        }
        Ok(())
    }

    async fn store_end(&self, task: &Task) -> Result<(), RepositoryError> {
        let progress = to_json(&task.progress);
        let now = task.ended.unwrap_or_else(clock::now);
        let reason = task.reason.clone();
        self.stored()
            .end(task.id, task.state, reason, progress, now)
            .await
            // Deleted meanwhile: there is nothing to store.
            .map(|_| ())
    }

    async fn row(&self, id: u64) -> Result<TaskRow, RepositoryError> {
        let row = self.stored().find(id).await?;
        row.ok_or_else(|| RepositoryError::NotFound {
            kind: "task",
            name: id.to_string(),
        })
    }

    fn stored(&self) -> crate::repository::Tasks<'_> {
        self.inner.work.repository.database().tasks()
    }

    fn live(&self) -> MutexGuard<'_, LiveTasks> {
        // Whole at every moment, whoever panicked meanwhile.
        let live = self.inner.live.lock();
        live.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Task {
    fn read(row: TaskRow) -> Self {
        Self {
            id: row.id,
            kind: row.kind,
            subject: row.subject,
            state: row.state,
            reason: row.reason,
            // Of a later version: nothing of it can be shown.
            progress: serde_json::from_str(&row.progress).unwrap_or_default(),
            started: row.started,
            ended: row.ended,
        }
    }
}

fn job(row: &TaskRow) -> Result<Job, TaskError> {
    serde_json::from_str(&row.parameters).map_err(|_| TaskError::Unknown(row.id))
}

fn to_json(value: &impl Serialize) -> String {
    // Fails for maps whose keys are no text, of which there are none here.
    serde_json::to_string(value).unwrap_or_default()
}
