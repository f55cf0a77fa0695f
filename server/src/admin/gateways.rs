//! The roster of gateways.

use std::collections::HashMap;

use portcullis_common::id::{GatewayId, KeyKind};
use portcullis_common::rotation::{
    EnrolmentToken, GatewayKeyInfo, Policy, Registration, Standing, UnixMillis,
};
use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use prost::Message as _;
use zeroize::Zeroizing;

use super::context::Context;
use super::convert::{self, Seen, millis};
use super::elsewhere::{IfLost, ThroughLink};
use super::error::AdminError;
use super::gateway_list::{Filter, count, sharing, sharing_with};
use super::holders::Holders;
use super::names;
use super::request::{About, Front, Method, Request, Withdraws, change, read};
use crate::access::Target;
use crate::config::Capability::{self, Administrator, SecurityAdministrator};
use crate::fleet::LinkStatus;
use crate::keys::key_rng::key_rng;
use crate::repository::{GatewayChange, Reach};
use crate::services::Services;

/// Who may shut a gateway out at once. Letting one back in is the administrator's.
const SHUT_OUT: &[Capability] = &[SecurityAdministrator, Administrator];

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::AddGatewayRequest>();
    front.offer::<proto::NewTokenRequest>();
    front.offer::<proto::SetGatewayRequest>();
    front.offer::<proto::ListGatewaysRequest>();
    front.offer::<proto::ShowGatewayRequest>();
    front.offer::<proto::PingGatewayRequest>();
    front.offer::<proto::EvictGatewayRequest>();
    front.offer::<proto::RevokeGatewayRequest>();
    front.offer::<proto::RestoreGatewayRequest>();
}

impl Request for proto::AddGatewayRequest {
    type Answer = proto::AddGatewayResponse;

    const METHOD: Method = change("Gateways/Add", &[Administrator]);

    fn about(&self) -> About {
        let about = About::gateway(&self.name).shown_with(pairing(self.allow_pairing));
        let about = about.shown_with(tls(self.require_tls.then_some(true)));
        let about = about.shown_with(&names::listed(", into", &self.groups));
        about.and(in_groups(&self.groups))
    }

    async fn run(self, context: &Context) -> Result<proto::AddGatewayResponse, AdminError> {
        let services = &context.services;
        let name = names::name("gateway", &self.name)?;
        let address = Some(self.address.as_str()).filter(|text| !text.is_empty());
        let reach = names::reach(address, self.dial_out)?;
        let chosen = GatewayChange {
            add_groups: names::groups(self.groups)?,
            require_tls: self.require_tls.then_some(true),
            ..GatewayChange::default()
        };
        let gateways = services.repository.gateways();
        if self.if_absent
            && let Some(present) = gateways.find(name).await?
        {
            if present.reach != reach || present.require_tls != self.require_tls {
                return Err(AdminError::Conflict(format!(
                    "gateway `{name}` is there and reached in another way: `portcullis gateway set {name}` changes that"
                )));
            }
            context.note.add("it was there already: nothing changed");
            return Ok(proto::AddGatewayResponse {
                gateway: Some(shown(services, name).await?),
                token: None,
            });
        }
        let fresh = Fresh::make(services, self.allow_pairing).await?;
        let registration = &fresh.registration;
        gateways
            .add_with(name, reach, chosen, registration, fresh.now)
            .await?;
        context.note.add(registration.gateway_id);
        tracing::info!(gateway = name, id = %registration.gateway_id, pairing = self.allow_pairing, "added a gateway");
        services.fleet.wake(name);
        Ok(proto::AddGatewayResponse {
            gateway: Some(shown(services, name).await?),
            token: Some(fresh.token_message()),
        })
    }
}

impl Request for proto::NewTokenRequest {
    type Answer = proto::NewTokenResponse;

    const METHOD: Method = change("Gateways/NewToken", &[Administrator]);

    fn about(&self) -> About {
        let about = About::gateway(&self.name).shown_with(pairing(self.allow_pairing));
        about.shown_with(if self.evict { ", evicting it" } else { "" })
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Once
    }

