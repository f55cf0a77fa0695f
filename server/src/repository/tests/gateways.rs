//! Gateways and their registrations are read as they were stored.

use super::*;

#[tokio::test]
async fn a_registration_is_read_as_it_was_stored() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let key = rotate(&fixture.repository, None).await.unwrap();
    for (name, kind) in [("a", KeyKind::Tdes), ("b", KeyKind::Aes256)] {
        let stored = registration(kind);
        gateways
            .add(name, Reach::DialOut, &stored, NOW)
            .await
            .unwrap();
        let bound = stored.clone();
        gateways
            .update(stored.gateway_id, move |registration, keys| {
                assert_eq!(keys.len(), 1);
                registration.token.as_mut().unwrap().bound = Some([9; 32]);
                registration.last_proved = Some(key);
                registration.sent = vec![key, key];
            })
            .await
            .unwrap();
        let row = fixture.another().await.gateways().find(name).await.unwrap();
        let read = row.unwrap().registration;
        let (read_token, token) = (read.token.unwrap(), bound.token.unwrap());
        assert_eq!(read.gateway_id, bound.gateway_id);
        assert_eq!(read_token.key.expose(), token.key.expose());
        assert_eq!(read_token.key_id, token.key_id);
        assert_eq!(read_token.expires, NOW.plus(10));
        assert_eq!(read_token.bound, Some([9; 32]));
        assert_eq!(read.pairing_until, Some(NOW.plus(20)));
        assert_eq!(read.last_proved, Some(key));
        assert_eq!(read.sent, [key, key]);
    }
    let in_use = fixture.repository.gateway_keys().list().await.unwrap();
    assert_eq!(in_use[0].in_use_by, 2);
}

#[tokio::test]
async fn a_new_registration_takes_the_old_ones_place() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let (old, new) = (registration(KeyKind::Tdes), registration(KeyKind::Tdes));
    gateways
        .add("host1", Reach::DialOut, &old, NOW)
        .await
        .unwrap();
    let placed = new.clone();
    gateways
        .update("host1", move |registration, _| {
            registration.clone_from(&placed)
        })
        .await
        .unwrap();
    assert!(gateways.find(old.gateway_id).await.unwrap().is_none());
    let error = gateways.update(old.gateway_id, |_, _| ()).await;
    assert!(matches!(error, Err(RepositoryError::NotFound { .. })));
    let row = gateways.find(new.gateway_id).await.unwrap().unwrap();
    let token = row.registration.token.unwrap();
    assert_eq!(token.key.expose(), new.token.unwrap().key.expose());
}

#[tokio::test]
async fn of_two_servers_that_bind_a_token_one_wins() {
    let fixture = Fixture::new().await;
    let other = fixture.another().await;
    let stored = registration(KeyKind::Tdes);
    let (id, key) = (stored.gateway_id, stored.token.as_ref().unwrap().key_id);
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    let bind = |repository: Repository, nonce: [u8; 32]| async move {
        let gateways = repository.gateways();
        gateways
            .update(id, move |registration, _| {
                registration.bind(id, key, &nonce, NOW)
            })
            .await
            .unwrap()
    };
    let (a, b) = tokio::join!(
        bind(fixture.repository.clone(), [1; 32]),
        bind(other, [2; 32])
    );
    assert!(a.is_ok() != b.is_ok(), "{a:?} {b:?}");
}

#[tokio::test]
async fn what_a_transition_leaves_is_stored_also_where_it_fails() {
    let fixture = Fixture::new().await;
    let key = rotate(&fixture.repository, None).await.unwrap();
    let stored = registration(KeyKind::Tdes);
    let id = stored.gateway_id;
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    let scope = gateways
        .update(id, move |registration, keys| {
            registration.proved(id, Mode::Secure, key, keys, &POLICY, NOW)
        })
        .await
        .unwrap();
    assert!(scope.is_err(), "this key was never sent: {scope:?}");
    let row = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!(row.registration.pairing_until, None, "any proof closes it");

    gateways
        .update(id, move |registration, _| registration.sent.push(key))
        .await
        .unwrap();
    let scope = gateways
        .update(id, move |registration, keys| {
            registration.proved(id, Mode::Secure, key, keys, &POLICY, NOW)
        })
        .await
        .unwrap();
    assert_eq!(scope, Ok(Scope::Full));
}

