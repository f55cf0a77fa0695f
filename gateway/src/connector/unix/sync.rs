//! What has changed in the account files, found by comparison with a snapshot of what was seen at
//! the last sync. The hash of a password is no part of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_proto::gateway::v1 as wire;
use prost::Message as _;

use super::listing::Listing;
use super::{Unix, blocking, groups};
use crate::connector::{Changes, Difference, Entry, Snapshot};
use crate::model::{
    CallError, Change, Failure, Object, ObjectClass, ObjectId, ObjectName, SyncToken,
};

/// Objects that are looked at before other calls, and this one's own time limit, get their turn.
const AT_ONCE: usize = 64;

impl Unix {
    pub(super) async fn sync_objects(
        &self,
        class: ObjectClass,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        let snapshots = changes.snapshots()?;
        let of = format!("{} {class}", self.root);
        let listing = self.kept.listing(&self.policy.prefix, self.read()).await?;
        let (now, places) = self.snapshot(&listing, class).await?;
        let before = if token.is_empty() {
            now.clone()
        } else {
            let (snapshots, of, token) = (snapshots.clone(), of.clone(), token.clone());
            blocking(move || snapshots.find(&of, &token)).await?
        };
        let next = self
            .hand_on(&listing, (&now, &places), &before, class, changes)
            .await?;
        let next = next.unwrap_or(now);
        Ok(blocking(move || snapshots.keep(&of, &next)).await?)
    }

    /// All objects as they now are, and where those of each id are.
    async fn snapshot(
        &self,
        listing: &Arc<Listing>,
        class: ObjectClass,
    ) -> Result<(Snapshot, Places), Failure> {
        let mut entries = Vec::new();
        let mut places = Places::new();
        for (count, (_, index)) in listing.behind(class, None).iter().enumerate() {
            if count % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            let Some(object) = self.object(listing, class, *index)? else {
                continue;
            };
            let (id, name) = (
                object.identity.id.to_string(),
                object.identity.name.to_string(),
            );
            let content = wire::Object::from(object).encode_to_vec();
            entries.push(Entry::new(&id, &name, &content));
            places.entry(id).or_default().push(*index);
        }
        Ok((Snapshot::new(entries), places))
    }

    fn object(
        &self,
        listing: &Listing,
        class: ObjectClass,
        index: usize,
    ) -> Result<Option<Object>, Failure> {
        let database = &listing.database;
        match class {
            ObjectClass::Account => database
                .accounts
                .get(index)
                .map(|account| self.account_object(database, account)),
            ObjectClass::Group => database.groups.get(index).map(groups::object),
            ObjectClass::Other(_) => None,
        }
        .transpose()
    }

    /// Hands on as many changes as are wanted. The snapshot from which the next sync goes on, where
    /// there are more.
    async fn hand_on(
        &self,
        listing: &Listing,
        (now, places): (&Snapshot, &Places),
        before: &Snapshot,
        class: ObjectClass,
        changes: &mut Changes,
    ) -> Result<Option<Snapshot>, Failure> {
        let differences = now.since(before);
        let room = changes.room().max(1);
        for difference in differences.iter().take(room) {
            match difference {
                Difference::Gone(entry) => {
                    let id = ObjectId::new(entry.id.as_str());
                    let id = id.map_err(|error| Failure::internal(error.to_string()))?;
                    let name = ObjectName::new(entry.name.as_str()).ok();
                    changes.push(Change::Gone { class, id, name }).await?;
                }
                Difference::Changed(entry) => {
                    for index in places.get(&entry.id).into_iter().flatten() {
                        if let Some(object) = self.object(listing, class, *index)? {
                            changes.push(Change::Present(Box::new(object))).await?;
                        }
                    }
                }
            }
        }
        let rest = differences.len() > room;
        let last = differences.get(room.saturating_sub(1)).filter(|_| rest);
        Ok(last.map(|last| {
            changes.more();
            now.up_to(before, last)
        }))
    }
}

/// Where the objects of an id are: several, where two lines of a file have the same.
type Places = BTreeMap<String, Vec<usize>>;
