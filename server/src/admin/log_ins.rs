//! How users get in, and who is in.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::Secret;

use super::LOOK;
use super::authorize::refuse;
use super::context::Context;
use super::convert::{self, millis};
use super::dispatch::seen_elsewhere;
use super::error::AdminError;
use super::names;
use super::request::{About, Front, Method, Plan, Request, Shown, Withdraws, open};
use super::users::{password, secret};
use crate::access::{Caller, Target};
use crate::audit::{Draft, Outcome};
use crate::config::Capability::{self, Administrator, SecurityAdministrator};
use crate::config::CapabilitySet;
use crate::login::application::{API, Application, applications};
use crate::login::{Attempt, LoggedIn, NotLoggedIn, Refusal, Why, log_in, log_out, terms};
use crate::repository::{AuditFields, Session};

/// Sessions in one answer.
const MAX_PAGE: u32 = 1_000;

/// Who ends anybody's session.
const END: &[Capability] = &[SecurityAdministrator, Administrator];

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::LogInRequest>();
    front.offer::<proto::LogOutRequest>();
    front.offer::<proto::ListSessionsRequest>();
    front.offer::<proto::EndSessionRequest>();
}

impl Request for proto::LogInRequest {
    type Answer = proto::LogInResponse;

    /// Its entry names the user where there is one, whom the caller is not told of.
    const METHOD: Method = open("Login/LogIn", Plan::Own);

    fn about(&self) -> About {
        About::anything()
    }

    async fn run(self, context: &Context) -> Result<proto::LogInResponse, AdminError> {
        context.services.audit.ready().await?;
        let asked = async {
            let (user, password) = (names::user(&self.user)?, password(self.password)?);
            Ok((
                user,
                password,
                application(context, &self.application).await?,
            ))
        };
        let (name, password, application) = match asked.await {
            Ok(asked) => asked,
            Err(error) => {
                let what = (Self::METHOD.name, "an unknown user");
                return Err(failed(context, what, error).await);
            }
        };
        let repository = &context.services.repository;
        let attempt = Attempt {
            application: &application,
            user: name,
            from: &context.caller.from,
        };
        // What was typed may be a password: the log names those alone who are there.
        let there = repository.users().find(name).await?.is_some();
        match log_in(repository, attempt, &password).await {
            Ok(logged_in) => {
                let session = &logged_in.session;
                let detail = format!("{}; session {session}", logged_in.trail);
                note(context, there.then_some(name), Outcome::Done, &detail).await;
                if application.single_session {
                    seen_elsewhere(&context.services, Withdraws::Again).await?;
                }
                answer(context, logged_in).await
            }
            Err(NotLoggedIn { why, trail }) => {
                let outcome = match why {
                    Why::Repository(_) => Outcome::Failed,
                    Why::Wrong | Why::Wait(_) | Why::Disabled { .. } | Why::Unavailable => {
                        Outcome::Refused
                    }
                };
                let detail = match trail.as_str() {
                    "" => why.to_string(),
                    trail => format!("{trail}; {why}"),
                };
                note(context, there.then_some(name), outcome, &detail).await;
                Err(why.into())
            }
        }
    }
}

/// The application of this name; empty: that of programs and of the command.
async fn application(context: &Context, name: &str) -> Result<Application, AdminError> {
    let rows = context.services.repository.login_setup().read().await?;
    let name = if name.is_empty() { API } else { name };
    let found = applications(&rows)?.remove(name);
    found
        .ok_or_else(|| AdminError::NotFound("there is no such application to log in to".to_owned()))
}

async fn answer(context: &Context, in_: LoggedIn) -> Result<proto::LogInResponse, AdminError> {
    let administrators = context.services.repository.administrators();
    let held = administrators.held_by(&in_.user).await?;
    tracing::info!(
        user = in_.user,
        session = in_.session,
        "a user has logged in"
    );
    Ok(proto::LogInResponse {
        session_id: in_.session,
        session: Some(Secret::plain(in_.secret.text().as_bytes().to_vec())),
        user: in_.user,
        capabilities: convert::names(held.unwrap_or_default()),
        idle_ms: in_.limits.idle_ms,
        absolute_ms: in_.limits.absolute_ms,
    })
}

/// Who tried, as whom, from where, and what each module came to.
async fn note(context: &Context, user: Option<&str>, outcome: Outcome, detail: &str) {
    let Caller { subject, from, .. } = &context.caller;
    let object = match user {
        Some(user) => format!("user {user}"),
        None => "an unknown user".to_owned(),
    };
    let action = <proto::LogInRequest as Request>::METHOD.name;
    let draft = Draft::new(subject.clone(), action, &object, outcome)
        .about(AuditFields::user(user.unwrap_or_default()))
        .detail(&format!("from {}: {detail}", from.address));
    let audit = &context.services.audit;
    match outcome {
        Outcome::Refused => audit.refused(draft).await,
        _ => drop(audit.record(draft).await),
    }
}

impl Request for proto::LogOutRequest {
    type Answer = proto::LogOutResponse;

    const METHOD: Method = open("Login/LogOut", Plan::Own);

    fn about(&self) -> About {
        About::anything()
    }

