//! A gateway's process: one durable record, read afresh and stored before each act.

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{Mode, Preamble, ResponderConfig};
use portcullis_common::id::KeyId;
use portcullis_common::rotation::{
    EnrolmentToken, GatewayRecord, HeldKey, Identity, RunId, UnixMillis,
};
use rand::RngExt;

use super::Fault;
use super::channel::{self, Finish, GatewayHandshake, GatewayStep, Session};
use super::link::{GatewayEnd, Message};
use super::repository::MINUTE;
use super::world::{Down, Process, World};

pub(super) struct Gateway {
    /// What lies on its disk.
    pub(super) stored: Vec<u8>,
    pub(super) run: RunId,
    /// How often it was started.
    pub(super) starts: u64,
    /// What the administrator handed to its operator and was not given to it yet.
    pub(super) token: Option<EnrolmentToken>,
    /// Its operator may pair it.
    pub(super) may_pair: bool,
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

    /// Reads the record, changes it and stores it, as under the key store's lock.
    fn store<T>(
        &mut self,
        g: usize,
        change: impl FnOnce(&GatewayRecord) -> (T, Option<GatewayRecord>),
    ) -> Result<T, Down> {
        let old = self.record(g);
        let (result, new) = change(&old);
        if let Some(new) = new {
            self.crash_point(Process::Gateway(g))?;
            self.check_stored(g, &old, &new);
            self.gateways[g].stored = new.encode().to_vec();
            self.note(|| format!("gateway {g} stores {new:?}"));
            self.crash_point(Process::Gateway(g))?;
        }
        Ok(result)
    }

    /// What the gateway brings to a new connection; `None` where it refuses every session.
    pub(super) fn gateway_begins(
        &mut self,
        g: usize,
        dials: bool,
    ) -> Result<Option<(GatewayHandshake, Option<Preamble>)>, Down> {
        let (run, now) = (self.gateways[g].run, self.now);
        let identity = self.store(g, |record| {
            let begin = record.begin(run, now);
            (begin.identity, begin.store)
        })?;
        match identity {
            Identity::None => return Ok(None),
            Identity::Pairing => self.check_pairing(g),
            Identity::Keyed { .. } => {}
        }
        let suites = Suite::ALL.to_vec();
        Ok(GatewayHandshake::start(ResponderConfig { suites, identity }, dials).ok())
    }

    pub(super) fn gateway_receives(
        &mut self,
        link: u64,
        g: usize,
        end: GatewayEnd,
        message: Message,
    ) -> Result<Option<GatewayEnd>, Down> {
        match (end, message) {
            (GatewayEnd::Handshake(state), Message::Flight(flight)) => {
                match state.handle(&flight, &mut self.rng) {
                    Err(_) => Ok(None),
                    Ok(GatewayStep::Send(state, flight)) => {
                        self.gateway_sends(link, g, Message::Flight(flight))?;
                        Ok(Some(GatewayEnd::Handshake(state)))
                    }
                    Ok(GatewayStep::Proved(finish)) => self.gateway_proved(link, g, finish),
                }
            }
            (GatewayEnd::Live { session, enrolment }, Message::AskNonce) => {
                self.gateway_asked_for_nonce(link, g, session, enrolment)
            }
            (
                GatewayEnd::Live { session, enrolment },
                Message::Install {
                    new,
                    replaced,
                    wrapped,
                },
            ) => {
                let Some(key) = session.unwrap(new, &wrapped) else {
                    self.broken(|| format!("gateway {g} cannot open an install of its session"));
                    return Ok(None);
                };
                let new = HeldKey { id: new, key };
                if self.gateway_installs(g, session.key_id(), replaced, new)? {
                    self.counts.installs += 1;
                    self.gateway_sends(link, g, Message::Installed)?;
                    Ok(Some(GatewayEnd::Live { session, enrolment }))
                } else {
                    Ok(None)
                }
            }
            (GatewayEnd::Live { session, enrolment }, Message::Call) => {
                if enrolment {
                    self.broken(|| format!("gateway {g} got a call in an enrolment session"));
                }
                self.counts.calls += 1;
                Ok(Some(GatewayEnd::Live { session, enrolment }))
            }
            _ => Ok(None),
        }
    }