    async fn run(self, context: &Context) -> Result<proto::NewTokenResponse, AdminError> {
        let Self {
            name,
            allow_pairing,
            evict,
        } = &self;
        let policy = context.services.policy;
        let evict = *evict;
        let pairing = *allow_pairing;
        let allowed = move |registration: &Registration, keys: &[GatewayKeyInfo], now| {
            match may_have_token(registration, keys, &policy, now) {
                Err(Denied::HoldsKey) if evict => {}
                other => other?,
            }
            match registration.last_proved {
                // Whoever listens on the way would be given the keys of a host that has had some.
                Some(_) if pairing => Err(Denied::Proved),
                _ => Ok(()),
            }
        };
        let answer = register_again(context, name, *allow_pairing, allowed).await?;
        tracing::info!(
            gateway = name,
            pairing = allow_pairing,
            "made a new enrolment token"
        );
        Ok(answer)
    }
}

impl Request for proto::SetGatewayRequest {
    type Answer = proto::Gateway;

    const METHOD: Method = change("Gateways/Set", &[Administrator]);

    fn about(&self) -> About {
        let about = About::gateway(&self.name).shown_with(tls(self.require_tls));
        let about = about.shown_with(&names::listed(", into", &self.add_groups));
        let about = about.shown_with(&names::listed(", out of", &self.remove_groups));
        about
            .and(in_groups(&self.add_groups))
            .and(in_groups(&self.remove_groups))
    }

    async fn run(self, context: &Context) -> Result<proto::Gateway, AdminError> {
        let services = &context.services;
        let name = &self.name;
        let change = GatewayChange {
            reach: match (self.address.as_deref(), self.dial_out) {
                (None, false) => None,
                (address, dial_out) => Some(names::reach(address, dial_out)?),
            },
            add_groups: names::groups(self.add_groups)?,
            remove_groups: names::groups(self.remove_groups)?,
            require_tls: self.require_tls,
        };
        let moved = change.reach.is_some();
        services.repository.gateways().change(name, change).await?;
        tracing::info!(gateway = name, moved, "changed a gateway");
        let bare = services.fleet.status(name).is_some_and(|link| !link.tls);
        if self.require_tls == Some(true) && bare {
            services.fleet.close(name).await;
        }
        if moved || self.require_tls.is_some() {
            services.fleet.wake(name);
        }
        shown(services, name).await
    }
}

impl Request for proto::ListGatewaysRequest {
    type Answer = proto::ListGatewaysResponse;

    const METHOD: Method = read("Gateways/List", &Capability::ALL);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListGatewaysResponse, AdminError> {
        let services = &context.services;
        let filter = Filter::new(self)?;
        let keys = keys(services).await?;
        let gateways = services.repository.gateways().list().await?;
        let links = services.fleet.links().into_iter();
        let mut links: HashMap<String, LinkStatus> =
            links.map(|link| (link.gateway.clone(), link)).collect();
        let mut outlooks = services.fleet.outlooks();
        let holders = Holders::of(services);
        let rows = holders.rows(services).await?;
        let sharing = sharing(&gateways);
        let now = clock::now();
        let mut counts = proto::GatewayCounts::default();
        let mut listed = Vec::new();
        for gateway in gateways {
            let name = gateway.name.clone();
            let link = links.remove(&name);
            let row = rows.get(&gateway.registration.gateway_id).copied();
            let seen = Seen {
                holder: holders.holder(row, link.is_some()),
                link,
                outlook: outlooks.remove(&name).unwrap_or_default(),
                sharing: sharing_with(&sharing, &gateway),
            };
            let gateway = convert::gateway(gateway, seen, &keys, now);
            count(&mut counts, &gateway);
            if filter.wants(&gateway) {
                listed.push(gateway);
            }
        }
        Ok(proto::ListGatewaysResponse {
            gateways: listed,
            counts: Some(counts),
        })
    }
}

impl Request for proto::ShowGatewayRequest {
    type Answer = proto::Gateway;

    const METHOD: Method = read("Gateways/Show", &Capability::ALL);

    fn about(&self) -> About {
        About::gateway(&self.name)
    }

    fn through_link(&self) -> Option<ThroughLink> {
        Some(ThroughLink {
            target: Target::Gateway(self.name.clone()),
            message: Zeroizing::new(self.encode_to_vec()),
            if_lost: IfLost::Again,
        })
    }

    async fn run(self, context: &Context) -> Result<proto::Gateway, AdminError> {
        context.services.fleet.ask_again(&self.name).await;
        shown(&context.services, &self.name).await
    }
}

impl Request for proto::PingGatewayRequest {
    type Answer = proto::PingGatewayResponse;

    const METHOD: Method = read("Gateways/Ping", &[SecurityAdministrator, Administrator]);

    fn about(&self) -> About {
        About::gateway(&self.name)
    }

