//! What searches go through: all accounts and groups in order, kept from one page to the next.
//!
//! To read and order all of them anew for every page would make a list of n objects cost n². They
//! are kept, without the hashes of passwords, until a file has changed or nobody has asked for a
//! while.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::files::Stamp;
use super::{Database, blocking};
use crate::model::{Failure, ObjectClass};

/// How long they are kept after the last page.
const KEPT: Duration = Duration::from_secs(60);

/// A place between two objects: behind the one with this id and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) id: u32,
    pub(super) name: String,
}

/// All objects, in the order of ids and names.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) database: Database,
    accounts: Vec<(Place, usize)>,
    groups: Vec<(Place, usize)>,
}

impl Listing {
    fn new(mut database: Database) -> Self {
        database.forget_hashes();
        let accounts = database.accounts.iter().map(|a| (a.uid, &a.name));
        let groups = database.groups.iter().map(|g| (g.gid, &g.name));
        Self {
            accounts: in_order(accounts),
            groups: in_order(groups),
            database,
        }
    }

    /// The objects behind a place, each with its place and where it is in the database.
    pub(super) fn behind(&self, class: ObjectClass, place: Option<&Place>) -> &[(Place, usize)] {
        let all = match class {
            ObjectClass::Account => &*self.accounts,
            ObjectClass::Group => &*self.groups,
            ObjectClass::Other(_) => &[],
        };
        let seen = place.map_or(0, |place| all.partition_point(|(other, _)| other <= place));
        all.get(seen..).unwrap_or_default()
    }
}

fn in_order<'a>(all: impl Iterator<Item = (u32, &'a String)>) -> Vec<(Place, usize)> {
    let mut places: Vec<_> = all
        .enumerate()
        .map(|(index, (id, name))| {
            let name = name.clone();
            (Place { id, name }, index)
        })
        .collect();
    places.sort();
    // Of lines with the same id and name the first counts.
    places.dedup_by(|later, first| later.0 == first.0);
    places
}

/// The last listing.
#[derive(Debug, Default)]
pub(super) struct Kept(Arc<Mutex<Option<Entry>>>);

#[derive(Debug)]
struct Entry {
    stamp: Stamp,
    listing: Arc<Listing>,
    used: Instant,
}

impl Kept {
    /// The listing of what the files now hold.
    pub(super) async fn listing(
        &self,
        prefix: &Path,
        read: impl Future<Output = Result<Database, Failure>>,
    ) -> Result<Arc<Listing>, Failure> {
        let stamp = stamp(prefix).await?;
        if let Some(entry) = &mut *lock(&self.0)
            && entry.stamp == stamp
        {
            entry.used = Instant::now();
            return Ok(Arc::clone(&entry.listing));
        }
        let database = read.await?;
        let listing = blocking(move || Ok(Arc::new(Listing::new(database)))).await?;
        // Files that changed meanwhile, or may still under the same time, are read again.
        if stamp.is_settled() && self::stamp(prefix).await? == stamp {
            let entry = Entry {
                stamp,
                listing: Arc::clone(&listing),
                used: Instant::now(),
            };
            if lock(&self.0).replace(entry).is_none() {
                tokio::spawn(forget(Arc::downgrade(&self.0)));
            }
        }
        Ok(listing)
    }
}

/// Forgets the listing once nobody has asked for it for a while.
async fn forget(kept: Weak<Mutex<Option<Entry>>>) {
    let mut left = KEPT;
    while !left.is_zero() {
        sleep(left).await;
        let Some(kept) = kept.upgrade() else { return };
        let mut entry = lock(&kept);
        left = entry.as_ref().map_or(Duration::ZERO, |entry| {
            KEPT.saturating_sub(entry.used.elapsed())
        });
        if left.is_zero() {
            *entry = None;
        }
    }
}

async fn stamp(prefix: &Path) -> Result<Stamp, Failure> {
    let prefix = prefix.to_owned();
    blocking(move || Ok(Stamp::of(&prefix))).await
}

fn lock(kept: &Mutex<Option<Entry>>) -> std::sync::MutexGuard<'_, Option<Entry>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}