    fn gateway_asked_for_nonce(
        &mut self,
        link: u64,
        g: usize,
        session: Session,
        enrolment: bool,
    ) -> Result<Option<GatewayEnd>, Down> {
        let nonce = self.record(g).enrolment();
        let nonce = nonce.filter(|(id, _)| enrolment && *id == session.key_id());
        let Some((_, mut nonce)) = nonce else {
            return Ok(None);
        };
        if self.fault == Some(Fault::FreshNonce) {
            self.rng.fill(&mut nonce);
        }
        self.gateway_sends(link, g, Message::Nonce(nonce))?;
        Ok(Some(GatewayEnd::Live { session, enrolment }))
    }

    fn gateway_proved(
        &mut self,
        link: u64,
        g: usize,
        finish: Finish,
    ) -> Result<Option<GatewayEnd>, Down> {
        let early = self.fault == Some(Fault::FinishBeforeStore);
        let proved = finish.proved().clone();
        let (session, flight) = finish.send();
        let mut flight = Some(flight);
        if early && let Some(flight) = flight.take() {
            self.gateway_sends(link, g, Message::Flight(flight))?;
        }
        let (run, now) = (self.gateways[g].run, self.now);
        let kept = self.store(g, |record| match record.proved(&proved, run, now) {
            Ok(changed) => (true, changed),
            Err(_) => (false, None),
        })?;
        if !kept {
            return Ok(None);
        }
        if proved.mode == Mode::Default {
            self.counts.pairings += 1;
        }
        let enrolment = self
            .record(g)
            .enrolment()
            .is_some_and(|(id, _)| id == session.key_id());
        if let Some(flight) = flight {
            self.gateway_sends(link, g, Message::Flight(flight))?;
        }
        Ok(Some(GatewayEnd::Live { session, enrolment }))
    }

    fn gateway_installs(
        &mut self,
        g: usize,
        session_key: KeyId,
        replaced: KeyId,
        new: HeldKey,
    ) -> Result<bool, Down> {
        let fault = self.fault;
        let run = self.gateways[g].run;
        self.store(g, |record| {
            let active = record
                .active_key_id()
                .or(record.enrolment().map(|(id, _)| id));
            let (session_key, replaced) = match (fault, active) {
                (Some(Fault::InstallUnmatched), Some(active)) => (active, active),
                _ => (session_key, replaced),
            };
            match record.install(session_key, replaced, new.clone()) {
                Err(_) => (false, None),
                Ok(record) if fault == Some(Fault::PromoteBeforeProof) => {
                    let promoted = record.gateway_id().and_then(|gateway_id| {
                        let proved = channel::unproved(gateway_id, new.id);
                        record.proved(&proved, run, UnixMillis(0)).ok().flatten()
                    });
                    (true, promoted.or(Some(record)))
                }
                Ok(record) => (true, Some(record)),
            }
        })
    }

    fn gateway_sends(&mut self, link: u64, g: usize, message: Message) -> Result<(), Down> {
        self.crash_point(Process::Gateway(g))?;
        if let Some(link) = self.links.get_mut(&link) {
            link.to_server.push_back(message);
        }
        self.crash_point(Process::Gateway(g))
    }

    /// `portcullis-gateway enroll --replace`, where the operator was handed a token.
    pub(super) fn operator_enrols(&mut self, g: usize) -> Result<(), Down> {
        let Some(token) = self.gateways[g].token.take() else {
            return Ok(());
        };
        self.note(|| format!("the operator of gateway {g} enrols it by {token:?}"));
        self.by_hand = true;
        let mut rng = self.fork();
        let result = self.store(g, |record| ((), record.enrol(&token, true, &mut rng).ok()));
        self.by_hand = false;
        if result.is_err() {
            // It cannot be told whether it was taken: the operator gives the same command again.
            self.gateways[g].token = Some(token);
        }
        result
    }

    /// `portcullis-gateway pair --for 10m`.
    pub(super) fn operator_pairs(&mut self, g: usize) -> Result<(), Down> {
        if !self.gateways[g].may_pair {
            return Ok(());
        }
        let until = self.now.plus(10 * MINUTE);
        self.note(|| format!("the operator of gateway {g} opens pairing"));
        self.store(g, |record| ((), record.open_pairing(until).ok()))
    }
}
