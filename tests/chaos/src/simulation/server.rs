//! The servers' processes: nothing but links; all else stands in the repository.

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{InitiatorConfig, Preamble};
use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{
    EnrolmentNonce, GatewayKeyInfo, HeldKey, InstallPlan, InstallRefusal, Offer, Registration,
    Scope, UnixMillis,
};

use super::Fault;
use super::channel::{Flight, ServerHandshake, ServerStep, Session};
use super::link::{Message, Peer, ServerEnd};
use super::repository::POLICY;
use super::world::{Down, Process, World};

impl World {
    /// One transaction on one registration by server `s`: all of it, or nothing. `None` where the
    /// row's MAC does not fit what stands there.
    fn transact<T>(
        &mut self,
        s: usize,
        g: usize,
        change: impl FnOnce(&mut Registration, &[GatewayKeyInfo], UnixMillis) -> T,
    ) -> Result<Option<T>, Down> {
        self.crash_point(Process::Server(s))?;
        if self.is_refused(g) {
            self.note(|| format!("server {s} refuses the row of gateway {g}"));
            return Ok(None);
        }
        let mut registration = self.repository.stored(g).clone();
        let result = change(&mut registration, &self.repository.keys, self.now);
        self.check_committed(g, &registration);
        self.repository.store(g, registration);
        self.crash_point(Process::Server(s))?;
        Ok(Some(result))
    }

    /// Begins a handshake with gateway `g`; `None` where it is refused.
    pub(super) fn server_begins(
        &mut self,
        s: usize,
        g: usize,
        peer: Peer,
        preamble: Option<&Preamble>,
    ) -> Result<Option<(ServerEnd, Flight)>, Down> {
        let older = self.fault == Some(Fault::AcceptOlder);
        let again = self.fault == Some(Fault::PairProved);
        let begun = self.transact(s, g, |registration, keys, now| {
            let anew = again.then(|| unproved(registration));
            let offer = registration.begin(keys, &POLICY, now).map(|offer| {
                let mut all: Vec<_> = keys.iter().map(|key| key.id).collect();
                all.reverse();
                let anew = anew.and_then(|mut anew| anew.begin(keys, &POLICY, now).ok());
                Offer {
                    gateway_keys: if older { all } else { offer.gateway_keys },
                    pairing: anew.map_or(offer.pairing, |anew| anew.pairing),
                    ..offer
                }
            });
            (offer, registration.gateway_id)
        })?;
        let Some((offer, gateway_id)) = begun else {
            return Ok(None);
        };
        let offer = match offer {
            Ok(offer) => offer,
            Err(refusal) => {
                self.note(|| format!("server {s} refuses gateway {g}: {refusal}"));
                return Ok(None);
            }
        };
        self.check_offer(gateway_id, peer, &offer);
        let mut keys: Vec<_> = offer
            .gateway_keys
            .iter()
            .filter_map(|id| self.repository.master_key(*id, gateway_id))
            .collect();
        keys.extend(offer.token.map(|(id, key)| HeldKey { id, key }));
        let pairing = offer
            .pairing
            .and_then(|id| self.repository.master_key(id, gateway_id));
        let config = InitiatorConfig {
            server_id: self.server_ids[s],
            suites: Suite::ALL.to_vec(),
            gateway_id,
            keys,
            pairing,
        };
        self.counts.handshakes += 1;
        let started = ServerHandshake::start(config, preamble, &mut self.rng).ok();
        Ok(started.map(|(state, flight)| (ServerEnd::Handshake { gateway_id, state }, flight)))
    }

