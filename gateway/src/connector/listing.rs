//! What a search finds, where of each object nothing but the digest of its attributes is wanted.

use std::fmt;
use std::sync::Arc;

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
    match value {
        Value::Text(text) => Plain::bytes(text.as_bytes()),
        Value::Integer(number) => Plain::integer(*number),
        Value::Boolean(truth) => Plain::boolean(*truth),
        Value::Binary(bytes) => Plain::bytes(bytes),
        Value::Real(number) => Plain::real(*number),
        Value::Time(time) => {
            let text = humantime::format_rfc3339(*time).to_string();
            Plain::owned(text.into_bytes())
        }
        Value::Secret(_) => Plain::bytes(&[]),
    }
}
