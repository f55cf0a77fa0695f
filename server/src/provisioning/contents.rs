//! What a call asks for, digested under a key: by it the same request under a call id is told from
//! another one. No password can be guessed from a digest without the key.

use portcullis_common::crypto::mac::MacKey;
use portcullis_proto::gateway::v1::Call;
use prost::Message as _;
use zeroize::Zeroizing;

/// Bytes of a digest.
const DIGEST_LEN: usize = 32;

/// A keyed digest of what a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest([u8; DIGEST_LEN]);

impl Digest {
    pub(super) fn to_vec(self) -> Vec<u8> {
        self.0.to_vec()
    }
}

/// The key of digests.
#[derive(Debug)]
pub(super) struct ContentsKey(MacKey);

impl ContentsKey {
    /// The one of these bytes; `None`: they are none.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(|bytes| Self(MacKey::new(bytes)))
    }

    /// The digest of what `call` asks for on `resource`, with the password of that user where one
    /// is named. How long it may take, and what the server fills in, is no part of it.
    pub(super) fn digest(&self, resource: &str, call: &Call, from_user: Option<&str>) -> Digest {
        let asked = Call {
            verb: call.verb.clone(),
            ..Call::default()
        };
        let asked = Zeroizing::new(asked.encode_to_vec());
        let user = from_user.unwrap_or_default();
        let lengths = [resource.len() as u64, user.len() as u64].map(u64::to_be_bytes);
        let parts = [
            &lengths.concat(),
            resource.as_bytes(),
            user.as_bytes(),
            &asked,
        ];
        Digest(self.0.tag(&parts).to_bytes())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_proto::gateway::v1::call::Verb;
    use portcullis_proto::gateway::v1::object_ref::By;
    use portcullis_proto::gateway::v1::{ObjectRef, Secret, SetPassword};

    use super::*;

    fn set(account: &str, password: &str) -> Call {
        Call {
            call_id: "k".to_owned(),
            verb: Some(Verb::SetPassword(SetPassword {
                object: Some(ObjectRef {
                    object_class: 1,
                    by: Some(By::Name(account.to_owned())),
                    ..ObjectRef::default()
                }),
                password: Some(Secret::plain(password.as_bytes().to_vec())),
            })),
            ..Call::default()
        }
    }

    #[test]
    fn what_is_asked_counts_and_nothing_else() {
        let key = ContentsKey::from_bytes(&[7; 32]).unwrap();
        let digest = |resource: &str, call: &Call, user| key.digest(resource, call, user);
        let same = digest("a", &set("ada", "p1"), None);
        let slow = Call {
            timeout_ms: 5,
            connector: "filled in".to_owned(),
            ..set("ada", "p1")
        };
        assert_eq!(digest("a", &slow, None), same);
        for (resource, call, user) in [
            ("a", set("ada", "p2"), None),
            ("a", set("eve", "p1"), None),
            ("b", set("ada", "p1"), None),
            ("a", set("ada", "p1"), Some("eve")),
            ("a", Call::default(), None),
        ] {
            assert_ne!(digest(resource, &call, user), same, "{call:?}");
        }
        // No part runs into the next.
        let none = Call::default();
        assert_ne!(
            digest("ab", &none, Some("c")),
            digest("a", &none, Some("bc"))
        );
        let other = ContentsKey::from_bytes(&[8; 32]).unwrap();
        assert_ne!(other.digest("a", &set("ada", "p1"), None), same);
    }
}
