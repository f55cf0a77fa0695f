//! The secrets of a running server and its gateway, read from a copy of the stores by the programs'
//! own code.

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
    /// Those that are read when they are needed, and kept by nobody: gateway keys, and a gateway's
    /// master keys.
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

    /// The secret that protects the server keys, and what it opens.
    async fn add_protection(&mut self, unlocked: &Unlocked, config: &Config) {
        let secret = files::read(&config.secret).unwrap();
        let line = Needle::bytes("the line of the secret file", secret.expose());
        self.opened_at_need.push(line);
        let protection = unlocked.repository.database().protection();
        let protection = protection.find().await.unwrap().unwrap();
        let Scheme::Pbe(encrypted) = protection.scheme else {
            panic!("this repository is not protected by a secret");
        };
        let storage_secret = pbe::decrypt(&encrypted, secret.expose()).unwrap();
        let needle = Needle::bytes("the storage secret", &*storage_secret);
        self.of_the_server.push(needle);
    }

    /// Every gateway key, and the master key that this gateway has of it.
    async fn add_gateway_keys(&mut self, unlocked: &Unlocked, gateway: GatewayId) {
        let gateway_keys = unlocked.repository.gateway_keys();
        for row in gateway_keys.list().await.unwrap() {
            let id = row.info.id;
            let key = gateway_keys.open(&[id]).await.unwrap().remove(0);
            let needle = Needle::bytes(format!("gateway key {id}"), key.expose());
            self.opened_at_need.push(needle);
            let what = format!("the gateway's master key {id}");
            let needle = Needle::bytes(what, diversify(&key, gateway).expose());
            self.opened_at_need.push(needle);
            self.ids.push(id);
        }
    }
}

/// Copies the repository of the folder `data`, which nobody is writing to just now, and opens the
/// copy.
pub(crate) async fn keys(site: &Site, data: &Path, copy: &str, gateway: &str) -> Keys {
    let folder = site.path().join(copy);
    let mut command = Command::new("cp");
    command.arg("-a").arg(data).arg(&folder);
    run(command);
    let text = format!("data_dir = {folder:?}\n");
    let config = site.file(&format!("{copy}.toml"), 0o600, &text);
    let config = Config::load(Some(&config)).unwrap();
    let unlocked = Unlocked::open(&config).await.unwrap();
    let keyring = unlocked.keys.keyring();
    let server_keys = keyring.ids().into_iter().map(|id| {
        let key = keyring.key(id).unwrap();
        Needle::bytes(format!("server key {id}"), key.expose())
    });
    let server_keys: Vec<_> = server_keys.collect();
    let database = unlocked.repository.database();
    let rows = database.server_keys().list().await.unwrap();
    let wrapped = rows
        .iter()
        .map(|row| Needle::bytes(format!("wrapped server key {}", row.id), &row.wrapped))
        .collect();
    let mut keys = Keys {
        of_the_server: server_keys.clone(),
        opened_at_need: Vec::new(),
        ids: keyring.ids(),
        server_keys,
        wrapped,
    };
    keys.add_protection(&unlocked, &config).await;
    keys.add_gateway_keys(&unlocked, gateway.parse().unwrap())
        .await;
    database.close().await;
    keys
}
