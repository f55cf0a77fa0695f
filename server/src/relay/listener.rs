//! Accepts connections, as many as there are places.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_common::stream::{HalfOpen, HalfOpenLimits, WhenFull, is_of_one_connection};
use portcullis_host::limit::{Allowance, Limit, Seldom};
use tokio::net::{TcpListener, TcpStream};

use super::connection;
use super::{Forward, Limits};

/// How long accepting rests after the system refused it (no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that came to nothing, and get a line of the log; the others are counted.
const LOGGED: Limit = Limit {
    burst: 20,
    refill: 20,
    every: Duration::from_secs(60),
};

/// The places that all ports share. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// Of connections, as long as they live.
    all: HalfOpen,
    /// Of those that are half-open.
    half_open: HalfOpen,
    log: Arc<Mutex<Allowance<Instant>>>,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            all: HalfOpen::new(HalfOpenLimits {
                total: limits.connections,
                per_address: limits.connections_per_address,
                lifetime: limits.half_open_time,
                when_full: WhenFull::StopAccepting,
            }),
            half_open: HalfOpen::new(HalfOpenLimits {
                total: limits.half_open,
                per_address: limits.half_open_per_address,
                lifetime: limits.half_open_time,
                when_full: WhenFull::DropOne,
            }),
            log: Arc::default(),
        }
    }

    /// Connections that live now.
    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.all.len()
    }

    /// Says that a connection came to nothing, unless too many do.
    fn tell(&self, forward: &Forward, remote: SocketAddr, why: &str) {
        let mut allowance = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(untold) = allowance.admit(&LOGGED, Instant::now()) {
            let forward = &forward.name;
            tracing::warn!(forward, %remote, untold, "a connection came to nothing: {why}");
        }
    }
}

/// Accepts connections for ever. Where there is no place left for any, it stops accepting; where
/// there is none for one address, more from that are turned away.
pub(super) async fn listen(
    listener: TcpListener,
    forward: Arc<Forward>,
    limits: Limits,
    places: Places,
) {
    let mut failures = Seldom::default();
    loop {
        let (io, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                if !is_of_one_connection(&error) {
                    if let Some(untold) = failures.admit() {
                        tracing::warn!(%error, untold, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                continue;
            }
        };
        let Some(place) = places.all.admit(remote.ip()).await else {
            places.tell(
                &forward,
                remote,
                "its address has `connections_per_address` already",
            );
            continue;
        };
        let Some(half_open) = places.half_open.admit(remote.ip()).await else {
            continue;
        };
        let (forward, places) = (Arc::clone(&forward), places.clone());
        tokio::spawn(async move {
            if let Err(why) = carry(io, &forward, limits, half_open).await {
                places.tell(&forward, remote, &why);
            }
            drop(place);
        });
    }
}

/// One connection, from its first byte to its last. An error: it came to nothing, for this reason.
async fn carry(
    io: TcpStream,
    forward: &Forward,
    limits: Limits,
    half_open: portcullis_common::stream::Permit,
) -> Result<(), String> {
    let opening = connection::open(io, forward, limits, half_open.deadline());
    let opened = half_open.guard(opening).await;
    let connection = opened.map_err(|dropped| dropped.to_string())??;
    connection.carry(limits.idle).await;
    Ok(())
}
