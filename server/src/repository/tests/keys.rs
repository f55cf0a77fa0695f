//! Gateway keys are rotated, rolled back and deleted.

use super::*;

#[tokio::test]
async fn of_two_servers_that_rotate_at_once_one_wins() {
    let fixture = Fixture::new().await;
    let other = fixture.another().await;
    let mut current = rotate(&fixture.repository, None).await.unwrap();
    for _ in 0..20 {
        let (a, b) = tokio::join!(
            rotate(&fixture.repository, Some(current)),
            rotate(&other, Some(current))
        );
        let (won, lost) = match (a, b) {
            (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
            both => panic!("both or none: {both:?}"),
        };
        let expected = current;
        assert_eq!(
            lost,
            RotateError::NotCurrent {
                expected,
                current: won
            }
        );
        current = won;
        assert_eq!(other.gateway_keys().current().await.unwrap(), Some(won));
    }
    let keys = other.gateway_keys().list().await.unwrap();
    assert_eq!(keys.len(), 21);
    assert!(keys[0].info.retired.is_none());
    assert!(keys[1..].iter().all(|key| key.info.retired.is_some()));
    assert!(
        keys.windows(2)
            .all(|pair| pair[0].info.generation > pair[1].info.generation)
    );
}

/// Gateways that hold on to `second`, each in another way: one enrols under it, one proved it last,
/// one was sent it.
async fn depend_on(gateways: &Gateways<'_>, [first, second, current]: [KeyId; 3]) {
    gateways
        .update("enrolling", move |row, _| {
            row.token.as_mut().unwrap().bound = Some([9; 32]);
            row.sent = vec![second];
        })
        .await
        .unwrap();
    gateways
        .update("proved", move |row, _| {
            row.token = None;
            row.last_proved = Some(second);
        })
        .await
        .unwrap();
    gateways
        .update("sent", move |row, _| {
            row.token = None;
            row.last_proved = Some(first);
            row.sent = vec![second, current];
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn a_key_is_deleted_only_once_no_gateway_depends_on_it() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let (gateways, keys) = (repository.gateways(), repository.gateway_keys());
    let first = rotate(repository, None).await.unwrap();
    for name in ["enrolling", "proved", "sent"] {
        gateways
            .add(name, Reach::DialOut, &registration(KeyKind::Tdes), NOW)
            .await
            .unwrap();
    }
    let second = rotate(repository, Some(first)).await.unwrap();
    let current = rotate(repository, Some(second)).await.unwrap();
    depend_on(&gateways, [first, second, current]).await;

    let found = keys.dependents(second).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|dependent| (dependent.gateway.as_str(), dependent.dependency))
        .collect();
    let expected = [
        ("enrolling", Dependency::Enrolling),
        ("proved", Dependency::LastProved),
        ("sent", Dependency::Sent),
    ];
    assert_eq!(found, expected);
    let refused = keys.delete(second).await.unwrap().unwrap_err();
    assert!(
        matches!(&refused, DeleteKeyError::InUse { dependents, .. } if dependents.len() == 3),
        "{refused}"
    );
    let refused = keys.delete(current).await.unwrap();
    assert_eq!(refused, Err(DeleteKeyError::Current(current)));
    keys.open(&[second, current]).await.unwrap();

    for name in ["enrolling", "proved", "sent"] {
        gateways
            .update(name, move |row, _| {
                row.token = None;
                row.last_proved = Some(current);
                row.sent.clear();
            })
            .await
            .unwrap();
    }
    keys.delete(second).await.unwrap().unwrap();
    assert!(keys.open(&[second]).await.is_err());
    let error = keys.delete(second).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::NoSuchKey(id) if id == second),
        "{error}"
    );
    let values = repository.database().sealed_values();
    let left = values.batch(Selection::default(), 0, 10).await.unwrap();
    // The authority key stands beside them.
    assert_eq!(left.len(), 3);
}

#[tokio::test]
async fn a_roll_back_withdraws_the_current_key_alone() {
    let fixture = Fixture::new().await;
    let keys = fixture.repository.gateway_keys();
    let first = rotate(&fixture.repository, None).await.unwrap();
    let second = rotate(&fixture.repository, Some(first)).await.unwrap();
    let fresh = || gateway_keys::generate(KeyKind::Tdes, NOW);
    let late = keys
        .rotate(fresh(), Some(first), Replaced::Withdrawn)
        .await
        .unwrap();
    assert!(late.is_err());
    let new = fresh();
    let id = new.id;
    let withdrawn = keys
        .rotate(new, Some(second), Replaced::Withdrawn)
        .await
        .unwrap();
    assert_eq!(withdrawn, Ok(Some(second)));
    let listed = keys.list().await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|row| (row.info.id, row.info.withdrawn, row.info.compromised))
        .collect();
    assert_eq!(
        listed,
        [
            (id, false, false),
            (second, true, false),
            (first, false, false)
        ]
    );
}
