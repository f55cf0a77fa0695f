//! Which instance of a server has the link to which gateway.

use portcullis_common::id::GatewayId;
use portcullis_common::rotation::{Standing, UnixMillis};

use super::columns::{self, from_sql_millis, to_sql_millis};
use super::instance::InstanceId;
use super::sql::{Row, Tx, params};
use super::{RepositoryError, meta};

/// What a gateway is told before it takes calls: it takes them only from the highest that it has
/// seen, by generation, then epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// How often the repository went back in time.
    pub generation: u64,
    /// How often the link changed hands; from 1.
    pub epoch: u64,
    /// The instance that has it.
    pub instance: [u8; 16],
}

/// The row of a gateway's link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldLink {
    /// The instance whose it is, or was last.
    pub holder: InstanceId,
    /// How often it changed hands.
    pub epoch: u64,
    /// As far as the holder knows there is a link.
    pub up: bool,
    /// Since when.
    pub since: UnixMillis,
    /// The gateway knows no grants.
    pub for_one_server: bool,
}

/// A gateway, and who has its link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkPlace {
    /// Its name.
    pub gateway: String,
    /// Its registration.
    pub gateway_id: GatewayId,
    /// Where servers dial it; `None`: it dials out, or is shut out. A hint, of which no MAC is
    /// checked: whoever dials reads it again.
    pub dialled_at: Option<String>,
    /// `None`: nobody has had its link yet.
    pub link: Option<HeldLink>,
}

/// Gives the link to `instance`, which has just shaken hands with the gateway.
pub(super) fn take(
    tx: &mut Tx<'_>,
    gateway: GatewayId,
    instance: InstanceId,
    now: UnixMillis,
) -> Result<Grant, RepositoryError> {
    let gateway = gateway.to_bytes();
    let held: Option<i64> = tx.query_optional(
        "SELECT epoch FROM links WHERE gateway_id = ?1 AND instance = ?2 AND up = 1",
        &params![gateway, instance],
        |row| row.get(0),
    )?;
    let epoch = match held {
        Some(epoch) => epoch,
        None => tx.query_one(
            "INSERT INTO links (gateway_id, epoch, instance, up, since_ms)
             VALUES (?1, 1, ?2, 1, ?3)
             ON CONFLICT (gateway_id) DO UPDATE SET
                epoch = CASE WHEN links.instance = excluded.instance
                    THEN links.epoch ELSE links.epoch + 1 END,
                instance = excluded.instance, up = 1, since_ms = excluded.since_ms,
                for_one_server = 0
             RETURNING epoch",
            &params![gateway, instance, to_sql_millis(now)],
            |row| row.get(0),
        )?,
    };
    Ok(Grant {
        generation: meta::generation(tx)?,
        epoch: self::epoch(epoch)?,
        instance: instance.to_bytes(),
    })
}

/// There is no link any more, where it was this instance's.
pub(super) fn lost(
    tx: &mut Tx<'_>,
    gateway: GatewayId,
    instance: InstanceId,
) -> Result<(), RepositoryError> {
    tx.execute(
        "UPDATE links SET up = 0 WHERE gateway_id = ?1 AND instance = ?2 AND up = 1",
        &params![gateway.to_bytes(), instance],
    )?;
    Ok(())
}

/// The registration is gone.
pub(super) fn forget(tx: &mut Tx<'_>, gateway: &[u8]) -> Result<(), RepositoryError> {
    let sql = "DELETE FROM links WHERE gateway_id = ?1";
    tx.execute(sql, &params![gateway])?;
    Ok(())
}

