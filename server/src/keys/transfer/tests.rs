//! Exports and imports between real repositories, changed files and wrong passphrases.

use portcullis_common::crypto::export::{
    ExportFile, ExportFileError, KeyEntry, KeyPurpose, KeyState, MAX_FILE_LEN, OpenKey,
};
use portcullis_common::id::{KeyId, KeyKind, ServerId};
use portcullis_common::rotation::UnixMillis;
use portcullis_common::secret::{ExportSecret, GatewayKey, ServerKey};
use rand::rngs::{StdRng, SysRng};
use rand::{RngExt as _, SeedableRng as _, TryRng as _};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::import::open;
use super::*;
use crate::config::Config;
use crate::keys::protection::Secret;
use crate::keys::protection::pbe::{self, Cost, Kdf};
use crate::keys::{Deletion, gateway_keys};
use crate::repository::{Replaced, RepositoryError};
use crate::serve::Unlocked;
use crate::serve::init::{InitProtection, init_protected};

const CHEAP: Cost = Cost::Pbkdf2 { iterations: 2 };

fn passphrase() -> Secret {
    Secret::parse(b"correct horse battery").unwrap()
}

fn open_key(purpose: KeyPurpose, kind: KeyKind, state: KeyState) -> OpenKey {
    let rng = &mut rand::rng();
    let key = ServerKey::random(kind, rng);
    OpenKey {
        entry: KeyEntry {
            purpose,
            id: KeyId::random(kind, rng),
            state,
            created: UnixMillis(5),
            retired: Some(UnixMillis(7)),
        },
        bytes: Zeroizing::new(key.expose().to_vec()),
    }
}

/// An export under a cheap passphrase, made by hand.
fn sealed(keys: &[OpenKey]) -> ExportFile {
    let secret = ExportSecret::from_bytes(&[9; 32]);
    let encrypted = pbe::encrypt(CHEAP, passphrase().expose(), &[9; 32], &mut rand::rng());
    let server = ServerId::random(&mut rand::rng());
    ExportFile::seal(
        server,
        UnixMillis(9),
        Some(encrypted.unwrap()),
        &secret,
        keys,
    )
}

/// What is wrong with the file.
fn refused(opened: Result<Vec<OpenKey>, ImportError>) -> ExportFileError {
    match opened.unwrap_err() {
        ImportError::File(error) => error,
        other => panic!("{other}"),
    }
}

fn three_keys() -> Vec<OpenKey> {
    vec![
        open_key(KeyPurpose::Server, KeyKind::Tdes, KeyState::Current),
        open_key(KeyPurpose::Server, KeyKind::Aes256, KeyState::Retired),
        open_key(KeyPurpose::Gateway, KeyKind::Tdes, KeyState::Compromised),
    ]
}

/// The text with its sum put right.
fn summed(text: &str) -> String {
    let at = text.rfind("sum ").unwrap();
    let sum = data_encoding::HEXLOWER.encode(&Sha256::digest(&text[..at]));
    format!(
        "{}sum {sum}\n-----END PORTCULLIS KEY EXPORT-----\n",
        &text[..at]
    )
}

#[test]
fn an_export_reads_as_it_was_written() {
    let keys = three_keys();
    let file = sealed(&keys);
    let again = ExportFile::parse(file.to_text().as_bytes()).unwrap();
    assert_eq!(again, file);
    let opened = open(&again, Some(&passphrase())).unwrap();
    for (opened, key) in opened.iter().zip(&keys) {
        assert_eq!((opened.entry, &opened.bytes), (key.entry, &key.bytes));
    }
    let wrong = Secret::parse(b"correct horse batterY").unwrap();
    assert_eq!(
        refused(open(&again, Some(&wrong))),
        ExportFileError::WrongPassphrase
    );
    assert_eq!(
        refused(open(&again, None)),
        ExportFileError::PassphraseNeeded
    );
}

#[test]
fn no_flip_no_cut_and_no_addition_goes_unnoticed() {
    let text = sealed(&three_keys()).to_text().into_bytes();
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(ExportFile::parse(&changed).is_err(), "byte {at}");
        assert!(ExportFile::parse(&text[..at]).is_err(), "cut to {at}");
    }
    for more in [&b"\n"[..], b" ", b"key"] {
        assert!(ExportFile::parse(&[&text[..], more].concat()).is_err());
    }
    let error = ExportFile::parse(&text[..text.len() - 100]).unwrap_err();
    assert_eq!(error, ExportFileError::Damaged);
    assert_eq!(
        ExportFile::parse(b"a letter"),
        Err(ExportFileError::NotAnExport)
    );
    let long = vec![b'-'; MAX_FILE_LEN + 1];
    assert_eq!(ExportFile::parse(&long), Err(ExportFileError::TooLong));
}

