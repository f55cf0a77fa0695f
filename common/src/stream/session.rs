//! What a stream and the handlers above it share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::Notify;

use super::ChannelError;
use crate::handshake::{ExporterSecret, InstallSecret, SessionInfo};
use crate::id::KeyId;
use crate::secret::MasterKey;

/// A live session: what a [`SealedStream`](super::SealedStream) and the handlers above it share.
#[derive(Debug)]
pub struct Session {
    info: SessionInfo,
    install: InstallSecret,
    exporter: ExporterSecret,
    closed: AtomicBool,
    wakers: Mutex<Wakers>,
    notify: Notify,
}

/// Which half of a stream waits.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Read,
    Write,
}

/// The tasks in which the halves of the stream wait: one each, as `AsyncRead` and `AsyncWrite` have
/// it.
#[derive(Debug, Default)]
struct Wakers {
    read: Option<Waker>,
    write: Option<Waker>,
}

impl Session {
    pub(super) fn new(info: SessionInfo, install: InstallSecret, exporter: ExporterSecret) -> Self {
        Self {
            info,
            install,
            exporter,
            closed: AtomicBool::new(false),
            wakers: Mutex::default(),
            notify: Notify::new(),
        }
    }

    /// Who, and how.
    pub fn info(&self) -> &SessionInfo {
        &self.info
    }

    /// Ends the session at once, from anywhere: its stream answers every read and write, also those
    /// already waiting, with an error, and sends nothing more. The peer sees its connection cut.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let Wakers { read, write } = std::mem::take(&mut *self.lock());
        read.into_iter().chain(write).for_each(Waker::wake);
        self.notify.notify_waiters();
    }

    /// The session has ended: it was closed here, failed, or its stream was dropped.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Waits until [`Self::is_closed`].
    pub async fn closed(&self) {
        let mut notified = std::pin::pin!(self.notify.notified());
        notified.as_mut().enable();
        if !self.is_closed() {
            notified.await;
        }
    }

    /// Server: wraps a new master key for an install through this session, under a key of this
    /// session and of `new_key_id`.
    pub fn wrap_master_key(&self, new_key_id: KeyId, key: &MasterKey) -> Vec<u8> {
        self.install.wrap_master_key(new_key_id, key)
    }

    /// Gateway: opens what the server wrapped with [`Self::wrap_master_key`].
    ///
    /// # Errors
    /// [`ChannelError`] where it was not wrapped in this session for this id.
    pub fn unwrap_master_key(
        &self,
        new_key_id: KeyId,
        wrapped: &[u8],
    ) -> Result<MasterKey, ChannelError> {
        Ok(self.install.unwrap_master_key(new_key_id, wrapped)?)
    }

    /// For the secrets inside this session's calls.
    pub const fn exporter(&self) -> &ExporterSecret {
        &self.exporter
    }

    /// Arranges that the task of `cx` is woken when the session is closed. True: it is closed
    /// already.
    pub(super) fn watch(&self, half: Half, cx: &Context<'_>) -> bool {
        {
            let mut wakers = self.lock();
            let slot = match half {
                Half::Read => &mut wakers.read,
                Half::Write => &mut wakers.write,
            };
            match slot {
                Some(waker) => waker.clone_from(cx.waker()),
                None => *slot = Some(cx.waker().clone()),
            }
        }
        // Looked at only now: a close before this saw the waker, or is seen here.
        self.is_closed()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Wakers> {
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
