//! How many gateways there are of each sort.

use portcullis_common::rotation::Standing;

use super::Fleet;
use crate::repository::{Holding, RepositoryError};

/// How many gateways there are of each sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub registered: u32,
    /// Connected, to whichever server.
    pub up: u32,
    /// Enrolled and not connected; those that are ahead among them.
    pub down: u32,
    /// Registered and nothing more.
    pub never_enrolled: u32,
    /// Evicted or revoked.
    pub shut_out: u32,
    /// Enrolled, and have not proved the current gateway key.
    pub behind: u32,
    /// See [`super::Outlook::ahead`].
    pub ahead: u32,
    /// With an open alarm, or a record that was changed by hand.
    pub with_alarms: u32,
    /// Open alarms of all of them.
    pub alarms: u32,
}

impl Fleet {
    /// How many gateways there are of each sort, without opening a single secret.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn counts(&self) -> Result<Counts, RepositoryError> {
        let gateways = self.inner.repository.gateways();
        let holdings = gateways.holdings().await?;
        let alarms = gateways.open_alarms().await?;
        let connected = self.connected_anywhere().await?;
        let outlooks = self.outlooks();
        let mut counts = Counts::default();
        for holding in &holdings.gateways {
            let name = &holding.gateway;
            let up = connected.contains(name);
            let ahead = outlooks.get(name).is_some_and(|outlook| outlook.ahead);
            let enrolled = Holding::is_enrolled(holding);
            let synchronized = holding.registration.synchronized(&holdings.keys);
            let admitted = holding.registration.standing == Standing::Admitted;
            let changed = holding.record_changed;
            for (place, one) in [
                (&mut counts.registered, true),
                (&mut counts.up, up),
                (&mut counts.down, enrolled && !up),
                (&mut counts.never_enrolled, admitted && !enrolled),
                (&mut counts.shut_out, !admitted && !changed),
                (&mut counts.behind, enrolled && !synchronized && !ahead),
                (&mut counts.ahead, ahead),
                (
                    &mut counts.with_alarms,
                    changed || alarms.contains_key(name),
                ),
                // That its record was changed is an alarm which stands nowhere.
                (&mut counts.alarms, changed),
            ] {
                *place += u32::from(one);
            }
        }
        counts.alarms = alarms
            .values()
            .fold(counts.alarms, |sum, one| sum.saturating_add(*one));
        Ok(counts)
    }
}
