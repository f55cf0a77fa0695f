//! The relay: carries bytes between two networks that must not reach one another, for a
//! demilitarized zone.
//!
//! It holds no key and keeps no state. It never looks at what it carries, so that it has nothing to
//! parse, and whoever takes it over has ciphertext. What it may take of its host is bounded: the
//! connections in all and of one address, those that have not been answered yet and how long they
//! may be so, the bytes that wait for a slow receiver, and silence.
//!
//! ```text
//!  accept ─▶ a place of its address ─▶ half-open: dials the target,      ─▶ open: until an end is
//!            (else turned away)        waits for bytes from both ends       closed or silent
//! ```

mod config;
mod connection;
mod listener;
mod pump;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

pub use config::{DEFAULT_FILE, Forward, Limits, RelayConfig, RelayConfigError};
use listener::Places;

/// Why the relay does not run.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// A port cannot be had.
    #[error(
        "cannot listen on {address} ([forward.{forward}] listen): {source}; stop what listens there, or give another address"
    )]
    Listen {
        /// The name of the pair.
        forward: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The signals to stop cannot be watched for.
    #[error("cannot watch for the signals to stop: {0}")]
    Signals(io::Error),
    /// The program's own machinery does not start.
    #[error("cannot start: {0}")]
    Runtime(io::Error),
}

/// Relays until SIGTERM or SIGINT. Connections are then cut: both ends come back by themselves.
/// `hangup` ends it no more: what is meant for a server may reach this program, too.
///
/// # Errors
/// [`RelayError`].
pub async fn relay(config: RelayConfig, mut hangup: Signal) -> Result<(), RelayError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(RelayError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RelayError::Signals)?;
    let relay = Relay::bind(config).await?;
    let ignored = async {
        while hangup.recv().await.is_some() {
            tracing::warn!("a relay reads its configuration when it starts: restart it");
        }
        std::future::pending().await
    };
    tokio::select! {
        () = relay.run() => {}
        () = ignored => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopped");
    Ok(())
}

/// Listens on all its ports.
#[derive(Debug)]
struct Relay {
    bound: Vec<(TcpListener, Forward)>,
    limits: Limits,
}

impl Relay {
    async fn bind(config: RelayConfig) -> Result<Self, RelayError> {
        let mut bound = Vec::new();
        for forward in config.forwards {
            let address = forward.listen;
            match TcpListener::bind(address).await {
                Ok(listener) => bound.push((listener, forward)),
                Err(source) => {
                    return Err(RelayError::Listen {
                        forward: forward.name,
                        address,
                        source,
                    });
                }
            }
        }
        Ok(Self {
            bound,
            limits: config.limits,
        })
    }

    /// For ever.
    async fn run(self) {
        let places = Places::new(&self.limits);
        let mut listening = JoinSet::new();
        for (listener, forward) in self.bound {
            tracing::info!(
                forward = forward.name,
                listen = %forward.listen,
                target = forward.target,
                "relaying"
            );
            let forward = Arc::new(forward);
            listening.spawn(listener::listen(
                listener,
                forward,
                self.limits,
                places.clone(),
            ));
        }
        listening.join_all().await;
    }
}

#[cfg(test)]
mod tests;
