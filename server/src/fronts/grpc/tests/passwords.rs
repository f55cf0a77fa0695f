//! Users, the policy, and the calls that set passwords, as clients of the API see them.

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::admin::v1::policy_client::PolicyClient;
use portcullis_proto::admin::v1::users_client::UsersClient;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{
    Call, Failure, FailureKind, ObjectClass, ObjectRef, Outcome, Secret, SetPassword, Test,
};
use tonic::{Code, Status};

use super::Api;

impl Api {
    fn users(&self) -> UsersClient {
        UsersClient::new(self.channel.clone())
    }

    fn policy(&self) -> PolicyClient {
        PolicyClient::new(self.channel.clone())
    }

    async fn with_ada() -> Self {
        let api = Self::start().await;
        let name = "ada".to_owned();
        api.users()
            .add(proto::AddUserRequest { name })
            .await
            .unwrap();
        api
    }

    async fn set_policy(&self, request: proto::SetPolicyRequest) -> Result<(), Status> {
        self.policy().set(request).await.map(drop)
    }

    async fn set_user_password(&self, password: &str) -> Result<proto::User, Status> {
        let request = proto::SetUserPasswordRequest {
            name: "ada".to_owned(),
            password: secret(password),
        };
        let answer = self.users().set_password(request).await;
        answer.map(tonic::Response::into_inner)
    }

    async fn execute_from_user(&self, verb: Verb, user: &str) -> Result<Outcome, Status> {
        let request = proto::ExecuteRequest {
            resource: "host1".to_owned(),
            call: Some(Call {
                verb: Some(verb),
                ..Call::default()
            }),
            password_from_user: user.to_owned(),
        };
        let mut calls = CallsClient::new(self.channel.clone());
        calls
            .execute(request)
            .await
            .map(tonic::Response::into_inner)
    }
}

fn secret(text: &str) -> Option<Secret> {
    Some(Secret::plain(text.as_bytes().to_vec()))
}

fn set_password(password: Option<Secret>) -> Verb {
    Verb::SetPassword(SetPassword {
        object: Some(ObjectRef {
            object_class: ObjectClass::Account.into(),
            by: Some(By::Name("ada".to_owned())),
            ..ObjectRef::default()
        }),
        password,
    })
}

fn failure(outcome: Outcome) -> Failure {
    match outcome.result {
        Some(OutcomeResult::Failed(failure)) => failure,
        other => panic!("not failed: {other:?}"),
    }
}

#[tokio::test]
async fn a_user_comes_has_a_password_and_goes() {
    let api = Api::with_ada().await;
    let again = proto::AddUserRequest {
        name: "ada".to_owned(),
    };
    let error = api.users().add(again).await.unwrap_err();
    assert_eq!(error.code(), Code::AlreadyExists);
    let bad = proto::AddUserRequest {
        name: "a b".to_owned(),
    };
    let error = api.users().add(bad).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);

    let user = api.set_user_password("correct horse").await.unwrap();
    assert!(user.password_set_unix_ms > 0);
    for (password, expected) in [("correct horse", true), ("wrong", false)] {
        let request = proto::CheckUserPasswordRequest {
            name: "ada".to_owned(),
            password: secret(password),
        };
        let answer = api.users().check_password(request).await.unwrap();
        assert_eq!(answer.into_inner().matches, expected);
    }
    let error = api.set_user_password("").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);

    let request = proto::RemoveUserRequest {
        name: "ada".to_owned(),
    };
    api.users().remove(request).await.unwrap();
    let error = api.set_user_password("x").await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.message().contains("portcullis user list"), "{error}");
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    let api = Api::with_ada().await;
    for name in ["bob", "cyd"] {
        let name = name.to_owned();
        api.users()
            .add(proto::AddUserRequest { name })
            .await
            .unwrap();
    }
    let page = async |after: &str, limit| {
        let after = after.to_owned();
        let request = proto::ListUsersRequest { after, limit };
        let page = api.users().list(request).await.unwrap().into_inner();
        let names: Vec<_> = page.users.into_iter().map(|user| user.name).collect();
        (names.join(" "), page.more)
    };
    assert_eq!(page("", 2).await, ("ada bob".to_owned(), true));
    assert_eq!(page("bob", 2).await, ("cyd".to_owned(), false));
    assert_eq!(page("", 0).await, ("ada bob cyd".to_owned(), false));
}

#[tokio::test]
async fn answers_are_set_checked_and_removed() {
    let api = Api::with_ada().await;
    let set = proto::SetAnswerRequest {
        name: "ada".to_owned(),
        question: "Pet?".to_owned(),
        answer: secret("Rex"),
    };
    let user = api.users().set_answer(set).await.unwrap().into_inner();
    assert_eq!(user.questions, ["Pet?"]);
    for (answer, expected) in [(" REX", true), ("Tom", false)] {
        let request = proto::CheckAnswerRequest {
            name: "ada".to_owned(),
            question: "Pet?".to_owned(),
            answer: secret(answer),
        };
        let answer = api.users().check_answer(request).await.unwrap();
        assert_eq!(answer.into_inner().matches, expected);
    }
    let remove = proto::RemoveAnswerRequest {
        name: "ada".to_owned(),
        question: "Pet?".to_owned(),
    };
    let user = api.users().remove_answer(remove.clone()).await.unwrap();
    assert!(user.into_inner().questions.is_empty());
    let error = api.users().remove_answer(remove).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
}

