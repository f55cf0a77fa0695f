//! Resources come, change and go.

use super::*;

#[tokio::test]
async fn names_are_taken_once_and_missing_things_are_named() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let add = |registration: Registration| async move {
        gateways
            .add("host1", Reach::DialOut, &registration, NOW)
            .await
    };
    add(registration(KeyKind::Tdes)).await.unwrap();
    let error = add(registration(KeyKind::Tdes)).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is already a gateway `host1`: choose another name"
    );

    let resources = fixture.repository.resources();
    let resource = Resource {
        name: "r".to_owned(),
        gateway: "nowhere".to_owned(),
        connector: "unix".to_owned(),
        settings: [("a".to_owned(), "1".to_owned())].into(),
        mapping: std::collections::BTreeMap::new(),
        secret_settings: std::collections::BTreeSet::new(),
        groups: ["people".to_owned()].into(),
        lost_settings: std::collections::BTreeSet::new(),
        pending: Default::default(),
        common: Default::default(),
        fault: None,
        created: NOW,
    };
    let error = resources.add(resource.clone()).await.unwrap_err();
    assert!(
        error.to_string().contains("no gateway `nowhere`"),
        "{error}"
    );
    let resource = Resource {
        gateway: "host1".to_owned(),
        ..resource
    };
    resources.add(resource.clone()).await.unwrap();
    let again = resources.add(resource.clone()).await.unwrap_err();
    assert!(matches!(again, RepositoryError::AlreadyExists { .. }));
    let changed = resources
        .update("r", |resource| {
            resource.settings = [("b".to_owned(), "2".to_owned())].into();
        })
        .await
        .unwrap();
    assert_eq!(resources.find("r").await.unwrap(), Some(changed.clone()));
    assert_eq!(changed.settings.len(), 1);
    assert_eq!(changed.groups, resource.groups, "groups stay");
    let moved = resources
        .update("r", |resource| resource.gateway = "nowhere".to_owned())
        .await;
    assert!(moved.is_err());
    assert_eq!(resources.list().await.unwrap(), [changed]);
    resources.remove("r").await.unwrap();
    assert!(resources.remove("r").await.is_err());
    assert!(resources.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn secret_settings_do_not_follow_a_resource_to_another_place() {
    let fixture = Fixture::new().await;
    for name in ["g1", "g2"] {
        let token = registration(KeyKind::Tdes);
        let gateways = fixture.repository.gateways();
        gateways
            .add(name, Reach::DialOut, &token, NOW)
            .await
            .unwrap();
    }
    let resources = fixture.repository.resources();
    let resource = Resource {
        name: "r".to_owned(),
        gateway: "g1".to_owned(),
        connector: "ldap".to_owned(),
        settings: std::collections::BTreeMap::new(),
        mapping: std::collections::BTreeMap::new(),
        secret_settings: std::collections::BTreeSet::new(),
        groups: std::collections::BTreeSet::new(),
        lost_settings: std::collections::BTreeSet::new(),
        pending: Default::default(),
        common: Default::default(),
        fault: None,
        created: NOW,
    };
    resources.add(resource).await.unwrap();
    let secret = |name: &str| (name.to_owned(), zeroize::Zeroizing::new(b"hidden".to_vec()));
    let set = [secret("a"), secret("b")].into();
    resources.update_with("r", set, |_| ()).await.unwrap();
    let call = NewQueuedCall {
        call_id: "1".to_owned(),
        resource: "r".to_owned(),
        summary: String::new(),
        payload: zeroize::Zeroizing::new(Vec::new()),
        queued: NOW,
        expires: NOW,
        digest: vec![7; 32],
        lanes: ("ada".to_owned(), "ada".to_owned()),
        direct: None,
        after: None,
        retry_of: None,
        trace_id: None,
    };
    let calls = fixture.repository.queued_calls();
    calls.enqueue(call, 3).await.unwrap();
    let moved = resources.update_with("r", [secret("b")].into(), |resource| {
        resource.gateway = "g2".to_owned();
    });
    let moved = moved.await.unwrap();
    assert_eq!(
        (moved.dropped, moved.cancelled),
        (vec!["a".to_owned()], vec!["1".to_owned()])
    );
    let opened = resources.open("r").await.unwrap().unwrap().unwrap();
    let secrets = opened.secrets;
    assert_eq!(secrets, [secret("b")].into());
    let moved = resources.update_with("r", SecretSettings::new(), |resource| {
        resource.connector = "sql".to_owned();
    });
    assert_eq!(moved.await.unwrap().dropped, ["b"]);
}
