//! Long work that outlives the server: what was asked for, and how far it is.

use portcullis_common::rotation::UnixMillis;

use super::columns::{from_sql_millis, to_sql_millis};
use super::sql::{Row, Tx, params};
use super::{Database, RepositoryError};

/// Ended tasks that are remembered.
const HISTORY: u32 = 200;
const COLUMNS: &str =
    "id, kind, parameters, subject, state, reason, progress, started_ms, ended_ms";

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// At work, or to be resumed when the server starts.
    Running,
    /// All of it was done.
    Done,
    /// It ended before that, or found what it was to look for; the reason says which.
    Failed,
    /// Somebody ended it.
    Cancelled,
}

impl TaskState {
    /// Its name in the repository and for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A task about to be stored.
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What it does; one runs of each kind.
    pub kind: String,
    /// What it was asked to do, in JSON.
    pub parameters: String,
    /// Who asked.
    pub subject: String,
    /// How far it is, in JSON.
    pub progress: String,
    /// When it began.
    pub started: UnixMillis,
}

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// Its number.
    pub id: u64,
    /// What it does.
    pub kind: String,
    /// What it was asked to do, in JSON.
    pub parameters: String,
    /// Who asked.
    pub subject: String,
    /// How it stands.
    pub state: TaskState,
    /// Why it failed, where it did.
    pub reason: Option<String>,
    /// How far it is, in JSON.
    pub progress: String,
    /// When it began.
    pub started: UnixMillis,
    /// When it ended.
    pub ended: Option<UnixMillis>,
}

/// Whether a task may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is stored as running.
    Admitted(TaskRow),
    /// Another of its kind runs, of this number.
    Busy(u64),
}

/// The tasks.
#[derive(Clone, Copy, Debug)]
pub struct Tasks<'a> {
    database: &'a Database,
}

impl Database {
    /// Long work that was asked for.
    pub const fn tasks(&self) -> Tasks<'_> {
        Tasks { database: self }
    }
}

impl Tasks<'_> {
    /// All that are remembered, newest first.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn list(&self) -> Result<Vec<TaskRow>, RepositoryError> {
        self.database
            .read(|tx| {
                tx.query(
                    &format!("SELECT {COLUMNS} FROM tasks ORDER BY id DESC"),
                    &[],
                    read,
                )
            })
            .await
    }

    /// One task; `None`: there is none of this number, or no more.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self, id: u64) -> Result<Option<TaskRow>, RepositoryError> {
        self.database.read(move |tx| find(tx, id)).await
    }

    /// Stores a task as running for this instance, unless another of its kind runs, and forgets the
    /// oldest that ended.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn start(&self, new: NewTask) -> Result<Admission, RepositoryError> {
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                if let Some(running) = running(tx, &new.kind)? {
                    return Ok(Admission::Busy(running));
                }
                let id: i64 = tx.query_one(
                    "INSERT INTO tasks (kind, parameters, subject, state, progress, started_ms, instance)
                     VALUES (?1, ?2, ?3, 'running', ?4, ?5, ?6) RETURNING id",
                    &params![
                        new.kind,
                        new.parameters,
                        new.subject,
                        new.progress,
                        to_sql_millis(new.started),
                        instance,
                    ],
                    |row| row.get(0),
                )?;
                tx.execute(
                    "DELETE FROM tasks WHERE state <> 'running' AND id NOT IN
                         (SELECT id FROM tasks WHERE state <> 'running' ORDER BY id DESC LIMIT ?1)",
                    &params![HISTORY],
                )?;
                admitted(tx, id.unsigned_abs())
            })
            .await
    }

    /// Stores a task that ended as running again for this instance, unless another of its kind
    /// runs.
    ///
    /// # Errors
    /// [`RepositoryError`]; `NotFound` where there is no such task any more.
    pub async fn resume(&self, id: u64) -> Result<Admission, RepositoryError> {
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                let Some(task) = find(tx, id)? else {
                    return Err(not_found(id));
                };
                if let Some(running) = running(tx, &task.kind)? {
                    return Ok(Admission::Busy(running));
                }
                tx.execute(
                    "UPDATE tasks SET state = 'running', reason = NULL, ended_ms = NULL, instance = ?2 WHERE id = ?1",
                    &params![to_sql(id), instance],
                )?;
                admitted(tx, id)
            })
            .await
    }

    /// Takes over the running tasks that other instances claimed, or none did, and gives all that
    /// are this one's, newest first. Only where no other instance lives.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was taken over.
    pub async fn take_over(&self) -> Result<Vec<TaskRow>, RepositoryError> {
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                tx.execute(
                    "UPDATE tasks SET instance = ?1 WHERE state = 'running' AND instance IS DISTINCT FROM ?1",
                    &params![instance],
                )?;
                tx.query(
                    &format!(
                        "SELECT {COLUMNS} FROM tasks WHERE state = 'running' AND instance = ?1 ORDER BY id DESC"
                    ),
                    &params![instance],
                    read,
                )
            })
            .await
    }

    /// Stores how far a running task is; `false`: it is not there any more, not running, or another
    /// instance's.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn report(&self, id: u64, progress: String) -> Result<bool, RepositoryError> {
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                let changed = tx.execute(
                    "UPDATE tasks SET progress = ?2 WHERE id = ?1 AND state = 'running' AND instance = ?3",
                    &params![to_sql(id), progress, instance],
                )?;
                Ok(changed > 0)
            })
            .await
    }

    /// Stores that a running task has ended; `reason` says why, where it failed. `false`: it is not
    /// there any more, not running, or another instance's, and nothing was stored.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn end(
        &self,
        id: u64,
        state: TaskState,
        reason: Option<String>,
        progress: String,
        now: UnixMillis,
    ) -> Result<bool, RepositoryError> {
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                let changed = tx.execute(
                    "UPDATE tasks SET state = ?2, reason = ?3, progress = ?4, ended_ms = ?5
                     WHERE id = ?1 AND state = 'running' AND instance = ?6",
                    &params![
                        to_sql(id),
                        state.name(),
                        reason,
                        progress,
                        to_sql_millis(now),
                        instance
                    ],
                )?;
                Ok(changed > 0)
            })
            .await
    }
}

