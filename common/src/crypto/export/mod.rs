//! Keys on their way from one repository to another (`proto/KEY_EXPORT.md`): each wrapped under a
//! key derived for it alone from the export's secret, all of them under one MAC.

mod file;

use zeroize::Zeroizing;

pub use file::{ExportFile, ExportFileError, KeyEntry, KeyState, MAX_FILE_LEN, OpenKey};

use super::kdf::{Label, Purpose, derive_key, expand_label, extract_unsalted};
use super::key_wrap::{self, KeyWrapError};
use super::mac::MacKey;
use crate::id::{KeyId, KeyKind};
use crate::secret::{DEFAULT_KEY, ExportSecret, KeyEncryptionKey};

/// What an exported key is for. It is bound into the wrap: a server key never opens as a gateway
/// key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum KeyPurpose {
    /// Seals the secrets in a repository.
    Server = 1,
    /// The keys of all gateways are diversified from it.
    Gateway = 2,
}

impl KeyPurpose {
    /// Its name in exports, on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Gateway => "gateway",
        }
    }

    /// The purpose of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Server, Self::Gateway]
            .into_iter()
            .find(|purpose| purpose.name() == name)
    }
}

impl ExportSecret {
    /// The secret of an export without protection: derived from the compiled-in default key, and
    /// public as that is.
    pub fn public_default() -> Self {
        let prk = extract_unsalted(&[&DEFAULT_KEY]);
        let label = Label {
            kind: KeyKind::Tdes,
            ..label(Purpose::DefaultExportSecret)
        };
        Self::from(expand_label(&prk, label, &[]))
    }

    /// The key of the MAC over the whole export.
    pub fn mac_key(&self) -> MacKey {
        let prk = extract_unsalted(&[self.expose()]);
        MacKey::new(&expand_label(&prk, label(Purpose::ExportMacKey), &[]))
    }
}

/// Wraps the bytes of a key for the export.
pub fn wrap(secret: &ExportSecret, purpose: KeyPurpose, id: KeyId, key: &[u8]) -> Vec<u8> {
    key_wrap::wrap(&kek(secret, purpose, id), key)
}

/// Opens what [`wrap`] gave for the same purpose and id. Whether the bytes are a sound key is for
/// the caller to check.
///
/// # Errors
/// [`KeyWrapError`].
pub fn unwrap(
    secret: &ExportSecret,
    purpose: KeyPurpose,
    id: KeyId,
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeyWrapError> {
    key_wrap::unwrap(&kek(secret, purpose, id), wrapped)
}

/// Always of AES, whatever it wraps: what protects an export is one thing.
fn kek(secret: &ExportSecret, purpose: KeyPurpose, id: KeyId) -> KeyEncryptionKey {
    let prk = extract_unsalted(&[secret.expose()]);
    let mut context = [purpose as u8; 1 + KeyId::LEN];
    context[1..].copy_from_slice(&id.to_bytes());
    KeyEncryptionKey(derive_key(
        KeyKind::Aes256,
        &prk,
        label(Purpose::ExportKek),
        &context,
    ))
}

const fn label(purpose: Purpose) -> Label {
    Label {
        purpose,
        kind: KeyKind::Aes256,
        suite: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::ServerKey;

    #[test]
    fn an_exported_key_opens_under_its_secret_purpose_and_id_only() {
        for kind in [KeyKind::Tdes, KeyKind::Aes256] {
            let rng = &mut rand::rng();
            let (id, key) = (KeyId::random(kind, rng), ServerKey::random(kind, rng));
            let secret = ExportSecret::from_bytes(&[5; 32]);
            let wrapped = wrap(&secret, KeyPurpose::Server, id, key.expose());
            let opened = unwrap(&secret, KeyPurpose::Server, id, &wrapped).unwrap();
            assert_eq!(*opened, key.expose());
            let other = KeyId::random(kind, rng);
            assert!(unwrap(&secret, KeyPurpose::Gateway, id, &wrapped).is_err());
            assert!(unwrap(&secret, KeyPurpose::Server, other, &wrapped).is_err());
            let public = ExportSecret::public_default();
            assert!(unwrap(&public, KeyPurpose::Server, id, &wrapped).is_err());
        }
    }
}
