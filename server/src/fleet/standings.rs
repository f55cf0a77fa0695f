//! How every gateway stands to the key that is being pushed. Kept up by what changes, so that a
//! push through a large fleet reads the whole roster when it begins and when it ends, and never in
//! between.

use std::collections::{BTreeMap, HashSet};

use portcullis_common::id::KeyId;
use portcullis_common::rotation::{GatewayKeyInfo, Policy, UnixMillis};

use super::roster::Standing;
use super::{Push, PushEnd, SyncCounts, SyncResult, SyncState};
use crate::repository::{Holding, Holdings};

/// Bytes of a summary after which no more gateways are named.
const MAX_SUMMARY: usize = 800;
const WAITS: &str = "waits for its turn";
const ON_ITS_WAY: &str = "its turn has come, proof not yet seen";
const KEEPS: &str =
    "not asked: it keeps the key that it has until it next reconnects, or until the next sync";
const AHEAD: &str = "refuses the key that it proved last, so it holds another: a newer one, if this server was restored from a backup; `portcullis gateway token NAME --evict` lets it enrol again";
const ELSEWHERE: &str = "linked to another server, which asks it; proof not yet seen";
const SILENT: &str = "linked to another server, and nothing was heard of it since the push began: `portcullis server list` shows whether that one works";
const TAKEN: &str =
    "took the key and has not come back since: it proves the key when it reconnects";

/// Every enrolled gateway's part in one push.
#[derive(Debug)]
pub(super) struct Standings {
    key: KeyId,
    gateways: BTreeMap<String, Part>,
    counts: SyncCounts,
    changed: Vec<String>,
}

#[derive(Debug)]
struct Part {
    in_scope: bool,
    proved: bool,
    must_enrol: bool,
    /// Its turn has come.
    asked: bool,
    /// It took the key and was given up on, until something is heard of it.
    lost: bool,
    /// Another server has its link.
    elsewhere: bool,
    /// That one is not waited for any longer.
    silent: bool,
    dialled: bool,
    last_seen: Option<UnixMillis>,
    last_error: Option<String>,
    state: SyncState,
    detail: String,
}

impl Standings {
    /// Of all enrolled gateways; `roster` tells how one stands in this process, `elsewhere` names
    /// those whose links other servers have. `None`: there is no gateway key.
    pub(super) fn new(
        holdings: Holdings,
        push: &Push,
        (policy, now): (&Policy, UnixMillis),
        elsewhere: &HashSet<String>,
        roster: impl Fn(&str) -> Standing,
    ) -> Option<Self> {
        let Holdings { keys, gateways } = holdings;
        let key = keys.first()?.id;
        let mut standings = Self {
            key,
            gateways: BTreeMap::new(),
            counts: SyncCounts::default(),
            changed: Vec::new(),
        };
        for holding in gateways.into_iter().filter(Holding::is_enrolled) {
            let name = holding.gateway.clone();
            let mut part = Part::new(holding, &keys, push, policy, now);
            part.elsewhere = elsewhere.contains(&name);
            (part.state, part.detail) = part.now(key, &roster(&name));
            standings.counts.add(part.state);
            standings.changed.push(name.clone());
            standings.gateways.insert(name, part);
        }
        Some(standings)
    }

    /// The key that is pushed.
    pub(super) const fn key(&self) -> KeyId {
        self.key
    }

    pub(super) const fn counts(&self) -> SyncCounts {
        self.counts
    }

    /// Something changed of this gateway. Gives its state; `None`: it is none of the enrolled.
    pub(super) fn look(&mut self, gateway: &str, standing: &Standing) -> Option<SyncState> {
        let part = self.gateways.get_mut(gateway)?;
        part.proved |= standing
            .link
            .as_ref()
            .is_some_and(|link| link.info().key_id == self.key);
        part.lost &= standing.link.is_none();
        let (state, detail) = part.now(self.key, standing);
        if (state, &detail) != (part.state, &part.detail) {
            self.counts.change(part.state, state);
            (part.state, part.detail) = (state, detail);
            self.changed.push(gateway.to_owned());
        }
        Some(state)
    }

    /// Its turn has come.
    pub(super) fn ask(&mut self, gateway: &str, standing: &Standing) {
        if let Some(part) = self.gateways.get_mut(gateway) {
            part.asked = true;
        }
        self.look(gateway, standing);
    }

    /// It took the key, and is not waited for any longer.
    pub(super) fn give_up(&mut self, gateway: &str, standing: &Standing) {
        if let Some(part) = self.gateways.get_mut(gateway) {
            part.lost = true;
        }
        self.look(gateway, standing);
    }

    /// The gateways to ask, in the order of their names.
    pub(super) fn pending(&self, standing: impl Fn(&str) -> Standing) -> Vec<String> {
        let mut pending = self.of(|part| part.state == SyncState::Pending);
        pending.retain(|name| !self.is_elsewhere(name, &standing(name)));
        pending
    }

    fn is_elsewhere(&self, name: &str, standing: &Standing) -> bool {
        let part = self.gateways.get(name);
        part.is_some_and(|part| part.elsewhere && standing.link.is_none() && !standing.awaited)
    }

    /// How many other servers are waited for.
    pub(super) fn elsewhere(&self, standing: impl Fn(&str) -> Standing) -> usize {
        let pending = self.of(|part| part.elsewhere && part.state == SyncState::Pending);
        let waiting = pending.iter();
        waiting
            .filter(|name| self.is_elsewhere(name, &standing(name)))
            .count()
    }

