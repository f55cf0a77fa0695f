//! The links that other servers dial: one of each instance, the newer in the place of the older.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use portcullis_common::handshake::PeerPreamble;
use portcullis_common::id::PeerId;
use portcullis_common::stream::{self, HalfOpen, HalfOpenLimits, SealedStream, Session, WhenFull};
use portcullis_host::limit::Seldom;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{Answers, Inner, answering, lock};

/// How long accepting rests after the system refused it (no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a link that was replaced may carry what it has.
const RETIREMENT: Duration = Duration::from_secs(60);

/// The links that are open.
#[derive(Debug, Default)]
pub(super) struct Listening(Mutex<HashMap<PeerId, Vec<Open>>>);

/// A link that another server dialled.
#[derive(Debug)]
struct Open {
    session: Arc<Session>,
    /// True: it takes nothing new.
    retired: watch::Sender<bool>,
}

impl Listening {
    /// A link takes the place of those that this instance had.
    fn arrived(&self, from: PeerId, session: Arc<Session>) -> watch::Receiver<bool> {
        let (retired, retiring) = watch::channel(false);
        let mut all = lock(&self.0);
        let links = all.entry(from).or_default();
        links.retain(|link| !link.session.is_closed());
        for former in links.iter() {
            former.retired.send_replace(true);
        }
        links.push(Open { session, retired });
        retiring
    }

    /// Has every link end with what it carries, and waits for that.
    pub(super) async fn drain(&self) {
        let sessions: Vec<_> = {
            let all = lock(&self.0);
            let links = all.values().flatten();
            links
                .map(|link| {
                    link.retired.send_replace(true);
                    Arc::clone(&link.session)
                })
                .collect()
        };
        for session in sessions {
            session.closed().await;
        }
    }

    pub(super) fn close_all(&self) {
        self.close_where(|_| true);
    }

    pub(super) fn close_where(&self, whose: impl Fn(PeerId) -> bool) {
        lock(&self.0).retain(|instance, links| {
            let close = whose(*instance);
            if close {
                links.iter().for_each(|link| link.session.close());
            }
            links.retain(|link| !link.session.is_closed());
            !links.is_empty()
        });
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.0).values().map(Vec::len).sum()
    }
}

/// Accepts other servers for as long as this one runs.
pub(super) async fn accept(inner: Arc<Inner>, listener: TcpListener, answers: Arc<dyn Answers>) {
    let half_open = HalfOpen::new(HalfOpenLimits {
        lifetime: inner.settings.limits.handshake,
        when_full: WhenFull::DropOne,
        ..HalfOpenLimits::GATEWAY
    });
    let (mut failures, strangers) = (Seldom::default(), Arc::new(Mutex::new(Seldom::default())));
    loop {
        let (io, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if stream::is_of_one_connection(&error) => continue,
            Err(error) => {
                if let Some(untold) = failures.admit() {
                    tracing::warn!(%error, untold, "cannot accept a connection");
                }
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(permit) = half_open.admit(remote.ip()).await else {
            continue;
        };
        let (inner, answers) = (Arc::clone(&inner), Arc::clone(&answers));
        let strangers = Arc::clone(&strangers);
        tokio::spawn(async move {
            let deadline = permit.deadline();
            let welcomed = permit.guard(Box::pin(welcome(&inner, io, deadline))).await;
            match welcomed {
                Ok(Ok((from, sealed))) => serve(&inner, from, sealed, answers).await,
                Ok(Err(why)) => tell(&strangers, remote, &why),
                Err(dropped) => tell(&strangers, remote, &dropped.to_string()),
            }
        });
    }
}

/// Anybody can dial: a crowd of strangers is not to fill the log.
fn tell(strangers: &Mutex<Seldom>, remote: SocketAddr, why: &str) {
    if let Some(untold) = lock(strangers).admit() {
        tracing::warn!(%remote, why, untold, "no link with whoever dialled the port for other servers");
    }
}

/// Finds out which server it is, and shakes hands.
async fn welcome(
    inner: &Inner,
    mut io: TcpStream,
    deadline: Instant,
) -> Result<(PeerId, SealedStream<TcpStream>), String> {
    crate::fleet::prepare(&io);
    let limits = inner.settings.limits.until(deadline);
    let PeerPreamble(ends) = stream::read_peer_preamble(&mut io, &limits)
        .await
        .map_err(|error| error.to_string())?;
    let known = match ends.dialled == inner.servers.own() {
        false => Err("it wants another instance than this one, which was started anew".to_owned()),
        true => match inner.find(ends.dialler).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("no server of this repository is that instance".to_owned()),
            Err(error) => Err(error.to_string()),
        },
    };
    let config = match known {
        Ok(()) => inner.config(ends).await.map_err(|error| error.to_string()),
        Err(why) => Err(why),
    };
    let config = match config {
        Ok(config) => config,
        Err(why) => {
            stream::refuse(&mut io).await;
            return Err(why);
        }
    };
    let limits = inner.settings.limits.until(deadline);
    let sealed = stream::answer_peer(io, config, &limits).await;
    Ok((ends.dialler, sealed.map_err(|error| error.to_string())?))
}

async fn serve(
    inner: &Inner,
    from: PeerId,
    sealed: SealedStream<TcpStream>,
    answers: Arc<dyn Answers>,
) {
    let session = Arc::clone(sealed.session());
    let retiring = inner.listening.arrived(from, Arc::clone(&session));
    let retired = told(retiring.clone());
    let mut serving = Box::pin(answering::serve(
        sealed,
        answers,
        inner.settings.keep_alive,
        retired,
    ));
    tokio::select! {
        ended = &mut serving => log(from, ended),
        () = too_long(retiring) => {
            session.close();
            // It has ended with its session.
            let _ = timeout(ACCEPT_PAUSE, serving).await;
        }
    }
    session.close();
    inner.listening.close_where(|_| false);
}

fn log(from: PeerId, ended: Result<(), tonic::transport::Error>) {
    match ended {
        Ok(()) => tracing::debug!(server = %from, "the link of another server ended"),
        Err(error) => tracing::debug!(server = %from, %error, "the link of another server ended"),
    }
}

async fn told(mut retiring: watch::Receiver<bool>) {
    // An error says that the link is not known any more: it is closed then.
    let _ = retiring.wait_for(|retired| *retired).await;
}

async fn too_long(retiring: watch::Receiver<bool>) {
    told(retiring).await;
    sleep(RETIREMENT).await;
}
