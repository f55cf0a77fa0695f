//! What passwords have to be.

use portcullis_proto::admin::v1 as proto;

use super::context::Context;
use super::convert;
use super::error::AdminError;
use super::request::{About, Front, Method, Request, change, read};
use super::users::password;
use crate::access::Target;
use crate::config::Capability::{self, Administrator};
use crate::passwords::{self, Candidate, MAX_HISTORY, dictionary, users};
use crate::repository::{HistoryOwner, PasswordPolicy};

/// Words in one request.
const MAX_WORDS: usize = 1_000;
/// Characters that a rule may demand: more is a slip of the hand that locks everybody out.
const MAX_DEMANDED: u32 = 1_024;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::ShowPolicyRequest>();
    front.offer::<proto::SetPolicyRequest>();
    front.offer::<proto::AddWordsRequest>();
    front.offer::<proto::RemoveWordRequest>();
    front.offer::<proto::ClearWordsRequest>();
    front.offer::<proto::CheckPolicyRequest>();
}

impl Request for proto::ShowPolicyRequest {
    type Answer = proto::PasswordPolicy;

    const METHOD: Method = read("Policy/Show", &Capability::ALL);

    fn about(&self) -> About {
        About::anything()
    }

    async fn run(self, context: &Context) -> Result<proto::PasswordPolicy, AdminError> {
        shown(context).await
    }
}

impl Request for proto::SetPolicyRequest {
    type Answer = proto::PasswordPolicy;

    const METHOD: Method = change("Policy/Set", &[Administrator]);

    fn about(&self) -> About {
        About::server("password policy")
    }

    async fn run(self, context: &Context) -> Result<proto::PasswordPolicy, AdminError> {
        let mut policy = current(context).await?;
        merge(&mut policy, &self);
        check(&policy)?;
        let policies = context.services.repository.password_policy();
        policies.set(policy.clone()).await?;
        context.note.add(format!("{policy:?}"));
        tracing::info!(?policy, "changed the password policy");
        shown(context).await
    }
}

impl Request for proto::AddWordsRequest {
    type Answer = proto::AddWordsResponse;

    const METHOD: Method = change("Policy/AddWords", &[Administrator]);

    fn about(&self) -> About {
        About::server(format!("dictionary, {} words", self.words.len()))
    }

    async fn run(self, context: &Context) -> Result<proto::AddWordsResponse, AdminError> {
        if self.words.len() > MAX_WORDS {
            return Err(AdminError::Malformed(format!(
                "a request has at most {MAX_WORDS} words: send the others in another"
            )));
        }
        let added = dictionary::add(&context.services.repository, &self.words).await?;
        tracing::info!(added, "added words to the dictionary");
        Ok(proto::AddWordsResponse { added })
    }
}

impl Request for proto::RemoveWordRequest {
    type Answer = proto::PasswordPolicy;

    const METHOD: Method = change("Policy/RemoveWord", &[Administrator]);

    fn about(&self) -> About {
        About::server("dictionary, 1 word")
    }

    async fn run(self, context: &Context) -> Result<proto::PasswordPolicy, AdminError> {
        let removed = dictionary::remove(&context.services.repository, &self.word).await?;
        if !removed {
            let message = "that word is not in the dictionary";
            return Err(AdminError::NotFound(message.to_owned()));
        }
        tracing::info!("removed a word from the dictionary");
        shown(context).await
    }
}

impl Request for proto::ClearWordsRequest {
    type Answer = proto::PasswordPolicy;

    const METHOD: Method = change("Policy/ClearWords", &[Administrator]);

    fn about(&self) -> About {
        About::server("dictionary, all words")
    }

    async fn run(self, context: &Context) -> Result<proto::PasswordPolicy, AdminError> {
        context.services.repository.policy_words().clear().await?;
        tracing::info!("removed all words from the dictionary");
        shown(context).await
    }
}

impl Request for proto::CheckPolicyRequest {
    type Answer = proto::CheckPolicyResponse;

    const METHOD: Method = change("Policy/Check", &[Administrator]);

    fn about(&self) -> About {
        let (user, account) = (self.user.as_str(), self.account.as_str());
        match (user, account) {
            ("", "") => About::server("a password"),
            (user, "") => About::server(format!("a password for user {user}")),
            (user, account) => {
                let resource = &self.resource;
                let target = Target::Resource(resource.clone());
                let object = format!("a password for account {account} of resource {resource}");
                let about = About::new(target, object);
                about.and((!user.is_empty()).then_some(Target::Server))
            }
        }
    }

    async fn run(self, context: &Context) -> Result<proto::CheckPolicyResponse, AdminError> {
        let password = password(self.password)?;
        let policy = current(context).await?;
        let repository = &context.services.repository;
        let verdict = match (self.user.as_str(), self.account.as_str()) {
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
                    owner: Some(HistoryOwner::account_named(&self.resource, account)),
                    current: None,
                };
                passwords::judge(repository, &policy, &candidate).await
            }
            _ => {
                return Err(AdminError::malformed(
                    "give a user, or an account of a resource, or neither; not both",
                ));
            }
        };
        Ok(proto::CheckPolicyResponse {
            violations: verdict?
                .violations
                .iter()
                .map(ToString::to_string)
                .collect(),
        })
    }
}

async fn current(context: &Context) -> Result<PasswordPolicy, AdminError> {
    let policies = context.services.repository.password_policy();
    Ok(policies.current().await?)
}

async fn shown(context: &Context) -> Result<proto::PasswordPolicy, AdminError> {
    let policy = current(context).await?;
    let words = context.services.repository.policy_words().count().await?;
    Ok(convert::policy(policy, words))
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
fn check(policy: &PasswordPolicy) -> Result<(), AdminError> {
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
        return Err(AdminError::Malformed(format!(
            "a policy asks for at most {MAX_DEMANDED} characters: nothing was changed"
        )));
    }
    if policy.max_length > 0 && least > policy.max_length {
        return Err(AdminError::Malformed(format!(
            "no password would meet this policy: it needs {least} characters and may have {}; nothing was changed",
            policy.max_length
        )));
    }
    if policy.user_history.max(policy.account_history) > MAX_HISTORY {
        return Err(AdminError::Malformed(format!(
            "a history holds at most {MAX_HISTORY} passwords: nothing was changed"
        )));
    }
    Ok(())
}
