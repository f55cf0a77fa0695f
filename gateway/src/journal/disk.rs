//! The journal's file: opened and checked whole, then appended to.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::Arc;

use portcullis_common::crypto::mac::{MacKey, TAG_LEN};
use portcullis_common::id::ServerId;

use super::index::Index;
use super::keys::Keys;
use super::record::{FRONT, Front, HEADER, Header, Link, OVERHEAD, Record, append, verify};
use super::replay::{End, Replay};
use super::shares::{Room, Share, Shares};
use super::{CallKey, FILE, Inner, damaged, location, now, room};
use crate::state_dir::{StateDir, StateDirError};

/// A journal as it was found, or made.
pub(super) struct Opened {
    pub(super) keys: Keys,
    pub(super) inner: Inner,
    /// `None`: it must not be written.
    pub(super) disk: Option<Disk>,
}

/// The file that is appended to.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) folder: StateDir,
    location: String,
    key: Arc<MacKey>,
    /// `None`: it could not be opened again after it was replaced.
    file: Option<File>,
    length: u64,
    link: Link,
    next: u64,
    flushed: u64,
    /// Bytes that were written since the last flush.
    unflushed: usize,
    /// A write or a flush failed: what is on the disk is not known.
    broken: bool,
    /// What of it is of which server.
    shares: Shares,
}

/// Records that are to be written together.
pub(super) struct Draft {
    shares: Shares,
    key: Arc<MacKey>,
    bytes: Vec<u8>,
    link: Link,
    next: u64,
    flushed: u64,
    start: u64,
}

/// Why records are not in the file. None of them is.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// Later there may be room.
    NoRoom(io::Error),
    /// Nothing more is written in this run.
    Broken(io::Error),
}

/// Opens the journal of a folder, or makes one.
pub(super) fn open(folder: &StateDir) -> Result<Opened, StateDirError> {
    let keys = Keys::load(folder)?;
    let bytes = bytes(folder)?;
    match (keys, bytes) {
        (Some(keys), Some(bytes)) => reopen(folder, keys, &bytes),
        (None, Some(_)) => Ok(faulty(
            Keys::random(),
            Index::default(),
            damaged(folder, "has lost its key (`journal.key`)"),
        )),
        (keys, None) => {
            let keys = keys.map_or_else(|| Keys::create(folder), Ok)?;
            let header = Header {
                incarnation: rand::random(),
                created: now(),
                forgotten: 0,
                first: 1,
            };
            create(folder, &header.encode(&keys.records))?;
            let bytes = bytes_there(folder)?;
            reopen(folder, keys, &bytes)
        }
    }
}

/// The bytes of the journal; `None` where there is none.
pub(super) fn bytes(folder: &StateDir) -> Result<Option<Vec<u8>>, StateDirError> {
    let Some(mut file) = folder.open(FILE)? else {
        return Ok(None);
    };
    let read = file.metadata().and_then(|metadata| {
        let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0));
        file.read_to_end(&mut bytes).map(|_| bytes)
    });
    read.map(Some).map_err(|source| StateDirError::Io {
        action: "read",
        path: folder.path().join(FILE),
        source,
    })
}

fn bytes_there(folder: &StateDir) -> Result<Vec<u8>, StateDirError> {
    Ok(bytes(folder)?.unwrap_or_default())
}

/// Puts a whole journal in the place of any other.
pub(super) fn create(folder: &StateDir, bytes: &[u8]) -> Result<(), StateDirError> {
    folder.replace(FILE, bytes)
}

pub(super) fn faulty(keys: Keys, index: Index, fault: String) -> Opened {
    let header = Header {
        incarnation: [0; 16],
        created: 0,
        forgotten: 0,
        first: 1,
    };
    let mut inner = Inner::new(index, None, header);
    inner.fault = Some(fault);
    Opened {
        keys,
        inner,
        disk: None,
    }
}

