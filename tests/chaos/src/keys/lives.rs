//! The server's lives: it starts from the files as the last crash left them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_server::audit::AuditLog;
use portcullis_server::config::{Audit, Config, SecretSource};
use portcullis_server::fleet::{self, Fleet};
use portcullis_server::keys::KeyManager;
use portcullis_server::provisioning::Provisioning;
use portcullis_server::repository::Repository;
use portcullis_server::serve::Unlocked;
use portcullis_server::servers::Member;
use portcullis_server::tasks::{Tasks, Work};
use rand::RngExt;

use super::engine::Home;
use super::points::{Planned, Points};
use super::search::{self, Needles};
use super::world::{Stop, World};

/// Starts in a row that crash or find the disk full; the one after is left alone.
const BAD_STARTS: u32 = 3;
/// The one place for the secret of the keys.
const SECRET_FILE: &str = "server.secret";

/// The server, running.
pub(super) struct Running {
    pub(super) repository: Repository,
    pub(super) keys: KeyManager,
    pub(super) audit: AuditLog,
    pub(super) tasks: Tasks,
    pub(super) config: Config,
    pub(super) points: Arc<Points>,
    /// Beats for as long as it lives.
    _member: Option<Member>,
}

impl World {
    pub(super) async fn restart(&mut self) {
        for _ in 0..BAD_STARTS {
            let plan = self
                .rng
                .random_bool(0.25)
                .then(|| self.draw_plan())
                .flatten();
            if self.restart_with(plan).await || self.is_broken() {
                return;
            }
            self.counts.crashes += 1;
        }
        self.restart_with(None).await;
    }

    /// From the files as the crash left them. `false`: it died once more.
    pub(super) async fn restart_with(&mut self, plan: Option<Planned>) -> bool {
        self.bury();
        if self.is_broken() {
            return true;
        }
        let former = self.folder(self.life);
        self.life += 1;
        self.counts.starts += 1;
        self.note(|| format!("the server starts, {plan:?}"));
        let _ = fs::remove_dir_all(former);
        if let Some(home) = &self.home {
            home.end_servers();
        }
        self.search();
        match self.open(plan).await {
            Ok(()) => !self.points().has_crashed(),
            Err(_) if self.corpse.has_crashed() => false,
            Err(_) if self.corpse.was_full() => {
                // The administrator makes room, and starts it again from the same files.
                self.corpse.die();
                false
            }
            Err(error) => {
                self.broken(|| format!("the server does not start: {error}"));
                true
            }
        }
    }

    /// What `serve` does before it serves.
    pub(super) async fn open(&mut self, plan: Option<Planned>) -> Result<(), String> {
        let folder = self.folder(self.life);
        let config = configure(&folder, self.home.as_ref());
        let points = Arc::new(Points::new(folder, self.folder(self.life + 1)));
        points.arm("start", plan);
        self.corpse = points.clone();
        let unlocked = Unlocked::open_observed(&config, points.clone()).await;
        let Unlocked {
            server_id,
            repository,
            keys,
            member,
        } = unlocked.map_err(|error| error.to_string())?;
        self.server_id = server_id;
        let audit = AuditLog::open(&repository, server_id, &config.audit)
            .await
            .map_err(|error| error.to_string())?;
        let fleet = Fleet::new(repository.clone(), fleet::Settings::new(server_id, &config));
        let tasks = Tasks::new(Work {
            repository: repository.clone(),
            keys: keys.clone(),
            provisioning: Provisioning::new(repository.clone(), fleet.clone(), audit.clone()),
            fleet,
            audit: audit.clone(),
            secret: config.secret.clone(),
        });
        let resumed = tasks.resume_interrupted().await;
        self.server = Some(Running {
            repository,
            keys,
            audit,
            tasks,
            config,
            points,
            _member: member,
        });
        resumed.map_err(|error| error.to_string())?;
        // Whatever happened meanwhile shows in what follows.
        let _: Result<(), Stop> = self.end_of_tasks().await;
        Ok(())
    }

    /// Forgets the server that died, and keeps what it covered.
    pub(super) fn bury(&mut self) {
        self.server = None;
        let (coverage, failed) = self.corpse.end();
        self.coverage.add(&coverage);
        if let Some(error) = failed {
            self.broken(|| format!("the files of a crash cannot be copied: {error}"));
        }
    }

    pub(super) fn folder(&self, life: u32) -> PathBuf {
        self.root.path().join(format!("life-{life}"))
    }

    /// No secret lies in the clear in any file, and what was deleted is gone; what was planted is
    /// found.
    pub(super) fn search(&mut self) {
        let folder = self.folder(self.life);
        let folders = [folder.as_path(), self.exports.as_path()];
        if let Some(home) = &self.home
            && let Err(error) = home.dump(&folder)
        {
            return self.broken(|| error);
        }
        let found = self.needles.find(&folders, None);
        let secret = self.secrets.find(&folders, Some(SECRET_FILE));
        let found = found.and_then(|found| Ok(found.or(secret?)));
        let control = search::holds(&folders, self.planted.as_bytes());
        match (found, control) {
            (Ok(None), Ok(true)) => self.counts.searches += 1,
            (Ok(Some(found)), _) => self.broken(|| format!("in the clear: {found}")),
            (Ok(None), Ok(false)) => self.broken(|| "the search finds nothing at all".to_owned()),
            (Err(error), _) | (_, Err(error)) => self.broken(|| error),
        }
    }

    /// What was deleted or replaced is in no file of the repository any more, once that was
    /// scrubbed.
    pub(super) async fn check_scrubbed(&mut self) -> Result<(), Stop> {
        let rows = self.server_key_rows().await?;
        let mut needles = Needles::default();
        for wrapped in &self.retired_wraps {
            if rows.iter().all(|row| row.wrapped != *wrapped) {
                needles.add_as_is(wrapped, "a wrapped key that was deleted or replaced");
            }
        }
        match needles.find(&[self.folder(self.life).as_path()], None) {
            Ok(None) => {}
            Ok(Some(found)) => self.broken(|| found),
            Err(error) => self.broken(|| error),
        }
        Ok(())
    }
}

pub(super) fn configure(folder: &Path, home: Option<&Home>) -> Config {
    Config {
        engine: home.map(Home::engine).unwrap_or_default(),
        data_dir: folder.join("data"),
        secret: SecretSource::File(folder.join("data").join(SECRET_FILE)),
        audit: Audit {
            head_file: folder.join("audit/head"),
            calls: true,
        },
        ..Config::default()
    }
}
