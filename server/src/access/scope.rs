//! Where a permission holds, and whether it covers what a request is about.

use std::fmt;

use super::Caller;
use crate::config::CapabilitySet;
use crate::repository::{Repository, RepositoryError};

/// Where a permission holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everywhere, and for what concerns the server as a whole.
    Everything,
    /// On one resource.
    Resource(String),
    /// On one gateway, and on its resources.
    Gateway(String),
    /// On the gateways of one group, and on their resources.
    GatewayGroup(String),
}

/// What a request touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The server as a whole: only a permission for everything covers it.
    Server,
    /// Nothing in particular: every permission covers it.
    Anything,
    /// A resource.
    Resource(String),
    /// The gateway on which a resource lies.
    GatewayOf(String),
    /// A gateway.
    Gateway(String),
    /// A group of gateways.
    GatewayGroup(String),
    /// The resource of a call that was queued under this id.
    QueuedCall(String),
}

impl Caller {
    /// The first of `targets` that none of the caller's permissions covers, of those that give one
    /// of `capabilities`. A place is looked up only for callers whose permissions are limited.
    ///
    /// # Errors
    /// [`RepositoryError`]: nobody knows, and nothing may be done.
    pub(crate) async fn not_covered<'a>(
        &self,
        capabilities: CapabilitySet,
        targets: &'a [Target],
        repository: &Repository,
    ) -> Result<Option<&'a Target>, RepositoryError> {
        let scopes: Vec<_> = self.giving(capabilities).map(|held| &held.scope).collect();
        if scopes.contains(&&Scope::Everything) {
            return Ok(None);
        }
        for target in targets {
            let place = Place::of(target, repository).await?;
            if !scopes.iter().any(|scope| place.is_in(scope)) {
                return Ok(Some(target));
            }
        }
        Ok(None)
    }
}

/// Where a target lies now.
#[derive(Debug, Default)]
struct Place {
    anywhere: bool,
    resource: Option<String>,
    gateway: Option<String>,
    groups: Vec<String>,
}

impl Place {
    /// What is not in the repository lies in no gateway and in no group.
    async fn of(target: &Target, repository: &Repository) -> Result<Self, RepositoryError> {
        match target {
            Target::Server => Ok(Self::default()),
            Target::Anything => Ok(Self {
                anywhere: true,
                ..Self::default()
            }),
            Target::Resource(name) => Self::of_resource(name, repository).await,
            Target::GatewayOf(name) => Ok(Self {
                resource: None,
                ..Self::of_resource(name, repository).await?
            }),
            Target::Gateway(name) => Self::of_gateway(name, repository).await,
            Target::GatewayGroup(name) => Ok(Self {
                groups: vec![name.clone()],
                ..Self::default()
            }),
            Target::QueuedCall(id) => match repository.queued_calls().find(id).await? {
                None => Ok(Self::default()),
                Some(call) => Self::of_resource(&call.resource, repository).await,
            },
        }
    }

    async fn of_resource(name: &str, repository: &Repository) -> Result<Self, RepositoryError> {
        let place = match repository.resources().find(name).await {
            // A record that was changed by hand gives nobody a right that comes from its gateway.
            Ok(None) | Err(RepositoryError::RowChanged { .. }) => Self::default(),
            Ok(Some(resource)) => Self::of_gateway(&resource.gateway, repository).await?,
            Err(error) => return Err(error),
        };
        Ok(Self {
            resource: Some(name.to_owned()),
            ..place
        })
    }

    async fn of_gateway(name: &str, repository: &Repository) -> Result<Self, RepositoryError> {
        let found = repository.gateways().find(name).await?;
        Ok(Self {
            gateway: Some(name.to_owned()),
            groups: found.map(|gateway| gateway.groups).unwrap_or_default(),
            ..Self::default()
        })
    }

    fn is_in(&self, scope: &Scope) -> bool {
        self.anywhere
            || match scope {
                Scope::Everything => true,
                Scope::Resource(name) => self.resource.as_ref() == Some(name),
                Scope::Gateway(name) => self.gateway.as_ref() == Some(name),
                Scope::GatewayGroup(name) => self.groups.contains(name),
            }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("everything"),
            Self::Resource(name) => write!(f, "resource {name}"),
            Self::Gateway(name) => write!(f, "gateway {name}"),
            Self::GatewayGroup(name) => write!(f, "the gateways of group {name}"),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server => f.write_str("the whole server"),
            Self::Anything => f.write_str("anything"),
            Self::Resource(name) => write!(f, "resource {name}"),
            Self::GatewayOf(name) => write!(f, "the gateway of resource {name}"),
            Self::Gateway(name) => write!(f, "gateway {name}"),
            Self::GatewayGroup(name) => write!(f, "the gateways of group {name}"),
            Self::QueuedCall(id) => write!(f, "call {id}"),
        }
    }
}
