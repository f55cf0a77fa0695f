//! Changes of the protection, cut off at each write.

use std::fs;
use std::path::Path;

use portcullis_common::id::KeyKind;
use portcullis_common::secret::ServerKey;

use super::*;
use crate::config::Config;
use crate::keys::{Deletion, KeyringError};
use crate::repository::{literal, tamper};
use crate::serve::init::{InitProtection, init_protected};
use crate::serve::{ServeError, Unlocked};
use portcullis_host::private_files;

/// Has the database refuse a change of the protection: an index of later ones that cannot be
/// computed.
fn refuse_changes(path: &Path) {
    // Later than the change that is there.
    let now = clock::now().0 + 1;
    while clock::now().0 < now {
        std::hint::spin_loop();
    }
    tamper(
        path,
        &format!(
            "CREATE INDEX refuse ON protection (abs(-9223372036854775807 - one)) WHERE changed_ms >= {now}"
        ),
    );
}

struct Fixture {
    folder: tempfile::TempDir,
    config: Config,
}

impl Fixture {
    async fn new(protection: InitProtection) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("data_dir = {:?}", folder.path().join("data"));
        let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        init_protected(&config, protection).await.unwrap();
        Self { folder, config }
    }

    async fn with_secret_file() -> Self {
        let protection = InitProtection::Pbe {
            secret: None,
            kdf: Kdf::Pbkdf2,
        };
        Self::new(protection).await
    }

    fn secret_file(&self) -> PathBuf {
        self.folder.path().join("data/server.secret")
    }

    fn staged(&self) -> PathBuf {
        self.folder.path().join("data/server.secret.new")
    }

    async fn open(&self) -> Result<Unlocked, ServeError> {
        Unlocked::open(&self.config).await
    }

    /// Opens it, as a start does, and what is sealed in it.
    async fn starts(&self) -> Unlocked {
        let unlocked = self.open().await.unwrap();
        let gateway_keys = unlocked.repository.gateway_keys();
        let current = gateway_keys.current().await.unwrap().unwrap();
        gateway_keys.open(&[current]).await.unwrap();
        unlocked
    }

    async fn protect(&self, unlocked: &Unlocked, new: NewProtection) -> Protected {
        let protected = unlocked.keys.protect(new, &self.config.secret).await;
        protected.unwrap()
    }

    /// Does any file of the repository hold these bytes?
    fn holds(&self, needle: &[u8]) -> bool {
        fs::read_dir(self.folder.path().join("data"))
            .unwrap()
            .any(|entry| {
                let content = fs::read(entry.unwrap().path()).unwrap();
                content.windows(needle.len()).any(|window| window == needle)
            })
    }
}

fn fresh() -> NewProtection {
    NewProtection::Pbe {
        secret: None,
        kdf: Kdf::Pbkdf2,
    }
}

fn given(secret: &Secret) -> NewProtection {
    NewProtection::Pbe {
        secret: Some(secret.clone()),
        kdf: Kdf::Scrypt,
    }
}

async fn wrapped(unlocked: &Unlocked) -> Vec<Vec<u8>> {
    let keys = unlocked.repository.database().server_keys();
    let rows = keys.list().await.unwrap();
    rows.into_iter().map(|row| row.wrapped).collect()
}

#[tokio::test]
async fn the_protection_is_switched_either_way_and_the_secret_changed() {
    let fixture = Fixture::with_secret_file().await;
    let first = fs::read(fixture.secret_file()).unwrap();
    let unlocked = fixture.starts().await;
    unlocked.keys.generate(None, false).await.unwrap();

    let protected = fixture.protect(&unlocked, NewProtection::Default).await;
    assert_eq!((protected.cost, protected.keys), (None, 2));
    assert!(!fixture.secret_file().exists() && !fixture.staged().exists());
    let unlocked = fixture.starts().await;

    let protected = fixture.protect(&unlocked, fresh()).await;
    assert_eq!(protected.secret_file, Some(fixture.secret_file()));
    let second = fs::read(fixture.secret_file()).unwrap();
    assert_ne!(first, second);
    let unlocked = fixture.starts().await;

    let chosen = Secret::random(&mut rand::rng());
    let protected = fixture.protect(&unlocked, given(&chosen)).await;
    assert!(matches!(protected.cost, Some(Cost::Scrypt { .. })));
    assert_eq!(
        *fs::read(fixture.secret_file()).unwrap(),
        **chosen.to_file()
    );
    // The manager goes on with the new one.
    unlocked
        .keys
        .generate(Some(KeyKind::Aes256), true)
        .await
        .unwrap();
    fixture.starts().await;
    assert!(!fixture.staged().exists());

    fs::write(fixture.secret_file(), &second).unwrap();
    let error = fixture.open().await.unwrap_err().to_string();
    assert!(error.contains("server.secret does not open"), "{error}");
    fs::remove_file(fixture.secret_file()).unwrap();
    let error = fixture.open().await.unwrap_err().to_string();
    assert!(error.contains("cannot read the secret file"), "{error}");
}

