//! Gateways and the sessions with them: the product's state machines on both sides, with a fault at
//! any message and any durable store.

use portcullis_common::crypto::kdf;
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{InitiatorConfig, Preamble, ResponderConfig};
use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{
    EnrolmentNonce, EnrolmentToken, GatewayRecord, HeldKey, Identity, InstallRefusal, Policy,
    RunId, Scope,
};
use portcullis_server::keys::gateway_keys::diversified;
use rand::RngExt;

use super::Fault;
use super::world::{Stop, World};
use crate::simulation::channel::{
    GatewayHandshake, GatewayStep, ServerHandshake, ServerStep, Session,
};

pub(super) const DAY: u64 = 24 * 60 * 60 * 1000;
pub(super) const POLICY: Policy = Policy {
    retired_key_grace_ms: 90 * DAY,
};

/// What goes wrong at one of the steps of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkFault {
    /// The message does not arrive, and the link is gone.
    Lost,
    /// Whoever sent it dies right after.
    SenderDies,
    /// The gateway dies before what it learned is stored.
    DiesBeforeStore,
    /// The gateway dies once it is stored.
    DiesAfterStore,
}

/// A fault at the step of this number.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlannedLink {
    pub(super) step: u32,
    pub(super) fault: LinkFault,
}

pub(super) struct Gateway {
    pub(super) name: String,
    /// What lies on its disk.
    pub(super) stored: Vec<u8>,
    run: RunId,
    /// Handed to its operator, and not given to it yet.
    pub(super) token: Option<EnrolmentToken>,
    /// It was told to enrol again, or has to: what it holds need not be of use.
    pub(super) excused: bool,
    pub(super) registered: GatewayId,
}

/// A session as it goes: who is still there.
#[derive(Default)]
struct Course {
    step: u32,
    plan: Option<PlannedLink>,
    server_gone: bool,
    gateway_gone: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Server,
    Gateway,
}

impl Gateway {
    pub(super) fn new(name: String, registered: GatewayId, run: RunId) -> Self {
        Self {
            name,
            stored: GatewayRecord::empty().encode().to_vec(),
            run,
            token: None,
            excused: true,
            registered,
        }
    }
}

impl World {
    pub(super) fn record(&mut self, g: usize) -> GatewayRecord {
        match GatewayRecord::decode(&self.gateways[g].stored) {
            Ok(record) => record,
            Err(error) => {
                self.broken(|| format!("gateway {g} cannot read its own record: {error}"));
                GatewayRecord::empty()
            }
        }
    }

    /// The operator gives the gateway its token.
    pub(super) fn enrol(&mut self, g: usize) {
        let Some(token) = self.gateways[g].token.take() else {
            return;
        };
        let record = self.record(g);
        match record.enrol(&token, true, &mut self.rng) {
            Ok(record) => self.gateways[g].stored = record.encode().to_vec(),
            Err(error) => self.broken(|| format!("gateway {g} does not take its token: {error}")),
        }
    }

    /// One connection: a handshake, what follows from it, and an install where one is owed.
    pub(super) async fn connect(
        &mut self,
        g: usize,
        plan: Option<PlannedLink>,
    ) -> Result<(), Stop> {
        let mut course = Course {
            plan,
            ..Course::default()
        };
        let dials = self.rng.random();
        let Some((gateway, preamble)) = self.gateway_begins(g, dials, &mut course)? else {
            return Err(Stop::Refused("the gateway holds no key".to_owned()));
        };
        let (session, peer) = self
            .shake_hands(g, gateway, preamble.as_ref(), &mut course)
            .await?;
        let (name, id, mode) = (
            self.gateways[g].name.clone(),
            session.gateway_id(),
            session.mode(),
        );
        let (key_id, now) = (session.key_id(), self.now);
        // A proof of anything else than the token uses the token up.
        let enrolment = self.record(g).enrolment();
        if enrolment.is_none_or(|(token, _)| token != key_id) {
            let registered = self.gateways[g].registered;
            self.model.token_used(registered);
        }
        let proved = self
            .repository()?
            .gateways()
            .update(&*name, move |registration, keys| {
                registration.proved(id, mode, key_id, keys, &POLICY, now)
            })
            .await;
        let scope = self.stored("a proof", proved)?;
        let scope = scope.map_err(|error| Stop::Refused(error.to_string()))?;
        self.counts.proofs += 1;
        self.note(|| format!("gateway {g} proved {key_id}: {scope:?}"));
        let nonce = match scope {
            Scope::Enrolment => Some(self.bind(g, &session, &mut course).await?),
            Scope::Full | Scope::InstallsOnly => None,
        };
        self.install(g, &session, &peer, nonce, &mut course).await
    }

