//! The handshake between two servers of one repository (PROTOCOL.md, "Links between servers").
//!
//! It is that of secure mode in a role of its own. Its transcript begins with a frame that no
//! gateway's handshake has, its key is diversified from a key that no gateway has anything of, for
//! these two instances and by who dialled, and what follows from that key has purposes of its own.
//! So nothing of a link is accepted where a gateway is awaited, nor the other way about, and what
//! is sent back to where it came from is refused.

use rand_core::CryptoRng;

use super::initiator::{self, ExpectMessage2};
use super::key_schedule::Role;
use super::responder::{self, ExpectMessage1};
use super::{HandshakeError, InitiatorConfig, Misuse, PeerPreamble, ResponderConfig};
use crate::crypto::kdf;
use crate::crypto::suites::Suite;
use crate::held_key::{HeldKey, Identity};
use crate::id::{GatewayId, KeyId, PeerEnds, PeerId, ServerId};
use crate::secret::PeerKey;

/// How every link between servers is protected: there is no older one to talk to.
pub const SUITE: Suite = Suite::Aes256Gcm;

/// What either server brings to the handshake.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    server_id: ServerId,
    ends: PeerEnds,
    held: HeldKey,
}

impl PeerConfig {
    /// For the link between these two instances, which share the repository that is known as
    /// `server_id` and holds this peer key.
    pub fn new(server_id: ServerId, key_id: KeyId, key: &PeerKey, ends: PeerEnds) -> Self {
        let key = kdf::diversify_for_peers(key, &ends);
        Self {
            server_id,
            ends,
            held: HeldKey { id: key_id, key },
        }
    }

    /// Message 0.
    ///
    /// # Errors
    /// [`Misuse::Unsendable`] where the ends are not two instances.
    fn message0(&self) -> Result<Vec<u8>, Misuse> {
        let message0 = PeerPreamble(self.ends).encode();
        message0.map_err(Misuse::Unsendable)
    }
}

/// The server that dials: gives messages 0 and 1, which are sent one after the other, and what
/// awaits message 2.
///
/// # Errors
/// [`HandshakeError::Misuse`] where the ends are not two instances, or the key is not of its id's
/// kind.
pub fn dial(
    config: PeerConfig,
    rng: &mut impl CryptoRng,
) -> Result<([Vec<u8>; 2], ExpectMessage2), HandshakeError> {
    let message0 = config.message0()?;
    let config = InitiatorConfig {
        server_id: config.server_id,
        suites: vec![SUITE],
        gateway_id: in_place_of_gateway(config.ends.dialled),
        keys: vec![config.held],
        pairing: None,
    };
    initiator::check(&config, None)?;
    let (message1, next) = initiator::begin(config, Some(&message0), Role::Peer, rng)?;
    Ok(([message0, message1], next))
}

/// The server that was dialled, once it has read message 0 and its ends are those of `config`:
/// gives what awaits message 1.
///
/// # Errors
/// As [`dial`].
pub fn answer(config: PeerConfig) -> Result<ExpectMessage1, HandshakeError> {
    let message0 = config.message0()?;
    let config = ResponderConfig {
        suites: vec![SUITE],
        identity: Identity::Keyed {
            gateway_id: in_place_of_gateway(config.ends.dialled),
            keys: vec![config.held],
        },
    };
    responder::check(&config, None)?;
    Ok(responder::await_message1(
        config,
        Some(&message0),
        Role::Peer,
    ))
}

/// Where a gateway's handshake has the gateway's id.
const fn in_place_of_gateway(dialled: PeerId) -> GatewayId {
    GatewayId::from_array(dialled.to_bytes())
}