    fn through_link(&self) -> Option<ThroughLink> {
        Some(ThroughLink {
            target: Target::Gateway(self.name.clone()),
            message: Zeroizing::new(self.encode_to_vec()),
            if_lost: IfLost::Again,
        })
    }

    async fn run(self, context: &Context) -> Result<proto::PingGatewayResponse, AdminError> {
        let (services, name) = (&context.services, &self.name);
        // A gateway that does not exist is told apart from one that is away.
        shown(services, name).await?;
        let round_trip = services.fleet.ping(name).await?;
        Ok(proto::PingGatewayResponse {
            round_trip_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
            gateway: Some(shown(services, name).await?),
        })
    }
}

impl Request for proto::EvictGatewayRequest {
    type Answer = proto::Gateway;

    const METHOD: Method = change("Gateways/Evict", SHUT_OUT);

    fn about(&self) -> About {
        About::gateway(&self.name)
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::Gateway, AdminError> {
        let (services, name) = (&context.services, &self.name);
        let gateways = services.repository.gateways();
        let evicted = gateways.update(name.as_str(), |registration, _| {
            // A revoked gateway stays so until it is restored.
            if registration.standing == Standing::Revoked {
                return Err(Denied::Revoked);
            }
            registration.evict();
            Ok(())
        });
        evicted.await?.map_err(|denied| denied.error(name))?;
        services.fleet.close(name).await;
        tracing::warn!(gateway = name, "evicted a gateway: its key is forgotten");
        shown(services, name).await
    }
}

impl Request for proto::RevokeGatewayRequest {
    type Answer = proto::Gateway;

    const METHOD: Method = change("Gateways/Revoke", SHUT_OUT);

    fn about(&self) -> About {
        About::gateway(&self.name)
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::Gateway, AdminError> {
        let (services, name) = (&context.services, &self.name);
        let gateways = services.repository.gateways();
        let revoked = gateways.update(name.as_str(), |registration, _| registration.revoke());
        revoked.await?;
        services.fleet.close(name).await;
        tracing::warn!(
            gateway = name,
            "revoked a gateway: it is refused until restored"
        );
        shown(services, name).await
    }
}

impl Request for proto::RestoreGatewayRequest {
    type Answer = proto::NewTokenResponse;

    const METHOD: Method = change("Gateways/Restore", &[Administrator]);

    fn about(&self) -> About {
        About::gateway(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::NewTokenResponse, AdminError> {
        let name = &self.name;
        let allowed =
            |registration: &Registration, _: &[GatewayKeyInfo], _| match registration.standing {
                Standing::Revoked => Ok(()),
                Standing::Admitted | Standing::Evicted => Err(Denied::NotRevoked),
            };
        let answer = register_again(context, name, false, allowed).await?;
        tracing::info!(gateway = name, "restored a revoked gateway");
        Ok(answer)
    }
}

/// Why a gateway is not registered again, or not evicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Denied {
    #[error(
        "gateway `{{}}` is revoked: `portcullis gateway restore {{}}` gives it a new id and token"
    )]
    Revoked,
    #[error(
        "gateway `{{}}` is not revoked: to let it enrol again, `portcullis gateway evict {{}}`, then `portcullis gateway token {{}}`"
    )]
    NotRevoked,
    #[error(
        "gateway `{{}}` proved a key once, and is never offered pairing again: give it the token of `portcullis gateway token {{}}`, without --allow-pairing"
    )]
    Proved,
    #[error(
        "gateway `{{}}` holds a key and needs no token: to have it enrol again, `portcullis gateway evict {{}}` first, or `portcullis gateway token {{}} --evict`"
    )]
    HoldsKey,
}

impl Denied {
    fn error(self, name: &str) -> AdminError {
        AdminError::Precondition(self.to_string().replace("{}", name))
    }
}

/// A registration that is not stored yet, and its token.
struct Fresh {
    registration: Registration,
    token: EnrolmentToken,
    expires: UnixMillis,
    now: UnixMillis,
}

