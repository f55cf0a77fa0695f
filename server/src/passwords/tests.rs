//! Passwords and answers over a real repository.

use std::sync::Arc;

use portcullis_common::rotation::UnixMillis;

use super::*;
use crate::keys::protection::Protection;
use crate::keys::{Keyring, authority};
use crate::repository::{Database, ProtectedType};

struct Fixture {
    _folder: tempfile::TempDir,
    repository: Repository,
}

impl Fixture {
    async fn with_policy(policy: PasswordPolicy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(&folder.path().join("test.db"))
            .await
            .unwrap();
        let protection = Protection::random();
        let keyring = Keyring::create(&database, &protection, UnixMillis(1))
            .await
            .unwrap();
        let repository = Repository::new(database, Arc::new(keyring));
        authority::create(&repository).await.unwrap();
        repository.password_policy().set(policy).await.unwrap();
        repository.users().add("ada", UnixMillis(1)).await.unwrap();
        Self {
            _folder: folder,
            repository,
        }
    }

    async fn set(&self, password: &str) -> Result<(), Vec<Violation>> {
        let password = Zeroizing::new(password.as_bytes().to_vec());
        match users::set_password(&self.repository, "ada", password).await {
            Ok(()) => Ok(()),
            Err(PasswordError::Refused(violations)) => Err(violations.0),
            Err(error) => panic!("{error}"),
        }
    }

    async fn count(&self, kind: ProtectedType) -> u64 {
        let counts = self
            .repository
            .database()
            .sealed_values()
            .counts()
            .await
            .unwrap();
        counts
            .iter()
            .filter(|count| count.kind == kind)
            .map(|count| count.values)
            .sum()
    }
}

