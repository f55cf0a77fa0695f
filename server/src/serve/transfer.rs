//! The repository as a whole, while no server runs on it: moved to another engine, backed up,
//! restored, and gone on from where it went back in time.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use portcullis_common::id::ServerId;
use portcullis_host::clock;
use portcullis_host::private_files::{self, PermissionError};

use super::init::{InitError, Unfinished, in_folder, must_not_exist};
use super::lock::{DataDirLock, LockError};
use super::{ServeError, Unlocked};
use crate::audit::{self, AuditError, AuditLog, Fault, HeadFile, Subject};
use crate::config::Config;
use crate::repository::{Database, Loss, Opened, RepositoryError, Store, TableSum};
use crate::servers::{self, Arrival};

/// Why nothing was transferred.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The repository cannot be used as a server would.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The other one cannot be made.
    #[error(transparent)]
    Make(#[from] InitError),
    /// There is nothing to copy.
    #[error(
        "both configurations name the repository {0}: give --to a configuration whose [repository], or data_dir, names another one"
    )]
    Same(String),
    /// The audit log is not whole, and a copy would not be either.
    #[error(
        "the audit log of the copy is not sound: {0}. Nothing was put into its place; see what `portcullis audit verify` says, and `portcullis audit accept` it first"
    )]
    Unsound(Fault),
    /// The file of a backup cannot be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<RepositoryError> for TransferError {
    fn from(error: RepositoryError) -> Self {
        ServeError::from(error).into()
    }
}

impl From<AuditError> for TransferError {
    fn from(error: AuditError) -> Self {
        ServeError::from(error).into()
    }
}

impl From<PermissionError> for TransferError {
    fn from(error: PermissionError) -> Self {
        ServeError::from(error).into()
    }
}

impl From<LockError> for TransferError {
    fn from(error: LockError) -> Self {
        ServeError::from(error).into()
    }
}

/// What is in a repository that was written, and was read there again.
#[derive(Debug)]
pub struct Contents {
    /// Whose it is.
    pub server_id: ServerId,
    /// How many rows it has.
    pub rows: u64,
    /// Its secrets.
    pub values: Opened,
    /// Entries of its audit log.
    pub entries: u64,
    /// What is wrong with its audit log, and was before.
    pub faults: Vec<Fault>,
}

/// Copies the repository of `from` to where `to` says that it is, and marks the one of `from` as
/// moved. Secret and head file of `to` are to be there already: with the same `data_dir` they are.
///
/// # Errors
/// [`TransferError`]; there is no other repository then. After one that comes late the source may
/// be marked as moved: the same once more goes on.
pub async fn copy(from: &Config, to: &Config) -> Result<Contents, TransferError> {
    let (source, target) = (Store::of(from), Store::of(to));
    if source == target {
        return Err(TransferError::Same(source.to_string()));
    }
    let lock = own(from)?;
    let _other = (from.data_dir != to.data_dir)
        .then(|| own(to))
        .transpose()?;
    if let Some(file) = target.file() {
        must_not_exist(file)?;
    }
    Unlocked::must_exist(from)?;
    let arrival = Arrival::of(from, lock.identity());
    let (database, member) = servers::open(&source, arrival, None, None).await?;
    let copied = copy_from(&database, to, &target).await;
    database.close().await;
    member.leave().await;
    copied
}

async fn copy_from(
    database: &Database,
    to: &Config,
    target: &Store,
) -> Result<Contents, TransferError> {
    let target = target.to_string();
    // One that was moved there may be moved there again: somebody ended it too early.
    if let Some(place) = database.moved().await?
        && place != target
    {
        return Err(RepositoryError::Moved { to: place }.into());
    }
    let unfinished = Unfinished::create(to).await?;
    let copied = async {
        let filled = fill(database, &unfinished, to, async |unlocked| {
            let head = HeadFile::new(to.audit.head_file.clone());
            Ok(audit::leave_database(&unlocked.repository, unlocked.server_id, &head).await?)
        });
        let contents = filled.await?.0;
        if let Some(fault) = contents.faults.first() {
            return Err(TransferError::Unsound(*fault));
        }
        // In this order: never do both start.
        database.set_moved(&target).await?;
        unfinished.place(to, None).await?;
        Ok(contents)
    };
    let copied = copied.await;
    if copied.is_err() {
        unfinished.remove().await?;
    }
    copied
}

