//! The gateway's side. [`start`] gives what awaits message 1; each state is consumed by its
//! message, the last by [`Unconfirmed::confirm`], which is to be called only when what message 3
//! proved is stored.

use std::fmt;

use rand_core::CryptoRng;
use x25519_dalek::{EphemeralSecret, PublicKey, SharedSecret};

use super::key_schedule::{MasterSecret, Role, UnconfirmedSecrets, agree, pairing_kek};
use super::transcript::{Transcript, TranscriptHash};
use super::{
    Delivered, Established, HandshakeError, Incompatibility, Misbehaviour, Misuse, Mode, Preamble,
    Proved, ResponderConfig, SessionInfo, check_held_key, is_alert,
};
use crate::crypto::key_wrap;
use crate::crypto::suites::Suite;
use crate::held_key::{HeldKey, Identity};
use crate::id::{GatewayId, KeyId, ServerId};
use crate::secret::{MasterKey, SessionKey};
use crate::wire::{DecodeError, MAC_LEN, Message1, Message2, Message3, Message4, NONCE_LEN};

/// Begins a handshake. Where the gateway dialled, `preamble` is message 0, and the frame given is
/// to be sent first.
///
/// # Errors
/// [`HandshakeError::Misuse`] where the configuration is not usable or does not fit the preamble.
pub fn start(
    config: ResponderConfig,
    preamble: Option<&Preamble>,
) -> Result<(Option<Vec<u8>>, ExpectMessage1), HandshakeError> {
    check(&config, preamble)?;
    let message0 = preamble
        .map(Preamble::encode)
        .transpose()
        .map_err(Misuse::Unsendable)?;
    let next = await_message1(config, message0.as_deref(), Role::Gateway);
    Ok((message0, next))
}

/// What awaits message 1, after `message0` where there is one.
pub(super) fn await_message1(
    config: ResponderConfig,
    message0: Option<&[u8]>,
    role: Role,
) -> ExpectMessage1 {
    ExpectMessage1 {
        config,
        role,
        transcript: Transcript::new(message0),
    }
}

/// Awaits message 1.
pub struct ExpectMessage1 {
    config: ResponderConfig,
    role: Role,
    transcript: Transcript,
}

impl ExpectMessage1 {
    /// Takes message 1 as a whole frame and gives message 2.
    ///
    /// # Errors
    /// [`HandshakeError`]; the handshake is over, and unless the peer sent the alert it is to get
    /// one.
    pub fn handle(
        self,
        frame: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, ExpectMessage3), HandshakeError> {
        if is_alert(frame) {
            return Err(HandshakeError::Refused);
        }
        let Self {
            config,
            role,
            mut transcript,
        } = self;
        let message1 = Message1::decode(frame)?;
        let credential = Credential::choose(config.identity, &message1.key_ids)?;
        let suite = message1
            .suites
            .into_iter()
            .find(|suite| config.suites.contains(suite))
            .ok_or(Incompatibility::NoCommonSuite)?;
        transcript.add(frame);

        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let secret = EphemeralSecret::random_from_rng(rng);
        let share = PublicKey::from(&secret).to_bytes();
        let shared = agree(secret, message1.share)?;
        let message2 = Message2 {
            gateway_id: credential.gateway_id(),
            nonce,
            share,
            mode: credential.mode(),
            key_id: credential.key_id(),
            suite,
        };
        let proof_key = credential.secret(role).gateway_proof_key();
        let frame = message2.encode(|unproved| {
            let hash = transcript.hash_with(unproved);
            proof_key.tag(&[hash.as_bytes()]).to_bytes()
        });
        transcript.add(&frame);
        let next = ExpectMessage3 {
            server_id: message1.server_id,
            credential,
            role,
            suite,
            transcript,
            shared,
        };
        Ok((frame, next))
    }
}

/// With what the gateway authenticates itself.
enum Credential {
    Secure {
        gateway_id: GatewayId,
        held: HeldKey,
    },
    Pairing,
}

impl Credential {
    /// The first of the offered keys that is held. A gateway that holds a key never chooses default
    /// mode.
    fn choose(identity: Identity, offered: &[KeyId]) -> Result<Self, Incompatibility> {
        match identity {
            Identity::Keyed { gateway_id, keys } => offered
                .iter()
                .find_map(|id| keys.iter().find(|held| held.id == *id))
                .map(|held| Self::Secure {
                    gateway_id,
                    held: held.clone(),
                })
                .ok_or_else(|| Incompatibility::NoCommonKey {
                    held: keys.iter().map(|held| held.id).collect(),
                }),
            Identity::Pairing if offered.contains(&KeyId::DEFAULT) => Ok(Self::Pairing),
            Identity::Pairing => Err(Incompatibility::PairingNotOffered),
            Identity::None => Err(Incompatibility::NoKey),
        }
    }

    const fn mode(&self) -> Mode {
        match self {
            Self::Secure { .. } => Mode::Secure,
            Self::Pairing => Mode::Default,
        }
    }

    const fn gateway_id(&self) -> GatewayId {
        match self {
            Self::Secure { gateway_id, .. } => *gateway_id,
            Self::Pairing => GatewayId::NONE,
        }
    }

    const fn key_id(&self) -> KeyId {
        match self {
            Self::Secure { held, .. } => held.id,
            Self::Pairing => KeyId::DEFAULT,
        }
    }

    fn secret(&self, role: Role) -> MasterSecret {
        match self {
            Self::Secure { held, .. } => MasterSecret::new(&held.key, role),
            Self::Pairing => MasterSecret::of_default_key(),
        }
    }
}

