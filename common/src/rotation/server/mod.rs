//! The server's side: what the repository stores of one gateway's registration, and how each event
//! changes it.
//!
//! Drive contract, for each link, in this order; every step reads the registration and the gateway
//! keys afresh, and stores the registration durably, also where the step refuses, before what
//! follows:
//! 1. before message 1: [`Registration::begin`], giving the [`Offer`];
//! 2. after message 4: [`Registration::proved`], giving the session's [`Scope`]; the session is not
//!    used before it;
//! 3. in a session of scope [`Scope::Enrolment`]: ask for the nonce, then [`Registration::bind`];
//! 4. in any session whose key is not current: [`Registration::plan_install`], then send the
//!    install, then shake hands anew;
//! 5. before each call: [`Registration::may_call`].
//!
//! Where a step refuses in a session, another server was faster or an administrator acted: close
//! the session and begin again at 1. Steps 2 to 5 name the gateway id that the *session* was
//! authenticated for, since the registration read afresh may be a later one of the same name: a key
//! of the former must open nothing of it.

mod refusal;

use std::fmt;

use subtle::ConstantTimeEq;

pub use refusal::{BindError, InstallRefusal, ProofError, Refusal};

use super::{EnrolmentNonce, EnrolmentToken, UnixMillis};
use crate::handshake::Mode;
use crate::id::{GatewayId, KeyId};
use crate::secret::MasterKey;

/// Installs that may be sent to a gateway without any being proved: it bounds message 1.
pub const MAX_UNPROVED_INSTALLS: usize = 32;

/// Where a registration stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// May connect, with what it has.
    Admitted,
    /// Its keys are forgotten: it may enrol again, by a new registration.
    Evicted,
    /// Refused until restored.
    Revoked,
}

/// A token as the server keeps it.
#[derive(Clone)]
pub struct TokenState {
    /// Id of the enrolment key.
    pub key_id: KeyId,
    /// The enrolment key.
    pub key: MasterKey,
    /// It is refused from then on.
    pub expires: UnixMillis,
    /// The first nonce that came with it; no other is taken.
    pub bound: Option<EnrolmentNonce>,
}

/// A gateway key, as far as rotation is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayKeyInfo {
    /// Its id.
    pub id: KeyId,
    /// Grows with each rotation: a higher one is newer. The highest is the current key.
    pub generation: u64,
    /// When a newer one took its place; `None` for the current one.
    pub retired: Option<UnixMillis>,
    /// Refused at once: it may have been stolen.
    pub compromised: bool,
    /// Rolled back: never sent again. Who proved it, or was sent it, may still prove it, and is
    /// moved forward to a newer one.
    pub withdrawn: bool,
}

impl GatewayKeyInfo {
    /// Whether a gateway may be given it, where it is the current one.
    const fn may_be_sent(&self) -> bool {
        !self.compromised && !self.withdrawn
    }
}

/// Limits that the configuration sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long after its retirement a key still authenticates a gateway that was away, in
    /// milliseconds (90 days).
    pub retired_key_grace_ms: u64,
}

/// What the repository stores of one registration.
#[derive(Clone, Debug)]
pub struct Registration {
    /// Its id: diversifies its keys.
    pub gateway_id: GatewayId,
    /// Whether it may connect at all.
    pub standing: Standing,
    /// Its enrolment token, until a master key was proved.
    pub token: Option<TokenState>,
    /// Until when default mode is open to it; `None` once closed.
    pub pairing_until: Option<UnixMillis>,
    /// The newest gateway key whose diversified master key it ever proved.
    pub last_proved: Option<KeyId>,
    /// The gateway keys sent to it and not proved since, oldest first.
    pub sent: Vec<KeyId>,
}

/// What message 1 offers.
#[derive(Clone, Debug)]
pub struct Offer {
    /// The gateway keys accepted, newest first: the ids go into message 1, the diversified keys
    /// into the handshake.
    pub gateway_keys: Vec<KeyId>,
    /// The enrolment key, where the token is valid; last in message 1.
    pub token: Option<(KeyId, MasterKey)>,
    /// Default mode is open: deliver the master key diversified from this one. Its id counts as
    /// sent.
    pub pairing: Option<KeyId>,
}

/// What a session may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything: it was authenticated under the key that was current.
    Full,
    /// Installs and nothing else: it was authenticated under a retired key.
    InstallsOnly,
    /// The nonce and the first install: it was authenticated under an enrolment key.
    Enrolment,
}

