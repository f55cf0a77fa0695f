//! The published test vector, `proto/vectors/key-export.json`: made here from fixed randomness, and
//! compared with what is committed. `PORTCULLIS_WRITE_VECTORS=1 cargo test -p portcullis-server
//! --lib vector` writes it anew.

use std::convert::Infallible;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use portcullis_common::crypto::export::{ExportFile, KeyEntry, KeyPurpose, KeyState, OpenKey};
use portcullis_common::id::{KeyId, KeyKind, ServerId};
use portcullis_common::rotation::UnixMillis;
use portcullis_common::secret::{ExportSecret, ServerKey};
use rand::{TryCryptoRng, TryRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::keys::protection::pbe::{self, Cost};

const PASSPHRASE: &[u8] = b"correct horse battery staple";

/// Bytes that stand for random ones: SHA-256 of a text and a counter.
struct Fixed {
    name: &'static str,
    counter: u32,
}

impl TryRng for Fixed {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            let digest = Sha256::digest(format!("{}/{}", self.name, self.counter));
            chunk.copy_from_slice(&digest[..chunk.len()]);
            self.counter += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for Fixed {}

const fn fixed(name: &'static str) -> Fixed {
    Fixed { name, counter: 0 }
}

fn keys() -> Vec<OpenKey> {
    let rng = &mut fixed("keys");
    [
        (KeyPurpose::Server, KeyKind::Tdes, KeyState::Current, None),
        (
            KeyPurpose::Server,
            KeyKind::Aes256,
            KeyState::Retired,
            Some(1_700_000_500_000),
        ),
        (
            KeyPurpose::Gateway,
            KeyKind::Aes256,
            KeyState::Current,
            None,
        ),
        (
            KeyPurpose::Gateway,
            KeyKind::Tdes,
            KeyState::Compromised,
            Some(1_700_000_600_000),
        ),
    ]
    .map(|(purpose, kind, state, retired)| OpenKey {
        entry: KeyEntry {
            purpose,
            id: KeyId::random(kind, rng),
            state,
            created: UnixMillis(1_700_000_000_000),
            retired: retired.map(UnixMillis),
        },
        bytes: Zeroizing::new(ServerKey::random(kind, rng).expose().to_vec()),
    })
    .into()
}

fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

fn case(name: &'static str, cost: Option<Cost>) -> Value {
    let mut secret = [0; 32];
    let Ok(()) = fixed(name).try_fill_bytes(&mut secret);
    // What `encrypt` takes from the generator: the salt, then the IV.
    let mut rng = fixed("salt and iv");
    let (mut salt, mut iv) = ([0; 16], [0; 16]);
    let Ok(()) = rng.try_fill_bytes(&mut salt);
    let Ok(()) = rng.try_fill_bytes(&mut iv);
    let encrypted = cost
        .map(|cost| pbe::encrypt(cost, PASSPHRASE, &secret, &mut fixed("salt and iv")).unwrap());
    let export_secret = match cost {
        Some(_) => ExportSecret::from_bytes(&secret),
        None => ExportSecret::public_default(),
    };
    let server_id = ServerId::random(&mut fixed("server"));
    let file = ExportFile::seal(
        server_id,
        UnixMillis(1_700_000_700_000),
        encrypted.clone(),
        &export_secret,
        &keys(),
    );
    let kdf = match cost {
        None => Value::Null,
        Some(Cost::Pbkdf2 { iterations }) => json!({ "name": "pbkdf2", "iterations": iterations }),
        Some(Cost::Scrypt { log_n, r, p }) => {
            json!({ "name": "scrypt", "log_n": log_n, "r": r, "p": p })
        }
    };
    let keys = keys();
    let keys = keys.iter().map(|key| {
        json!({
            "purpose": key.entry.purpose.name(),
            "id": key.entry.id.to_string(),
            "id_bytes": hex(&key.entry.id.to_bytes()),
            "state": key.entry.state.name(),
            "created": key.entry.created.0,
            "retired": key.entry.retired.map(|time| time.0),
            "key": hex(&key.bytes),
        })
    });
    json!({
        "name": name,
        "passphrase": cost.map(|_| hex(PASSPHRASE)),
        "kdf": kdf,
        "salt": cost.map(|_| hex(&salt)),
        "iv": cost.map(|_| hex(&iv)),
        "export_secret": hex(export_secret.expose()),
        "encrypted": encrypted.as_deref().map(hex),
        "server": server_id.to_string(),
        "created": 1_700_000_700_000_u64,
        "keys": keys.collect::<Vec<_>>(),
        "file": file.to_text(),
    })
}

#[test]
fn the_committed_vector_is_what_the_code_gives() {
    let scrypt = Cost::Scrypt {
        log_n: 10,
        r: 8,
        p: 1,
    };
    let vector = json!([
        case("pbkdf2", Some(Cost::Pbkdf2 { iterations: 3_000 })),
        case("scrypt", Some(scrypt)),
        case("default", None),
    ]);
    let text = serde_json::to_string_pretty(&vector).unwrap() + "\n";
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../proto/vectors/key-export.json");
    if std::env::var_os("PORTCULLIS_WRITE_VECTORS").is_some() {
        std::fs::write(&path, text).unwrap();
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    assert!(
        committed.replace("\r\n", "\n") == text,
        "proto/vectors/key-export.json is not what the code gives: the format changed, or the file did"
    );
}
