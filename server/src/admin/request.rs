//! What a use case is: one request type, which says in one place all that `dispatch` needs.
//!
//! **To add one**, write its line in `admin.proto`; then, in the file of its noun, implement
//! [`Request`] for its message and add it to `offer`. A test walks `admin.proto` and finds what is
//! not offered. Where two methods share a message, each wraps it in a type of its own
//! ([`FromMessage`]).

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use futures_util::Stream;
use prost::Message;

use super::context::Context;
use super::elsewhere::ThroughLink;
use super::error::AdminError;
use crate::access::Target;
use crate::config::{Capability, CapabilitySet};
use crate::repository::AuditFields;
use crate::services::Services;

/// One use case: the messages of the API are its vocabulary, whichever front they come from.
pub(crate) trait Request: Send + Sized + 'static {
    /// What the caller gets.
    type Answer: Answer;

    /// Its name, who may make it, and how it is audited.
    const METHOD: Method;

    /// What it is about: what a permission has to cover, and what the audit log shows.
    fn about(&self) -> About;

    /// All of its contents, where one person alone is not enough for it ([admin] second_person);
    /// `None`: it is.
    fn for_two(&self) -> Option<Vec<u8>> {
        None
    }

    /// What else an approval of it is bound to: what the second person looked at.
    ///
    /// # Errors
    /// [`AdminError`]: it cannot be looked at, and is not carried out.
    fn looked_at(&self, _: &Services) -> impl Future<Output = Result<Vec<u8>, AdminError>> + Send {
        std::future::ready(Ok(Vec::new()))
    }

    /// What is forwarded where another server holds the link that it needs; `None`: it needs none,
    /// or none but this server's.
    fn through_link(&self) -> Option<ThroughLink> {
        None
    }

    /// Whether it takes away what other servers may still go by: it is done when all have seen
    /// that.
    fn withdraws(&self) -> Withdraws {
        Withdraws::Nothing
    }

    /// Whether the first message of the answer says that there was no link to make it through, or,
    /// of what only reads, that the link was lost before: another server may have it by now, and
    /// the same request is made there.
    fn found_no_link(_: &<Self::Answer as Answer>::Message) -> bool {
        false
    }

    /// Carries it out. [`dispatch`](super::dispatch) alone calls this, once it has let it pass.
    fn run(
        self,
        context: &Context,
    ) -> impl Future<Output = Result<Self::Answer, AdminError>> + Send;
}

/// What a request withdraws, and what whoever waits for other servers in vain may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Withdraws {
    /// Nothing.
    Nothing,
    /// Something; made again, the request waits again.
    Again,
    /// Something; made again, the request would do more than it did.
    Once,
}

/// Who may make a request, and how it is audited.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Method {
    /// As `admin.proto` and the audit log have it: `Gateways/Add`.
    pub(crate) name: &'static str,
    /// One of these is enough.
    pub(crate) who: CapabilitySet,
    /// Whether it is open to everybody: by it people get in, and look at what is theirs.
    pub(crate) open: bool,
    pub(crate) plan: Plan,
}

/// How a request is audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Not at all: it changes nothing.
    Read,
    /// By [`dispatch`](super::dispatch), with an entry before and one after. It runs to its end
    /// even where the caller goes away. An answer that is a stream counts as done when it begins: a
    /// task that goes on by itself writes entries of its own.
    Change,
    /// By the use case itself, in another way than these two. A test of its own has to prove that.
    Own,
}

/// It changes nothing, and leaves nothing in the audit log.
pub(super) const fn read(name: &'static str, who: &[Capability]) -> Method {
    method(name, who, Plan::Read)
}

/// It changes something, and is audited by [`dispatch`](super::dispatch).
pub(super) const fn change(name: &'static str, who: &[Capability]) -> Method {
    method(name, who, Plan::Change)
}

/// It audits itself.
pub(super) const fn own(name: &'static str, who: &[Capability]) -> Method {
    method(name, who, Plan::Own)
}

/// It is open to everybody: it finds out by itself who asks, and what is theirs.
pub(super) const fn open(name: &'static str, plan: Plan) -> Method {
    Method {
        open: true,
        ..method(name, &[], plan)
    }
}

const fn method(name: &'static str, who: &[Capability], plan: Plan) -> Method {
    let who = CapabilitySet::of(who);
    let open = false;
    Method {
        name,
        who,
        open,
        plan,
    }
}