    fn gateway_begins(
        &mut self,
        g: usize,
        dials: bool,
        course: &mut Course,
    ) -> Result<Option<(GatewayHandshake, Option<Preamble>)>, Stop> {
        let (run, now) = (self.gateways[g].run, self.now);
        let begin = self.record(g).begin(run, now);
        if let Some(record) = begin.store {
            self.store(g, &record, course)?;
        }
        if matches!(begin.identity, Identity::None) {
            return Ok(None);
        }
        let config = ResponderConfig {
            suites: Suite::ALL.to_vec(),
            identity: begin.identity,
        };
        Ok(GatewayHandshake::start(config, dials).ok())
    }

    /// Both ends' sessions.
    async fn shake_hands(
        &mut self,
        g: usize,
        gateway: GatewayHandshake,
        preamble: Option<&Preamble>,
        course: &mut Course,
    ) -> Result<(Session, Session), Stop> {
        let refused = |what: &str| Stop::Refused(format!("the handshake ended at {what}"));
        let config = self.initiator_config(g).await?;
        let (server, flight) = ServerHandshake::start(config, preamble, &mut self.rng)
            .map_err(|_| refused("message 1"))?;
        self.deliver(End::Server, g, course)?;
        let Ok(GatewayStep::Send(gateway, flight)) = gateway.handle(&flight, &mut self.rng) else {
            return Err(refused("message 2"));
        };
        self.deliver(End::Gateway, g, course)?;
        let Ok(ServerStep::Send(server, flight, _)) = server.handle(&flight, &mut self.rng) else {
            return Err(refused("message 3"));
        };
        self.deliver(End::Server, g, course)?;
        let Ok(GatewayStep::Proved(finish)) = gateway.handle(&flight, &mut self.rng) else {
            return Err(refused("message 4"));
        };
        let (run, now) = (self.gateways[g].run, self.now);
        match self.record(g).proved(finish.proved(), run, now) {
            Ok(Some(record)) => self.store(g, &record, course)?,
            Ok(None) => {}
            Err(error) => return Err(Stop::Refused(error.to_string())),
        }
        let (peer, flight) = finish.send();
        self.deliver(End::Gateway, g, course)?;
        match server.handle(&flight, &mut self.rng) {
            Ok(ServerStep::Done(session)) => Ok((*session, peer)),
            _ => Err(refused("its end")),
        }
    }

    async fn initiator_config(&mut self, g: usize) -> Result<InitiatorConfig, Stop> {
        let (name, now) = (self.gateways[g].name.clone(), self.now);
        let repository = self.repository()?;
        let offer = repository
            .gateways()
            .update(&*name, move |registration, keys| {
                let offer = registration.begin(keys, &POLICY, now);
                offer.map(|offer| (offer, registration.gateway_id))
            })
            .await;
        let offer = self.stored("an offer", offer)?;
        let (offer, gateway_id) = offer.map_err(|refusal| Stop::Refused(refusal.to_string()))?;
        let mut keys = self.master_keys(gateway_id, &offer.gateway_keys).await?;
        keys.extend(offer.token.map(|(id, key)| HeldKey { id, key }));
        let pairing = match offer.pairing {
            Some(id) => self.master_keys(gateway_id, &[id]).await?.pop(),
            None => None,
        };
        Ok(InitiatorConfig {
            server_id: self.server_id,
            suites: Suite::ALL.to_vec(),
            gateway_id,
            keys,
            pairing,
        })
    }

