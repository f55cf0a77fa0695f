//! The secrets of a running server and its gateway, read from a copy of the stores by the programs' own code.

use std::path::Path;
use std::process::Command;

use portcullis_common::crypto::kdf::diversify;
use portcullis_common::id::{GatewayId, KeyId};
use portcullis_server::config::Config;
use portcullis_server::keys::protection::{files, pbe};
use portcullis_server::repository::Scheme;
use portcullis_server::serve::Unlocked;
use portcullis_tests::harness::{Site, run};

use crate::needles::Needle;

/// What must be in no dump.
pub(crate) struct Keys {
    /// Those that a running server keeps at hand.
    pub(crate) of_the_server: Vec<Needle>,
    /// Those that are read when they are needed, and kept by nobody: gateway keys, and a gateway's master keys.
    opened_at_need: Vec<Needle>,
    /// The ids of all server keys, and of all gateway keys.
    pub(crate) ids: Vec<KeyId>,
    /// The server keys, raw.
    pub(crate) server_keys: Vec<Needle>,
    /// The server keys as they stand in the file: wrapped.
    pub(crate) wrapped: Vec<Needle>,
}

impl Keys {
    pub(crate) fn all(&self) -> impl Iterator<Item = Needle> {
        [&self.of_the_server, &self.opened_at_need]
            .into_iter()
            .flatten()
            .cloned()
    }
}

/// Copies the repository of the folder `data`, which nobody is writing to just now, and opens the copy.
pub(crate) async fn keys(site: &Site, data: &Path, copy: &str, gateway: &str) -> Keys {
    let folder = site.path().join(copy);
    let mut command = Command::new("cp");
    command.arg("-a").arg(data).arg(&folder);
    run(command, None).unwrap();
    let text = format!("data_dir = {folder:?}\n");
    let config = site.file(&format!("{copy}.toml"), 0o600, &text).unwrap();
    let config = Config::load(Some(&config)).unwrap();

    let unlocked = Unlocked::open(&config).await.unwrap();
    let keyring = unlocked.keys.keyring();
    let server_keys: Vec<_> = keyring
        .ids()
        .into_iter()
        .map(|id| {
            Needle::bytes(
                format!("server key {id}"),
                keyring.key(id).unwrap().expose(),
            )
        })
        .collect();
    let mut of_the_server = server_keys.clone();
    let mut ids = keyring.ids();
    let secret = files::read(&config.secret).unwrap();
    let mut opened_at_need = vec![Needle::bytes(
        "the line of the secret file",
        secret.expose(),
    )];
    let database = unlocked.repository.database();
    let protection = database.protection().find().await.unwrap().unwrap();
    let Scheme::Pbe(encrypted) = protection.scheme else {
        panic!("this repository is not protected by a secret");
    };
    let storage_secret = pbe::decrypt(&encrypted, secret.expose()).unwrap();
    of_the_server.push(Needle::bytes("the storage secret", &*storage_secret));

    let rows = database.server_keys().list().await.unwrap();
    let wrapped = rows
        .iter()
        .map(|row| Needle::bytes(format!("wrapped server key {}", row.id), &row.wrapped))
        .collect();

    let gateway: GatewayId = gateway.parse().unwrap();
    let gateway_keys = unlocked.repository.gateway_keys();
    for row in gateway_keys.list().await.unwrap() {
        let key = gateway_keys.open(&[row.info.id]).await.unwrap().remove(0);
        let needle = Needle::bytes(format!("gateway key {}", row.info.id), key.expose());
        opened_at_need.push(needle);
        ids.push(row.info.id);
        let what = format!("the gateway's master key {}", row.info.id);
        let needle = Needle::bytes(what, diversify(&key, gateway).expose());
        opened_at_need.push(needle);
    }
    database.close().await;
    Keys {
        of_the_server,
        opened_at_need,
        ids,
        server_keys,
        wrapped,
    }
}
