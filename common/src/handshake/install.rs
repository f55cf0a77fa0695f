//! A new master key on its way to the gateway, wrapped under a key of the session that carries it.

use std::fmt;

use crate::crypto::kdf::{self, Label, PRK_LEN, Purpose};
use crate::crypto::key_wrap::{self, KeyWrapError};
use crate::crypto::suites::Suite;
use crate::id::{KeyId, KeyKind};
use crate::secret::locked::LockedBytes;
use crate::secret::{KeyEncryptionKey, KeyError, MasterKey};

/// The secret of one session under which installs are wrapped. Both sides keep it as long as the
/// session lives.
#[derive(Clone)]
pub struct InstallSecret {
    secret: LockedBytes<PRK_LEN>,
    kind: KeyKind,
    suite: Suite,
}

/// Why a wrapped master key was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallSecretError {
    /// It was wrapped in another session, or for another key id.
    #[error("the new master key was not wrapped in this session for this key id: {0}")]
    Wrap(#[from] KeyWrapError),
    /// What was wrapped is no key of the kind that its id names.
    #[error("the new master key is unusable: {0}")]
    Key(#[from] KeyError),
}

impl InstallSecret {
    pub(super) const fn new(secret: LockedBytes<PRK_LEN>, kind: KeyKind, suite: Suite) -> Self {
        Self {
            secret,
            kind,
            suite,
        }
    }

    /// Server: wraps the master key that is to be installed under the id `new_key_id`, whose kind
    /// must be the key's.
    pub fn wrap_master_key(&self, new_key_id: KeyId, key: &MasterKey) -> Vec<u8> {
        key_wrap::wrap(&self.key_encryption_key(new_key_id), key.expose())
    }

    /// Gateway: opens what [`Self::wrap_master_key`] gave on the other side.
    ///
    /// # Errors
    /// [`InstallSecretError`] where it was not wrapped in this session for this id, or holds no
    /// usable key of its kind.
    pub fn unwrap_master_key(
        &self,
        new_key_id: KeyId,
        wrapped: &[u8],
    ) -> Result<MasterKey, InstallSecretError> {
        if wrapped.len() != key_wrap::wrapped_len(self.kind, new_key_id.kind()) {
            return Err(KeyWrapError::Length.into());
        }
        let bytes = key_wrap::unwrap(&self.key_encryption_key(new_key_id), wrapped)?;
        Ok(MasterKey::from_bytes(new_key_id.kind(), &bytes)?)
    }

    fn key_encryption_key(&self, new_key_id: KeyId) -> KeyEncryptionKey {
        let label = Label {
            purpose: Purpose::InstallKek,
            kind: self.kind,
            suite: Some(self.suite),
        };
        let context = new_key_id.to_bytes();
        KeyEncryptionKey(kdf::derive_key(self.kind, &self.secret, label, &context))
    }
}

impl fmt::Debug for InstallSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallSecret([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_install_opens_only_in_its_session_and_for_its_key_id() {
        let rng = &mut rand::rng();
        for session in [KeyKind::Tdes, KeyKind::Aes256] {
            for new in [KeyKind::Tdes, KeyKind::Aes256] {
                let secret = InstallSecret::new(
                    LockedBytes::copy_of(&[1; 32]),
                    session,
                    Suite::TdesCtrHmacSha256,
                );
                let (id, key) = (KeyId::random(new, rng), MasterKey::random(new, rng));
                let wrapped = secret.wrap_master_key(id, &key);
                let opened = secret.unwrap_master_key(id, &wrapped).unwrap();
                assert_eq!(opened.expose(), key.expose());

                let other_id = KeyId::random(new, rng);
                let integrity = InstallSecretError::Wrap(KeyWrapError::Integrity);
                assert_eq!(
                    secret.unwrap_master_key(other_id, &wrapped).unwrap_err(),
                    integrity
                );
                let other = InstallSecret::new(
                    LockedBytes::copy_of(&[2; 32]),
                    session,
                    Suite::TdesCtrHmacSha256,
                );
                assert_eq!(
                    other.unwrap_master_key(id, &wrapped).unwrap_err(),
                    integrity
                );
                assert_eq!(format!("{secret:?}"), "InstallSecret([redacted])");
            }
        }
    }

    #[test]
    fn an_install_of_a_weak_key_or_of_another_kind_is_refused() {
        let rng = &mut rand::rng();
        let secret = InstallSecret::new(
            LockedBytes::copy_of(&[1; 32]),
            KeyKind::Tdes,
            Suite::TdesCtrHmacSha256,
        );
        let id = KeyId::random(KeyKind::Tdes, rng);
        let wrapped = key_wrap::wrap(&secret.key_encryption_key(id), &[1; 24]);
        assert_eq!(
            secret.unwrap_master_key(id, &wrapped).unwrap_err(),
            InstallSecretError::Key(KeyError::Weak)
        );
        let wrapped = secret.wrap_master_key(id, &MasterKey::random(KeyKind::Aes256, rng));
        assert_eq!(
            secret.unwrap_master_key(id, &wrapped).unwrap_err(),
            InstallSecretError::Wrap(KeyWrapError::Length)
        );
    }
}
