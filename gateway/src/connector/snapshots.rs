//! What a connector without a history of its own saw at a sync: the ids, names and digests of all
//! objects of a class, in a file of the gateway's state folder.
//!
//! A token names the file by the digest of what is in it, so that a sync without a change makes no
//! other one, and a file that was lost, cut or changed is told from what was kept. The last
//! [`KEPT`] of each connector and class stay, those that were made or used last.

use std::cmp::Ordering;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use data_encoding::HEXLOWER;
use portcullis_host::clock;
use sha2::{Digest as _, Sha256};

use crate::model::{Failure, FailureKind, SyncToken};
use crate::state_dir::{StateDir, StateDirError};

/// Snapshots that are kept of one connector and class.
const KEPT: usize = 32;
/// The largest snapshot.
const MAX_LEN: usize = 256 << 20;
const HEADING: &str = "portcullis snapshot 1\n";
const DIGEST_LEN: usize = 16;

/// The folder of the snapshots. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshots(Arc<StateDir>);

/// One object as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// A digest of all that a read of it shows.
    pub digest: [u8; DIGEST_LEN],
}

impl Entry {
    /// Of an object whose content is this.
    pub fn new(id: &str, name: &str, content: &[u8]) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            digest: short(Sha256::digest(content).into()),
        }
    }
}

/// All objects of a class as they were seen, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(Vec<Entry>);

/// How one snapshot differs from an earlier one.
#[derive(Debug, PartialEq, Eq)]
pub enum Difference<'a> {
    /// The object is new or another than before.
    Changed(&'a Entry),
    /// It is gone.
    Gone(&'a Entry),
}

impl Difference<'_> {
    fn id(&self) -> &str {
        match self {
            Self::Changed(entry) | Self::Gone(entry) => &entry.id,
        }
    }
}

impl Snapshot {
    /// Of these objects. Where two have the same id, both count as one.
    pub fn new(mut entries: Vec<Entry>) -> Self {
        entries.sort_by(|a, b| (&a.id, &a.name).cmp(&(&b.id, &b.name)));
        entries.dedup_by(|later, first| {
            let same = later.id == first.id;
            if same {
                let both = [first.digest, later.digest].concat();
                first.digest = short(Sha256::digest(both).into());
            }
            same
        });
        Self(entries)
    }

    /// What has changed since `earlier`, in the order of ids.
    pub fn since<'a>(&'a self, earlier: &'a Self) -> Vec<Difference<'a>> {
        let (mut now, mut before) = (self.0.iter().peekable(), earlier.0.iter().peekable());
        let mut found = Vec::new();
        loop {
            let order = match (now.peek(), before.peek()) {
                (Some(new), Some(old)) => new.id.cmp(&old.id),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (None, None) => return found,
            };
            match order {
                Ordering::Less => found.extend(now.next().map(Difference::Changed)),
                Ordering::Greater => found.extend(before.next().map(Difference::Gone)),
                Ordering::Equal => {
                    let (new, old) = (now.next(), before.next());
                    found.extend(new.filter(|_| new != old).map(Difference::Changed));
                }
            }
        }
    }

    /// As `earlier` would be once these first differences were seen, and the rest not yet.
    pub fn up_to(&self, earlier: &Self, last: &Difference<'_>) -> Self {
        let id = last.id();
        let seen = self.0.iter().take_while(|entry| entry.id.as_str() <= id);
        let rest = earlier.0.iter().filter(|entry| entry.id.as_str() > id);
        Self(seen.chain(rest).cloned().collect())
    }

    fn text(&self) -> String {
        let mut text = HEADING.to_owned();
        for Entry { id, name, digest } in &self.0 {
            // Neither an id nor a name holds a control character.
            for part in [id, "\t", name, "\t", &HEXLOWER.encode(digest), "\n"] {
                text.push_str(part);
            }
        }
        text
    }

    fn read(text: &str) -> Option<Self> {
        let lines = text.strip_prefix(HEADING)?.lines();
        let entry = |line: &str| {
            let (id, rest) = line.split_once('\t')?;
            let (name, digest) = rest.split_once('\t')?;
            let digest = HEXLOWER.decode(digest.as_bytes()).ok()?;
            Some(Entry {
                id: id.to_owned(),
                name: name.to_owned(),
                digest: digest.try_into().ok()?,
            })
        };
        lines.map(entry).collect::<Option<_>>().map(Self)
    }
}

impl Snapshots {
    /// In this folder, which is made when it is needed.
    pub fn new(folder: &Path) -> Self {
        Self(Arc::new(StateDir::new(folder)))
    }

    /// Keeps a snapshot of `of`, the connector and class; answers the token that names it. It
    /// writes files.
    ///
    /// # Errors
    /// A [`Failure`] where it cannot be written.
    pub fn keep(&self, of: &str, snapshot: &Snapshot) -> Result<SyncToken, Failure> {
        let text = snapshot.text();
        let digest: [u8; DIGEST_LEN] = short(Sha256::digest(&text).into());
        let name = file_name(of, &digest);
        if text.len() > MAX_LEN {
            return Err(Failure::rejected(
                "there are too many objects for the gateway to keep what it has seen of them",
            ));
        }
        if !self.use_again(&name) {
            self.0.replace(&name, text.as_bytes()).map_err(unwritten)?;
            self.prune(&prefix(of));
        }
        SyncToken::new(digest.to_vec())
            .ok_or_else(|| Failure::internal("a digest is too long for a token"))
    }

