//! What is seen of a gateway's link, of a call without an outcome, and of a search.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use portcullis_common::handshake::SessionInfo;
use portcullis_common::rotation::UnixMillis;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{DescribeResponse, SearchEnd, SearchItem};
use portcullis_watch::traces::Span;
use portcullis_watch::{CallMeter, DONE, failure_name};
use tokio::time::Instant;

use crate::repository::RepositoryError;

/// A live link, as it is shown.
#[derive(Clone, Debug)]
pub struct LinkStatus {
    /// The gateway's name.
    pub gateway: String,
    /// Its id, and how the session was authenticated and is protected.
    pub session: SessionInfo,
    /// Since when it lives.
    pub since: UnixMillis,
    /// The peer's socket address.
    pub remote_address: String,
    /// There is TLS around it.
    pub tls: bool,
    /// Its gateway knows no grants: it carries calls only while a single server stands.
    pub for_one_server: bool,
    /// What the gateway said of itself; `None` until it did.
    pub description: Option<DescribeResponse>,
    /// How far the gateway's clock is ahead of the server's, in milliseconds; negative: behind;
    /// `None`: it did not say.
    pub clock_ahead_ms: Option<i64>,
}

/// Why a call has no outcome.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The repository could not be read: the call was not sent.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// There is no link to the gateway: the call was not sent.
    #[error("gateway `{gateway}` is not connected: {reason}")]
    NotConnected {
        /// The gateway's name.
        gateway: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The link is to another registration of the gateway than the call is for: it was not sent.
    #[error(
        "the link to gateway `{gateway}` belongs to another registration than the call was made up for: nothing was sent; try again"
    )]
    OtherRegistration {
        /// The gateway's name.
        gateway: String,
    },
    /// There is another link by now than the one that the call was made up for: it was not sent.
    #[error("gateway `{gateway}` has another link by now: nothing was sent; try again")]
    OtherSession {
        /// The gateway's name.
        gateway: String,
    },
    /// The link was lost before the answer came.
    #[error("the link to gateway `{gateway}` was lost before it answered: {reason}")]
    Lost {
        /// The gateway's name.
        gateway: String,
        /// What was seen of it.
        reason: String,
    },
}

/// The objects found, then exactly one `SearchEnd`, also where the search failed or the link was
/// lost. Dropping it ends the search.
pub struct SearchStream {
    items: Pin<Box<dyn Stream<Item = SearchItem> + Send>>,
    /// Taken at the end.
    measured: Option<Unmeasured>,
}

/// A search that is counted once it ends.
pub(super) struct Unmeasured {
    pub(super) calls: CallMeter,
    pub(super) verb: &'static str,
    pub(super) begun: Instant,
    pub(super) span: Span,
    /// The search is one of those under way.
    pub(super) under_way: Arc<()>,
}

impl SearchStream {
    pub(super) fn new(
        items: impl Stream<Item = SearchItem> + Send + 'static,
        measured: Unmeasured,
    ) -> Self {
        Self {
            items: Box::pin(items),
            measured: Some(measured),
        }
    }

    fn ended(&mut self, end: &SearchEnd) {
        let Some(measured) = self.measured.take() else {
            return;
        };
        let failure = end.failure.as_ref();
        let outcome = failure.map_or(DONE, |failure| failure_name(failure.kind()));
        let Unmeasured {
            calls,
            verb,
            begun,
            span,
            under_way,
        } = measured;
        drop(under_way);
        calls.ended(verb, outcome, begun.elapsed());
        span.end(outcome);
    }
}

impl Stream for SearchStream {
    type Item = SearchItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.items.as_mut().poll_next(cx);
        if let Poll::Ready(Some(item)) = &next
            && let Some(Kind::End(end)) = &item.kind
        {
            self.ended(end);
        }
        next
    }
}

impl std::fmt::Debug for SearchStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SearchStream")
    }
}
