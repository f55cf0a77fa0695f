//! What changes on a resource while it is read.
//!
//! ```text
//! token ──▶ the listing, page after page ──▶ all that has changed since the token
//! ```
//!
//! So the two together are the resource as it is at the end, however long the listing took.

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{FailureKind, SearchEnd, Sync};

use crate::call::{CallArgs, Caller, random_call_id};
use crate::class::Class;
use crate::error::CliError;

/// Changes that are asked for at a time.
const PAGE: u32 = 5_000;

/// Where the history of a resource stood.
pub(crate) enum Watch {
    /// The token of a sync.
    From(Vec<u8>),
    /// It cannot tell what changes, for this reason.
    Blind(String),
}

impl Watch {
    /// Where the history of a class of objects stands now.
    pub(crate) async fn begin(
        caller: &mut Caller,
        class: &Class,
        call: &CallArgs,
    ) -> Result<Self, CliError> {
        let mut watch = Self::From(Vec::new());
        // What comes with the first token is what there is already: the listing tells that.
        watch
            .catch_up(caller, class, call, |_| Ok(()))
            .await
            .map(|()| watch)
    }

    /// Hands what has changed since to `take`, each change once or more, until there is no more.
    /// Where the resource does not remember that far back, it becomes blind.
    pub(crate) async fn catch_up(
        &mut self,
        caller: &mut Caller,
        class: &Class,
        call: &CallArgs,
        mut take: impl FnMut(Kind) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        loop {
            let Self::From(token) = self else {
                return Ok(());
            };
            let call = call.with_id(random_call_id());
            let verb = Verb::Sync(Sync {
                object_class: class.class.into(),
                class_name: class.name.clone(),
                token: token.clone(),
                page_size: PAGE,
            });
            let end = page(caller, verb, &call, &mut take).await?;
            if let Some(failure) = end.failure {
                let (kind, message) = (failure.kind(), failure.message.clone());
                if !lasts(kind) {
                    return Err(CliError::failed(call.id().to_owned(), failure));
                }
                *self = Self::Blind(message);
                return Ok(());
            }
            if end.next_token.is_empty() || end.more && end.next_token == *token {
                return Err(CliError::BadAnswer("a sync that does not go on"));
            }
            *token = end.next_token;
            if !end.more {
                return Ok(());
            }
        }
    }
}

async fn page(
    caller: &mut Caller,
    verb: Verb,
    call: &CallArgs,
    take: &mut impl FnMut(Kind) -> Result<(), CliError>,
) -> Result<SearchEnd, CliError> {
    let mut items = caller.sync(verb, call).await?;
    loop {
        let item = items.message().await?;
        let item = item.ok_or(CliError::BadAnswer("the sync breaks off"))?;
        match item.kind {
            Some(Kind::End(end)) => return Ok(end),
            Some(kind) => take(kind)?,
            None => return Err(CliError::BadAnswer("an empty item of a sync")),
        }
    }
}

/// Whether the same would fail again and again: the resource has no sync, or not for us.
const fn lasts(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Unsupported
            | FailureKind::Refused
            | FailureKind::Denied
            | FailureKind::Rejected
            | FailureKind::Forgotten
    )
}
