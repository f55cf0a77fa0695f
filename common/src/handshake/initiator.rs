//! The server's side. [`start`] gives message 1 and what awaits message 2; each state is consumed
//! by its message.

use std::fmt;

use rand_core::CryptoRng;
use x25519_dalek::{EphemeralSecret, PublicKey, SharedSecret};

use super::key_schedule::{MasterSecret, Role, UnconfirmedSecrets, agree, pairing_kek};
use super::transcript::Transcript;
use super::{
    Established, HandshakeError, InitiatorConfig, Misbehaviour, Misuse, Mode, Preamble,
    SessionInfo, check_held_key, is_alert,
};
use crate::crypto::key_wrap;
use crate::crypto::suites::Suite;
use crate::held_key::HeldKey;
use crate::id::{GatewayId, KeyId};
use crate::secret::SessionKey;
use crate::wire::{MAC_LEN, Message1, Message2, Message3, Message4, NONCE_LEN, WrappedDelivery};

/// Begins a handshake: gives message 1. `preamble` is the message 0 that came, where the gateway
/// dialled.
///
/// # Errors
/// [`HandshakeError::Misuse`] where the configuration offers nothing or does not fit the preamble.
pub fn start(
    config: InitiatorConfig,
    preamble: Option<&Preamble>,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, ExpectMessage2), HandshakeError> {
    check(&config, preamble)?;
    let message0 = preamble
        .map(Preamble::encode)
        .transpose()
        .map_err(Misuse::Unsendable)?;
    begin(config, message0.as_deref(), Role::Gateway, rng)
}

/// Gives message 1, after `message0` where there is one.
pub(super) fn begin(
    config: InitiatorConfig,
    message0: Option<&[u8]>,
    role: Role,
    rng: &mut impl CryptoRng,
) -> Result<(Vec<u8>, ExpectMessage2), HandshakeError> {
    let mut transcript = Transcript::new(message0);
    let mut nonce = [0; NONCE_LEN];
    rng.fill_bytes(&mut nonce);
    let secret = EphemeralSecret::random_from_rng(rng);
    let default = config.pairing.as_ref().map(|_| KeyId::DEFAULT);
    let message1 = Message1 {
        server_id: config.server_id,
        nonce,
        share: PublicKey::from(&secret).to_bytes(),
        suites: config.suites.clone(),
        key_ids: config
            .keys
            .iter()
            .map(|key| key.id)
            .chain(default)
            .collect(),
    };
    let frame = message1.encode().map_err(Misuse::Unsendable)?;
    transcript.add(&frame);
    let next = ExpectMessage2 {
        config,
        role,
        transcript,
        secret,
    };
    Ok((frame, next))
}

/// Message 1 is sent; awaits message 2.
pub struct ExpectMessage2 {
    config: InitiatorConfig,
    role: Role,
    transcript: Transcript,
    secret: EphemeralSecret,
}

impl ExpectMessage2 {
    /// Takes message 2 as a whole frame and gives message 3.
    ///
    /// # Errors
    /// [`HandshakeError`]; the handshake is over, and unless the peer sent the alert it is to get
    /// one.
    pub fn handle(
        self,
        frame: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<u8>, ExpectMessage4), HandshakeError> {
        if is_alert(frame) {
            return Err(HandshakeError::Refused);
        }
        let Self {
            config,
            role,
            mut transcript,
            secret,
        } = self;
        let (message2, proof) = Message2::decode(frame)?;
        if !config.suites.contains(&message2.suite) {
            return Err(Misbehaviour::SuiteNotOffered(message2.suite).into());
        }
        let choice = Choice::new(&config, &message2)?;
        let unproved = &frame[..frame.len() - MAC_LEN];
        choice
            .proving_secret(role)
            .gateway_proof_key()
            .verify(&[transcript.hash_with(unproved).as_bytes()], &proof)
            .map_err(|_| Misbehaviour::GatewayProof(message2.key_id))?;
        transcript.add(frame);

        let shared = agree(secret, message2.share)?;
        Ok(message3(
            &config,
            (choice, role),
            message2.suite,
            transcript,
            shared,
            rng,
        ))
    }
}

