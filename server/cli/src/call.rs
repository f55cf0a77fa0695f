//! Calls on a resource, and what came of them.

use std::time::{Duration, SystemTime};

use clap::Args;
use data_encoding::HEXLOWER;
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::admin::v1::{ExecuteRequest, QueuedCall};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{
    Call, FailureKind, GetSchema, Object, ObjectClass, ObjectRef, Outcome, Schema, SearchItem,
};
use portcullis_proto::grpc::Messages;
use rand::RngExt;
use serde_json::{Value, json};

use crate::class::Class;
use crate::context::Context;
use crate::detail::insert_detail;
use crate::error::CliError;
use crate::input::assignment::Assignment;
use crate::input::typing::Typing;
use crate::pending::Pending;
use crate::view::View;
use crate::view::printable;

/// What stands before the name of a group where a resource is named; no resource's name begins so.
pub(crate) const GROUP: char = '@';

/// What every call takes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct CallArgs {
    /// How long the gateway may take; its own limit is never exceeded
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Your own id for this call, by which logs can be searched: 1 to 128 of A-Z a-z 0-9 . _ : -
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
    /// Queue the call: it is sent, once, when there is a link to its gateway. `portcullis call show
    /// ID` tells what came of it
    #[arg(long)]
    queue: bool,
}

/// What a search takes: its answer is wanted now, and it is never queued.
#[derive(Clone, Debug, Args)]
pub(crate) struct SearchCallArgs {
    /// How long the gateway may take; its own limit is never exceeded
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
    /// Your own id for this call, by which logs can be searched: 1 to 128 of A-Z a-z 0-9 . _ : -
    #[arg(long, value_name = "ID")]
    call_id: Option<String>,
}

impl SearchCallArgs {
    /// Those of the next call of several: the caller's own id is that of the first, and the others
    /// have random ones.
    pub(crate) fn take_identified(&mut self) -> CallArgs {
        let call_id = self.call_id.take().unwrap_or_else(random_call_id);
        CallArgs::with_timeout(self.timeout).with_id(call_id)
    }
}

impl From<SearchCallArgs> for CallArgs {
    fn from(args: SearchCallArgs) -> Self {
        Self {
            timeout: args.timeout,
            call_id: args.call_id,
            queue: false,
        }
    }
}

impl CallArgs {
    /// With a time limit, where there is one.
    pub(crate) fn with_timeout(timeout: Option<Duration>) -> Self {
        Self {
            timeout,
            call_id: None,
            queue: false,
        }
    }

    /// The caller's own id; empty: none was given.
    pub(crate) fn id(&self) -> &str {
        self.call_id.as_deref().unwrap_or_default()
    }

    /// With an id in any case: the caller's own, or a random one.
    pub(crate) fn identified(&self) -> Self {
        Self {
            queue: self.queue,
            ..self.with_id(self.call_id.clone().unwrap_or_else(random_call_id))
        }
    }

    /// For one of several calls that belong together.
    pub(crate) fn part(&self, call_id: String) -> Self {
        Self {
            queue: self.queue,
            ..self.with_id(call_id)
        }
    }

    /// With an id that is not the user's to choose.
    pub(crate) fn with_id(&self, call_id: String) -> Self {
        Self {
            timeout: self.timeout,
            call_id: Some(call_id),
            queue: false,
        }
    }
}

/// An object of a resource, by its name or its id.
#[derive(Clone, Debug, Args)]
pub(crate) struct TargetArgs {
    /// The resource; of a change also @GROUP, each resource of the group
    pub(crate) resource: String,
    #[command(flatten)]
    which: WhichArgs,
}

#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
struct WhichArgs {
    /// Its name
    name: Option<String>,
    /// Its id on the resource, in place of its name
    #[arg(long, value_name = "ID")]
    id: Option<String>,
}

impl TargetArgs {
    pub(crate) fn reference(&self, class: impl Into<Class>) -> ObjectRef {
        let by = match (&self.which.name, &self.which.id) {
            (Some(name), _) => Some(By::Name(name.clone())),
            (None, id) => id.clone().map(By::Id),
        };
        reference(class, by)
    }

    /// In words: `account ada`, or `account with id 1000`.
    pub(crate) fn phrase(&self, class: impl Into<Class>) -> String {
        let class = class.into();
        let class = class.word();
        match (&self.which.name, &self.which.id) {
            (Some(name), _) => format!("{class} {name}"),
            (None, id) => format!("{class} with id {}", id.as_deref().unwrap_or_default()),
        }
    }
}

/// An object of a class, as calls have it.
pub(crate) fn reference(class: impl Into<Class>, by: Option<By>) -> ObjectRef {
    let Class { class, name } = class.into();
    ObjectRef {
        object_class: class.into(),
        by,
        class_name: name,
    }
}