/// What to send: the master key diversified from `new` for the session's gateway, in place of
/// `replaced`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstallPlan {
    /// The gateway key to diversify from: the current one.
    pub new: KeyId,
    /// The key that authenticated this session.
    pub replaced: KeyId,
}

impl Registration {
    /// A fresh registration with its token; with `pairing_until`, default mode is open to it until
    /// then.
    pub fn new(
        token: &EnrolmentToken,
        expires: UnixMillis,
        pairing_until: Option<UnixMillis>,
    ) -> Self {
        Self {
            gateway_id: token.gateway_id(),
            standing: Standing::Admitted,
            token: Some(TokenState {
                key_id: token.key_id(),
                key: token.key().clone(),
                expires,
                bound: None,
            }),
            pairing_until,
            last_proved: None,
            sent: Vec::new(),
        }
    }

    /// Before message 1: what to offer. `keys` are all gateway keys of the repository, in any
    /// order. Default mode is offered to nobody who ever proved a key, whatever `pairing_until`
    /// says: whoever could open it for an enrolled gateway would be handed its key. Changes the
    /// registration where pairing is offered (the key counts as sent) or is out of time, so the
    /// caller stores it also where this fails.
    ///
    /// # Errors
    /// [`Refusal`] where nothing may be offered: the socket is closed without a word.
    pub fn begin(
        &mut self,
        keys: &[GatewayKeyInfo],
        policy: &Policy,
        now: UnixMillis,
    ) -> Result<Offer, Refusal> {
        match self.standing {
            Standing::Revoked => return Err(Refusal::Revoked),
            Standing::Evicted => return Err(Refusal::Evicted),
            Standing::Admitted => {}
        }
        if self.pairing_until.is_some_and(|until| now >= until) {
            self.pairing_until = None;
        }
        let pairing = self
            .pairing_until
            .filter(|_| !self.has_proved())
            .and_then(|_| current(keys))
            .filter(|key| key.may_be_sent())
            .map(|key| key.id);
        // Before the offer is made up, so that a lost message 4 finds the key accepted the next
        // time. Where it cannot be counted it is not delivered; the keys sent before still let the
        // gateway in.
        let pairing = pairing.filter(|id| self.mark_sent(*id, keys).is_ok());
        let gateway_keys = self.accepted(keys, policy, now);
        let token = self
            .valid_token(now)
            .map(|token| (token.key_id, token.key.clone()));
        if gateway_keys.is_empty() && token.is_none() {
            return Err(self.why_nothing(keys));
        }
        Ok(Offer {
            gateway_keys: gateway_keys.iter().map(|key| key.id).collect(),
            token,
            pairing,
        })
    }

    /// After message 4 of a handshake with `gateway_id`: records what was proved, and says what the
    /// session may carry. Closes pairing in every case: the caller stores the registration also
    /// where this fails.
    ///
    /// # Errors
    /// [`ProofError`] where the key is no longer accepted: the session is closed unused.
    pub fn proved(
        &mut self,
        gateway_id: GatewayId,
        mode: Mode,
        key_id: KeyId,
        keys: &[GatewayKeyInfo],
        policy: &Policy,
        now: UnixMillis,
    ) -> Result<Scope, ProofError> {
        if self.gateway_id != gateway_id {
            return Err(ProofError::NotAccepted);
        }
        let pairing_was_open =
            self.pairing_until.is_some_and(|until| now < until) && !self.has_proved();
        self.pairing_until = None;
        if self.standing != Standing::Admitted || (mode == Mode::Default && !pairing_was_open) {
            return Err(ProofError::NotAccepted);
        }
        if self
            .valid_token(now)
            .is_some_and(|token| token.key_id == key_id)
        {
            return Ok(Scope::Enrolment);
        }
        let accepted = self.accepted(keys, policy, now);
        let proved = accepted
            .iter()
            .find(|key| key.id == key_id)
            .ok_or(ProofError::NotAccepted)?;
        self.last_proved = Some(key_id);
        // Both sides have erased it: what the token was for is done.
        self.token = None;
        self.sent.retain(|id| {
            keys.iter()
                .any(|key| key.id == *id && key.generation > proved.generation)
        });
        Ok(if current(keys).is_some_and(|key| key.id == key_id) {
            Scope::Full
        } else {
            Scope::InstallsOnly
        })
    }