    pub(super) fn server_receives(
        &mut self,
        link: u64,
        s: usize,
        g: usize,
        end: ServerEnd,
        message: Message,
    ) -> Result<Option<ServerEnd>, Down> {
        match (end, message) {
            (ServerEnd::Handshake { gateway_id, state }, Message::Flight(flight)) => {
                match state.handle(&flight, &mut self.rng) {
                    Err(_) => Ok(None),
                    Ok(ServerStep::Send(state, flight, key_id)) => {
                        self.ghost.shown.insert((gateway_id, key_id));
                        self.server_sends(link, s, Message::Flight(flight))?;
                        Ok(Some(ServerEnd::Handshake {
                            gateway_id,
                            state: *state,
                        }))
                    }
                    Ok(ServerStep::Done(session)) => self.server_proved(link, s, g, *session),
                }
            }
            (
                ServerEnd::Live {
                    session,
                    scope: Scope::Enrolment,
                    ..
                },
                Message::Nonce(nonce),
            ) => self.server_binds(link, s, g, session, nonce),
            // Some time later it shakes hands anew; it may also use the session for a while.
            (
                end @ ServerEnd::Live {
                    scope: Scope::Full, ..
                },
                Message::Installed,
            ) => Ok(Some(end)),
            _ => Ok(None),
        }
    }

    fn server_proved(
        &mut self,
        link: u64,
        s: usize,
        g: usize,
        session: Session,
    ) -> Result<Option<ServerEnd>, Down> {
        let named = self.named(g, &session);
        let (key_id, mode) = (session.key_id(), session.mode());
        let older = self.fault == Some(Fault::AcceptOlder);
        let scope = self.transact(s, g, |registration, keys, now| {
            if older {
                registration.last_proved = None;
                registration.sent = keys.iter().map(|key| key.id).collect();
            }
            registration.proved(named, mode, key_id, keys, &POLICY, now)
        })?;
        let scope = match scope {
            None => return Ok(None),
            Some(Ok(scope)) => scope,
            Some(Err(error)) => {
                self.note(|| format!("server {s} takes no proof of {key_id}: {error}"));
                return Ok(None);
            }
        };
        self.counts.proofs += 1;
        self.note(|| format!("server {s} saw gateway {g} prove {key_id}: {scope:?}"));
        self.check_accepted(g, &session);
        let live = |session| ServerEnd::Live {
            session,
            scope,
            nonce: None,
        };
        match scope {
            Scope::Full => Ok(Some(live(session))),
            Scope::Enrolment => {
                self.server_sends(link, s, Message::AskNonce)?;
                Ok(Some(live(session)))
            }
            Scope::InstallsOnly => self.server_installs(link, s, g, live(session)),
        }
    }

    fn server_binds(
        &mut self,
        link: u64,
        s: usize,
        g: usize,
        session: Session,
        nonce: EnrolmentNonce,
    ) -> Result<Option<ServerEnd>, Down> {
        let named = self.named(g, &session);
        let key_id = session.key_id();
        let bound = self.transact(s, g, |registration, _, now| {
            registration.bind(named, key_id, &nonce, now)
        })?;
        match bound {
            Some(Ok(())) => {}
            None => return Ok(None),
            Some(Err(error)) => {
                self.note(|| format!("server {s} does not bind the token {key_id}: {error}"));
                return Ok(None);
            }
        }
        let end = ServerEnd::Live {
            session,
            scope: Scope::Enrolment,
            nonce: Some(nonce),
        };
        self.server_installs(link, s, g, end)
    }

