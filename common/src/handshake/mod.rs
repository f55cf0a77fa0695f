//! The handshake, both roles, as pure state machines (PROTOCOL.md, "Handshake").
//!
//! How the two sides are driven:
//!
//! * The server calls [`initiator::start`] and sends message 1, calls
//!   [`initiator::ExpectMessage2::handle`] and sends message 3, and calls
//!   [`initiator::ExpectMessage4::handle`].
//! * The gateway calls [`responder::start`] and sends message 0 if there is one, calls
//!   [`responder::ExpectMessage1::handle`] and sends message 2, calls
//!   [`responder::ExpectMessage3::handle`] and stores what was proved, and calls
//!   [`responder::Unconfirmed::confirm`] and sends message 4.
//!
//! Two servers of one repository shake hands in a role of their own ([`peer`]): the one that
//! dialled calls [`peer::dial`] and goes on as the server does, the other calls [`peer::answer`]
//! and goes on as the gateway does.
//!
//! Messages go in and out as whole frames. The driver checks each frame's header with
//! [`FrameHeader::decode_handshake`](crate::wire::FrameHeader::decode_handshake) before it reads
//! the body. On any error but [`HandshakeError::Refused`] it sends the peer [`ALERT`] and closes
//! the connection. A state that is dropped erases its secrets.

mod error;
mod exporter;
pub mod initiator;
mod install;
mod key_schedule;
pub mod peer;
pub mod responder;
mod transcript;

pub use error::{HandshakeError, Incompatibility, Misbehaviour, Misuse};
pub use exporter::{CallPlace, CallSecrets, ExporterSecret, NotSealedHere, Way};
pub use install::{InstallSecret, InstallSecretError};

use key_schedule::SessionSecrets;

use crate::crypto::suites::Suite;
use crate::held_key::{HeldKey, Identity};
use crate::id::{GatewayId, KeyId, ServerId};
use crate::secret::{MasterKey, TrafficSecret};
use crate::wire::ALERT;
pub use crate::wire::messages::{Mode, PeerPreamble, Preamble};

/// Who is at the other end, and how that was established. What handlers of calls see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The central server.
    pub server_id: ServerId,
    /// The gateway. In a link between two servers: the instance that was dialled.
    pub gateway_id: GatewayId,
    /// How the session was authenticated.
    pub mode: Mode,
    /// The key that authenticated it; in default mode the one that was delivered.
    pub key_id: KeyId,
    /// How its records are protected.
    pub suite: Suite,
    /// Names the session in both sides' logs: 8 bytes of their own from the key schedule.
    pub session_id: [u8; 8],
}

/// What a completed handshake gives, to both sides alike.
#[derive(Debug)]
pub struct Established {
    /// Who, and how.
    pub info: SessionInfo,
    /// The first secret of the direction server to gateway.
    pub server_to_gateway: TrafficSecret,
    /// The first secret of the direction gateway to server.
    pub gateway_to_server: TrafficSecret,
    /// For installs through this session.
    pub install: InstallSecret,
    /// For the secrets inside this session's calls.
    pub exporter: ExporterSecret,
}

/// What message 3 proved to the gateway, and in default mode delivered.
#[derive(Clone, Debug)]
pub struct Proved {
    /// The mode.
    pub mode: Mode,
    /// The gateway's id: its own, or in default mode the one just delivered.
    pub gateway_id: GatewayId,
    /// The server that proved it.
    pub server_id: ServerId,
    /// The key that it proved to hold; in default mode the id of the one delivered.
    pub key_id: KeyId,
    /// In default mode: what was delivered.
    pub delivered: Option<Delivered>,
}

/// What a gateway receives in default mode.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Its id from now on.
    pub gateway_id: GatewayId,
    /// Its first master key.
    pub master_key: MasterKey,
}

/// What the server brings to a handshake.
#[derive(Clone, Debug)]
pub struct InitiatorConfig {
    /// The server's own id.
    pub server_id: ServerId,
    /// Suites that the server's policy allows, in order of preference; not empty.
    pub suites: Vec<Suite>,
    /// The gateway that was dialled, or that message 0 named. Message 2 of secure mode must carry
    /// it.
    pub gateway_id: GatewayId,
    /// The master keys accepted from this gateway (diversified already), newest first, an enrolment
    /// key last.
    pub keys: Vec<HeldKey>,
    /// Default mode is open to this gateway: the master key to deliver, and its id.
    pub pairing: Option<HeldKey>,
}

/// What the gateway brings to a handshake.
#[derive(Clone, Debug)]
pub struct ResponderConfig {
    /// Suites that the gateway's policy allows; the first of the server's list among them is
    /// chosen.
    pub suites: Vec<Suite>,
    /// The gateway's keys, or open pairing. `Identity::None` refuses.
    pub identity: Identity,
}

impl Established {
    fn new(info: SessionInfo, secrets: SessionSecrets) -> Self {
        Self {
            info,
            server_to_gateway: secrets.server_to_gateway,
            gateway_to_server: secrets.gateway_to_server,
            install: secrets.install,
            exporter: secrets.exporter,
        }
    }
}

fn is_alert(frame: &[u8]) -> bool {
    frame == ALERT
}

/// Refuses a held key with the id of the default key: a session under that public key would pass
/// for one of secure mode.
fn check_held_key(held: &HeldKey) -> Result<(), Misuse> {
    if held.is_sound() {
        Ok(())
    } else {
        Err(Misuse::KeyId(held.id))
    }
}

#[cfg(test)]
mod tests;
