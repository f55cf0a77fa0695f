//! Why the repository did not do what was asked.

use super::OpenError;
use portcullis_common::id::KeyId;

/// Why the repository did not do what was asked. Nothing has changed in any of these cases.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// The file cannot be opened.
    #[error(
        "cannot open the repository {path}: {reason}; check that the file is there and belongs to the user that runs the server"
    )]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        reason: String,
    },
    /// There is no repository yet.
    #[error("there is no repository at {path}: run `portcullis-server init` first")]
    Missing {
        /// The file.
        path: String,
    },
    /// Written by a later version.
    #[error(
        "the repository has schema {found}, and this program knows schemas up to {known}: install the newer version of the program again"
    )]
    NewerSchema {
        /// The schema of the file.
        found: u32,
        /// The newest schema of this program.
        known: u32,
    },
    /// The disk is full.
    #[error(
        "the disk under the repository is full: nothing was changed; free some space, then try again"
    )]
    Full,
    /// The file is locked by another program, or the database does not finish a change.
    #[error(
        "the repository is held up: nothing was changed. Another program may have the file locked; in PostgreSQL it is a lock that somebody holds, or changes wait for a synchronous standby that is away (`pg_stat_activity` shows SyncRep): mend that, then try again"
    )]
    Busy,
    /// The file is damaged.
    #[error("the repository is damaged ({0}): stop the server and restore it from a backup")]
    Damaged(String),
    /// A row that decides is not as this server stored it.
    #[error(
        "the record of {kind} `{name}` in the repository (table {table}) was changed or put in by hand: it decides nothing any more. Find out who wrote to the repository, then restore it from a backup, or remove this {kind} and make it again; `portcullis audit verify` lists all such records"
    )]
    RowChanged {
        /// What it is: `gateway`, `resource`, …
        kind: &'static str,
        /// Its table.
        table: &'static str,
        /// Its name, number or id.
        name: String,
    },
    /// Its authority key was not opened yet.
    #[error("the repository is not unlocked yet: nothing that decides is read or written")]
    Locked,
    /// The version of the schema was changed by hand.
    #[error(
        "the repository says that it has schema {found}, and yet holds what later ones have ({reason}): its version was changed by hand; restore it from a backup"
    )]
    SchemaPutBack {
        /// The schema that it says.
        found: u32,
        /// What does not fit.
        reason: String,
    },
    /// A table, or an index, is another one than this program makes.
    #[error(
        "`{name}` of the repository is not made as this program makes it: it was changed by hand; restore the repository from a backup"
    )]
    SchemaChanged {
        /// Its name.
        name: String,
    },
    /// A thing of that name is there already.
    #[error("there is already a {kind} `{name}`: choose another name")]
    AlreadyExists {
        /// `gateway` or `resource`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// There is no such thing.
    #[error("there is no {kind} `{name}`: `portcullis {kind} list` shows those there are")]
    NotFound {
        /// `gateway` or `resource`.
        kind: &'static str,
        /// Its name or id.
        name: String,
    },
    /// A sealed value does not open.
    #[error(transparent)]
    Sealed(#[from] OpenError),
    /// There is no such key.
    #[error("there is no key {0}: `portcullis key list` shows those there are")]
    NoSuchKey(KeyId),
    /// The server key of a value was deleted between its sealing and its storing.
    #[error(
        "server key {0} was deleted at this very moment: nothing was changed; try again, the current key will be taken"
    )]
    ServerKeyGone(KeyId),
    /// Another change of the protection, or of the server keys, was faster.
    #[error(
        "the protection or the server keys were changed at this very moment: nothing was changed; look at `portcullis key list`, then try again if that is still wanted"
    )]
    ProtectionChanged,
    /// Something reads the repository and does not end.
    #[error(
        "{path} still holds what was deleted, because another program reads the repository: end that program (a backup?), then restart the server, which tries again"
    )]
    NotScrubbed {
        /// The write-ahead log.
        path: String,
    },
    /// The system refused to read or write.
    #[error(
        "the repository cannot be read or written: {0}; look at the disk and the file's permissions"
    )]
    Storage(String),
    /// The database that it is in does not answer, or takes no changes now.
    #[error(
        "the database {place} is not to be had now: {reason}; nothing was changed: it is tried again with each request"
    )]
    Away {
        /// Where it is.
        place: String,
        /// What is known of it.
        reason: String,
    },
    /// The database cannot be used as it is, or as the configuration says.
    #[error("the database {place} cannot be used: {reason}")]
    Unsuitable {
        /// Where it is.
        place: String,
        /// Why, and what to do.
        reason: String,
    },
    /// There is a repository in the database already.
    #[error(
        "there is already a repository in the database {place}: use it as it is, or give another database"
    )]
    Occupied {
        /// Where it is.
        place: String,
    },
    /// A server runs on it.
    #[error(
        "the portcullis-server `{by}` uses the repository {place}: only one may do so at a time; stop it first"
    )]
    Taken {
        /// Where it is.
        place: String,
        /// The host that it runs on.
        by: String,
    },
    /// Another server serves it meanwhile.
    #[error(
        "the row of this server is not in the repository any more as it left it: it had no answer from the database for too long and another one has ended it, or the database was put back to an earlier state: it changes nothing any more, and ends; started again, it begins anew, and looks"
    )]
    TakenOver,
    /// The database has not what this server was told that it had stored.
    #[error(
        "the repository {place} went back in time: the last changes that this server made are not in it, because a standby that lacked them was promoted, or an earlier state was put back. Nothing was changed. Stop all servers, see that the right database answers, then run `portcullis-server repository accept-loss`"
    )]
    WentBack {
        /// Where it is.
        place: String,
    },
    /// It was copied to another place, and is in use there.
    #[error(
        "the repository was moved to {to}: it is not used here any more; let [repository] and data_dir of the configuration name that place"
    )]
    Moved {
        /// Where it is now.
        to: String,
    },
    /// A copy is another than what was read.
    #[error(
        "the table {table} of the copy is not what was read: nothing was put into its place; look at the disk, then try again"
    )]
    NotCopied {
        /// The first such table.
        table: String,
    },
    /// It was closed: the server is about to end.
    #[error("the repository is closed: the server is stopping")]
    Closed,
}

impl RepositoryError {
    /// Whether the database is away: all that is asked for is refused until it is back.
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }

    /// The same again, for each of those whom one failure concerns.
    pub(super) fn again(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Busy => Self::Busy,
            Self::Damaged(what) => Self::Damaged(what.clone()),
            Self::Storage(why) => Self::Storage(why.clone()),
            Self::TakenOver => Self::TakenOver,
            Self::WentBack { place } => Self::WentBack {
                place: place.clone(),
            },
            Self::Away { place, reason } => Self::Away {
                place: place.clone(),
                reason: reason.clone(),
            },
            Self::Unsuitable { place, reason } => Self::Unsuitable {
                place: place.clone(),
                reason: reason.clone(),
            },
            other => Self::Storage(other.to_string()),
        }
    }

    /// A column holds what this program never wrote.
    pub(super) fn damaged(what: &str) -> Self {
        Self::Damaged(format!("unreadable {what}"))
    }
}
