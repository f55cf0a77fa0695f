//! Values sealed anew in a second, beside a bare read and write-back of the same rows through the
//! same repository.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use portcullis_common::id::KeyKind;
use portcullis_server::audit::AuditLog;
use portcullis_server::config::Config;
use portcullis_server::fleet::{Fleet, Settings};
use portcullis_server::keys::KeyManager;
use portcullis_server::provisioning::Provisioning;
use portcullis_server::repository::{
    Database, ProtectedType, RepositoryError, Resealed, SealedValue, Sealer, Selection, TaskState,
};
use portcullis_server::serve::Unlocked;
use portcullis_server::serve::init::{InitProtection, init_protected};
use portcullis_server::tasks::{Job, ReEncrypt, Tasks, Work, re_encrypt};
use serde_json::json;
use tokio_stream::StreamExt;

use crate::Failure;
use crate::figure::Figure;

/// Bytes of each value: a long password.
const VALUE_LEN: usize = 64;
const KIND: ProtectedType = ProtectedType::UserPassword;

/// One kind of server key: values in a second.
#[derive(Debug)]
pub struct Row {
    /// The kind.
    pub kind: KeyKind,
    /// Bare reads and write-backs.
    pub bare: Vec<f64>,
    /// Sealed anew, by a task as `portcullis key re-encrypt` starts it.
    pub sealed: Vec<f64>,
}

/// Measures in rounds, each of which visits both kinds of server key and both kinds of work.
///
/// # Errors
/// Where there is no repository, or it does not hold what it should: a fast wrong answer is no
/// result.
pub async fn run(
    values: usize,
    rounds: usize,
    progress: impl Fn(&str),
) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    let mut stores = Vec::new();
    for kind in [KeyKind::Tdes, KeyKind::Aes256] {
        progress(&format!(
            "{values} values under a key of kind {}",
            kind.name()
        ));
        stores.push(Store::new(kind, values).await?);
        rows.push(Row {
            kind,
            bare: Vec::new(),
            sealed: Vec::new(),
        });
    }
    for round in 0..rounds {
        progress(&format!("round {} of {rounds}", round + 1));
        for (store, row) in stores.iter().zip(&mut rows) {
            // In turns, so that none always comes after the other.
            if round % 2 == 0 {
                row.bare.push(store.bare().await?);
                row.sealed.push(store.re_encrypt().await?);
            } else {
                row.sealed.push(store.re_encrypt().await?);
                row.bare.push(store.bare().await?);
            }
        }
    }
    for store in &stores {
        store.check().await?;
    }
    Ok(rows)
}

/// A Markdown table.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = "| server key | bare read and write-back, values/s | re-encrypt, values/s | of the bare rate |\n|---|---:|---:|---:|\n".to_owned();
    for row in rows {
        let (Some(bare), Some(sealed)) =
            (Figure::of(row.bare.clone()), Figure::of(row.sealed.clone()))
        else {
            continue;
        };
        out.push_str(&format!(
            "| {} | {:.0} ({:.0} to {:.0}) | {:.0} ({:.0} to {:.0}) | {:.2} |\n",
            row.kind.name(),
            bare.median,
            bare.min,
            bare.max,
            sealed.median,
            sealed.min,
            sealed.max,
            sealed.median / bare.median
        ));
    }
    out
}

/// One object for each kind of server key.
pub fn json_lines(rows: &[Row]) -> Vec<serde_json::Value> {
    let figure = |values: &[f64]| {
        Figure::of(values.to_vec())
            .map(|figure| json!({ "median": figure.median, "min": figure.min, "max": figure.max }))
    };
    rows.iter()
        .map(|row| {
            json!({
                "measure": "re-encrypt",
                "server_key": row.kind.name(),
                "bare_per_second": figure(&row.bare),
                "sealed_per_second": figure(&row.sealed),
            })
        })
        .collect()
}

struct Store {
    _folder: tempfile::TempDir,
    database: Database,
    keys: KeyManager,
    tasks: Tasks,
    kind: KeyKind,
    values: usize,
}