    /// Takes over what the repository says of the gateways whose links other servers have, or had.
    pub(super) fn hear(&mut self, fresh: &Self, standing: impl Fn(&str) -> Standing) {
        for (name, heard) in &fresh.gateways {
            let Some(part) = self.gateways.get_mut(name) else {
                continue;
            };
            if part.elsewhere || heard.elsewhere {
                part.elsewhere = heard.elsewhere;
                part.proved |= heard.proved;
                self.look(name, &standing(name));
            }
        }
    }

    /// Other servers are not waited for any longer.
    pub(super) fn give_up_elsewhere(&mut self, standing: impl Fn(&str) -> Standing) {
        for name in self.of(|part| part.elsewhere && part.state == SyncState::Pending) {
            if let Some(part) = self.gateways.get_mut(&name) {
                part.silent = true;
            }
            self.look(&name, &standing(&name));
        }
    }

    /// The gateways that refused the key.
    pub(super) fn refused(&self) -> Vec<String> {
        self.of(|part| part.state == SyncState::Refused)
    }

    /// The gateways that the server dials and has no link to.
    pub(super) fn to_be_dialled(&self) -> Vec<String> {
        self.of(|part| part.in_scope && part.dialled && part.state == SyncState::Away)
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty()
    }

    /// Those that changed since this was last asked, each once.
    pub(super) fn take_changes(&mut self) -> Vec<SyncResult> {
        let mut names = std::mem::take(&mut self.changed);
        names.sort_unstable();
        names.dedup();
        names
            .into_iter()
            .filter_map(|gateway| {
                let part = self.gateways.get(&gateway)?;
                Some(SyncResult {
                    state: part.state,
                    detail: part.detail.clone(),
                    last_seen: part.last_seen,
                    gateway,
                })
            })
            .collect()
    }

    /// Takes over what a fresh reading of the repository says, as changes to what was known.
    pub(super) fn renew(&mut self, fresh: Self) {
        let mut fresh = fresh;
        fresh.changed = fresh
            .gateways
            .iter()
            .filter(|(name, part)| {
                self.gateways
                    .get(*name)
                    .is_none_or(|known| (known.state, &known.detail) != (part.state, &part.detail))
            })
            .map(|(name, _)| name.clone())
            .collect();
        fresh.changed.append(&mut self.changed);
        *self = fresh;
    }

    /// For the audit log: how many have proved the key, and which have not, as far as there is
    /// room.
    pub(super) fn summary(&self, end: PushEnd) -> String {
        let mut text = format!(
            "{} of {} enrolled gateways have proved it",
            self.counts.synchronized, self.counts.total
        );
        if end == PushEnd::Superseded {
            text.push_str(", and another key is current meanwhile");
        }
        let late = self.gateways.iter();
        let late = late.filter(|(_, part)| part.state != SyncState::Synchronized);
        let mut untold = 0_usize;
        for (number, (name, part)) in late.enumerate() {
            if text.len() > MAX_SUMMARY {
                untold += 1;
                continue;
            }
            text.push_str(if number == 0 { "; not yet: " } else { ", " });
            text.push_str(&format!("{name} ({})", part.state.words()));
        }
        if untold > 0 {
            text.push_str(&format!(", and {untold} more"));
        }
        text
    }

    fn of(&self, wanted: impl Fn(&Part) -> bool) -> Vec<String> {
        let wanted = self.gateways.iter().filter(|(_, part)| wanted(part));
        wanted.map(|(name, _)| name.clone()).collect()
    }
}

impl Part {
    fn new(
        holding: Holding,
        keys: &[GatewayKeyInfo],
        push: &Push,
        policy: &Policy,
        now: UnixMillis,
    ) -> Self {
        let registration = &holding.registration;
        let in_groups = push.groups.is_empty()
            || holding
                .groups
                .iter()
                .any(|group| push.groups.contains(group));
        let may_hold = push.holders_of.is_none_or(|key| registration.may_hold(key));
        Self {
            in_scope: in_groups && may_hold,
            proved: registration.synchronized(keys),
            must_enrol: registration.must_enrol(keys, policy, now),
            asked: false,
            lost: false,
            elsewhere: false,
            silent: false,
            dialled: holding.dialled,
            last_seen: holding.last_seen,
            last_error: holding.last_error,
            state: SyncState::Away,
            detail: String::new(),
        }
    }

    fn now(&self, key: KeyId, standing: &Standing) -> (SyncState, String) {
        if standing.ahead {
            return (SyncState::Ahead, AHEAD.to_owned());
        }
        if self.proved {
            return (SyncState::Synchronized, String::new());
        }
        if self.must_enrol {
            let detail = "holds no key that is still accepted: `portcullis gateway token NAME` makes a token for it";
            return (SyncState::MustEnrol, detail.to_owned());
        }
        if !self.in_scope {
            return (SyncState::NotInScope, KEEPS.to_owned());
        }
        if let Some(refusal) = standing
            .refusal
            .as_ref()
            .filter(|refusal| refusal.key == key)
        {
            return (SyncState::Refused, refusal.why.clone());
        }
        if self.lost {
            return (SyncState::Away, TAKEN.to_owned());
        }
        if standing.link.is_some() || standing.awaited {
            let detail = if self.asked { ON_ITS_WAY } else { WAITS };
            return (SyncState::Pending, detail.to_owned());
        }
        if self.elsewhere {
            return match self.silent {
                false => (SyncState::Pending, ELSEWHERE.to_owned()),
                true => (SyncState::Away, SILENT.to_owned()),
            };
        }
        (SyncState::Away, self.last_error.clone().unwrap_or_default())
    }
}
