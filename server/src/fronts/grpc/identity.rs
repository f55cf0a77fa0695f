//! Who is at the other end of a connection, and what that user may do.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use nix::unistd::{Gid, Uid, User, getgrouplist};

use crate::access::{Address, Authentication, Caller, PeerFacts};
use crate::audit::Subject;
use crate::config::{CapabilitySet, Live};

/// How long the system's answer about a user is remembered. Whoever leaves a group keeps its
/// capabilities here for no longer than this.
const FRESH: Duration = Duration::from_secs(10);
/// Users remembered at most.
const MAX_REMEMBERED: usize = 1_024;

/// The process at the other end, as the kernel vouches for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// Its user id; `None` where the kernel does not say.
    pub(super) uid: Option<u32>,
    /// Its group id.
    pub(super) gid: Option<u32>,
}

/// By user and group: since when, under which configuration, and what was found.
type Remembered = HashMap<(u32, Option<u32>), (Instant, u64, Caller)>;

/// By user and group: the look-up that is under way.
type Asking = HashMap<(u32, Option<u32>), Weak<tokio::sync::Mutex<()>>>;

/// Asks the system for the names and groups of users, and remembers for a short while.
#[derive(Debug)]
pub(super) struct Identities {
    live: Live,
    own: u32,
    remembered: Mutex<Remembered>,
    /// Held by whoever asks the system about one user; the others wait for what is found.
    asking: Mutex<Asking>,
}

impl Identities {
    pub(super) fn new(live: Live) -> Self {
        Self {
            live,
            own: rustix::process::geteuid().as_raw(),
            remembered: Mutex::default(),
            asking: Mutex::default(),
        }
    }

    /// Who `peer` is. Where the system does not answer, nobody with nothing.
    pub(super) async fn caller(&self, peer: Option<Peer>) -> Caller {
        let Some((uid, gid)) = peer.and_then(|peer| Some((peer.uid?, peer.gid))) else {
            return Caller::nobody();
        };
        let (capabilities, generation) = self.live.capabilities();
        if let Some(caller) = self.remembered(uid, gid, generation) {
            return caller;
        }
        let asking = self.asking(uid, gid);
        let _asking = asking.lock().await;
        if let Some(caller) = self.remembered(uid, gid, generation) {
            return caller;
        }
        // The user database may be a directory server's.
        let looked_up = tokio::task::spawn_blocking(move || look_up(uid, gid)).await;
        let (name, groups) = looked_up.unwrap_or_default();
        let held = if uid == 0 || uid == self.own {
            CapabilitySet::ALL
        } else {
            capabilities.held_by(uid, &groups)
        };
        let subject = Subject::user(uid, name.as_deref());
        let caller = Caller {
            from: PeerFacts {
                address: Address::Host(uid),
                owner: uid == 0 || uid == self.own,
                tls: None,
            },
            ..Caller::everywhere(subject, Authentication::UnixPeer, held)
        };
        let mut remembered = self.lock();
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert((uid, gid), (Instant::now(), generation, caller.clone()));
        caller
    }

    fn remembered(&self, uid: u32, gid: Option<u32>, generation: u64) -> Option<Caller> {
        let remembered = self.lock();
        let (since, under, caller) = remembered.get(&(uid, gid))?;
        (since.elapsed() < FRESH && *under == generation).then(|| caller.clone())
    }

    fn asking(&self, uid: u32, gid: Option<u32>) -> Arc<tokio::sync::Mutex<()>> {
        let mut asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        asking.retain(|_, one| one.strong_count() > 0);
        if let Some(one) = asking.get(&(uid, gid)).and_then(Weak::upgrade) {
            return one;
        }
        let one = Arc::default();
        asking.insert((uid, gid), Arc::downgrade(&one));
        one
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        // Whole at every moment, whoever panicked meanwhile.
        self.remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The user's name, and the groups of the process and of the user.
fn look_up(uid: u32, gid: Option<u32>) -> (Option<String>, Vec<u32>) {
    let mut groups: Vec<u32> = gid.into_iter().collect();
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else {
        return (None, groups);
    };
    if let Ok(name) = CString::new(user.name.as_str()) {
        // Without the list, only the group of the process counts.
        let listed = getgrouplist(&name, user.gid).unwrap_or_default();
        groups.extend(listed.into_iter().map(Gid::as_raw));
    }
    (Some(user.name), groups)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_in_the_groups_that_the_system_lists_and_in_that_of_the_process() {
        let (name, groups) = look_up(0, Some(12_345));
        assert_eq!(name.as_deref(), Some("root"));
        assert!(
            groups.contains(&0) && groups.contains(&12_345),
            "{groups:?}"
        );
        // Nobody has this id.
        let unknown = 3_999_999_999;
        assert_eq!(look_up(unknown, Some(7)), (None, vec![7]));
    }
}
