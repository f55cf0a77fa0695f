//! The server keys: made, chosen, protected.

use std::path::Path;

use portcullis_common::id::KeyId;
use portcullis_server::config::SecretSource;
use portcullis_server::keys::protection::files;
use portcullis_server::keys::protection::pbe::Kdf;
use portcullis_server::keys::{NewProtection, ProtectError};
use portcullis_server::repository::ServerKeyRow;
use rand::RngExt;

use super::Fault;
use super::world::{Stop, World};

/// Server keys after which no more are made.
const MAX_SERVER_KEYS: usize = 10;

/// How the keys are to be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protect {
    Default,
    Pbe,
    Rewrap,
}

impl World {
    pub(super) async fn generate(&mut self, current: bool) -> Result<(), Stop> {
        if self.model.keys.len() >= MAX_SERVER_KEYS {
            return Err(Stop::Refused("there are server keys enough".to_owned()));
        }
        self.model.unnamed = 1;
        self.model.unnamed_current = current;
        let kind = self.kind();
        let made = self.running()?.keys.generate(Some(kind), current).await;
        let id = self.stored("generate-server", made)?;
        self.model.unnamed = 0;
        self.model.may_come.insert(id);
        if current {
            self.model.current = [id].into();
        }
        Ok(())
    }

    pub(super) async fn set_current(&mut self) -> Result<(), Stop> {
        let Some(id) = self.any_server_key().await? else {
            return Ok(());
        };
        self.model.current.insert(id);
        let done = self.running()?.keys.set_current(id).await;
        self.stored("set-current", done)?;
        self.model.current = [id].into();
        Ok(())
    }

    /// Another protection, or another secret, in the secret file too.
    pub(super) async fn protect(&mut self, how: Protect) -> Result<(), Stop> {
        let former = self.server_key_rows().await?;
        self.retired_wraps
            .extend(former.into_iter().map(|row| row.wrapped));
        let source = self.running()?.config.secret.clone();
        if self.fault == Some(Fault::SecretFirst)
            && let SecretSource::File(path) = &source
        {
            self.put_secret_first(path);
        }
        let keys = self.running()?.keys.clone();
        let kdf = match self.rng.random_bool(0.2) {
            true => Kdf::Scrypt,
            false => Kdf::Pbkdf2,
        };
        let done = match how {
            Protect::Default => keys.protect(NewProtection::Default, &source).await,
            Protect::Pbe => {
                let new = NewProtection::Pbe { secret: None, kdf };
                keys.protect(new, &source).await
            }
            Protect::Rewrap => match keys.rewrap(&source).await {
                Err(error @ ProtectError::NotProtected) => {
                    return Err(Stop::Refused(error.to_string()));
                }
                other => {
                    self.stored("protect --rewrap", other)?;
                    self.counts.protections += 1;
                    return Ok(());
                }
            },
        };
        let done = self.stored("protect", done)?;
        self.counts.protections += 1;
        if let SecretSource::File(path) = &source
            && let Ok(secret) = files::read_private(path)
        {
            self.secrets
                .add(secret.expose(), || "the secret of the keys".to_owned());
        }
        self.scrubbed(done.not_scrubbed)
    }

    /// What was deleted is overwritten at once, unless a fault explains why not.
    pub(super) fn scrubbed(&mut self, why_not: Option<String>) -> Result<(), Stop> {
        match why_not {
            Some(_) if self.points().has_crashed() => Err(Stop::Down),
            Some(why) if !self.points().was_full() => {
                self.broken(|| format!("what was deleted was not overwritten: {why}"));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Breaks the rule that the new secret takes the place of the old one last.
    fn put_secret_first(&mut self, path: &Path) {
        let (staged, path) = (files::staged(path), path.to_owned());
        self.points().play(move || {
            if staged.exists() {
                let _ = std::fs::copy(&staged, &path);
            }
        });
    }

    pub(super) async fn server_key_rows(&mut self) -> Result<Vec<ServerKeyRow>, Stop> {
        let rows = self.repository()?.database().server_keys().list().await;
        self.stored("the list of server keys", rows)
    }

    /// By its age: the ids are another's choice.
    pub(super) async fn any_server_key(&mut self) -> Result<Option<KeyId>, Stop> {
        let rows = self.server_key_rows().await?;
        let at = self.rng.random_range(0..rows.len().max(1));
        Ok(rows.get(at).map(|row| row.id))
    }
}