/// Message 2 is sent; awaits message 3.
pub struct ExpectMessage3 {
    server_id: ServerId,
    credential: Credential,
    role: Role,
    suite: Suite,
    transcript: Transcript,
    shared: SharedSecret,
}

impl ExpectMessage3 {
    /// Takes message 3 as a whole frame. The server has proved itself then; nothing is confirmed to
    /// it yet.
    ///
    /// # Errors
    /// [`HandshakeError`]; the handshake is over, and unless the peer sent the alert it is to get
    /// one.
    pub fn handle(self, frame: &[u8]) -> Result<Unconfirmed, HandshakeError> {
        if is_alert(frame) {
            return Err(HandshakeError::Refused);
        }
        let Self {
            server_id,
            credential,
            role,
            suite,
            mut transcript,
            shared,
        } = self;
        let mode = credential.mode();
        let through_message2 = transcript.hash();
        let (message3, mac) = Message3::decode(frame, mode)?;
        let key_id = message3.key_id;
        let (gateway_id, delivered) =
            master_key(credential, &message3, &shared, &through_message2)?;
        let master = MasterSecret::new(&delivered.master_key, role);

        let unproved = &frame[..frame.len() - MAC_LEN];
        master
            .server_proof_key()
            .verify(&[transcript.hash_with(unproved).as_bytes()], &mac)
            .map_err(|_| Misbehaviour::ServerProof(key_id))?;
        transcript.add(frame);

        let kek = master.session_kek(&through_message2);
        let session_key = key_wrap::unwrap(&kek, &message3.wrapped_session_key)
            .map_err(|_| Misbehaviour::KeyWrap(key_id))?;
        let session_key = SessionKey::from_bytes(key_id.kind(), &session_key)
            .map_err(|_| Misbehaviour::WeakKey("session key"))?;
        Ok(Unconfirmed {
            secrets: UnconfirmedSecrets::derive(session_key, shared, suite, transcript.hash()),
            proved: Proved {
                mode,
                gateway_id,
                server_id,
                key_id,
                delivered: (mode == Mode::Default).then_some(delivered),
            },
            suite,
        })
    }
}

/// The master key under which message 3 is verified. In secure mode it is held, and must be the one
/// that message 2 chose. In default mode it is in the message itself, which proves nothing yet: the
/// MAC that is verified next does.
fn master_key(
    credential: Credential,
    message3: &Message3,
    shared: &SharedSecret,
    through_message2: &TranscriptHash,
) -> Result<(GatewayId, Delivered), HandshakeError> {
    let key_id = message3.key_id;
    match (credential, &message3.delivery) {
        (Credential::Secure { gateway_id, held }, None) => {
            if key_id != held.id {
                return Err(Misbehaviour::OtherKey {
                    expected: held.id,
                    found: key_id,
                }
                .into());
            }
            let master_key = held.key;
            Ok((
                gateway_id,
                Delivered {
                    gateway_id,
                    master_key,
                },
            ))
        }
        (Credential::Pairing, Some(delivery)) => {
            let kek = pairing_kek(shared, key_id.kind(), through_message2);
            let bytes = key_wrap::unwrap(&kek, &delivery.wrapped_master_key)
                .map_err(|_| Misbehaviour::KeyWrap(KeyId::DEFAULT))?;
            let master_key = MasterKey::from_bytes(key_id.kind(), &bytes)
                .map_err(|_| Misbehaviour::WeakKey("master key"))?;
            let gateway_id = delivery.gateway_id;
            Ok((
                gateway_id,
                Delivered {
                    gateway_id,
                    master_key,
                },
            ))
        }
        (Credential::Secure { .. }, Some(_)) | (Credential::Pairing, None) => {
            Err(DecodeError::Contradiction.into())
        }
    }
}

/// The server has proved itself. Store what changed, then [`Self::confirm`].
pub struct Unconfirmed {
    secrets: UnconfirmedSecrets,
    proved: Proved,
    suite: Suite,
}

impl Unconfirmed {
    /// What message 3 proved: to be stored, durably, where it changes what the gateway holds.
    pub const fn proved(&self) -> &Proved {
        &self.proved
    }

    /// Gives message 4 and the session. From its sending on, the server counts on what was proved
    /// being stored.
    pub fn confirm(self) -> (Vec<u8>, Established) {
        let info = SessionInfo {
            server_id: self.proved.server_id,
            gateway_id: self.proved.gateway_id,
            mode: self.proved.mode,
            key_id: self.proved.key_id,
            suite: self.suite,
            session_id: self.secrets.session_id(),
        };
        let (mac, secrets) = self.secrets.confirm();
        (Message4::encode(mac), Established::new(info, secrets))
    }
}

impl fmt::Debug for ExpectMessage1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectMessage1").finish_non_exhaustive()
    }
}

impl fmt::Debug for ExpectMessage3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectMessage3")
            .field("server_id", &self.server_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Unconfirmed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unconfirmed")
            .field("proved", &self.proved)
            .finish_non_exhaustive()
    }
}

pub(super) fn check(config: &ResponderConfig, preamble: Option<&Preamble>) -> Result<(), Misuse> {
    if config.suites.is_empty() {
        return Err(Misuse::NothingToOffer);
    }
    let Identity::Keyed { gateway_id, keys } = &config.identity else {
        return Ok(());
    };
    if *gateway_id == GatewayId::NONE {
        return Err(Misuse::NoGatewayId);
    }
    if matches!(preamble, Some(Preamble::Id(id)) if id != gateway_id) {
        return Err(Misuse::OtherPreamble);
    }
    keys.iter().try_for_each(check_held_key)
}
