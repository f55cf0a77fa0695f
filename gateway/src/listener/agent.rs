//! What all sessions of one run share, and the way from a byte stream to a served session.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{Preamble, ResponderConfig};
use portcullis_common::rotation::Identity;
use portcullis_common::stream::{self, ChannelError, ChannelLimits, SealedStream};
use portcullis_tls::{Around, Side, Transport};
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::{Instrument as _, error, info, info_span, warn};

use super::control::Control;
use super::grants::Grants;
use super::keys::Keys;
use super::links::{Link, Links, OpenLink, Order, Scope, Turn};
use super::measured::Measured;
use super::refusals::Refusals;
use super::run::Run;
use super::serve;
use super::services::Services;
use super::status::StatusBoard;
use crate::config::Config;
use crate::connector::secret_file;
use crate::connectors::Connectors;
use crate::journal::Journal;
use crate::worker::{self, Door, Provisioner, SessionCalls};

/// How often the record is read for changes that another process made.
const REFRESH_INTERVAL: Duration = Duration::from_secs(1);

/// Within the state folder: what connectors have seen at a sync.
const SNAPSHOTS: &str = "sync";

/// Carries out calls in this process, with these connectors. What is kept of them lies in `folder`.
pub fn here(
    config: &Config,
    connectors: &Connectors,
    journal: Journal,
    folder: &Path,
) -> Provisioner {
    let limits = config.limits;
    let provisioner =
        Provisioner::with_journal(connectors, limits.calls, limits.call_timeout, journal);
    provisioner.keep_snapshots(&folder.join(SNAPSHOTS));
    provisioner
}

/// TLS as this side has it, not set up yet.
pub fn around() -> Around {
    Around::none(Side::Gateway, secret_file::read_whole)
}

/// One run of the gateway.
#[derive(Debug)]
pub struct Agent {
    /// What every session of it may use.
    pub run: Arc<Run>,
    /// The live sessions.
    pub links: Arc<Links>,
    /// Handshakes that came to nothing.
    pub refusals: Refusals,
    /// Where the calls are carried out.
    pub door: Door,
    /// TLS around the channel; none, until it is loaded.
    pub tls: Around,
    /// Handshakes, counted.
    pub measured: Measured,
    /// Limits of each channel.
    pub limits: ChannelLimits,
    suites: Vec<Suite>,
}

impl Agent {
    /// For one run under `config`, with a journal and grants that are gone with it.
    pub fn new(
        config: &Config,
        connectors: &Connectors,
        keys: Keys,
        status: StatusBoard,
        hostname: String,
    ) -> Self {
        let journal = Journal::in_memory();
        let door = here(config, connectors, journal, &config.state_dir).into();
        Self::with_door(config, door, Grants::default(), keys, status, hostname)
    }

    /// The same, with calls carried out behind this door, as these grants allow.
    pub fn with_door(
        config: &Config,
        door: Door,
        grants: Grants,
        keys: Keys,
        status: StatusBoard,
        hostname: String,
    ) -> Self {
        if let Some(fault) = grants.fault() {
            error!(name: "grant_fault", "{fault}");
            status.failed(&fault);
        }
        Self {
            run: Arc::new(Run::new(
                keys,
                status,
                hostname,
                config.limits.call_timeout,
                config.log_for_server,
            )),
            links: Arc::new(Links::new(grants)),
            refusals: Refusals::default(),
            door,
            tls: around(),
            measured: Measured::default(),
            limits: config.channel,
            suites: config.suites.clone(),
        }
    }

    /// Has new calls go to these connectors.
    pub async fn replace(&self, connectors: &Connectors) {
        self.door.replace(connectors).await;
    }

    /// Ends the sessions that were told of a worker's journal which is lost, each time that one is
    /// found to be, for ever: those after them are told of the one that there is.
    pub async fn watch_journals(&self) {
        let Door::Workers(workers) = &self.door else {
            return std::future::pending().await;
        };
        loop {
            workers.journal_lost().await;
            self.links.tell(Order::Drain, |_| true);
        }
    }