/// Makes calls on one resource.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    client: CallsClient,
    pending: Pending,
    resource: String,
    /// Whose password the call is to set.
    password_from_user: String,
}

impl Caller {
    /// For calls on this one resource.
    ///
    /// # Errors
    /// [`CliError::Usage`] where it is a group.
    pub(crate) async fn new(context: &Context, resource: String) -> Result<Self, CliError> {
        one_resource(&resource)?;
        Ok(Self {
            client: context.client(CallsClient::new).await?,
            pending: context.pending().clone(),
            resource,
            password_from_user: String::new(),
        })
    }

    /// One for another resource, over the same connection.
    pub(crate) fn on(&self, resource: String) -> Self {
        Self {
            resource,
            ..self.clone()
        }
    }

    /// From now on calls set the password of this user.
    pub(crate) fn with_password_of(mut self, user: String) -> Self {
        self.password_from_user = user;
        self
    }

    /// One call of any verb but `search`.
    ///
    /// # Errors
    /// [`CliError::CallFailed`] where nothing has changed, [`CliError::Indeterminate`] where nobody
    /// knows.
    pub(crate) async fn execute(
        &mut self,
        verb: Verb,
        args: &CallArgs,
    ) -> Result<Answer, CliError> {
        let changes = verb.changes();
        let request = self.request(verb, args)?;
        let call_id = call_id_of(&request);
        if args.queue || changes {
            self.pending.call(&call_id);
        }
        if args.queue {
            let queued = self.client.enqueue(request).await?.into_inner();
            return Ok(Answer {
                call_id,
                detail: None,
                queued: Some(queued),
            });
        }
        match self.client.execute(request).await {
            Ok(outcome) => Answer::from_outcome(outcome.into_inner()),
            Err(status) => Err(match CliError::from(status) {
                CliError::Lost { detail } if changes => CliError::Indeterminate {
                    call_id,
                    message: format!(
                        "the connection to the server was lost before it answered ({detail}): nobody knows whether the call was carried out; look at the object, then decide"
                    ),
                    server_lost: true,
                },
                error => error,
            }),
        }
    }

    /// One call of any verb but `search`, and what came of it printed: what came back, or else
    /// `sentence`.
    pub(crate) async fn tell(
        mut self,
        context: &Context,
        verb: Verb,
        args: &CallArgs,
        sentence: &str,
    ) -> Result<(), CliError> {
        self.execute(verb, args).await?.print(context, sentence)
    }

    /// One page of a search.
    pub(crate) async fn search(
        &mut self,
        verb: Verb,
        args: &CallArgs,
    ) -> Result<Messages<SearchItem>, CliError> {
        let request = self.request(verb, args)?;
        Ok(self.client.search(request).await?.into_inner())
    }

    /// One page of a sync.
    pub(crate) async fn sync(
        &mut self,
        verb: Verb,
        args: &CallArgs,
    ) -> Result<Messages<SearchItem>, CliError> {
        let request = self.request(verb, args)?;
        Ok(self.client.sync(request).await?.into_inner())
    }

    /// What the resource's connector takes.
    pub(crate) async fn schema(&mut self, args: &CallArgs) -> Result<Schema, CliError> {
        let answer = self.execute(Verb::Schema(GetSchema {}), args).await?;
        Ok(answer.schema().unwrap_or_default())
    }

    /// How the attributes of a class are typed. A connector without a schema leaves everything
    /// text; so does a gateway that is away from a call that is queued.
    pub(crate) async fn typing(
        &mut self,
        class: impl Into<Class>,
        args: &CallArgs,
    ) -> Result<Typing, CliError> {
        let queue = args.queue;
        // Not under the caller's id: that is the call's own.
        let args = args.with_id(random_call_id());
        match self.execute(Verb::Schema(GetSchema {}), &args).await {
            Ok(answer) => Ok(Typing::new(class, answer.schema())),
            Err(CliError::CallFailed {
                kind: FailureKind::Unsupported,
                ..
            }) => Ok(Typing::new(class, None)),
            Err(CliError::CallFailed {
                kind: FailureKind::Unavailable,
                ..
            }) if queue => Ok(Typing::new(class, None)),
            Err(error) => Err(error),
        }
    }

    /// The same, asked for only where a value comes without its type.
    pub(crate) async fn typing_for(
        &mut self,
        class: ObjectClass,
        assignments: impl IntoIterator<Item = &Assignment>,
        args: &CallArgs,
    ) -> Result<Typing, CliError> {
        let mut assignments = assignments.into_iter();
        if assignments.all(|assignment| assignment.to.value_type.is_some()) {
            return Ok(Typing::new(class, None));
        }
        self.typing(class, args).await
    }

