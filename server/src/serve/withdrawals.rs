//! What other servers withdraw is followed here: at the latest a second after it was committed,
//! nothing goes by what was looked up before.

use std::time::Duration;

use crate::repository::RepositoryError;
use crate::services::Services;

/// How often the authority version is asked for.
const EVERY: Duration = Duration::from_secs(1);

/// Follows the authority version for as long as it is polled. A repository in a file is one
/// server's, which knows what it does.
pub(super) async fn follow(services: Services) {
    if !services.repository.database().is_shared() {
        return;
    }
    let mut seen = None;
    loop {
        match look(&services, seen).await {
            Ok(version) => seen = Some(version),
            Err(error) => {
                tracing::warn!(%error, "what other servers withdrew is not known");
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Gives the version of which all is known then.
async fn look(services: &Services, seen: Option<u64>) -> Result<u64, RepositoryError> {
    let database = services.repository.database();
    // Before all that is read: what is withdrawn meanwhile has a later one.
    let version = database.meta().authority_version().await?;
    if seen == Some(version) {
        return Ok(version);
    }
    // No call goes from here on that was let through by what was looked up before.
    database.changed_elsewhere();
    if let Err(error) = services.keys.renew(&services.secret).await {
        tracing::error!(%error, "the server keys were not read again: what was sealed since on other servers does not open here");
    }
    services.fleet.look_again().await?;
    Ok(version)
}
