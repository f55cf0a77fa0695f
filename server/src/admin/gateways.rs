//! The roster of gateways.

use portcullis_common::id::{GatewayId, KeyKind};
use portcullis_common::rotation::{
    EnrolmentToken, GatewayKeyInfo, Policy, Registration, Standing, UnixMillis,
};
use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::gateways_server::Gateways;
use tonic::{Request, Response, Status};

use super::convert::{self, millis};
use super::error::{not_found, of_call, of_repository};
use super::names;
use super::note::Note;
use crate::fleet::LinkStatus;
use crate::keys::memory::key_rng;
use crate::repository::{Gateway, GatewayChange};
use crate::services::Services;

/// `portcullis.admin.v1.Gateways`
pub(crate) struct GatewaysApi(pub(crate) Services);

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
        "gateway `{{}}` holds a key and needs no token: to have it enrol again, `portcullis gateway evict {{}}` first"
    )]
    HoldsKey,
}

impl Denied {
    fn status(self, name: &str) -> Status {
        Status::failed_precondition(self.to_string().replace("{}", name))
    }
}

#[tonic::async_trait]
impl Gateways for GatewaysApi {
    async fn add(
        &self,
        request: Request<proto::AddGatewayRequest>,
    ) -> Result<Response<proto::AddGatewayResponse>, Status> {
        let note = Note::of(&request);
        let request = request.into_inner();
        let name = names::name("gateway", &request.name)?;
        let address = Some(request.address.as_str()).filter(|text| !text.is_empty());
        let reach = names::reach(address, request.dial_out)?;
        let groups = names::groups(request.groups)?;
        let fresh = self.fresh(request.allow_pairing).await?;
        self.0
            .repository
            .gateways()
            .add_to(name, reach, groups, &fresh.registration, fresh.now)
            .await
            .map_err(|error| of_repository(&error))?;
        note.add(fresh.registration.gateway_id);
        tracing::info!(gateway = name, id = %fresh.registration.gateway_id, pairing = request.allow_pairing, "added a gateway");
        self.0.fleet.wake(name);
        Ok(Response::new(proto::AddGatewayResponse {
            gateway: Some(self.shown(name).await?),
            token: Some(fresh.token_message()),
        }))
    }

    async fn new_token(
        &self,
        request: Request<proto::NewTokenRequest>,
    ) -> Result<Response<proto::NewTokenResponse>, Status> {
        let note = Note::of(&request);
        let request = request.into_inner();
        let name = &request.name;
        let policy = self.0.policy;
        let answer = self
            .register_again(
                name,
                request.allow_pairing,
                &note,
                move |registration, keys, now| may_have_token(registration, keys, &policy, now),
            )
            .await?;
        tracing::info!(
            gateway = name,
            pairing = request.allow_pairing,
            "made a new enrolment token"
        );
        Ok(Response::new(answer))
    }

    async fn set(
        &self,
        request: Request<proto::SetGatewayRequest>,
    ) -> Result<Response<proto::Gateway>, Status> {
        let request = request.into_inner();
        let name = &request.name;
        let change = GatewayChange {
            reach: match (request.address.as_deref(), request.dial_out) {
                (None, false) => None,
                (address, dial_out) => Some(names::reach(address, dial_out)?),
            },
            add_groups: names::groups(request.add_groups)?,
            remove_groups: names::groups(request.remove_groups)?,
        };
        let moved = change.reach.is_some();
        self.0
            .repository
            .gateways()
            .change(name, change)
            .await
            .map_err(|error| of_repository(&error))?;
        tracing::info!(gateway = name, moved, "changed a gateway");
        if moved {
            self.0.fleet.wake(name);
        }
        self.shown(name).await.map(Response::new)
    }

    async fn list(
        &self,
        request: Request<proto::ListGatewaysRequest>,
    ) -> Result<Response<proto::ListGatewaysResponse>, Status> {
        let groups = names::groups(request.into_inner().groups)?;
        let wanted = |gateway: &Gateway| {
            groups.is_empty() || gateway.groups.iter().any(|group| groups.contains(group))
        };
        let keys = self.keys().await?;
        let gateways = self
            .0
            .repository
            .gateways()
            .list()
            .await
            .map_err(|error| of_repository(&error))?;
        let mut links: std::collections::HashMap<String, LinkStatus> = self
            .0
            .fleet
            .links()
            .into_iter()
            .map(|link| (link.gateway.clone(), link))
            .collect();
        let now = clock::now();
        Ok(Response::new(proto::ListGatewaysResponse {
            gateways: gateways
                .into_iter()
                .filter(wanted)
                .map(|gateway| {
                    let link = links.remove(&gateway.name);
                    convert::gateway(gateway, link, &keys, now)
                })
                .collect(),
        }))
    }

    async fn show(
        &self,
        request: Request<proto::ShowGatewayRequest>,
    ) -> Result<Response<proto::Gateway>, Status> {
        self.shown(&request.into_inner().name)
            .await
            .map(Response::new)
    }

    async fn ping(
        &self,
        request: Request<proto::PingGatewayRequest>,
    ) -> Result<Response<proto::PingGatewayResponse>, Status> {
        let name = request.into_inner().name;
        // A gateway that does not exist is told apart from one that is away.
        self.shown(&name).await?;
        let round_trip = self
            .0
            .fleet
            .ping(&name)
            .await
            .map_err(|error| of_call(&error))?;
        Ok(Response::new(proto::PingGatewayResponse {
            round_trip_us: u64::try_from(round_trip.as_micros()).unwrap_or(u64::MAX),
            gateway: Some(self.shown(&name).await?),
        }))
    }

