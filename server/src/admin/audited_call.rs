//! The one entry that a call on a resource leaves, once it is over.

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, ObjectClass, ObjectRef, Outcome, SearchEnd};

use super::context::Context;
use super::error::AdminError;
use crate::audit::{self, AuditError, AuditLog, Draft};

/// A call under way. Dropped before its outcome is known, it leaves the entry `unknown`.
pub(super) struct AuditedCall {
    log: AuditLog,
    /// `None`: nothing is to be written any more, or calls are not audited.
    draft: Option<Draft>,
}

impl AuditedCall {
    /// Makes sure that the entry will find its place before the call is sent.
    ///
    /// # Errors
    /// [`AuditError`]: the call is not to be sent.
    pub(super) async fn begin(
        context: &Context,
        resource: &str,
        call: &Call,
        password_from_user: &str,
    ) -> Result<Self, AuditError> {
        let log = &context.services.audit;
        let draft = log.calls().then(|| {
            let (verb, object) = describe(call);
            let password = password_of(password_from_user);
            let object = format!(
                "resource {resource}{object}{password}, call {}",
                call.call_id
            );
            let action = format!("call {verb}");
            let subject = context.caller.subject.clone();
            Draft::new(subject, &action, &object, audit::Outcome::Unknown)
        });
        if draft.is_some() {
            log.ready().await?;
        }
        Ok(Self {
            log: log.clone(),
            draft,
        })
    }

    /// Writes how the call ended.
    pub(super) async fn outcome(self, outcome: &Outcome) {
        match &outcome.result {
            Some(OutcomeResult::Failed(failure)) => {
                self.end(audit::Outcome::Failed, &failure.message).await;
            }
            Some(OutcomeResult::Indeterminate(indeterminate)) => {
                self.end(audit::Outcome::Indeterminate, &indeterminate.message)
                    .await;
            }
            Some(_) => self.end(audit::Outcome::Done, "").await,
            None => self.end(audit::Outcome::Indeterminate, "").await,
        }
    }

    /// Writes how the search ended.
    pub(super) async fn search_end(self, end: &SearchEnd) {
        match &end.failure {
            Some(failure) => self.end(audit::Outcome::Failed, &failure.message).await,
            None => self.end(audit::Outcome::Done, "").await,
        }
    }

    /// Writes that the call was not even sent, and why.
    pub(super) async fn not_sent(self, error: impl Into<AdminError>) -> AdminError {
        let error = error.into();
        self.end(audit::Outcome::Failed, &error.to_string()).await;
        error
    }

    async fn end(mut self, outcome: audit::Outcome, detail: &str) {
        if let Some(draft) = self.draft.take() {
            self.log.record(draft.ended(outcome).detail(detail)).await;
        }
    }
}

impl Drop for AuditedCall {
    fn drop(&mut self) {
        if let Some(draft) = self.draft.take() {
            let why = "whoever asked went away before its outcome was known";
            self.log.record_later(draft.detail(why));
        }
    }
}

/// Whose password an account is given.
pub(super) fn password_of(user: &str) -> String {
    match user {
        "" => String::new(),
        user => format!(", password of user {user}"),
    }
}

/// The verb, and the object that it is about: `, account ada`.
pub(super) fn describe(call: &Call) -> (&'static str, String) {
    let by = |object: Option<&ObjectRef>| {
        let Some(ObjectRef { object_class, by }) = object else {
            return String::new();
        };
        match by {
            Some(By::Id(id)) => format!(", {} with id {id}", class(*object_class)),
            Some(By::Name(name)) => format!(", {} {name}", class(*object_class)),
            None => String::new(),
        }
    };
    match &call.verb {
        None => ("unknown", String::new()),
        Some(Verb::Test(_)) => ("test", String::new()),
        Some(Verb::Schema(_)) => ("schema", String::new()),
        Some(Verb::Create(verb)) => (
            "create",
            format!(", {} {}", class(verb.object_class), verb.name),
        ),
        Some(Verb::Get(verb)) => ("get", by(verb.object.as_ref())),
        Some(Verb::Update(verb)) => ("update", by(verb.object.as_ref())),
        Some(Verb::Delete(verb)) => ("delete", by(verb.object.as_ref())),
        Some(Verb::Enable(verb)) => ("enable", by(verb.object.as_ref())),
        Some(Verb::Disable(verb)) => ("disable", by(verb.object.as_ref())),
        Some(Verb::SetPassword(verb)) => ("set-password", by(verb.object.as_ref())),
        Some(Verb::Authenticate(verb)) => ("authenticate", by(verb.object.as_ref())),
        Some(Verb::Rename(verb)) => (
            "rename",
            format!("{} to {}", by(verb.object.as_ref()), verb.new_name),
        ),
        Some(Verb::Search(verb)) => ("search", format!(", {}s", class(verb.object_class))),
        Some(Verb::Run(verb)) => ("run", format!(", action {}", verb.action)),
    }
}

fn class(number: i32) -> &'static str {
    match ObjectClass::try_from(number) {
        Ok(ObjectClass::Account) => "account",
        Ok(ObjectClass::Group) => "group",
        Ok(ObjectClass::Unspecified) | Err(_) => "object",
    }
}