#[tokio::test]
async fn a_change_that_a_reader_tried_first_is_stored_and_where_there_is_none_nothing_is() {
    let fixture = Fixture::new().await;
    let stored = registration(KeyKind::Tdes);
    let id = stored.gateway_id;
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    let looked = gateways.update_where_changed(id, |registration, _, _| registration.pairing_until);
    assert_eq!(looked.await.unwrap(), Some(NOW.plus(20)));
    let closed =
        gateways.update_where_changed(id, |registration, _, _| registration.pairing_until.take());
    assert_eq!(closed.await.unwrap(), Some(NOW.plus(20)));
    let row = fixture.another().await.gateways().find(id).await.unwrap();
    assert_eq!(row.unwrap().registration.pairing_until, None);
}

#[tokio::test]
async fn a_gateway_seen_with_its_change_has_no_error_any_more() {
    let fixture = Fixture::new().await;
    let stored = registration(KeyKind::Tdes);
    let id = stored.gateway_id;
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &stored, NOW)
        .await
        .unwrap();
    for (seen, error) in [(None, Some("away".to_owned())), (Some(NOW.plus(5)), None)] {
        gateways.failed("host1", "away").await.unwrap();
        gateways
            .update_seen(id, move |_, _, _| ((), seen))
            .await
            .unwrap();
        let row = gateways.find("host1").await.unwrap().unwrap();
        assert_eq!((row.last_seen, row.last_error), (seen, error));
    }
    assert_eq!(gateways.count().await.unwrap(), 1);
}

fn alarm(number: u64) -> NewAlarm {
    NewAlarm {
        kind: AlarmKind::TwoHosts,
        alike: number.to_string(),
        text: format!("alarm {number}"),
    }
}

fn acknowledge(alarm: Option<i64>) -> Acknowledgement {
    Acknowledgement {
        alarm,
        by: "ada (1001)".to_owned(),
        reason: "a clone".to_owned(),
    }
}

#[tokio::test]
async fn alike_alarms_are_one_until_it_is_acknowledged() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let registration = registration(KeyKind::Tdes);
    for name in ["host1", "host2"] {
        let registration = match name {
            "host1" => registration.clone(),
            _ => super::registration(KeyKind::Tdes),
        };
        let added = gateways.add(name, Reach::DialOut, &registration, NOW);
        added.await.unwrap();
    }
    for count in 1..=3 {
        let mut again = alarm(7);
        again.text = format!("for the {count}. time");
        let raised = gateways.raise_alarm("host1", again, NOW.plus(count));
        assert_eq!(raised.await.unwrap(), count);
    }
    assert_eq!(
        gateways.raise_alarm("host1", alarm(8), NOW).await.unwrap(),
        1
    );
    assert_eq!(
        gateways.raise_alarm("host2", alarm(7), NOW).await.unwrap(),
        1
    );
    let open = gateways.alarms(Some("host1"), false).await.unwrap();
    let seen: Vec<_> = open.iter().map(|a| (a.count, a.first, a.last)).collect();
    assert_eq!(seen, [(3, NOW.plus(1), NOW.plus(3)), (1, NOW, NOW)]);
    assert_eq!(open[0].text, "for the 3. time");

    let one = acknowledge(Some(open[0].id));
    let closed = gateways.acknowledge("host1", one, NOW.plus(9)).await;
    assert_eq!(closed.unwrap(), [open[0].id]);
    // From now on it is another one.
    let raised = gateways.raise_alarm("host1", alarm(7), NOW.plus(10)).await;
    assert_eq!(raised.unwrap(), 1);
    let rest = gateways.acknowledge("host1", acknowledge(None), NOW).await;
    assert_eq!(rest.unwrap().len(), 2);
    assert!(
        gateways
            .find("host1")
            .await
            .unwrap()
            .unwrap()
            .alarms
            .is_empty()
    );
    let all = gateways.alarms(Some("host1"), true).await.unwrap();
    assert!(
        all.iter()
            .all(|alarm| alarm.closed.as_ref().is_some_and(|c| c.reason == "a clone"))
    );
    assert_eq!(
        gateways.alarms(None, false).await.unwrap()[0].gateway,
        "host2"
    );
    let unknown = gateways.alarms(Some("host3"), false).await;
    assert!(matches!(unknown, Err(RepositoryError::NotFound { .. })));
}

