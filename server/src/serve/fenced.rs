//! What the fleet has to know of this server's beats, and to do where they are not acknowledged.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::fleet::{Fleet, Renewals, Sibling, Siblings};
use crate::servers::{Fence, Member};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);

/// The beats of this server, for those who send calls; `None`: it has none.
pub(super) fn renewals(member: Member) -> Option<Arc<dyn Renewals>> {
    let has_beats = member.fence().has_beats();
    has_beats.then(|| Arc::new(Beats(member)) as Arc<dyn Renewals>)
}

#[derive(Debug)]
struct Beats(Member);

impl Renewals for Beats {
    fn last(&self) -> Option<Instant> {
        self.0.fence().last_renewal()
    }

    fn renew(&self) -> Pin<Box<dyn Future<Output = bool> + Send>> {
        let member = self.0.clone();
        Box::pin(async move { member.renew().await })
    }
}

/// The servers that share the repository, for who shares out links; `None`: nobody does.
pub(super) fn siblings(member: Member) -> Option<Arc<dyn Siblings>> {
    let has_beats = member.fence().has_beats();
    has_beats.then(|| Arc::new(Beats(member)) as Arc<dyn Siblings>)
}

impl Siblings for Beats {
    fn all(&self) -> Vec<Sibling> {
        let own = Sibling {
            instance: self.0.instance(),
            leaves: self.0.leaves(),
        };
        let others = self.0.others().into_iter().map(|seen| Sibling {
            instance: seen.row.instance,
            leaves: seen.row.drained,
        });
        others.chain([own]).collect()
    }
}

/// Closes links where this server may have been ended without knowing it yet, for as long as it
/// runs. Once renewals are acknowledged again, links come again by themselves.
pub(super) async fn watch(fence: Fence, fleet: Fleet) {
    if !fence.has_beats() {
        return;
    }
    loop {
        sleep(LOOK).await;
        if fence.must_close(Instant::now()) && fleet.count() > 0 {
            tracing::warn!(
                "closing all links: the database of the repository has not answered for too long"
            );
            fleet.close_all().await;
        }
    }
}
