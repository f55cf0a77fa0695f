//! The beats of this server, and what it sees of those of others.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::watcher::Watcher;
use super::{Inner, Seen, end, lock};
use crate::repository::{Beat, InstanceId, RepositoryError, ServerRow};

/// From one beat to the next.
const BEAT: Duration = Duration::from_secs(2);
/// From one that was not acknowledged to the next attempt.
const AGAIN: Duration = Duration::from_millis(500);

/// Former beats that are remembered: those of ten minutes and more.
const FORMER: usize = 300;

/// In which those gather that want a beat.
const GATHER: Duration = Duration::from_millis(10);

/// Beats until the row of this server is gone, or nobody has the server any more.
pub(super) async fn keep(server: Weak<Inner>) {
    let Some(inner) = server.upgrade() else {
        return;
    };
    let wanted = Arc::clone(&inner.wanted);
    let mut beats = Beats {
        last: inner.own.beat,
        former: VecDeque::new(),
        unanswered: None,
        watcher: Watcher::default(),
    };
    drop(inner);
    pause(BEAT, &wanted).await;
    while let Some(inner) = server.upgrade() {
        let began = Instant::now();
        let rest = match beats.renew(&inner).await {
            Ok(true) => BEAT,
            Ok(false) => {
                inner.fence.set_gone();
                inner.gone.send_replace(true);
                inner.acknowledged.send_replace(());
                return;
            }
            Err(error) => {
                inner.failed(&error);
                AGAIN
            }
        };
        drop(inner);
        pause(rest.saturating_sub(began.elapsed()), &wanted).await;
    }
}

/// Waits for so long, or until soon after a beat is wanted.
async fn pause(time: Duration, wanted: &Notify) {
    if timeout(time, wanted.notified()).await.is_ok() {
        sleep(GATHER).await;
    }
}

struct Beats {
    /// The last one that was acknowledged.
    last: Beat,
    /// Those before it.
    former: VecDeque<Beat>,
    /// The one after it, of which nobody knows whether it was written.
    unanswered: Option<Beat>,
    watcher: Watcher,
}

impl Beats {
    /// Beats once. `false`: the row of this server is gone.
    async fn renew(&mut self, inner: &Inner) -> Result<bool, RepositoryError> {
        let next = *self.unanswered.get_or_insert_with(Beat::random);
        let sent = Instant::now();
        let own = inner.own.instance;
        let former = self.former.iter().copied().collect();
        let (rows, load, ends) = (&inner.rows, inner.load(), inner.ends());
        let renewed = rows.renew(own, self.last, next, former, load, ends);
        let Some(mut rows) = renewed.await? else {
            return Ok(false);
        };
        inner.went_well();
        if self.former.len() == FORMER {
            self.former.pop_front();
        }
        self.former.push_back(self.last);
        self.last = next;
        self.unanswered = None;
        if let Some(row) = rows.iter().find(|row| row.instance == own) {
            inner.is_drained(row.drained);
        }
        rows.retain(|row| row.instance != own);
        let silent = self.look(inner, sent, rows);
        // Whoever waited for this beat goes by what was seen with it.
        inner.fence.renewed(sent);
        inner.acknowledged.send_replace(());
        for (instance, beat) in silent {
            if let Err(error) = end(&inner.rows, instance, beat).await {
                tracing::warn!(%error, %instance, "cannot end a server whose beat stands");
            }
        }
        Ok(true)
    }

    /// Keeps what was seen. Gives those whose beat stands.
    fn look(
        &mut self,
        inner: &Inner,
        asked: Instant,
        rows: Vec<ServerRow>,
    ) -> Vec<(InstanceId, Beat)> {
        let beats = rows.iter().map(|row| (row.instance, row.beat));
        let silent = self.watcher.saw(asked, Instant::now(), beats);
        let age = |row: &ServerRow| self.watcher.age(row.instance).unwrap_or_default();
        let seen = rows.into_iter().map(|row| Seen {
            age: age(&row),
            row,
        });
        *lock(&inner.seen) = seen.collect();
        silent
    }
}