impl super::Gateways<'_> {
    /// Every gateway with the row of its link, by name.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn link_places(&self) -> Result<Vec<LinkPlace>, RepositoryError> {
        self.database()
            .read(|tx| {
                tx.query(
                    "SELECT g.name, g.gateway_id, g.address, g.standing,
                        l.instance, l.epoch, l.up, l.since_ms, l.for_one_server
                     FROM gateways g LEFT JOIN links l ON l.gateway_id = g.gateway_id
                     ORDER BY g.name",
                    &[],
                    place,
                )
            })
            .await
    }

    /// The row of one gateway's link; `None`: nobody has had it yet.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn link(&self, gateway: GatewayId) -> Result<Option<HeldLink>, RepositoryError> {
        self.database()
            .look(move |tx| {
                tx.query_optional(
                    "SELECT instance, epoch, up, since_ms, for_one_server
                     FROM links WHERE gateway_id = ?1",
                    &params![gateway.to_bytes()],
                    |row| held(row, 0),
                )
            })
            .await
    }

    /// Has the rows of this instance say which links it has: those of `up` and not those of `down`.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn tell_links(
        &self,
        up: Vec<GatewayId>,
        down: Vec<GatewayId>,
    ) -> Result<(), RepositoryError> {
        let instance = self.database().instance();
        self.database()
            .write(move |tx| {
                for gateway in &down {
                    lost(tx, *gateway, instance)?;
                }
                for gateway in &up {
                    tx.execute(
                        "UPDATE links SET up = 1 WHERE gateway_id = ?1 AND instance = ?2",
                        &params![gateway.to_bytes(), instance],
                    )?;
                }
                Ok(())
            })
            .await
    }

    /// Notes that a gateway whose link this instance has knows no grants.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn knows_no_grants(&self, gateway: GatewayId) -> Result<(), RepositoryError> {
        let instance = self.database().instance();
        self.database()
            .write(move |tx| {
                tx.execute(
                    "UPDATE links SET for_one_server = 1 WHERE gateway_id = ?1 AND instance = ?2",
                    &params![gateway.to_bytes(), instance],
                )
                .map(drop)
            })
            .await
    }

    /// The grant of a gateway's link as it now stands; `None`: nobody has had it yet.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn grant(&self, gateway: GatewayId) -> Result<Option<Grant>, RepositoryError> {
        self.database()
            .look(move |tx| {
                let found = tx.query_optional(
                    "SELECT epoch, instance FROM links WHERE gateway_id = ?1",
                    &params![gateway.to_bytes()],
                    |row| Ok((row.get::<i64>(0)?, row.get::<Vec<u8>>(1)?)),
                )?;
                let Some((epoch, instance)) = found else {
                    return Ok(None);
                };
                let instance = instance.try_into();
                Ok(Some(Grant {
                    generation: meta::generation(tx)?,
                    epoch: self::epoch(epoch)?,
                    instance: instance.map_err(|_| RepositoryError::damaged("instance"))?,
                }))
            })
            .await
    }
}

fn place(row: &Row<'_>) -> Result<LinkPlace, RepositoryError> {
    let gateway_id: Vec<u8> = row.get(1)?;
    let gateway_id = GatewayId::from_bytes(&gateway_id);
    let address: Option<String> = row.get(2)?;
    let standing = columns::standing(row.get(3)?)?;
    let instance: Option<InstanceId> = row.get(4)?;
    Ok(LinkPlace {
        gateway: row.get(0)?,
        gateway_id: gateway_id.ok_or_else(|| RepositoryError::damaged("gateway_id"))?,
        dialled_at: address.filter(|_| standing == Standing::Admitted),
        link: match instance {
            Some(_) => Some(held(row, 4)?),
            None => None,
        },
    })
}

/// How often a link changed hands; one that no server wrote is told to no gateway, which would
/// remember it.
fn epoch(stored: i64) -> Result<u64, RepositoryError> {
    let what = "epoch of a link";
    let epoch = u64::try_from(stored).map_err(|_| RepositoryError::damaged(what))?;
    match epoch {
        0 => Err(RepositoryError::damaged(what)),
        epoch => meta::believed(epoch, what),
    }
}

fn held(row: &Row<'_>, from: usize) -> Result<HeldLink, RepositoryError> {
    Ok(HeldLink {
        holder: row.get(from)?,
        epoch: epoch(row.get(from + 1)?)?,
        up: row.get(from + 2)?,
        since: from_sql_millis(row.get(from + 3)?),
        for_one_server: row.get(from + 4)?,
    })
}

