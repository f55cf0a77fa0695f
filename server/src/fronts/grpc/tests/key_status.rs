//! Under which server key what is sealed, as clients of the API see it.

use super::*;
use crate::repository::{ProtectedType, tamper};

impl Api {
    async fn server_keys(&self) -> proto::ServerKeyStatus {
        let mut keys = KeysClient::new(self.channel.clone());
        let request = proto::KeyStatusRequest { gateways: false };
        let answer = keys.status(request).await.unwrap().into_inner();
        answer.server_keys.unwrap()
    }
}

/// Those that are not zero.
fn some(counts: &[proto::TypeCount]) -> Vec<(&str, u64)> {
    let counts = counts.iter().filter(|kind| kind.count > 0);
    counts
        .map(|kind| (kind.r#type.as_str(), kind.count))
        .collect()
}

/// A key's id, whether it is the current one, what is in use under it, and of which types.
fn shown(held: &proto::ServerKeyValues) -> (String, bool, u64, Vec<(&str, u64)>) {
    let key = held.key.as_ref().unwrap();
    let types = held.values.len();
    assert_eq!(
        types,
        ProtectedType::ALL.len(),
        "types without values are told, too"
    );
    let id = key.key_id.clone();
    (id, key.current, key.in_use_by, some(&held.values))
}

#[tokio::test]
async fn values_are_counted_under_their_key_under_absent_ones_and_under_none() {
    let api = Api::start().await;
    api.add_gateway("host1").await;
    let first = api.services.keys.keyring().current();
    let second = api.services.keys.generate(None, true).await.unwrap();
    let status = api.server_keys().await;
    let shown: Vec<_> = status.keys.iter().map(shown).collect();
    let stored = vec![
        ("gateway-key", 1),
        ("enrolment-key", 1),
        ("audit-key", 1),
        ("authority-key", 1),
    ];
    assert_eq!(
        shown,
        [
            (second.to_string(), true, 0, vec![]),
            (first.to_string(), false, 4, stored.clone())
        ]
    );
    assert_eq!(status.absent, []);
    let all: Vec<_> = stored.into_iter().chain([("server-key", 2)]).collect();
    assert_eq!(some(&status.totals), all);
    assert_eq!(status.totals.len(), ProtectedType::ALL.len() + 1);
    let protection = status.protection.unwrap();
    assert_eq!(protection.scheme, "pbe");
    assert!(
        protection.derivation.starts_with("PBKDF2"),
        "{protection:?}"
    );

    let path = api.services.repository.database().path().to_owned();
    tamper(
        &path,
        "UPDATE sealed_values SET sealed = x'00' WHERE type = 'enrolment-key'",
    );
    let forced = crate::keys::Deletion::Forced;
    api.services.keys.delete(first, forced).await.unwrap();
    let status = api.server_keys().await;
    assert_eq!(status.keys.len(), 1);
    let [absent] = &*status.absent else {
        panic!("{:?}", status.absent);
    };
    assert_eq!(absent.key_id, first.to_string());
    assert_eq!(some(&absent.values), [("gateway-key", 1), ("audit-key", 1)]);
    assert_eq!(status.malformed, 1);
    assert!(some(&status.totals).contains(&("enrolment-key", 1)));
}