#[tokio::test]
async fn a_policy_holds_for_users_and_accounts_and_tells_all_that_is_wrong() {
    let api = Api::with_ada().await;
    api.add_gateway("gw").await;
    api.add_resource("host1", "gw").await.unwrap();
    // Without a policy the call goes as far as it can.
    let call = |password: &str| Call {
        verb: Some(set_password(secret(password))),
        ..Call::default()
    };
    let outcome = api.execute("host1", call("ada")).await.unwrap();
    assert_eq!(failure(outcome).kind(), FailureKind::Unavailable);

    let rules = proto::SetPolicyRequest {
        min_length: Some(8),
        min_digits: Some(1),
        forbid_names: Some(true),
        account_history: Some(3),
        ..Default::default()
    };
    api.set_policy(rules).await.unwrap();
    let refused = failure(api.execute("host1", call("ada").clone()).await.unwrap());
    assert_eq!(refused.kind(), FailureKind::Rejected);
    for part in ["at least 8", "a digit", "the name"] {
        assert!(refused.message.contains(part), "{}", refused.message);
    }
    let error = api.set_user_password("lovelada").await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("a digit"), "{error}");
    assert!(!error.message().contains("lovelada"), "{error}");

    let check = proto::CheckPolicyRequest {
        password: secret("lovelada"),
        user: "ada".to_owned(),
        ..Default::default()
    };
    let answer = api.policy().check(check).await.unwrap().into_inner();
    assert_eq!(answer.violations.len(), 2, "{answer:?}");
    // A call that was never sent leaves nothing in the history.
    let sound = call("sound-4711");
    for _ in 0..2 {
        let outcome = api.execute("host1", sound.clone()).await.unwrap();
        assert_eq!(failure(outcome).kind(), FailureKind::Unavailable);
    }
}

#[tokio::test]
async fn a_policy_that_nobody_meets_is_refused() {
    let api = Api::start().await;
    for request in [
        proto::SetPolicyRequest {
            min_length: Some(9),
            max_length: Some(8),
            ..Default::default()
        },
        proto::SetPolicyRequest {
            max_length: Some(3),
            min_digits: Some(2),
            min_other: Some(2),
            ..Default::default()
        },
        proto::SetPolicyRequest {
            min_lower: Some(u32::MAX),
            min_upper: Some(u32::MAX),
            ..Default::default()
        },
        proto::SetPolicyRequest {
            user_history: Some(101),
            ..Default::default()
        },
    ] {
        let error = api.set_policy(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{request:?}");
    }
    let policy = api
        .policy()
        .show(proto::ShowPolicyRequest {})
        .await
        .unwrap();
    assert_eq!(policy.into_inner(), proto::PasswordPolicy::default());
}

#[tokio::test]
async fn words_are_counted_and_removed() {
    let api = Api::start().await;
    let words = ["dragon", "Dragon", "", "monkey"]
        .map(str::to_owned)
        .to_vec();
    let request = proto::AddWordsRequest { words };
    let answer = api.policy().add_words(request).await.unwrap();
    assert_eq!(answer.into_inner().added, 2);
    let remove = proto::RemoveWordRequest {
        word: "DRAGON".to_owned(),
    };
    let policy = api.policy().remove_word(remove.clone()).await.unwrap();
    assert_eq!(policy.into_inner().words, 1);
    let error = api.policy().remove_word(remove).await.unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    let policy = api.policy().clear_words(proto::ClearWordsRequest {}).await;
    assert_eq!(policy.unwrap().into_inner().words, 0);
}

#[tokio::test]
async fn an_account_is_given_the_password_of_a_user_who_has_one() {
    let api = Api::with_ada().await;
    api.add_gateway("gw").await;
    api.add_resource("host1", "gw").await.unwrap();
    let error = api
        .execute_from_user(set_password(None), "ada")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("user set-password ada"), "{error}");
    api.set_user_password("secret").await.unwrap();
    let outcome = api
        .execute_from_user(set_password(None), "ada")
        .await
        .unwrap();
    assert_eq!(failure(outcome).kind(), FailureKind::Unavailable);
    for (verb, user, code) in [
        (set_password(None), "eve", Code::NotFound),
        (set_password(secret("x")), "ada", Code::InvalidArgument),
        (Verb::Test(Test {}), "ada", Code::InvalidArgument),
    ] {
        let error = api.execute_from_user(verb, user).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn the_password_of_a_user_is_for_administrators_and_leaves_a_trace() {
    let mut api = Api::with_ada().await;
    api.add_gateway("gw").await;
    api.add_resource("host1", "gw").await.unwrap();
    api.set_user_password("secret").await.unwrap();
    api.execute_from_user(set_password(None), "ada")
        .await
        .unwrap();
    // An operator and nothing else.
    api.channel = super::connect(&api.services, super::BASE + 2).await;
    let error = api
        .execute_from_user(set_password(None), "ada")
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert!(error.message().contains("administrator"), "{error}");
    let entries = api.services.repository.audit_entries();
    let entries = entries.scan(0, 1_000).await.unwrap();
    let object = "password of user ada";
    assert!(entries.iter().any(|entry| entry.object.contains(object)));
    let last = entries.last().unwrap();
    assert_eq!(
        (last.outcome.as_str(), last.action.as_str()),
        ("refused", "Calls/Execute")
    );
}
