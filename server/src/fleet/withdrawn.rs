//! Every link looked at once more, after something was withdrawn by another server: this one then
//! ends what it ends where it withdraws something itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{GatewayKeyInfo, Registration, Scope, Standing};
use portcullis_common::stream::Session;
use tokio::time::{Instant, timeout_at};

use super::unsent::Unsent;
use super::{Fleet, lock};
use crate::repository::{Holdings, RepositoryError};

/// How long a gateway may take nothing before its connection is closed, so that what was let
/// through before is sent never.
const UNSENT: Duration = Duration::from_secs(3);

/// A connection to a gateway.
#[derive(Clone, Debug)]
pub(super) struct Outgoing {
    pub(super) gateway: String,
    pub(super) session: Arc<Session>,
    pub(super) unsent: Unsent,
}

/// What becomes of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Stays,
    /// Its gateway shakes hands anew: it proved a key since that is newer.
    IsReplaced,
    /// It ends at once, and the calls in flight with it.
    Ends,
}

impl Fleet {
    /// Looks at every link, and ends those that are worth nothing any more. What is sent by then
    /// was sent before; nothing that waits goes through them.
    ///
    /// # Errors
    /// [`RepositoryError`]: some were not looked at.
    pub async fn look_again(&self) -> Result<(), RepositoryError> {
        // In this order: one that comes later is looked at when it comes.
        let gateways = self.inner.roster.gateways();
        let links = self.inner.roster.links();
        let Holdings {
            keys,
            gateways: rows,
        } = self.inner.repository.gateways().holdings().await?;
        self.inner.current_key.send_if_modified(|current| {
            let newest = keys.first().map(|key| key.id);
            std::mem::replace(current, newest) != newest
        });
        let mut registered = HashMap::with_capacity(rows.len());
        for row in &rows {
            registered.insert(row.gateway.as_str(), &row.registration);
        }
        let removed = gateways
            .iter()
            .filter(|name| !registered.contains_key(name.as_str()));
        for gateway in removed {
            self.forget(gateway);
        }
        for link in links {
            let Some(registration) = registered.get(link.gateway.as_str()) else {
                continue;
            };
            let (id, key) = (link.gateway_id(), link.info().key_id);
            match fate(registration, &keys, (id, link.scope, key)) {
                Fate::Stays => {}
                Fate::IsReplaced => self.succeed(&link),
                Fate::Ends => self.close(&link.gateway).await,
            }
        }
        Ok(())
    }
}

impl Fleet {
    /// Waits until all that was let through to gateways before is sent, or never will be: the
    /// connection of one that takes nothing is closed.
    pub async fn nothing_unsent(&self) {
        let outgoing = lock(&self.inner.outgoing).clone();
        let until = Instant::now() + UNSENT;
        for one in outgoing {
            if timeout_at(until, one.unsent.is_sent()).await.is_err() {
                tracing::warn!(
                    gateway = one.gateway,
                    "the link is closed: its gateway takes nothing, and what was let through before something was withdrawn must not reach it later"
                );
                one.session.close();
            }
        }
    }
}

/// Of a link of the gateway with this id, in which it proved this key.
fn fate(
    registration: &Registration,
    keys: &[GatewayKeyInfo],
    (id, scope, proved): (GatewayId, Scope, KeyId),
) -> Fate {
    let key = keys.iter().find(|key| key.id == proved);
    let withdrawn = scope != Scope::Enrolment && key.is_none_or(|key| key.compromised);
    if registration.gateway_id != id || registration.standing != Standing::Admitted || withdrawn {
        return Fate::Ends;
    }
    match scope != Scope::Full || registration.may_call(id, scope, proved, keys) {
        true => Fate::Stays,
        false => Fate::IsReplaced,
    }
}

#[cfg(test)]
mod tests {
    use portcullis_common::id::KeyKind;
    use portcullis_common::rotation::{EnrolmentToken, UnixMillis};

    use super::*;

    #[test]
    fn a_link_ends_with_its_registration_and_its_key_and_is_replaced_for_a_newer_one() {
        let mut rng = rand::rng();
        let mut key_id = || KeyId::random(KeyKind::Tdes, &mut rng);
        let (old, new) = (key_id(), key_id());
        let key = |id, generation, retired: Option<u64>| GatewayKeyInfo {
            id,
            generation,
            retired: retired.map(UnixMillis),
            compromised: false,
            withdrawn: false,
        };
        let keys = [key(new, 2, None), key(old, 1, Some(1))];
        let mut rng = rand::rng();
        let id = GatewayId::random(&mut rng);
        let token = EnrolmentToken::random(id, KeyKind::Tdes, &mut rng);
        let mut registration = Registration::new(&token, UnixMillis(0), None);
        registration.last_proved = Some(old);
        let link = |scope, key| (id, scope, key);
        let full = link(Scope::Full, old);
        assert_eq!(fate(&registration, &keys, full), Fate::Stays);
        registration.last_proved = Some(new);
        assert_eq!(fate(&registration, &keys, full), Fate::IsReplaced);
        assert_eq!(
            fate(&registration, &keys, link(Scope::Full, new)),
            Fate::Stays
        );
        let enrols = link(Scope::Enrolment, token.key_id());
        assert_eq!(fate(&registration, &keys, enrols), Fate::Stays);
        // A key that was deleted, and one that somebody else has.
        assert_eq!(fate(&registration, &keys[..1], full), Fate::Ends);
        let mut compromised = keys;
        compromised
            .iter_mut()
            .for_each(|key| key.compromised = true);
        for scope in [Scope::Full, Scope::InstallsOnly] {
            assert_eq!(
                fate(&registration, &compromised, link(scope, new)),
                Fate::Ends
            );
        }
        let mut other = registration.clone();
        other.gateway_id = GatewayId::random(&mut rng);
        assert_eq!(fate(&other, &keys, link(Scope::Full, new)), Fate::Ends);
        for standing in [Standing::Revoked, Standing::Evicted] {
            registration.standing = standing;
            for link in [link(Scope::Full, new), enrols] {
                assert_eq!(fate(&registration, &keys, link), Fate::Ends);
            }
        }
    }
}
