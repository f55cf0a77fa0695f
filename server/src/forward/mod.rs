//! Sends entries of the audit log to syslog, files and webhooks, as they are written.
//!
//! ```text
//!   audit log ──▶ repository ──▶ one task for each place ──▶ syslog | file | webhook
//!                     ▲                  │
//!                     └── cursor ◀───────┘  once the place has taken them
//! ```
//!
//! Nothing waits for a place: each has a cursor of its own in the repository, reads on from there,
//! and moves it when the place has taken what it was sent. So none is left out after a restart or
//! while a place is away, and after a crash some may come twice: their numbers tell. A place begins
//! with the first entry after it came into the configuration.
//!
//! Where several servers share the repository, one of them sends to a place: another goes on where
//! that one was, once it is gone or the place does not take its entries.

mod authorities;
mod file;
mod record;
mod sink;
mod syslog;
#[cfg(test)]
mod tests;
mod webhook;

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_host::backoff::Backoff;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::config::{Forward, ForwardTo, What};
use crate::repository::{AuditEntry, Repository, RepositoryError};
use sink::{Sink, SinkError};

/// How often it is looked for new entries.
const EVERY: Duration = Duration::from_millis(500);
/// Entries that are sent together at most.
const TOGETHER: u32 = 256;
/// How long a place may take for them.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest wait after a place failed.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The action of entries that are alarms.
const ALARM: &str = "Gateway/Alarm";

/// The tasks that send: dropping it ends them.
#[derive(Debug)]
pub(crate) struct Forwarding {
    places: Vec<Arc<Place>>,
    _tasks: JoinSet<()>,
}

/// One place, as it is told.
#[derive(Debug)]
pub(crate) struct Place {
    /// Its name in the configuration.
    pub(crate) name: String,
    what: What,
    /// The last entry that it has, or does not want.
    cursor: AtomicU64,
    fault: Mutex<Option<String>>,
}

impl Place {
    /// The last entry that it has, or does not want.
    pub(crate) fn cursor(&self) -> u64 {
        self.cursor.load(Ordering::Relaxed)
    }

    /// Why it takes nothing.
    pub(crate) fn fault(&self) -> Option<String> {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        fault.clone()
    }

    fn wants(&self, entry: &AuditEntry) -> bool {
        match self.what {
            What::Everything => true,
            What::Alarms => entry.action == ALARM,
        }
    }

    /// Tells the log of a change alone, which another reason is.
    fn stands(&self, fault: Option<String>) {
        let mut held = self.fault.lock().unwrap_or_else(PoisonError::into_inner);
        if *held == fault {
            return;
        }
        match &fault {
            Some(why) => {
                tracing::warn!(place = self.name, "audit entries are not forwarded: {why}");
            }
            None => tracing::info!(place = self.name, "audit entries are forwarded again"),
        }
        *held = fault;
    }
}

impl Forwarding {
    /// Begins to send the log of `repository` to these places.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing is sent.
    pub(crate) async fn start(
        places: &[Forward],
        repository: &Repository,
        server: ServerId,
    ) -> Result<Self, RepositoryError> {
        let mut tasks = JoinSet::new();
        let mut told = Vec::new();
        for forward in places {
            let cursor = begin(repository, &forward.name).await?;
            let place = Arc::new(Place {
                name: forward.name.clone(),
                what: forward.what,
                cursor: AtomicU64::new(believed(repository, &forward.name, cursor).await?),
                fault: Mutex::default(),
            });
            let sink = Sink::new(&forward.to, server);
            tasks.spawn(send(Arc::clone(&place), sink, repository.clone()));
            told.push(place);
        }
        Ok(Self {
            places: told,
            _tasks: tasks,
        })
    }

    /// Every place.
    pub(crate) fn places(&self) -> &[Arc<Place>] {
        &self.places
    }
}

/// What keeps places from taking entries, as far as the files of this host show it to a server that
/// runs as `user`: the name of each, and why.
pub(crate) fn inspect(places: &[Forward], user: u32) -> Vec<(&str, String)> {
    let faults = places.iter().filter_map(|place| {
        let found = match &place.to {
            ForwardTo::Syslog(_) => Ok(()),
            ForwardTo::File(path) => file::inspect(path),
            ForwardTo::Webhook {
                secret_file,
                ca_file,
                ..
            } => webhook::inspect(secret_file, ca_file.as_deref(), user),
        };
        Some((place.name.as_str(), found.err()?))
    });
    faults.collect()
}

/// No place has entries that there are not yet: nothing but an editor of the file puts its cursor
/// there, and the place would be sent nothing until the log has come that far. It gets all that is
/// in the log instead.
async fn believed(
    repository: &Repository,
    name: &str,
    cursor: u64,
) -> Result<u64, RepositoryError> {
    let last = repository.audit_entries().last().await?;
    let last = last.map_or(0, |entry| entry.seq);
    if cursor <= last {
        return Ok(cursor);
    }
    tracing::error!(
        place = name,
        cursor,
        last,
        "the repository says that this place of [forward] has audit entries that were never written: somebody changed that by hand; the place is sent all that is in the log"
    );
    repository.database().meta().set_forwarded(name, 0).await?;
    Ok(0)
}

