//! The links of a running server to the others on its repository.

use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use portcullis_common::id::PeerId;
use tokio::net::TcpListener;

use super::ServeError;
use crate::config::Config;
use crate::fronts::grpc::ForwardedRequests;
use crate::peers::{Other, Peers, Servers, Settings};
use crate::repository::{InstanceId, Repository, RepositoryError};
use crate::servers::Member;
use crate::services::Services;

/// The waits after failures to connect: a request that is to be forwarded waits no longer than the
/// other server takes to be known as gone.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long a link may be silent before it is asked whether the other side lives, and how long that
/// may take.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// What this server knows of the others.
#[derive(Debug)]
struct OnRepository {
    member: Member,
    repository: Repository,
}

impl Servers for OnRepository {
    fn own(&self) -> PeerId {
        peer(self.member.instance())
    }

    fn others(&self) -> BoxFuture<'_, Result<Vec<Other>, RepositoryError>> {
        let others = self.member.others().into_iter().map(|seen| Other {
            instance: peer(seen.row.instance),
            name: seen.row.name,
            address: seen.row.advertised,
        });
        Box::pin(ready(Ok(others.collect())))
    }

    fn holder<'a>(
        &'a self,
        gateway: &'a str,
    ) -> BoxFuture<'a, Result<Option<PeerId>, RepositoryError>> {
        Box::pin(async move {
            let gateways = self.repository.gateways();
            let Some(found) = gateways.find(gateway).await? else {
                return Ok(None);
            };
            let grant = gateways.grant(found.registration.gateway_id).await?;
            Ok(grant.map(|grant| PeerId::from_array(grant.instance)))
        })
    }
}

fn peer(instance: InstanceId) -> PeerId {
    PeerId::from_array(instance.to_bytes())
}

/// The port for other servers, where the configuration names one.
pub(super) async fn listen(config: &Config) -> Result<Option<TcpListener>, ServeError> {
    let Some(peers) = &config.peers else {
        return Ok(None);
    };
    let address = peers.listen;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|source| ServeError::Peers { address, source })?;
    Ok(Some(listener))
}

/// Gives `services` the links to other servers, which are awaited on `listener`; without one there
/// are none.
pub(super) fn start(services: &mut Services, config: &Config, listener: Option<TcpListener>) {
    let (Some(listener), Some(member)) = (listener, services.member.clone()) else {
        return;
    };
    let servers = OnRepository {
        member,
        repository: services.repository.clone(),
    };
    let settings = Settings {
        server_id: services.server_id,
        limits: config.channel.limits(),
        backoff_min: BACKOFF.0,
        backoff_max: BACKOFF.1,
        keep_alive: KEEP_ALIVE,
        max_age: config.channel.max_session_age,
    };
    services.peers = Peers::new(services.repository.clone(), Arc::new(servers), settings);
    let answers = ForwardedRequests::new(services);
    services.peers.start(listener, Arc::new(answers));
}