/// Somebody who changes the text can put its sum right, too: then the form, the passphrase or the
/// MAC is wrong.
#[test]
fn changes_under_a_right_sum_are_refused() {
    let seed = SysRng.try_next_u64().unwrap();
    println!("seed {seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let text = sealed(&three_keys()).to_text();
    let end = text.rfind("sum ").unwrap();
    for _ in 0..2_000 {
        let mut changed = text.clone().into_bytes();
        match rng.random_range(0..3) {
            0 => {
                let at = rng.random_range(0..end);
                // A character that stands in exports.
                let from = rng.random_range(0..end);
                changed[at] = text.as_bytes()[from];
            }
            1 => {
                let cut = rng.random_range(0..end);
                changed.drain(cut..(cut + rng.random_range(1..40)).min(end));
            }
            _ => {
                let lines: Vec<_> = text.lines().collect();
                let mut lines = lines[..lines.len() - 2].to_vec();
                let (a, b) = (
                    rng.random_range(0..lines.len()),
                    rng.random_range(0..lines.len()),
                );
                lines.swap(a, b);
                changed = format!("{}\nsum x\n", lines.join("\n")).into_bytes();
            }
        }
        let Ok(changed) = String::from_utf8(changed) else {
            continue;
        };
        let changed = summed(&changed);
        if changed == text {
            continue;
        }
        if let Ok(file) = ExportFile::parse(changed.as_bytes()) {
            // What makes the derivation dearer is for the limit of costs.
            let opened = open(&file, Some(&passphrase()));
            assert!(opened.is_err(), "{changed}");
        }
    }
}

#[test]
fn a_later_version_and_a_forged_one_are_told_apart() {
    let text = sealed(&three_keys()).to_text();
    let later = summed(&text.replacen("version 1", "version 2", 1));
    let error = ExportFile::parse(later.as_bytes()).unwrap_err();
    assert_eq!(error, ExportFileError::LaterVersion("2".into()));
    let forged = summed(&text.replacen("compromised", "retired", 1));
    let file = ExportFile::parse(forged.as_bytes()).unwrap();
    assert_eq!(
        refused(open(&file, Some(&passphrase()))),
        ExportFileError::Forged
    );
}

#[test]
fn a_shortened_mac_is_refused() {
    let text = sealed(&three_keys()).to_text();
    let at = text.find("mac ").unwrap() + 4;
    for letters in [0, 4, 8, 40] {
        let end = text[at..].find('\n').unwrap() + at;
        let short = summed(&format!("{}{}", &text[..at + letters], &text[end..]));
        let error = ExportFile::parse(short.as_bytes()).unwrap_err();
        assert!(matches!(error, ExportFileError::Malformed(_)), "{error}");
    }
}

#[test]
fn weak_and_malformed_keys_are_refused_by_name() {
    let sound = open_key(KeyPurpose::Gateway, KeyKind::Tdes, KeyState::Retired);
    let mut equal_parts = sound.clone();
    equal_parts.bytes.copy_within(0..8, 8);
    let mut even = sound.clone();
    even.bytes[23] ^= 1;
    let mut long = sound.clone();
    long.bytes = Zeroizing::new(vec![1; 32]);
    let mut default = sound.clone();
    default.entry.id = KeyId::DEFAULT;
    for weak in [equal_parts, even, long, default] {
        let id = weak.entry.id;
        let file = sealed(&[sound.clone(), weak]);
        if id == sound.entry.id {
            // Two of one id do not go together either.
            assert!(ExportFile::parse(file.to_text().as_bytes()).is_err());
        }
        assert_eq!(
            refused(open(&file, Some(&passphrase()))),
            ExportFileError::WeakKey(id)
        );
    }
}

struct Server {
    _folder: tempfile::TempDir,
    config: Config,
    unlocked: Unlocked,
}

impl Server {
    async fn new(protection: InitProtection) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("data_dir = {:?}", folder.path().join("data"));
        let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        init_protected(&config, protection).await.unwrap();
        let unlocked = Unlocked::open(&config).await.unwrap();
        Self {
            _folder: folder,
            config,
            unlocked,
        }
    }

    async fn protected() -> Self {
        let kdf = Kdf::Pbkdf2;
        Self::new(InitProtection::Pbe { secret: None, kdf }).await
    }

    async fn export(&self) -> String {
        // One made here: it costs little to derive from.
        let protection = ExportProtection::PublicDefault;
        let selection = ExportSelection::default();
        let id = self.unlocked.server_id;
        let exported = self.unlocked.keys.export(id, selection, protection).await;
        exported.unwrap().0
    }

    async fn import(&self, file: &ExportFile, dry_run: bool) -> Result<Imported, ImportError> {
        let passphrase = file.needs_passphrase().then(passphrase);
        let text = file.to_text();
        self.unlocked
            .keys
            .import(text.as_bytes(), passphrase, dry_run)
            .await
    }

    /// Every key as it opens, by id.
    async fn keys(&self) -> Vec<(KeyId, Vec<u8>)> {
        let file = ExportFile::parse(self.export().await.as_bytes()).unwrap();
        let keys = open(&file, None).unwrap();
        let mut keys: Vec<_> = keys
            .into_iter()
            .map(|key| (key.entry.id, key.bytes.to_vec()))
            .collect();
        keys.sort();
        keys
    }

    async fn current(&self) -> (KeyId, Option<KeyId>) {
        let gateway_keys = self.unlocked.repository.gateway_keys();
        let server_key = self.unlocked.keys.keyring().current();
        (server_key, gateway_keys.current().await.unwrap())
    }

    async fn rotate_gateway_key(&self) {
        let key = gateway_keys::generate(KeyKind::Aes256, UnixMillis(8));
        let gateway_keys = self.unlocked.repository.gateway_keys();
        gateway_keys
            .rotate(key, None, Replaced::Retired)
            .await
            .unwrap()
            .unwrap();
    }

    async fn reopen(&mut self) {
        self.unlocked = Unlocked::open(&self.config).await.unwrap();
    }
}

