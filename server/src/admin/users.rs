//! The people of the identity system. Their passwords go in, and never come out here.

use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::Secret;
use zeroize::Zeroizing;

use super::context::Context;
use super::convert;
use super::error::AdminError;
use super::names;
use super::request::{About, Front, Method, Request, Withdraws, change, read};
use crate::config::Capability::{self, Administrator, Auditor, Operator, SecurityAdministrator};
use crate::config::CapabilitySet;
use crate::passwords::users;
use crate::repository::AuditFields;

/// Users in one answer.
const MAX_PAGE: u32 = 1_000;
/// Bytes of a password.
const MAX_PASSWORD: usize = 4_096;

const LOOK: &[Capability] = &[Administrator, Operator, Auditor];

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::AddUserRequest>();
    front.offer::<proto::ListUsersRequest>();
    front.offer::<proto::ShowUserRequest>();
    front.offer::<proto::RemoveUserRequest>();
    front.offer::<proto::SetUserPasswordRequest>();
    front.offer::<proto::CheckUserPasswordRequest>();
    front.offer::<proto::SetAnswerRequest>();
    front.offer::<proto::CheckAnswerRequest>();
    front.offer::<proto::RemoveAnswerRequest>();
    front.offer::<proto::GrantToUserRequest>();
    front.offer::<proto::WithdrawFromUserRequest>();
}

impl Request for proto::AddUserRequest {
    type Answer = proto::User;

