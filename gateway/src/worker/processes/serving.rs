//! A worker: takes the orders of the process that faces the servers, and of nobody else.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::calls::MAX_CALL;
use portcullis_common::id::ServerId;
use portcullis_host::private_files::this_user;
use portcullis_host::users::User;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::worker::v1::answer::What as Answered;
use portcullis_proto::worker::v1::order::What;
use portcullis_proto::worker::v1::{
    Answer, Description, Here, JournalMark, JournalShare, LogLine, LogLines, Order, Refusal,
    Reloaded, Spans,
};
use portcullis_watch::traces::HeldSpans;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use super::frame;
use crate::journal::Share;
use crate::moment::NotAfter;
use crate::worker::call_stream::{Events, LARGE, bounded, has_items};
use crate::worker::door::{MAX_ACKNOWLEDGED, MAX_ASKED};
use crate::worker::{LOG_KEPT, OwnLog, Provisioner};

/// How long an order may take to come whole.
const ORDER_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an order beside the call.
const AROUND: usize = 1 << 10;
/// Connections at once beside those of calls.
const QUESTIONS: usize = 32;
/// How long no connection is taken after one could not be.
const PAUSE: Duration = Duration::from_millis(100);
/// Group and others may write.
const OTHERS_WRITE: u32 = 0o022;

/// Somebody asks the worker to read its configuration again, and waits for what comes of it.
pub type Asked = oneshot::Sender<Reloaded>;

/// What a worker serves with.
#[derive(Debug)]
pub struct Serving {
    /// Carries out the calls.
    pub provisioner: Provisioner,
    /// The gateway's instance.
    pub instance: String,
    /// The user whom alone it serves.
    pub front: User,
    /// Calls at once.
    pub calls: usize,
    /// The file of its journal.
    pub journal: PathBuf,
    /// Its spans, which the gateway sends; `None`: there are none.
    pub spans: Option<Mutex<HeldSpans>>,
    /// Its log; `None`: no server is given it, nor changes it.
    pub log: Option<OwnLog>,
    /// Who reads the configuration again.
    pub reloads: mpsc::Sender<Asked>,
    /// Whether it was told to stop.
    pub stopping: watch::Receiver<bool>,
}

/// Why there is no socket to listen on.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Something else stands there.
    #[error("{} is no socket: move it away, or set another `socket` of the worker", .0.display())]
    Taken(PathBuf),
    /// Others could put a socket of theirs in its place, and be handed passwords.
    #[error(
        "others may write into {} (mode {mode:04o}): `chmod go-w` it, or set another `socket` of the worker",
        folder.display()
    )]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The system refused.
    #[error("cannot listen on {}: {source}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Listens at `path`, for `front` and its group. No other worker of the gateway runs: what lies