    /// The snapshot of `of` that a token names. It reads files.
    ///
    /// # Errors
    /// A [`Failure`] of [`FailureKind::Forgotten`] where there is none any more.
    pub fn find(&self, of: &str, token: &SyncToken) -> Result<Snapshot, Failure> {
        let digest = <[u8; DIGEST_LEN]>::try_from(token.as_bytes()).map_err(|_| forgotten())?;
        let name = file_name(of, &digest);
        let len = fs::metadata(self.0.path().join(&name)).map_or(0, |found| found.len());
        let len = usize::try_from(len).unwrap_or(MAX_LEN).min(MAX_LEN);
        let bytes = self.0.read(&name, len).map_err(unread)?;
        let bytes = bytes.ok_or_else(forgotten)?;
        if short::<DIGEST_LEN>(Sha256::digest(&*bytes).into()) != digest {
            return Err(forgotten());
        }
        self.use_again(&name);
        let text = std::str::from_utf8(&bytes).map_err(|_| forgotten())?;
        Snapshot::read(text).ok_or_else(forgotten)
    }

    /// Whether the file is there; it then counts as made just now.
    fn use_again(&self, name: &str) -> bool {
        let file = File::options().append(true).open(self.0.path().join(name));
        // What its time cannot be set of goes a little earlier.
        file.is_ok_and(|file| {
            let _ = file.set_modified(UNIX_EPOCH + Duration::from_millis(clock::now().0));
            true
        })
    }

    /// Removes all but the last of those whose names begin so. One that stays is no harm.
    fn prune(&self, prefix: &str) {
        let Ok(found) = fs::read_dir(self.0.path()) else {
            return;
        };
        let mut all: Vec<_> = found
            .filter_map(|entry| entry.ok())
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        all.sort();
        let old = all.len().saturating_sub(KEPT);
        for (_, path) in all.into_iter().take(old) {
            let _ = fs::remove_file(path);
        }
    }
}

fn prefix(of: &str) -> String {
    let digest: [u8; 8] = short(Sha256::digest(of).into());
    format!("{}-", HEXLOWER.encode(&digest))
}

fn file_name(of: &str, digest: &[u8; DIGEST_LEN]) -> String {
    format!("{}{}", prefix(of), HEXLOWER.encode(digest))
}

fn short<const N: usize>(digest: [u8; 32]) -> [u8; N] {
    std::array::from_fn(|place| digest.get(place).copied().unwrap_or_default())
}

fn forgotten() -> Failure {
    Failure::new(
        FailureKind::Forgotten,
        format!(
            "the gateway does not have any more what was seen at that sync (it keeps the last {KEPT}): begin anew without a token, and read all objects once"
        ),
    )
}

fn unwritten(error: StateDirError) -> Failure {
    Failure::unavailable(format!(
        "the gateway cannot keep what it has seen for the next sync: {error}"
    ))
}

fn unread(error: StateDirError) -> Failure {
    Failure::unavailable(format!(
        "the gateway cannot read what it saw at the last sync: {error}"
    ))
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn random(rng: &mut StdRng) -> Snapshot {
        let entries = (0..rng.random_range(0..20)).map(|_| {
            let id = rng.random_range(0..25).to_string();
            Entry::new(&id, "name", &[rng.random_range(0..3)])
        });
        Snapshot::new(entries.collect())
    }

    /// What a caller knows who follows every difference.
    fn follow(known: &mut Vec<Entry>, difference: &Difference<'_>) {
        known.retain(|entry| entry.id != difference.id());
        if let Difference::Changed(entry) = difference {
            known.push((*entry).clone());
        }
    }

    #[test]
    fn who_follows_every_difference_page_by_page_knows_what_there_is() {
        let seed = rand::random();
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        for _ in 0..500 {
            let (mut seen, now) = (random(&mut rng), random(&mut rng));
            let mut known = seen.0.clone();
            loop {
                let differences = now.since(&seen);
                let page = rng.random_range(1..5);
                for difference in differences.iter().take(page) {
                    follow(&mut known, difference);
                }
                let Some(last) = differences.get(page - 1) else {
                    break;
                };
                let next = now.up_to(&seen, last);
                assert_eq!(Snapshot::new(known.clone()), next);
                seen = next;
            }
            assert_eq!(Snapshot::new(known), now);
        }
    }

    #[test]
    fn a_snapshot_comes_back_from_its_file_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let snapshots = Snapshots::new(&folder.path().join("sync"));
        let entry = |id: &str, content: &[u8]| Entry::new(id, "Ada  King, é", content);
        let snapshot = Snapshot::new(vec![entry("7", b"x"), entry("10", b""), entry("7", b"y")]);
        for snapshot in [snapshot, Snapshot::default()] {
            let token = snapshots.keep("local account", &snapshot).unwrap();
            assert_eq!(snapshots.find("local account", &token).unwrap(), snapshot);
            let of_others = snapshots.find("local group", &token).unwrap_err();
            assert_eq!(of_others.kind, FailureKind::Forgotten);
        }
    }
}