#[cfg(test)]
mod tests {
    use portcullis_common::rotation::UnixMillis;

    use super::super::tests::{Fixture, NOW, registration};
    use super::super::{Reach, Repository};
    use super::*;

    async fn shaken(repository: &Repository, id: GatewayId, lives: bool) -> Option<Grant> {
        let seen = lives.then_some(NOW);
        let gateways = repository.gateways();
        let ((), grant) = gateways
            .update_seen(id, move |_, _, _| ((), seen))
            .await
            .unwrap();
        grant
    }

    #[tokio::test]
    async fn each_change_of_hands_raises_the_epoch_and_only_a_proof_takes_the_link() {
        let fixture = Fixture::new().await;
        let stored = registration(portcullis_common::id::KeyKind::Tdes);
        let id = stored.gateway_id;
        let one = &fixture.repository;
        let gateways = one.gateways();
        gateways
            .add("host1", Reach::DialOut, &stored, NOW)
            .await
            .unwrap();
        assert_eq!(shaken(one, id, false).await, None);
        assert_eq!(gateways.grant(id).await.unwrap(), None);
        let first = shaken(one, id, true).await.unwrap();
        assert_eq!((first.generation, first.epoch), (0, 1));
        assert_eq!(shaken(one, id, true).await, Some(first));
        // Another start of the server, and then the first again.
        let two = fixture.another().await;
        let second = shaken(&two, id, true).await.unwrap();
        assert_eq!((second.generation, second.epoch), (0, 2));
        assert_ne!(second.instance, first.instance);
        let third = shaken(one, id, true).await.unwrap();
        assert_eq!((third.epoch, third.instance), (3, first.instance));
        assert_eq!(gateways.grant(id).await.unwrap(), Some(third));

        one.accept_loss(UnixMillis(NOW.0 + 1)).await.unwrap();
        let after = shaken(one, id, true).await.unwrap();
        assert_eq!((after.generation, after.epoch), (1, 3));

        // Lost, and come again: it has not changed hands.
        gateways.lost("host1", id, NOW).await.unwrap();
        let row = async || gateways.link(id).await.unwrap().unwrap();
        assert_eq!((row().await.up, row().await.epoch), (false, 3));
        assert_eq!(shaken(one, id, true).await, Some(after));
        assert!(row().await.up);
        // Only the holder says so.
        two.gateways().lost("host1", id, NOW).await.unwrap();
        two.gateways().knows_no_grants(id).await.unwrap();
        assert!(row().await.up && !row().await.for_one_server);
        gateways.knows_no_grants(id).await.unwrap();
        assert!(row().await.for_one_server);
        let places = gateways.link_places().await.unwrap();
        assert_eq!(places.len(), 1);
        assert_eq!(
            (places[0].gateway.as_str(), places[0].gateway_id),
            ("host1", id)
        );
        assert_eq!(places[0].link, Some(row().await));
        assert_eq!(places[0].dialled_at, None);

        // Registered anew: the row of the former registration goes with it.
        let anew = registration(portcullis_common::id::KeyKind::Tdes);
        let new = anew.clone();
        let registered = gateways.update("host1", move |registration, _| {
            registration.clone_from(&new);
        });
        registered.await.unwrap();
        assert_eq!(gateways.link(id).await.unwrap(), None);
        let id = anew.gateway_id;
        shaken(one, id, true).await.unwrap();

        // Somebody else wrote the row: no gateway is told what it says.
        for forged in [-2_i64, 0, i64::MAX] {
            let database = one.database();
            let written = database.write(move |tx| {
                let sql = "UPDATE links SET epoch = ?1";
                tx.execute(sql, &params![forged])
            });
            written.await.unwrap();
            let granted = gateways.grant(id).await;
            assert!(granted.is_err(), "{forged}: {granted:?}");
            let shaken = gateways.update_seen(id, |_, _, _| ((), Some(NOW))).await;
            assert!(shaken.is_err(), "{forged}");
        }

        gateways.remove("host1", false).await.unwrap().unwrap();
        assert_eq!(gateways.grant(id).await.unwrap(), None);
    }
}