/// What a request is about: what a permission has to cover, and what the audit log shows.
#[derive(Debug)]
pub(crate) struct About {
    first: Target,
    more: Vec<Target>,
    shown: Shown,
}

/// What the audit log shows of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown {
    /// In words: names and ids, never a secret; empty for the server itself.
    pub(crate) object: String,
    /// The same in fields of their own, each bounded by itself.
    pub(crate) fields: AuditFields,
}

impl About {
    /// The server as a whole; shown as `object`: names and ids, never a secret.
    pub(super) fn server(object: impl Into<String>) -> Self {
        Self::new(Target::Server, object.into())
    }

    /// What everybody with the capability may ask, however limited.
    pub(super) fn anything() -> Self {
        Self::new(Target::Anything, String::new())
    }

    /// A gateway.
    pub(super) fn gateway(name: &str) -> Self {
        Self::new(Target::Gateway(name.to_owned()), format!("gateway {name}"))
            .with(AuditFields::gateway(name))
    }

    /// A resource.
    pub(super) fn resource(name: &str) -> Self {
        let object = format!("resource {name}");
        Self::new(Target::Resource(name.to_owned()), object).with(AuditFields::resource(name))
    }

    /// A call that was queued.
    pub(super) fn queued_call(id: &str) -> Self {
        Self::new(Target::QueuedCall(id.to_owned()), format!("call {id}"))
            .with(AuditFields::call(id))
    }

    /// `target`, shown as `object`.
    pub(super) fn new(target: Target, object: String) -> Self {
        Self {
            first: target,
            more: Vec::new(),
            shown: Shown {
                object,
                fields: AuditFields::default(),
            },
        }
    }

    /// With these fields.
    pub(super) fn with(mut self, fields: AuditFields) -> Self {
        self.shown.fields = fields;
        self
    }

    /// Shown as `object` in place of what would be.
    pub(super) fn shown_as(mut self, object: String) -> Self {
        self.shown.object = object;
        self
    }

    /// With these words after what is shown already.
    pub(super) fn shown_with(mut self, words: &str) -> Self {
        self.shown.object.push_str(words);
        self
    }

    /// It touches these, too, and a permission has to cover each.
    pub(super) fn and(mut self, targets: impl IntoIterator<Item = Target>) -> Self {
        self.more.extend(targets);
        self
    }

    /// All that a permission has to cover, and what the audit log shows.
    pub(super) fn into_parts(self) -> (Vec<Target>, Shown) {
        let mut targets = self.more;
        targets.insert(0, self.first);
        (targets, self.shown)
    }
}

/// A request that a message over the wire is, or makes.
pub(crate) trait FromMessage: Request {
    /// That message.
    type Message: Message + Default;

    /// The request that it makes.
    fn from_message(message: Self::Message) -> Self;
}

impl<M: Message + Default + Request> FromMessage for M {
    type Message = Self;

    fn from_message(message: Self) -> Self {
        message
    }
}

/// An answer: one message, or a stream of them.
pub(crate) trait Answer: Send + 'static {
    /// Each of them.
    type Message: Message + 'static;

    /// All of them, as they come.
    fn messages(self) -> Messages<Self::Message>;
}

impl<M: Message + 'static> Answer for M {
    type Message = Self;

    fn messages(self) -> Messages<Self> {
        Messages::new(tokio_stream::once(Ok(self)))
    }
}

impl<M: Message + 'static> Answer for Messages<M> {
    type Message = M;

    fn messages(self) -> Self {
        self
    }
}

/// Messages as they come.
pub(crate) struct Messages<M>(Pin<Box<dyn Stream<Item = Result<M, AdminError>> + Send>>);

impl<M> Messages<M> {
    /// Those of `stream`.
    pub(crate) fn new(stream: impl Stream<Item = Result<M, AdminError>> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }
}

impl<M> Stream for Messages<M> {
    type Item = Result<M, AdminError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

/// A front that offers every use case under its name. [`offer_all`](super::offer_all) tells it each
/// once.
pub(crate) trait Front {
    /// One that takes one message.
    fn offer<R: FromMessage>(&mut self);

    /// One that takes a stream of messages.
    fn offer_of_many<M, R>(&mut self)
    where
        M: Message + Default + 'static,
        R: Request + From<Messages<M>>;
}