/// there is of one that has ended.
///
/// # Errors
/// [`SocketError`].
fn listen(path: &Path, front: User) -> Result<UnixListener, SocketError> {
    let failed = |source| SocketError::Io {
        path: path.to_owned(),
        source,
    };
    if let Some(folder) = path.parent() {
        match DirBuilder::new().mode(0o755).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed(error));
            }
            _ => {}
        }
        let mode = folder.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & OTHERS_WRITE != 0 {
            let folder = folder.to_owned();
            return Err(SocketError::Folder { folder, mode });
        }
    }
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => fs::remove_file(path).map_err(failed)?,
        Ok(_) => return Err(SocketError::Taken(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // A worker without rights runs in that group, and may not give anything away.
    if fs::symlink_metadata(path).map_err(failed)?.gid() != front.gid {
        chown(path, None, Some(front.gid)).map_err(failed)?;
    }
    // Whoever connects is asked for its user id all the same.
    fs::set_permissions(path, Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// Listens at `path` and carries out orders, for ever. `ready` is told once it listens.
///
/// # Errors
/// [`SocketError`] where it cannot listen there.
pub async fn serve(serving: Serving, path: &Path, ready: impl FnOnce()) -> Result<(), SocketError> {
    let listener = listen(path, serving.front)?;
    let room = Arc::new(Semaphore::new(serving.calls.saturating_add(QUESTIONS)));
    let serving = Arc::new(serving);
    ready();
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else {
            // Never closed.
            return Ok(());
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move {
                    serving.attend(stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                warn!("no connection of the gateway can be taken: {error}");
                sleep(PAUSE).await;
            }
        }
    }
}

/// What is answered to an order, but for items.
type Reply = Result<Answered, Refusal>;

impl Serving {
    async fn attend(&self, mut stream: UnixStream) {
        let peer = stream.peer_cred().map(|peer| peer.uid());
        if peer.as_ref().ok() != Some(&self.front.uid) {
            // Root, or whoever it runs as, may look whether it lives: the end of the connection
            // says so.
            if matches!(peer, Ok(user) if user == 0 || user == this_user()) {
                return;
            }
            warn!(name: "stranger", ?peer, "a connection of another user than the gateway's is closed");
            return;
        }
        let (mut reader, mut writer) = stream.split();
        self.take_order(&mut reader, &mut writer).await;
    }

    /// Takes the order of one connection, and answers it.
    pub(super) async fn take_order(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) {
        let outcome = match self.order(reader).await {
            Ok(None) => Ok(()),
            Ok(Some((order, _room))) => self.obey(order, reader, writer).await,
            Err(error) => {
                warn!(name: "order_refused", "what came is no order of a gateway: {error}");
                say(writer, refused(error.to_string())).await
            }
        };
        if let Err(error) = outcome {
            debug!("an answer did not reach the gateway: {error}");
        }
    }

    /// The order of a connection, and the room that a long one takes until it is answered; `None`:
    /// it ended before there was one.
    async fn order(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Option<(Order, Option<OwnedSemaphorePermit>)>> {
        let most = MAX_CALL as usize + AROUND;
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "it did not come whole in time");
        let head = timeout(ORDER_PATIENCE, frame::length(reader, most)).await;
        let Some(length) = head.map_err(late)?? else {
            return Ok(None);
        };
        // What becomes of an empty value takes many times its bytes in memory.
        let room = match length > LARGE {
            true => Some(self.provisioner.room_for(length).ok_or_else(|| {
                io::Error::other(
                    "there are as many long calls already as there is room for: try again later",
                )
            })?),
            false => None,
        };
        let body = timeout(ORDER_PATIENCE, frame::body(reader, length)).await;
        Ok(Some((body.map_err(late)??, room)))
    }

    async fn obey(
        &self,
        order: Order,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let checked = self.check(&order);
        let not_after = NotAfter::from_ms(order.not_after_ms);
        let (what, server) = match checked.map(|server| (order.what, server)) {
            Ok((Some(what), server)) => (what, server),
            Ok((None, _)) => {
                return say(writer, refused("the order says nothing".to_owned())).await;
            }
            Err(refusal) => return say(writer, Answered::Refused(refusal)).await,
        };
        let what = match (what, server) {
            (What::Call(call), Some(_)) if has_items(&call) => {
                let events = self.provisioner.events(call);
                return self.tell_items(events, reader, writer).await;
            }
            (What::Call(call), Some(server)) => {
                let id = call.call_id.clone();
                let carrying = self.provisioner.execute_counted(server, call, not_after);
                // A change goes on to its end; nobody waits for what only reads.
                let outcome = tokio::select! {
                    outcome = carrying => outcome,
                    () = gone(reader) => return Ok(()),
                };
                Ok(Answered::Outcome(bounded(outcome.into_wire(id))))
            }
            (What::Watch(_), _) => return self.accompany(reader, writer).await,
            (What::TakeSpans(_), _) => return self.tell_spans(reader, writer).await,
            (What::Describe(_), _) => Ok(Answered::Description(self.describe().await)),
            (What::Finished(asked), Some(server)) => self.finished(server, &asked),
            (What::Acknowledge(told), Some(server)) => self.acknowledge(server, told),
            (What::Reload(_), _) => self.reload().await,
            (What::Log(asked), Some(_)) => self.log(&asked),
            (What::LogMore(asked), Some(server)) => self.log_more(server, &asked),
            (
                What::Call(_)
                | What::Finished(_)
                | What::Acknowledge(_)
                | What::Log(_)
                | What::LogMore(_),
                None,
            ) => Err(refusal("the order does not say whose it is")),
        };
        say(writer, what.unwrap_or_else(Answered::Refused)).await
    }

    /// Whose order it is, where this worker takes it.
    fn check(&self, order: &Order) -> Result<Option<ServerId>, Refusal> {
        let own = env!("CARGO_PKG_VERSION");
        if order.version != own {
            return Err(refusal(&format!(
                "it is of version {own}, and the gateway of version {}: restart both",
                printable(&order.version)
            )));
        }
        if order.instance != self.instance {
            return Err(refusal(&format!(
                "it belongs to the gateway `{}`, and `{}` asks: each needs sockets of its own",
                self.instance,
                printable(&order.instance)
            )));
        }
        let server = match order.server_id.as_slice() {
            [] => None,
            bytes => Some(
                ServerId::from_bytes(bytes).ok_or_else(|| refusal("that is no id of a server"))?,
            ),
        };
        let journal = self.provisioner.journal();
        if let Some(server) = server {
            journal.set_acknowledging(server, order.acknowledges);
        }
        match &order.journal {
            Some(mark) if !self.has(mark) => Err(Refusal {
                message: "its journal is another one than the gateway knew, or was put back to an earlier state: nothing was begun".to_owned(),
                other_journal: true,
            }),
            _ => Ok(server),
        }
    }

    fn has(&self, mark: &JournalMark) -> bool {
        let info = self.provisioner.journal().info();
        info.incarnation == mark.incarnation.as_slice() && info.sequence >= mark.sequence
    }

    async fn tell_items(
        &self,
        mut events: Events,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        loop {
            let some = tokio::select! {
                some = events.next() => some,
                () = gone(reader) => return Ok(()),
            };
            if some.is_empty() {
                return Ok(());
            }
            for item in some {
                let is_end = matches!(item, wire::search_item::Kind::End(_));
                let item = wire::SearchItem { kind: Some(item) };
                say(writer, Answered::Item(item)).await?;
                if is_end {
                    return Ok(());
                }
            }
        }
    }

    /// Says that it is there, and that it stops once it was told to.
    async fn accompany(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let mut stopping = self.stopping.clone();
        let here = |stopping| Answered::Here(Here { stopping });
        say(writer, here(false)).await?;
        // Whoever would tell it is gone only where it stops.
        let stops = async { drop(stopping.wait_for(|stopping| *stopping).await) };
        tokio::select! {
            () = stops => say(writer, here(true)).await,
            () = gone(reader) => Ok(()),
        }
    }

    /// Tells the next spans; whoever asked before has to have had an answer.
    async fn tell_spans(
        &self,
        reader: &mut (impl AsyncRead + Unpin),
        writer: &mut (impl AsyncWrite + Unpin),
    ) -> io::Result<()> {
        let Some(spans) = &self.spans else {
            let none = "it has no spans: its configuration has no traces.endpoint";
            return say(writer, refused(none.to_owned())).await;
        };
        let Ok(mut spans) = spans.try_lock() else {
            return say(
                writer,
                refused("somebody asks for spans already".to_owned()),
            )
            .await;
        };
        let mut handed = tokio::select! {
            Some(handed) = spans.next() => handed,
            () = gone(reader) => return Ok(()),
        };
        let answer = Answered::Spans(Spans {
            request: std::mem::take(&mut handed.request),
            count: handed.count,
            dropped: handed.dropped,
        });
        say(writer, answer).await
    }

    async fn describe(&self) -> Description {
        let connectors = self.provisioner.describe().await;
        let info = self.provisioner.journal().tried().await;
        let shares = self.provisioner.journal().shares().await.into_iter();
        let found = tokio::fs::metadata(&self.journal).await;
        Description {
            connectors,
            journal: Some(info.into()),
            journal_bytes: found.map_or(0, |found| found.len()),
            journal_shares: shares.map(share).collect(),
        }
    }

    fn finished(&self, server: ServerId, asked: &wire::FinishedRequest) -> Reply {
        if asked.call_ids.len() > MAX_ASKED {
            return Err(refusal("these are too many calls"));
        }
        let calls = self.provisioner.finished(server, &asked.call_ids);
        Ok(Answered::Finished(wire::FinishedResponse { calls }))
    }

    fn acknowledge(&self, server: ServerId, told: wire::AcknowledgeRequest) -> Reply {
        if told.call_ids.len() > MAX_ACKNOWLEDGED {
            return Err(refusal("these are too many calls"));
        }
        let journal = self.provisioner.journal();
        journal.acknowledge(server, told.call_ids);
        Ok(Answered::Acknowledged(wire::AcknowledgeResponse {}))
    }

    fn open_log(&self) -> Result<&OwnLog, Refusal> {
        self.log.as_ref().ok_or_else(|| refusal(LOG_KEPT))
    }

    fn log(&self, asked: &wire::LogRequest) -> Reply {
        let lines = self.open_log()?.lines(asked.lines).into_iter();
        let lines = lines.map(|line| LogLine {
            at_unix_ns: line.at_unix_ns,
            text: line.text,
        });
        let lines = lines.collect();
        Ok(Answered::Log(LogLines { lines }))
    }

    fn log_more(&self, server: ServerId, asked: &wire::LogMoreRequest) -> Reply {
        let taken = self.open_log()?.take(server, asked);
        let more = taken.map_err(|error| refusal(&error.to_string()))?;
        Ok(Answered::LogMore(wire::LogMoreResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            more,
            faults: Vec::new(),
        }))
    }

    async fn reload(&self) -> Reply {
        let (asked, answer) = oneshot::channel();
        let ending = |_| refusal("it is about to end");
        self.reloads
            .send(asked)
            .await
            .map_err(|_| refusal("it is about to end"))?;
        answer.await.map(Answered::Reloaded).map_err(ending)
    }
}

/// Ends when the gateway is gone, or breaks the rules by saying more than its order.
async fn gone(reader: &mut (impl AsyncRead + Unpin)) {
    let mut more = [0; 1];
    // Whatever comes of it, nothing is to come.
    let _ = reader.read(&mut more).await;
}

async fn say(writer: &mut (impl AsyncWrite + Unpin), what: Answered) -> io::Result<()> {
    frame::write(writer, &Answer { what: Some(what) }).await
}

fn share(share: Share) -> JournalShare {
    JournalShare {
        server_id: share.server.to_bytes().to_vec(),
        bytes: share.bytes,
        writable: share.writable,
    }
}

fn refusal(message: &str) -> Refusal {
    Refusal {
        message: message.to_owned(),
        other_journal: false,
    }
}

fn refused(message: String) -> Answered {
    Answered::Refused(refusal(&message))
}

/// What somebody else says, for a message.
fn printable(text: &str) -> String {
    let fit = text.chars().filter(|letter| !letter.is_control());
    fit.take(64).collect()
}