#[tokio::test]
async fn an_alarm_ends_when_its_gateway_has_enrolled_anew() {
    let fixture = Fixture::new().await;
    let key = rotate(&fixture.repository, None).await.unwrap();
    let gateways = fixture.repository.gateways();
    let open = async || gateways.alarms(Some("host1"), false).await.unwrap().len();
    let first = registration(KeyKind::Tdes);
    let added = gateways.add("host1", Reach::DialOut, &first, NOW);
    added.await.unwrap();
    let prove = async || {
        let proved = gateways.update("host1", move |registration, _| {
            registration.last_proved = Some(key);
        });
        proved.await.unwrap();
    };
    gateways.raise_alarm("host1", alarm(1), NOW).await.unwrap();
    // It is about this very registration.
    prove().await;
    assert_eq!(open().await, 1);
    let second = registration(KeyKind::Tdes);
    let evicted = gateways.update("host1", |registration, _| registration.evict());
    evicted.await.unwrap();
    let again = gateways.update("host1", move |registration, _| {
        registration.clone_from(&second);
    });
    again.await.unwrap();
    assert_eq!(open().await, 1);
    prove().await;
    assert_eq!(open().await, 0);
}

#[tokio::test]
async fn alarms_are_kept_newest_first_and_bounded() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &registration(KeyKind::Tdes), NOW)
        .await
        .unwrap();
    for number in 0..30 {
        let raised = gateways.raise_alarm("host1", alarm(number), NOW.plus(number));
        assert_eq!(raised.await.unwrap(), 1);
    }
    let row = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!(row.alarms.len(), 20);
    assert_eq!(row.alarms[0].text, "alarm 29");
    assert_eq!(row.last_error, None);
    gateways.failed("host1", "no route").await.unwrap();
    let failed = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!(failed.last_error.as_deref(), Some("no route"));
    let id = failed.registration.gateway_id;
    gateways.lost("host1", id, NOW.plus(5)).await.unwrap();
    let seen = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!((seen.last_error, seen.last_seen), (None, Some(NOW.plus(5))));
}

#[tokio::test]
async fn groups_come_and_go_with_their_gateways() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let groups = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let stored = registration(KeyKind::Tdes);
    gateways
        .add_to("a", Reach::DialOut, groups(&["west", "east"]), &stored, NOW)
        .await
        .unwrap();
    gateways
        .add("b", Reach::DialOut, &registration(KeyKind::Tdes), NOW)
        .await
        .unwrap();
    let change = GatewayChange {
        reach: None,
        add_groups: groups(&["north", "east"]),
        remove_groups: groups(&["west", "south"]),
        ..GatewayChange::default()
    };
    gateways.change("a", change.clone()).await.unwrap();
    let found = gateways.find("a").await.unwrap().unwrap();
    assert_eq!(found.groups, ["east", "north"]);
    assert_eq!(found.reach, Reach::DialOut);
    let listed = gateways.list().await.unwrap();
    assert_eq!(listed[0].groups, found.groups);
    assert!(listed[1].groups.is_empty());
    let holdings = gateways.holdings().await.unwrap();
    assert_eq!(holdings.gateways[0].groups, found.groups);
    let error = gateways.change("c", change).await.unwrap_err();
    assert!(
        matches!(error, RepositoryError::NotFound { .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_demand_for_tls_stays_until_it_is_taken_back() {
    let fixture = Fixture::new().await;
    let gateways = fixture.repository.gateways();
    let demand = |tls| GatewayChange {
        require_tls: Some(tls),
        ..GatewayChange::default()
    };
    let stored = registration(KeyKind::Tdes);
    gateways
        .add_with("a", Reach::DialOut, demand(true), &stored, NOW)
        .await
        .unwrap();
    let required = async |name: &str| gateways.find(name).await.unwrap().unwrap().require_tls;
    assert!(required("a").await);
    let change = GatewayChange {
        add_groups: vec!["west".to_owned()],
        ..GatewayChange::default()
    };
    gateways.change("a", change).await.unwrap();
    gateways.rename("a", "b").await.unwrap();
    assert!(required("b").await);
    gateways.change("b", demand(false)).await.unwrap();
    assert!(!required("b").await);
    assert!(!gateways.find("b").await.unwrap().unwrap().record_changed);
}
