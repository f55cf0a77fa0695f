//! Orders to a worker, and its answers: each on a connection of its own.

use std::io;
use std::time::Duration;

use portcullis_common::calls::MAX_ANSWER;
use portcullis_common::id::ServerId;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{Answer, JournalMark, Order};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::{Workers, frame, lock};
use crate::config::WorkerKind;
use crate::model::Failure;

/// How long a worker may take to answer what needs no resource.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer beside the message of the gateway's own protocol that it holds.
const AROUND: usize = 1 << 10;

/// Why there is no answer of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The call cannot be carried out here.
    Refused(Failure),
    /// Nothing of the order was begun: the worker is away, or refused it.
    Away(String),
    /// The same, since its journal is not the one that is known.
    OtherJournal(String),
    /// It took the order, and did not answer.
    Silent(String),
}

impl Workers {
    pub(super) fn order(
        &self,
        server: Option<ServerId>,
        journal: Option<JournalMark>,
        what: What,
    ) -> Order {
        let acknowledges =
            server.is_some_and(|server| lock(&self.shared.acknowledging).contains(&server));
        Order {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: self.shared.instance.clone(),
            server_id: server.map_or_else(Vec::new, |server| server.to_bytes().to_vec()),
            acknowledges,
            journal,
            not_after_ms: 0,
            what: Some(what),
        }
    }

    /// Asks what needs no resource.
    pub(super) async fn ask(&self, kind: WorkerKind, order: Order) -> Result<Answered, Lost> {
        let mut stream = self.send(kind, order).await?;
        self.answer(kind, &mut stream, Instant::now() + PATIENCE)
            .await
    }

    /// Sends an order. A worker that has not had all of it has begun nothing.
    pub(super) async fn send(&self, kind: WorkerKind, order: Order) -> Result<UnixStream, Lost> {
        let Some(socket) = self.socket(kind) else {
            return Err(Lost::Away(format!("there is no worker `{kind}`")));
        };
        let path = &socket.config.socket;
        let sending = async {
            let mut stream = UnixStream::connect(path).await?;
            frame::write(&mut stream, &order).await?;
            Ok::<_, io::Error>(stream)
        };
        let sent = timeout(PATIENCE, sending).await;
        let sent = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        sent.map_err(|error| {
            Lost::Away(format!(
                "the worker `{kind}` cannot be reached at {} ({error}): nothing was begun; `systemctl status {}` says why",
                path.display(),
                kind.unit(&self.shared.instance)
            ))
        })
    }

    pub(super) async fn answer(
        &self,
        kind: WorkerKind,
        stream: &mut UnixStream,
        deadline: Instant,
    ) -> Result<Answered, Lost> {
        let silent = |why: &dyn std::fmt::Display| {
            Lost::Silent(format!("the worker `{kind}` took the order, and {why}"))
        };
        let reading = async {
            let Some(length) = frame::length(stream, MAX_ANSWER as usize + AROUND).await? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            frame::body::<Answer>(stream, length).await
        };
        let answer = match timeout_at(deadline, reading).await {
            Err(_) => return Err(silent(&"did not answer in time")),
            Ok(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(silent(&"ended before it told what came of it"));
            }
            Ok(Err(error)) => {
                return Err(silent(&format_args!("its answer cannot be read: {error}")));
            }
            Ok(Ok(answer)) => answer,
        };
        match answer.what {
            Some(Answered::Refused(refusal)) => {
                let message = format!("worker `{kind}`: {}", refusal.message);
                match refusal.other_journal {
                    true => Err(Lost::OtherJournal(message)),
                    false => Err(Lost::Away(message)),
                }
            }
            Some(answered) => Ok(answered),
            None => Err(silent(&"its answer says nothing")),
        }
    }
}

impl Lost {
    pub(super) fn message(self) -> String {
        match self {
            Self::Refused(failure) => failure.message,
            Self::Away(message) | Self::OtherJournal(message) | Self::Silent(message) => message,
        }
    }

    /// What came of a call that changes nothing.
    pub(super) fn failure(self) -> Failure {
        match self {
            Self::Refused(failure) => failure,
            Self::Away(message) | Self::OtherJournal(message) | Self::Silent(message) => {
                Failure::unavailable(message)
            }
        }
    }
}
