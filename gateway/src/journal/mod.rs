//! The record of every call that may change something: what was seen before it, that it was begun,
//! and what came of it.
//!
//! ```text
//!                claim            begin                    end
//!   call ──▶ in memory ──▶ flushed to the disk ──▶ connector ──▶ written, not waited for
//!                │                │                    │
//!                │                └── one thread writes, and flushes for all who wait at once
//!                └── dropped: nothing was begun        └── lost (crash, cut): *unseen*, looked at
//! ```
//!
//! No password and no value of an attribute stands in it: of a call's content it has a digest under
//! a key of its own, and of the resource what the connector noted as evidence. Its records are
//! chained by MACs (`record`); a write that a failure cut short is dropped, and any other damage
//! stops the calls that change something until an administrator has looked (`replay`). An entry
//! goes once the server has acknowledged the outcome and the time to keep it has passed
//! (`compact`); up to which age it forgot is kept too. No server fills all of it (`shares`).

mod accept;
mod calls;
mod claim;
mod clock;
mod compact;
mod disk;
mod gather;
mod index;
mod keys;
mod outcome;
mod record;
mod replay;
mod room;
mod shares;
mod show;
mod writer;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_proto::gateway::v1 as wire;
use prost::Message as _;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

pub use self::accept::{Accepted, accept};
pub use self::calls::{Known, Purpose, not_begun};
pub use self::claim::{Claim, Joined, What};
use self::clock::Clock;
use self::gather::UnderWay;
use self::index::Index;
use self::keys::Keys;
use self::record::Record;
pub use self::shares::Share;
pub use self::show::{OpenCall, Shown, show};
use self::writer::{Command, Commands};
pub use crate::config::JournalSettings as Settings;
use crate::state_dir::StateDir;

/// The file.
pub const FILE: &str = "journal";
/// Servers of which it is kept that they say which outcomes they have.
const MAX_ACKNOWLEDGING: usize = 1024;

/// What a call is known by here: a MAC over its server and its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct CallKey([u8; 16]);

/// Tells the content of a call from that of another; nothing can be learned from it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u8; 16]);

impl Digest {
    fn stored(bytes: &[u8]) -> Self {
        Self(bytes.try_into().unwrap_or_default())
    }
}

/// The journal of one run of the gateway. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    keys: Keys,
    inner: Mutex<Inner>,
    /// How much later a call may seem to have been accepted than it was, in milliseconds: on its
    /// way it may have waited.
    slack: u64,
    /// `None`: it is kept in memory only.
    commands: Option<Commands>,
    /// Where it is kept; the same.
    folder: Option<StateDir>,
    clock: Clock,
    under_way: UnderWay,
}

#[derive(Debug)]
struct Inner {
    index: Index,
    /// For reading outcomes back; `None` while there is no file to read.
    reader: Option<File>,
    header: record::Header,
    /// Of the last record that is on the disk.
    sequence: u64,
    /// Why calls that change something are refused.
    fault: Option<String>,
    /// Why they were refused last, where that passes by itself once the disk has room.
    lack: Option<String>,
    /// Servers that say which outcomes they have.
    acknowledging: HashSet<ServerId>,
}

/// What a server is told of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Made with the journal.
    pub incarnation: [u8; 16],
    /// Of the last record that is on the disk.
    pub sequence: u64,
    /// Why calls that change something are refused, and what to do.
    pub fault: Option<String>,
}

impl From<Info> for wire::JournalInfo {
    fn from(info: Info) -> Self {
        Self {
            incarnation: info.incarnation.to_vec(),
            sequence: info.sequence,
            fault: info.fault.unwrap_or_default(),
        }
    }
}

impl Journal {
    /// That of the folder, which is made where there is none. One that is damaged, or cannot be
    /// made or read, refuses what changes something, and says why; calls that read go on.
    pub fn open(folder: &StateDir, settings: Settings) -> Self {
        let opened = disk::open(folder).unwrap_or_else(|error| {
            let fault = format!(
                "{error}; calls that change something are refused until the gateway can use its journal: then restart it"
            );
            disk::faulty(Keys::random(), Index::default(), fault)
        });
        if let Some(fault) = &opened.inner.fault {
            tracing::error!(name: "journal_fault", "{fault}");
        }
        let (commands, receiver) = opened.disk.is_some().then(Commands::new).unzip();
        let shared = Arc::new(Shared {
            keys: opened.keys,
            inner: Mutex::new(opened.inner),
            slack: slack(settings),
            commands,
            folder: Some(folder.clone()),
            clock: Clock::new(),
            under_way: UnderWay::default(),
        });
        if let (Some(disk), Some(receiver)) = (opened.disk, receiver)
            && let Err(error) = writer::start(disk, settings, receiver, &shared)
        {
            let fault = unwritable(&location(folder), &error);
            tracing::error!(name: "journal_fault", "{fault}");
            shared.lock().fault = Some(fault);
        }
        Self { shared }
    }

    /// One that is gone with this run of the program.
    pub fn in_memory() -> Self {
        let header = record::Header {
            incarnation: rand::random(),
            created: 0,
            forgotten: 0,
            first: 1,
        };
        Self {
            shared: Arc::new(Shared {
                keys: Keys::random(),
                inner: Mutex::new(Inner::new(Index::default(), None, header)),
                slack: 0,
                commands: None,
                folder: None,
                clock: Clock::new(),
                under_way: UnderWay::default(),
            }),
        }
    }

    /// What a server is told of it.
    pub fn info(&self) -> Info {
        let inner = self.shared.lock();
        Info {
            incarnation: inner.header.incarnation,
            sequence: inner.sequence,
            fault: inner.fault.clone().or_else(|| inner.lack.clone()),
        }
    }