    async fn master_keys(
        &mut self,
        gateway_id: GatewayId,
        ids: &[KeyId],
    ) -> Result<Vec<HeldKey>, Stop> {
        let opened = diversified(&self.repository()?, gateway_id, ids).await;
        let held = self.opened("gateway keys", opened)?;
        for key in &held {
            let id = key.id;
            self.needles
                .add(key.key.expose(), || format!("a master key of {id}"));
        }
        Ok(held)
    }

    async fn bind(
        &mut self,
        g: usize,
        session: &Session,
        course: &mut Course,
    ) -> Result<EnrolmentNonce, Stop> {
        self.deliver(End::Server, g, course)?;
        let nonce = self.record(g).enrolment();
        let Some((_, nonce)) = nonce.filter(|(id, _)| *id == session.key_id()) else {
            return Err(Stop::Refused("the gateway enrols no more".to_owned()));
        };
        self.deliver(End::Gateway, g, course)?;
        let (name, id, key_id) = (
            self.gateways[g].name.clone(),
            session.gateway_id(),
            session.key_id(),
        );
        let now = self.now;
        let bound = self
            .repository()?
            .gateways()
            .update(&*name, move |registration, _| {
                registration.bind(id, key_id, &nonce, now)
            })
            .await;
        let bound = self.stored("a nonce", bound)?;
        bound.map_err(|error| Stop::Refused(error.to_string()))?;
        Ok(nonce)
    }

    async fn install(
        &mut self,
        g: usize,
        session: &Session,
        peer: &Session,
        nonce: Option<EnrolmentNonce>,
        course: &mut Course,
    ) -> Result<(), Stop> {
        let (name, id, key_id) = (
            self.gateways[g].name.clone(),
            session.gateway_id(),
            session.key_id(),
        );
        let (now, forget) = (self.now, self.fault == Some(Fault::ForgetSent));
        let plan = self
            .repository()?
            .gateways()
            .update(&*name, move |registration, keys| {
                let before = registration.clone();
                let plan =
                    registration.plan_install(id, key_id, nonce.as_ref(), keys, &POLICY, now);
                if forget {
                    *registration = before;
                }
                plan
            })
            .await;
        let plan = match self.stored("an install", plan)? {
            Ok(Some(plan)) => plan,
            Ok(None) => return Ok(()),
            Err(error @ InstallRefusal::TooManyUnproved) => {
                return Err(Stop::Refused(error.to_string()));
            }
            Err(error) => return Err(Stop::Refused(error.to_string())),
        };
        let keys = self.master_keys(id, &[plan.new]).await?;
        let Some(new) = keys.first() else {
            return Err(Stop::Refused("no key to install".to_owned()));
        };
        let wrapped = session.wrap(plan.new, &new.key);
        self.deliver(End::Server, g, course)?;
        let Some(key) = peer.unwrap(plan.new, &wrapped) else {
            self.broken(|| format!("gateway {g} cannot open an install of its session"));
            return Err(Stop::Lost);
        };
        let new = HeldKey { id: plan.new, key };
        match self.record(g).install(peer.key_id(), plan.replaced, new) {
            Ok(record) => self.store(g, &record, course)?,
            Err(error) => return Err(Stop::Refused(error.to_string())),
        }
        self.counts.installs += 1;
        self.note(|| format!("gateway {g} took {}", plan.new));
        self.deliver(End::Gateway, g, course)
    }