impl Store {
    async fn new(kind: KeyKind, values: usize) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let text = format!("data_dir = {:?}", folder.path().join("data"));
        let config = Config::parse(&text, Path::new("bench.toml"))?;
        init_protected(&config, InitProtection::Default).await?;
        let Unlocked {
            server_id,
            repository,
            keys,
            ..
        } = Unlocked::open(&config).await?;
        let audit = AuditLog::open(&repository, server_id, &config.audit).await?;
        let fleet = Fleet::new(repository.clone(), Settings::new(server_id, &config));
        let database = repository.database().clone();
        keys.generate(Some(kind), true).await?;
        let store = Self {
            _folder: folder,
            tasks: Tasks::new(Work {
                provisioning: Provisioning::new(repository.clone(), fleet.clone(), audit.clone()),
                repository,
                keys: keys.clone(),
                fleet,
                audit,
                secret: config.secret.clone(),
            }),
            database,
            keys,
            kind,
            values,
        };
        store.fill().await?;
        Ok(store)
    }

    async fn fill(&self) -> Result<(), RepositoryError> {
        let keyring = self.keys.keyring();
        let numbers: Vec<_> = (0..self.values).collect();
        for some in numbers.chunks(10_000) {
            let values = some.iter().map(|number| {
                let mut value = SealedValue {
                    row: 0,
                    kind: KIND,
                    owner: format!("user{number}").into_bytes(),
                    field: "password".to_owned(),
                    sealed: Vec::new(),
                    context: Vec::new(),
                };
                value.sealed = keyring.seal(&value.place(), &content(&value.owner));
                value
            });
            let values = values.collect();
            self.database.sealed_values().store(values).await?;
        }
        Ok(())
    }

    fn wrong(&self) -> Failure {
        let values = self.values;
        format!("{values} values were to be sealed anew, and these were not all, or do not open")
            .into()
    }

    /// Reads and writes back what stands there, a batch ahead as re-encryption does.
    async fn bare(&self) -> Result<f64, Failure> {
        let key = self.keys.keyring().current();
        let values = self.database.sealed_values();
        let read = |after| values.under(key, KIND, after, re_encrypt::BATCH);
        let began = Instant::now();
        let mut written = 0;
        let mut batch = read(0).await?;
        while let Some(last) = batch.last().map(|value| value.row) {
            let same = batch.into_iter().map(|value| Resealed {
                row: value.row,
                after: value.sealed.clone(),
                before: value.sealed,
            });
            let (next, stored) = tokio::join!(read(last), values.replace(same.collect()));
            batch = next?;
            written += stored?;
        }
        if written != self.values as u64 {
            return Err(self.wrong());
        }
        Ok(self.values as f64 / began.elapsed().as_secs_f64())
    }

    async fn re_encrypt(&self) -> Result<f64, Failure> {
        self.keys.generate(Some(self.kind), true).await?;
        let job = Job::ReEncrypt(ReEncrypt::of(&[KIND]));
        let task = self.tasks.start(job, "bench").await?;
        let mut states = Box::pin(self.tasks.watch(task.id).await?);
        let mut last = task;
        while let Some(state) = states.next().await {
            last = state;
        }
        let done = last.state == TaskState::Done && last.progress.done() == self.values as u64;
        match last.ended {
            Some(ended) if done => {
                let millis = ended.0.saturating_sub(last.started.0).max(1);
                Ok(self.values as f64 * 1_000.0 / millis as f64)
            }
            _ => Err(self.wrong()),
        }
    }

    /// Checks that every value opens under the current key to what was stored.
    async fn check(&self) -> Result<(), Failure> {
        let selection = Selection {
            kinds: vec![KIND],
            under: Some(self.keys.keyring().current()),
            ..Selection::default()
        };
        let all = self.database.sealed_values();
        let all = all.batch(selection, 0, usize::MAX).await?;
        let keyring: &Arc<_> = self.keys.keyring();
        let opens = |value: &SealedValue| {
            keyring
                .open(&value.place(), &value.sealed)
                .is_ok_and(|opened| *opened == content(&value.owner))
        };
        if all.len() == self.values && all.iter().all(opens) {
            return Ok(());
        }
        Err(self.wrong())
    }
}

fn content(owner: &[u8]) -> Vec<u8> {
    owner.iter().copied().cycle().take(VALUE_LEN).collect()
}
