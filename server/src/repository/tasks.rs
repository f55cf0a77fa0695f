//! Long work that outlives the server: what was asked for, and how far it is.

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;

use super::authority::{Authority, Stamp, TASKS};
use super::columns::{from_sql_millis, to_sql_millis};
use super::instance::has_no_server;
use super::sql::{Row, Tx, Value, params};
use super::{Database, RepositoryError};

/// Ended tasks that are remembered.
const HISTORY: u32 = 200;
/// Why a task whose row does not check is not run.
const FORGED: &str = "its record in the repository was changed or put in by hand: it was not run";
/// A running task that an instance claimed.
const CLAIMED: &str = "id = ?1 AND state = 'running' AND instance = ?2";

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
        let authority = self.database.authority()?;
        self.database
            .read(move |tx| {
                tx.query(&select("true ORDER BY id DESC"), &[], |row| {
                    read(row, &authority)
                })
            })
            .await
    }

    /// One task; `None`: there is none of this number, or no more.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn find(&self, id: u64) -> Result<Option<TaskRow>, RepositoryError> {
        let authority = self.database.authority()?;
        self.database.read(move |tx| find(tx, &authority, id)).await
    }

    /// Stores a task as running for this instance, unless another of its kind runs, and forgets the
    /// oldest that ended.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn start(&self, new: NewTask) -> Result<Admission, RepositoryError> {
        let authority = self.database.authority()?;
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                fail_forged(tx, &authority, new.started)?;
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
                authority.added(tx, &TASKS, Value::Integer(id))?;
                let oldest = "state <> 'running' AND id NOT IN
                     (SELECT id FROM tasks WHERE state <> 'running' ORDER BY id DESC LIMIT ?1)";
                let guarded = authority.guard_any(tx, &TASKS, oldest, &params![HISTORY])?;
                tx.execute(
                    &format!("DELETE FROM tasks WHERE {oldest}"),
                    &params![HISTORY],
                )?;
                guarded.settle(tx)?;
                admitted(tx, &authority, id.unsigned_abs())
            })
            .await
    }

    /// Stores a task that ended as running again for this instance, unless another of its kind
    /// runs.
    ///
    /// # Errors
    /// [`RepositoryError`]; `NotFound` where there is no such task any more.
    pub async fn resume(&self, id: u64) -> Result<Admission, RepositoryError> {
        let authority = self.database.authority()?;
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                let guarded = authority.guard(tx, &TASKS, "id = ?1", &params![to_sql(id)])?;
                let Some(task) = find(tx, &authority, id)? else {
                    return Err(not_found(id));
                };
                fail_forged(tx, &authority, clock::now())?;
                if let Some(running) = running(tx, &task.kind)? {
                    return Ok(Admission::Busy(running));
                }
                tx.execute(
                    "UPDATE tasks SET state = 'running', reason = NULL, ended_ms = NULL, instance = ?2, end_asked = 0
                     WHERE id = ?1",
                    &params![to_sql(id), instance],
                )?;
                guarded.settle(tx)?;
                admitted(tx, &authority, id)
            })
            .await
    }

    /// Takes over the running tasks that nobody has any more, and gives them, newest first: those
    /// that no instance claimed, or one whose row is gone.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was taken over.
    pub async fn take_over(&self) -> Result<Vec<TaskRow>, RepositoryError> {
        let authority = self.database.authority()?;
        let instance = self.database.instance();
        let has_no_server = has_no_server(self.database.is_shared());
        self.database
            .write(move |tx| {
                fail_forged(tx, &authority, clock::now())?;
                let left = format!("state = 'running' AND {has_no_server}");
                let ids: Vec<i64> = tx.query(
                    &format!("SELECT id FROM tasks WHERE {left} ORDER BY id DESC"),
                    &params![instance],
                    |row| row.get(0),
                )?;
                if ids.is_empty() {
                    return Ok(Vec::new());
                }
                let guarded = authority.guard(tx, &TASKS, &left, &params![instance])?;
                tx.execute(
                    &format!("UPDATE tasks SET instance = ?1 WHERE {left}"),
                    &params![instance],
                )?;
                guarded.settle(tx)?;
                let mut taken = Vec::with_capacity(ids.len());
                for id in ids {
                    taken.extend(find(tx, &authority, id.unsigned_abs())?);
                }
                Ok(taken)
            })
            .await
    }

    /// Leaves the running tasks of this instance but those `at_work` to other servers. Gives which.
    ///
    /// # Errors
    /// [`RepositoryError`]: none was left.
    pub async fn give_up(&self, at_work: Vec<u64>) -> Result<Vec<u64>, RepositoryError> {
        let authority = self.database.authority()?;
        let instance = self.database.instance();
        let own = move |tx: &mut Tx<'_>| {
            let sql = "SELECT id FROM tasks WHERE state = 'running' AND instance = ?1";
            let mut ids: Vec<u64> = tx.query(sql, &params![instance], |row| {
                Ok(row.get::<i64>(0)?.unsigned_abs())
            })?;
            ids.retain(|id| !at_work.contains(id));
            Ok(ids)
        };
        if self.database.look(own.clone()).await?.is_empty() {
            return Ok(Vec::new());
        }
        self.database
            .write(move |tx| {
                let ids = own(tx)?;
                for id in &ids {
                    let id = to_sql(*id);
                    let guarded = authority.guard(tx, &TASKS, CLAIMED, &params![id, instance])?;
                    let sql = format!("UPDATE tasks SET instance = NULL WHERE {CLAIMED}");
                    tx.execute(&sql, &params![id, instance])?;
                    guarded.settle(tx)?;
                }
                Ok(ids)
            })
            .await
    }

    /// Asks whoever runs a task to end it; `false`: it is not there any more, or not running.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn ask_to_end(&self, id: u64) -> Result<bool, RepositoryError> {
        self.database
            .write(move |tx| {
                let sql = "UPDATE tasks SET end_asked = 1 WHERE id = ?1 AND state = 'running'";
                Ok(tx.execute(sql, &params![to_sql(id)])? > 0)
            })
            .await
    }

    /// The running tasks of this instance that somebody asked the end of.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn asked_to_end(&self) -> Result<Vec<u64>, RepositoryError> {
        let instance = self.database.instance();
        self.database
            .look(move |tx| {
                tx.query(
                    "SELECT id FROM tasks WHERE state = 'running' AND end_asked = 1 AND instance = ?1",
                    &params![instance],
                    |row| Ok(row.get::<i64>(0)?.unsigned_abs()),
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
        let authority = self.database.authority()?;
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                let guarded =
                    authority.guard(tx, &TASKS, CLAIMED, &params![to_sql(id), instance])?;
                let changed = tx.execute(
                    &format!("UPDATE tasks SET progress = ?3 WHERE {CLAIMED}"),
                    &params![to_sql(id), instance, progress],
                )?;
                guarded.settle(tx)?;
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
        let authority = self.database.authority()?;
        let instance = self.database.instance();
        self.database
            .write(move |tx| {
                let guarded =
                    authority.guard(tx, &TASKS, CLAIMED, &params![to_sql(id), instance])?;
                let changed = tx.execute(
                    &format!(
                        "UPDATE tasks SET state = ?3, reason = ?4, progress = ?5, ended_ms = ?6
                         WHERE {CLAIMED}"
                    ),
                    &params![
                        to_sql(id),
                        instance,
                        state.name(),
                        reason,
                        progress,
                        to_sql_millis(now),
                    ],
                )?;
                guarded.settle(tx)?;
                Ok(changed > 0)
            })
            .await
    }
}

/// The statement for tasks whose rows `filter` selects.
fn select(filter: &str) -> String {
    format!("SELECT {}, mac FROM tasks WHERE {filter}", TASKS.columns)
}

/// Ends the running tasks whose rows do not check: they run no more, and keep none of their kind
/// from running. Their MACs stay wrong.
fn fail_forged(
    tx: &mut Tx<'_>,
    authority: &Authority,
    now: UnixMillis,
) -> Result<(), RepositoryError> {
    let sql = format!(
        "SELECT {}, mac FROM tasks WHERE state = 'running'",
        TASKS.columns
    );
    let forged = tx.query(&sql, &[], |row| {
        let stamp = Stamp::read(&TASKS, row, 0)?;
        let sound = authority.check_alone(&TASKS, &stamp).is_ok();
        Ok((!sound).then_some(row.get::<i64>(0)?))
    })?;
    for id in forged.into_iter().flatten() {
        tracing::error!(
            task = id,
            "a task's record in the repository was changed or put in by hand: it is not run"
        );
        tx.execute(
            "UPDATE tasks SET state = 'failed', reason = ?2, ended_ms = ?3 WHERE id = ?1",
            &params![id, FORGED, to_sql_millis(now)],
        )?;
    }
    Ok(())
}

fn running(tx: &mut Tx<'_>, kind: &str) -> Result<Option<u64>, RepositoryError> {
    let id: Option<i64> = tx.query_optional(
        "SELECT id FROM tasks WHERE kind = ?1 AND state = 'running'",
        &params![kind],
        |row| row.get(0),
    )?;
    Ok(id.map(i64::unsigned_abs))
}

fn find(
    tx: &mut Tx<'_>,
    authority: &Authority,
    id: u64,
) -> Result<Option<TaskRow>, RepositoryError> {
    tx.query_optional(&select("id = ?1"), &params![to_sql(id)], |row| {
        read(row, authority)
    })
}

fn admitted(tx: &mut Tx<'_>, authority: &Authority, id: u64) -> Result<Admission, RepositoryError> {
    let task = find(tx, authority, id)?.ok_or_else(|| not_found(id))?;
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

/// A task whose row does not check has failed, whatever it says.
fn read(row: &Row<'_>, authority: &Authority) -> Result<TaskRow, RepositoryError> {
    let stamp = Stamp::read(&TASKS, row, 0)?;
    let sound = authority.check_alone(&TASKS, &stamp).is_ok();
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
        state: if sound { state } else { TaskState::Failed },
        reason: match sound {
            true => row.get(5)?,
            false => Some(FORGED.to_owned()),
        },
        progress: row.get(6)?,
        started: from_sql_millis(row.get(7)?),
        ended: row.get::<Option<i64>>(8)?.map(from_sql_millis),
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixture, NOW};
    use super::super::{on_postgres, stand, tamper};
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
        assert!(end(&tasks, id).await);
        assert!(others.take_over().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn whoever_has_a_task_hears_that_its_end_is_asked_for_and_nobody_else_does() {
        let fixture = Fixture::new().await;
        let later = fixture.another().await;
        let (tasks, others) = (
            fixture.repository.database().tasks(),
            later.database().tasks(),
        );
        let id = admitted(&tasks, "verify").await;
        assert!(tasks.asked_to_end().await.unwrap().is_empty());
        assert!(others.ask_to_end(id).await.unwrap());
        assert_eq!(tasks.asked_to_end().await.unwrap(), [id]);
        assert!(others.asked_to_end().await.unwrap().is_empty());
        assert!(end(&tasks, id).await);
        assert!(!others.ask_to_end(id).await.unwrap());
        // Resumed, it was not asked for yet.
        tasks.resume(id).await.unwrap();
        assert!(tasks.asked_to_end().await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_task_is_taken_over_only_once_the_server_that_has_it_is_gone() {
        if !on_postgres() {
            return;
        }
        let fixture = Fixture::new().await;
        let later = fixture.another().await;
        let (database, tasks) = (fixture.repository.database(), later.database().tasks());
        stand(database, true);
        let id = admitted(&database.tasks(), "verify").await;
        assert!(tasks.take_over().await.unwrap().is_empty());
        assert!(end(&database.tasks(), id).await);
        let id = admitted(&database.tasks(), "verify").await;
        stand(database, false);
        assert_eq!(tasks.take_over().await.unwrap().len(), 1);
        assert!(!end(&database.tasks(), id).await);
        assert!(end(&tasks, id).await);
    }

    #[tokio::test]
    async fn a_task_put_in_or_changed_by_hand_is_not_run_and_keeps_no_other_from_running() {
        let fixture = Fixture::new().await;
        let tasks = fixture.repository.database().tasks();
        let id = admitted(&tasks, "manage").await;
        let forge = |sql: &str| tamper(fixture.repository.database().path(), sql);
        forge(
            "UPDATE tasks SET subject = 'alice' WHERE kind = 'manage';
             INSERT INTO tasks (kind, parameters, subject, state, progress, started_ms)
             VALUES ('verify', '{}', 'alice', 'running', '{}', 1);",
        );
        let error = tasks.report(id, "{}".to_owned()).await.unwrap_err();
        assert!(
            matches!(error, RepositoryError::RowChanged { kind: "task", .. }),
            "{error}"
        );
        let later = fixture.another().await;
        let later = later.database().tasks();
        assert!(later.take_over().await.unwrap().is_empty());
        for task in later.list().await.unwrap() {
            assert_eq!(task.state, TaskState::Failed);
            assert_eq!(task.reason.as_deref(), Some(FORGED));
            assert!(later.resume(task.id).await.is_err());
        }
        admitted(&later, "verify").await;
        // One that was made to look ended is not run again, either.
        forge(
            "UPDATE tasks SET state = 'running', reason = NULL, ended_ms = NULL WHERE kind = 'manage'",
        );
        admitted(&later, "manage").await;
    }

    #[tokio::test]
    async fn what_a_server_gives_up_is_for_others_to_take() {
        let fixture = Fixture::new().await;
        let database = fixture.repository.database();
        if on_postgres() {
            stand(database, true);
        }
        let tasks = database.tasks();
        let kept = admitted(&tasks, "verify").await;
        let left = admitted(&tasks, "re-encrypt").await;
        let none = tasks.give_up(vec![kept, left]).await.unwrap();
        assert!(none.is_empty(), "{none:?}");
        let other = fixture.another().await;
        tasks.give_up(vec![kept]).await.unwrap();
        let none = tasks.give_up(vec![kept]).await.unwrap();
        assert!(none.is_empty(), "{none:?}");
        assert!(tasks.report(kept, "{}".into()).await.unwrap());
        assert!(!tasks.report(left, "{}".into()).await.unwrap());
        let taken = other.database().tasks().take_over().await.unwrap();
        assert!(taken.iter().any(|task| task.id == left), "{taken:?}");
    }
}