fn reopen(folder: &StateDir, keys: Keys, bytes: &[u8]) -> Result<Opened, StateDirError> {
    let Some((header, mut replay)) = Replay::new(bytes, &keys.records) else {
        let fault = damaged(folder, "does not begin as a journal under its key does");
        return Ok(faulty(keys, Index::default(), fault));
    };
    let (mut index, mut shares) = (Index::default(), Shares::default());
    while let Some((at, record)) = replay.record() {
        shares.add(&record);
        take(&mut index, &keys, at as u64, record);
    }
    let end = replay.end();
    let (at, next, link) = (replay.at, replay.next, *replay.link());
    let reader = folder.open(FILE)?;
    let mut inner = Inner::new(index, reader, header);
    inner.sequence = next.saturating_sub(1);
    inner.fault = fault(folder, &header, &replay);
    if inner.fault.is_some() {
        return Ok(Opened {
            keys,
            inner,
            disk: None,
        });
    }
    let mut disk = Disk {
        folder: folder.clone(),
        location: location(folder),
        key: Arc::new(keys.records.clone()),
        file: folder.open(FILE)?,
        length: at as u64,
        link,
        next,
        flushed: next.saturating_sub(1),
        unflushed: 0,
        broken: false,
        shares,
    };
    if end == End::Torn {
        let dropped = bytes.len() - at;
        tracing::warn!(
            dropped,
            "the last write to the journal was cut short: what was not on the disk is dropped"
        );
    }
    disk.cut().map_err(|source| StateDirError::Io {
        action: "flush",
        path: folder.path().join(FILE),
        source,
    })?;
    Ok(Opened {
        keys,
        inner,
        disk: Some(disk),
    })
}

/// What keeps a journal that was read to its end from being gone on with.
pub(super) fn fault(folder: &StateDir, header: &Header, replay: &Replay<'_>) -> Option<String> {
    if replay.end() == End::Damaged {
        let what = format!("is damaged at byte {}", replay.at);
        return Some(damaged(folder, &what));
    }
    header.is_ahead(now()).then(|| {
        damaged(
            folder,
            "has forgotten calls of a time to come, so that the clock was set back since",
        )
    })
}

/// Takes in a record that begins at this byte.
pub(super) fn take(index: &mut Index, keys: &Keys, at: u64, record: Record) {
    if let Record::Acknowledged(acknowledged) = &record {
        let ids = acknowledged.call_ids.iter();
        for call in ids.filter_map(|id| call_key(keys, &acknowledged.server, id)) {
            index.acknowledge(call);
        }
    } else if let Some(call) = key_of(keys, &record) {
        index.take(call, at, record);
    }
}

/// The call that a record is about, where it is about one.
pub(super) fn key_of(keys: &Keys, record: &Record) -> Option<CallKey> {
    match record {
        Record::Begun(begun) => call_key(keys, &begun.server, &begun.call_id),
        Record::Ended(ended) => call_key(keys, &ended.server, &ended.call_id),
        Record::Barred(barred) => call_key(keys, &barred.server, &barred.call_id),
        Record::Acknowledged(_) | Record::Flushed => None,
    }
}

fn call_key(keys: &Keys, server: &[u8], id: &str) -> Option<CallKey> {
    Some(keys.call(ServerId::from_bytes(server)?, id))
}

/// The record that begins at this byte.
pub(super) fn read(file: &mut File, keys: &Keys, at: u64) -> io::Result<Record> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    file.seek(SeekFrom::Start(at.saturating_sub(TAG_LEN as u64)))?;
    let mut bytes = vec![0; TAG_LEN + FRONT];
    file.read_exact(&mut bytes)?;
    let (link, front) = bytes.split_first_chunk().ok_or_else(invalid)?;
    let link: Link = *link;
    let whole = Front::decode(front).ok_or_else(invalid)?.whole();
    let mut record = front.to_vec();
    record.resize(whole, 0);
    file.read_exact(record.get_mut(FRONT..).ok_or_else(invalid)?)?;
    let (_, record, _) = verify(&record, &keys.records, &link).ok_or_else(invalid)?;
    Ok(record)
}

impl Disk {
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    pub(super) const fn unflushed(&self) -> usize {
        self.unflushed
    }

    /// The last sequence that is on the disk.
    pub(super) const fn flushed(&self) -> u64 {
        self.flushed
    }

