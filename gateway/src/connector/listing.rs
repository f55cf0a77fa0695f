//! What a search finds, where of each object nothing but the digest of its attributes is wanted.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use portcullis_common::listing::{Content, Digest, LISTING_LEN, Listed, ListingKey, Plain};
use tokio::sync::mpsc;

use crate::model::{Failure, Object, SearchEvent, Value};

/// Values of an object that are gone through where the call is: more take long enough to hold up
/// those beside it.
const FEW: usize = 512;

/// Puts objects into listings, and hands these on.
pub(super) struct Listing {
    events: mpsc::Sender<SearchEvent>,
    key: Arc<ListingKey>,
    content: Content,
    listed: Vec<u8>,
}

impl fmt::Debug for Listing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Listing")
    }
}

impl Listing {
    pub(super) fn new(events: mpsc::Sender<SearchEvent>, key: ListingKey) -> Self {
        Self {
            events,
            key: Arc::new(key),
            content: Content::default(),
            listed: Vec::with_capacity(LISTING_LEN + LISTING_LEN / 8),
        }
    }

    /// Takes an object whose attributes `fill` puts in; answers whether there are enough for a
    /// listing.
    ///
    /// # Errors
    /// What `fill` answers.
    pub(super) fn put(
        &mut self,
        id: &str,
        name: &str,
        enabled: Option<bool>,
        fill: impl FnOnce(&mut Content) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        self.content.clear();
        fill(&mut self.content)?;
        let digest = self.key.digest(&self.content);
        Ok(self.put_digest(id, name, enabled, digest))
    }

    fn put_digest(&mut self, id: &str, name: &str, enabled: Option<bool>, digest: Digest) -> bool {
        let listed = Listed {
            id,
            name,
            enabled,
            digest,
        };
        listed.put(&mut self.listed);
        self.listed.len() >= LISTING_LEN
    }

    /// Takes an object that is whole.
    pub(super) async fn push(&mut self, object: Object) -> Result<(), Failure> {
        let values: usize = object.attributes.iter().map(|it| it.values.len()).sum();
        let key = Arc::clone(&self.key);
        let (digest, object) = match values > FEW {
            true => {
                let work = move || (digest(&key, &object), object);
                let failed = |_| Failure::internal("the gateway failed; its log says more");
                tokio::task::spawn_blocking(work).await.map_err(failed)?
            }
            false => (digest(&key, &object), object),
        };
        let (id, name) = (object.identity.id.as_str(), object.identity.name.as_str());
        match self.put_digest(id, name, object.enabled, digest) {
            true => self.hand_on().await,
            false => Ok(()),
        }
    }

    /// Hands on what there is.
    pub(super) async fn hand_on(&mut self) -> Result<(), Failure> {
        if self.listed.is_empty() {
            return Ok(());
        }
        let listed = Bytes::copy_from_slice(&self.listed);
        self.listed.clear();
        let sent = self.events.send(SearchEvent::Listed(listed)).await;
        sent.map_err(|_| super::gone())
    }
}

/// A value where it lies.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Seen<'a> {
    Text(Cow<'a, str>),
    Integer(i64),
    Boolean(bool),
    Binary(&'a [u8]),
    Real(f64),
    Time(SystemTime),
}

impl<'a> Seen<'a> {
    /// A value; `None` where it is a secret, which is not compared.
    pub(crate) fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Text(text) => Self::Text(text.as_str().into()),
            Value::Integer(number) => Self::Integer(*number),
            Value::Boolean(truth) => Self::Boolean(*truth),
            Value::Binary(bytes) => Self::Binary(bytes),
            Value::Real(number) => Self::Real(*number),
            Value::Time(time) => Self::Time(*time),
            Value::Secret(_) => return None,
        })
    }

    /// By itself.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Text(text) => Value::Text(text.into_owned()),
            Self::Integer(number) => Value::Integer(number),
            Self::Boolean(truth) => Value::Boolean(truth),
            Self::Binary(bytes) => Value::Binary(bytes.to_vec()),
            Self::Real(number) => Value::Real(number),
            Self::Time(time) => Value::Time(time),
        }
    }

    /// The text of an id or a name that it is.
    pub(crate) fn into_text(self) -> Option<Plain<'a>> {
        matches!(self, Self::Text(_) | Self::Integer(_)).then(|| self.into_plain())
    }

    /// As it is compared.
    pub(crate) fn into_plain(self) -> Plain<'a> {
        match self {
            Self::Text(Cow::Borrowed(text)) => Plain::bytes(text.as_bytes()),
            Self::Text(Cow::Owned(text)) => Plain::owned(text.into_bytes()),
            Self::Integer(number) => Plain::integer(number),
            Self::Boolean(truth) => Plain::boolean(truth),
            Self::Binary(bytes) => Plain::bytes(bytes),
            Self::Real(number) => Plain::real(number),
            Self::Time(time) => {
                let text = humantime::format_rfc3339(time).to_string();
                Plain::owned(text.into_bytes())
            }
        }
    }
}

fn digest(key: &ListingKey, object: &Object) -> Digest {
    let is_secret = |value: &Value| matches!(value, Value::Secret(_));
    let attributes = object.attributes.iter();
    let mut attributes: Vec<_> = attributes
        .filter(|attribute| !attribute.values.iter().any(is_secret))
        .collect();
    attributes.sort_unstable_by_key(|attribute| attribute.name.as_str());
    let mut content = Content::default();
    for attribute in attributes {
        let name = attribute.name.as_str();
        match attribute.values.as_slice() {
            [value] => content.single(name, &plain(value)),
            values => content.several(name, &mut values.iter().map(plain).collect()),
        }
    }
    key.digest(&content)
}

fn plain(value: &Value) -> Plain<'_> {
    Seen::of(value).map_or_else(|| Plain::bytes(&[]), Seen::into_plain)
}
