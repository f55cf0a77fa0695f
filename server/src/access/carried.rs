//! Somebody as one server tells the other of them.

use portcullis_proto::peer::v1::{self as peer, permission};

use super::{Authentication, Caller, Permission, Scope};
use crate::audit::Subject;
use crate::config::Capability;

impl Caller {
    /// On whose behalf a request is forwarded to another server.
    pub(crate) fn carried(&self) -> peer::Subject {
        peer::Subject {
            name: self.subject.to_string(),
            uid: self.subject.uid(),
            permissions: self.permissions.iter().map(Permission::carried).collect(),
        }
    }

    /// On whose behalf another server forwarded a request. That server has authenticated them and
    /// says what they may do; whether that covers the request is asked here once more.
    pub(crate) fn of_peer(told: &peer::Subject) -> Self {
        Self {
            subject: Subject::told(&told.name, told.uid),
            authentication: Authentication::OtherServer,
            permissions: told
                .permissions
                .iter()
                .filter_map(Permission::told)
                .collect(),
            trace: None,
        }
    }
}

impl Permission {
    fn carried(&self) -> peer::Permission {
        let scope = match &self.scope {
            Scope::Everything => permission::Scope::Everything(true),
            Scope::Resource(name) => permission::Scope::Resource(name.clone()),
            Scope::Gateway(name) => permission::Scope::Gateway(name.clone()),
            Scope::GatewayGroup(name) => permission::Scope::GatewayGroup(name.clone()),
        };
        peer::Permission {
            capability: self.capability.name().to_owned(),
            scope: Some(scope),
        }
    }

    /// `None`: it gives nothing here.
    fn told(told: &peer::Permission) -> Option<Self> {
        let mut all = Capability::ALL.into_iter();
        let scope = match told.scope.as_ref()? {
            permission::Scope::Everything(true) => Scope::Everything,
            permission::Scope::Everything(false) => return None,
            permission::Scope::Resource(name) => Scope::Resource(name.clone()),
            permission::Scope::Gateway(name) => Scope::Gateway(name.clone()),
            permission::Scope::GatewayGroup(name) => Scope::GatewayGroup(name.clone()),
        };
        Some(Self {
            capability: all.find(|one| one.name() == told.capability)?,
            scope,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_carried_to_another_server_has_the_same_rights_there_and_no_others() {
        let held = |capability, scope| Permission { capability, scope };
        let caller = Caller {
            subject: Subject::user(1001, Some("alice")),
            authentication: Authentication::UnixPeer,
            permissions: vec![
                held(Capability::Operator, Scope::Resource("mail".to_owned())),
                held(Capability::Operator, Scope::Gateway("host1".to_owned())),
                held(Capability::Auditor, Scope::GatewayGroup("lab".to_owned())),
                held(Capability::Administrator, Scope::Everything),
            ],
            trace: None,
        };
        let mut told = caller.carried();
        // What a newer server may say, or a false one.
        told.permissions.extend([
            peer::Permission {
                capability: "emperor".to_owned(),
                scope: Some(permission::Scope::Everything(true)),
            },
            peer::Permission {
                capability: "security-administrator".to_owned(),
                scope: None,
            },
            peer::Permission {
                capability: "security-administrator".to_owned(),
                scope: Some(permission::Scope::Everything(false)),
            },
        ]);
        let there = Caller::of_peer(&told);
        assert_eq!(there.permissions, caller.permissions);
        assert_eq!(there.subject, caller.subject);
        assert_eq!(there.authentication, Authentication::OtherServer);
    }
}
