//! The handshake, both roles, as pure state machines (PROTOCOL.md, "Handshake").

mod install;

pub use install::{InstallSecret, InstallSecretError};

use std::fmt;

use crate::crypto::suites::Suite;
use crate::id::{GatewayId, KeyId, ServerId};
use crate::rotation::{HeldKey, Identity};
use crate::secret::{MasterKey, TrafficSecret};

/// How a session was authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Mode {
    /// Under the compiled-in default key, which is public: the first contact, while pairing is open.
    Default = 0,
    /// Under a key that only this gateway and the server hold.
    Secure = 1,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Default => "default",
            Self::Secure => "secure",
        })
    }
}

/// Who is at the other end, and how that was established. What handlers of calls see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionInfo {
    /// The central server.
    pub server_id: ServerId,
    /// The gateway.
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

/// Message 0: how a gateway that dialled out names itself, in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// By its id: it holds a key or a token.
    Id(GatewayId),
    /// By the name it was registered with (1 to 64 bytes of UTF-8): default mode, it has no id yet.
    Name(String),
}

/// What the server brings to a handshake.
#[derive(Clone, Debug)]
pub struct InitiatorConfig {
    /// The server's own id.
    pub server_id: ServerId,
    /// Suites that the server's policy allows, in order of preference; not empty.
    pub suites: Vec<Suite>,
    /// The gateway that was dialled, or that message 0 named. Message 2 of secure mode must carry it.
    pub gateway_id: GatewayId,
    /// The master keys accepted from this gateway (diversified already), newest first, an enrolment key last.
    pub keys: Vec<HeldKey>,
    /// Default mode is open to this gateway: the master key to deliver, and its id.
    pub pairing: Option<HeldKey>,
}

/// What the gateway brings to a handshake.
#[derive(Clone, Debug)]
pub struct ResponderConfig {
    /// Suites that the gateway's policy allows; the first of the server's list among them is chosen.
    pub suites: Vec<Suite>,
    /// The gateway's keys, or open pairing. `Identity::None` refuses.
    pub identity: Identity,
}
