//! Gateway keys: made here, stored sealed in the repository, diversified for each gateway.

use portcullis_common::crypto::kdf::diversify;
use portcullis_common::id::{GatewayId, KeyId, KeyKind};
use portcullis_common::rotation::{HeldKey, UnixMillis};
use portcullis_common::secret::GatewayKey;

use super::key_rng::key_rng;
use crate::repository::{NewGatewayKey, Repository, RepositoryError};

/// A fresh gateway key, not stored yet.
pub fn generate(kind: KeyKind, now: UnixMillis) -> NewGatewayKey {
    let mut rng = key_rng();
    NewGatewayKey {
        id: KeyId::random(kind, &mut rng),
        key: GatewayKey::random(kind, &mut rng),
        created: now,
    }
}

/// The master keys of one gateway, diversified from the gateway keys with these ids, in that order.
///
/// # Errors
/// [`RepositoryError`] where one is not there or does not open.
pub async fn diversified(
    repository: &Repository,
    gateway: GatewayId,
    ids: &[KeyId],
) -> Result<Vec<HeldKey>, RepositoryError> {
    let keys = repository.gateway_keys().open(ids).await?;
    Ok(ids
        .iter()
        .zip(&keys)
        .map(|(id, key)| HeldKey {
            id: *id,
            key: diversify(key, gateway),
        })
        .collect())
}
