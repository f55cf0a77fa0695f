//! The gateway's side: the one record it stores, and how each event changes it.

use std::fmt;

use rand_core::CryptoRng;

use super::{ENROLMENT_NONCE_LEN, EnrolmentNonce, EnrolmentToken, UnixMillis};
use crate::handshake::{Mode, Proved};
use crate::held_key::{HeldKey, Identity};
use crate::id::{GatewayId, KeyId};

/// Names one run of the gateway's program, so that a restart does not reopen pairing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(pub(super) [u8; 16]);

impl RunId {
    /// A fresh one, made once at the program's start.
    pub fn random(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; 16];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }
}

/// All that a gateway stores of its keys, in one atomic record.
#[derive(Clone, Debug)]
pub struct GatewayRecord {
    pub(super) state: State,
}

#[derive(Clone)]
pub(super) enum State {
    /// Holds no key.
    Empty { pairing: Option<PairingWindow> },
    /// Has a token, and perhaps the first master key beside it, not yet proved.
    Enrolling {
        gateway_id: GatewayId,
        enrolment: HeldKey,
        nonce: EnrolmentNonce,
        pending: Option<HeldKey>,
    },
    /// Holds a proved master key, and perhaps the next one, not yet proved.
    Keyed {
        gateway_id: GatewayId,
        active: HeldKey,
        pending: Option<HeldKey>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) struct PairingWindow {
    pub(super) until: UnixMillis,
    /// The run that uses it; another run, that is after a restart, finds it closed.
    pub(super) claimed_by: Option<RunId>,
}

/// How a handshake begins: the identity, and the record to store before, where it changed.
#[derive(Clone, Debug)]
pub struct Begin {
    /// What to bring to the handshake.
    pub identity: Identity,
    /// Where present: store this first.
    pub store: Option<GatewayRecord>,
}

/// Why a token was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// A key is held already.
    #[error("this gateway already holds a key ({0}); give --replace to forget it and enrol anew")]
    HoldsKey(KeyId),
    /// Another token is in use.
    #[error(
        "this gateway is already enrolling with another token ({0}); give --replace to forget it"
    )]
    Enrolling(KeyId),
    /// The key held came from this token's registration: the token is spent, and taking it would
    /// lose a good key.
    #[error(
        "this gateway already holds a key of the registration that the token is for ({0}): the token is spent; \
         `portcullis gateway token NAME` makes a new one"
    )]
    Spent(GatewayId),
}

/// Why pairing was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairingError {
    /// A key, or a token, is there: secure mode, always.
    #[error(
        "this gateway holds a key ({0}) and never goes back to default mode; `key reset` forgets it for good"
    )]
    HoldsKey(KeyId),
}

/// Why an install was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InstallError {
    /// The key to replace is not the one that this session was authenticated with.
    #[error("the key to be replaced did not authenticate this session")]
    OtherSession,
    /// The key to replace is no longer active: another session was faster.
    #[error("the key to be replaced is not the active one")]
    NotActive,
    /// The new id is that of a key already active.
    #[error("the new key is already active")]
    AlreadyActive,
    /// The new key is of another kind than its id says, or its id is the default key's.
    #[error("the new key's id does not name a master key of its kind")]
    NoMasterKey,
}

/// The key that a handshake proved is no longer held: it was replaced meanwhile. The handshake
/// fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key that this handshake proved was replaced meanwhile")]
pub struct StaleProof;

impl fmt::Debug for State {
    /// Ids alone: whoever has the token and sees the nonce could take the gateway's place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pending_id = |pending: &Option<HeldKey>| pending.as_ref().map(|held| held.id);
        match self {
            Self::Empty { pairing } => f.debug_struct("Empty").field("pairing", pairing).finish(),
            Self::Enrolling {
                gateway_id,
                enrolment,
                pending,
                ..
            } => f
                .debug_struct("Enrolling")
                .field("gateway_id", gateway_id)
                .field("enrolment", &enrolment.id)
                .field("pending", &pending_id(pending))
                .finish_non_exhaustive(),
            Self::Keyed {
                gateway_id,
                active,
                pending,
            } => f
                .debug_struct("Keyed")
                .field("gateway_id", gateway_id)
                .field("active", &active.id)
                .field("pending", &pending_id(pending))
                .finish(),
        }
    }
}