    /// Shakes hands over `io` within `limits` and enters the session that comes of it. Who dialled
    /// says first, in the preamble, who it is.
    ///
    /// # Errors
    /// [`ChannelError`] where none does.
    pub async fn shake_hands(
        &self,
        io: Transport,
        preamble: Option<&Preamble>,
        identity: Identity,
        peer: &str,
        limits: &ChannelLimits,
    ) -> Result<(SealedStream<Transport>, OpenLink), ChannelError> {
        let tls = io.is_tls();
        let config = ResponderConfig {
            suites: self.suites.clone(),
            identity,
        };
        // Nothing is served before it is known what the session may carry.
        let (mut scope, mut turn) = (Scope::Enrolment, Turn::default());
        let decided = (&mut scope, &mut turn);
        let stream = stream::accept(io, preamble, config, limits, |proved| async move {
            let turn = self.links.turn(proved.server_id);
            *decided.1 = turn.map_err(|error| error.to_string())?;
            let scope = self.run.keys.proved(proved).await;
            *decided.0 = scope.map_err(|error| error.to_string())?;
            Ok(())
        })
        .await?;
        let (info, dialled) = (*stream.session().info(), preamble.is_some());
        let open = self
            .links
            .open(info, scope, peer.to_owned(), dialled, tls, turn);
        self.run.status.opened(open.link());
        Ok((stream, open))
    }

    /// Serves a session to its end.
    pub async fn serve<S>(self: &Arc<Self>, stream: SealedStream<S>, open: OpenLink)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let link = open.link();
        let span = info_span!("session", id = link.name(), peer = link.peer);
        let services = self.services(&stream, link);
        async {
            info!(
                server = %link.info.server_id, gateway = %link.info.gateway_id, key = %link.info.key_id,
                mode = %link.mode(), suite = %link.info.suite, enrolment = link.scope == Scope::Enrolment,
                "session opened"
            );
            match serve::serve(stream, link, services).await {
                Ok(()) => info!("session ended"),
                Err(error) => warn!("session ended: {}", chain(&error)),
            }
        }
        .instrument(span)
        .await;
    }

    /// Reads the record again and again, for ever, and ends the sessions that it no longer serves.
    pub async fn watch_keys(&self) {
        let mut interval = tokio::time::interval(REFRESH_INTERVAL);
        let mut unreadable = false;
        loop {
            interval.tick().await;
            match self.run.keys.refresh().await {
                Ok(()) => unreadable = false,
                Err(error) if !unreadable => {
                    unreadable = true;
                    warn!("no session can be opened until this is mended: {error}");
                    self.run.status.failed(&error.to_string());
                }
                Err(_) => {}
            }
            let standing = self.run.keys.standing();
            // A server that has proved the newer key opened another session under it. Who has the
            // former key alone may have stolen it: his session is not to outlive it.
            self.links
                .tell(Order::Retire, |link| !standing.holds(link.info.key_id));
            self.links.tell(Order::Close, |link| {
                !standing.still_serves(link.info.gateway_id, link.info.key_id)
            });
        }
    }

    fn services<S>(self: &Arc<Self>, stream: &SealedStream<S>, link: &Arc<Link>) -> Services {
        let session = Arc::clone(stream.session());
        let exporter = session.exporter().clone();
        let calls = SessionCalls::new(self.door.clone(), link.info.server_id);
        let control = Control::new(
            Arc::clone(&self.run),
            session,
            Arc::clone(&self.links),
            Arc::clone(link),
            calls.clone(),
        );
        let obeyed = Arc::clone(link);
        let provisioning = worker::Service::new(calls, exporter, move || obeyed.takes_calls());
        Services::new(control, provisioning, Arc::clone(link))
    }
}

/// An error and its causes: tonic's own texts say little without them.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
