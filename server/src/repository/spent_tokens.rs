//! Enrolment keys that are spent: kept for a while, so that whoever comes with one again is known.
//! Nothing is ever given for it.

use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{ENROLMENT_NONCE_LEN, EnrolmentNonce, UnixMillis};
use portcullis_common::secret::MasterKey;
use zeroize::Zeroizing;

use super::{Gateways, Place, ProtectedType, RepositoryError, sealed_values};

/// How long a spent enrolment key is known: 30 days.
const KEPT_MS: u64 = 30 * 24 * 3_600_000;
/// Id, time, and whether a nonce follows.
const HEAD: usize = KeyId::LEN + 8 + 1;

/// An enrolment key that did what it was for.
#[derive(Clone)]
pub struct SpentToken {
    /// Its id.
    pub key_id: KeyId,
    /// The key.
    pub key: MasterKey,
    /// The nonce of the gateway that it was bound to.
    pub bound: Option<EnrolmentNonce>,
    /// When the gateway first proved another key.
    pub spent: UnixMillis,
    /// From where.
    pub remote: String,
}

impl Gateways<'_> {
    /// Keeps the enrolment key of a registration that was just spent, for 30 days.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn remember_spent(
        &self,
        gateway: GatewayId,
        token: &SpentToken,
    ) -> Result<(), RepositoryError> {
        let owner = gateway.to_bytes();
        let sealed = self.sealer().seal(&place(&owner), &token.encode());
        self.database()
            .write(move |tx| {
                let registered = "SELECT 1 FROM gateways WHERE gateway_id = ?1";
                if tx.exists(registered, &super::sql::params![owner])? {
                    sealed_values::put(tx, &place(&owner), &sealed)?;
                }
                Ok(())
            })
            .await
    }

    /// The enrolment key that this registration's gateway spent within the last 30 days; an older
    /// one is deleted. `None` also where it does not open now.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn spent_token(
        &self,
        gateway: GatewayId,
    ) -> Result<Option<SpentToken>, RepositoryError> {
        let owner = gateway.to_bytes();
        let sealed = self
            .database()
            .read(move |tx| {
                let sealed = sealed_values::find(tx, &place(&owner))?;
                let now = sealed.is_some().then(|| tx.now()).transpose()?;
                Ok(sealed.zip(now))
            })
            .await?;
        let Some((sealed, now)) = sealed else {
            return Ok(None);
        };
        // Of a key that is away, or changed: it tells nothing, and the gateway needs none of it.
        let Ok(opened) = self.sealer().open(&place(&owner), &sealed) else {
            return Ok(None);
        };
        let token = SpentToken::decode(&opened);
        let kept = token.filter(|token| now < token.spent.plus(KEPT_MS));
        if kept.is_none() {
            self.database()
                .write(move |tx| sealed_values::remove(tx, &place(&owner)))
                .await?;
        }
        Ok(kept)
    }
}

impl SpentToken {
    fn encode(&self) -> Zeroizing<Vec<u8>> {
        let key = self.key.expose();
        let mut out = Zeroizing::new(Vec::with_capacity(
            HEAD + ENROLMENT_NONCE_LEN + key.len() + self.remote.len(),
        ));
        out.extend_from_slice(&self.key_id.to_bytes());
        out.extend_from_slice(&self.spent.0.to_be_bytes());
        out.push(self.bound.is_some().into());
        if let Some(nonce) = &self.bound {
            out.extend_from_slice(nonce);
        }
        out.extend_from_slice(key);
        out.extend_from_slice(self.remote.as_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (id, rest) = bytes.split_at_checked(KeyId::LEN)?;
        let (spent, rest) = rest.split_at_checked(8)?;
        let (is_bound, rest) = rest.split_first()?;
        let (bound, rest) = match is_bound {
            0 => (None, rest),
            _ => {
                let (nonce, rest) = rest.split_at_checked(ENROLMENT_NONCE_LEN)?;
                (Some(nonce.try_into().ok()?), rest)
            }
        };
        let key_id = KeyId::from_bytes(id)?;
        let (key, remote) = rest.split_at_checked(key_id.kind().key_len())?;
        Some(Self {
            key: MasterKey::from_bytes(key_id.kind(), key).ok()?,
            key_id,
            bound,
            spent: UnixMillis(u64::from_be_bytes(spent.try_into().ok()?)),
            remote: std::str::from_utf8(remote).ok()?.to_owned(),
        })
    }
}

const fn place(gateway_id: &[u8]) -> Place<'_> {
    Place {
        kind: ProtectedType::EnrolmentKey,
        owner: gateway_id,
        field: "spent enrolment key",
        context: &[],
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::id::KeyKind;

    use super::*;

    #[test]
    fn a_spent_token_is_read_as_it_was_written() {
        let mut rng = rand::rng();
        for kind in [KeyKind::Tdes, KeyKind::Aes256] {
            for bound in [None, Some([7; ENROLMENT_NONCE_LEN])] {
                let token = SpentToken {
                    key_id: KeyId::random(kind, &mut rng),
                    key: MasterKey::random(kind, &mut rng),
                    bound,
                    spent: UnixMillis(123_456),
                    remote: "192.0.2.7:4711".to_owned(),
                };
                let encoded = token.encode();
                let read = SpentToken::decode(&encoded).unwrap();
                assert_eq!((read.key_id, read.bound), (token.key_id, bound));
                assert_eq!(read.key.expose(), token.key.expose());
                assert_eq!((read.spent, read.remote), (token.spent, token.remote));
                for length in 0..HEAD + 8 {
                    assert!(SpentToken::decode(&encoded[..length]).is_none());
                }
            }
        }
    }
}
