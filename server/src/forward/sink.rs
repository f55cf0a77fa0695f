//! What takes entries.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use portcullis_common::id::ServerId;

use super::file::FileSink;
use super::syslog::Syslog;
use super::webhook::Webhook;
use crate::config::ForwardTo;
use crate::repository::{AuditEntry, RepositoryError};

/// Why entries were not taken. Each is sent again.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkError {
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error("cannot write to {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot send to {to}: {source}")]
    Send { to: String, source: io::Error },
    #[error("{to} answers {status}: it has to answer 200 to 299 once it has stored them")]
    Status { to: String, status: u16 },
    /// Fewer together may be taken.
    #[error("{to} answers 413: so many entries together are too large for it")]
    TooLarge { to: String },
    #[error(
        "{to} answers 413 to entry {seq} alone, which it has to take before any further one: raise its limit for the size of a request"
    )]
    OneTooLarge { to: String, seq: u64 },
    #[error("cannot use the webhook: {0}")]
    Unusable(String),
    #[error("no answer within {} s", .0.as_secs())]
    TimeOut(Duration),
}

#[derive(Debug)]
pub(super) enum Sink {
    Syslog(Syslog),
    File(FileSink),
    Webhook(Box<Webhook>),
}

impl Sink {
    pub(super) fn new(to: &ForwardTo, server: ServerId) -> Self {
        match to {
            ForwardTo::Syslog(at) => Self::Syslog(Syslog::new(at.clone(), server)),
            ForwardTo::File(path) => Self::File(FileSink::new(path.clone(), server)),
            ForwardTo::Webhook {
                url,
                secret_file,
                ca_file,
            } => Self::Webhook(Box::new(Webhook::new(
                url.clone(),
                secret_file.clone(),
                ca_file.clone(),
                server,
            ))),
        }
    }

    /// Hands all of them over: when this returns they are taken.
    pub(super) async fn send(&mut self, entries: &[&AuditEntry]) -> Result<(), SinkError> {
        match self {
            Self::Syslog(syslog) => syslog.send(entries).await,
            Self::File(file) => file.send(entries).await,
            Self::Webhook(webhook) => webhook.send(entries).await,
        }
    }
}