/// Which key authenticates the session, as message 2 chose and the configuration allows.
enum Choice<'a> {
    Secure(&'a HeldKey),
    Pairing(&'a HeldKey),
}

impl<'a> Choice<'a> {
    fn new(config: &'a InitiatorConfig, message2: &Message2) -> Result<Self, Misbehaviour> {
        match message2.mode {
            Mode::Default => config
                .pairing
                .as_ref()
                .map(Self::Pairing)
                .ok_or(Misbehaviour::DefaultModeNotOffered),
            // Before any key is looked up: key ids are the same in the whole fleet, so without this
            // check a stolen gateway could answer at another's address with its own key of the same
            // id.
            Mode::Secure if message2.gateway_id != config.gateway_id => {
                Err(Misbehaviour::OtherGateway {
                    expected: config.gateway_id,
                    found: message2.gateway_id,
                })
            }
            Mode::Secure => config
                .keys
                .iter()
                .find(|key| key.id == message2.key_id)
                .map(Self::Secure)
                .ok_or(Misbehaviour::KeyNotOffered(message2.key_id)),
        }
    }

    /// From which the key of the gateway's proof follows.
    fn proving_secret(&self, role: Role) -> MasterSecret {
        match self {
            Self::Secure(held) => MasterSecret::new(&held.key, role),
            Self::Pairing(_) => MasterSecret::of_default_key(),
        }
    }

    /// The master key of the session: the one held, or the one delivered.
    const fn master(&self) -> &'a HeldKey {
        match self {
            Self::Secure(held) | Self::Pairing(held) => held,
        }
    }
}

fn message3(
    config: &InitiatorConfig,
    (choice, role): (Choice<'_>, Role),
    suite: Suite,
    mut transcript: Transcript,
    shared: SharedSecret,
    rng: &mut impl CryptoRng,
) -> (Vec<u8>, ExpectMessage4) {
    let through_message2 = transcript.hash();
    let HeldKey { id, key } = choice.master();
    let master = MasterSecret::new(key, role);
    let session_key = SessionKey::random(key.kind(), rng);
    let (mode, delivery) = match choice {
        Choice::Secure(_) => (Mode::Secure, None),
        Choice::Pairing(_) => {
            let kek = pairing_kek(&shared, key.kind(), &through_message2);
            let delivery = WrappedDelivery {
                gateway_id: config.gateway_id,
                wrapped_master_key: key_wrap::wrap(&kek, key.expose()),
            };
            (Mode::Default, Some(delivery))
        }
    };
    let kek = master.session_kek(&through_message2);
    let message = Message3 {
        key_id: *id,
        wrapped_session_key: key_wrap::wrap(&kek, session_key.expose()),
        delivery,
    };
    let frame = message.encode(|unproved| {
        let hash = transcript.hash_with(unproved);
        master.server_proof_key().tag(&[hash.as_bytes()]).to_bytes()
    });
    transcript.add(&frame);
    let secrets = UnconfirmedSecrets::derive(session_key, shared, suite, transcript.hash());
    let next = ExpectMessage4 {
        info: SessionInfo {
            server_id: config.server_id,
            gateway_id: config.gateway_id,
            mode,
            key_id: *id,
            suite,
            session_id: secrets.session_id(),
        },
        secrets,
    };
    (frame, next)
}

/// Message 3 is sent; awaits message 4.
pub struct ExpectMessage4 {
    secrets: UnconfirmedSecrets,
    info: SessionInfo,
}

impl ExpectMessage4 {
    /// Takes message 4 as a whole frame. Only now has the gateway proved that it is there, and
    /// alive.
    ///
    /// # Errors
    /// [`HandshakeError`]; the handshake is over, and unless the peer sent the alert it is to get
    /// one.
    pub fn handle(self, frame: &[u8]) -> Result<Established, HandshakeError> {
        if is_alert(frame) {
            return Err(HandshakeError::Refused);
        }
        let mac = Message4::decode(frame)?;
        let secrets = self
            .secrets
            .verify(&mac)
            .map_err(|_| Misbehaviour::Confirmation)?;
        Ok(Established::new(self.info, secrets))
    }
}

impl fmt::Debug for ExpectMessage2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectMessage2")
            .field("gateway_id", &self.config.gateway_id)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for ExpectMessage4 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExpectMessage4")
            .field("gateway_id", &self.info.gateway_id)
            .finish_non_exhaustive()
    }
}

pub(super) fn check(config: &InitiatorConfig, preamble: Option<&Preamble>) -> Result<(), Misuse> {
    if config.suites.is_empty() || (config.keys.is_empty() && config.pairing.is_none()) {
        return Err(Misuse::NothingToOffer);
    }
    if config.gateway_id == GatewayId::NONE {
        return Err(Misuse::NoGatewayId);
    }
    if matches!(preamble, Some(Preamble::Id(id)) if *id != config.gateway_id) {
        return Err(Misuse::OtherPreamble);
    }
    config
        .keys
        .iter()
        .chain(&config.pairing)
        .try_for_each(check_held_key)
}
