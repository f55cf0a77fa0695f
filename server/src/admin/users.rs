//! The people of the identity system. Their passwords go in, and never come out here.

use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::users_server::Users;
use portcullis_proto::gateway::v1::Secret;
use tonic::{Request, Response, Status};
use zeroize::Zeroizing;

use super::convert;
use super::error::{not_found, of_password, of_repository};
use super::names;
use super::note::Note;
use crate::passwords::users;
use crate::services::Services;

/// Users in one answer.
const MAX_PAGE: u32 = 1_000;
/// Bytes of a password.
const MAX_PASSWORD: usize = 4_096;

/// `portcullis.admin.v1.Users`
pub(crate) struct UsersApi(pub(crate) Services);

#[tonic::async_trait]
impl Users for UsersApi {
    async fn add(
        &self,
        request: Request<proto::AddUserRequest>,
    ) -> Result<Response<proto::User>, Status> {
        let name = request.into_inner().name;
        names::user(&name)?;
        let users = self.0.repository.users();
        let user = users
            .add(&name, clock::now())
            .await
            .map_err(|error| of_repository(&error))?;
        tracing::info!(user = name, "added a user");
        Ok(Response::new(convert::user(user)))
    }

    async fn list(
        &self,
        request: Request<proto::ListUsersRequest>,
    ) -> Result<Response<proto::ListUsersResponse>, Status> {
        let proto::ListUsersRequest { after, limit } = request.into_inner();
        let limit = if limit == 0 {
            MAX_PAGE
        } else {
            limit.min(MAX_PAGE)
        };
        let users = self.0.repository.users();
        let mut found = users
            .list(&after, limit + 1)
            .await
            .map_err(|error| of_repository(&error))?;
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        Ok(Response::new(proto::ListUsersResponse {
            users: found.into_iter().map(convert::user).collect(),
            more,
        }))
    }

    async fn show(
        &self,
        request: Request<proto::ShowUserRequest>,
    ) -> Result<Response<proto::User>, Status> {
        self.shown(&request.into_inner().name).await
    }

    async fn remove(
        &self,
        request: Request<proto::RemoveUserRequest>,
    ) -> Result<Response<proto::RemoveUserResponse>, Status> {
        let name = request.into_inner().name;
        let users = self.0.repository.users();
        users
            .remove(&name)
            .await
            .map_err(|error| of_repository(&error))?;
        tracing::info!(user = name, "removed a user");
        Ok(Response::new(proto::RemoveUserResponse {}))
    }

    async fn set_password(
        &self,
        request: Request<proto::SetUserPasswordRequest>,
    ) -> Result<Response<proto::User>, Status> {
        let request = request.into_inner();
        let password = password(request.password)?;
        users::set_password(&self.0.repository, &request.name, password)
            .await
            .map_err(|error| of_password(&error))?;
        tracing::info!(user = request.name, "a user has a new password");
        self.shown(&request.name).await
    }

    async fn check_password(
        &self,
        request: Request<proto::CheckUserPasswordRequest>,
    ) -> Result<Response<proto::CheckResponse>, Status> {
        let note = Note::of(&request);
        let request = request.into_inner();
        let password = password(request.password)?;
        let matches = users::check_password(&self.0.repository, &request.name, &password)
            .await
            .map_err(|error| of_password(&error))?;
        if !matches {
            note.add("wrong");
            tracing::warn!(user = request.name, "a wrong password was tried for a user");
        }
        Ok(Response::new(proto::CheckResponse { matches }))
    }

    async fn set_answer(
        &self,
        request: Request<proto::SetAnswerRequest>,
    ) -> Result<Response<proto::User>, Status> {
        let request = request.into_inner();
        let answer = secret(request.answer);
        users::set_answer(
            &self.0.repository,
            &request.name,
            &request.question,
            &answer,
        )
        .await
        .map_err(|error| of_password(&error))?;
        tracing::info!(user = request.name, "a user has a new answer");
        self.shown(&request.name).await
    }

    async fn check_answer(
        &self,
        request: Request<proto::CheckAnswerRequest>,
    ) -> Result<Response<proto::CheckResponse>, Status> {
        let note = Note::of(&request);
        let request = request.into_inner();
        let answer = secret(request.answer);
        let matches = users::check_answer(
            &self.0.repository,
            &request.name,
            &request.question,
            &answer,
        )
        .await
        .map_err(|error| of_password(&error))?;
        if !matches {
            note.add("wrong");
            tracing::warn!(user = request.name, "a wrong answer was tried for a user");
        }
        Ok(Response::new(proto::CheckResponse { matches }))
    }

    async fn remove_answer(
        &self,
        request: Request<proto::RemoveAnswerRequest>,
    ) -> Result<Response<proto::User>, Status> {
        let request = request.into_inner();
        let removed = users::remove_answer(&self.0.repository, &request.name, &request.question)
            .await
            .map_err(|error| of_password(&error))?;
        if !removed {
            return Err(Status::not_found(format!(
                "no answer to that question is kept for user `{0}`: `portcullis user show {0}` lists the questions",
                request.name
            )));
        }
        tracing::info!(user = request.name, "removed a user's answer");
        self.shown(&request.name).await
    }
}

impl UsersApi {
    async fn shown(&self, name: &str) -> Result<Response<proto::User>, Status> {
        let users = self.0.repository.users();
        let user = users
            .find(name)
            .await
            .map_err(|error| of_repository(&error))?
            .ok_or_else(|| not_found("user", name))?;
        Ok(Response::new(convert::user(user)))
    }
}

/// The bytes of a secret, moved rather than copied.
pub(crate) fn secret(secret: Option<Secret>) -> Zeroizing<Vec<u8>> {
    let mut secret = secret.unwrap_or_default();
    Zeroizing::new(std::mem::take(&mut secret.value))
}

/// A password of a sensible length.
pub(crate) fn password(given: Option<Secret>) -> Result<Zeroizing<Vec<u8>>, Status> {
    let password = secret(given);
    if (1..=MAX_PASSWORD).contains(&password.len()) {
        return Ok(password);
    }
    Err(Status::invalid_argument(format!(
        "a password has 1 to {MAX_PASSWORD} bytes"
    )))
}
