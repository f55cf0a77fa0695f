//! Pushes of the gateway key among several servers: each asks the gateways whose links it has.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use super::{Fleet, Pace, Push, lock};
use crate::repository::{PushReach, RepositoryError, ToldPush};

impl Fleet {
    /// Has the other servers push the current gateway key too.
    pub(super) async fn tell_others(&self, push: &Push) -> Result<(), RepositoryError> {
        if self.is_alone() {
            return Ok(());
        }
        let keys = self.inner.repository.gateway_keys();
        let Some(key) = keys.current().await? else {
            return Ok(());
        };
        let reach = PushReach {
            groups: push.groups.clone(),
            holders_of: push.holders_of.map(|key| key.to_string()),
            per_minute: match push.pace {
                Pace::PerMinute(gateways) => Some(gateways),
                Pace::FullSpeed => None,
            },
            force: push.force,
        };
        let pushes = self.inner.repository.database().pushes();
        pushes.tell(ToldPush { key, reach }).await
    }

    /// Begins the pushes that other servers have told of since the last look. What was told of
    /// before the first look is over: whoever links up gets the current key.
    pub(super) async fn look_at_pushes(
        &self,
        pushed: &Mutex<Option<i64>>,
    ) -> Result<(), RepositoryError> {
        let after = *lock(pushed);
        let pushes = self.inner.repository.database().pushes();
        let (last, told) = pushes.after(after).await?;
        *lock(pushed) = Some(last);
        if told.is_empty() {
            return Ok(());
        }
        let current = self.inner.repository.gateway_keys().current().await?;
        // Pushes of a former key end.
        self.inner.current_key.send_if_modified(|known| {
            let is_new = *known != current;
            *known = current;
            is_new
        });
        for ToldPush { key, reach } in told {
            let holders_of = match reach.holders_of.as_deref().map(str::parse) {
                None => None,
                Some(Ok(key)) => Some(key),
                Some(Err(_)) => continue,
            };
            if current != Some(key) {
                continue;
            }
            let push = Push {
                groups: reach.groups,
                holders_of,
                pace: reach.per_minute.map_or(Pace::FullSpeed, Pace::PerMinute),
                force: reach.force,
            };
            tracing::info!(%key, "another server has begun a push of the gateway key");
            self.synchronize_here(push, Duration::ZERO).await?;
        }
        Ok(())
    }

    /// The gateways whose links other servers have, by name.
    pub(super) async fn linked_elsewhere(&self) -> Result<HashSet<String>, RepositoryError> {
        if self.is_alone() {
            return Ok(HashSet::new());
        }
        let own = self.inner.repository.database().instance();
        let siblings = self.inner.shares.as_ref().map(|shares| shares.standing());
        let siblings = siblings.unwrap_or_default();
        let places = self.inner.repository.gateways().link_places().await?;
        let others = places.into_iter().filter(|place| {
            place
                .link
                .is_some_and(|row| row.up && row.holder != own && siblings.contains(&row.holder))
        });
        Ok(others.map(|place| place.gateway).collect())
    }
}