impl Fresh {
    async fn make(services: &Services, allow_pairing: bool) -> Result<Self, AdminError> {
        // Of the kind of the current gateway key: a site that has retired 3DES gets no 3DES token.
        let current = services.repository.gateway_keys().current().await?;
        let current = current.ok_or_else(|| {
            AdminError::Precondition(
                "the repository holds no gateway key: run `portcullis-server init`".to_owned(),
            )
        })?;
        let kind: KeyKind = current.kind();
        let now = services.repository.database().now().await?;
        let after = |lifetime: std::time::Duration| {
            now.plus(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX))
        };
        let lifetimes = &services.live.config().keys;
        let expires = after(lifetimes.token_lifetime);
        let pairing_until = allow_pairing.then(|| after(lifetimes.pairing_lifetime));
        let mut rng = key_rng();
        let token = EnrolmentToken::random(GatewayId::random(&mut rng), kind, &mut rng);
        Ok(Self {
            registration: Registration::new(&token, expires, pairing_until),
            token,
            expires,
            now,
        })
    }

    fn token_message(&self) -> proto::EnrolmentToken {
        proto::EnrolmentToken {
            token: self.token.to_text().to_string(),
            expires_unix_ms: millis(self.expires),
        }
    }
}

/// Puts a new registration in the place of the one there is, where `allowed` says so, and ends the
/// old one's sessions.
async fn register_again<F>(
    context: &Context,
    name: &str,
    allow_pairing: bool,
    allowed: F,
) -> Result<proto::NewTokenResponse, AdminError>
where
    F: Fn(&Registration, &[GatewayKeyInfo], UnixMillis) -> Result<(), Denied> + Send + 'static,
{
    let services = &context.services;
    let fresh = Fresh::make(services, allow_pairing).await?;
    let new = fresh.registration.clone();
    let gateways = services.repository.gateways();
    let registered = gateways.update_at(name, move |registration, keys, now| {
        allowed(registration, keys, now)?;
        registration.clone_from(&new);
        Ok(())
    });
    registered
        .await?
        .map_err(|denied: Denied| denied.error(name))?;
    context.note.add(fresh.registration.gateway_id);
    services.fleet.close(name).await;
    let lost = services.queue.end_lost(name).await?;
    if lost > 0 {
        let told = format!("failed {lost} queued calls that were for the registration before");
        context.note.add(told);
    }
    services.fleet.wake(name);
    Ok(proto::NewTokenResponse {
        gateway: Some(shown(services, name).await?),
        token: Some(fresh.token_message()),
    })
}

/// A gateway as it is now.
pub(super) async fn shown(services: &Services, name: &str) -> Result<proto::Gateway, AdminError> {
    let keys = keys(services).await?;
    let gateway = services.repository.gateways().find(name).await?;
    let gateway = gateway.ok_or_else(|| AdminError::no_such("gateway", name))?;
    let mut sharing = match &gateway.reach {
        Reach::Address(address) => services.repository.gateways().names_at(address).await?,
        Reach::DialOut => Vec::new(),
    };
    sharing.retain(|other| other != name);
    let link = services.fleet.status(name);
    let holders = Holders::of(services);
    let row = holders
        .row(services, gateway.registration.gateway_id)
        .await?;
    let seen = Seen {
        holder: holders.holder(row, link.is_some()),
        link,
        outlook: services.fleet.outlook(name),
        sharing,
    };
    Ok(convert::gateway(gateway, seen, &keys, clock::now()))
}

async fn keys(services: &Services) -> Result<Vec<GatewayKeyInfo>, AdminError> {
    let rows = services.repository.gateway_keys().list().await?;
    Ok(rows.iter().map(|row| row.info).collect())
}

/// Whoever puts a gateway into a group, or takes it out, gives or takes the rights of that group.
fn in_groups(groups: &[String]) -> impl Iterator<Item = Target> {
    groups.iter().cloned().map(Target::GatewayGroup)
}

/// What the audit log shows of a demand for TLS.
const fn tls(demanded: Option<bool>) -> &'static str {
    match demanded {
        Some(true) => ", through TLS alone",
        Some(false) => ", also without TLS",
        None => "",
    }
}

const fn pairing(allowed: bool) -> &'static str {
    if allowed { ", with pairing" } else { "" }
}

/// A token is for a gateway that has no key to come back with.
fn may_have_token(
    registration: &Registration,
    keys: &[GatewayKeyInfo],
    policy: &Policy,
    now: UnixMillis,
) -> Result<(), Denied> {
    match registration.standing {
        Standing::Revoked => Err(Denied::Revoked),
        Standing::Evicted => Ok(()),
        Standing::Admitted
            if registration.last_proved.is_some()
                && !registration.must_enrol(keys, policy, now) =>
        {
            Err(Denied::HoldsKey)
        }
        Standing::Admitted => Ok(()),
    }
}
