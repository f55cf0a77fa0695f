//! From a TCP connection to a live link, or to a key installed and the need to shake hands anew.
//!
//! Follows the drive contract of [`portcullis_common::rotation::Registration`]: each step is one
//! transaction, stored before what follows.

use std::sync::Arc;
use std::time::Duration;

use portcullis_common::crypto::kdf::diversify;
use portcullis_common::handshake::{HandshakeError, InitiatorConfig, Preamble};
use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{
    BindError, ENROLMENT_NONCE_LEN, EnrolmentNonce, HeldKey, InstallPlan, InstallRefusal, Offer,
    ProofError, Refusal, Scope, UnixMillis,
};
use portcullis_common::stream::{self, ChannelError, SealedStream};
use portcullis_host::clock;
use portcullis_proto::control::INSTALL_VERSION;
use portcullis_proto::gateway::v1::{EnrolRequest, InstallRequest};
use portcullis_tls::{TlsError, Transport};
use tokio::time::{Instant, sleep_until};

use super::gate::MayCall;
use super::link::{Link, Origin};
use super::suspicion::Credential;
use super::withdrawn::Outgoing;
use super::{Fleet, keep_alive, lock, printable};
use crate::keys::gateway_keys::diversified;
use crate::keys::memory;
use crate::repository::{RepositoryError, SpentToken, tell_refusal};

/// How long a gateway may take to store a key or to say its nonce.
const CONTROL_TIMEOUT: Duration = Duration::from_secs(20);

/// What became of a connection.
#[derive(Debug)]
pub(super) enum Step {
    /// It is the gateway's live link.
    Live(Arc<Link>),
    /// The gateway got a key: the next handshake uses it.
    ShakeHandsAnew,
}

/// A connection that a gateway made, and as whom.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) preamble: Preamble,
    /// When it is refused, if it is: whoever asks does not learn from the time what it is about.
    pub(super) refused_at: Instant,
}

impl Arrival {
    /// Refuses it, no sooner and no later than any other.
    pub(super) async fn refuse(&self, io: &mut Transport) {
        sleep_until(self.refused_at).await;
        stream::refuse(io).await;
    }
}

/// Why a connection became no link. Texts are for `portcullis gateway show NAME` and the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error(
        "cannot connect to {address}: {source}; look whether the gateway runs there and a firewall lets the server through"
    )]
    Connect {
        address: String,
        source: std::io::Error,
    },
    #[error("cannot connect to {address}: no answer within {} s; look whether the host is up and a firewall lets the server through", .after.as_secs_f32())]
    ConnectTimeout { address: String, after: Duration },
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("the gateway has not answered the TLS handshake within {} s; look whether it has a [tls] section", .0.as_secs_f32())]
    TlsTimeout(Duration),
    #[error(
        "it came without TLS, which is compulsory for it: give it a [tls] section, or `portcullis gateway set NAME --require-tls false`"
    )]
    TlsRequired,
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(
        "it named itself by its name, and pairing is not open for it: a gateway that is enrolled names its id, and one that is to be enrolled takes the token from `portcullis gateway token NAME`"
    )]
    NotPairing,
    #[error("the handshake failed: {0}")]
    Channel(#[from] ChannelError),
    #[error(transparent)]
    Proof(#[from] ProofError),
    #[error("no HTTP/2 inside the sealed channel: {0}")]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error(
        "the gateway's enrolment nonce is not {ENROLMENT_NONCE_LEN} bytes: install the same version on both sides"
    )]
    Nonce,
    #[error(transparent)]
    Install(#[from] InstallRefusal),
    #[error("it was given another name meanwhile: its next link comes under that")]
    Renamed,
    #[error(
        "somebody came with the enrolment token that this gateway spent on {spent}: an alarm says more"
    )]
    TokenSpent { spent: String },
    #[error(
        "the gateway came with the enrolment token that it spent itself on {spent}: it was put back to a state of before, and has to enrol again (`portcullis gateway evict NAME`, then `portcullis gateway token NAME`)"
    )]
    TokenRepeated { spent: String },
    #[error("the gateway did not take this server's grant, so no calls go through: {0}")]
    NotGranted(String),
    #[error(
        "another server of this repository has its link meanwhile: nothing is sent through this one"
    )]
    Overtaken,
    #[error(
        "the gateway has seen a later grant than this repository has given out (generation {}, epoch {}; here {}, {}): the repository was put back to an earlier state, or a copy of it is served elsewhere. Nothing is sent. Where no other server runs on it, stop this one, and run `portcullis-server repository accept-loss`", .seen.0, .seen.1, .own.0, .own.1
    )]
    WentBack { seen: (u64, u64), own: (u64, u64) },
    #[error(
        "another server gave the gateway the same grant: a copy of this repository is served elsewhere, and an alarm says more"
    )]
    TwoServers,
    #[error("another gateway key is current meanwhile")]
    Superseded,
    #[error("the gateway did not take the new key: {0}")]
    Control(String),
}