    const METHOD: Method = change("Users/Add", &[Administrator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::User, AdminError> {
        let name = self.name;
        names::user(&name)?;
        let users = context.services.repository.users();
        let user = users.add(&name, clock::now()).await?;
        tracing::info!(user = name, "added a user");
        Ok(convert::user(user, CapabilitySet::default()))
    }
}

impl Request for proto::ListUsersRequest {
    type Answer = proto::ListUsersResponse;

    const METHOD: Method = read("Users/List", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListUsersResponse, AdminError> {
        let limit = if self.limit == 0 {
            MAX_PAGE
        } else {
            self.limit.min(MAX_PAGE)
        };
        let users = context.services.repository.users();
        let mut found = users.list(&self.after, limit + 1).await?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let administrators = context.services.repository.administrators();
        let mut users = Vec::with_capacity(found.len());
        for user in found {
            // One that was changed by hand gives nothing, and hides nobody.
            let held = administrators.held_by(&user.name).await.ok().flatten();
            users.push(convert::user(user, held.unwrap_or_default()));
        }
        Ok(proto::ListUsersResponse { users, more })
    }
}

impl Request for proto::ShowUserRequest {
    type Answer = proto::User;

    const METHOD: Method = read("Users/Show", LOOK);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::User, AdminError> {
        shown(context, &self.name).await
    }
}

impl Request for proto::RemoveUserRequest {
    type Answer = proto::RemoveUserResponse;

    const METHOD: Method = change("Users/Remove", &[Administrator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::RemoveUserResponse, AdminError> {
        context
            .services
            .repository
            .users()
            .remove(&self.name)
            .await?;
        tracing::info!(user = self.name, "removed a user");
        Ok(proto::RemoveUserResponse {})
    }
}

impl Request for proto::SetUserPasswordRequest {
    type Answer = proto::User;

    const METHOD: Method = change("Users/SetPassword", &[Administrator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::User, AdminError> {
        let password = password(self.password)?;
        context.may_become(Self::METHOD, &self.name).await?;
        users::set_password(&context.services.repository, &self.name, password).await?;
        tracing::info!(user = self.name, "a user has a new password");
        shown(context, &self.name).await
    }
}

impl Request for proto::CheckUserPasswordRequest {
    type Answer = proto::CheckResponse;

    const METHOD: Method = change("Users/CheckPassword", &[Administrator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::CheckResponse, AdminError> {
        let password = password(self.password)?;
        context.may_become(Self::METHOD, &self.name).await?;
        let repository = &context.services.repository;
        let matches = users::check_password(repository, &self.name, &password).await?;
        if !matches {
            context.note.add("wrong");
            tracing::warn!(user = self.name, "a wrong password was tried for a user");
        }
        Ok(proto::CheckResponse { matches })
    }
}

impl Request for proto::SetAnswerRequest {
    type Answer = proto::User;

    const METHOD: Method = change("Users/SetAnswer", &[Administrator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::User, AdminError> {
        let answer = secret(self.answer);
        let repository = &context.services.repository;
        users::set_answer(repository, &self.name, &self.question, &answer).await?;
        tracing::info!(user = self.name, "a user has a new answer");
        shown(context, &self.name).await
    }
}

impl Request for proto::CheckAnswerRequest {
    type Answer = proto::CheckResponse;

    const METHOD: Method = change("Users/CheckAnswer", &[Administrator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::CheckResponse, AdminError> {
        let answer = secret(self.answer);
        let repository = &context.services.repository;
        let matches = users::check_answer(repository, &self.name, &self.question, &answer).await?;
        if !matches {
            context.note.add("wrong");
            tracing::warn!(user = self.name, "a wrong answer was tried for a user");
        }
        Ok(proto::CheckResponse { matches })
    }
}

impl Request for proto::RemoveAnswerRequest {
    type Answer = proto::User;

    const METHOD: Method = change("Users/RemoveAnswer", &[Administrator]);

    fn about(&self) -> About {
        about(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::User, AdminError> {
        let repository = &context.services.repository;
        let removed = users::remove_answer(repository, &self.name, &self.question).await?;
        if !removed {
            return Err(AdminError::NotFound(format!(
                "no answer to that question is kept for user `{0}`: `portcullis user show {0}` lists the questions",
                self.name
            )));
        }
        tracing::info!(user = self.name, "removed a user's answer");
        shown(context, &self.name).await
    }
}

/// Who gives rights may have all of them: only those who may do it with keys do it.
impl Request for proto::GrantToUserRequest {
    type Answer = proto::User;

    const METHOD: Method = change("Users/Grant", &[SecurityAdministrator]);

    fn about(&self) -> About {
        about(&self.name).shown_with(&format!(", {}", self.capability))
    }

    async fn run(self, context: &Context) -> Result<proto::User, AdminError> {
        let capability = capability(&self.capability)?;
        let administrators = context.services.repository.administrators();
        if administrators.set(&self.name, capability, true).await? {
            tracing::info!(user = self.name, %capability, "a user has another capability");
        }
        shown(context, &self.name).await
    }
}

impl Request for proto::WithdrawFromUserRequest {
    type Answer = proto::User;

    const METHOD: Method = change("Users/Withdraw", &[SecurityAdministrator]);

    fn about(&self) -> About {
        about(&self.name).shown_with(&format!(", {}", self.capability))
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::User, AdminError> {
        let capability = capability(&self.capability)?;
        let administrators = context.services.repository.administrators();
        if administrators.set(&self.name, capability, false).await? {
            tracing::info!(user = self.name, %capability, "a user lost a capability");
        }
        shown(context, &self.name).await
    }
}

fn capability(name: &str) -> Result<Capability, AdminError> {
    let found = Capability::ALL.into_iter().find(|one| one.name() == name);
    found.ok_or_else(|| {
        AdminError::Malformed(format!("a capability is one of {}", CapabilitySet::ALL))
    })
}

/// A user: people belong to no resource and to no gateway.
fn about(name: &str) -> About {
    About::server(format!("user {name}")).with(AuditFields::user(name))
}

async fn shown(context: &Context, name: &str) -> Result<proto::User, AdminError> {
    let user = context.services.repository.users().find(name).await?;
    let user = user.ok_or_else(|| AdminError::no_such("user", name))?;
    let administrators = context.services.repository.administrators();
    let held = administrators.held_by(name).await?.unwrap_or_default();
    Ok(convert::user(user, held))
}

/// The bytes of a secret, moved rather than copied.
pub(super) fn secret(secret: Option<Secret>) -> Zeroizing<Vec<u8>> {
    let mut secret = secret.unwrap_or_default();
    Zeroizing::new(std::mem::take(&mut secret.value))
}

/// A password of a sensible length.
pub(super) fn password(given: Option<Secret>) -> Result<Zeroizing<Vec<u8>>, AdminError> {
    let password = secret(given);
    if (1..=MAX_PASSWORD).contains(&password.len()) {
        return Ok(password);
    }
    Err(AdminError::Malformed(format!(
        "a password has 1 to {MAX_PASSWORD} bytes"
    )))
}