    /// Sends the current key through a session under another.
    pub(super) fn server_installs(
        &mut self,
        link: u64,
        s: usize,
        g: usize,
        end: ServerEnd,
    ) -> Result<Option<ServerEnd>, Down> {
        let ServerEnd::Live {
            session,
            scope,
            nonce,
        } = end
        else {
            return Ok(Some(end));
        };
        let plan = self.plan(s, g, &session, nonce)?;
        let end = ServerEnd::Live {
            session,
            scope,
            nonce,
        };
        let plan = match plan {
            Some(Ok(Some(plan))) => plan,
            Some(Ok(None) | Err(InstallRefusal::NotBound)) => return Ok(Some(end)),
            None | Some(Err(_)) => return Ok(None),
        };
        let ServerEnd::Live { session, .. } = &end else {
            return Ok(None);
        };
        self.check_install(g, session, nonce, plan.new);
        let Some(new) = self.repository.master_key(plan.new, session.gateway_id()) else {
            return Ok(None);
        };
        let (key_id, install) = (
            session.key_id(),
            Message::Install {
                new: plan.new,
                replaced: plan.replaced,
                wrapped: session.wrap(plan.new, &new.key),
            },
        );
        self.note(|| {
            format!(
                "server {s} installs {} at gateway {g} under {key_id}",
                plan.new
            )
        });
        self.server_sends(link, s, install)?;
        Ok(Some(end))
    }

    fn plan(
        &mut self,
        s: usize,
        g: usize,
        session: &Session,
        nonce: Option<EnrolmentNonce>,
    ) -> Result<Option<Result<Option<InstallPlan>, InstallRefusal>>, Down> {
        let named = self.named(g, session);
        let key_id = session.key_id();
        let fault = self.fault;
        self.transact(s, g, |registration, keys, now| {
            let bound = registration.token.as_ref().and_then(|token| token.bound);
            let nonce = match fault {
                Some(Fault::ForgetNonce) => bound,
                _ => nonce,
            };
            let before = registration.clone();
            let stale: Vec<_>;
            let keys = match keys.iter().rposition(|key| key.withdrawn) {
                Some(at) if fault == Some(Fault::SendWithdrawn) => {
                    let before = keys[..=at].iter();
                    stale = before
                        .map(|key| GatewayKeyInfo {
                            withdrawn: false,
                            ..*key
                        })
                        .collect();
                    &stale
                }
                _ => keys,
            };
            let plan = registration.plan_install(named, key_id, nonce.as_ref(), keys, &POLICY, now);
            if fault == Some(Fault::ForgetSent) {
                *registration = before;
            }
            plan
        })
    }

    /// A call, where the session may carry one.
    pub(super) fn server_calls(
        &mut self,
        link: u64,
        s: usize,
        g: usize,
        end: &ServerEnd,
    ) -> Result<(), Down> {
        let ServerEnd::Live { session, scope, .. } = end else {
            return Ok(());
        };
        let (named, key_id, scope) = (self.named(g, session), session.key_id(), *scope);
        let unchecked = self.fault == Some(Fault::CallUnderOutdated);
        let may = self.transact(s, g, |stored, keys, _| {
            let mut registration = stored.clone();
            if unchecked && registration.gateway_id == named && registration.last_proved.is_some() {
                registration.last_proved = Some(key_id);
            }
            registration.may_call(named, scope, key_id, keys)
        })?;
        if may == Some(true) {
            self.check_call(g, session);
            self.server_sends(link, s, Message::Call)?;
        }
        Ok(())
    }

    pub(super) fn server_sends(
        &mut self,
        link: u64,
        s: usize,
        message: Message,
    ) -> Result<(), Down> {
        self.crash_point(Process::Server(s))?;
        if let Some(link) = self.links.get_mut(&link) {
            link.to_gateway.push_back(message);
        }
        self.crash_point(Process::Server(s))
    }

    /// The gateway id that a step names: the session's own.
    fn named(&self, g: usize, session: &Session) -> GatewayId {
        match self.fault {
            Some(Fault::ForgetRegistration) => self.repository.stored(g).gateway_id,
            _ => session.gateway_id(),
        }
    }

    /// The id of the current gateway key.
    pub(super) fn current_id(&self) -> Option<KeyId> {
        self.repository.current().map(|key| key.id)
    }
}

/// The registration as if nobody had ever proved a key for it.
fn unproved(registration: &Registration) -> Registration {
    let mut registration = registration.clone();
    registration.last_proved = None;
    if let Some(token) = &mut registration.token {
        token.bound = None;
    }
    registration
}
