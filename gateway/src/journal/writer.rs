//! The one thread that writes the journal: what comes while it flushes is written together, and
//! flushed once.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use portcullis_proto::gateway::v1 as wire;
use tokio::sync::oneshot;

use super::compact::{self, Compacted};
use super::disk::{Disk, Unwritten};
use super::gather::Gatherer;
use super::index::{Place, State};
use super::record::{Ended, Record};
use super::replay::MAX_UNFLUSHED;
use super::shares::{Room, Share};
use super::{CallKey, Settings, Shared, room, unwritable};
use crate::model::{Failure, FailureKind};

/// Bytes of the file below which it is not worth compacting.
const SMALL: u64 = 1 << 20;
/// How long the writer waits before it compacts again where nothing could go.
const PAUSE: Duration = Duration::from_secs(10);
/// Bytes of the writer's stack.
const STACK: usize = 256 << 10;

/// What a record is written for.
#[derive(Debug)]
pub(super) enum Command {
    /// Nothing waits for it.
    Note(Record),
    /// The outcome of a call, which stays in memory until it is written.
    End(CallKey, Ended, Arc<wire::Outcome>),
    /// Somebody waits until it is on the disk.
    Flushed(Record, oneshot::Sender<Result<(), Failure>>),
    /// Somebody asks what each server has of it.
    Shares(oneshot::Sender<Vec<Share>>),
    /// The file is to be written anew.
    #[cfg(test)]
    Compact(oneshot::Sender<()>),
    /// All is to be flushed, and the writer to end.
    Close(oneshot::Sender<()>),
}

impl Command {
    pub(super) const fn note(record: Record) -> Self {
        Self::Note(record)
    }

    pub(super) const fn end(key: CallKey, record: Ended, outcome: Arc<wire::Outcome>) -> Self {
        Self::End(key, record, outcome)
    }

    pub(super) fn flushed(record: Record) -> (Self, oneshot::Receiver<Result<(), Failure>>) {
        let (tell, written) = oneshot::channel();
        (Self::Flushed(record, tell), written)
    }
}

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Commands(Sender<Command>);

impl Commands {
    pub(super) fn new() -> (Self, Receiver<Command>) {
        let (sender, receiver) = mpsc::channel();
        (Self(sender), receiver)
    }

    /// Where the writer has ended, what waits for an answer learns it by the loss of its sender.
    pub(super) fn send(&self, command: Command) {
        drop(self.0.send(command));
    }
}

/// Starts the writer. It ends with the journal.
pub(super) fn start(
    disk: Disk,
    settings: Settings,
    commands: Receiver<Command>,
    shared: &Arc<Shared>,
) -> io::Result<()> {
    let writer = Writer {
        compacted: disk.length(),
        tried: None,
        disk,
        settings,
        shared: Arc::downgrade(shared),
        owed: Vec::new(),
        lacks_room: false,
        gatherer: Gatherer::new(shared.under_way.clone()),
    };
    thread::Builder::new()
        .name("journal".to_owned())
        .stack_size(STACK)
        .spawn(move || writer.run(&commands))
        .map(drop)
}

struct Writer {
    disk: Disk,
    settings: Settings,
    /// Gone where nobody has the journal any more: then nobody asks either.
    shared: Weak<Shared>,
    /// Outcomes that the disk had no room for.
    owed: Vec<Command>,
    /// The disk had no room at the last write.
    lacks_room: bool,
    gatherer: Gatherer,
    /// Bytes of the file when it was last compacted.
    compacted: u64,
    /// When that was, whatever the host's clock showed.
    tried: Option<Instant>,
}

impl Writer {
    fn run(mut self, commands: &Receiver<Command>) {
        let mut closing = None;
        while closing.is_none()
            && let Ok(first) = commands.recv()
        {
            let mut batch = std::mem::take(&mut self.owed);
            let mut next = Some(first);
            while let Some(command) = next {
                if let Command::Close(told) = command {
                    closing = Some(told);
                    break;
                }
                #[cfg(test)]
                if let Command::Compact(told) = command {
                    self.write(std::mem::take(&mut batch));
                    self.compact();
                    told.send(()).unwrap();
                    break;
                }
                batch.push(command);
                next = self.gatherer.next(commands, batch.len());
            }
            self.gatherer.written(&batch);
            self.write(batch);
        }
        if let Err(error) = self.disk.flush() {
            self.fail(&error);
        }
        if let Some(told) = closing {
            // Whoever asked may not wait any more.
            let _ = told.send(());
        }
    }

    fn write(&mut self, batch: Vec<Command>) {
        self.make_room(&batch);
        let mut placed = Vec::new();
        let mut waiting = Vec::new();
        let mut asking = Vec::new();
        let mut draft = self.disk.draft();
        for command in batch {
            match command {
                Command::Flushed(record, tell) => {
                    match self.disk.room(&draft, &record, self.settings.most) {
                        Room::Enough => {
                            draft.append(&record);
                            waiting.push(tell);
                        }
                        Room::Full => drop(tell.send(Err(self.full()))),
                        Room::Share(has) => drop(tell.send(Err(self.share_full(has)))),
                    }
                }
                Command::Note(record) => {
                    draft.append(&record);
                }
                Command::Shares(tell) => asking.push(tell),
                Command::End(key, record, outcome) => {
                    let record = Record::Ended(record);
                    placed.push((key, draft.append(&record), record, outcome));
                }
                // Taken before.
                _ => {}
            }
        }
        let flush = !waiting.is_empty() || self.disk.unflushed() > MAX_UNFLUSHED / 2;
        let writes = !draft.is_empty();
        match self.disk.write(draft, flush) {
            Ok(()) => {
                if writes && self.lacks_room {
                    self.set_lack(None);
                }
                self.place(placed);
                // Whoever waits finds it as high as it now is.
                self.tell_sequence();
                for tell in waiting {
                    let _ = tell.send(Ok(()));
                }
            }
            Err(unwritten) => {
                let failure = self.unwritten(&unwritten);
                for tell in waiting {
                    let _ = tell.send(Err(failure.clone()));
                }
                let owed = placed.into_iter();
                self.owed = owed
                    .filter_map(|(key, _, record, outcome)| match record {
                        Record::Ended(record) => Some(Command::End(key, record, outcome)),
                        _ => None,
                    })
                    .collect();
            }
        }
        for tell in asking {
            drop(tell.send(self.shares()));
        }
    }

