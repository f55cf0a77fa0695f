//! What servers that are gone had under way is taken over while this one runs, and what others ask
//! of this one is done.

use std::time::Duration;

use crate::repository::{RepositoryError, tell_refusal};
use crate::services::Services;

/// How often it is looked for.
const EVERY: Duration = Duration::from_secs(1);

/// Takes over for as long as it is polled. In a file no other server lives: what was left is taken
/// over by the start.
pub(super) async fn take_over(services: Services) {
    if !services.repository.database().is_shared() {
        return;
    }
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = look(&services).await {
            tell_refusal!(
                error,
                "what servers that are gone had under way is not taken over now"
            );
        }
    }
}

async fn look(services: &Services) -> Result<(), RepositoryError> {
    let fleet = &services.fleet;
    if fleet.gives_away() {
        services.tasks.hand_over().await?;
    } else if !fleet.is_drained() && services.repository.database().has_left_work().await? {
        services.queue.take_over().await?;
        services.tasks.resume_interrupted().await?;
    }
    services.queue.heed_others().await?;
    services.tasks.heed_others().await
}