#[tokio::test]
async fn old_wrapped_keys_do_not_remain_in_the_files() {
    let fixture = Fixture::with_secret_file().await;
    let unlocked = fixture.starts().await;
    let before = wrapped(&unlocked).await;
    assert!(fixture.holds(&before[0]), "this search would find nothing");
    let protected = fixture.protect(&unlocked, fresh()).await;
    assert_eq!(protected.not_scrubbed, None);
    assert!(!fixture.holds(&before[0]));
    let after = wrapped(&unlocked).await;
    unlocked.keys.rewrap(&fixture.config.secret).await.unwrap();
    assert!(!fixture.holds(&after[0]));
    fixture.starts().await;
}

/// What a crash leaves behind: the steps of a change, up to each of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum CrashAfter {
    Staging,
    Switching,
    Placing,
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_a_server_that_starts() {
    use CrashAfter::{Placing, Staging, Switching};
    for from_default in [false, true] {
        for crash in [Staging, Switching, Placing] {
            let fixture = Fixture::with_secret_file().await;
            let unlocked = fixture.starts().await;
            if from_default {
                fixture.protect(&unlocked, NewProtection::Default).await;
            }
            let before = fs::read(fixture.secret_file()).ok();
            let old_wrap = wrapped(&unlocked).await;
            let inner = &unlocked.keys.inner;
            let change = Change::prepare(fresh(), &fixture.config.secret)
                .await
                .unwrap();
            let (path, secret) = change.file.as_ref().unwrap();
            files::stage(path, secret).unwrap();
            if crash != Staging {
                let protection = inner.protection.lock().await;
                inner.switch(&protection, &change).await.unwrap();
            }
            if crash == Placing {
                files::place(path).unwrap();
            }
            // To look at it changes nothing, whatever state it is in.
            let names = || fixture.staged().exists();
            let staged = names();
            Unlocked::inspect(&fixture.config).await.unwrap();
            assert_eq!(names(), staged);

            fixture.starts().await;
            assert!(!fixture.staged().exists(), "{crash:?}");
            let now = fs::read(fixture.secret_file()).ok();
            assert_eq!(now == before, crash == Staging, "{crash:?}");
            assert_eq!(
                fixture.holds(&old_wrap[0]),
                crash == Staging,
                "{crash:?}: the scrub that the crash prevented"
            );
            fixture.starts().await;
        }
    }
}

#[tokio::test]
async fn a_crash_on_the_way_to_no_protection_leaves_a_server_that_starts() {
    use CrashAfter::{Placing, Staging, Switching};
    for crash in [Staging, Switching, Placing] {
        let fixture = Fixture::with_secret_file().await;
        let unlocked = fixture.starts().await;
        let before = fs::read(fixture.secret_file()).unwrap();
        let source = &fixture.config.secret;
        let change = Change::prepare(NewProtection::Default, source)
            .await
            .unwrap();
        change.begin(source).unwrap();
        assert!(!fixture.secret_file().exists());
        if crash != Staging {
            let inner = &unlocked.keys.inner;
            let protection = inner.protection.lock().await;
            inner.switch(&protection, &change).await.unwrap();
        }
        if crash == Placing {
            change.end(source).unwrap();
        }
        for _ in 0..2 {
            fixture.starts().await;
            assert!(!fixture.staged().exists(), "{crash:?}");
            let now = fs::read(fixture.secret_file()).ok();
            assert_eq!(now, (crash == Staging).then(|| before.clone()), "{crash:?}");
        }
    }
}

