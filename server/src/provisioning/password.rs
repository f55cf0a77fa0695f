//! The password that a call sets: a user's where that is asked, held against the policy, and
//! remembered.

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, ObjectClass, ObjectRef, Outcome, Secret};
use zeroize::Zeroizing;

use crate::passwords::{self, Candidate, PasswordError, users};
use crate::repository::{HistoryEntry, HistoryOwner, PasswordPolicy, Repository, RepositoryError};

/// What a call does to the history of passwords, once it is known what came of it.
#[derive(Debug)]
pub(super) enum Afterwards {
    Nothing,
    /// The account has a new password, or may have it.
    Remember(HistoryOwner, HistoryEntry),
    /// The account has another name.
    Rename(HistoryOwner, HistoryOwner),
    /// The account is gone.
    Forget(HistoryOwner),
}

/// Puts the password of `user` into a call that sets one.
pub(super) async fn fill_in(
    repository: &Repository,
    call: &mut Call,
    user: &str,
) -> Result<(), PasswordError> {
    let place = match &mut call.verb {
        Some(Verb::SetPassword(set)) => &mut set.password,
        Some(Verb::Create(create)) if create.object_class() == ObjectClass::Account => {
            &mut create.password
        }
        _ => {
            return Err(PasswordError::Malformed(
                "only `create` of an account and `set-password` can take the password of a user",
            ));
        }
    };
    if place.is_some() {
        return Err(PasswordError::Malformed(
            "give a password or a user whose password it is to be, not both",
        ));
    }
    let mut password = users::password_of(repository, user).await?;
    *place = Some(Secret::plain(std::mem::take(&mut *password)));
    Ok(())
}

/// Holds the password that a call sets against the policy, and says what is to be done afterwards.
pub(super) async fn prepare(
    repository: &Repository,
    resource: &str,
    call: &Call,
) -> Result<Afterwards, PasswordError> {
    let (owner, password) = match &call.verb {
        Some(Verb::SetPassword(set)) => (owner(resource, set.object.as_ref()), &set.password),
        Some(Verb::Create(create)) if create.object_class() == ObjectClass::Account => (
            Some(HistoryOwner::account_named(resource, &create.name)),
            &create.password,
        ),
        Some(Verb::Rename(_) | Verb::Delete(_)) => {
            return without_password(repository, resource, call).await;
        }
        _ => return Ok(Afterwards::Nothing),
    };
    let (Some(owner), Some(password)) = (owner, password) else {
        return Ok(Afterwards::Nothing);
    };
    let policy = repository.password_policy().current().await?;
    if policy == PasswordPolicy::default() {
        return Ok(Afterwards::Nothing);
    }
    let candidate = Candidate {
        password: Zeroizing::new(password.value.clone()),
        names: name(call).into_iter().collect(),
        owner: Some(owner.clone()),
        current: None,
    };
    let verdict = passwords::judge(repository, &policy, &candidate).await?;
    Ok(match verdict.accepted()? {
        Some(entry) => Afterwards::Remember(owner, entry),
        None => Afterwards::Nothing,
    })
}

impl Afterwards {
    /// Keeps the history. Where that fails the call has been carried out all the same: the log
    /// tells.
    ///
    /// Before the outcome is recorded, so that whoever sees it finds the history as it left it. A
    /// crash between the two makes the call unknown: what it did is found again, and to do this
    /// again changes nothing.
    pub(super) async fn carry_out(self, repository: &Repository, outcome: &Outcome) {
        let done = matches!(outcome.result, Some(OutcomeResult::Done(_)));
        let maybe = matches!(outcome.result, Some(OutcomeResult::Indeterminate(_)));
        let history = repository.password_history();
        let kept = match self {
            Self::Remember(owner, entry) if done || maybe => history.add(owner, entry).await,
            Self::Rename(from, to) if done => history.rename(from, to).await,
            Self::Forget(owner) if done => history.remove(owner).await,
            _ => Ok(()),
        };
        if let Err(error) = kept {
            tracing::error!(call = outcome.call_id, %error, "the password history was not kept");
        }
    }
}

/// Renames and deletions of accounts, where there is a history.
async fn without_password(
    repository: &Repository,
    resource: &str,
    call: &Call,
) -> Result<Afterwards, PasswordError> {
    let object = match &call.verb {
        Some(Verb::Rename(rename)) => rename.object.as_ref(),
        Some(Verb::Delete(delete)) => delete.object.as_ref(),
        _ => None,
    };
    let is_account = object.is_some_and(|it| it.object_class() == ObjectClass::Account);
    if !is_account || !has_history(repository).await? {
        return Ok(Afterwards::Nothing);
    }
    Ok(match (&call.verb, owner(resource, object)) {
        (Some(Verb::Rename(rename)), Some(from)) if by_name(object).is_some() => {
            let to = HistoryOwner::account_named(resource, &rename.new_name);
            Afterwards::Rename(from, to)
        }
        (Some(Verb::Delete(_)), Some(owner)) => Afterwards::Forget(owner),
        _ => Afterwards::Nothing,
    })
}