/// Writes the repository as it is in one moment into a file of SQLite, whatever stores it; a server
/// may be running.
///
/// # Errors
/// [`TransferError`]; nothing was left behind.
pub async fn back_up(config: &Config, file: &Path) -> Result<Vec<TableSum>, TransferError> {
    must_not_exist(file)?;
    private_files::check_private(&config.data_dir)?;
    Unlocked::must_exist(config)?;
    let write = |source| TransferError::File {
        action: "write",
        path: file.to_owned(),
        source,
    };
    let parent = file.parent().filter(|path| !path.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    let beside = tempfile::Builder::new()
        .prefix(".backup-")
        .tempdir_in(parent)
        .map_err(write)?;
    let database = Database::look_at(&Store::of(config)).await?;
    let written = write_backup(&database, &in_folder(&beside)).await;
    database.close().await;
    let sums = written?;
    fs::hard_link(in_folder(&beside), file)
        .and_then(|()| private_files::sync_dir(parent))
        .map_err(write)?;
    Ok(sums)
}

async fn write_backup(database: &Database, path: &Path) -> Result<Vec<TableSum>, TransferError> {
    if let Some(to) = database.moved().await? {
        return Err(RepositoryError::Moved { to }.into());
    }
    let backup = Database::create(path).await?;
    let copied = database.copy_to(&backup).await;
    backup.close().await;
    Ok(copied?)
}

/// Makes the repository that `config` names of a backup, where there is none, and goes on as
/// [`accept_loss`] does.
///
/// # Errors
/// [`TransferError`]; there is no repository then.
pub async fn restore(
    config: &Config,
    backup: &Path,
    who: Subject,
    reason: &str,
) -> Result<(Contents, Loss), TransferError> {
    let read = |source| TransferError::File {
        action: "read",
        path: backup.to_owned(),
        source,
    };
    let _lock = own(config)?;
    if let Some(file) = Store::of(config).file() {
        must_not_exist(file)?;
    }
    // The backup stays as it is: an earlier version's is brought up to date in a copy.
    let folder = tempfile::Builder::new()
        .prefix(".restore-")
        .tempdir_in(&config.data_dir)
        .map_err(read)?;
    let path = in_folder(&folder);
    fs::copy(backup, &path).map_err(read)?;
    let source = Database::open(&path).await?;
    let restored = restore_from(&source, config, who, reason).await;
    source.close().await;
    restored
}

async fn restore_from(
    source: &Database,
    config: &Config,
    who: Subject,
    reason: &str,
) -> Result<(Contents, Loss), TransferError> {
    let unfinished = Unfinished::create(config).await?;
    let restored = async {
        let filled = fill(source, &unfinished, config, async |unlocked| {
            go_on(unlocked, config, who.clone(), reason).await
        });
        let filled = filled.await?;
        unfinished.place(config, None).await?;
        Ok(filled)
    };
    let restored = restored.await;
    if restored.is_err() {
        unfinished.remove().await?;
    }
    restored
}

/// Goes on from a repository that went back in time, as `who` says who knows why.
///
/// # Errors
/// [`TransferError`]; where nothing says otherwise the repository goes on taking no changes.
pub async fn accept_loss(
    config: &Config,
    who: Subject,
    reason: &str,
) -> Result<Loss, TransferError> {
    let lock = own(config)?;
    let unlocked = Unlocked::open_locked(config, &lock).await?;
    let accepted = go_on(&unlocked, config, who, reason).await;
    unlocked.close().await;
    accepted
}

/// No server runs on the folder of `config`, and none will meanwhile.
fn own(config: &Config) -> Result<DataDirLock, TransferError> {
    private_files::check_private(&config.data_dir)?;
    Ok(DataDirLock::take(&config.data_dir)?)
}

/// Copies `source` into an empty repository, looks whether all of it can be used there, and does
/// `then` with it.
async fn fill<T>(
    source: &Database,
    unfinished: &Unfinished,
    config: &Config,
    then: impl AsyncFnOnce(&Unlocked) -> Result<T, TransferError>,
) -> Result<(Contents, T), TransferError> {
    let target = unfinished.open().await?;
    let filled = async {
        let sums = source.copy_to(&target).await?;
        let unlocked = Unlocked::of(&target, config).await?;
        let contents = look_through(&unlocked, config, &sums).await?;
        Ok((contents, then(&unlocked).await?))
    };
    let filled = filled.await;
    target.close().await;
    filled
}

async fn look_through(
    unlocked: &Unlocked,
    config: &Config,
    sums: &[TableSum],
) -> Result<Contents, TransferError> {
    let Unlocked {
        server_id,
        repository,
        ..
    } = unlocked;
    let values = repository.open_all().await?;
    let head = HeadFile::new(config.audit.head_file.clone());
    let report = audit::verify_at_rest(repository, *server_id, head).await?;
    Ok(Contents {
        server_id: *server_id,
        rows: sums.iter().map(|sum| sum.rows).sum(),
        values,
        entries: report.count,
        faults: report.faults,
    })
}

/// What the audit log says last is what it goes on from: until then it takes no entries, so that a
/// crash before leaves a repository that changes nothing.
async fn go_on(
    unlocked: &Unlocked,
    config: &Config,
    who: Subject,
    reason: &str,
) -> Result<Loss, TransferError> {
    let Unlocked {
        server_id,
        repository,
        ..
    } = unlocked;
    let loss = repository.accept_loss(clock::now()).await?;
    let log = AuditLog::attach(repository, *server_id, &config.audit).await?;
    let accepted = match log.accept_loss(who.clone(), reason).await {
        Ok(_) | Err(AuditError::Undisputed) => Ok(()),
        Err(error) => Err(error),
    };
    if accepted.is_ok() {
        let Loss {
            generation,
            held,
            closed,
        } = loss;
        let detail = format!(
            "{reason}; generation {generation}, {held} calls held, tokens or pairing of {closed} gateways closed"
        );
        log.record(audit::accepted_loss(who, generation).detail(&detail))
            .await;
    }
    log.detach().await;
    accepted?;
    Ok(loss)
}