    async fn evict(
        &self,
        request: Request<proto::EvictGatewayRequest>,
    ) -> Result<Response<proto::Gateway>, Status> {
        let name = request.into_inner().name;
        self.0
            .repository
            .gateways()
            .update(name.as_str(), |registration, _| {
                // A revoked gateway stays so until it is restored.
                if registration.standing == Standing::Revoked {
                    return Err(Denied::Revoked);
                }
                registration.evict();
                Ok(())
            })
            .await
            .map_err(|error| of_repository(&error))?
            .map_err(|denied| denied.status(&name))?;
        self.0.fleet.close(&name).await;
        tracing::warn!(gateway = name, "evicted a gateway: its key is forgotten");
        self.shown(&name).await.map(Response::new)
    }

    async fn revoke(
        &self,
        request: Request<proto::RevokeGatewayRequest>,
    ) -> Result<Response<proto::Gateway>, Status> {
        let name = request.into_inner().name;
        self.0
            .repository
            .gateways()
            .update(name.as_str(), |registration, _| registration.revoke())
            .await
            .map_err(|error| of_repository(&error))?;
        self.0.fleet.close(&name).await;
        tracing::warn!(
            gateway = name,
            "revoked a gateway: it is refused until restored"
        );
        self.shown(&name).await.map(Response::new)
    }

    async fn restore(
        &self,
        request: Request<proto::RestoreGatewayRequest>,
    ) -> Result<Response<proto::NewTokenResponse>, Status> {
        let note = Note::of(&request);
        let name = request.into_inner().name;
        let answer =
            self.register_again(&name, false, &note, |registration, _, _| match registration
                .standing
            {
                Standing::Revoked => Ok(()),
                Standing::Admitted | Standing::Evicted => Err(Denied::NotRevoked),
            })
            .await?;
        tracing::info!(gateway = name, "restored a revoked gateway");
        Ok(Response::new(answer))
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
    fn token_message(&self) -> proto::EnrolmentToken {
        proto::EnrolmentToken {
            token: self.token.to_text().to_string(),
            expires_unix_ms: millis(self.expires),
        }
    }
}

impl GatewaysApi {
    async fn fresh(&self, allow_pairing: bool) -> Result<Fresh, Status> {
        // Of the kind of the current gateway key: a site that has retired 3DES gets no 3DES token.
        let kind: KeyKind = self
            .0
            .repository
            .gateway_keys()
            .current()
            .await
            .map_err(|error| of_repository(&error))?
            .ok_or_else(|| {
                Status::failed_precondition(
                    "the repository holds no gateway key: run `portcullis-server init`",
                )
            })?
            .kind();
        let now = clock::now();
        let after = |lifetime: std::time::Duration| {
            now.plus(u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX))
        };
        let expires = after(self.0.token_lifetime);
        let pairing_until = allow_pairing.then(|| after(self.0.pairing_lifetime));
        let mut rng = key_rng();
        let token = EnrolmentToken::random(GatewayId::random(&mut rng), kind, &mut rng);
        Ok(Fresh {
            registration: Registration::new(&token, expires, pairing_until),
            token,
            expires,
            now,
        })
    }

    /// Puts a new registration in the place of the one there is, where `allowed` says so, and ends the old one's sessions.
    async fn register_again<F>(
        &self,
        name: &str,
        allow_pairing: bool,
        note: &Note,
        allowed: F,
    ) -> Result<proto::NewTokenResponse, Status>
    where
        F: FnOnce(&Registration, &[GatewayKeyInfo], UnixMillis) -> Result<(), Denied>
            + Send
            + 'static,
    {
        let fresh = self.fresh(allow_pairing).await?;
        let (new, now) = (fresh.registration.clone(), fresh.now);
        self.0
            .repository
            .gateways()
            .update(name, move |registration, keys| {
                allowed(registration, keys, now)?;
                *registration = new;
                Ok(())
            })
            .await
            .map_err(|error| of_repository(&error))?
            .map_err(|denied: Denied| denied.status(name))?;
        note.add(fresh.registration.gateway_id);
        self.0.fleet.close(name).await;
        self.0.fleet.wake(name);
        Ok(proto::NewTokenResponse {
            gateway: Some(self.shown(name).await?),
            token: Some(fresh.token_message()),
        })
    }

    /// A gateway as it is now.
    async fn shown(&self, name: &str) -> Result<proto::Gateway, Status> {
        let keys = self.keys().await?;
        let gateway = self
            .0
            .repository
            .gateways()
            .find(name)
            .await
            .map_err(|error| of_repository(&error))?
            .ok_or_else(|| not_found("gateway", name))?;
        let link = self.0.fleet.status(name);
        Ok(convert::gateway(gateway, link, &keys, clock::now()))
    }

    async fn keys(&self) -> Result<Vec<GatewayKeyInfo>, Status> {
        let rows = self
            .0
            .repository
            .gateway_keys()
            .list()
            .await
            .map_err(|error| of_repository(&error))?;
        Ok(rows.iter().map(|row| row.info).collect())
    }
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