impl GatewayRecord {
    /// The record of a gateway that never held a key.
    pub const fn empty() -> Self {
        Self {
            state: State::Empty { pairing: None },
        }
    }

    /// Takes a token. With `replace`, whatever was held is forgotten.
    ///
    /// # Errors
    /// [`EnrolError`] where a key or another token is there and `replace` is not given, and where
    /// the key held came from this token's registration. The same token again is taken while it is
    /// in use: its nonce stays.
    pub fn enrol(
        &self,
        token: &EnrolmentToken,
        replace: bool,
        rng: &mut impl CryptoRng,
    ) -> Result<Self, EnrolError> {
        match &self.state {
            State::Enrolling { enrolment, .. } if enrolment.id == token.key_id() => {
                return Ok(self.clone());
            }
            State::Enrolling { enrolment, .. } if !replace => {
                return Err(EnrolError::Enrolling(enrolment.id));
            }
            State::Keyed { gateway_id, .. } if *gateway_id == token.gateway_id() => {
                return Err(EnrolError::Spent(*gateway_id));
            }
            State::Keyed { active, .. } if !replace => return Err(EnrolError::HoldsKey(active.id)),
            _ => {}
        }
        let mut nonce = [0; ENROLMENT_NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let enrolment = HeldKey {
            id: token.key_id(),
            key: token.key().clone(),
        };
        Ok(Self {
            state: State::Enrolling {
                gateway_id: token.gateway_id(),
                enrolment,
                nonce,
                pending: None,
            },
        })
    }

    /// Opens pairing until `until`, for one run of the program.
    ///
    /// # Errors
    /// [`PairingError`] where a key or a token is held.
    pub fn open_pairing(&self, until: UnixMillis) -> Result<Self, PairingError> {
        match &self.state {
            State::Empty { .. } => Ok(Self {
                state: State::Empty {
                    pairing: Some(PairingWindow {
                        until,
                        claimed_by: None,
                    }),
                },
            }),
            State::Enrolling {
                enrolment: held, ..
            }
            | State::Keyed { active: held, .. } => Err(PairingError::HoldsKey(held.id)),
        }
    }

    /// What to bring to a handshake that begins `now`, in the run `run`.
    pub fn begin(&self, run: RunId, now: UnixMillis) -> Begin {
        match &self.state {
            State::Enrolling {
                gateway_id,
                enrolment: active,
                pending,
                ..
            }
            | State::Keyed {
                gateway_id,
                active,
                pending,
            } => {
                let keys = pending.iter().chain([active]).cloned().collect();
                Begin {
                    identity: Identity::Keyed {
                        gateway_id: *gateway_id,
                        keys,
                    },
                    store: None,
                }
            }
            State::Empty { pairing: None } => Begin {
                identity: Identity::None,
                store: None,
            },
            State::Empty {
                pairing: Some(window),
            } => match window.claimed_by {
                Some(owner) if owner == run && now < window.until => Begin {
                    identity: Identity::Pairing,
                    store: None,
                },
                None if now < window.until => {
                    let claimed = PairingWindow {
                        claimed_by: Some(run),
                        ..*window
                    };
                    let record = Self {
                        state: State::Empty {
                            pairing: Some(claimed),
                        },
                    };
                    Begin {
                        identity: Identity::Pairing,
                        store: Some(record),
                    }
                }
                _ => Begin {
                    identity: Identity::None,
                    store: Some(Self::empty()),
                },
            },
        }
    }

    /// Message 3 was verified: the server holds the key named in `proved`. Gives the record to
    /// store before message 4 is sent, where it changes: a pending key becomes active and the old
    /// one is erased; in default mode the first master key is taken.
    ///
    /// # Errors
    /// [`StaleProof`] where the record changed since the handshake began, so that the key is no
    /// longer held, or (in default mode) pairing is no longer open for this run. The handshake
    /// fails then, before message 4.
    pub fn proved(
        &self,
        proved: &Proved,
        run: RunId,
        now: UnixMillis,
    ) -> Result<Option<Self>, StaleProof> {
        match (proved.mode, &self.state) {
            (
                Mode::Default,
                State::Empty {
                    pairing: Some(window),
                },
            ) if window.claimed_by == Some(run) && now < window.until => {
                let delivered = proved.delivered.as_ref().ok_or(StaleProof)?;
                let active = HeldKey {
                    id: proved.key_id,
                    key: delivered.master_key.clone(),
                };
                if !active.is_sound() || delivered.gateway_id == GatewayId::NONE {
                    return Err(StaleProof);
                }
                Ok(Some(Self {
                    state: State::Keyed {
                        gateway_id: delivered.gateway_id,
                        active,
                        pending: None,
                    },
                }))
            }
            (
                Mode::Secure,
                State::Enrolling {
                    gateway_id,
                    enrolment: active,
                    pending,
                    ..
                }
                | State::Keyed {
                    gateway_id,
                    active,
                    pending,
                },
            ) if *gateway_id == proved.gateway_id => match pending {
                _ if active.id == proved.key_id => Ok(None),
                Some(held) if held.id == proved.key_id => {
                    let state = State::Keyed {
                        gateway_id: *gateway_id,
                        active: held.clone(),
                        pending: None,
                    };
                    Ok(Some(Self { state }))
                }
                _ => Err(StaleProof),
            },
            _ => Err(StaleProof),
        }
    }

    /// Takes an install into `pending`. `session_key` is the id that authenticated the session it
    /// came through.
    ///
    /// # Errors
    /// [`InstallError`] where the replaced key is not the active one, or not this session's.
    pub fn install(
        &self,
        session_key: KeyId,
        replaced: KeyId,
        new: HeldKey,
    ) -> Result<Self, InstallError> {
        if replaced != session_key {
            return Err(InstallError::OtherSession);
        }
        let mut record = self.clone();
        match &mut record.state {
            State::Empty { .. } => Err(InstallError::NotActive),
            State::Enrolling {
                enrolment: active,
                pending,
                ..
            }
            | State::Keyed {
                active, pending, ..
            } => {
                if active.id != replaced {
                    return Err(InstallError::NotActive);
                }
                if active.id == new.id {
                    return Err(InstallError::AlreadyActive);
                }
                if !new.is_sound() {
                    return Err(InstallError::NoMasterKey);
                }
                *pending = Some(new);
                Ok(record)
            }
        }
    }

    /// Its id, once it has a token or a key.
    pub fn gateway_id(&self) -> Option<GatewayId> {
        match &self.state {
            State::Empty { .. } => None,
            State::Enrolling { gateway_id, .. } | State::Keyed { gateway_id, .. } => {
                Some(*gateway_id)
            }
        }
    }

    /// The active master key's id; `None` before the first was proved.
    pub fn active_key_id(&self) -> Option<KeyId> {
        match &self.state {
            State::Keyed { active, .. } => Some(active.id),
            State::Empty { .. } | State::Enrolling { .. } => None,
        }
    }

    /// The pending master key's id.
    pub fn pending_key_id(&self) -> Option<KeyId> {
        match &self.state {
            State::Empty { .. } => None,
            State::Enrolling { pending, .. } | State::Keyed { pending, .. } => {
                pending.as_ref().map(|held| held.id)
            }
        }
    }

    /// The enrolment key's id and the nonce, while enrolling.
    ///
    /// Whether a session is one for enrolment only is decided once, when message 3 was verified,
    /// from the record that this leaves; the answer holds for the session's life. Asked again later
    /// it would be wrong: another session may have proved the first master key meanwhile, and the
    /// enrolment key would no longer be recognized.
    pub fn enrolment(&self) -> Option<(KeyId, EnrolmentNonce)> {
        match &self.state {
            State::Enrolling {
                enrolment, nonce, ..
            } => Some((enrolment.id, *nonce)),
            State::Empty { .. } | State::Keyed { .. } => None,
        }
    }

    /// Until when pairing is open, whether claimed by a run or not; `None` where it is not open.
    pub fn pairing_until(&self) -> Option<UnixMillis> {
        match &self.state {
            State::Empty { pairing } => pairing.as_ref().map(|window| window.until),
            State::Enrolling { .. } | State::Keyed { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
