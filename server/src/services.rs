//! What the running server is made of, for whoever carries out a use case.

use std::sync::Arc;

use portcullis_common::id::ServerId;
use portcullis_common::rotation::{Policy, UnixMillis};
use portcullis_host::clock;

use crate::approvals::{Approvals, LIFETIME};
use crate::audit::AuditLog;
use crate::config::{Config, Live, SecretSource};
use crate::fleet::Fleet;
use crate::forward::Place;
use crate::keys::KeyManager;
use crate::peers::Peers;
use crate::provisioning::Provisioning;
use crate::provisioning::queue::CallQueue;
use crate::repository::Repository;
use crate::servers::Member;
use crate::tasks::{Tasks, Work};
use crate::withdrawals::Withdrawals;

/// What the admin API works on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services {
    /// This server.
    pub server_id: ServerId,
    /// When it was started.
    pub started: UnixMillis,
    /// The repository.
    pub repository: Repository,
    /// The server keys, opened, and what changes them.
    pub keys: KeyManager,
    /// Where the secret that opens the server keys comes from.
    pub secret: SecretSource,
    /// The audit log.
    pub audit: AuditLog,
    /// What waits for a second person.
    pub approvals: Approvals,
    /// The configuration that holds now.
    pub live: Live,
    /// The gateways and their links.
    pub fleet: Fleet,
    /// The other servers on the repository; none, until there are links to them.
    pub peers: Peers,
    /// Long work.
    pub tasks: Tasks,
    /// What calls are carried out with.
    pub provisioning: Provisioning,
    /// The calls that wait for their gateway.
    pub queue: CallQueue,
    /// What this server is among those of its repository, once it is known.
    pub member: Option<Member>,
    /// What is withdrawn from this server and by it.
    pub withdrawals: Withdrawals,
    /// Where the audit log is sent as well, once that has begun.
    pub(crate) places: Vec<Arc<Place>>,
    /// Limits of rotation.
    pub policy: Policy,
}

impl Services {
    /// What a server of this configuration works with, over an open repository. Nothing runs yet:
    /// the queue sends once [`CallQueue::run`] is called.
    pub fn new(
        config: &Config,
        server_id: ServerId,
        repository: Repository,
        keys: KeyManager,
        audit: AuditLog,
        fleet: Fleet,
    ) -> Self {
        let provisioning = Provisioning::new(repository.clone(), fleet.clone(), audit.clone());
        let withdrawals = Withdrawals::new(
            repository.database().clone(),
            keys.clone(),
            config.secret.clone(),
            fleet.clone(),
        );
        let work = Work {
            repository: repository.clone(),
            keys: keys.clone(),
            fleet: fleet.clone(),
            provisioning: provisioning.clone(),
            audit: audit.clone(),
            secret: config.secret.clone(),
        };
        let tasks = Tasks::among(work, Some(withdrawals.clone()));
        Self {
            server_id,
            started: clock::now(),
            secret: config.secret.clone(),
            approvals: Approvals::new(repository.clone(), config.admin.second_person, LIFETIME),
            live: Live::new(config.clone(), clock::now()),
            queue: CallQueue::new(config.calls, provisioning.clone()),
            member: None,
            withdrawals,
            places: Vec::new(),
            policy: config.keys.policy(),
            repository,
            keys,
            audit,
            fleet,
            peers: Peers::default(),
            tasks,
            provisioning,
        }
    }
}
