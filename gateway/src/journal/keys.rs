//! The journal's keys, all from one secret that lies beside it.

use portcullis_common::crypto::mac::{MAC_KEY_LEN, MacKey};
use portcullis_common::id::ServerId;
use zeroize::Zeroizing;

use super::{CallKey, Digest};
use crate::state_dir::{StateDir, StateDirError};

/// The file of the secret.
const FILE: &str = "journal.key";

/// A key for each purpose.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// Of the records.
    pub(super) records: MacKey,
    calls: MacKey,
    contents: MacKey,
}

impl Keys {
    /// From the secret in the folder; `None` where there is none, or what is there is none.
    pub(super) fn load(folder: &StateDir) -> Result<Option<Self>, StateDirError> {
        let secret = folder.read(FILE, MAC_KEY_LEN + 1)?;
        Ok(secret.and_then(|secret| Some(Self::new(secret.as_slice().try_into().ok()?))))
    }

    /// From a new secret, which takes the place of any other.
    pub(super) fn create(folder: &StateDir) -> Result<Self, StateDirError> {
        let secret = Zeroizing::new(rand::random::<[u8; MAC_KEY_LEN]>());
        folder.replace_secret(FILE, secret.as_slice())?;
        Ok(Self::new(&secret))
    }

    /// Of a journal that no other run of the gateway reads.
    pub(super) fn random() -> Self {
        Self::new(&Zeroizing::new(rand::random::<[u8; MAC_KEY_LEN]>()))
    }

    fn new(secret: &[u8; MAC_KEY_LEN]) -> Self {
        let secret = MacKey::new(secret);
        let key = |purpose: &str| MacKey::new(&secret.tag(&[purpose.as_bytes()]).to_bytes());
        Self {
            records: key("journal records"),
            calls: key("journal call ids"),
            contents: key("journal call contents"),
        }
    }

    /// What a call is known by.
    pub(super) fn call(&self, server: ServerId, call_id: &str) -> CallKey {
        CallKey(half(&self.calls, &[&server.to_bytes(), call_id.as_bytes()]))
    }

    /// Of a call's content, which the caller has made to bytes.
    pub(super) fn digest(&self, content: &[u8]) -> Digest {
        Digest(half(&self.contents, &[content]))
    }
}

/// The first half of a MAC: nobody can make two of a kind without the key.
fn half(key: &MacKey, parts: &[&[u8]]) -> [u8; 16] {
    let tag = key.tag(parts).to_bytes();
    let (half, _) = tag.split_at(16);
    half.try_into().unwrap_or_default()
}
