//! The handshake of both ends, idealized: a proof of a key is the key itself, and a flight cannot be altered.

use portcullis_common::handshake::{Delivered, InitiatorConfig, Mode, Proved, ResponderConfig};
use portcullis_common::id::{GatewayId, KeyId, ServerId};
use portcullis_common::rotation::{HeldKey, Identity};
use portcullis_common::secret::MasterKey;
use rand_chacha::ChaCha12Rng;

#[derive(Clone)]
pub(super) enum Flight {
    One {
        server_id: ServerId,
        ids: Vec<KeyId>,
    },
    Two {
        gateway_id: GatewayId,
        mode: Mode,
        key: Option<HeldKey>,
    },
    Three {
        key: HeldKey,
        delivered: Option<GatewayId>,
    },
    Four,
}

/// Why a handshake ended: the cause is of no interest to the world.
pub(super) struct Refused;

pub(super) struct Session {
    gateway_id: GatewayId,
    mode: Mode,
    key_id: KeyId,
}

impl Session {
    pub(super) fn gateway_id(&self) -> GatewayId {
        self.gateway_id
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn key_id(&self) -> KeyId {
        self.key_id
    }

    pub(super) fn wrap(&self, _new: KeyId, key: &MasterKey) -> Vec<u8> {
        key.expose().to_vec()
    }

    pub(super) fn unwrap(&self, new: KeyId, wrapped: &[u8]) -> Option<MasterKey> {
        MasterKey::from_bytes(new.kind(), wrapped).ok()
    }
}

/// The server's side of a handshake under way.
pub(super) struct ServerHandshake {
    config: InitiatorConfig,
    proved: Option<(KeyId, Mode)>,
}

pub(super) enum ServerStep {
    Send(ServerHandshake, Flight),
    Done(Session),
}

impl ServerHandshake {
    pub(super) fn start(config: InitiatorConfig, _rng: &mut ChaCha12Rng) -> (Self, Flight) {
        let mut ids: Vec<_> = config.keys.iter().map(|held| held.id).collect();
        if config.pairing.is_some() {
            ids.push(KeyId::DEFAULT);
        }
        let server_id = config.server_id;
        let proved = None;
        (Self { config, proved }, Flight::One { server_id, ids })
    }

    /// The key that message 3 shows, once message 2 was answered.
    pub(super) fn shown(&self) -> Option<KeyId> {
        self.proved.map(|(id, _)| id)
    }

    pub(super) fn handle(
        mut self,
        flight: Flight,
        _rng: &mut ChaCha12Rng,
    ) -> Result<ServerStep, Refused> {
        match (flight, self.proved) {
            (
                Flight::Two {
                    gateway_id,
                    mode: Mode::Secure,
                    key: Some(key),
                },
                None,
            ) => {
                let mut accepted = self.config.keys.iter();
                let held = accepted
                    .find(|held| held.id == key.id && held.key.expose() == key.key.expose())
                    .filter(|_| gateway_id == self.config.gateway_id)
                    .cloned()
                    .ok_or(Refused)?;
                self.proved = Some((held.id, Mode::Secure));
                Ok(ServerStep::Send(
                    self,
                    Flight::Three {
                        key: held,
                        delivered: None,
                    },
                ))
            }
            (
                Flight::Two {
                    mode: Mode::Default,
                    ..
                },
                None,
            ) => {
                let key = self.config.pairing.clone().ok_or(Refused)?;
                self.proved = Some((key.id, Mode::Default));
                let delivered = Some(self.config.gateway_id);
                Ok(ServerStep::Send(self, Flight::Three { key, delivered }))
            }
            (Flight::Four, Some((key_id, mode))) => Ok(ServerStep::Done(Session {
                gateway_id: self.config.gateway_id,
                mode,
                key_id,
            })),
            _ => Err(Refused),
        }
    }
}

/// The gateway's side of a handshake under way.
pub(super) struct GatewayHandshake {
    config: ResponderConfig,
    server_id: Option<ServerId>,
    chosen: Option<(Mode, Option<HeldKey>)>,
}

pub(super) enum GatewayStep {
    Send(GatewayHandshake, Flight),
    /// Message 3 was verified: to be stored, then `Finish::send`.
    Proved(Finish, Proved),
}

pub(super) struct Finish(Session);

impl Finish {
    pub(super) fn send(self) -> (Session, Flight) {
        (self.0, Flight::Four)
    }
}

impl GatewayHandshake {
    pub(super) fn start(config: ResponderConfig) -> Self {
        Self {
            config,
            server_id: None,
            chosen: None,
        }
    }

    pub(super) fn handle(
        mut self,
        flight: Flight,
        _rng: &mut ChaCha12Rng,
    ) -> Result<GatewayStep, Refused> {
        match (flight, self.chosen.clone()) {
            (Flight::One { server_id, ids }, None) => {
                let (gateway_id, mode, key) = match &self.config.identity {
                    Identity::Keyed { gateway_id, keys } => {
                        let chosen = ids
                            .iter()
                            .find_map(|id| keys.iter().find(|held| held.id == *id));
                        (
                            *gateway_id,
                            Mode::Secure,
                            Some(chosen.cloned().ok_or(Refused)?),
                        )
                    }
                    Identity::Pairing if ids.contains(&KeyId::DEFAULT) => {
                        (GatewayId::NONE, Mode::Default, None)
                    }
                    Identity::Pairing | Identity::None => return Err(Refused),
                };
                self.server_id = Some(server_id);
                self.chosen = Some((mode, key.clone()));
                Ok(GatewayStep::Send(
                    self,
                    Flight::Two {
                        gateway_id,
                        mode,
                        key,
                    },
                ))
            }
            (Flight::Three { key, delivered }, Some((mode, chosen))) => {
                let fits = match &chosen {
                    Some(held) => held.id == key.id && held.key.expose() == key.key.expose(),
                    None => delivered.is_some(),
                };
                let own = match &self.config.identity {
                    Identity::Keyed { gateway_id, .. } => Some(*gateway_id),
                    Identity::Pairing | Identity::None => None,
                };
                let gateway_id = own.or(delivered).filter(|_| fits).ok_or(Refused)?;
                let proved = Proved {
                    mode,
                    gateway_id,
                    server_id: self.server_id.ok_or(Refused)?,
                    key_id: key.id,
                    delivered: delivered.map(|gateway_id| Delivered {
                        gateway_id,
                        master_key: key.key.clone(),
                    }),
                };
                let session = Session {
                    gateway_id,
                    mode,
                    key_id: key.id,
                };
                Ok(GatewayStep::Proved(Finish(session), proved))
            }
            _ => Err(Refused),
        }
    }
}

/// What a gateway would go by that took an install for a proof.
pub(super) fn unproved(gateway_id: GatewayId, key_id: KeyId) -> Proved {
    Proved {
        mode: Mode::Secure,
        gateway_id,
        server_id: ServerId::from_array([0; 16]),
        key_id,
        delivered: None,
    }
}
