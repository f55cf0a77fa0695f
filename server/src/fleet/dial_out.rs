//! Gateways that dial out: who names itself as one of them gets a handshake.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use portcullis_common::handshake::Preamble;
use portcullis_common::stream::{self, HalfOpen};
use portcullis_host::limit::Seldom;
use portcullis_proto::gateway::v1::RedialRequest;
use portcullis_tls::{TlsError, Transport};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout_at};

use super::dial::{early, prepare};
use super::establish::{Arrival, LinkError, Step};
use super::link::{Link, Origin};
use super::roster::REPLACEMENT;
use super::{Fleet, tls};
use crate::repository::{Gateway, GatewayRef, Reach, tell_refusal};

/// When whoever named itself is refused, counted from the reading of its name: longer than it takes
/// to look up whether there is such a gateway and whether it may come in.
const REFUSAL_PAUSE: Duration = Duration::from_millis(25);
/// Longer than any first message, in bytes.
const MAX_PREAMBLE: usize = 512;
/// How long accepting rests after the system refused it (no file descriptor left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

impl Fleet {
    /// Accepts gateways for as long as the server runs.
    pub(super) async fn accept_gateways(self, listener: TcpListener) {
        let half_open = HalfOpen::new(self.inner.settings.half_open);
        let mut failures = Seldom::default();
        loop {
            let (io, remote) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) if stream::is_of_one_connection(&error) => continue,
                Err(error) => {
                    if let Some(untold) = failures.admit() {
                        tracing::warn!(%error, untold, "cannot accept a connection");
                    }
                    sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if self.gives_away() {
                // The gateway tries its next server at once.
                tracing::debug!(%remote, "a connection is left to the other servers: this one is drained");
                continue;
            }
            let Some(permit) = half_open.admit(remote.ip()).await else {
                self.inner.measured.turned_away();
                if self.inner.strangers.ready() {
                    tracing::warn!(%remote, "turned away: its address has too many handshakes half-open");
                }
                continue;
            };
            let fleet = self.clone();
            tokio::spawn(async move {
                let deadline = permit.deadline();
                let link = match permit
                    .guard(Box::pin(fleet.welcome(io, remote, deadline)))
                    .await
                {
                    Ok(Some(link)) => link,
                    Ok(None) => return,
                    Err(error) => {
                        tracing::debug!(%remote, %error, "a connection came to nothing");
                        return;
                    }
                };
                fleet.go_on(link).await;
            });
        }
    }

    /// Finds out who it is, and shakes hands. `None`: it is nobody.
    async fn welcome(&self, io: TcpStream, remote: SocketAddr, deadline: Instant) -> Option<Link> {
        prepare(&io);
        let mut io = self.receive(io, remote, deadline).await?;
        let limits = self.inner.settings.limits.until(deadline);
        let arrival = match stream::read_preamble(&mut io, &limits).await {
            Ok(preamble) => Arrival {
                preamble,
                refused_at: Instant::now() + REFUSAL_PAUSE,
            },
            Err(error) => {
                self.inner.measured.nameless();
                tracing::debug!(%remote, %error, "a connection came to nothing");
                return None;
            }
        };
        let Some(gateway) = self.identify(&arrival.preamble, remote).await else {
            self.inner.measured.stranger();
            arrival.refuse(&mut io).await;
            return None;
        };
        let fits = tls::fits(&io, &gateway);
        if let Err(error) = &fits {
            self.inner.measured.shaken(&fits);
            arrival.refuse(&mut io).await;
            self.note_of_stranger(&gateway.name, error).await;
            return None;
        }
        let origin = Origin {
            gateway: gateway.name.clone(),
            remote_address: remote.to_string(),
            dialled_out: true,
            enrolled: false,
            tls: io.is_tls(),
            grant: None,
        };
        let gateway_id = gateway.registration.gateway_id;
        match self
            .shake_hands(io, Some(&arrival), gateway_id, origin, deadline)
            .await
        {
            Ok(link) => Some(link),
            Err(error) => {
                self.note_of_stranger(&gateway.name, &error).await;
                None
            }
        }
    }

