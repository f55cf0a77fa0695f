//! What passwords have to be.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::policy_server::Policy;
use tonic::{Request, Response, Status};

use super::convert;
use super::error::{of_password, of_repository};
use super::note::Note;
use super::users::password;
use crate::passwords::{self, Candidate, MAX_HISTORY, dictionary, users};
use crate::repository::{HistoryOwner, PasswordPolicy};
use crate::services::Services;

/// Words in one request.
const MAX_WORDS: usize = 1_000;
/// Characters that a rule may demand: more is a slip of the hand that locks everybody out.
const MAX_DEMANDED: u32 = 1_024;

/// `portcullis.admin.v1.Policy`
pub(crate) struct PolicyApi(pub(crate) Services);

#[tonic::async_trait]
impl Policy for PolicyApi {
    async fn show(
        &self,
        _: Request<proto::ShowPolicyRequest>,
    ) -> Result<Response<proto::PasswordPolicy>, Status> {
        self.shown().await
    }

    async fn set(
        &self,
        request: Request<proto::SetPolicyRequest>,
    ) -> Result<Response<proto::PasswordPolicy>, Status> {
        let note = Note::of(&request);
        let mut policy = self.current().await?;
        merge(&mut policy, &request.into_inner());
        check(&policy)?;
        let policies = self.0.repository.password_policy();
        policies
            .set(policy.clone())
            .await
            .map_err(|error| of_repository(&error))?;
        note.add(format!("{policy:?}"));
        tracing::info!(?policy, "changed the password policy");
        self.shown().await
    }

    async fn add_words(
        &self,
        request: Request<proto::AddWordsRequest>,
    ) -> Result<Response<proto::AddWordsResponse>, Status> {
        let words = request.into_inner().words;
        if words.len() > MAX_WORDS {
            return Err(Status::invalid_argument(format!(
                "a request has at most {MAX_WORDS} words: send the others in another"
            )));
        }
        let added = dictionary::add(&self.0.repository, &words)
            .await
            .map_err(|error| of_password(&error))?;
        tracing::info!(added, "added words to the dictionary");
        Ok(Response::new(proto::AddWordsResponse { added }))
    }

    async fn remove_word(
        &self,
        request: Request<proto::RemoveWordRequest>,
    ) -> Result<Response<proto::PasswordPolicy>, Status> {
        let word = request.into_inner().word;
        let removed = dictionary::remove(&self.0.repository, &word)
            .await
            .map_err(|error| of_password(&error))?;
        if !removed {
            return Err(Status::not_found("that word is not in the dictionary"));
        }
        tracing::info!("removed a word from the dictionary");
        self.shown().await
    }

    async fn clear_words(
        &self,
        _: Request<proto::ClearWordsRequest>,
    ) -> Result<Response<proto::PasswordPolicy>, Status> {
        let words = self.0.repository.policy_words();
        words.clear().await.map_err(|error| of_repository(&error))?;
        tracing::info!("removed all words from the dictionary");
        self.shown().await
    }

    async fn check(
        &self,
        request: Request<proto::CheckPolicyRequest>,
    ) -> Result<Response<proto::CheckPolicyResponse>, Status> {
        let request = request.into_inner();
        let password = password(request.password)?;
        let policy = self.current().await?;
        let repository = &self.0.repository;
        let verdict = match (request.user.as_str(), request.account.as_str()) {
            ("", "") => {
                let candidate = Candidate {
                    password,
                    ..Candidate::default()
                };
                passwords::judge(repository, &policy, &candidate).await
            }
            (user, "") => users::judge_for(repository, &policy, user, password).await,
            ("", account) => {
                let candidate = Candidate {
                    password,
                    names: vec![account.to_owned()],
                    owner: Some(HistoryOwner::account_named(&request.resource, account)),
                    current: None,
                };
                passwords::judge(repository, &policy, &candidate).await
            }
            _ => {
                return Err(Status::invalid_argument(
                    "give a user, or an account of a resource, or neither; not both",
                ));
            }
        };
        let verdict = verdict.map_err(|error| of_password(&error))?;
        Ok(Response::new(proto::CheckPolicyResponse {
            violations: verdict.violations.iter().map(ToString::to_string).collect(),
        }))
    }
}

impl PolicyApi {
    async fn current(&self) -> Result<PasswordPolicy, Status> {
        let policies = self.0.repository.password_policy();
        policies
            .current()
            .await
            .map_err(|error| of_repository(&error))
    }

    async fn shown(&self) -> Result<Response<proto::PasswordPolicy>, Status> {
        let policy = self.current().await?;
        let words = self.0.repository.policy_words().count().await;
        let words = words.map_err(|error| of_repository(&error))?;
        Ok(Response::new(convert::policy(policy, words)))
    }
}

fn merge(policy: &mut PasswordPolicy, given: &proto::SetPolicyRequest) {
    for (rule, value) in [
        (&mut policy.min_length, given.min_length),
        (&mut policy.max_length, given.max_length),
        (&mut policy.min_lower, given.min_lower),
        (&mut policy.min_upper, given.min_upper),
        (&mut policy.min_digits, given.min_digits),
        (&mut policy.min_other, given.min_other),
        (&mut policy.user_history, given.user_history),
        (&mut policy.account_history, given.account_history),
    ] {
        *rule = value.unwrap_or(*rule);
    }
    policy.forbid_names = given.forbid_names.unwrap_or(policy.forbid_names);
    policy.forbid_words = given.forbid_words.unwrap_or(policy.forbid_words);
}

/// Refuses a policy that no password meets.
fn check(policy: &PasswordPolicy) -> Result<(), Status> {
    let classes = [
        policy.min_lower,
        policy.min_upper,
        policy.min_digits,
        policy.min_other,
    ];
    let demanded = classes
        .iter()
        .fold(0_u32, |sum, min| sum.saturating_add(*min));
    let least = demanded.max(policy.min_length);
    if least > MAX_DEMANDED || policy.max_length > MAX_DEMANDED {
        return Err(Status::invalid_argument(format!(
            "a policy asks for at most {MAX_DEMANDED} characters: nothing was changed"
        )));
    }
    if policy.max_length > 0 && least > policy.max_length {
        return Err(Status::invalid_argument(format!(
            "no password would meet this policy: it needs {least} characters and may have {}; nothing was changed",
            policy.max_length
        )));
    }
    if policy.user_history.max(policy.account_history) > MAX_HISTORY {
        return Err(Status::invalid_argument(format!(
            "a history holds at most {MAX_HISTORY} passwords: nothing was changed"
        )));
    }
    Ok(())
}
