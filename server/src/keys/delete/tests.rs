//! Keys that are deleted, and keys on which something depends.

use portcullis_common::id::{GatewayId, KeyKind};
use portcullis_common::rotation::{EnrolmentToken, Registration, UnixMillis};

use super::*;
use crate::config::Config;
use crate::keys::gateway_keys;
use crate::repository::{ProtectedType, Reach, Replaced};
use crate::serve::Unlocked;
use crate::serve::init::init;

async fn server() -> (tempfile::TempDir, Config, Unlocked) {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("data_dir = {:?}", folder.path().join("data"));
    let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
    init(&config).await.unwrap();
    let unlocked = Unlocked::open(&config).await.unwrap();
    (folder, config, unlocked)
}

/// Does any file of the repository hold these bytes?
fn holds(config: &Config, needle: &[u8]) -> bool {
    std::fs::read_dir(&config.data_dir).unwrap().any(|entry| {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        content.windows(needle.len()).any(|window| window == needle)
    })
}

#[tokio::test]
async fn a_server_key_goes_only_once_nothing_depends_on_it() {
    let (_folder, config, server) = server().await;
    let keys = &server.keys;
    let first = keys.keyring().current();
    let error = keys.delete(first, Deletion::Unused).await.unwrap_err();
    assert!(
        matches!(error, DeleteError::CurrentServerKey(id) if id == first),
        "{error}"
    );
    let error = keys.delete(first, Deletion::Forced).await.unwrap_err();
    assert!(matches!(error, DeleteError::CurrentServerKey(_)), "{error}");

    keys.generate(None, true).await.unwrap();
    let looked = keys.delete(first, Deletion::DryRun).await.unwrap();
    let error = keys.delete(first, Deletion::Unused).await.unwrap_err();
    let DeleteError::ValuesDepend { values, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*values, looked.values);
    let gateway_key = server.repository.gateway_keys().current().await.unwrap();
    let listed = values
        .iter()
        .find(|it| it.kind == ProtectedType::GatewayKey);
    assert_eq!(listed.unwrap().owners, [gateway_key.unwrap().to_string()]);
    assert!(error.to_string().contains("gateway-key"), "{error}");

    let unused = keys.generate(Some(KeyKind::Aes256), false).await.unwrap();
    let rows = server.repository.database().server_keys();
    let wrapped = rows.find(unused).await.unwrap().unwrap();
    assert!(holds(&config, &wrapped), "this search would find nothing");
    let deleted = keys.delete(unused, Deletion::Unused).await.unwrap();
    assert_eq!(deleted.not_scrubbed, None);
    assert!(keys.keyring().key(unused).is_none());
    assert!(!holds(&config, &wrapped));
    let error = keys.delete(unused, Deletion::Unused).await.unwrap_err();
    assert!(
        matches!(
            error,
            DeleteError::Key(KeyError::Repository(RepositoryError::NoSuchKey(_)))
        ),
        "{error}"
    );
}

#[tokio::test]
async fn a_forced_deletion_says_how_many_values_it_closes() {
    let (_folder, config, server) = server().await;
    let first = server.keys.keyring().current();
    server.keys.generate(None, true).await.unwrap();
    let looked = server.keys.delete(first, Deletion::DryRun).await.unwrap();
    let deleted = server.keys.delete(first, Deletion::Forced).await.unwrap();
    assert_eq!(deleted.closed_before, 0);
    assert_eq!(deleted.closed_after, total(&deleted.values));
    assert_eq!(looked.closed_after, deleted.closed_after);
    // The rest of the repository still opens.
    let again = Unlocked::open(&config).await.unwrap();
    assert_eq!(again.keys.keyring().ids().len(), 1);
}

#[tokio::test]
async fn a_gateway_key_goes_only_once_no_gateway_depends_on_it() {
    let (_folder, config, server) = server().await;
    let gateway_keys = server.repository.gateway_keys();
    let first = gateway_keys.current().await.unwrap().unwrap();
    let error = server
        .keys
        .delete(first, Deletion::Forced)
        .await
        .unwrap_err();
    assert!(
        matches!(error, DeleteError::GatewayKey(DeleteKeyError::Current(_))),
        "{error}"
    );

    let rng = &mut rand::rng();
    let token = EnrolmentToken::random(GatewayId::random(rng), KeyKind::Tdes, rng);
    let registration = Registration::new(&token, UnixMillis(u64::MAX >> 20), None);
    let gateways = server.repository.gateways();
    gateways
        .add("host1", Reach::DialOut, &registration, UnixMillis(1))
        .await
        .unwrap();
    gateways
        .update("host1", move |row, _| row.last_proved = Some(first))
        .await
        .unwrap();
    let second = gateway_keys::generate(KeyKind::Tdes, UnixMillis(2));
    let rotated = gateway_keys
        .rotate(second, None, Replaced::Retired)
        .await
        .unwrap();
    assert_eq!(rotated, Ok(Some(first)));

    let error = server
        .keys
        .delete(first, Deletion::Unused)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("host1"), "{error}");
    let looked = server.keys.delete(first, Deletion::DryRun).await.unwrap();
    assert_eq!(looked.gateways[0].gateway, "host1");
    gateway_keys.open(&[first]).await.unwrap();

    let deleted = server.keys.delete(first, Deletion::Forced).await.unwrap();
    assert_eq!(deleted.gateways, looked.gateways);
    assert!(gateway_keys.open(&[first]).await.is_err());
    let row = gateways.find("host1").await.unwrap().unwrap();
    assert_eq!(row.registration.last_proved, None);
    assert!(!holds(&config, &first.to_bytes()));
}
