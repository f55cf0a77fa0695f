//! Searches: what the guard rails let be found, page by page.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use portcullis_common::listing::ListingKey;
use portcullis_proto::gateway::v1 as wire;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::Provisioner;
use super::call_log::panicked;
use super::provisioner::failure_label;
use crate::connector::Context;
use crate::guard::check_filter;
use crate::model::{Cookie, Failure, Request, SearchEvent, Verb};

/// The verb of what [`Provisioner::search`] carries out.
const SEARCH: &str = "search";

/// Objects that wait for a slow caller before the search waits too.
const BUFFER: usize = 64;

impl Provisioner {
    /// Carries out a search. Events end with [`SearchEvent::End`]; to drop the receiver ends the
    /// search.
    pub fn search(&self, mut call: wire::Call) -> mpsc::Receiver<SearchEvent> {
        let (events, receiver) = mpsc::channel(BUFFER);
        let provisioner = self.clone();
        tokio::spawn(async move {
            let (id, begun) = (call.call_id.clone(), Instant::now());
            let span = provisioner.begin(&mut call);
            let searching = provisioner.search_into(call, &events);
            let found = tokio::select! {
                found = AssertUnwindSafe(searching).catch_unwind() => found,
                () = events.closed() => return,
            };
            let found = found.unwrap_or_else(|_| Err(panicked(&id)));
            let (cookie, failure) = match found {
                Ok(end) => end,
                Err(failure) => (Cookie::default(), Some(failure)),
            };
            let ended = failure_label(failure.as_ref());
            provisioner.ended().ended(SEARCH, ended, begun.elapsed());
            span.end(ended);
            // Nobody listens any more: then nobody misses the end.
            let _ = events.send(SearchEvent::End(cookie, failure)).await;
        });
        receiver
    }

    async fn search_into(
        &self,
        call: wire::Call,
        events: &mpsc::Sender<SearchEvent>,
    ) -> Result<(Cookie, Option<Failure>), Failure> {
        let key = digest_key(&call)?;
        let admitted = self.admit(call).await?;
        let deadline = admitted.deadline;
        let call = admitted.call;
        let Request::Search(mut search) = call.request else {
            return Err(Failure::invalid(
                "only `search` has a stream of answers; the other verbs go through Execute",
            ));
        };
        let guarded = &admitted.guarded;
        tracing::info!(call = %call.id, connector = %call.connector, verb = %Verb::Search, object = %search.class, "call");
        let rails = &guarded.configured.guard_rails;
        rails.check_verb(Verb::Search)?;
        guarded.configured.connector.check_usable()?;
        guarded.has_verb(Verb::Search, search.class)?;
        check_filter(&search, guarded.configured.connector.roles())?;
        let connector = call.connector.as_str();
        let pages = self.pages();
        let page = pages.begin(connector, rails, &mut search)?;
        let mut cx = Context {
            call: call.id,
            settings: call.settings,
            secret_settings: call.secret_settings,
            deadline,
            trace: call.trace,
        };
        let _working = guarded.working(&mut cx, Verb::Search);
        let searching = guarded.search(&cx, &search, key, events);
        let (own, found) = match timeout_at(deadline, searching).await {
            Ok(result) => result?,
            Err(_) => {
                return Err(Failure::unavailable(
                    "the search did not end in the time that the call may take: ask for smaller pages",
                ));
            }
        };
        Ok(pages.end(connector, rails, &search, &page, (&own, found)))
    }
}

/// The key under which a search wants digests in the place of attributes; `None`: it wants objects.
fn digest_key(call: &wire::Call) -> Result<Option<ListingKey>, Failure> {
    let key = match &call.verb {
        Some(wire::call::Verb::Search(search)) => search.digest_key.as_slice(),
        _ => &[],
    };
    if key.is_empty() {
        return Ok(None);
    }
    let wrong = |_| Failure::invalid("the key of the digests has to have 32 bytes");
    Ok(Some(ListingKey::new(key.try_into().map_err(wrong)?)))
}