impl Fleet {
    /// Runs a handshake over `io`, which has to be over by `deadline`, and stores what it proved.
    /// `arrival` is there where the gateway dialled.
    pub(super) async fn shake_hands(
        &self,
        io: Transport,
        arrival: Option<&Arrival>,
        gateway_id: GatewayId,
        origin: Origin,
        deadline: Instant,
    ) -> Result<Link, LinkError> {
        let shaking = self.handshake(io, arrival, gateway_id, origin, deadline);
        let shaken = shaking.await;
        self.inner.measured.shaken(&shaken);
        shaken
    }

    async fn handshake(
        &self,
        mut io: Transport,
        arrival: Option<&Arrival>,
        gateway_id: GatewayId,
        origin: Origin,
        deadline: Instant,
    ) -> Result<Link, LinkError> {
        let inner = &self.inner;
        let policy = inner.settings.policy;
        let gateways = inner.repository.gateways();

        let offer = gateways
            .update_where_changed(gateway_id, move |registration, keys, now| {
                let offer = registration.begin(keys, &policy, now);
                (offer, registration.last_proved)
            })
            .await
            .map_err(LinkError::from)
            .and_then(|(offer, proved)| Ok((admit(offer?, arrival)?, proved)));
        let (offer, proved) = match (offer, arrival) {
            (Ok(offer), _) => offer,
            (Err(refusal), Some(arrival)) => {
                arrival.refuse(&mut io).await;
                return Err(refusal);
            }
            (Err(refusal), None) => {
                stream::refuse(&mut io).await;
                return Err(refusal);
            }
        };
        let offers_proved = proved.is_some_and(|proved| offer.gateway_keys.contains(&proved));
        let spent = match offer.token {
            None => gateways.spent_token(gateway_id).await?,
            Some(_) => None,
        };
        let config = self.initiator_config(gateway_id, offer, spent.as_ref());
        let config = config.await?;
        let limits = inner.settings.limits.until(deadline);
        let preamble = arrival.map(|arrival| &arrival.preamble);
        let sealed = stream::connect(io, preamble, config, &limits).await;
        if offers_proved && let Err(ChannelError::Handshake(HandshakeError::Refused)) = &sealed {
            inner.roster.refused_proved(&origin.gateway);
        }
        let sealed = sealed?;

        let info = *sealed.session().info();
        if let Some(spent) = spent.filter(|spent| spent.key_id == info.key_id) {
            let now = clock::now();
            let link = self.link(sealed, origin, Scope::Enrolment, now).await?;
            return Err(self.token_offered_again(&link, &spent).await);
        }
        self.accept(sealed, origin).await
    }

    /// Stores what a handshake proved, and makes a link of its session.
    async fn accept(
        &self,
        sealed: SealedStream<Transport>,
        mut origin: Origin,
    ) -> Result<Link, LinkError> {
        let policy = self.inner.settings.policy;
        let info = *sealed.session().info();
        let gateway_id = info.gateway_id;
        let gateways = self.inner.repository.gateways();
        let ((scope, before, now), grant) = gateways
            .update_seen(gateway_id, move |registration, keys, now| {
                let before = Credential::of(registration);
                let scope =
                    registration.proved(gateway_id, info.mode, info.key_id, keys, &policy, now);
                // What comes now fails only with the connection, and its end is noted, too.
                let lives = scope.is_ok_and(|scope| scope == Scope::Full);
                ((scope, before, now), lives.then_some(now))
            })
            .await?;
        let scope = scope?;
        origin.grant = grant;
        if scope != Scope::Enrolment {
            origin.enrolled = !before.proved;
            if let Some(token) = before.token {
                let remote = origin.remote_address.clone();
                self.remember_spent(gateway_id, token, now, remote).await;
            }
        }
        tracing::info!(
            gateway = origin.gateway,
            id = %gateway_id,
            remote = origin.remote_address,
            mode = %info.mode,
            key = %info.key_id,
            suite = %info.suite,
            ?scope,
            "handshake done"
        );
        memory::warn_where_not_locked();
        self.link(sealed, origin, scope, clock::now()).await
    }

