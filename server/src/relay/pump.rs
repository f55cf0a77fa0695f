//! Moves bytes between two sockets. An idle connection holds no buffer.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::timeout;

/// Bytes that are moved at once, over the stack.
const CHUNK: usize = 16 * 1024;

/// What has moved over one connection.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    bytes: AtomicU64,
    ways: [AtomicBool; 2],
    opened: Notify,
}

impl Traffic {
    /// A number that changes whenever bytes move.
    pub(super) fn moved(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether bytes have moved in both directions.
    pub(super) fn both_ways(&self) -> bool {
        self.ways.iter().all(|way| way.load(Ordering::Acquire))
    }

    /// Ends when they have.
    pub(super) async fn until_both_ways(&self) {
        while !self.both_ways() {
            self.opened.notified().await;
        }
    }

    fn note(&self, way: usize, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        let first = self
            .ways
            .get(way)
            .is_some_and(|way| !way.swap(true, Ordering::AcqRel));
        if first {
            self.opened.notify_one();
        }
    }
}

/// The two ends of a connection.
#[derive(Debug)]
pub(super) struct Ends {
    near: TcpStream,
    far: TcpStream,
    buffer: usize,
    closing: Duration,
    traffic: Arc<Traffic>,
}

impl Ends {
    /// With at most `buffer` bytes waiting in each direction; once one end has closed, the other
    /// has so long to close, too.
    pub(super) fn new(
        near: TcpStream,
        far: TcpStream,
        buffer: usize,
        closing: Duration,
        traffic: Arc<Traffic>,
    ) -> Self {
        Self {
            near,
            far,
            buffer: buffer.min(CHUNK),
            closing,
            traffic,
        }
    }

    /// Moves bytes both ways, until both directions have ended, one has failed, or the second has
    /// not ended in time after the first.
    pub(super) async fn pump(self) {
        // One function makes both, so that either may be the one that is left.
        let mut there = pin!(self.one_way(0, &self.near, &self.far));
        let mut back = pin!(self.one_way(1, &self.far, &self.near));
        let (ended, other) = tokio::select! {
            ended = &mut there => (ended, back),
            ended = &mut back => (ended, there),
        };
        let ended = match ended {
            // Who only takes, and never closes, would keep the place of a connection.
            Ok(()) => timeout(self.closing, other).await.unwrap_or(Ok(())),
            failed => failed,
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection was cut");
        }
    }

    async fn one_way(&self, way: usize, from: &TcpStream, to: &TcpStream) -> io::Result<()> {
        loop {
            from.readable().await?;
            match self.move_some(from, to) {
                Ok(Moved::Nothing) => {}
                Ok(Moved::End) => break,
                Ok(Moved::Bytes { count, rest }) => {
                    self.traffic.note(way, count);
                    write(to, rest).await?;
                }
                Err(error) => return Err(error),
            }
        }
        // The other end is told that no more comes; what it still says is carried.
        rustix::net::shutdown(to, Shutdown::Write)?;
        Ok(())
    }

    /// Reads once, and writes what the receiver takes at once.
    fn move_some(&self, from: &TcpStream, to: &TcpStream) -> io::Result<Moved> {
        let mut chunk = [0; CHUNK];
        let room = chunk.get_mut(..self.buffer).unwrap_or_default();
        let count = match from.try_read(room) {
            Ok(0) => return Ok(Moved::End),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Moved::Nothing),
            Err(error) => return Err(error),
        };
        let bytes = chunk.get(..count).unwrap_or_default();
        let written = match to.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            written => written?,
        };
        let rest = bytes.get(written..).unwrap_or_default().to_vec();
        Ok(Moved::Bytes { count, rest })
    }
}

enum Moved {
    /// There is nothing to read now.
    Nothing,
    /// No more comes.
    End,
    /// So many bytes were read, and these of them are to be written yet.
    Bytes { count: usize, rest: Vec<u8> },
}

async fn write(to: &TcpStream, rest: Vec<u8>) -> io::Result<()> {
    let mut rest = rest.as_slice();
    while !rest.is_empty() {
        to.writable().await?;
        match to.try_write(rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