#[tokio::test]
async fn keys_move_to_a_server_with_another_protection_and_none_becomes_current() {
    let one = Server::protected().await;
    one.unlocked
        .keys
        .generate(Some(KeyKind::Aes256), true)
        .await
        .unwrap();
    one.rotate_gateway_key().await;
    let mut other = Server::new(InitProtection::Default).await;
    let (before, current) = (other.keys().await, other.current().await);
    let file = ExportFile::parse(one.export().await.as_bytes()).unwrap();

    let dry = other.import(&file, true).await.unwrap();
    assert_eq!(other.keys().await, before);
    let imported = other.import(&file, false).await.unwrap();
    assert_eq!(imported, dry);
    assert!(imported.keys.iter().all(|key| key.what == What::Imported));
    assert_eq!(imported.keys.len(), 4);
    for _ in 0..2 {
        let mut expected = [before.clone(), one.keys().await].concat();
        expected.sort();
        assert_eq!(other.keys().await, expected);
        assert_eq!(other.current().await, current);
        other.reopen().await;
    }
    let rows = other
        .unlocked
        .repository
        .gateway_keys()
        .list()
        .await
        .unwrap();
    assert_eq!(Some(rows[0].info.id), current.1);
    let there = one.unlocked.repository.gateway_keys().list().await.unwrap();
    let (here, there): (Vec<_>, Vec<_>) = rows[1..]
        .iter()
        .zip(&there)
        .map(|(here, there)| (here.info.id, there.info.id))
        .unzip();
    assert_eq!(here, there, "in the order that they had");
    assert!(rows[1..].iter().all(|row| row.info.retired.is_some()));

    let again = other.import(&file, false).await.unwrap();
    assert!(again.keys.iter().all(|key| key.what == What::Present));
}

#[tokio::test]
async fn an_id_that_is_here_with_other_bytes_refuses_the_whole_import() {
    let server = Server::protected().await;
    let before = server.keys().await;
    let new = open_key(KeyPurpose::Server, KeyKind::Tdes, KeyState::Current);
    for (purpose, id) in [
        (KeyPurpose::Server, server.current().await.0),
        (KeyPurpose::Gateway, server.current().await.1.unwrap()),
    ] {
        let mut other = open_key(purpose, KeyKind::Tdes, KeyState::Current);
        other.entry.id = id;
        let error = server.import(&sealed(&[new.clone(), other]), false).await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, ImportError::Conflict { id: of, .. } if of == id),
            "{error}"
        );
        assert_eq!(server.keys().await, before);
    }
}

#[tokio::test]
async fn values_whose_key_was_lost_open_again_when_it_arrives() {
    let mut server = Server::protected().await;
    let first = server.current().await.0;
    let export = ExportFile::parse(server.export().await.as_bytes()).unwrap();
    server.unlocked.keys.generate(None, true).await.unwrap();
    let deleted = server.unlocked.keys.delete(first, Deletion::Forced).await;
    let lost = deleted.unwrap().closed_after;
    assert!(lost >= 1, "the gateway key was sealed under it");
    let gateway_key = server.current().await.1.unwrap();
    let gateway_keys = server.unlocked.repository.gateway_keys();
    let error = gateway_keys.open(&[gateway_key]).await.unwrap_err();
    assert!(matches!(error, RepositoryError::Sealed(_)), "{error}");

    let imported = server.import(&export, false).await.unwrap();
    let opened: u64 = imported.opened.iter().map(|opened| opened.values).sum();
    assert_eq!(
        (opened, imported.still_closed, imported.damaged),
        (lost, 0, 0)
    );
    for _ in 0..2 {
        let gateway_keys = server.unlocked.repository.gateway_keys();
        gateway_keys.open(&[gateway_key]).await.unwrap();
        server.reopen().await;
    }
}