    fn request(&self, verb: Verb, args: &CallArgs) -> Result<ExecuteRequest, CliError> {
        let timeout_ms = args
            .timeout
            .map(|timeout| u32::try_from(timeout.as_millis()))
            .transpose()
            .map_err(|_| CliError::usage("--timeout is too long: give at most 49d"))?
            .unwrap_or(0);
        Ok(ExecuteRequest {
            resource: self.resource.clone(),
            call: Some(Call {
                call_id: args.call_id.clone().unwrap_or_else(random_call_id),
                timeout_ms,
                verb: Some(verb),
                ..Call::default()
            }),
            password_from_user: self.password_from_user.clone(),
        })
    }
}

/// A call that was carried out.
#[derive(Debug)]
pub(crate) struct Answer {
    call_id: String,
    detail: Option<Detail>,
    /// It was not carried out yet, but queued.
    queued: Option<QueuedCall>,
}

impl Answer {
    fn from_outcome(outcome: Outcome) -> Result<Self, CliError> {
        let call_id = outcome.call_id;
        match outcome.result {
            Some(OutcomeResult::Done(done)) => Ok(Self {
                call_id,
                detail: done.detail,
                queued: None,
            }),
            Some(OutcomeResult::Failed(failure)) => Err(CliError::failed(call_id, failure)),
            Some(OutcomeResult::Indeterminate(indeterminate)) => Err(CliError::Indeterminate {
                call_id,
                message: indeterminate.message,
                server_lost: false,
            }),
            None => Err(CliError::BadAnswer("an outcome without a result")),
        }
    }

    /// The object that came back, if one did.
    pub(crate) fn object(self) -> Option<Object> {
        match self.detail {
            Some(Detail::Object(object)) => Some(object),
            _ => None,
        }
    }

    /// As what it stands in the outcome of several: it is done, or only queued.
    pub(crate) fn word(&self) -> &'static str {
        match self.queued {
            Some(_) => "queued",
            None => "done",
        }
    }

    /// What the resource had to report; empty: nothing.
    pub(crate) fn report(&self) -> &str {
        match &self.detail {
            Some(Detail::Report(report)) => report,
            _ => "",
        }
    }

    /// Adds what came back to what programs get.
    pub(crate) fn insert_into(&self, out: &mut Value) {
        insert_detail(out, self.detail.as_ref());
    }

    /// Refuses the code other than 0 with which an action ended.
    pub(crate) fn action_verdict(&self, pass: bool) -> Result<(), CliError> {
        match &self.detail {
            Some(Detail::Run(run)) if run.exit_code != 0 => Err(CliError::ActionFailed {
                call_id: self.call_id.clone(),
                code: run.exit_code,
                pass,
            }),
            _ => Ok(()),
        }
    }

    fn schema(self) -> Option<Schema> {
        match self.detail {
            Some(Detail::Schema(schema)) => Some(schema),
            _ => None,
        }
    }

    /// Prints what came of it: the detail that came back, or else `sentence`.
    pub(crate) fn print(&self, context: &Context, sentence: &str) -> Result<(), CliError> {
        if let Some(queued) = &self.queued {
            return context.print(queued);
        }
        context.print(&Printed {
            answer: self,
            sentence,
        })
    }
}

struct Printed<'a> {
    answer: &'a Answer,
    sentence: &'a str,
}

impl View for Printed<'_> {
    fn table(&self, now: SystemTime) -> String {
        match &self.answer.detail {
            Some(Detail::Object(object)) => object.table(now),
            Some(Detail::Schema(schema)) => schema.table(now),
            Some(Detail::Run(run)) => run.table(now),
            Some(Detail::Report(report)) if !report.is_empty() => printable(report),
            Some(Detail::Report(_)) | None => printable(self.sentence),
        }
    }

    fn json(&self) -> Value {
        let mut out = json!({ "call_id": self.answer.call_id, "outcome": "done" });
        insert_detail(&mut out, self.answer.detail.as_ref());
        out
    }
}

/// Refuses a group where one resource is to be named.
pub(crate) fn one_resource(name: &str) -> Result<(), CliError> {
    match name.strip_prefix(GROUP) {
        Some(group) => Err(CliError::Usage(format!(
            "{name} stands for all resources of a group, and this command is about one: give it for each of those that `portcullis resource list --group {group}` lists"
        ))),
        None => Ok(()),
    }
}

/// An id for a call that nobody named.
pub(crate) fn random_call_id() -> String {
    format!("cli-{}", HEXLOWER.encode(&rand::rng().random::<[u8; 16]>()))
}

fn call_id_of(request: &ExecuteRequest) -> String {
    request
        .call
        .as_ref()
        .map(|call| call.call_id.clone())
        .unwrap_or_default()
}
