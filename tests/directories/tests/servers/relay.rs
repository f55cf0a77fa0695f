//! A relay before PostgreSQL's Unix socket that loses what is said about COMMIT.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use portcullis_directories::Postgres;
use portcullis_tests::harness::OrFail as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;

/// COMMIT as a simple query: type, length, text and its end.
const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
/// A part of the statement that asks what became of a COMMIT.
const LOOK: &[u8] = b"WITH barred AS";
/// How long a COMMIT is on its way that comes late: less than a transaction may stand idle.
const LATE: Duration = Duration::from_secs(1);

/// What becomes of a COMMIT; the client's connection is cut each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Loss {
    /// It is carried out, and the answer is lost.
    Answer,
    /// It never arrives; nor does the first answer to what became of it.
    Commit,
    /// It arrives when the client is gone, and asks already what became of it.
    Late,
}

/// A relay, and the folder of its socket.
#[derive(Debug)]
pub(crate) struct Relay {
    state: Arc<State>,
    serving: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    loses: AtomicBool,
    commits: AtomicUsize,
    lost: AtomicUsize,
    /// The answer to the next look is lost.
    loses_look: AtomicBool,
    looks_lost: AtomicUsize,
}

impl Relay {
    /// Listens in this folder as PostgreSQL would.
    pub(crate) fn start(folder: &Path, postgres: &Postgres) -> Self {
        let name = format!(".s.PGSQL.{}", postgres.port());
        let target = postgres.socket_folder().join(&name);
        let listener = UnixListener::bind(folder.join(&name)).or_fail("listen as PostgreSQL");
        let state = Arc::new(State::default());
        let serving = tokio::spawn(serve(listener, target, state.clone()));
        Self { state, serving }
    }

    /// From now on a connection is lost at every third COMMIT, in each of three ways in turn.
    pub(crate) fn lose(&self) {
        self.state.loses.store(true, Ordering::Relaxed);
    }

    /// How many were lost.
    pub(crate) fn lost(&self) -> usize {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// How many answers to the question what became of one were lost.
    pub(crate) fn looks_lost(&self) -> usize {
        self.state.looks_lost.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: UnixListener, target: PathBuf, state: Arc<State>) {
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = UnixStream::connect(&target).await else {
            continue;
        };
        tokio::spawn(relay(near, far, state.clone()));
    }
}

async fn relay(mut near: UnixStream, mut far: UnixStream, state: Arc<State>) {
    let (mut asked, mut answered) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    // What a look is comes first, and then that it be done.
    let mut looks = false;
    loop {
        tokio::select! {
            read = near.read(&mut asked) => {
                let Ok(len @ 1..) = read else { return };
                let bytes = asked.get(..len).unwrap_or_default();
                if let Some(loss) = bytes.ends_with(COMMIT).then(|| state.loss()).flatten() {
                    state.lost.fetch_add(1, Ordering::Relaxed);
                    return lose(loss, near, far, bytes).await;
                }
                if looks && state.loses_look.swap(false, Ordering::Relaxed) {
                    state.looks_lost.fetch_add(1, Ordering::Relaxed);
                    return lose(Loss::Answer, near, far, bytes).await;
                }
                looks = bytes.windows(LOOK.len()).any(|part| part == LOOK);
                if far.write_all(bytes).await.is_err() {
                    return;
                }
            }
            read = far.read(&mut answered) => {
                let Ok(len @ 1..) = read else { return };
                let bytes = answered.get(..len).unwrap_or_default();
                if near.write_all(bytes).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl State {
    fn loss(&self) -> Option<Loss> {
        if !self.loses.load(Ordering::Relaxed) {
            return None;
        }
        let number = self.commits.fetch_add(1, Ordering::Relaxed);
        match number % 9 {
            2 => Some(Loss::Answer),
            5 => {
                self.loses_look.store(true, Ordering::Relaxed);
                Some(Loss::Commit)
            }
            8 => Some(Loss::Late),
            _ => None,
        }
    }
}

/// Loses a connection whose client sent these bytes last.
async fn lose(loss: Loss, near: UnixStream, mut far: UnixStream, bytes: &[u8]) {
    if loss == Loss::Commit {
        return;
    }
    if loss == Loss::Late {
        drop(near);
        tokio::time::sleep(LATE).await;
    }
    // An error says that the database gave the connection up, which is a loss as well.
    let sent = far.write_all(bytes).await;
    if sent.is_ok() {
        let _ = far.read(&mut [0; 64]).await;
    }
}