#[tokio::test]
async fn a_gateway_key_that_is_here_by_name_only_is_restored() {
    let server = Server::protected().await;
    let (first, gateway_key) = server.current().await;
    let whole = ExportFile::parse(server.export().await.as_bytes()).unwrap();
    let keys = open(&whole, None).unwrap();
    let of_gateways: Vec<_> = keys
        .into_iter()
        .filter(|key| key.entry.purpose == KeyPurpose::Gateway)
        .collect();
    server.unlocked.keys.generate(None, true).await.unwrap();
    server
        .unlocked
        .keys
        .delete(first, Deletion::Forced)
        .await
        .unwrap();
    // Without a passphrase anybody could have made it, with a key that he knows.
    let anybodys = ExportFile::seal(
        whole.server_id(),
        UnixMillis(9),
        None,
        &ExportSecret::public_default(),
        &of_gateways,
    );
    for dry_run in [true, false] {
        let error = server.import(&anybodys, dry_run).await.unwrap_err();
        assert!(
            matches!(error, ImportError::Unproven(id) if Some(id) == gateway_key),
            "{error}"
        );
    }
    let gateway_keys = server.unlocked.repository.gateway_keys();
    gateway_keys
        .open(&[gateway_key.unwrap()])
        .await
        .unwrap_err();

    let imported = server.import(&sealed(&of_gateways), false).await.unwrap();
    assert_eq!(imported.keys[0].what, What::Restored);
    let opened = server.unlocked.repository.gateway_keys();
    let opened = opened.open(&[gateway_key.unwrap()]).await.unwrap();
    let kind = of_gateways[0].entry.id.kind();
    let expected = GatewayKey::from_bytes(kind, &of_gateways[0].bytes).unwrap();
    assert_eq!(opened[0].expose(), expected.expose());
}

#[tokio::test]
async fn an_export_holds_what_was_chosen_under_its_passphrase() {
    let server = Server::protected().await;
    let (server_key, _) = server.current().await;
    let chosen = Secret::random(&mut rand::rng());
    let export = |selection, kdf| {
        let passphrase = chosen.clone();
        let protection = ExportProtection::Passphrase { passphrase, kdf };
        server
            .unlocked
            .keys
            .export(server.unlocked.server_id, selection, protection)
    };
    let only = ExportSelection {
        ids: vec![server_key],
        purpose: Some(KeyPurpose::Server),
    };
    for kdf in [Kdf::Pbkdf2, Kdf::Scrypt] {
        let (text, entries) = export(only.clone(), kdf).await.unwrap();
        assert_eq!((entries.len(), entries[0].id), (1, server_key));
        let file = ExportFile::parse(text.as_bytes()).unwrap();
        assert_eq!(open(&file, Some(&chosen)).unwrap().len(), 1);
    }
    let other = ExportSelection {
        purpose: Some(KeyPurpose::Gateway),
        ..only
    };
    let error = export(other, Kdf::Pbkdf2).await.unwrap_err().to_string();
    assert!(error.contains("there is no key"), "{error}");
}

/// The commit gave an error, and had taken effect: the key is stored, and the running server does
/// not hold it.
#[tokio::test]
async fn a_server_key_that_is_stored_and_not_held_is_present_and_held_after_an_import() {
    let server = Server::protected().await;
    let first = server.current().await.0;
    let export = ExportFile::parse(server.export().await.as_bytes()).unwrap();
    let keys = &server.unlocked.keys;
    keys.generate(None, true).await.unwrap();
    keys.keyring().remove(first);

    let mut forged = open_key(KeyPurpose::Server, first.kind(), KeyState::Retired);
    forged.entry.id = first;
    let error = server.import(&sealed(&[forged]), false).await.unwrap_err();
    assert!(matches!(error, ImportError::Conflict { .. }), "{error}");

    let imported = server.import(&export, false).await.unwrap();
    assert!(imported.keys.iter().all(|key| key.what == What::Present));
    assert_eq!(imported.still_closed, 0);
    assert!(keys.keyring().key(first).is_some());
    assert_eq!(keys.check().await.unwrap(), (Vec::new(), 2));
}