    /// As [`Self::info`]. Whether calls that change something are taken is tried where there was no
    /// room on the disk, or hardly any is left.
    pub async fn tried(&self) -> Info {
        let fault = self.fault().await;
        Info {
            fault,
            ..self.info()
        }
    }

    /// What each server has of it that has anything.
    pub async fn shares(&self) -> Vec<Share> {
        let Some(commands) = &self.shared.commands else {
            return Vec::new();
        };
        let (tell, told) = oneshot::channel();
        commands.send(Command::Shares(tell));
        // The writer has ended, as it does with the gateway.
        told.await.unwrap_or_default()
    }

    async fn fault(&self) -> Option<String> {
        let (fault, lacks) = {
            let inner = self.shared.lock();
            (inner.fault.clone(), inner.lack.is_some())
        };
        let (None, Some(commands)) = (&fault, &self.shared.commands) else {
            return fault;
        };
        if !lacks && !self.shared.folder.as_ref().is_some_and(room::is_doubtful) {
            return None;
        }
        let (command, written) = Command::flushed(Record::Flushed);
        commands.send(command);
        match written.await {
            Ok(written) => written.err().map(|failure| failure.message),
            // The writer has ended, as it does with the gateway.
            Err(_) => self.info().fault,
        }
    }

    /// Notes whether a server says which outcomes it has. Those of another are kept for their time
    /// alone.
    pub fn set_acknowledging(&self, server: ServerId, acknowledges: bool) {
        let servers = &mut self.shared.lock().acknowledging;
        if acknowledges {
            // Beyond that, entries are kept for their time, as of a server that says nothing.
            if servers.len() < MAX_ACKNOWLEDGING {
                servers.insert(server);
            }
        } else {
            servers.remove(&server);
        }
    }

    /// The digest of all of a call that decides what it does: not its time-out, nor its trace, nor
    /// what it says of itself.
    pub fn digest(&self, call: &mut wire::Call) -> Digest {
        let content = content(call);
        self.shared.keys.digest(&content)
    }

    /// Waits until all that was noted is on the disk; the writer then ends.
    pub async fn close(&self) {
        if let Some(commands) = &self.shared.commands {
            let (told, closed) = oneshot::channel();
            commands.send(Command::Close(told));
            // An error: it has ended before.
            let _ = closed.await;
        }
    }

    /// Puts its clock so many milliseconds ahead of the host's, or behind it.
    #[cfg(test)]
    fn put_clock(&self, ahead: i64) {
        self.shared.clock.put(ahead);
    }

    /// Compacts it, whatever its size.
    #[cfg(test)]
    async fn compact(&self) {
        if let Some(commands) = &self.shared.commands {
            let (told, compacted) = oneshot::channel();
            commands.send(Command::Compact(told));
            compacted.await.unwrap();
        }
    }
}

impl Inner {
    fn new(index: Index, reader: Option<File>, header: record::Header) -> Self {
        Self {
            index,
            reader,
            header,
            sequence: header.first.saturating_sub(1),
            fault: None,
            lack: None,
            acknowledging: HashSet::new(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Whole at every moment, whoever panicked meanwhile.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that are the same for the same content.
fn content(call: &mut wire::Call) -> Zeroizing<Vec<u8>> {
    let settings = std::mem::take(&mut call.settings);
    let (timeout, accepted) = (call.timeout_ms, call.accepted_ms_ago);
    let (look, lost) = (call.look, call.journal_lost);
    (call.timeout_ms, call.accepted_ms_ago) = (0, 0);
    (call.look, call.journal_lost) = (false, false);
    let traceparent = std::mem::take(&mut call.traceparent);
    let names: usize = settings.iter().map(|(n, v)| n.len() + v.len() + 16).sum();
    // Of its final size from the start: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(call.encoded_len() + names + 8));
    bytes.extend((settings.len() as u64).to_le_bytes());
    // A map has no order.
    let mut sorted: Vec<_> = settings.iter().collect();
    sorted.sort_unstable();
    for text in sorted.into_iter().flat_map(|(name, value)| [name, value]) {
        bytes.extend((text.len() as u64).to_le_bytes());
        bytes.extend(text.as_bytes());
    }
    call.encode_raw(&mut *bytes);
    call.settings = settings;
    (call.timeout_ms, call.accepted_ms_ago) = (timeout, accepted);
    (call.look, call.journal_lost) = (look, lost);
    call.traceparent = traceparent;
    bytes
}

/// Long for a call on its way, and short beside the time that entries are kept.
fn slack(settings: Settings) -> u64 {
    let most = (settings.kept / 2).min(Duration::from_mins(10));
    u64::try_from(most.as_millis()).unwrap_or(u64::MAX)
}

/// The time now, in milliseconds since 1970.
fn now() -> u64 {
    portcullis_host::clock::now().0
}

/// Where the journal is, for messages.
fn location(folder: &StateDir) -> String {
    folder.path().join(FILE).display().to_string()
}

/// What is wrong with a journal that cannot be gone on with.
fn damaged(folder: &StateDir, what: &str) -> String {
    format!(
        "the journal {} {what}: calls that change something are refused, since nobody can tell which of them were begun. \
         Restore the disk (or the clock); or stop the gateway and run `portcullis-gateway journal accept`, which keeps what can be read and begins a new one",
        location(folder)
    )
}

/// What is wrong while the host's clock stands before what the journal has forgotten.
fn set_back() -> String {
    "the gateway's clock stands before the time up to which its journal has forgotten calls: calls that change something are refused, since nobody can tell which of them were begun. Set the clock right".to_owned()
}

/// What is wrong with a journal on a disk that fails.
fn unwritable(location: &str, error: &io::Error) -> String {
    format!(
        "the journal {location} cannot be written ({error}): calls that change something are refused until the disk is mended and the gateway restarted"
    )
}
