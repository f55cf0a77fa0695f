//! What the last run of the server left of the queue.

use portcullis_host::clock;
use portcullis_proto::gateway::v1::{Call, Outcome};
use prost::Message as _;

use super::open_calls::{self, OpenCall};
use super::sending::{draft, entry, storable};
use super::{Provisioning, outcome};
use crate::audit::{self, AuditError};
use crate::repository::{QueuedState, RepositoryError};

/// Takes over what earlier instances of the server had under way: that is never sent again. Its
/// gateway is asked what came of it.
pub(super) async fn recover(provisioning: &Provisioning) -> Result<(), RepositoryError> {
    open_calls::load(provisioning).await?;
    let queued = provisioning.repository.queued_calls();
    if let Err(AuditError::Disputed(_)) = provisioning.audit.ready().await {
        let count = queued.doubt_waiting().await?;
        tracing::error!(
            count,
            "queued calls are not sent: their records may be those of an earlier state"
        );
    }
    for call_id in queued.take_over().await? {
        let Some(call) = queued.find(&call_id).await? else {
            continue;
        };
        let resources = provisioning.repository.resources();
        let resource = resources.find(&call.resource).await?;
        let gateway = resource
            .map(|resource| resource.gateway)
            .unwrap_or_default();
        let lost = call.fault.as_deref().unwrap_or(
            "the server ended while the call was under way: look at the object before the call is made again",
        );
        let lost = outcome::indeterminate(call_id.clone(), lost);
        let (state, stored) = storable(lost);
        queued.end(&call_id, state, stored, clock::now()).await?;
        tracing::warn!(call = call_id, "nobody knows what came of a queued call");
        if provisioning.open.knows(&call_id) {
            continue;
        }
        // Nothing of it is in the audit log yet.
        let none = Call::default();
        let why = "the server ended before its outcome was known";
        let unknown = entry(provisioning, &call, &gateway, &none);
        unknown.end(audit::Outcome::Unknown, why).await;
        let audited = provisioning.audit.calls();
        provisioning.open.add(OpenCall {
            begun_ms: call.dispatched.unwrap_or(call.queued).0,
            draft: audited.then(|| draft(&call, &gateway, &none)),
            gateway,
            call_id,
            queued: true,
            restarted: true,
        });
    }
    close_stored(provisioning).await
}

/// A crash between storing what came of a queued call and its entry: the queue knows.
async fn close_stored(provisioning: &Provisioning) -> Result<(), RepositoryError> {
    let queued = provisioning.repository.queued_calls();
    for open in provisioning.open.of_queue() {
        let Some(call) = queued.find(&open.call_id).await? else {
            continue;
        };
        let is_known = matches!(call.state, QueuedState::Done | QueuedState::Failed);
        let stored = call.outcome.filter(|_| is_known);
        let stored = stored.and_then(|bytes| Outcome::decode(bytes.as_slice()).ok());
        if let Some(outcome) = stored
            && let Some(open) = provisioning.open.take(&open.gateway, &open.call_id)
        {
            let how = "as the queue had it when the server started again";
            open.close(provisioning, &outcome, how).await;
        }
    }
    Ok(())
}
