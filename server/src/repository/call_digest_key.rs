//! The key of the digests by which queued calls of one id are told apart.

use rand::Rng;
use zeroize::Zeroizing;

use super::{Place, ProtectedType, Repository, RepositoryError, sealed_values};

const KEY_LEN: usize = 32;

const PLACE: Place<'_> = Place {
    kind: ProtectedType::CallDigestKey,
    owner: b"calls",
    field: "key",
    context: &[],
};

impl Repository {
    /// The key of digests of calls, made where there is none. One that does not open any more is
    /// replaced: the digests that it made are those of other calls then.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn call_digest_key(&self) -> Result<Zeroizing<Vec<u8>>, RepositoryError> {
        let sealer = self.sealer.clone();
        let mut fresh = Zeroizing::new(vec![0; KEY_LEN]);
        rand::rng().fill_bytes(&mut fresh);
        let sealed_fresh = sealer.seal(&PLACE, &fresh);
        self.database
            .write(move |tx| {
                let stored = sealed_values::find(tx, &PLACE)?;
                let opened = stored.and_then(|sealed| sealer.open(&PLACE, &sealed).ok());
                if let Some(key) = opened.filter(|key| key.len() == KEY_LEN) {
                    return Ok(key);
                }
                sealed_values::put(tx, &PLACE, &sealed_fresh)?;
                Ok(fresh.clone())
            })
            .await
    }
}