    async fn run(self, context: &Context) -> Result<proto::LogOutResponse, AdminError> {
        let services = &context.services;
        services.audit.ready().await?;
        let presented = secret(self.session);
        let text = str::from_utf8(&presented).unwrap_or_default();
        let session = match log_out(&services.repository, text).await {
            Ok(session) => session,
            Err(refusal) => {
                let what = (Self::METHOD.name, "a session");
                return Err(failed(context, what, refusal.into()).await);
            }
        };
        ended(context, Self::METHOD.name, &session).await?;
        Ok(proto::LogOutResponse {
            session_id: session.id,
        })
    }
}

impl Request for proto::ListSessionsRequest {
    type Answer = proto::ListSessionsResponse;

    const METHOD: Method = open("Login/ListSessions", Plan::Read);

    fn about(&self) -> About {
        About::anything()
    }

    async fn run(self, context: &Context) -> Result<proto::ListSessionsResponse, AdminError> {
        let limit = match self.limit {
            0 => MAX_PAGE,
            limit => limit.min(MAX_PAGE),
        };
        let of = whose(context, LOOK, Self::METHOD).await?;
        let wanted = Some(self.user).filter(|user| !user.is_empty());
        let of = match (of, wanted) {
            (Some(own), Some(other)) if own != other => {
                return Ok(proto::ListSessionsResponse::default());
            }
            (own, wanted) => own.or(wanted),
        };
        let sessions = context.services.repository.sessions();
        let mut found = sessions.list(of.as_deref(), &self.after, limit + 1).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok(proto::ListSessionsResponse {
            sessions: found.into_iter().map(message).collect(),
            more,
        })
    }
}

impl Request for proto::EndSessionRequest {
    type Answer = proto::EndSessionResponse;

    const METHOD: Method = open("Login/EndSession", Plan::Own);

    fn about(&self) -> About {
        About::anything().shown_as(format!("session {}", self.id))
    }

    async fn run(self, context: &Context) -> Result<proto::EndSessionResponse, AdminError> {
        let of = whose(context, END, Self::METHOD).await?;
        context.services.audit.ready().await?;
        let sessions = context.services.repository.sessions();
        let ended_one = match sessions.end(&self.id, of.as_deref()).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(AdminError::NotFound(
                "there is no such session, or it is over: `portcullis session list` shows those there are".to_owned(),
            )),
            Err(error) => Err(error.into()),
        };
        let session = match ended_one {
            Ok(session) => session,
            Err(error) => {
                let object = format!("session {}", self.id);
                return Err(failed(context, (Self::METHOD.name, &object), error).await);
            }
        };
        ended(context, Self::METHOD.name, &session).await?;
        Ok(proto::EndSessionResponse {})
    }
}

/// Whose sessions the caller may look at or end; `None`: everybody's.
async fn whose(
    context: &Context,
    wanted: &[Capability],
    method: Method,
) -> Result<Option<String>, AdminError> {
    let (caller, services) = (&context.caller, &*context.services);
    let who = CapabilitySet::of(wanted);
    let repository = &services.repository;
    let missing = caller
        .not_covered(who, &[Target::Server], repository)
        .await?;
    if missing.is_none() {
        return Ok(None);
    }
    if let Some(user) = caller.subject.identity() {
        return Ok(Some(user.to_owned()));
    }
    let message = format!(
        "user {} has no session here, and others' need one of the capabilities {who}: log in first (`portcullis login`)",
        caller.subject
    );
    let reason = format!("others' sessions need {who}; has {}", caller.held());
    let what = (method.name, &Shown::default());
    Err(refuse(services, caller, what, &reason, message).await)
}

/// Nothing was done: the log says who wanted it, and a flood of such does not fill it. Gives the
/// error as it came.
async fn failed(
    context: &Context,
    (action, object): (&str, &str),
    error: AdminError,
) -> AdminError {
    let Caller { subject, from, .. } = &context.caller;
    let draft = Draft::new(subject.clone(), action, object, Outcome::Refused)
        .detail(&format!("from {}: {error}", from.address));
    context.services.audit.refused(draft).await;
    error
}

/// A session has ended: the log says whose, and every server goes by it.
async fn ended(context: &Context, action: &str, session: &Session) -> Result<(), AdminError> {
    let Session { id, user, .. } = session;
    let Caller { subject, from, .. } = &context.caller;
    let object = format!("session {id} of user {user}");
    let draft = Draft::new(subject.clone(), action, &object, Outcome::Done)
        .about(AuditFields::user(user))
        .detail(&format!("from {}", from.address));
    context.services.audit.record(draft).await;
    tracing::info!(user, session = id, "a session was ended");
    seen_elsewhere(&context.services, Withdraws::Again).await
}

fn message(session: Session) -> proto::Session {
    let (limits, times) = terms(&session);
    proto::Session {
        id: session.id,
        user: session.user,
        application: session.application,
        made_unix_ms: millis(session.made),
        used_unix_ms: millis(session.used),
        expires_unix_ms: millis(limits.expires(times)),
        address: session.address,
        method: session.method,
    }
}

impl From<Why> for AdminError {
    fn from(why: Why) -> Self {
        match why {
            Why::Wrong => Self::Refused(why.to_string()),
            Why::Wait(_) => Self::Exhausted(why.to_string()),
            Why::Disabled { .. } => Self::Precondition(why.to_string()),
            Why::Unavailable => Self::Unavailable(why.to_string()),
            Why::Repository(error) => error.into(),
        }
    }
}

impl From<Refusal> for AdminError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Repository(error) => error.into(),
            other => Self::Refused(other.to_string()),
        }
    }
}
