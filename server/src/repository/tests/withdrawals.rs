//! Which changes other servers have to hear of before they are done.

use super::*;

struct Site {
    fixture: Fixture,
    last: u64,
}

impl Site {
    /// Whether the authority version was raised since this was asked last.
    async fn raised(&mut self) -> bool {
        let database = self.fixture.repository.database();
        let version = database.meta().authority_version().await.unwrap();
        assert!(version >= self.last);
        std::mem::replace(&mut self.last, version) != version
    }
}

#[tokio::test]
async fn what_is_withdrawn_raises_the_version_and_what_is_granted_does_not() {
    let fixture = Fixture::new().await;
    let repository = fixture.repository.clone();
    let mut site = Site { fixture, last: 0 };
    // The first server key.
    assert!(site.raised().await);
    let gateways = repository.gateways();
    for name in ["host1", "host2"] {
        let token = registration(KeyKind::Tdes);
        let added = gateways.add(name, Reach::DialOut, &token, NOW);
        added.await.unwrap();
    }
    let id = registration(KeyKind::Tdes).gateway_id;
    gateways.lost("host1", id, NOW).await.unwrap();
    let change = GatewayChange {
        add_groups: vec!["web".to_owned()],
        ..GatewayChange::default()
    };
    gateways.change("host1", change).await.unwrap();
    assert!(!site.raised().await);
    let revoke = || gateways.update("host1", |row, _| row.revoke());
    revoke().await.unwrap();
    assert!(site.raised().await);
    // Nothing more is withdrawn by saying it again.
    revoke().await.unwrap();
    assert!(!site.raised().await);
    let again = registration(KeyKind::Tdes);
    let registered = gateways.update("host1", move |row, _| row.clone_from(&again));
    registered.await.unwrap();
    assert!(site.raised().await);
    gateways.rename("host1", "host3").await.unwrap();
    assert!(site.raised().await);
    gateways.remove("host3", false).await.unwrap().unwrap();
    assert!(site.raised().await);

    let key = rotate(&repository, None).await.unwrap();
    assert!(site.raised().await);
    rotate(&repository, None).await.unwrap();
    assert!(site.raised().await);
    repository
        .gateway_keys()
        .delete(key)
        .await
        .unwrap()
        .unwrap();
    assert!(site.raised().await);
    let before = site.fixture.change_server_key().await;
    assert!(site.raised().await);
    let server_keys = repository.database().server_keys();
    // The authority key is sealed under it: it stays.
    let needed = server_keys.delete(before, true).await.unwrap();
    assert!(!needed.is_empty() && !site.raised().await);
    repository.reseal_authority().await.unwrap();
    server_keys.delete(before, true).await.unwrap();
    assert!(site.raised().await);
}