    async fn link(
        &self,
        sealed: SealedStream<Transport>,
        origin: Origin,
        scope: Scope,
        since: UnixMillis,
    ) -> Result<Link, LinkError> {
        let keep_alive = keep_alive(&self.inner.settings);
        let link = Link::start(sealed, origin, scope, since, keep_alive).await?;
        let mut outgoing = lock(&self.inner.outgoing);
        outgoing.retain(|one| !one.unsent.is_over());
        outgoing.push(Outgoing {
            gateway: link.gateway.clone(),
            session: Arc::clone(link.session()),
            unsent: link.unsent().clone(),
        });
        drop(outgoing);
        Ok(link)
    }

    /// What has to follow a handshake, by what its session may carry.
    pub(super) async fn follow_up(&self, link: Link) -> Result<Step, LinkError> {
        match link.scope {
            Scope::Full => {
                let link = Arc::new(link);
                let (roster, gateway) = (&self.inner.roster, &link.gateway);
                // The row says already that the link is this server's: what others forward waits.
                let is_first = self.inner.shares.is_some() && !roster.has_link(gateway);
                if is_first {
                    roster.await_link(gateway);
                }
                let granted = self.be_granted(&link).await;
                if granted.is_err() && is_first {
                    roster.give_up(gateway);
                }
                granted?;
                self.bring_to_life(&link).await?;
                Ok(Step::Live(link))
            }
            Scope::InstallsOnly => {
                self.tell_where_enrolled(&link);
                self.install(&link, None, None).await?;
                Ok(Step::ShakeHandsAnew)
            }
            Scope::Enrolment => {
                let nonce = self.bind(&link).await?;
                self.install(&link, Some(nonce), None).await?;
                Ok(Step::ShakeHandsAnew)
            }
        }
    }

    /// Sends the current key, where the link's session was authenticated under another. True: it
    /// was sent and taken. With `only`, no other key than this is sent.
    pub(super) async fn install(
        &self,
        link: &Link,
        nonce: Option<EnrolmentNonce>,
        only: Option<KeyId>,
    ) -> Result<bool, LinkError> {
        let repository = &self.inner.repository;
        let policy = self.inner.settings.policy;
        let (gateway_id, session_key) = (link.gateway_id(), link.info().key_id);
        let plan: Option<InstallPlan> = repository
            .gateways()
            .update_at(gateway_id, move |registration, keys, now| {
                // In the very transaction: a key that was withdrawn meanwhile is not sent, and
                // nobody gets another than he was to get.
                let current = keys.iter().max_by_key(|key| key.generation);
                if only.is_some_and(|only| current.is_none_or(|current| current.id != only)) {
                    return Err(LinkError::Superseded);
                }
                let plan = registration.plan_install(
                    gateway_id,
                    session_key,
                    nonce.as_ref(),
                    keys,
                    &policy,
                    now,
                );
                Ok(plan?)
            })
            .await??;
        let Some(plan) = plan else {
            return Ok(false);
        };
        let keys = diversified(repository, gateway_id, &[plan.new]).await?;
        let wrapped_master_key = keys
            .first()
            .map(|held| link.session().wrap_master_key(held.id, &held.key))
            .unwrap_or_default();
        let request = InstallRequest {
            version: INSTALL_VERSION,
            new_key_id: plan.new.to_bytes().to_vec(),
            replaced_key_id: plan.replaced.to_bytes().to_vec(),
            wrapped_master_key,
        };
        in_time(async { link.control().install(request).await }).await?;
        tracing::info!(gateway = link.gateway, new = %plan.new, replaced = %plan.replaced, "key installed");
        Ok(true)
    }

    async fn initiator_config(
        &self,
        gateway_id: GatewayId,
        offer: Offer,
        spent: Option<&SpentToken>,
    ) -> Result<InitiatorConfig, RepositoryError> {
        let repository = &self.inner.repository;
        let mut keys = diversified(repository, gateway_id, &offer.gateway_keys).await?;
        if let Some((id, key)) = offer.token {
            keys.push(HeldKey { id, key });
        }
        // Whoever comes with it is known by it, and gets nothing.
        keys.extend(spent.map(|spent| HeldKey {
            id: spent.key_id,
            key: spent.key.clone(),
        }));
        let pairing = match offer.pairing {
            None => None,
            Some(id) => repository
                .gateway_keys()
                .open(&[id])
                .await?
                .first()
                .map(|key| HeldKey {
                    id,
                    key: diversify(key, gateway_id),
                }),
        };
        Ok(InitiatorConfig {
            server_id: self.inner.settings.server_id,
            suites: self.inner.settings.suites.clone(),
            gateway_id,
            keys,
            pairing,
        })
    }

