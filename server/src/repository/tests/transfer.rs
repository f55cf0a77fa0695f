//! A repository copied as a whole, and one that went back in time.

use super::super::sql::params;
use super::*;

/// An empty repository in a folder of its own.
async fn empty() -> (TempDir, Database) {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::create(&file(folder.path())).await.unwrap();
    (folder, database)
}

async fn filled() -> Fixture {
    let fixture = Fixture::once().await;
    let repository = &fixture.repository;
    rotate(repository, None).await.unwrap();
    rotate(repository, None).await.unwrap();
    for name in ["ada", "b\0b"] {
        let token = registration(KeyKind::Tdes);
        let gateways = repository.gateways();
        gateways
            .add(name, Reach::DialOut, &token, NOW)
            .await
            .unwrap();
    }
    fixture
}

#[tokio::test]
async fn a_copy_has_every_row_and_opens_under_the_same_secret() {
    let fixture = filled().await;
    let from = &fixture.repository.database;
    // More than one transaction's worth, of which the last numbers are free again.
    let many = async |first: i64, last: i64| {
        from.write(move |tx| {
            for id in first..=last {
                tx.execute(
                    "INSERT INTO alarms (gateway, raised_ms, text) VALUES ('ada', ?1, 'alarm')",
                    &params![id],
                )?;
            }
            Ok(())
        })
        .await
        .unwrap();
    };
    many(1, 1_200).await;
    let (_folder, to) = empty().await;
    let sums = from.copy_to(&to).await.unwrap();
    assert_eq!(sums, to.sums().await.unwrap());
    let alarms = sums.iter().find(|sum| sum.table == "alarms").unwrap();
    assert_eq!(alarms.rows, 1_200);
    let keyring = Keyring::unlock(&to, &fixture.protection).await.unwrap();
    let copy = Repository::new(to, Arc::new(keyring));
    copy.open_authority().await.unwrap();
    assert_eq!(
        everything(&copy).await,
        everything(&fixture.repository).await
    );
    let opened = copy.open_all().await.unwrap();
    assert!(opened.opened >= 4 && opened.without_key == 0, "{opened:?}");
    let rows = copy.check_rows().await.unwrap();
    assert_eq!(rows.fault_count, 0);
    // It goes on numbering where the other one was.
    let next: i64 = copy
        .database
        .write(|tx| {
            let sql = "INSERT INTO alarms (gateway, raised_ms, text) VALUES ('ada', 0, 'next') RETURNING id";
            tx.query_one(sql, &[], |row| row.get(0))
        })
        .await
        .unwrap();
    assert_eq!(next, 1_201);
}

#[tokio::test]
async fn a_copy_into_what_is_not_empty_fails() {
    let fixture = filled().await;
    let (_folder, to) = empty().await;
    to.meta()
        .set_server_id(ServerId::random(&mut rand::rng()))
        .await
        .unwrap();
    let from = &fixture.repository.database;
    let error = from.copy_to(&to).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::NotCopied { ref table } if table == "meta"),
        "{error}"
    );
}

#[tokio::test]
async fn what_says_that_a_repository_was_moved_is_not_copied() {
    let fixture = filled().await;
    let from = &fixture.repository.database;
    assert_eq!(from.moved().await.unwrap(), None);
    from.set_moved("elsewhere").await.unwrap();
    assert_eq!(from.moved().await.unwrap().as_deref(), Some("elsewhere"));
    let (_folder, to) = empty().await;
    from.copy_to(&to).await.unwrap();
    assert_eq!(to.moved().await.unwrap(), None);
}

#[tokio::test]
async fn a_value_that_was_changed_does_not_open() {
    let fixture = filled().await;
    let repository = &fixture.repository;
    let before = repository.open_all().await.unwrap();
    assert_eq!(before.without_key, 0);
    repository
        .database
        .write(|tx| {
            let other = "UPDATE sealed_values SET field = 'other' WHERE type = 'enrolment-key'";
            tx.execute(other, &[])
        })
        .await
        .unwrap();
    let error = repository.open_all().await.unwrap_err();
    assert!(matches!(error, RepositoryError::Sealed(_)), "{error}");
}

#[tokio::test]
async fn a_loss_voids_tokens_and_pairing_and_keeps_every_row_sound() {
    let fixture = filled().await;
    let repository = &fixture.repository;
    let loss = repository.accept_loss(NOW).await.unwrap();
    assert_eq!((loss.generation, loss.held, loss.closed), (1, 0, 2));
    for gateway in repository.gateways().list().await.unwrap() {
        assert!(gateway.registration.token.is_none(), "{gateway:?}");
        assert_eq!(gateway.registration.pairing_until, None);
    }
    assert_eq!(repository.check_rows().await.unwrap().fault_count, 0);
    let again = repository.accept_loss(NOW).await.unwrap();
    assert_eq!((again.generation, again.held, again.closed), (2, 0, 0));
}
