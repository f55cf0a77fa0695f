//! Somebody as one server tells the other of them.

use portcullis_proto::peer::v1 as peer;

use super::{Authentication, Caller};
use crate::audit::Subject;

impl Caller {
    /// On whose behalf a request is forwarded to another server.
    pub(crate) fn carried(&self) -> peer::Subject {
        peer::Subject {
            name: self.subject.to_string(),
            uid: self.subject.uid(),
        }
    }

    /// On whose behalf another server forwarded a request, and who that is `here`, by this host's
    /// users and this server's configuration. That server has authenticated them; what they may do
    /// is for this one to say. Somebody who is another one here may do nothing.
    pub(crate) fn of_peer(told: &peer::Subject, here: Self) -> Self {
        let subject = Subject::told(&told.name, told.uid);
        let permissions = match here.subject == subject {
            true => here.permissions,
            false => Vec::new(),
        };
        Self {
            subject,
            authentication: Authentication::OtherServer,
            permissions,
            from: here.from,
            trace: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Capability, CapabilitySet};

    #[test]
    fn who_is_carried_to_another_server_may_do_there_what_that_one_says() {
        let user = |uid, name, capabilities: &[Capability]| {
            let held = CapabilitySet::of(capabilities);
            let subject = Subject::user(uid, name);
            Caller::everywhere(subject, Authentication::UnixPeer, held)
        };
        let there = user(1001, Some("alice"), &[Capability::Administrator]);
        let told = there.carried();
        let here = user(1001, Some("alice"), &[Capability::Operator]);
        let caller = Caller::of_peer(&told, here.clone());
        assert_eq!(caller.permissions, here.permissions);
        assert_eq!(caller.subject, there.subject);
        assert_eq!(caller.authentication, Authentication::OtherServer);
        // The same number is somebody else here, or nobody.
        for stranger in [Some("bob"), None] {
            let stranger = user(1001, stranger, &[Capability::Administrator]);
            let caller = Caller::of_peer(&told, stranger);
            assert_eq!(caller.permissions, []);
            assert_eq!(caller.subject, there.subject);
        }
        assert_eq!(Caller::of_peer(&told, Caller::nobody()).permissions, []);
    }
}
