//! Listings of digests (PROTOCOL.md, "Digests of objects"): who has the same object can tell by the
//! digest of its attributes that it is the same, and only others travel.

mod content;
mod listed;

use portcullis_proto::gateway::v1::value::Kind;
use portcullis_proto::gateway::v1::{Attribute, Value};

use crate::crypto::mac::{MAC_KEY_LEN, MacKey};

pub use content::{Content, Plain};
pub use listed::{LISTING_LEN, Listed, Malformed, Objects};

/// Bytes of a digest: two different objects have the same one by a chance of 2^-128.
pub const DIGEST_LEN: usize = 16;

/// Of the attributes of an object.
pub type Digest = [u8; DIGEST_LEN];

/// The key of the digests of one listing.
#[derive(Clone, Debug)]
pub struct ListingKey(MacKey);

impl ListingKey {
    /// A key from its bytes.
    pub fn new(bytes: &[u8; MAC_KEY_LEN]) -> Self {
        Self(MacKey::new(bytes))
    }

    /// The digest of an object.
    pub fn digest(&self, content: &Content) -> Digest {
        let tag = self.0.tag(&[content.as_bytes()]).to_bytes();
        tag.first_chunk().copied().unwrap_or_default()
    }

    /// The digest of those of the attributes that are compared, in whatever order they and their
    /// values come.
    pub fn digest_of<'a>(&self, attributes: impl IntoIterator<Item = &'a Attribute>) -> Digest {
        let compared = attributes.into_iter().filter(|one| is_compared(one));
        let mut compared: Vec<_> = compared.collect();
        compared.sort_by(|one, other| one.name.cmp(&other.name));
        let mut content = Content::default();
        for attribute in compared {
            match attribute.values.as_slice() {
                [value] => content.single(&attribute.name, &Plain::of(value)),
                values => {
                    let mut values: Vec<_> = values.iter().map(Plain::of).collect();
                    content.several(&attribute.name, &mut values);
                }
            }
        }
        self.digest(&content)
    }
}

/// Whether an attribute is compared: one without a value is as one that is not there, and a secret
/// is never compared.
pub fn is_compared(attribute: &Attribute) -> bool {
    let is_secret = |value: &Value| matches!(value.kind, Some(Kind::Secret(_)));
    !attribute.values.is_empty() && !attribute.values.iter().any(is_secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(name: &str, kinds: &[Kind]) -> Attribute {
        let values = kinds.iter().map(|kind| Value {
            kind: Some(kind.clone()),
        });
        Attribute {
            name: name.to_owned(),
            values: values.collect(),
        }
    }

    fn text(text: &str) -> Kind {
        Kind::Text(text.to_owned())
    }

    #[test]
    fn objects_have_the_same_digest_where_nothing_that_is_compared_differs() {
        let key = ListingKey::new(&[7; 32]);
        let one = [
            attribute("member", &[text("a"), text("b")]),
            attribute("room", &[Kind::Integer(7)]),
        ];
        let same = [
            attribute("room", &[text("7")]),
            attribute("empty", &[]),
            attribute("password", &[Kind::Secret(Default::default())]),
            attribute("member", &[text("b"), text("a"), text("b")]),
        ];
        assert_eq!(key.digest_of(&one), key.digest_of(&same));
        let others = [
            [attribute("member", &[text("ab")]), one[1].clone()],
            [
                attribute("members", &[text("a"), text("b")]),
                one[1].clone(),
            ],
            [
                attribute("member", &[text("a")]),
                attribute("room", &[text("b"), text("7")]),
            ],
        ];
        for other in &others {
            assert_ne!(key.digest_of(&one), key.digest_of(other), "{other:?}");
        }
        let other = ListingKey::new(&[8; 32]);
        assert_ne!(key.digest_of(&one), other.digest_of(&one));
    }

    /// As PROTOCOL.md says it, computed by another program.
    #[test]
    fn the_digest_is_the_one_of_the_specification() {
        let key = ListingKey::new(&[1; 32]);
        let digest = key.digest_of(&[
            attribute("mail", &[text("b@x"), text("a@x")]),
            attribute("room", &[Kind::Integer(-7)]),
        ]);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&digest),
            "9abf05e913e1f451922f2b76e2c2ab3b"
        );
    }
}