/// Where it goes on; a new place begins after the entries that there are.
async fn begin(repository: &Repository, name: &str) -> Result<u64, RepositoryError> {
    let meta = repository.database().meta();
    if let Some(cursor) = meta.forwarded(name).await? {
        if let Some(gone) = archived_since(repository, cursor).await? {
            tracing::warn!(
                place = name,
                first = gone.start(),
                last = gone.end(),
                "audit entries were archived while this place of [forward] was not in the configuration: it does not get them, they stand in the archive alone"
            );
        }
        return Ok(cursor);
    }
    let last = repository.audit_entries().last().await?;
    let cursor = last.map_or(0, |entry| entry.seq);
    meta.set_forwarded(name, cursor).await?;
    Ok(cursor)
}

/// Entries after this one that left the log before anybody sent them.
async fn archived_since(
    repository: &Repository,
    cursor: u64,
) -> Result<Option<RangeInclusive<u64>>, RepositoryError> {
    let next = repository.audit_entries().scan(cursor, 1).await?;
    let gone = next.first().map(|next| cursor + 1..=next.seq - 1);
    Ok(gone.filter(|gone| !gone.is_empty()))
}

async fn send(place: Arc<Place>, mut sink: Sink, repository: Repository) {
    let mut backoff = Backoff::new(Duration::from_secs(1), LONGEST_WAIT);
    let mut together = TOGETHER;
    let mut is_sender = !repository.database().is_shared();
    let mut looking = interval(EVERY);
    // After a place was away for an hour, it is not looked for new entries 7,200 times in a row.
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looking.tick().await;
        if repository.database().is_shared() {
            match turn(&place, &repository, is_sender).await {
                Ok(turn) => is_sender = turn,
                Err(error) => {
                    place.stands(Some(error.to_string()));
                    sleep(backoff.next_wait()).await;
                    continue;
                }
            }
            if !is_sender {
                place.stands(None);
                continue;
            }
        }
        // As long as there are more than go together.
        loop {
            match next(&place, &mut sink, &repository, &mut together).await {
                Ok(more) => {
                    backoff.reset();
                    place.stands(None);
                    if !more {
                        together = TOGETHER;
                        break;
                    }
                }
                Err(SinkError::TooLarge { .. }) => {}
                Err(error) => {
                    place.stands(Some(error.to_string()));
                    if repository.database().is_shared() {
                        leave(&place, &repository).await;
                        sleep(backoff.next_wait()).await;
                        break;
                    }
                    sleep(backoff.next_wait()).await;
                }
            }
        }
    }
}

/// Whether this server is the one that sends to a place, which it was `before`. Where it comes to
/// be that, or is not, its cursor is where the sender was last.
async fn turn(
    place: &Place,
    repository: &Repository,
    before: bool,
) -> Result<bool, RepositoryError> {
    let database = repository.database();
    let is_sender = database.forwarders().claim(&place.name).await?;
    if !(is_sender && before)
        && let Some(cursor) = database.meta().forwarded(&place.name).await?
    {
        place.cursor.store(cursor, Ordering::Relaxed);
    }
    Ok(is_sender)
}

/// The place takes nothing from this server: perhaps it takes it from another one.
async fn leave(place: &Place, repository: &Repository) {
    let forwarders = repository.database().forwarders();
    if let Err(error) = forwarders.release(&place.name).await {
        tracing::debug!(place = place.name, %error, "no other server is asked to forward");
    }
}

/// Sends so many `together`, or half as many the next time where they are too large for the place,
/// and moves the cursor. True: there may be more.
async fn next(
    place: &Place,
    sink: &mut Sink,
    repository: &Repository,
    together: &mut u32,
) -> Result<bool, SinkError> {
    let entries = repository.audit_entries();
    let found = entries.scan(place.cursor(), *together).await?;
    let Some(last) = found.last().map(|entry| entry.seq) else {
        return Ok(false);
    };
    let more = found.len() == *together as usize;
    let wanted: Vec<_> = found.iter().filter(|entry| place.wants(entry)).collect();
    if !wanted.is_empty() {
        let sending = timeout(PATIENCE, sink.send(&wanted));
        let sent = sending.await.map_err(|_| SinkError::TimeOut(PATIENCE))?;
        if let Err(SinkError::TooLarge { .. }) = &sent {
            *together = u32::try_from(found.len() / 2).unwrap_or(1).max(1);
        }
        sent?;
    }
    let meta = repository.database().meta();
    meta.set_forwarded(&place.name, last).await?;
    place.cursor.store(last, Ordering::Relaxed);
    Ok(more)
}