    /// Asks for the gateway's nonce and binds the token to it.
    async fn bind(&self, link: &Link) -> Result<EnrolmentNonce, LinkError> {
        let answer = in_time(async { link.control().enrol(EnrolRequest {}).await }).await?;
        let nonce: EnrolmentNonce = answer
            .into_inner()
            .nonce
            .try_into()
            .map_err(|_| LinkError::Nonce)?;
        let (gateway_id, session_key) = (link.gateway_id(), link.info().key_id);
        let bound = self
            .inner
            .repository
            .gateways()
            .update_at(gateway_id, move |registration, _, now| {
                registration.bind(gateway_id, session_key, &nonce, now)
            })
            .await?;
        if bound == Err(BindError::BoundToAnother) {
            self.token_in_two_hands(link, None).await;
        }
        bound?;
        Ok(nonce)
    }

    /// Makes it the gateway's one live link.
    async fn bring_to_life(&self, link: &Arc<Link>) -> Result<(), LinkError> {
        let arrival = self.inner.roster.arrived(link);
        if arrival.failures > 1 {
            let (gateway, attempts) = (&link.gateway, arrival.failures);
            tracing::info!(gateway, attempts, "there is a link again");
        }
        self.watch_over(link);
        // An evict or revoke between the proof and the arrival found no link to close.
        let may = self.may_call(link).await?;
        if !matches!(may, MayCall::Yes | MayCall::NotNow(_)) {
            link.session().close();
            return Err(ProofError::NotAccepted.into());
        }
        // Nor did a change of its name, or one that made TLS compulsory for it.
        let gateway = self.inner.repository.gateways();
        let gateway = gateway.find(link.gateway_id()).await?;
        let changed = match gateway {
            Some(gateway) if gateway.name != link.gateway => Some(LinkError::Renamed),
            None => Some(LinkError::Renamed),
            Some(gateway) if gateway.require_tls && !link.tls => Some(LinkError::TlsRequired),
            Some(_) => None,
        };
        if let Some(changed) = changed {
            link.session().close();
            return Err(changed);
        }
        let fleet = self.clone();
        let described = Arc::downgrade(link);
        tokio::spawn(async move {
            let Some(link) = described.upgrade() else {
                return;
            };
            fleet.get_to_know(&link).await;
            if let Some(former) = arrival.flapping_with {
                fleet.two_hosts(&link, &former).await;
            }
        });
        Ok(())
    }

    /// Notes when a link is gone.
    fn watch_over(&self, link: &Arc<Link>) {
        let fleet = self.clone();
        let (name, session) = (link.gateway.clone(), Arc::clone(link.session()));
        let gateway_id = link.gateway_id();
        let link = Arc::downgrade(link);
        tokio::spawn(async move {
            session.closed().await;
            if fleet.inner.roster.gone(&name, &link) {
                tracing::warn!(gateway = name, "the link is gone");
                let gateways = fleet.inner.repository.gateways();
                if let Err(error) = gateways.lost(&name, gateway_id, clock::now()).await {
                    tell_refusal!(error, gateway = name, "cannot note when it was last seen");
                }
            }
        });
    }
}

/// Whether what is offered is for one who arrived like this: a name is good for pairing alone, and
/// anybody can guess it.
fn admit(offer: Offer, arrival: Option<&Arrival>) -> Result<Offer, LinkError> {
    let named = arrival.is_some_and(|arrival| matches!(arrival.preamble, Preamble::Name(_)));
    if named && offer.pairing.is_none() {
        return Err(LinkError::NotPairing);
    }
    Ok(offer)
}

pub(super) async fn in_time<T>(
    answer: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, LinkError> {
    match tokio::time::timeout(CONTROL_TIMEOUT, answer).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(status)) => Err(LinkError::Control(printable(status.message()))),
        Err(_) => Err(LinkError::Control(format!(
            "no answer within {} s",
            CONTROL_TIMEOUT.as_secs()
        ))),
    }
}