/// Who can write the repository and does not know the secret plants a key that everybody can
/// unwrap.
#[tokio::test]
async fn a_repository_that_lost_its_protection_behind_our_back_is_refused() {
    let mut fixture = Fixture::with_secret_file().await;
    let planted = ServerKey::random(KeyKind::Tdes, &mut rand::rng());
    let id = KeyId::random(KeyKind::Tdes, &mut rand::rng());
    let wrapped = Protection::public_default().wrap(id, &planted);
    tamper(
        &fixture.config.repository_file(),
        &format!(
            "UPDATE protection SET scheme = 'default', encrypted = NULL;
             UPDATE server_keys SET current = 0;
             INSERT INTO server_keys (id, generation, wrapped, created_ms, current) VALUES ({}, 9, {}, 1, 1)",
            literal(&id.to_bytes()),
            literal(&wrapped)
        ),
    );
    for source in [
        fixture.config.secret.clone(),
        SecretSource::Credential("portcullis".into()),
        SecretSource::Prompt,
    ] {
        fixture.config.secret = source;
        for error in [
            fixture.open().await.unwrap_err(),
            Unlocked::inspect(&fixture.config).await.unwrap_err(),
        ] {
            assert!(
                matches!(
                    error,
                    ServeError::Protection(ProtectionError::Downgraded { .. })
                ),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn a_crash_before_the_new_file_takes_its_place_needs_the_old_one_no_more() {
    let fixture = Fixture::with_secret_file().await;
    let unlocked = fixture.starts().await;
    let change = Change::prepare(fresh(), &fixture.config.secret)
        .await
        .unwrap();
    let (path, secret) = change.file.as_ref().unwrap();
    files::stage(path, secret).unwrap();
    let protection = unlocked.keys.inner.protection.lock().await;
    unlocked
        .keys
        .inner
        .switch(&protection, &change)
        .await
        .unwrap();
    fs::remove_file(path).unwrap();
    fixture.starts().await;
    assert!(path.exists());
}

#[tokio::test]
async fn a_change_that_fails_leaves_everything_as_it_was() {
    let fixture = Fixture::with_secret_file().await;
    let unlocked = fixture.starts().await;
    let before = fs::read(fixture.secret_file()).unwrap();
    // The server key is not what the protection wrapped: re-wrapping would lose it.
    let id = unlocked.keys.keyring().current();
    let path = fixture.config.repository_file();
    tamper(&path, "UPDATE server_keys SET wrapped = zeroblob(60)");
    let error = unlocked.keys.protect(fresh(), &fixture.config.secret).await;
    let error = error.unwrap_err();
    assert!(
        matches!(error, ProtectError::DoesNotOpen(key) if key == id),
        "{error}"
    );
    assert_eq!(fs::read(fixture.secret_file()).unwrap(), before);
    assert!(!fixture.staged().exists());
    let error = fixture.open().await.unwrap_err();
    assert!(
        matches!(error, ServeError::Keyring(KeyringError::DoesNotOpen(key)) if key == id),
        "{error}"
    );
}

#[tokio::test]
async fn a_fresh_secret_that_nobody_would_know_is_refused() {
    let fixture = Fixture::with_secret_file().await;
    let unlocked = fixture.starts().await;
    for source in [
        SecretSource::Credential("portcullis".into()),
        SecretSource::Prompt,
    ] {
        let error = unlocked.keys.protect(fresh(), &source).await.unwrap_err();
        assert!(matches!(error, ProtectError::SecretNeeded(_)), "{error}");
    }
    let chosen = Secret::random(&mut rand::rng());
    let source = SecretSource::Credential("portcullis".into());
    let protected = unlocked
        .keys
        .protect(given(&chosen), &source)
        .await
        .unwrap();
    assert_eq!(
        protected.to_be_placed.as_deref(),
        Some("the credential `portcullis`")
    );
    assert_eq!(protected.secret_file, None);
}

#[tokio::test]
async fn a_repository_whose_protection_is_damaged_is_told_from_a_wrong_secret() {
    let fixture = Fixture::with_secret_file().await;
    let path: &Path = &fixture.config.repository_file();
    tamper(path, "UPDATE protection SET encrypted = x'3000'");
    let error = fixture.open().await.unwrap_err().to_string();
    assert!(error.contains("restore the repository"), "{error}");
}

/// The last step of a change failed, so that the live secret lies beside its place; then another
/// change comes.
#[tokio::test]
async fn a_secret_that_was_not_placed_outlives_a_further_change_that_fails() {
    for new in [NewProtection::Default, fresh()] {
        let fixture = Fixture::with_secret_file().await;
        let unlocked = fixture.starts().await;
        let stale = fs::read(fixture.secret_file()).unwrap();
        fixture.protect(&unlocked, fresh()).await;
        let live = fs::read(fixture.secret_file()).unwrap();
        fs::rename(fixture.secret_file(), fixture.staged()).unwrap();
        private_files::create_private_file(&fixture.secret_file(), &stale).unwrap();

        let path = fixture.config.repository_file();
        refuse_changes(&path);
        let protect = unlocked.keys.protect(new.clone(), &fixture.config.secret);
        protect.await.unwrap_err();
        let found = [fixture.secret_file(), fixture.staged()].map(|path| fs::read(path).ok());
        assert!(found.contains(&Some(live)), "{new:?}");

        tamper(&path, "DROP INDEX refuse");
        fixture.protect(&unlocked, new).await;
        assert!(!fixture.staged().exists());
        fixture.starts().await;
    }
}

#[tokio::test]
async fn both_secrets_stay_where_it_is_unknown_whether_the_change_took_effect() {
    for (new, restart) in [
        (NewProtection::Default, true),
        (NewProtection::Default, false),
        (fresh(), true),
        (fresh(), false),
    ] {
        let fixture = Fixture::with_secret_file().await;
        let unlocked = fixture.starts().await;
        let live = fs::read(fixture.secret_file()).unwrap();
        let path = fixture.config.repository_file();
        refuse_changes(&path);
        let protect = unlocked.keys.protect(new, &fixture.config.secret);
        protect.await.unwrap_err();
        assert!(fixture.staged().exists());
        if restart {
            fixture.starts().await;
        } else {
            tamper(&path, "DROP INDEX refuse");
            unlocked.keys.rewrap(&fixture.config.secret).await.unwrap();
        }
        assert_eq!(fs::read(fixture.secret_file()).unwrap(), live);
        assert!(!fixture.staged().exists());
    }
}

#[tokio::test]
async fn a_file_beside_the_secret_that_opens_nothing_is_refused_and_kept() {
    let fixture = Fixture::with_secret_file().await;
    let unlocked = fixture.starts().await;
    let left = Secret::random(&mut rand::rng());
    private_files::create_private_file(&fixture.staged(), &left.to_file()).unwrap();
    fs::remove_file(fixture.secret_file()).unwrap();
    for new in [NewProtection::Default, fresh()] {
        let error = unlocked.keys.protect(new, &fixture.config.secret).await;
        let error = error.unwrap_err();
        assert!(
            matches!(
                error,
                ProtectError::Protection(ProtectionError::LeftBeside { .. })
            ),
            "{error}"
        );
        assert_eq!(*fs::read(fixture.staged()).unwrap(), **left.to_file());
    }
    // With it out of the way, the running server still holds the keys.
    fs::remove_file(fixture.staged()).unwrap();
    fixture.protect(&unlocked, fresh()).await;
    fixture.starts().await;
}

#[tokio::test]
async fn a_secret_file_that_cannot_be_replaced_does_not_keep_the_server_from_starting() {
    let fixture = Fixture::with_secret_file().await;
    let unlocked = fixture.starts().await;
    let live = fs::read(fixture.secret_file()).unwrap();
    fs::rename(fixture.secret_file(), fixture.staged()).unwrap();
    // No file takes the place of a folder.
    fs::create_dir(fixture.secret_file()).unwrap();
    fixture.starts().await;
    let error = unlocked.keys.protect(fresh(), &fixture.config.secret).await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("cannot replace the secret file"), "{error}");
    assert_eq!(fs::read(fixture.staged()).unwrap(), live);
}

/// Who knows a former server key and can write the repository puts it back from an old copy.
#[tokio::test]
async fn a_deleted_server_key_that_is_put_back_after_a_renewal_does_not_open() {
    let fixture = Fixture::with_secret_file().await;
    let unlocked = fixture.starts().await;
    let keys = &unlocked.keys;
    let former = keys.keyring().current();
    let copy = wrapped(&unlocked).await.remove(0);
    keys.generate(None, true).await.unwrap();
    keys.delete(former, Deletion::Forced).await.unwrap();
    assert_eq!(keys.keyring().ids().len(), 1);
    fixture.protect(&unlocked, fresh()).await;
    tamper(
        &fixture.config.repository_file(),
        &format!(
            "UPDATE server_keys SET current = 0;
             INSERT INTO server_keys (id, generation, wrapped, created_ms, current) VALUES ({}, 9, {}, 1, 1)",
            literal(&former.to_bytes()),
            literal(&copy)
        ),
    );
    let error = fixture.open().await.unwrap_err();
    assert!(
        matches!(error, ServeError::Keyring(KeyringError::DoesNotOpen(key)) if key == former),
        "{error}"
    );
}