    /// Binds the token to the first nonce that came with it, in a session authenticated for
    /// `gateway_id` under `session_key`.
    ///
    /// # Errors
    /// [`BindError`]; `BoundToAnother` is an alarm to be recorded.
    pub fn bind(
        &mut self,
        gateway_id: GatewayId,
        session_key: KeyId,
        nonce: &EnrolmentNonce,
        now: UnixMillis,
    ) -> Result<(), BindError> {
        let token = self
            .token
            .as_mut()
            .filter(|token| {
                self.standing == Standing::Admitted
                    && self.gateway_id == gateway_id
                    && token.key_id == session_key
                    && now < token.expires
            })
            .ok_or(BindError::NotValid)?;
        match &token.bound {
            None => token.bound = Some(*nonce),
            Some(_) if token.is_bound_to(nonce) => {}
            Some(_) => return Err(BindError::BoundToAnother),
        }
        Ok(())
    }

    /// What to install through a session that was authenticated for `gateway_id` under
    /// `session_key`; `None` where that is the current key. `nonce` is what this very session's
    /// gateway answered to `Control.Enrol`: a session under an enrolment key that has not shown the
    /// nonce which the token is bound to is given nothing, whoever bound it.
    ///
    /// # Errors
    /// [`InstallRefusal`] where nothing may be installed through this session.
    pub fn plan_install(
        &mut self,
        gateway_id: GatewayId,
        session_key: KeyId,
        nonce: Option<&EnrolmentNonce>,
        keys: &[GatewayKeyInfo],
        policy: &Policy,
        now: UnixMillis,
    ) -> Result<Option<InstallPlan>, InstallRefusal> {
        if self.gateway_id != gateway_id || self.standing != Standing::Admitted {
            return Err(InstallRefusal::NotAccepted);
        }
        let Some(new) = current(keys).filter(|key| key.may_be_sent()) else {
            return Err(InstallRefusal::NotAccepted);
        };
        match self
            .valid_token(now)
            .filter(|token| token.key_id == session_key)
        {
            Some(token) if nonce.is_some_and(|nonce| token.is_bound_to(nonce)) => {}
            Some(_) => return Err(InstallRefusal::NotBound),
            None if self
                .accepted(keys, policy, now)
                .iter()
                .any(|key| key.id == session_key) => {}
            None => return Err(InstallRefusal::NotAccepted),
        }
        if new.id == session_key {
            return Ok(None);
        }
        self.mark_sent(new.id, keys)?;
        Ok(Some(InstallPlan {
            new: new.id,
            replaced: session_key,
        }))
    }

    /// Whether a new call may be dispatched through a session that was authenticated for
    /// `gateway_id` under `session_key` with `scope`. Not once a newer key was proved, through
    /// whichever server: that session's link must then be replaced.
    pub fn may_call(
        &self,
        gateway_id: GatewayId,
        scope: Scope,
        session_key: KeyId,
        keys: &[GatewayKeyInfo],
    ) -> bool {
        let floor = self.floor(keys);
        scope == Scope::Full
            && self.standing == Standing::Admitted
            && self.gateway_id == gateway_id
            && self.last_proved.is_some()
            && keys.iter().any(|key| {
                key.id == session_key
                    && !key.compromised
                    && floor.is_none_or(|floor| key.generation >= floor)
            })
    }

    /// Whether it has proved the current gateway key.
    pub fn synchronized(&self, keys: &[GatewayKeyInfo]) -> bool {
        current(keys).is_some_and(|key| self.last_proved == Some(key.id))
    }

    /// Whether it may hold the master key under this gateway key: it proved that one last, or was
    /// sent it and has not proved it since.
    pub fn may_hold(&self, key: KeyId) -> bool {
        self.last_proved == Some(key) || self.sent.contains(&key)
    }

    /// Whether it must enrol again by token: there is no key that it could still connect with.
    pub fn must_enrol(&self, keys: &[GatewayKeyInfo], policy: &Policy, now: UnixMillis) -> bool {
        self.accepted(keys, policy, now).is_empty()
    }

