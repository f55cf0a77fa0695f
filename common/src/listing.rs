//! The digest that stands for the attributes of an object in a listing (PROTOCOL.md, "Digests of
//! objects"): who has the same object can tell that it is the same, and only others travel.

use portcullis_proto::gateway::v1::value::Kind;
use portcullis_proto::gateway::v1::{Attribute, Value};

use crate::crypto::mac::{MAC_KEY_LEN, MacKey};

/// Bytes of a digest: two different objects have the same one by a chance of 2^-128.
pub const DIGEST_LEN: usize = 16;

/// Of the attributes of an object.
pub type Digest = [u8; DIGEST_LEN];

/// The key of the digests of one listing.
#[derive(Clone)]
pub struct ListingKey(MacKey);

impl ListingKey {
    /// A key from its bytes.
    pub fn new(bytes: &[u8; MAC_KEY_LEN]) -> Self {
        Self(MacKey::new(bytes))
    }

    /// The digest of those of the attributes that are compared, in whatever order they and their
    /// values come.
    pub fn digest<'a>(&self, attributes: impl IntoIterator<Item = &'a Attribute>) -> Digest {
        let compared = attributes.into_iter().filter(|one| is_compared(one));
        let mut compared: Vec<_> = compared.collect();
        compared.sort_by(|one, other| one.name.cmp(&other.name));
        let mut content = Vec::new();
        let mut put = |bytes: &[u8]| {
            content.extend_from_slice(&(bytes.len() as u64).to_be_bytes());
            content.extend_from_slice(bytes);
        };
        for attribute in compared {
            let values = value_set(&attribute.values);
            put(attribute.name.as_bytes());
            put(&(values.len() as u64).to_be_bytes());
            values.iter().for_each(|value| put(value));
        }
        let tag = self.0.tag(&[&content]).to_bytes();
        tag.first_chunk().copied().unwrap_or_default()
    }
}

/// Whether an attribute is compared: one without a value is as one that is not there, and a secret
/// is never compared.
pub fn is_compared(attribute: &Attribute) -> bool {
    let is_secret = |value: &Value| matches!(value.kind, Some(Kind::Secret(_)));
    !attribute.values.is_empty() && !attribute.values.iter().any(is_secret)
}

/// Values as they are compared: a set, in the order of their bytes, in which a number is the same
/// in whatever type it comes.
pub fn value_set(values: &[Value]) -> Vec<Vec<u8>> {
    let mut set: Vec<_> = values.iter().map(plain).collect();
    set.sort_unstable();
    set.dedup();
    set
}

fn plain(value: &Value) -> Vec<u8> {
    match &value.kind {
        Some(Kind::Text(text) | Kind::Time(text)) => text.clone().into_bytes(),
        Some(Kind::Integer(number)) => number.to_string().into_bytes(),
        Some(Kind::Real(number)) => number.to_string().into_bytes(),
        Some(Kind::Boolean(truth)) => truth.to_string().into_bytes(),
        Some(Kind::Binary(bytes)) => bytes.clone(),
        Some(Kind::Secret(_)) | None => Vec::new(),
    }
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
        assert_eq!(key.digest(&one), key.digest(&same));
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
            assert_ne!(key.digest(&one), key.digest(other), "{other:?}");
        }
        let other = ListingKey::new(&[8; 32]);
        assert_ne!(key.digest(&one), other.digest(&one));
    }

    /// As PROTOCOL.md says it, computed by another program.
    #[test]
    fn the_digest_is_the_one_of_the_specification() {
        let key = ListingKey::new(&[1; 32]);
        let digest = key.digest(&[
            attribute("mail", &[text("b@x"), text("a@x")]),
            attribute("room", &[Kind::Integer(-7)]),
        ]);
        assert_eq!(
            data_encoding::HEXLOWER.encode(&digest),
            "75a997ef1907466d675ed663645ab652"
        );
    }
}
