//! Which instance of a server has the link to which gateway.

use portcullis_common::id::GatewayId;

use super::instance::InstanceId;
use super::sql::{Tx, params};
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

/// Gives the link to `instance`, which has just shaken hands with the gateway.
pub(super) fn take(
    tx: &mut Tx<'_>,
    gateway: GatewayId,
    instance: InstanceId,
) -> Result<Grant, RepositoryError> {
    let gateway = gateway.to_bytes();
    let held: Option<i64> = tx.query_optional(
        "SELECT epoch FROM links WHERE gateway_id = ?1 AND instance = ?2",
        &params![gateway, instance],
        |row| row.get(0),
    )?;
    let epoch = match held {
        Some(epoch) => epoch,
        None => tx.query_one(
            "INSERT INTO links (gateway_id, epoch, instance) VALUES (?1, 1, ?2)
             ON CONFLICT (gateway_id) DO UPDATE SET epoch = links.epoch + 1,
                instance = excluded.instance
             RETURNING epoch",
            &params![gateway, instance],
            |row| row.get(0),
        )?,
    };
    Ok(Grant {
        generation: meta::generation(tx)?,
        epoch: epoch.cast_unsigned(),
        instance: instance.to_bytes(),
    })
}

/// The registration is gone.
pub(super) fn forget(tx: &mut Tx<'_>, gateway: &[u8]) -> Result<(), RepositoryError> {
    let sql = "DELETE FROM links WHERE gateway_id = ?1";
    tx.execute(sql, &params![gateway])?;
    Ok(())
}

impl super::Gateways<'_> {
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
                    epoch: epoch.cast_unsigned(),
                    instance: instance.map_err(|_| RepositoryError::damaged("instance"))?,
                }))
            })
            .await
    }
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

        gateways.remove("host1", false).await.unwrap().unwrap();
        assert_eq!(gateways.grant(id).await.unwrap(), None);
    }
}
