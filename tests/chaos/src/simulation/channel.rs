//! The handshake of both ends: the product's own state machines, and what the world has to know of
//! them.

use portcullis_common::handshake::{
    Established, InitiatorConfig, Mode, Preamble, Proved, ResponderConfig, initiator, responder,
};
use portcullis_common::id::{GatewayId, KeyId, ServerId};
use portcullis_common::rotation::Identity;
use portcullis_common::secret::MasterKey;
use portcullis_common::wire::HEADER_LEN;
use rand_chacha::ChaCha12Rng;

/// A message of the handshake, header included.
pub(crate) type Flight = Vec<u8>;

/// A handshake ended. The cause is of no interest to the world: it looks at what follows.
pub(crate) struct Refused;

/// An authenticated session, on either side.
pub(crate) struct Session(Established);

impl Session {
    pub(crate) fn gateway_id(&self) -> GatewayId {
        self.0.info.gateway_id
    }

    pub(crate) fn mode(&self) -> Mode {
        self.0.info.mode
    }

    pub(crate) fn key_id(&self) -> KeyId {
        self.0.info.key_id
    }

    pub(crate) fn wrap(&self, new: KeyId, key: &MasterKey) -> Vec<u8> {
        self.0.install.wrap_master_key(new, key)
    }

    pub(crate) fn unwrap(&self, new: KeyId, wrapped: &[u8]) -> Option<MasterKey> {
        self.0.install.unwrap_master_key(new, wrapped).ok()
    }
}

/// The server's side of a handshake under way.
pub(crate) enum ServerHandshake {
    ExpectMessage2(initiator::ExpectMessage2),
    ExpectMessage4(initiator::ExpectMessage4),
}

pub(crate) enum ServerStep {
    /// Message 3, and the key that it shows.
    Send(Box<ServerHandshake>, Flight, KeyId),
    Done(Box<Session>),
}

impl ServerHandshake {
    pub(crate) fn start(
        config: InitiatorConfig,
        preamble: Option<&Preamble>,
        rng: &mut ChaCha12Rng,
    ) -> Result<(Self, Flight), Refused> {
        let (flight, next) = initiator::start(config, preamble, rng).map_err(|_| Refused)?;
        Ok((Self::ExpectMessage2(next), flight))
    }

    pub(crate) fn handle(
        self,
        flight: &Flight,
        rng: &mut ChaCha12Rng,
    ) -> Result<ServerStep, Refused> {
        match self {
            Self::ExpectMessage2(state) => {
                let (flight, next) = state.handle(flight, rng).map_err(|_| Refused)?;
                let key_id = flight.get(HEADER_LEN..HEADER_LEN + KeyId::LEN);
                let key_id = key_id.and_then(KeyId::from_bytes).ok_or(Refused)?;
                Ok(ServerStep::Send(
                    Box::new(Self::ExpectMessage4(next)),
                    flight,
                    key_id,
                ))
            }
            Self::ExpectMessage4(state) => {
                let established = state.handle(flight).map_err(|_| Refused)?;
                Ok(ServerStep::Done(Box::new(Session(established))))
            }
        }
    }
}

/// The gateway's side of a handshake under way.
pub(crate) enum GatewayHandshake {
    ExpectMessage1(responder::ExpectMessage1),
    ExpectMessage3(responder::ExpectMessage3),
}

pub(crate) enum GatewayStep {
    Send(GatewayHandshake, Flight),
    /// Message 3 was verified: what it proved is to be stored, and then message 4 sent.
    Proved(Finish),
}

/// Message 4, not yet sent.
pub(crate) struct Finish(responder::Unconfirmed);

impl Finish {
    pub(crate) fn proved(&self) -> &Proved {
        self.0.proved()
    }

    pub(crate) fn send(self) -> (Session, Flight) {
        let (flight, established) = self.0.confirm();
        (Session(established), flight)
    }
}

impl GatewayHandshake {
    /// With the message 0 that it sends first, where the gateway dials.
    pub(crate) fn start(
        config: ResponderConfig,
        dials: bool,
    ) -> Result<(Self, Option<Preamble>), Refused> {
        let preamble = match &config.identity {
            _ if !dials => None,
            Identity::Keyed { gateway_id, .. } => Some(Preamble::Id(*gateway_id)),
            Identity::Pairing | Identity::None => Some(Preamble::Name("gateway".to_owned())),
        };
        let (_, next) = responder::start(config, preamble.as_ref()).map_err(|_| Refused)?;
        Ok((Self::ExpectMessage1(next), preamble))
    }

    pub(crate) fn handle(
        self,
        flight: &Flight,
        rng: &mut ChaCha12Rng,
    ) -> Result<GatewayStep, Refused> {
        match self {
            Self::ExpectMessage1(state) => {
                let (flight, next) = state.handle(flight, rng).map_err(|_| Refused)?;
                Ok(GatewayStep::Send(Self::ExpectMessage3(next), flight))
            }
            Self::ExpectMessage3(state) => {
                let unconfirmed = state.handle(flight).map_err(|_| Refused)?;
                Ok(GatewayStep::Proved(Finish(unconfirmed)))
            }
        }
    }
}

/// What a gateway would go by that took an install for a proof.
pub(crate) fn unproved(gateway_id: GatewayId, key_id: KeyId) -> Proved {
    Proved {
        mode: Mode::Secure,
        gateway_id,
        server_id: ServerId::from_array([0; 16]),
        key_id,
        delivered: None,
    }
}
