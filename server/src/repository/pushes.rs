//! Pushes of the gateway key that other servers are to carry out for the links that they have.

use std::collections::BTreeSet;

use portcullis_common::id::KeyId;
use serde::{Deserialize, Serialize};

use super::columns::key_id;
use super::sql::params;
use super::{Database, RepositoryError};

/// As many are kept: more than are begun between two looks of a server.
const KEPT: i64 = 64;

/// Whom a push reaches, and how fast.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushReach {
    /// Only gateways in one of these groups; empty: all.
    pub groups: BTreeSet<String>,
    /// Only gateways that may hold this key, by its text.
    pub holders_of: Option<String>,
    /// So many gateways a minute; `None`: as fast as they answer.
    pub per_minute: Option<u32>,
    /// Also gateways that refused the key a moment ago.
    pub force: bool,
}

/// A push that another server began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldPush {
    /// Which key is pushed.
    pub key: KeyId,
    /// Whom it reaches.
    pub reach: PushReach,
}

/// The pushes that servers tell one another of.
#[derive(Clone, Copy, Debug)]
pub struct Pushes<'a> {
    database: &'a Database,
}

impl Database {
    /// The pushes that servers tell one another of.
    pub const fn pushes(&self) -> Pushes<'_> {
        Pushes { database: self }
    }
}

impl Pushes<'_> {
    /// Tells the other servers of a push.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn tell(&self, push: ToldPush) -> Result<(), RepositoryError> {
        let instance = self.database.instance();
        let reach = serde_json::to_string(&push.reach)
            .map_err(|error| RepositoryError::Damaged(error.to_string()))?;
        self.database
            .write(move |tx| {
                let last: i64 = tx
                    .query_optional("SELECT max(number) FROM pushes", &[], |row| {
                        row.get::<Option<i64>>(0)
                    })?
                    .flatten()
                    .unwrap_or(0);
                // Whoever writes a row in here at the end of all numbers keeps nobody from it.
                let next = last.saturating_add(1);
                tx.execute(
                    "DELETE FROM pushes WHERE number <= ?1 OR number = ?2",
                    &params![next.saturating_sub(KEPT), next],
                )?;
                tx.execute(
                    "INSERT INTO pushes (number, instance, gateway_key, reach) VALUES (?1, ?2, ?3, ?4)",
                    &params![next, instance, push.key.to_bytes(), reach],
                )
                .map(drop)
            })
            .await
    }

    /// The number of the last push, and those that others began after the one of number `after`;
    /// `None`: of all that there are, none is asked for.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn after(&self, after: Option<i64>) -> Result<(i64, Vec<ToldPush>), RepositoryError> {
        let own = self.database.instance();
        let rows = self
            .database
            .read(move |tx| {
                tx.query(
                    "SELECT number, instance = ?2, gateway_key, reach FROM pushes
                     WHERE number > ?1 ORDER BY number",
                    &params![after.unwrap_or(i64::MIN), own],
                    |row| {
                        let is_own = row.get::<bool>(1)?;
                        Ok((
                            row.get::<i64>(0)?,
                            is_own,
                            key_id(&row.get::<Vec<u8>>(2)?)?,
                            row.get::<String>(3)?,
                        ))
                    },
                )
            })
            .await?;
        let last = rows
            .last()
            .map_or(after.unwrap_or(0), |(number, ..)| *number);
        let others = rows
            .into_iter()
            .filter(|(_, is_own, ..)| after.is_some() && !is_own);
        let told = others.filter_map(|(_, _, key, reach)| {
            let reach = serde_json::from_str(&reach).ok()?;
            Some(ToldPush { key, reach })
        });
        Ok((last, told.collect()))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::id::KeyKind;

    use super::super::tests::Fixture;
    use super::*;

    #[tokio::test]
    async fn a_push_is_told_to_the_other_servers_once() {
        let fixture = Fixture::new().await;
        let database = fixture.repository.database();
        let pushes = database.pushes();
        let push = |force| ToldPush {
            key: KeyId::random(KeyKind::Tdes, &mut rand::rng()),
            reach: PushReach {
                force,
                groups: BTreeSet::from(["canary".to_owned()]),
                ..PushReach::default()
            },
        };
        let (start, told) = pushes.after(None).await.unwrap();
        assert!(told.is_empty());
        for _ in 0..KEPT + 6 {
            pushes.tell(push(false)).await.unwrap();
        }
        let (last, own) = pushes.after(Some(start)).await.unwrap();
        assert_eq!(last, start + KEPT + 6);
        assert_eq!(own, [], "a server is not told of its own");
        let later = fixture.another().await;
        let seen = later.database().pushes();
        let (_, told) = seen.after(Some(start)).await.unwrap();
        assert_eq!(told.len() as i64, KEPT);
        assert_eq!(seen.after(None).await.unwrap(), (last, Vec::new()));
        let forced = push(true);
        pushes.tell(forced.clone()).await.unwrap();
        assert_eq!(
            seen.after(Some(last)).await.unwrap(),
            (last + 1, vec![forced])
        );
        assert_eq!(seen.after(Some(last + 1)).await.unwrap().1, []);
    }
}