    /// A message is on its way; whoever it reaches acts on it, also where its sender is dead by
    /// then.
    fn deliver(&mut self, from: End, g: usize, course: &mut Course) -> Result<(), Stop> {
        let gone = match from {
            End::Server => course.server_gone,
            End::Gateway => course.gateway_gone,
        };
        // Whoever died after its last message sends no more; what reaches it then is lost.
        if gone || (from == End::Gateway && course.server_gone) {
            return Err(Stop::Down);
        }
        if course.gateway_gone {
            return Err(Stop::Lost);
        }
        self.counts.messages += 1;
        match course.next() {
            Some(LinkFault::Lost) => {
                self.counts.lost += 1;
                self.note(|| format!("a message of gateway {g} is lost"));
                Err(Stop::Lost)
            }
            Some(LinkFault::SenderDies) if from == End::Server => {
                self.note(|| "the server dies after sending".to_owned());
                self.counts.died_after_sending += 1;
                self.points().die();
                course.server_gone = true;
                Ok(())
            }
            Some(_) if from == End::Gateway => {
                self.gateway_dies(g, "after sending");
                course.gateway_gone = true;
                Ok(())
            }
            Some(_) => {
                self.gateway_dies(g, "before it reads a message");
                Err(Stop::Lost)
            }
            None => Ok(()),
        }
    }

    /// The gateway's durable store.
    fn store(&mut self, g: usize, record: &GatewayRecord, course: &mut Course) -> Result<(), Stop> {
        let fault = course.next();
        if matches!(fault, Some(LinkFault::Lost | LinkFault::DiesBeforeStore)) {
            self.gateway_dies(g, "before a store");
            return Err(Stop::Lost);
        }
        self.gateways[g].stored = record.encode().to_vec();
        self.note(|| format!("gateway {g} stores {record:?}"));
        if fault.is_some() {
            self.gateway_dies(g, "after a store");
            return Err(Stop::Lost);
        }
        Ok(())
    }

    fn gateway_dies(&mut self, g: usize, when: &str) {
        self.counts.gateway_crashes += 1;
        self.note(|| format!("gateway {g} dies {when}"));
        self.gateways[g].run = RunId::random(&mut self.rng);
    }

    /// Would a handshake succeed: does the gateway hold one of the keys that the server would list,
    /// the very same key?
    pub(super) async fn shares_a_key(&mut self, g: usize) -> Result<bool, Stop> {
        let (run, now) = (self.gateways[g].run, self.now);
        let Identity::Keyed {
            gateway_id,
            keys: held,
        } = self.record(g).begin(run, now).identity
        else {
            return Ok(false);
        };
        let name = self.gateways[g].name.clone();
        let repository = self.repository()?;
        let offer = repository
            .gateways()
            .look(&*name, move |registration, keys| {
                let id = registration.gateway_id;
                let offer = registration.clone().begin(keys, &POLICY, now).ok();
                offer.filter(|_| id == gateway_id)
            })
            .await;
        let Some(offer) = self.stored("a look", offer)? else {
            return Ok(false);
        };
        for id in offer.gateway_keys {
            let Some(ours) = held.iter().find(|held| held.id == id) else {
                continue;
            };
            let opened = repository.gateway_keys().open(&[id]).await;
            let opened = self.opened("a gateway key", opened)?;
            let same = |key| kdf::diversify(key, gateway_id).expose() == ours.key.expose();
            return Ok(opened.first().is_some_and(same));
        }
        let token = offer
            .token
            .filter(|(id, _)| held.iter().any(|held| held.id == *id));
        Ok(token.is_some())
    }

    /// It holds the current key and nothing else, and the server knows.
    pub(super) async fn is_current(&mut self, g: usize) -> Result<bool, Stop> {
        let record = self.record(g);
        let name = self.gateways[g].name.clone();
        let repository = self.repository()?;
        let current = repository.gateway_keys().current().await;
        let current = self.stored("the current key", current)?;
        let synchronized = repository
            .gateways()
            .look(&*name, |registration, keys| registration.synchronized(keys))
            .await;
        Ok(self.stored("a look", synchronized)?
            && record.active_key_id() == current
            && record.pending_key_id().is_none()
            && self.shares_a_key(g).await?)
    }
}

impl Course {
    fn next(&mut self) -> Option<LinkFault> {
        let step = self.step;
        self.step += 1;
        let plan = self.plan.filter(|plan| plan.step == step);
        plan.map(|plan| plan.fault)
    }
}
