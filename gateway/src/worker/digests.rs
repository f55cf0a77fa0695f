//! The objects of a search as a listing of digests, where the server asks for one.

use std::collections::VecDeque;
use std::sync::Arc;

use portcullis_common::listing::ListingKey;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::search_item::Kind;

/// Values of an object that are gone through where the call is: more take long enough to hold up
/// those beside it.
const FEW: usize = 512;

/// Puts digests in the place of attributes.
#[derive(Clone)]
pub(super) struct Digests(Arc<ListingKey>);

impl Digests {
    /// What a call asks for; `None`: its objects come whole.
    ///
    /// # Errors
    /// Why the call is malformed.
    pub(super) fn asked(call: &wire::Call) -> Result<Option<Self>, &'static str> {
        let Some(Verb::Search(search)) = &call.verb else {
            return Ok(None);
        };
        if search.digest_key.is_empty() {
            return Ok(None);
        }
        let key = search.digest_key.as_slice().try_into();
        let key = key.map_err(|_| "the key of the digests has to have 32 bytes")?;
        Ok(Some(Self(Arc::new(ListingKey::new(key)))))
    }

    /// The same, each object with its digest.
    pub(super) async fn of_all(&self, mut found: VecDeque<Kind>) -> VecDeque<Kind> {
        for kind in &mut found {
            if let Kind::Object(object) = kind {
                *object = self.of(std::mem::take(object)).await;
            }
        }
        found
    }

    /// An object with its digest, and without its attributes.
    async fn of(&self, mut object: wire::Object) -> wire::Object {
        let attributes = std::mem::take(&mut object.attributes);
        let values: usize = attributes.iter().map(|it| it.values.len()).sum();
        let key = Arc::clone(&self.0);
        let digest = move || key.digest(&attributes);
        let digest = match values > FEW {
            true => tokio::task::spawn_blocking(digest)
                .await
                .unwrap_or_default(),
            false => digest(),
        };
        object.digest = digest.to_vec();
        object
    }
}
