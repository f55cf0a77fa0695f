//! The key from which that of every link between two servers of the repository is diversified.

use portcullis_common::id::{KeyId, KeyKind};
use portcullis_common::secret::PeerKey;
use rand::Rng;
use zeroize::Zeroizing;

use super::{Place, ProtectedType, Repository, RepositoryError, sealed_values};

/// Its id without the kind, and the key.
const LEN: usize = ID_LEN + 32;
const ID_LEN: usize = 16;

const PLACE: Place<'_> = Place {
    kind: ProtectedType::PeerKey,
    owner: b"peers",
    field: "key",
    context: &[],
};

impl Repository {
    /// The peer key and its id, made where there is none. One that does not open any more is
    /// replaced: nothing is lost by that but the links that there are. So it is in no export.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn peer_key(&self) -> Result<(KeyId, PeerKey), RepositoryError> {
        let sealer = self.sealer.clone();
        let stored = self
            .database
            .read(move |tx| sealed_values::find(tx, &PLACE))
            .await?;
        let known = stored
            .and_then(|sealed| sealer.open(&PLACE, &sealed).ok())
            .and_then(|bytes| parsed(&bytes));
        match known {
            Some(known) => Ok(known),
            None => self.make_peer_key().await,
        }
    }

    async fn make_peer_key(&self) -> Result<(KeyId, PeerKey), RepositoryError> {
        let sealer = self.sealer.clone();
        let mut fresh = Zeroizing::new(vec![0; LEN]);
        rand::rng().fill_bytes(&mut fresh);
        let sealed_fresh = sealer.seal(&PLACE, &fresh);
        self.database
            .write(move |tx| {
                // Another server may have made it meanwhile.
                let stored = sealed_values::find(tx, &PLACE)?;
                let opened = stored.and_then(|sealed| sealer.open(&PLACE, &sealed).ok());
                if let Some(known) = opened.and_then(|bytes| parsed(&bytes)) {
                    return Ok(known);
                }
                sealed_values::put(tx, &PLACE, &sealed_fresh)?;
                // It has the right length.
                parsed(&fresh).ok_or(RepositoryError::Closed)
            })
            .await
    }
}

/// `None`: that is none.
fn parsed(bytes: &[u8]) -> Option<(KeyId, PeerKey)> {
    let (id, key) = bytes.split_at_checked(ID_LEN)?;
    let kind = KeyKind::Aes256;
    let id = KeyId::from_bytes(&[&[kind as u8], id].concat())?;
    Some((id, PeerKey::from_bytes(kind, key).ok()?))
}
