//! Why a handshake failed, and whose fault it is. For the local log: the peer gets one opaque
//! alert.

use crate::crypto::suites::Suite;
use crate::id::{GatewayId, KeyId};
use crate::wire::{DecodeError, VERSION};

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The peer sent something that is no message of this protocol. Look for what else listens or
    /// dials there.
    #[error("the peer sent a malformed handshake message: {0}")]
    Malformed(DecodeError),
    /// The peer sent a well-formed message that no honest peer with the right keys sends. It may be
    /// an attack.
    #[error("the peer failed the handshake: {0}")]
    Misbehaved(#[from] Misbehaviour),
    /// Both sides are honest, as far as can be seen, but do not fit together. An administrator has
    /// to act.
    #[error("the two sides do not fit together: {0}")]
    Incompatible(#[from] Incompatibility),
    /// The peer sent an alert in place of a message. Only its own log says why.
    #[error(
        "the peer refused the handshake; its own log says why. Mostly: the two sides hold no key in common (evicted, revoked or \
         registered anew, a used or expired token, pairing closed), or allow no suite in common. Compare \
         `portcullis-gateway status` on the gateway with `portcullis gateway show NAME` on the server"
    )]
    Refused,
    /// This program called the handshake wrongly: a defect, or a configuration that ought to have
    /// been refused before.
    #[error("the handshake was set up wrongly: {0}")]
    Misuse(#[from] Misuse),
}

impl From<DecodeError> for HandshakeError {
    fn from(error: DecodeError) -> Self {
        match error {
            DecodeError::Version(version) => Incompatibility::Version(version).into(),
            malformed => Self::Malformed(malformed),
        }
    }
}

/// What a peer did that no honest peer with the right keys does.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// Server: another gateway answered than the one dialled or named.
    #[error(
        "gateway {found} answered in place of {expected}. It may have taken over the address, or was registered anew under another \
         id: see `portcullis gateway show NAME`"
    )]
    OtherGateway {
        /// The one that was dialled, or that message 0 named.
        expected: GatewayId,
        /// The one that message 2 names.
        found: GatewayId,
    },
    /// Server: message 2 chose a key that message 1 did not list.
    #[error("it chose key {0}, which was not offered")]
    KeyNotOffered(KeyId),
    /// Server: message 2 chose a suite that message 1 did not list.
    #[error("it chose suite {0}, which was not offered")]
    SuiteNotOffered(Suite),
    /// Server: message 2 chose default mode, and pairing was not offered.
    #[error(
        "it chose default mode, but pairing is not open for it: the gateway may have lost its keys (`portcullis gateway show NAME`)"
    )]
    DefaultModeNotOffered,
    /// Server: the proof of message 2 is wrong.
    #[error(
        "the gateway did not prove that it holds key {0}: its key store may be from another server or damaged, or somebody poses as \
         it; see `portcullis gateway show NAME`"
    )]
    GatewayProof(KeyId),
    /// Gateway: the MAC of message 3 is wrong.
    #[error(
        "the server did not prove that it holds key {0}: it may be another server, one restored from a backup, or somebody who poses \
         as it; see `portcullis gateway show NAME` on the server"
    )]
    ServerProof(KeyId),
    /// Gateway: message 3 names another key than message 2.
    #[error("message 3 names key {found} where {expected} was chosen")]
    OtherKey {
        /// What message 2 chose.
        expected: KeyId,
        /// What message 3 names.
        found: KeyId,
    },
    /// Gateway: a wrapped key of message 3 does not open.
    #[error("a key in message 3 does not open under key {0}")]
    KeyWrap(KeyId),
    /// Gateway: a key in message 3 is weak or malformed.
    #[error("the {0} in message 3 is weak or malformed")]
    WeakKey(&'static str),
    /// Its X25519 share gives a result that everybody knows.
    #[error("its X25519 share is degenerate")]
    DegenerateShare,
    /// Server: the MAC of message 4 is wrong.
    #[error(
        "message 4 does not confirm the keys of this session: somebody changed a message on its way, or poses as the gateway"
    )]
    Confirmation,
}

/// What keeps two honest sides apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Incompatibility {
    /// Gateway: the server speaks another version of the protocol.
    #[error(
        "the server speaks version {0} of the protocol, this gateway version {VERSION}: update the older program"
    )]
    Version(u8),
    /// Gateway: it allows none of the server's suites.
    #[error(
        "the server allows none of this gateway's suites; compare `[channel] suites` in both configurations"
    )]
    NoCommonSuite,
    /// Gateway: the server accepts none of the keys held.
    #[error(
        "the server accepts none of the keys held here ({}): the gateway may have been evicted, revoked or registered anew, its \
         token used or expired, or it was away too long. See `portcullis gateway show NAME` on the server, and enrol again with \
         the token from `portcullis gateway token NAME`", list(.held)
    )]
    NoCommonKey {
        /// What this gateway holds.
        held: Vec<KeyId>,
    },
    /// Gateway: pairing is open here, but the server did not offer it.
    #[error(
        "pairing is open here, but the server does not offer it: the gateway must be registered with --allow-pairing and its time \
         not be up. See `portcullis gateway show NAME` on the server"
    )]
    PairingNotOffered,
    /// Gateway: it holds no key, and pairing is closed.
    #[error(
        "this gateway holds no key and pairing is closed: run `portcullis-gateway enroll` with the token from \
         `portcullis gateway token NAME`"
    )]
    NoKey,
}

/// What the caller did wrongly.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// There is nothing to offer: no suite, or no key and no pairing.
    #[error("there is no suite or no key to offer")]
    NothingToOffer,
    /// A list that does not fit into message 1, or a name that does not fit into message 0.
    #[error("what is to be sent is invalid: {0}")]
    Unsendable(DecodeError),
    /// A key whose kind is not the one its id names, or that bears the default key's id.
    #[error("key {0} is not of the kind that its id names, or bears the default key's id")]
    KeyId(KeyId),
    /// Message 0 names another gateway than the configuration.
    #[error("message 0 names another gateway than the one this handshake is for")]
    OtherPreamble,
    /// A gateway with the id that stands for none.
    #[error("a gateway must have an id")]
    NoGatewayId,
}

fn list(ids: &[KeyId]) -> String {
    let ids: Vec<_> = ids.iter().map(KeyId::to_string).collect();
    ids.join(", ")
}
