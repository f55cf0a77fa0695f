//! Searches through a link: whatever becomes of them, they end with one end.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use portcullis_common::calls::Answer;
use portcullis_common::handshake::{CallSecrets, Way};
use portcullis_common::stream::{open_call, open_secrets};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::{
    Call, Failure, FailureKind, SearchEnd, SearchItem, search_item,
};
use prost::Message as _;
use tokio::time::Instant;

use super::call_stream::UnderWay;
use super::calls::{Known, known, no_link, not_submitted, patience};
use super::link::Link;
use super::status::Unmeasured;
use super::{CallError, Fleet, Recipient, SearchStream};

/// Links that a search may be given to before one takes it.
const LINKS: u32 = 3;

impl Fleet {
    /// Carries out a `search` or a `sync`.
    ///
    /// # Errors
    /// [`CallError::Repository`]: nothing was sent.
    pub async fn search(
        &self,
        to: impl Into<Recipient>,
        mut call: Call,
    ) -> Result<SearchStream, CallError> {
        let to = to.into();
        let measured = Unmeasured {
            calls: self.inner.measured.calls.clone(),
            verb: call.verb_name(),
            begun: Instant::now(),
            span: self.begin(&to, &mut call),
            under_way: Arc::clone(&self.inner.under_way),
        };
        let search = match self.link_for_call(&to, false).await {
            Ok(link) => Search {
                fleet: self.clone(),
                answers: answers(&link, &call),
                lists: wants_digests(&call),
                to,
                wait: patience(call.timeout_ms, link.call_timeout()),
                state: State::Unsent(link, Box::new(call), 1),
            },
            Err(CallError::Repository(error)) => return Err(error.into()),
            Err(error) => {
                let end = failed_end(FailureKind::Unavailable as i32, error.to_string());
                return Ok(SearchStream::new(stream::iter([end]), measured));
            }
        };
        let items = stream::unfold(search, Search::next);
        Ok(SearchStream::new(items, measured))
    }
}

fn answers(link: &Link, call: &Call) -> CallSecrets {
    CallSecrets::new(link.session().exporter(), Way::Answer, &call.call_id)
}

fn wants_digests(call: &Call) -> bool {
    matches!(&call.verb, Some(Verb::Search(search)) if !search.digest_key.is_empty())
}

/// A search on its way.
struct Search {
    fleet: Fleet,
    to: Recipient,
    answers: CallSecrets,
    /// Whether listings were asked for.
    lists: bool,
    /// Between two items.
    wait: Duration,
    state: State,
}

enum State {
    /// Not sent yet, to so many links.
    Unsent(Arc<Link>, Box<Call>, u32),
    /// Holds the link, which therefore stays open, and until its first answer the call.
    Running(Arc<Link>, UnderWay, Option<(Box<Call>, u32)>),
    Ended,
}

impl Search {
    async fn next(mut self) -> Option<(SearchItem, Self)> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return None,
                State::Unsent(link, mut call, links) => {
                    match self.fleet.submit(&link, &mut call, self.wait) {
                        Ok(under_way) => {
                            self.state = State::Running(link, under_way, Some((call, links)));
                        }
                        Err(error) => {
                            let known = not_submitted(error);
                            if let Some(end) = self.failed(known, &link, Some((call, links))).await
                            {
                                return Some((end, self));
                            }
                        }
                    }
                }
                State::Running(link, mut under_way, call) => {
                    match under_way.next_within(self.wait).await {
                        Answer::Item(item) => {
                            let (item, is_right) = self.read(item, false);
                            if is_right {
                                self.state = State::Running(link, under_way, None);
                            }
                            return Some((item, self));
                        }
                        Answer::End(end) => {
                            let (end, _) = self.read(end, true);
                            return Some((end, self));
                        }
                        Answer::Expired { .. } => {
                            let reason = format!("nothing came for {} s", self.wait.as_secs());
                            return Some((self.incomplete(&reason), self));
                        }
                        other => {
                            let known =
                                known(self.to.name(), other, under_way.refusal(), self.wait);
                            if let Some(end) = self.failed(known, &link, call).await {
                                return Some((end, self));
                            }
                        }
                    }
                }
            }
        }
    }

    /// An item with its secrets opened, or the end that takes its place, and whether it is right.
    fn read(&mut self, item: Bytes, last: bool) -> (SearchItem, bool) {
        let Ok(mut item) = SearchItem::decode(item) else {
            return (self.incomplete("its answer cannot be read"), false);
        };
        if matches!(item.kind, Some(search_item::Kind::Listing(_))) && !self.lists {
            let reason = "it gave a listing where objects were asked for";
            return (self.incomplete(reason), false);
        }
        if matches!(item.kind, Some(search_item::Kind::End(_))) != last {
            return (self.incomplete("it ended without saying so"), false);
        }
        if open_secrets(&mut self.answers, item.secrets_mut()).is_err() {
            let reason = "it gave a secret that was not sealed for this server";
            return (self.incomplete(reason), false);
        }
        (item, true)
    }

    /// The end of a search that did not come to its own. `None`: it goes on through another link.
    async fn failed(
        &mut self,
        known: Known,
        link: &Link,
        call: Option<(Box<Call>, u32)>,
    ) -> Option<SearchItem> {
        let unavailable = FailureKind::Unavailable as i32;
        match known {
            Known::NothingBegun(failure) => Some(failed_end(failure.kind, failure.message)),
            Known::Unsent(message) => Some(failed_end(unavailable, message)),
            Known::Ended(_) | Known::Nothing(_) => Some(self.lost(link, call.is_none()).await),
            Known::ThroughAnother => {
                let again = call.filter(|(_, links)| *links < LINKS);
                let Some((mut call, links)) = again else {
                    return Some(failed_end(unavailable, no_link(self.to.name())));
                };
                let next = match self.fleet.link_for_call(&self.to, true).await {
                    Ok(next) => next,
                    Err(error) => return Some(failed_end(unavailable, error.to_string())),
                };
                // Only now that there is a link to seal them for.
                if open_call(link.session().exporter(), &mut call).is_err() {
                    return Some(failed_end(unavailable, no_link(self.to.name())));
                }
                self.answers = answers(&next, &call);
                self.state = State::Unsent(next, call, links + 1);
                None
            }
        }
    }

    /// The end of a search whose link was lost, before its first item or after it.
    async fn lost(&self, link: &Link, has_begun: bool) -> SearchItem {
        // Where nobody can tell, the link was lost in any case.
        let moved = self.fleet.is_anothers(link).await.unwrap_or(false);
        let how = match moved {
            true => "the gateway's link moved to another server",
            false => "the link was lost",
        };
        let when = match has_begun {
            true => "after the first of what was found had been given on",
            false => "before anything was found",
        };
        self.incomplete(&format!("{how} {when}"))
    }

    fn incomplete(&self, reason: &str) -> SearchItem {
        let message = format!(
            "the search through gateway `{}` is incomplete ({reason}): search again",
            self.to.name()
        );
        failed_end(FailureKind::Unavailable as i32, message)
    }
}

fn failed_end(kind: i32, message: String) -> SearchItem {
    SearchItem {
        kind: Some(search_item::Kind::End(SearchEnd {
            failure: Some(Failure {
                kind,
                message,
                ..Failure::default()
            }),
            ..SearchEnd::default()
        })),
    }
}