#[tokio::test]
async fn the_last_passwords_are_refused_and_older_ones_taken_again() {
    let fixture = Fixture::with_policy(PasswordPolicy {
        user_history: 2,
        ..PasswordPolicy::default()
    })
    .await;
    for password in ["first", "second", "third"] {
        fixture.set(password).await.unwrap();
    }
    for password in ["second", "third"] {
        let refused = fixture.set(password).await.unwrap_err();
        assert_eq!(refused, [Violation::WasUsed(2)]);
    }
    assert_eq!(fixture.count(ProtectedType::PasswordHistory).await, 2);
    fixture.set("first").await.unwrap();
    let repository = &fixture.repository;
    assert!(
        users::check_password(repository, "ada", b"first")
            .await
            .unwrap()
    );
    assert!(
        !users::check_password(repository, "ada", b"third")
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn a_password_from_before_there_was_a_history_is_not_taken_again() {
    let fixture = Fixture::with_policy(PasswordPolicy::default()).await;
    fixture.set("first").await.unwrap();
    fixture.set("first").await.unwrap();
    assert_eq!(fixture.count(ProtectedType::PasswordHistory).await, 0);
    let policy = PasswordPolicy {
        user_history: 1,
        ..PasswordPolicy::default()
    };
    fixture
        .repository
        .password_policy()
        .set(policy)
        .await
        .unwrap();
    assert_eq!(
        fixture.set("first").await.unwrap_err(),
        [Violation::WasUsed(1)]
    );
    fixture.set("second").await.unwrap();
}

#[tokio::test]
async fn digests_of_other_recipes_are_compared_too() {
    let fixture = Fixture::with_policy(PasswordPolicy {
        user_history: 9,
        ..PasswordPolicy::default()
    })
    .await;
    let owner = HistoryOwner::User("ada".to_owned());
    for (cost, password) in [(Cost::WORD, "old"), (Cost::PASSWORD, "newer")] {
        let digest = digest::digest(Recipe::random(cost), password.as_bytes())
            .await
            .unwrap();
        let entry = HistoryEntry {
            digest: digest.to_bytes(),
            depth: 9,
        };
        let history = fixture.repository.password_history();
        history.add(owner.clone(), entry).await.unwrap();
    }
    for password in ["old", "newer"] {
        assert_eq!(
            fixture.set(password).await.unwrap_err(),
            [Violation::WasUsed(9)]
        );
    }
    fixture.set("new").await.unwrap();
    let stored = fixture
        .repository
        .password_history()
        .digests(owner)
        .await
        .unwrap();
    let recipes: Vec<_> = stored
        .iter()
        .map(|bytes| Digest::from_bytes(bytes).unwrap().recipe())
        .collect();
    // The new entry has the recipe of the one before: one digest finds both.
    assert_eq!(recipes[0], recipes[1]);
}

#[tokio::test]
async fn dictionary_words_are_refused_until_they_are_removed() {
    let fixture = Fixture::with_policy(PasswordPolicy {
        min_length: 8,
        forbid_words: true,
        forbid_names: true,
        ..PasswordPolicy::default()
    })
    .await;
    let repository = &fixture.repository;
    let words = ["Dragon", "dragon", " ", "swordfish"].map(str::to_owned);
    assert_eq!(dictionary::add(repository, &words).await.unwrap(), 2);
    assert_eq!(dictionary::add(repository, &words).await.unwrap(), 0);
    assert_eq!(
        fixture.set("dr4gon1").await.unwrap_err(),
        [Violation::TooShort(8), Violation::IsWord]
    );
    assert_eq!(
        fixture.set("Swordfish").await.unwrap_err(),
        [Violation::IsWord]
    );
    assert_eq!(
        fixture.set("99-adamant").await.unwrap_err(),
        [Violation::HoldsName]
    );
    fixture.set("snapdragon").await.unwrap();
    assert!(dictionary::remove(repository, "SWORDFISH").await.unwrap());
    assert!(!dictionary::remove(repository, "swordfish").await.unwrap());
    fixture.set("Swordfish").await.unwrap();
}

#[tokio::test]
async fn answers_are_compared_in_their_form_and_never_kept() {
    let fixture = Fixture::with_policy(PasswordPolicy::default()).await;
    let repository = &fixture.repository;
    users::set_answer(repository, "ada", "Pet? ", b" Rex the  Dog")
        .await
        .unwrap();
    let check = async |question: &str, answer: &str| {
        users::check_answer(repository, "ada", question, answer.as_bytes())
            .await
            .unwrap()
    };
    assert!(check("Pet?", "rex THE dog ").await);
    assert!(!check("Pet?", "rex").await);
    assert!(!check("City?", "rex the dog").await);
    let stored = repository
        .users()
        .answer("ada", "Pet?")
        .await
        .unwrap()
        .unwrap();
    assert!(
        !String::from_utf8_lossy(&stored)
            .to_lowercase()
            .contains("rex")
    );
    for (question, answer) in [
        ("", "x"),
        ("Pet?\n?", "x"),
        ("Pet?", "  "),
        ("Pet?", "\u{fffd}"),
    ] {
        let answer = if answer == "\u{fffd}" {
            &b"\xff"[..]
        } else {
            answer.as_bytes()
        };
        let error = users::set_answer(repository, "ada", question, answer)
            .await
            .unwrap_err();
        assert!(matches!(error, PasswordError::Malformed(_)), "{error}");
    }
}

#[tokio::test]
async fn nobody_has_more_than_so_many_questions() {
    let fixture = Fixture::with_policy(PasswordPolicy::default()).await;
    let repository = &fixture.repository;
    for number in 0..users::MAX_QUESTIONS {
        let question = format!("Question {number}?");
        repository
            .users()
            .set_answer("ada", &question, b"x")
            .await
            .unwrap();
    }
    let one_more = users::set_answer(repository, "ada", "One more?", b"x").await;
    assert!(matches!(one_more.unwrap_err(), PasswordError::Malformed(_)));
    users::set_answer(repository, "ada", "Question 0?", b"y")
        .await
        .unwrap();
}