fn running(tx: &mut Tx<'_>, kind: &str) -> Result<Option<u64>, RepositoryError> {
    let id: Option<i64> = tx.query_optional(
        "SELECT id FROM tasks WHERE kind = ?1 AND state = 'running'",
        &params![kind],
        |row| row.get(0),
    )?;
    Ok(id.map(i64::unsigned_abs))
}

fn find(tx: &mut Tx<'_>, id: u64) -> Result<Option<TaskRow>, RepositoryError> {
    tx.query_optional(
        &format!("SELECT {COLUMNS} FROM tasks WHERE id = ?1"),
        &params![to_sql(id)],
        read,
    )
}

fn admitted(tx: &mut Tx<'_>, id: u64) -> Result<Admission, RepositoryError> {
    let task = find(tx, id)?.ok_or_else(|| not_found(id))?;
    Ok(Admission::Admitted(task))
}

fn not_found(id: u64) -> RepositoryError {
    RepositoryError::NotFound {
        kind: "task",
        name: id.to_string(),
    }
}

fn to_sql(id: u64) -> i64 {
    // None has a number as great as this: it is not found.
    i64::try_from(id).unwrap_or(i64::MAX)
}

fn read(row: &Row<'_>) -> Result<TaskRow, RepositoryError> {
    let state: String = row.get(4)?;
    let state = [
        TaskState::Running,
        TaskState::Done,
        TaskState::Failed,
        TaskState::Cancelled,
    ]
    .into_iter()
    .find(|known| known.name() == state)
    .ok_or_else(|| RepositoryError::damaged("state of a task"))?;
    Ok(TaskRow {
        id: row.get::<i64>(0)?.unsigned_abs(),
        kind: row.get(1)?,
        parameters: row.get(2)?,
        subject: row.get(3)?,
        state,
        reason: row.get(5)?,
        progress: row.get(6)?,
        started: from_sql_millis(row.get(7)?),
        ended: row.get::<Option<i64>>(8)?.map(from_sql_millis),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tamper;
    use super::super::tests::{Fixture, NOW};
    use super::*;

    fn new(kind: &str) -> NewTask {
        NewTask {
            kind: kind.to_owned(),
            parameters: "{}".to_owned(),
            subject: "root".to_owned(),
            progress: "{}".to_owned(),
            started: NOW,
        }
    }

    async fn admitted(tasks: &Tasks<'_>, kind: &str) -> u64 {
        match tasks.start(new(kind)).await.unwrap() {
            Admission::Admitted(task) => task.id,
            Admission::Busy(id) => panic!("task {id} runs"),
        }
    }

    async fn end(tasks: &Tasks<'_>, id: u64) -> bool {
        let ended = tasks.end(id, TaskState::Failed, Some("why".into()), "{}".into(), NOW);
        ended.await.unwrap()
    }

    #[tokio::test]
    async fn one_task_of_a_kind_runs_at_once() {
        let fixture = Fixture::new().await;
        let tasks = fixture.repository.database().tasks();
        let first = admitted(&tasks, "verify").await;
        let busy = tasks.start(new("verify")).await.unwrap();
        assert_eq!(busy, Admission::Busy(first));
        admitted(&tasks, "re-encrypt").await;
        assert!(end(&tasks, first).await);
        let failed = tasks.find(first).await.unwrap().unwrap();
        assert_eq!(failed.state, TaskState::Failed);
        assert_eq!(failed.reason.as_deref(), Some("why"));

        let second = admitted(&tasks, "verify").await;
        assert!(second > first);
        assert_eq!(tasks.resume(first).await.unwrap(), Admission::Busy(second));
        assert!(end(&tasks, second).await);
        let Admission::Admitted(resumed) = tasks.resume(first).await.unwrap() else {
            panic!("refused");
        };
        assert_eq!(resumed.state, TaskState::Running);
        assert_eq!((resumed.reason, resumed.ended), (None, None));
    }

    #[tokio::test]
    async fn what_ended_takes_no_report_and_what_never_was_is_not_found() {
        let fixture = Fixture::new().await;
        let tasks = fixture.repository.database().tasks();
        let id = admitted(&tasks, "verify").await;
        assert!(tasks.report(id, "{\"done\":1}".into()).await.unwrap());
        assert!(end(&tasks, id).await);
        assert!(!tasks.report(id, "{}".into()).await.unwrap());
        assert!(!end(&tasks, id).await);
        let error = tasks.resume(u64::MAX).await.unwrap_err();
        assert!(matches!(error, RepositoryError::NotFound { .. }), "{error}");
        assert_eq!(tasks.find(id + 1).await.unwrap(), None);
    }

    #[tokio::test]
    async fn the_oldest_that_ended_are_forgotten_and_what_runs_is_not() {
        let fixture = Fixture::new().await;
        let tasks = fixture.repository.database().tasks();
        let running = admitted(&tasks, "re-encrypt").await;
        for _ in 0..HISTORY + 5 {
            let id = admitted(&tasks, "verify").await;
            assert!(end(&tasks, id).await);
        }
        let last = admitted(&tasks, "verify").await;
        let list = tasks.list().await.unwrap();
        assert_eq!(list.len(), HISTORY as usize + 2);
        assert_eq!((list[0].id, list.last().unwrap().id), (last, running));
    }

    #[tokio::test]
    async fn only_who_claimed_a_task_reports_and_ends_it_and_a_start_takes_it_over() {
        let fixture = Fixture::new().await;
        let later = fixture.another().await;
        let (tasks, others) = (
            fixture.repository.database().tasks(),
            later.database().tasks(),
        );
        let id = admitted(&tasks, "verify").await;
        assert!(!others.report(id, "{\"theirs\":1}".into()).await.unwrap());
        assert!(!end(&others, id).await);
        let before = tasks.find(id).await.unwrap().unwrap();
        assert_eq!(
            (before.state, &*before.progress),
            (TaskState::Running, "{}")
        );

        assert_eq!(others.take_over().await.unwrap(), [before]);
        assert!(!tasks.report(id, "{}".into()).await.unwrap());
        assert!(!end(&tasks, id).await);
        assert!(end(&others, id).await);
        // Whoever resumes it has it.
        assert!(matches!(
            tasks.resume(id).await.unwrap(),
            Admission::Admitted(_)
        ));
        assert!(!end(&others, id).await);
        // One that was running before there were instances.
        tamper(
            fixture.repository.database().path(),
            "UPDATE tasks SET instance = NULL",
        );
        assert!(!end(&tasks, id).await);
        let taken = tasks.take_over().await.unwrap();
        assert_eq!(taken.len(), 1);
        assert!(end(&tasks, id).await);
        assert!(others.take_over().await.unwrap().is_empty());
    }
}
