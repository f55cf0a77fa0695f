//! A connector around another: it sees which changes are under way at the same time, and in which
//! lanes.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_gateway::connector::{Connector, Context, Lane};
use portcullis_gateway::model::{
    CallError, Get, Object, ObjectClass, ObjectId, Request, Roles, Schema, Standings, Touched,
    Update, Verb,
};
use tokio::sync::Barrier;
use tonic::async_trait;

/// What all witnesses of one test have seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    under_way: Mutex<Vec<BTreeSet<String>>>,
    /// Changes that began while another of the same lane was under way.
    pub(crate) collisions: Mutex<Vec<String>>,
}

/// Whoever is to come together within their changes.
#[derive(Debug)]
pub(crate) enum Meeting {
    /// Nobody: each change stays for a while, so that another would be seen.
    Nobody,
    /// All of them at once.
    At(Arc<Barrier>),
}

/// One connector under observation. Updates are what it looks at.
#[derive(Debug)]
pub(crate) struct Witness {
    pub(crate) name: String,
    pub(crate) inner: Arc<dyn Connector>,
    pub(crate) seen: Arc<Seen>,
    pub(crate) meeting: Meeting,
}

impl Witness {
    /// The lanes of a change, told apart from those of other connectors as [`Lane`] says.
    fn keys(&self, change: &Request) -> BTreeSet<String> {
        let lanes = self.inner.lanes(change).into_iter();
        lanes
            .map(|lane| match lane {
                Lane::Connector => format!("connector {}", self.name),
                Lane::Shared(place) => format!("shared {} {place}", self.inner.kind()),
            })
            .collect()
    }

    fn enter(&self, keys: &BTreeSet<String>) {
        let mut under_way = self.seen.under_way.lock().unwrap();
        let others = under_way.iter().flatten();
        let mut shared = others.filter(|key| keys.contains(*key));
        if let Some(key) = shared.next() {
            self.seen.collisions.lock().unwrap().push(key.clone());
        }
        under_way.push(keys.clone());
    }

    fn leave(&self, keys: &BTreeSet<String>) {
        let mut under_way = self.seen.under_way.lock().unwrap();
        let at = under_way.iter().position(|other| other == keys);
        under_way.remove(at.unwrap());
    }
}

#[async_trait]
impl Connector for Witness {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn verbs(&self, class: ObjectClass) -> Vec<Verb> {
        self.inner.verbs(class)
    }

    fn number_of_id(&self, id: &ObjectId) -> Option<u64> {
        self.inner.number_of_id(id)
    }

    fn number_of(&self, object: &Object) -> Option<u64> {
        self.inner.number_of(object)
    }

    fn roles(&self) -> Roles<'_> {
        self.inner.roles()
    }

    fn lanes(&self, change: &Request) -> BTreeSet<Lane> {
        self.inner.lanes(change)
    }

    async fn test(&self, cx: &Context) -> Result<String, CallError> {
        self.inner.test(cx).await
    }

    async fn schema(&self, cx: &Context) -> Result<Schema, CallError> {
        self.inner.schema(cx).await
    }

    async fn get(&self, cx: &Context, get: &Get) -> Result<Object, CallError> {
        self.inner.get(cx, get).await
    }

    async fn standings(&self, cx: &Context, touched: &Touched<'_>) -> Result<Standings, CallError> {
        self.inner.standings(cx, touched).await
    }

    async fn update(&self, cx: &Context, update: Update) -> Result<Object, CallError> {
        let request = Request::Update(update);
        let keys = self.keys(&request);
        let Request::Update(update) = request else {
            panic!("it was one");
        };
        self.enter(&keys);
        match &self.meeting {
            Meeting::Nobody => tokio::time::sleep(Duration::from_millis(20)).await,
            Meeting::At(barrier) => {
                let met = tokio::time::timeout(Duration::from_secs(10), barrier.wait()).await;
                assert!(
                    met.is_ok(),
                    "nobody else came: the changes wait for one another"
                );
            }
        }
        let updated = self.inner.update(cx, update).await;
        self.leave(&keys);
        updated
    }
}
