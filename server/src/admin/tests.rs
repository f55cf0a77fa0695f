//! The door by itself: no front is there, and the tests make the callers.

mod door;
mod scopes;
mod second_person;
mod upgrades;

use std::path::Path;
use std::sync::Arc;

use portcullis_proto::admin::v1 as proto;

use super::*;
use crate::access::{Authentication, Caller, PeerFacts, Permission, Scope};
use crate::audit::{AuditLog, Subject};
use crate::config::{CapabilitySet, Config};
use crate::fleet::{Fleet, Settings};
use crate::repository::AuditEntry;
use crate::serve::{Unlocked, init};
use crate::services::Services;

/// What a server works with that was just made in `folder`, with `more` in its configuration.
pub(crate) async fn services(folder: &Path, more: &str) -> Services {
    let text = format!("data_dir = {:?}\n{more}", folder.join("data"));
    let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
    init::init(&config).await.unwrap();
    let Unlocked {
        server_id,
        repository,
        keys,
        ..
    } = Unlocked::open(&config).await.unwrap();
    let audit = AuditLog::open(&repository, server_id, &config.audit);
    let audit = audit.await.unwrap();
    let fleet = Fleet::new(repository.clone(), Settings::new(server_id, &config));
    Services::new(&config, server_id, repository, keys, audit, fleet)
}

/// A server without a front: gateway `web1` of group `web` with resource `a`, and `db1` with `b`.
struct Server {
    _folder: tempfile::TempDir,
    services: Arc<Services>,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = Self {
            services: Arc::new(services(folder.path(), "").await),
            _folder: folder,
        };
        for (gateway, groups, resource) in [("web1", &["web"][..], "a"), ("db1", &[], "b")] {
            let gateway = gateway.to_owned();
            let add = proto::AddGatewayRequest {
                name: gateway.clone(),
                dial_out: true,
                groups: groups.iter().map(|group| (*group).to_owned()).collect(),
                ..Default::default()
            };
            server.ask(&owner(), add).await.unwrap();
            let add = proto::AddResourceRequest {
                name: resource.to_owned(),
                gateway,
                connector: "unix".to_owned(),
                ..Default::default()
            };
            server.ask(&owner(), add).await.unwrap();
        }
        server
    }

    async fn ask<R: Request>(&self, caller: &Caller, request: R) -> Result<R::Answer, AdminError> {
        dispatch(&self.services, caller.clone(), request).await
    }

    /// The last entry of the audit log.
    async fn last_entry(&self) -> AuditEntry {
        let entries = self.services.repository.audit_entries();
        entries.scan(0, 10_000).await.unwrap().pop().unwrap()
    }
}

fn owner() -> Caller {
    let all = CapabilitySet::ALL;
    Caller::everywhere(Subject::written("owner"), Authentication::UnixPeer, all)
}

/// Ada, who holds `capability` in `scope` and nothing else.
fn ada(capability: Capability, scope: Scope) -> Caller {
    Caller {
        permissions: vec![Permission { capability, scope }],
        subject: Subject::written("ada"),
        authentication: Authentication::UnixPeer,
        from: PeerFacts::default(),
        trace: None,
    }
}
