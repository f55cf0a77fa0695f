//! The key schedule, stage by stage (PROTOCOL.md, "Key schedule"). Each stage is consumed by the
//! next, so that a key of the wrong stage cannot be used.

use x25519_dalek::{EphemeralSecret, PublicKey, SharedSecret};

use super::error::Misbehaviour;
use super::exporter::ExporterSecret;
use super::install::InstallSecret;
use super::transcript::TranscriptHash;
use crate::crypto::kdf::{self, Label, PRK_LEN, Purpose};
use crate::crypto::mac::{BadMac, MacKey};
use crate::crypto::suites::Suite;
use crate::id::KeyKind;
use crate::secret::locked::LockedBytes;
use crate::secret::{DEFAULT_KEY, KeyEncryptionKey, MasterKey, SessionKey, TrafficSecret};

/// X25519 (RFC 7748, 6.1) with the other side's share, whose result must not be zero.
///
/// # Errors
/// [`Misbehaviour::DegenerateShare`].
pub(super) fn agree(
    secret: EphemeralSecret,
    share: [u8; 32],
) -> Result<SharedSecret, Misbehaviour> {
    let shared = secret.diffie_hellman(&PublicKey::from(share));
    if shared.was_contributory() {
        Ok(shared)
    } else {
        Err(Misbehaviour::DegenerateShare)
    }
}

/// Whose handshake it is. Nothing that follows from a master key in one role is of any use in the
/// other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A server and a gateway.
    Gateway,
    /// Two servers of one repository.
    Peer,
}

impl Role {
    /// For the key of the proof that ends message 2.
    const fn responder_proof(self) -> Purpose {
        match self {
            Self::Gateway => Purpose::GatewayProof,
            Self::Peer => Purpose::DialledProof,
        }
    }

    /// For the key of the MAC that ends message 3.
    const fn initiator_proof(self) -> Purpose {
        match self {
            Self::Gateway => Purpose::ServerProof,
            Self::Peer => Purpose::DiallerProof,
        }
    }

    const fn session_kek(self) -> Purpose {
        match self {
            Self::Gateway => Purpose::SessionKek,
            Self::Peer => Purpose::PeerSessionKek,
        }
    }
}

/// What follows from a master key, or from the default key in its place.
pub(super) struct MasterSecret {
    prk: LockedBytes<PRK_LEN>,
    kind: KeyKind,
    role: Role,
}

impl MasterSecret {
    pub(super) fn new(key: &MasterKey, role: Role) -> Self {
        Self {
            prk: kdf::extract_unsalted(&[key.expose()]),
            kind: key.kind(),
            role,
        }
    }

    /// In default mode, for the gateway's proof alone.
    pub(super) fn of_default_key() -> Self {
        Self {
            prk: kdf::extract_unsalted(&[&DEFAULT_KEY]),
            kind: KeyKind::Tdes,
            role: Role::Gateway,
        }
    }

    /// For the proof that ends message 2.
    pub(super) fn gateway_proof_key(&self) -> MacKey {
        self.mac_key(self.role.responder_proof())
    }

    /// For the MAC that ends message 3.
    pub(super) fn server_proof_key(&self) -> MacKey {
        self.mac_key(self.role.initiator_proof())
    }

    /// Wraps the session key of the handshake whose transcript through message 2 is given: once.
    pub(super) fn session_kek(&self, through_message2: &TranscriptHash) -> KeyEncryptionKey {
        let label = self.label(self.role.session_kek());
        let context = through_message2.as_bytes();
        KeyEncryptionKey(kdf::derive_key(self.kind, &self.prk, label, context))
    }

    fn mac_key(&self, purpose: Purpose) -> MacKey {
        MacKey::new(&kdf::expand_label(&self.prk, self.label(purpose), &[]))
    }

    const fn label(&self, purpose: Purpose) -> Label {
        Label {
            purpose,
            kind: self.kind,
            suite: None,
        }
    }
}

/// Default mode: wraps the master key of `kind` that is delivered. The default key is public, so
/// this key is as strong as the X25519 secret, and no stronger.
pub(super) fn pairing_kek(
    shared: &SharedSecret,
    kind: KeyKind,
    through_message2: &TranscriptHash,
) -> KeyEncryptionKey {
    let prk = kdf::extract_unsalted(&[&DEFAULT_KEY, shared.as_bytes()]);
    let label = Label {
        purpose: Purpose::PairingKek,
        kind,
        suite: None,
    };
    let context = through_message2.as_bytes();
    KeyEncryptionKey(kdf::derive_key(kind, &prk, label, context))
}

/// The secrets of the session, once both sides have confirmed them.
pub(super) struct SessionSecrets {
    pub(super) server_to_gateway: TrafficSecret,
    pub(super) gateway_to_server: TrafficSecret,
    pub(super) install: InstallSecret,
    pub(super) exporter: ExporterSecret,
}

/// Derived, but message 4 is not yet made or verified.
pub(super) struct UnconfirmedSecrets {
    finished: MacKey,
    session_id: [u8; 8],
    through_message3: TranscriptHash,
    secrets: SessionSecrets,
}

impl UnconfirmedSecrets {
    /// Takes session key and X25519 secret, and erases them and the root before it returns.
    pub(super) fn derive(
        session_key: SessionKey,
        shared: SharedSecret,
        suite: Suite,
        through_message3: TranscriptHash,
    ) -> Self {
        let root = Root {
            secret: kdf::extract(
                through_message3.as_bytes(),
                &[session_key.expose(), shared.as_bytes()],
            ),
            kind: session_key.kind(),
            suite,
        };
        Self {
            finished: MacKey::new(&root.expand(Purpose::Finished)),
            session_id: *root.expand(Purpose::SessionId),
            through_message3,
            secrets: SessionSecrets {
                server_to_gateway: root.expand(Purpose::ServerToGateway).into(),
                gateway_to_server: root.expand(Purpose::GatewayToServer).into(),
                install: InstallSecret::new(root.expand(Purpose::InstallSecret), root.kind, suite),
                exporter: ExporterSecret::new(
                    root.expand(Purpose::ExporterSecret),
                    root.kind,
                    suite,
                ),
            },
        }
    }

    /// Names the session in logs. Public.
    pub(super) const fn session_id(&self) -> [u8; 8] {
        self.session_id
    }

    /// Gateway: the MAC of message 4, and the secrets.
    pub(super) fn confirm(self) -> ([u8; 32], SessionSecrets) {
        let tag = self.finished.tag(&[self.through_message3.as_bytes()]);
        (tag.to_bytes(), self.secrets)
    }

    /// Server: verifies the MAC of message 4 and gives the secrets.
    pub(super) fn verify(self, mac: &[u8; 32]) -> Result<SessionSecrets, BadMac> {
        self.finished
            .verify(&[self.through_message3.as_bytes()], mac)?;
        Ok(self.secrets)
    }
}

struct Root {
    secret: LockedBytes<PRK_LEN>,
    kind: KeyKind,
    suite: Suite,
}

impl Root {
    fn expand<const N: usize>(&self, purpose: Purpose) -> LockedBytes<N> {
        let label = Label {
            purpose,
            kind: self.kind,
            suite: Some(self.suite),
        };
        kdf::expand_label(&self.secret, label, &[])
    }
}
