//! What a journal holds, for people. It is read, and where hardly any room is left on its disk, it
//! is tried whether there is any.

use super::disk;
use super::index::{Index, State};
use super::keys::Keys;
use super::record::Record;
use super::replay::Replay;
use super::{damaged, location, room};
use crate::state_dir::{StateDir, StateDirError};

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// Where it is.
    pub location: String,
    /// In hexadecimal.
    pub incarnation: String,
    /// Of its last record.
    pub sequence: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Calls that it has.
    pub calls: usize,
    /// Calls that were accepted up to this time may have been forgotten; 0: none was.
    pub forgotten_unix_ms: u64,
    /// Calls without an end, the earliest first: under way, or to be looked at.
    pub open: Vec<OpenCall>,
    /// What is wrong with it, and what to do.
    pub fault: Option<String>,
}

/// A call that was begun and has no end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct OpenCall {
    /// Its id.
    pub call_id: String,
    /// The connector's name.
    pub connector: String,
    /// The verb.
    pub verb: String,
    /// The object.
    pub object: String,
    /// When it was begun.
    pub begun_unix_ms: u64,
    /// What was seen before, a sentence each.
    pub evidence: Vec<String>,
}

/// Reads the journal of a folder; `None` where there is none. A gateway may be writing it.
///
/// # Errors
/// [`StateDirError`] where the folder is unsafe or cannot be read.
pub fn show(folder: &StateDir) -> Result<Option<Shown>, StateDirError> {
    let Some(bytes) = disk::bytes(folder)? else {
        return Ok(None);
    };
    let mut shown = Shown {
        location: location(folder),
        bytes: bytes.len() as u64,
        ..Shown::default()
    };
    let Some(keys) = Keys::load(folder)? else {
        shown.fault = Some(damaged(folder, "has lost its key (`journal.key`)"));
        return Ok(Some(shown));
    };
    let Some((header, mut replay)) = Replay::new(&bytes, &keys.records) else {
        let what = "does not begin as a journal under its key does";
        shown.fault = Some(damaged(folder, what));
        return Ok(Some(shown));
    };
    let mut index = Index::default();
    let mut begun = Vec::new();
    while let Some((at, record)) = replay.record() {
        if let Record::Begun(record) = &record {
            begun.push(record.clone());
        }
        disk::take(&mut index, &keys, at as u64, record);
    }
    let fault = disk::fault(folder, &header, &replay);
    shown.fault = fault.or_else(|| room::lacking(folder));
    let open = begun.into_iter().filter(|record| {
        let key = disk::key_of(&keys, &Record::Begun(record.clone()));
        let entry = key.and_then(|key| index.calls.get(&key));
        entry.is_some_and(|entry| matches!(entry.state, State::Unseen(_)))
    });
    shown.open = open.map(open_call).collect();
    shown.calls = index.calls.len();
    shown.sequence = replay.next.saturating_sub(1);
    shown.forgotten_unix_ms = header.forgotten;
    shown.incarnation = data_encoding::HEXLOWER.encode(&header.incarnation);
    Ok(Some(shown))
}

fn open_call(begun: super::record::Begun) -> OpenCall {
    let facts = begun.evidence.into_iter();
    let evidence = crate::model::Evidence {
        facts: facts.map(|fact| (fact.name, fact.value)).collect(),
    };
    OpenCall {
        call_id: begun.call_id,
        connector: begun.connector,
        verb: begun.verb,
        object: begun.object,
        begun_unix_ms: begun.begun,
        evidence: evidence.sentences(),
    }
}
