//! What becomes of a repository on a full disk, in a damaged file, and in the hands of an attacker.

use super::super::sql::params;
use super::*;

#[tokio::test]
async fn a_full_disk_changes_nothing_and_is_told_as_such() {
    if on_postgres() {
        return;
    }
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    rotate(repository, None).await.unwrap();
    // SQLite takes no limit below what is in use, so this is exactly that.
    repository.database.limit_pages(Some(1)).await;
    let mut added = 0;
    let error = loop {
        let before = everything(repository).await;
        let result = repository
            .gateways()
            .add(
                &format!("host{added} {}", "x".repeat(500)),
                Reach::DialOut,
                &registration(KeyKind::Tdes),
                NOW,
            )
            .await;
        match result {
            Ok(()) => added += 1,
            Err(error) => {
                assert_eq!(everything(repository).await, before);
                break error;
            }
        }
        assert!(added < 1_000, "the limit does not hold");
    };
    assert!(matches!(error, RepositoryError::Full), "{error}");
    assert!(error.to_string().contains("free some space"), "{error}");

    repository.database.limit_pages(None).await;
    rotate(repository, None).await.unwrap();
}

#[tokio::test]
async fn a_ciphertext_moved_to_another_row_does_not_open() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let (first, second) = (
        rotate(repository, None).await.unwrap(),
        rotate(repository, None).await.unwrap(),
    );
    repository
        .gateway_keys()
        .open(&[first, second])
        .await
        .unwrap();
    repository
        .database
        .write(move |tx| {
            tx.execute(
                "UPDATE sealed_values SET sealed = (SELECT sealed FROM sealed_values WHERE owner = ?1) WHERE owner = ?2",
                &params![first.to_bytes(), second.to_bytes()],
            )?;
            Ok(())
        })
        .await
        .unwrap();
    let error = repository.gateway_keys().open(&[second]).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::Sealed(OpenError::Forged(_))),
        "{error}"
    );
    repository.gateway_keys().open(&[first]).await.unwrap();
}

#[tokio::test]
async fn no_secret_stands_in_the_file() {
    if on_postgres() {
        return;
    }
    let fixture = Fixture::new().await;
    let stored = registration(KeyKind::Tdes);
    let token = stored.token.as_ref().unwrap().key.clone();
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    let new = gateway_keys::generate(KeyKind::Tdes, NOW);
    let key = new.key.clone();
    let keys = fixture.repository.gateway_keys();
    keys.rotate(new, None, Replaced::Retired)
        .await
        .unwrap()
        .unwrap();
    fixture.repository.database.close().await;
    let bytes = std::fs::read(file(fixture.folder.path())).unwrap();
    for secret in [token.expose(), key.expose()] {
        assert!(!bytes.windows(8).any(|window| window == &secret[..8]));
    }
    assert!(
        bytes.windows(5).any(|window| window == b"host1"),
        "the file read is the repository"
    );
}

#[tokio::test]
async fn a_newer_schema_and_a_strange_file_are_refused_untouched() {
    if on_postgres() {
        return;
    }
    let fixture = Fixture::new().await;
    let path = file(fixture.folder.path());
    fixture
        .repository
        .database
        .write(|tx| tx.batch("PRAGMA user_version = 99"))
        .await
        .unwrap();
    fixture.repository.database.close().await;
    let before = std::fs::read(&path).unwrap();
    let error = Database::open(&path).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::NewerSchema { found: 99, .. }),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::write(
        &path,
        "this is no database, whatever its name says".repeat(50),
    )
    .unwrap();
    let error = Database::open(&path).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Damaged(_)), "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = Database::open(&path).await.unwrap_err();
    assert!(
        error.to_string().contains("portcullis-server init"),
        "{error}"
    );
}

#[tokio::test]
async fn what_is_asked_after_the_end_fails_and_a_second_end_is_none() {
    let fixture = Fixture::new().await;
    let database = &fixture.repository.database;
    let id = ServerId::random(&mut rand::rng());
    database.meta().set_server_id(id).await.unwrap();
    assert_eq!(database.meta().server_id().await.unwrap(), id);
    database.close().await;
    database.close().await;
    let error = database.meta().server_id().await.unwrap_err();
    assert!(matches!(error, RepositoryError::Closed), "{error}");
}