    /// Compacts where the file has doubled, or where it, or the share of a server, would be full.
    fn make_room(&mut self, batch: &[Command]) {
        let length = self.disk.length() + batch.iter().map(Command::weight).sum::<u64>();
        let grown = length > SMALL && length > 2 * self.compacted;
        let full = self.is_rested() && self.is_full(length, batch);
        if !(grown || full) || self.disk.is_broken() {
            return;
        }
        self.compact();
    }

    fn is_full(&self, length: u64, batch: &[Command]) -> bool {
        let draft = self.disk.draft();
        let has_room = |command: &Command| match command {
            Command::Flushed(record, _) => {
                self.disk.room(&draft, record, self.settings.most) == Room::Enough
            }
            _ => true,
        };
        length > self.settings.most || !batch.iter().all(has_room)
    }

    fn compact(&mut self) {
        self.tried = Some(Instant::now());
        let Some(shared) = self.shared.upgrade() else {
            return;
        };
        match compact::compact(&mut self.disk, &shared, self.settings.kept) {
            Ok(Compacted { before, after }) => {
                tracing::info!(before, after, "compacted the journal");
            }
            Err(error) => tracing::warn!("the journal was not compacted: {error}"),
        }
        self.compacted = self.disk.length();
    }

    /// What each server has of it; where one finds no room, as after the compaction that its next
    /// call would begin.
    fn shares(&mut self) -> Vec<Share> {
        let shares = self.disk.shares(self.settings.most);
        if self.is_rested() && !shares.iter().all(|share| share.writable) {
            self.compact();
            return self.disk.shares(self.settings.most);
        }
        shares
    }

    /// Whether it may be compacted again though nothing went at the last time.
    fn is_rested(&self) -> bool {
        self.tried.is_none_or(|tried| tried.elapsed() > PAUSE)
    }

    fn full(&self) -> Failure {
        Failure::new(
            FailureKind::Busy,
            format!(
                "the gateway's journal {} has reached its {} MiB (`journal.most_mib`): calls that change something are refused until the server has acknowledged earlier ones and `journal.kept` has passed; give it more room, or keep entries for less time",
                self.disk.location(),
                self.settings.most >> 20
            ),
        )
    }

    fn share_full(&self, has: u64) -> Failure {
        Failure::new(
            FailureKind::Busy,
            format!(
                "this server's calls take {} MiB of the gateway's journal {} of {} MiB (`journal.most_mib`), and what is left is for other servers: its calls that change something are refused until it has acknowledged earlier ones and `journal.kept` has passed; give the journal more room, or keep entries for less time",
                has >> 20,
                self.disk.location(),
                self.settings.most >> 20
            ),
        )
    }

    fn unwritten(&mut self, unwritten: &Unwritten) -> Failure {
        match unwritten {
            Unwritten::NoRoom(error) => {
                let message = room::text(self.disk.location(), error);
                if !self.lacks_room {
                    tracing::error!(name: "journal_fault", "{message}");
                }
                self.set_lack(Some(message.clone()));
                Failure::new(FailureKind::Busy, message)
            }
            Unwritten::Broken(error) => Failure::unavailable(self.fail(error)),
        }
    }

    /// Notes that the disk had no room for what was to be written, or has some again.
    fn set_lack(&mut self, lack: Option<String>) {
        self.lacks_room = lack.is_some();
        if let Some(shared) = self.shared.upgrade() {
            shared.lock().lack = lack;
        }
    }

    /// From now on nothing that changes something is begun.
    fn fail(&self, error: &io::Error) -> String {
        let fault = unwritable(self.disk.location(), error);
        if let Some(shared) = self.shared.upgrade() {
            let mut inner = shared.lock();
            if inner.fault.is_none() {
                tracing::error!(name: "journal_fault", "{fault}");
                inner.fault = Some(fault.clone());
            }
        }
        fault
    }

    fn place(&self, placed: Vec<(CallKey, u64, Record, Arc<wire::Outcome>)>) {
        let Some(shared) = self.shared.upgrade().filter(|_| !placed.is_empty()) else {
            return;
        };
        let mut inner = shared.lock();
        for (key, at, _, outcome) in placed {
            let entry = inner.index.calls.get_mut(&key);
            if let Some(State::Ended { place, .. }) = entry.map(|entry| &mut entry.state)
                && matches!(place, Place::Memory(there) if Arc::ptr_eq(there, &outcome))
            {
                *place = Place::Disk(at);
            }
        }
    }

    fn tell_sequence(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.lock().sequence = self.disk.flushed();
        }
    }
}

impl Command {
    /// Bytes that it takes in the file.
    fn weight(&self) -> u64 {
        let body = match self {
            Self::Note(record) | Self::Flushed(record, _) => record.length(),
            Self::End(_, record, _) => prost::Message::encoded_len(record),
            _ => 0,
        };
        (body + super::record::OVERHEAD) as u64
    }
}
