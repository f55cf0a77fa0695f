//! Who may join those that serve a repository, and how one that may not yet waits.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::watcher::Watcher;
use crate::repository::{RepositoryError, ServerRow, ServerRows, Store};

/// How often a server that waits looks at the others.
const LOOK: Duration = Duration::from_millis(500);

/// How long it waits besides where the database is away.
const AWAY: Duration = Duration::from_secs(3);

/// Told again and again for whom a server waits that another one keeps from joining.
pub type Waiting<'a> = &'a (dyn Fn(&str) + Send + Sync);

/// A server that is to join.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own<'a> {
    /// Where others would reach it; empty: nowhere.
    pub(super) advertised: &'a str,
    /// Tells the lock file that it holds from any other.
    pub(super) lock_file: Option<&'a [u8]>,
}

/// Whether a server that is at work keeps one from joining that would be reached at `advertised`:
/// servers work beside one another where each reaches the others.
pub(super) fn bars(advertised: &str) -> fn(&ServerRow) -> bool {
    match advertised.is_empty() {
        true => |_| true,
        false => |at_work| at_work.advertised.is_empty(),
    }
}

/// Returns when nobody keeps a server from joining. One whose beat stands is ended; so is a former
/// start that had the same lock file, at once: who holds the lock now proves that it is gone.
/// Without `waiting`, one that is at work is not waited for.
///
/// # Errors
/// [`RepositoryError::Taken`]; where the database cannot be asked, that of the first question alone
/// for one who waits.
pub(super) async fn wait(
    rows: &ServerRows,
    store: &Store,
    own: Own<'_>,
    waiting: Option<Waiting<'_>>,
) -> Result<(), RepositoryError> {
    let lock_file = own.lock_file;
    let had_it = |row: &&ServerRow| lock_file.is_some() && row.lock_file.as_deref() == lock_file;
    for row in rows.list().await?.iter().filter(had_it) {
        rows.remove(row.instance).await?;
    }
    let (mut watcher, mut last, mut is_away) = (Watcher::default(), None, false);
    loop {
        let by = match (look(rows, own, &mut watcher).await, last.take()) {
            (Ok(None), _) => return Ok(()),
            (Ok(Some(by)), _) => {
                is_away = false;
                by
            }
            // It may be back before the others are.
            (Err(error), Some(by)) if waiting.is_some() => {
                if !is_away {
                    tracing::warn!(%error, "cannot look for other servers: it is tried until the database is back");
                }
                is_away = true;
                sleep(AWAY).await;
                by
            }
            (Err(error), _) => return Err(error),
        };
        match waiting {
            Some(tell) => {
                tell(&by.name);
                last = Some(by);
            }
            None if watcher.beats(by.instance) => {
                return Err(RepositoryError::Taken {
                    place: store.to_string(),
                    by: by.name,
                });
            }
            None => {}
        }
        sleep(LOOK).await;
    }
}

/// Looks at those that are in the way, and ends those whose beat stands. Gives the first that is
/// left.
async fn look(
    rows: &ServerRows,
    own: Own<'_>,
    watcher: &mut Watcher,
) -> Result<Option<ServerRow>, RepositoryError> {
    let asked = Instant::now();
    let mut found = rows.list().await?;
    let answered = Instant::now();
    let bars = bars(own.advertised);
    found.retain(bars);
    let beats = found.iter().map(|row| (row.instance, row.beat));
    for (instance, beat) in watcher.saw(asked, answered, beats) {
        if super::end(rows, instance, beat).await? {
            found.retain(|row| row.instance != instance);
        }
    }
    Ok(found.into_iter().next())
}