    /// Whether it perhaps has to enrol again: what it was last known to hold is refused and the
    /// keys sent to it since may never have arrived, or one that was sent to it is compromised and
    /// may be all that it holds. It may still connect; if it does not, only a new token helps.
    pub fn may_have_to_enrol(
        &self,
        keys: &[GatewayKeyInfo],
        policy: &Policy,
        now: UnixMillis,
    ) -> bool {
        let accepted = self.accepted(keys, policy, now);
        let known = accepted.iter().any(|key| self.last_proved == Some(key.id))
            || (self.last_proved.is_none()
                && (self.valid_token(now).is_some()
                    || self.pairing_until.is_some_and(|until| now < until)));
        let doubtful = keys
            .iter()
            .any(|key| key.compromised && self.sent.contains(&key.id));
        self.standing != Standing::Admitted || !known || doubtful
    }

    /// Forgets its keys and its token.
    pub fn evict(&mut self) {
        self.forget(Standing::Evicted);
    }

    /// Forgets its keys and its token, and refuses it until a new registration takes this one's
    /// place.
    pub fn revoke(&mut self) {
        self.forget(Standing::Revoked);
    }

    fn forget(&mut self, standing: Standing) {
        self.standing = standing;
        self.token = None;
        self.pairing_until = None;
        self.last_proved = None;
        self.sent.clear();
    }

    /// Whether it ever proved a key: a master key, or the enrolment key, without which no nonce
    /// is bound.
    fn has_proved(&self) -> bool {
        self.last_proved.is_some()
            || self
                .token
                .as_ref()
                .is_some_and(|token| token.bound.is_some())
    }

    fn valid_token(&self, now: UnixMillis) -> Option<&TokenState> {
        self.token.as_ref().filter(|token| now < token.expires)
    }

    /// The last key proved and every one sent since, newest first, without those no longer
    /// accepted.
    fn accepted<'a>(
        &self,
        keys: &'a [GatewayKeyInfo],
        policy: &Policy,
        now: UnixMillis,
    ) -> Vec<&'a GatewayKeyInfo> {
        let floor = self.floor(keys);
        let mut accepted: Vec<_> = keys
            .iter()
            .filter(|key| self.may_hold(key.id))
            .filter(|key| floor.is_none_or(|floor| key.generation >= floor))
            .filter(|key| !key.compromised)
            .filter(|key| {
                key.retired
                    .is_none_or(|retired| now < retired.plus(policy.retired_key_grace_ms))
            })
            .collect();
        accepted.sort_by_key(|key| std::cmp::Reverse(key.generation));
        accepted
    }

    /// The generation of the newest key proved: nothing older is accepted, whatever else is stored.
    fn floor(&self, keys: &[GatewayKeyInfo]) -> Option<u64> {
        let proved = self.last_proved?;
        keys.iter()
            .find(|key| key.id == proved)
            .map(|key| key.generation)
    }

    fn mark_sent(&mut self, id: KeyId, keys: &[GatewayKeyInfo]) -> Result<(), InstallRefusal> {
        if !self.sent.contains(&id) {
            if self.sent.len() >= MAX_UNPROVED_INSTALLS {
                // What is refused for ever makes room: only keys that may still be proved count.
                self.sent
                    .retain(|sent| keys.iter().any(|key| key.id == *sent && !key.compromised));
            }
            if self.sent.len() >= MAX_UNPROVED_INSTALLS {
                return Err(InstallRefusal::TooManyUnproved);
            }
            self.sent.push(id);
        }
        Ok(())
    }

    fn why_nothing(&self, keys: &[GatewayKeyInfo]) -> Refusal {
        let held: Vec<_> = keys.iter().filter(|key| self.may_hold(key.id)).collect();
        if held.is_empty() {
            Refusal::NoCredential
        } else if held.iter().any(|key| key.compromised) {
            Refusal::Compromised
        } else {
            Refusal::RetiredTooLong
        }
    }
}

impl TokenState {
    fn is_bound_to(&self, nonce: &EnrolmentNonce) -> bool {
        self.bound.is_some_and(|bound| bound.ct_eq(nonce).into())
    }
}

impl fmt::Debug for TokenState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenState")
            .field("key_id", &self.key_id)
            .field("expires", &self.expires)
            .field("bound", &self.bound.is_some())
            .finish_non_exhaustive()
    }
}

fn current(keys: &[GatewayKeyInfo]) -> Option<&GatewayKeyInfo> {
    keys.iter().max_by_key(|key| key.generation)
}

#[cfg(test)]
mod tests;
