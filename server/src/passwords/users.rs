//! What users have: a password that can be given to accounts, and answers that can only be
//! compared.

use portcullis_host::clock;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::digest::{self, Cost, Digest, Recipe};
use super::{Candidate, PasswordError, Verdict, forms, judge};
use crate::repository::{HistoryOwner, PasswordPolicy, Repository, RepositoryError};

/// Questions that a user may have answered.
pub const MAX_QUESTIONS: usize = 32;
/// Bytes of a question.
pub const MAX_QUESTION: usize = 256;

/// Gives a user another password, which has to meet the policy.
///
/// # Errors
/// [`PasswordError`].
pub async fn set_password(
    repository: &Repository,
    name: &str,
    password: Zeroizing<Vec<u8>>,
) -> Result<(), PasswordError> {
    let policy = repository.password_policy().current().await?;
    let verdict = judge_for(repository, &policy, name, password.clone()).await?;
    let entry = verdict.accepted()?;
    let users = repository.users();
    users
        .set_password(name, &password, entry, clock::now())
        .await?;
    Ok(())
}

/// What the policy says of a password for this user.
///
/// # Errors
/// [`PasswordError`], but never `Refused`.
pub async fn judge_for(
    repository: &Repository,
    policy: &PasswordPolicy,
    name: &str,
    password: Zeroizing<Vec<u8>>,
) -> Result<Verdict, PasswordError> {
    let current = if policy.user_history > 0 {
        repository.users().password(name).await?
    } else {
        None
    };
    let candidate = Candidate {
        password,
        names: vec![name.to_owned()],
        owner: Some(HistoryOwner::User(name.to_owned())),
        current,
    };
    judge(repository, policy, &candidate).await
}

/// Is this the user's password? Takes the same time whatever the two have in common.
///
/// # Errors
/// [`PasswordError`]; `NoPassword` where the user has none.
pub async fn check_password(
    repository: &Repository,
    name: &str,
    password: &[u8],
) -> Result<bool, PasswordError> {
    let stored = password_of(repository, name).await?;
    Ok(stored.as_slice().ct_eq(password).into())
}

/// The password of a user, to be given to an account.
///
/// # Errors
/// [`PasswordError`]; `NoPassword` where the user has none.
pub async fn password_of(
    repository: &Repository,
    name: &str,
) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    let password = repository.users().password(name).await?;
    password.ok_or_else(|| PasswordError::NoPassword(name.to_owned()))
}

/// Keeps the digest of a user's answer, in the place of an earlier one to the same question.
///
/// # Errors
/// [`PasswordError`].
pub async fn set_answer(
    repository: &Repository,
    name: &str,
    question: &str,
    answer: &[u8],
) -> Result<(), PasswordError> {
    let question = question_of(question)?;
    let answer = answer_of(answer)?;
    let user = repository.users().find(name).await?;
    let user = user.ok_or_else(|| RepositoryError::NotFound {
        kind: "user",
        name: name.to_owned(),
    })?;
    let is_new = !user.questions.iter().any(|asked| asked == question);
    if is_new && user.questions.len() >= MAX_QUESTIONS {
        return Err(PasswordError::Malformed(
            "a user has at most 32 questions: remove one first with `portcullis user remove-answer`",
        ));
    }
    let digest = digest::digest(Recipe::random(Cost::PASSWORD), &answer).await?;
    let users = repository.users();
    users.set_answer(name, question, &digest.to_bytes()).await?;
    Ok(())
}

/// Is this the user's answer? False also where the question was never answered.
///
/// # Errors
/// [`PasswordError`].
pub async fn check_answer(
    repository: &Repository,
    name: &str,
    question: &str,
    answer: &[u8],
) -> Result<bool, PasswordError> {
    let question = question_of(question)?;
    let answer = answer_of(answer)?;
    let Some(stored) = repository.users().answer(name, question).await? else {
        return Ok(false);
    };
    let stored = Digest::from_bytes(&stored)?;
    let given = digest::digest(stored.recipe(), &answer).await?;
    Ok(given.matches(&stored))
}

/// Forgets an answer. True: there was one.
///
/// # Errors
/// [`PasswordError`].
pub async fn remove_answer(
    repository: &Repository,
    name: &str,
    question: &str,
) -> Result<bool, PasswordError> {
    let question = question_of(question)?;
    Ok(repository.users().remove_answer(name, question).await?)
}

fn question_of(text: &str) -> Result<&str, PasswordError> {
    let question = text.trim();
    let sound =
        (1..=MAX_QUESTION).contains(&question.len()) && !question.chars().any(char::is_control);
    if sound {
        return Ok(question);
    }
    Err(PasswordError::Malformed(
        "a question has 1 to 256 bytes, on one line",
    ))
}

fn answer_of(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, PasswordError> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| PasswordError::Malformed("the answer is no UTF-8 text"))?;
    let answer = forms::answer(text);
    if answer.is_empty() || answer.len() > forms::MAX_LEN {
        return Err(PasswordError::Malformed(
            "an answer has 1 to 1024 bytes, not counting blanks around it",
        ));
    }
    Ok(answer)
}
