//! A change that is undone and made again from its start gives, and leaves, what it does when it
//! is made once. The whole suite runs so (see [`Fixture::new`]); here both are compared, for the
//! changes that other tests of this suite do not make.

use portcullis_common::secret::GatewayKey;
use zeroize::Zeroizing;

use super::*;

/// What the changes are given: the same in both repositories.
struct Given {
    server_keys: [KeyId; 2],
    gateway_keys: [KeyId; 3],
    key: GatewayKey,
}

impl Given {
    fn new() -> Self {
        let mut rng = rand::rng();
        Self {
            server_keys: [(); 2].map(|()| KeyId::random(KeyKind::Tdes, &mut rng)),
            gateway_keys: [(); 3].map(|()| KeyId::random(KeyKind::Tdes, &mut rng)),
            key: GatewayKey::random(KeyKind::Tdes, &mut rng),
        }
    }

    fn gateway_key(&self, number: usize) -> NewGatewayKey {
        NewGatewayKey {
            id: self.gateway_keys[number],
            key: self.key.clone(),
            created: NOW,
        }
    }

    fn import(&self) -> KeyImport {
        KeyImport {
            server_keys: vec![ImportedServerKey {
                id: self.server_keys[1],
                wrapped: b"wrapped".to_vec(),
                created: NOW,
                retired: NOW,
            }],
            gateway_keys: vec![ImportedGatewayKey {
                id: self.gateway_keys[2],
                key: self.key.clone(),
                created: NOW,
                retired: NOW,
                compromised: true,
                withdrawn: false,
            }],
        }
    }
}

fn entry(seq: u64) -> AuditEntry {
    AuditEntry {
        seq,
        commit_first: 1,
        mac: vec![u8::try_from(seq).unwrap(); AUDIT_MAC_LEN],
        ..AuditEntry::default()
    }
}

/// Makes the changes. Gives what came of each, and what is stored at the end.
async fn course(fixture: &Fixture, given: &Given) -> Vec<String> {
    let repository = &fixture.repository;
    let database = repository.database();
    let (keys, server_keys) = (repository.gateway_keys(), database.server_keys());
    let gateways = repository.gateways();
    let mut told = Vec::new();
    let mut tell = |what: &dyn std::fmt::Debug| told.push(format!("{what:?}"));

    let first = server_keys.list().await.unwrap()[0].id;
    let [second, imported] = given.server_keys;
    server_keys
        .add(second, b"second".to_vec(), None, NOW)
        .await
        .unwrap();
    let wrapped = [first, second].map(|id| (id, b"anew".to_vec())).to_vec();
    let protection = database.protection();
    for wrapped in [wrapped, Vec::new()] {
        let switched = protection.switch(None, Scheme::Default, wrapped, NOW);
        tell(&switched.await);
    }
    for (number, replaced) in [(0, Replaced::Retired), (1, Replaced::Compromised)] {
        let rotated = keys.rotate(given.gateway_key(number), None, replaced);
        tell(&rotated.await);
    }
    tell(&repository.import_keys(given.import()).await);
    gateways
        .add("host1", Reach::DialOut, &registration(KeyKind::Tdes), NOW)
        .await
        .unwrap();
    let old = given.gateway_keys[0];
    let holds = gateways.update("host1", move |row, _| {
        (row.last_proved, row.sent) = (Some(old), vec![old]);
    });
    holds.await.unwrap();
    tell(&keys.delete(old).await);
    tell(&keys.delete_forced(old).await);
    tell(&server_keys.remove(imported).await);
    tell(&server_keys.delete(second, false).await);
    let (log, key) = (
        repository.audit_entries(),
        Zeroizing::new([7; AUDIT_MAC_LEN]),
    );
    tell(&log.add_key(1, &*key).await);
    let append = |entries: Vec<AuditEntry>| {
        let besides = vec![None; entries.len()];
        let make = move |_: AuditTip, _: &[Written], _: &[u8; AUDIT_MAC_LEN]| Ok(entries.clone());
        log.append(NO_ENTRY, besides, moved, make)
    };
    tell(&append(vec![entry(1), entry(2)]).await.map(drop));
    tell(&append(vec![entry(3)]).await.map(drop));
    tell(&database.scrub_if_due().await);
    tell(&database.scrub_if_due().await);

    told.extend(left(repository, given, first).await);
    told
}

/// What is stored at the end.
async fn left(repository: &Repository, given: &Given, first: KeyId) -> Vec<String> {
    let mut told = Vec::new();
    let mut tell = |what: &dyn std::fmt::Debug| told.push(format!("{what:?}"));
    let keys = repository.gateway_keys();
    tell(&keys.list().await);
    let opened = keys.open(&given.gateway_keys[1..]).await;
    tell(&opened.map(|keys| keys.len()));
    let gateway = repository.gateways().find("host1").await.unwrap();
    tell(&gateway.unwrap().registration.sent);
    let rows = repository.database().server_keys().list().await.unwrap();
    let rows = rows
        .iter()
        .map(|row| (row.id == first, row.generation, row.in_use_by));
    tell(&rows.collect::<Vec<_>>());
    let log = repository.audit_entries();
    tell(&log.scan(0, 10).await);
    tell(&log.keys().await.unwrap().len());
    told
}

#[tokio::test]
async fn what_is_made_again_from_its_start_gives_and_leaves_the_same() {
    let given = Given::new();
    let once = course(&Fixture::once().await, &given).await;
    let twice = course(&Fixture::new().await, &given).await;
    assert_eq!(once, twice);
}
