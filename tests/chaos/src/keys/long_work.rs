//! Long work: the task runner's own.

use std::time::Duration;

use portcullis_common::crypto::storage;
use portcullis_server::repository::{Resealed, Sealer, TaskState};
use portcullis_server::tasks::{Job, ReEncrypt, Task};
use rand::RngExt;

use super::Fault;
use super::world::{Stop, World};

impl World {
    /// Seals what is there anew; values change meanwhile.
    pub(super) async fn re_encrypt(&mut self) -> Result<(), Stop> {
        if self.fault == Some(Fault::WriteBackBlindly) {
            return self.re_encrypt_blindly().await;
        }
        let types: &[_] = &[];
        let tasks = self.running()?.tasks.clone();
        let started = tasks
            .start(Job::ReEncrypt(ReEncrypt::of(types)), "root")
            .await;
        let task = self.stored("re-encrypt", started)?;
        let changes = self.rng.random_range(0..4);
        let mut changed = Ok(());
        for _ in 0..changes {
            changed = changed.and(self.change_a_value().await);
        }
        let ended = self.ended(task.id).await?;
        changed?;
        if ended.state == TaskState::Done {
            self.counts.re_encrypted += 1;
            self.check_all_current().await?;
        }
        Ok(())
    }

    /// Breaks the rule that a value changed meanwhile is not overwritten.
    async fn re_encrypt_blindly(&mut self) -> Result<(), Stop> {
        let keyring = self.running()?.keys.keyring().clone();
        let read = self.values().await?;
        self.change_a_value().await?;
        let database = self.repository()?.database().clone();
        for value in self.values().await? {
            let former = read.iter().find(|former| former.row == value.row);
            let opened = former.and_then(|it| keyring.open(&it.place(), &it.sealed).ok());
            let Some(opened) = opened else {
                continue;
            };
            let anew = Resealed {
                row: value.row,
                after: keyring.seal(&value.place(), &opened),
                before: value.sealed,
            };
            let done = database.sealed_values().replace(vec![anew]).await;
            self.stored("re-encrypt", done)?;
        }
        Ok(())
    }

    pub(super) async fn verify(&mut self) -> Result<(), Stop> {
        let tasks = self.running()?.tasks.clone();
        let started = tasks.start(Job::Verify, "root").await;
        let task = self.stored("verify", started)?;
        let ended = self.ended(task.id).await?;
        self.counts.verified += 1;
        let closed = self.closed_values().await?;
        let told = ended.progress.undecryptable();
        if ended.state != TaskState::Cancelled && told != closed && !self.points().was_full() {
            self.broken(|| format!("verify tells of {told} values whose key is away, of {closed}"));
        }
        Ok(())
    }

    /// Waits for the end; a task that failed is resumed, once what hindered it is gone.
    async fn ended(&mut self, id: u64) -> Result<Task, Stop> {
        let task = self.wait_for(id).await?;
        match task.state {
            TaskState::Failed if self.points().was_full() => {
                self.note(|| format!("task {id} is resumed after {:?}", task.reason));
                let tasks = self.running()?.tasks.clone();
                let resumed = tasks.resume(id).await;
                self.stored("task resume", resumed)?;
                self.counts.resumed += 1;
                let again = self.wait_for(id).await?;
                self.check_end(&again);
                Ok(again)
            }
            _ => {
                self.check_end(&task);
                Ok(task)
            }
        }
    }

    fn check_end(&mut self, task: &Task) {
        let explained = !self.model.missing.is_empty();
        if task.state != TaskState::Done && !explained {
            self.broken(|| {
                format!(
                    "task {} ({}) ended {:?}: {:?}",
                    task.id, task.kind, task.state, task.reason
                )
            });
        }
        if task.progress.failed() > 0 {
            self.broken(|| {
                format!(
                    "task {} found values that do not open: {:?}",
                    task.id, task.progress.findings
                )
            });
        }
    }

    async fn wait_for(&mut self, id: u64) -> Result<Task, Stop> {
        loop {
            let tasks = self.running()?.tasks.clone();
            let shown = tasks.show(id).await;
            let task = self.stored("task show", shown)?;
            if task.state != TaskState::Running {
                return Ok(task);
            }
            // The repository's threads are at work meanwhile.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// What a crash interrupted was taken up by the start, and ends.
    pub(super) async fn end_of_tasks(&mut self) -> Result<(), Stop> {
        let tasks = self.running()?.tasks.clone();
        let listed = tasks.list().await;
        for task in self.stored("task list", listed)? {
            if task.state == TaskState::Running {
                self.counts.resumed += 1;
                self.note(|| format!("task {} ({}) goes on", task.id, task.kind));
                self.ended(task.id).await?;
            }
        }
        Ok(())
    }

    /// Nothing that could be sealed anew is under a former key.
    async fn check_all_current(&mut self) -> Result<(), Stop> {
        let current = self.running()?.keys.keyring().current();
        for value in self.values().await? {
            let key = storage::server_key_id(&value.sealed);
            if key != Some(current) && !key.is_some_and(|key| self.model.missing.contains(&key)) {
                let place = value.place().to_string();
                self.broken(|| format!("{place} is still under {key:?} after re-encrypt"));
            }
        }
        Ok(())
    }

    async fn closed_values(&mut self) -> Result<u64, Stop> {
        let keyring = self.running()?.keys.keyring().clone();
        let values = self.values().await?;
        let closed = values.iter().filter(|value| {
            storage::server_key_id(&value.sealed).is_none_or(|id| keyring.key(id).is_none())
        });
        Ok(closed.count() as u64)
    }
}
