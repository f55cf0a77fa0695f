//! A server and a gateway that know each other.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

pub mod transport;

use std::io;
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{InitiatorConfig, Preamble, Proved, ResponderConfig};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{HeldKey, Identity};
use portcullis_common::secret::MasterKey;
use portcullis_common::stream::{ChannelError, ChannelLimits, SealedStream, accept, connect};
use tokio::io::{AsyncRead, AsyncWrite};

/// The channel's own error in what a read or write gave; `None` where it was the transport's.
pub fn channel_error(error: &io::Error) -> Option<&ChannelError> {
    error.get_ref()?.downcast_ref()
}

pub struct Pair {
    pub suite: Suite,
    pub gateway_id: GatewayId,
    pub key: HeldKey,
    pub limits: ChannelLimits,
}

impl Pair {
    pub fn new(suite: Suite) -> Self {
        let rng = &mut rand::rng();
        Self {
            suite,
            gateway_id: GatewayId::random(rng),
            key: HeldKey {
                id: KeyId::random(KeyKind::Tdes, rng),
                key: MasterKey::random(KeyKind::Tdes, rng),
            },
            limits: ChannelLimits {
                handshake: Duration::from_secs(5),
                ..ChannelLimits::default()
            },
        }
    }

    pub fn initiator(&self) -> InitiatorConfig {
        InitiatorConfig {
            server_id: ServerId::from_array([9; 16]),
            suites: vec![self.suite],
            gateway_id: self.gateway_id,
            keys: vec![self.key.clone()],
            pairing: None,
        }
    }

    pub fn responder(&self) -> ResponderConfig {
        ResponderConfig {
            suites: Suite::ALL.to_vec(),
            identity: Identity::Keyed {
                gateway_id: self.gateway_id,
                keys: vec![self.key.clone()],
            },
        }
    }

    pub fn preamble(&self) -> Preamble {
        Preamble::Id(self.gateway_id)
    }

    pub async fn connect<S>(&self, io: S) -> Result<SealedStream<S>, ChannelError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        connect(io, None, self.initiator(), &self.limits).await
    }

    pub async fn accept<S>(&self, io: S) -> Result<SealedStream<S>, ChannelError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        accept(io, None, self.responder(), &self.limits, take).await
    }

    /// The server's stream and the gateway's, over any two joined transports.
    pub async fn join<A, B>(&self, server: A, gateway: B) -> (SealedStream<A>, SealedStream<B>)
    where
        A: AsyncRead + AsyncWrite + Unpin,
        B: AsyncRead + AsyncWrite + Unpin,
    {
        let (server, gateway) = tokio::join!(self.connect(server), self.accept(gateway));
        (server.unwrap(), gateway.unwrap())
    }
}

pub async fn take(_: Proved) -> Result<(), String> {
    Ok(())
}
