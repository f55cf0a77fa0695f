//! Who may do what: decided here, once for every request, before it is carried out.

use super::context::Context;
use super::error::AdminError;
use super::request::{Method, Shown};
use crate::access::{Authentication, Caller, Permission, Target};
use crate::audit::{Draft, Outcome};
use crate::config::{Capability, CapabilitySet};
use crate::services::Services;

/// Whether `caller` holds a capability for `method` at all: what a front can ask before it reads
/// the request. [`dispatch`](super::dispatch) asks again, and whether it holds where it has to.
///
/// # Errors
/// [`AdminError::Refused`], which is in the audit log then.
pub(crate) async fn admit(
    services: &Services,
    caller: &Caller,
    method: Method,
    shown: &Shown,
) -> Result<(), AdminError> {
    let held = caller.held();
    if method.open || method.who.meets(held) {
        return Ok(());
    }
    let Method { name, who, .. } = method;
    let subject = &caller.subject;
    let has = match held.iter().next() {
        None => "nothing".to_owned(),
        Some(_) => held.to_string(),
    };
    let message = match caller.authentication {
        Authentication::Session => format!(
            "{subject} may not call {name}: it needs {} {who}, and this user has {has}; `portcullis user grant` gives them",
            one_of(who)
        ),
        Authentication::UnixPeer | Authentication::OtherServer => format!(
            "user {subject} may not call {name}: it needs {} {who}, and this user has {has}; [capabilities] of the server's configuration gives them",
            one_of(who)
        ),
        Authentication::Unknown => {
            "the system does not say which user this is: connect through the server's Unix socket"
                .to_owned()
        }
    };
    let reason = format!("needs {who}; has {has}");
    Err(refuse(services, caller, (name, shown), &reason, message).await)
}

/// May `caller` make a request for `method` that touches `targets`?
///
/// # Errors
/// [`AdminError::Refused`], which is in the audit log then; another where nobody can tell.
pub(super) async fn authorize(
    services: &Services,
    caller: &Caller,
    method: Method,
    targets: &[Target],
    shown: &Shown,
) -> Result<(), AdminError> {
    admit(services, caller, method, shown).await?;
    if method.open {
        return Ok(());
    }
    let Method { name, who, .. } = method;
    let repository = &services.repository;
    let Some(target) = caller.not_covered(who, targets, repository).await? else {
        return Ok(());
    };
    let has = caller
        .giving(who)
        .map(|Permission { capability, scope }| format!("{capability} on {scope}"));
    let has = has.collect::<Vec<_>>().join(", ");
    let message = format!(
        "user {} may not call {name} on {target}: it needs {} {who} there, and this user has {has}",
        caller.subject,
        one_of(who)
    );
    let reason = format!("needs {who} on {target}; has {has}");
    Err(refuse(services, caller, (name, shown), &reason, message).await)
}

/// What is in no table is there for nobody. The audit log shows who looked for it.
pub(crate) async fn refuse_unknown(services: &Services, caller: &Caller) -> AdminError {
    let what = ("unknown method", &Shown::default());
    refuse(services, caller, what, "", String::new()).await;
    AdminError::Unsupported(
        "this server has no such method: is the client of a newer version than the server?"
            .to_owned(),
    )
}

impl Context {
    /// Whether the caller may do what gives them the password of `user`, and so all that this user
    /// may do: they hold all of it themselves. A user who is not there may do nothing.
    ///
    /// # Errors
    /// [`AdminError::Refused`], which is in the audit log then.
    pub(super) async fn may_become(&self, method: Method, user: &str) -> Result<(), AdminError> {
        let (caller, services) = (&self.caller, &*self.services);
        let repository = &services.repository;
        let held = repository.administrators().held_by(user).await?;
        for wanted in held.unwrap_or_default().iter() {
            let who = CapabilitySet::of(&[wanted]);
            let targets = [Target::Server];
            let missing = caller.not_covered(who, &targets, repository).await?;
            if missing.is_some() {
                let reason = format!("user {user} holds {wanted}; has {}", caller.held());
                let message = format!(
                    "user {user} holds the capability {wanted}, which {} does not: whoever has it may do this, or takes it from the user first (`portcullis user withdraw {user} {wanted}`)",
                    caller.subject
                );
                let shown = Shown::default();
                let what = (method.name, &shown);
                return Err(refuse(services, caller, what, &reason, message).await);
            }
        }
        Ok(())
    }

    /// The user whose password `method` is to use, where it names one, and provided that the caller
    /// may have it used. Whoever may put anybody's password on an account of their choice can guess
    /// it there.
    ///
    /// # Errors
    /// [`AdminError::Refused`], which is in the audit log then.
    pub(super) async fn password_of_user<'a>(
        &self,
        method: Method,
        user: &'a str,
        shown: &Shown,
    ) -> Result<Option<&'a str>, AdminError> {
        if user.is_empty() {
            return Ok(None);
        }
        let (caller, services) = (&self.caller, &*self.services);
        let wanted = Capability::Administrator;
        let who = CapabilitySet::of(&[wanted]);
        let repository = &services.repository;
        let missing = caller
            .not_covered(who, &[Target::Server], repository)
            .await?;
        if missing.is_none() {
            self.may_become(method, user).await?;
            return Ok(Some(user));
        }
        let (subject, held) = (&caller.subject, caller.held());
        let reason = format!("the password of a user needs {wanted}, too; has {held}");
        let message = format!(
            "user {subject} may not give an account the password of a user: that needs the capability {wanted}, too, and this user has {held}; give another password, or have an administrator do it"
        );
        Err(refuse(services, caller, (method.name, shown), &reason, message).await)
    }
}

impl Context {
    /// Refuses who does not hold another capability everywhere, which `what` beside the request
    /// itself takes.
    ///
    /// # Errors
    /// [`AdminError::Refused`], which is in the audit log then.
    pub(super) async fn needs(
        &self,
        wanted: Capability,
        method: Method,
        what: &str,
    ) -> Result<(), AdminError> {
        let (caller, services) = (&self.caller, &*self.services);
        let who = CapabilitySet::of(&[wanted]);
        let repository = &services.repository;
        let missing = caller
            .not_covered(who, &[Target::Server], repository)
            .await?;
        if missing.is_none() {
            return Ok(());
        }
        let (subject, held) = (&caller.subject, caller.held());
        let reason = format!("{what} needs {wanted}, too; has {held}");
        let message = format!(
            "user {subject} may not see {what}: that needs the capability {wanted}, too, and this user has {held}"
        );
        let shown = Shown::default();
        Err(refuse(services, caller, (method.name, &shown), &reason, message).await)
    }
}

const fn one_of(who: CapabilitySet) -> &'static str {
    if who.is_one() {
        "the capability"
    } else {
        "one of the capabilities"
    }
}

/// Writes into the audit log what was refused, and why, and gives the caller `message`.
pub(super) async fn refuse(
    services: &Services,
    caller: &Caller,
    (action, shown): (&str, &Shown),
    reason: &str,
    message: String,
) -> AdminError {
    let subject = caller.subject.clone();
    let draft = Draft::new(subject, action, &shown.object, Outcome::Refused);
    let draft = draft.about(shown.fields.clone()).detail(reason);
    services.audit.refused(draft).await;
    AdminError::Refused(message)
}