    /// With TLS around it, where the peer speaks TLS. `None`: it came to nothing.
    async fn receive(
        &self,
        io: TcpStream,
        remote: SocketAddr,
        deadline: Instant,
    ) -> Option<Transport> {
        let named = match self.tls().requires() {
            true => without_tls(&io, deadline).await,
            false => None,
        };
        match self.tls().receive(io, deadline).await {
            Ok(io) => Some(io),
            Err(error @ (TlsError::HungUp { .. } | TlsError::Io(_) | TlsError::Silent { .. })) => {
                self.inner.measured.nameless();
                tracing::debug!(%remote, %error, "a connection came to nothing");
                None
            }
            Err(error) => {
                if self.inner.strangers.ready() {
                    tracing::warn!(%remote, %error, "a connection came to nothing");
                }
                let error = LinkError::from(error);
                // It was refused already, whoever it is: he learns nothing by that.
                if let Some(preamble) = named
                    && let Some(gateway) = self.identify(&preamble, remote).await
                {
                    self.note_of_stranger(&gateway.name, &error).await;
                }
                self.inner.measured.shaken::<()>(&Err(error));
                None
            }
        }
    }

    /// Stores why somebody who named this gateway was not let in. Anybody can: a crowd of strangers
    /// is not to keep the disk busy.
    async fn note_of_stranger(&self, gateway: &str, error: &LinkError) {
        if self.inner.roster.may_note(gateway) {
            self.note_failure(gateway, &error.to_string()).await;
        }
    }

    async fn go_on(&self, link: Link) {
        let gateway = link.gateway.clone();
        match self.follow_up(link).await {
            Ok(Step::Live(link)) => self.replace_when_old(&link),
            Ok(Step::ShakeHandsAnew) => self.inner.roster.await_link(&gateway),
            Err(error @ LinkError::Overtaken) => {
                tracing::info!(gateway, %error, "no link");
            }
            Err(error) => self.note_failure(&gateway, &error.to_string()).await,
        }
    }

    /// The gateway that is named, where it is registered to dial out.
    async fn identify(&self, preamble: &Preamble, remote: SocketAddr) -> Option<Gateway> {
        let named: GatewayRef = match preamble {
            Preamble::Id(id) => (*id).into(),
            Preamble::Name(name) => name.as_str().into(),
        };
        let found = self.inner.repository.gateways().find(named).await;
        let gateway = match found {
            Ok(gateway) => gateway.filter(|gateway| gateway.reach == Reach::DialOut),
            Err(error) => {
                if self.inner.strangers.ready() {
                    tell_refusal!(error, %remote, ?preamble, "cannot look up a gateway that dialled");
                }
                return None;
            }
        };
        if gateway.is_none() && self.inner.strangers.ready() {
            tracing::info!(%remote, ?preamble, "a gateway dialled that is not registered to dial out");
        }
        gateway
    }

    /// Asks for the successor of a link that the gateway opened, which carries calls meanwhile. A
    /// gateway of an earlier version knows no such request, and dials again when its session ends.
    pub(super) async fn ask_for_successor(self, link: Weak<Link>) {
        asked_to_redial(&link).await;
        // Unless its successor has taken its place.
        if let Some(link) = link.upgrade() {
            self.inner.roster.dismiss(&link);
        }
    }

    /// Has the gateway that opened a link dial again, and so find another server. Where it finds
    /// none, the link stays.
    pub(super) async fn ask_to_go(self, link: Weak<Link>) {
        asked_to_redial(&link).await;
        if let Some(link) = link.upgrade() {
            self.inner.roster.give_up(&link.gateway);
        }
    }

    fn replace_when_old(&self, link: &Arc<Link>) {
        let fleet = self.clone();
        let session = Arc::clone(link.session());
        let link = Arc::downgrade(link);
        let age = early(self.inner.settings.max_session_age);
        tokio::spawn(async move {
            tokio::select! {
                () = session.closed() => {}
                () = sleep(age) => {
                    if let Some(link) = link.upgrade() {
                        fleet.succeed(&link);
                    }
                }
            }
        });
    }
}

/// Asks the gateway that opened a link to dial again. Returns once the link is closed, or nobody
/// has to be waited for any more.
async fn asked_to_redial(link: &Weak<Link>) {
    let Some((session, mut control)) = link
        .upgrade()
        .map(|link| (Arc::clone(link.session()), link.control()))
    else {
        return;
    };
    let deadline = Instant::now() + REPLACEMENT;
    let asked = timeout_at(deadline, control.redial(RedialRequest {})).await;
    // The connection closes with the last who can send requests over it.
    drop(control);
    if matches!(asked, Ok(Ok(_))) {
        let _ = timeout_at(deadline, session.closed()).await;
    }
}

/// As whom somebody names himself who came without TLS, so that an administrator of that gateway is
/// told what it lacks. Nothing is taken from the connection.
async fn without_tls(io: &TcpStream, deadline: Instant) -> Option<Preamble> {
    let mut said = [0; MAX_PREAMBLE];
    let length = timeout_at(deadline, io.peek(&mut said)).await.ok()?.ok()?;
    Preamble::decode(said.get(..length)?).ok()
}