    pub(super) const fn is_broken(&self) -> bool {
        self.broken
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// Whether a record has room behind what is drafted, where the file may have so many bytes.
    pub(super) fn room(&self, draft: &Draft, record: &Record, most: u64) -> Room {
        let length = draft.start + draft.bytes.len() as u64;
        self.shares.room(record, &draft.shares, (length, most))
    }

    /// What each server has of the file, which may have so many bytes.
    pub(super) fn shares(&self, most: u64) -> Vec<Share> {
        self.shares.told(self.length, most)
    }

    pub(super) fn draft(&self) -> Draft {
        Draft {
            shares: Shares::default(),
            key: Arc::clone(&self.key),
            bytes: Vec::new(),
            link: self.link,
            next: self.next,
            flushed: self.flushed,
            start: self.length,
        }
    }

    /// Writes what was drafted, all of it or nothing.
    pub(super) fn write(&mut self, draft: Draft, flush: bool) -> Result<(), Unwritten> {
        if self.broken {
            let broken = io::Error::other("an earlier write failed");
            return Err(Unwritten::Broken(broken));
        }
        if let Err(error) = self.put(&draft.bytes) {
            let no_room = room::is_lack(&error);
            // What was written in part must not stand before what comes next.
            let cut = self.cut();
            self.broken = !no_room || cut.is_err();
            return Err(if self.broken {
                Unwritten::Broken(error)
            } else {
                Unwritten::NoRoom(error)
            });
        }
        self.length += draft.bytes.len() as u64;
        self.unflushed += draft.bytes.len();
        (self.link, self.next) = (draft.link, draft.next);
        self.shares.add_all(&draft.shares);
        if flush {
            self.flush().map_err(Unwritten::Broken)?;
            self.mark();
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self.length;
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(length))?;
        file.write_all(bytes)
    }

    /// Has all that was written be on the disk. After a failure nobody knows what is: a second try
    /// would not tell either.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let flushed = match &self.file {
            Some(file) => file.sync_data(),
            None => Err(io::ErrorKind::NotFound.into()),
        };
        if flushed.is_err() {
            self.broken = true;
            return flushed;
        }
        self.flushed = self.next.saturating_sub(1);
        self.unflushed = 0;
        Ok(())
    }

    /// Says in the file what is on the disk, so that damage there is never taken for a write that
    /// was cut short. Where it fails, the next record says it.
    fn mark(&mut self) {
        let mut draft = self.draft();
        draft.append(&Record::Flushed);
        if self.put(&draft.bytes).is_ok() {
            self.length += draft.bytes.len() as u64;
            self.unflushed += draft.bytes.len();
            (self.link, self.next) = (draft.link, draft.next);
        }
    }

    /// Cuts off what stands behind the last record.
    fn cut(&mut self) -> io::Result<()> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.set_len(self.length)?;
        file.sync_data()
    }

    /// Lets go of the file, so that another can take its place.
    pub(super) fn let_go(&mut self) {
        self.file = None;
    }

    /// Goes on with the file that is in its place: that of `draft`, where `replaced`. Where it was
    /// not, and another is there all the same, nothing more is written in this run.
    pub(super) fn go_on(&mut self, replaced: Option<Draft>) -> Result<(), StateDirError> {
        let opened = self.folder.open(FILE);
        self.broken |= !matches!(opened, Ok(Some(_)));
        self.file = opened?;
        if let Some(draft) = replaced {
            (self.link, self.next) = (draft.link, draft.next);
            self.length = draft.start + draft.bytes.len() as u64;
            self.flushed = draft.next.saturating_sub(1);
            self.unflushed = 0;
            self.shares = draft.shares;
        } else {
            self.broken |= !self.ends_here().unwrap_or(false);
        }
        Ok(())
    }

    /// Whether the file ends with the last record that was written.
    fn ends_here(&mut self) -> io::Result<bool> {
        let (length, link) = (self.length, self.link);
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        file.seek(SeekFrom::Start(length.saturating_sub(TAG_LEN as u64)))?;
        let mut last = Vec::with_capacity(TAG_LEN + 1);
        file.take(TAG_LEN as u64 + 1).read_to_end(&mut last)?;
        Ok(last == link)
    }

    /// The records of another file that begins with this header.
    pub(super) fn rewrite(&self, header: &Header) -> (Vec<u8>, Draft) {
        rewrite(&self.key, header)
    }
}

/// A file that begins with this header, and the records that are to follow.
pub(super) fn rewrite(key: &Arc<MacKey>, header: &Header) -> (Vec<u8>, Draft) {
    let bytes = header.encode(key);
    let link = bytes
        .get(HEADER - TAG_LEN..)
        .and_then(|tag| tag.try_into().ok());
    let draft = Draft {
        shares: Shares::default(),
        key: Arc::clone(key),
        bytes: Vec::new(),
        link: link.unwrap_or([0; TAG_LEN]),
        next: header.first,
        flushed: header.first.saturating_sub(1),
        start: HEADER as u64,
    };
    (bytes, draft)
}

impl Draft {
    /// Whether nothing is to be written.
    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds a record; answers at which byte of the file it begins.
    pub(super) fn append(&mut self, record: &Record) -> u64 {
        let at = self.start + self.bytes.len() as u64;
        self.shares.add(record);
        let numbers = (self.next, self.flushed);
        self.link = append(&mut self.bytes, &self.key, &self.link, numbers, record);
        self.next += 1;
        at
    }

    /// The bytes so far, which are taken out to be written; what follows goes behind them.
    pub(super) fn take_bytes(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.bytes);
        self.start += bytes.len() as u64;
        bytes
    }

    /// Whether there is enough to be written.
    pub(super) fn is_long(&self) -> bool {
        self.bytes.len() > 64 * OVERHEAD * 16
    }
}
