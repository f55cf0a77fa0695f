//! Writes the journal anew without what nobody asks for any more: calls that have ended keep their
//! outcome alone, and go once the server has it and their time has passed.

use std::collections::HashMap;
use std::io::{self, Write as _};
use std::time::Duration;

use super::disk::{self, Disk, Draft};
use super::index::{Place, State};
use super::record::{Header, Record};
use super::replay::{End, Replay};
use super::{CallKey, FILE, Shared};
use crate::state_dir::StateDirError;

/// Bytes of the file before and after.
pub(super) struct Compacted {
    pub(super) before: u64,
    pub(super) after: u64,
}

/// Why the former journal stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotCompacted {
    #[error(transparent)]
    Folder(#[from] StateDirError),
    #[error("it cannot be written: {0}")]
    Write(#[from] io::Error),
    #[error("it cannot be read back; `portcullis-gateway journal show` says more")]
    Damaged,
}

/// How long an entry is kept, up to when.
#[derive(Clone, Copy)]
struct Age {
    kept: u64,
    now: u64,
}

/// What becomes of a record.
enum Fate {
    /// It stays, or this in its place.
    Stays(Box<Record>),
    /// Another has taken its place.
    Goes,
    /// The call is forgotten, which was accepted at this time.
    Forgotten(u64),
}

/// Where calls are in the new file, and which are gone.
#[derive(Default)]
struct Moves {
    moved: Vec<(CallKey, u64, u64)>,
    gone: Vec<CallKey>,
}

/// Puts a shorter file in the journal's place. Whatever fails, the former one is gone on with.
pub(super) fn compact(
    disk: &mut Disk,
    shared: &Shared,
    kept: Duration,
) -> Result<Compacted, NotCompacted> {
    let kept = u64::try_from(kept.as_millis()).unwrap_or(u64::MAX);
    let before = disk.length();
    let mut bytes = disk::bytes(&disk.folder)?.ok_or(NotCompacted::Damaged)?;
    bytes.truncate(usize::try_from(before).unwrap_or(usize::MAX));
    let age = Age {
        kept,
        now: shared.clock.for_ages(),
    };
    let (header, gone) = forgetting(&bytes, shared, age)?;
    let mut moves = Moves {
        gone: gone.values().copied().collect(),
        ..Moves::default()
    };
    let (head, mut draft) = disk.rewrite(&header);
    let mut file = disk.folder.draft(FILE)?;
    file.write_all(&head)?;
    // What came to its time meanwhile stays: the header does not tell of it.
    let none = Age {
        kept: u64::MAX,
        ..age
    };
    each(&bytes, shared, none, |key, at, fate| {
        if let Fate::Stays(record) = fate
            && !gone.contains_key(&at)
        {
            moves.moved.push((key, at, draft.append(&record)));
        }
        if draft.is_long() {
            file.write_all(&draft.take_bytes())?;
        }
        Ok(())
    })?;
    file.write_all(&draft.take_bytes())?;
    file.sync_all()?;
    drop(file);
    let after = exchange(disk, shared, header, draft, &moves)?;
    Ok(Compacted { before, after })
}

/// The header of the new file, which says up to when calls are forgotten with it, and where the
/// records of these are.
fn forgetting(
    bytes: &[u8],
    shared: &Shared,
    age: Age,
) -> Result<(Header, HashMap<u64, CallKey>), NotCompacted> {
    let (mut forgotten, mut gone) = (0, HashMap::new());
    each(bytes, shared, age, |key, at, fate| {
        if let Fate::Forgotten(accepted) = fate {
            forgotten = forgotten.max(accepted);
            gone.insert(at, key);
        }
        Ok(())
    })?;
    let (old, mut replay) =
        Replay::new(bytes, &shared.keys.records).ok_or(NotCompacted::Damaged)?;
    while replay.record().is_some() {}
    let header = Header {
        forgotten: old.forgotten.max(forgotten),
        // The sequence never goes back.
        first: replay.next,
        ..old
    };
    Ok((header, gone))
}

/// Tells what becomes of each record about a call, with where it is now.
fn each(
    bytes: &[u8],
    shared: &Shared,
    age: Age,
    mut tell: impl FnMut(CallKey, u64, Fate) -> io::Result<()>,
) -> Result<(), NotCompacted> {
    let (_, mut replay) = Replay::new(bytes, &shared.keys.records).ok_or(NotCompacted::Damaged)?;
    while let Some((at, record)) = replay.record() {
        let at = at as u64;
        if let Some((key, fate)) = fate(shared, age, at, record) {
            tell(key, at, fate)?;
        }
    }
    match replay.end() {
        End::Whole => Ok(()),
        End::Torn | End::Damaged => Err(NotCompacted::Damaged),
    }
}

fn fate(shared: &Shared, age: Age, at: u64, record: Record) -> Option<(CallKey, Fate)> {
    let key = disk::key_of(&shared.keys, &record)?;
    let inner = shared.lock();
    let entry = inner.index.calls.get(&key);
    let is_over =
        |acknowledged: bool, since: u64| acknowledged && since.saturating_add(age.kept) <= age.now;
    let fate = match (record, entry.map(|entry| (entry.accepted, &entry.state))) {
        (record, Some((_, State::UnderWay { .. } | State::Unseen(_)))) => {
            Fate::Stays(Box::new(record))
        }
        (
            Record::Ended(mut record),
            Some((
                accepted,
                State::Ended {
                    place: Place::Disk(there),
                    acknowledged,
                    ended,
                },
            )),
        ) if *there == at => {
            if is_over(*acknowledged, *ended) {
                Fate::Forgotten(accepted)
            } else {
                record.acknowledged = *acknowledged;
                Fate::Stays(Box::new(Record::Ended(record)))
            }
        }
        // Its end is not on the disk yet.
        (
            record,
            Some((
                _,
                State::Ended {
                    place: Place::Memory(_),
                    ..
                },
            )),
        ) => Fate::Stays(Box::new(record)),
        (
            Record::Barred(mut record),
            Some((
                accepted,
                State::Barred {
                    acknowledged,
                    barred,
                    ..
                },
            )),
        ) => {
            if is_over(*acknowledged, *barred) {
                Fate::Forgotten(accepted)
            } else {
                record.acknowledged = *acknowledged;
                Fate::Stays(Box::new(Record::Barred(record)))
            }
        }
        _ => Fate::Goes,
    };
    Some((key, fate))
}

/// Puts the new file in its place; answers how long it is.
fn exchange(
    disk: &mut Disk,
    shared: &Shared,
    header: Header,
    draft: Draft,
    moves: &Moves,
) -> Result<u64, NotCompacted> {
    let mut inner = shared.lock();
    // Where it is open, Windows puts nothing in its place.
    inner.reader = None;
    disk.let_go();
    let put = disk.folder.put(FILE);
    let replaced = put.is_ok().then_some(draft);
    disk.go_on(replaced)?;
    let reader = disk.folder.open(FILE);
    if let Err(error) = put {
        inner.reader = reader?;
        return Err(error.into());
    }
    // Where the records now are holds also where nobody can read them for the moment.
    inner.header = header;
    inner.sequence = disk.flushed();
    for (key, from, to) in &moves.moved {
        let entry = inner.index.calls.get_mut(key);
        if let Some(State::Ended { place, .. }) = entry.map(|entry| &mut entry.state)
            && matches!(place, Place::Disk(there) if there == from)
        {
            *place = Place::Disk(*to);
        }
    }
    for key in &moves.gone {
        let entry = inner.index.calls.get(key);
        // One that has come again meanwhile is under way.
        if entry.is_some_and(|entry| !matches!(entry.state, State::UnderWay { .. })) {
            inner.index.calls.remove(key);
        }
    }
    inner.reader = reader?;
    Ok(disk.length())
}