async fn has_history(repository: &Repository) -> Result<bool, RepositoryError> {
    let policy = repository.password_policy().current().await?;
    Ok(policy.account_history > 0)
}

fn owner(resource: &str, object: Option<&ObjectRef>) -> Option<HistoryOwner> {
    match object?.by.as_ref()? {
        By::Name(name) => Some(HistoryOwner::account_named(resource, name)),
        By::Id(id) => Some(HistoryOwner::account_with_id(resource, id)),
    }
}

fn by_name(object: Option<&ObjectRef>) -> Option<&str> {
    match object?.by.as_ref()? {
        By::Name(name) => Some(name),
        By::Id(_) => None,
    }
}

/// The name of the account that is to have the password, where the call tells it.
fn name(call: &Call) -> Option<String> {
    match call.verb.as_ref()? {
        Verb::Create(create) => Some(create.name.clone()),
        Verb::SetPassword(set) => by_name(set.object.as_ref()).map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::rotation::UnixMillis;
    use portcullis_proto::gateway::v1::{
        Create, Delete, Done, Failure, Indeterminate, Rename, SetPassword,
    };

    use super::*;
    use crate::keys::Keyring;
    use crate::keys::protection::Protection;
    use crate::repository::Database;

    async fn repository(account_history: u32) -> (tempfile::TempDir, Repository) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&folder.path().join("test.db"))
            .await
            .unwrap();
        let protection = Protection::random();
        let keyring = Keyring::create(&database, &protection, UnixMillis(1))
            .await
            .unwrap();
        let repository = Repository::new(database, std::sync::Arc::new(keyring));
        crate::keys::authority::create(&repository).await.unwrap();
        let policy = PasswordPolicy {
            account_history,
            ..PasswordPolicy::default()
        };
        repository.password_policy().set(policy).await.unwrap();
        (folder, repository)
    }

    fn named(name: &str) -> Option<ObjectRef> {
        Some(ObjectRef {
            object_class: ObjectClass::Account.into(),
            by: Some(By::Name(name.to_owned())),
            ..ObjectRef::default()
        })
    }

    fn set(name: &str, password: &str) -> Verb {
        Verb::SetPassword(SetPassword {
            object: named(name),
            password: secret(password),
        })
    }

    fn secret(text: &str) -> Option<Secret> {
        Some(Secret::plain(text.as_bytes().to_vec()))
    }

    fn done() -> OutcomeResult {
        OutcomeResult::Done(Done { detail: None })
    }

    /// The call as far as the server has a part in it. False: the password was refused.
    async fn carry_out(repository: &Repository, verb: Verb, result: OutcomeResult) -> bool {
        let call = Call {
            verb: Some(verb),
            ..Call::default()
        };
        let afterwards = match prepare(repository, "host1", &call).await {
            Ok(afterwards) => afterwards,
            Err(PasswordError::Refused(_)) => return false,
            Err(error) => panic!("{error}"),
        };
        let outcome = Outcome {
            call_id: String::new(),
            result: Some(result),
        };
        afterwards.carry_out(repository, &outcome).await;
        true
    }

    #[tokio::test]
    async fn what_an_account_has_or_may_have_is_remembered() {
        let (_folder, repository) = repository(5).await;
        let failed = OutcomeResult::Failed(Failure::default());
        let lost = OutcomeResult::Indeterminate(Indeterminate::default());
        assert!(carry_out(&repository, set("ada", "one"), failed).await);
        assert!(carry_out(&repository, set("ada", "one"), done()).await);
        assert!(!carry_out(&repository, set("ada", "one"), done()).await);
        assert!(carry_out(&repository, set("ada", "two"), lost).await);
        assert!(!carry_out(&repository, set("ada", "two"), done()).await);
        assert!(carry_out(&repository, set("bob", "one"), done()).await);

        let create = Verb::Create(Create {
            object_class: ObjectClass::Account.into(),
            name: "eve".to_owned(),
            password: secret("first"),
            ..Create::default()
        });
        assert!(carry_out(&repository, create, done()).await);
        assert!(!carry_out(&repository, set("eve", "first"), done()).await);
    }

    #[tokio::test]
    async fn the_history_follows_the_account_to_its_new_name_and_ends_with_it() {
        let (_folder, repository) = repository(5).await;
        assert!(carry_out(&repository, set("ada", "one"), done()).await);
        let rename = Verb::Rename(Rename {
            object: named("ada"),
            new_name: "lovelace".to_owned(),
        });
        assert!(carry_out(&repository, rename, done()).await);
        assert!(!carry_out(&repository, set("lovelace", "one"), done()).await);
        assert!(carry_out(&repository, set("ada", "one"), done()).await);
        let delete = |name| {
            Verb::Delete(Delete {
                object: named(name),
            })
        };
        let failed = OutcomeResult::Failed(Failure::default());
        assert!(carry_out(&repository, delete("ada"), failed).await);
        assert!(!carry_out(&repository, set("ada", "one"), done()).await);
        assert!(carry_out(&repository, delete("ada"), done()).await);
        assert!(carry_out(&repository, set("ada", "one"), done()).await);
    }
}
