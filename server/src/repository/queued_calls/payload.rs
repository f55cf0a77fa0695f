//! What is sealed for a queued call: where it lies, and whether it is to be sent.

use super::call::{OpenedPayload, Payload, PayloadError, QueuedCall};
use super::spent::Spent;
use crate::repository::authority::Authority;
use crate::repository::resources::{self, Route};
use crate::repository::sql::Tx;
use crate::repository::{Place, ProtectedType, RepositoryError, Sealer, sealed_values};

/// Why a call that is said to wait is not to be sent, whatever its payload holds.
pub(super) fn doubt(call: &QueuedCall, spent: &Spent) -> Option<String> {
    call.fault.clone().or_else(|| {
        spent.contains(call.sequence).then(|| {
            format!(
                "the record of queued call `{}` in the repository was put back to an earlier state of itself, or may have been: it is not sent, for it may have been before; look at the object before the call is made again under another id",
                call.call_id
            )
        })
    })
}

/// As [`payload`], to where the call's resource leads.
pub(super) fn routed(
    tx: &mut Tx<'_>,
    authority: &Authority,
    sealer: &dyn Sealer,
    call: QueuedCall,
) -> Result<Option<Payload>, RepositoryError> {
    match resources::route(tx, authority, &call.resource) {
        Ok(route) => payload(tx, sealer, &call.call_id, call.resource, &route),
        Err(error @ RepositoryError::RowChanged { .. }) => {
            Ok(Some(Err(PayloadError::Changed(error.to_string()))))
        }
        Err(error) => Err(error),
    }
}

/// What is to be sent of a call, or why it is never; `None`: its server key is not here.
pub(super) fn payload(
    tx: &mut Tx<'_>,
    sealer: &dyn Sealer,
    call_id: &str,
    resource: String,
    route: &Route,
) -> Result<Option<Payload>, RepositoryError> {
    let field = field(&resource, &route.gateway);
    let place = place(call_id, &field, &route.context);
    let gateway = route.gateway.clone();
    let Some(sealed) = sealed_values::find(tx, &place)? else {
        return Ok(Some(Err(PayloadError::Missing { resource, gateway })));
    };
    if sealed_values::context_of(tx, &place)?.as_deref() != Some(&*route.context) {
        return Ok(Some(Err(PayloadError::Elsewhere { resource, gateway })));
    }
    if !sealer.holds_key_of(&sealed) {
        return Ok(None);
    }
    let opened = sealer.open(&place, &sealed).map(|bytes| OpenedPayload {
        bytes,
        gateway_id: route.gateway_id,
    });
    Ok(Some(opened.map_err(PayloadError::from)))
}

/// Where the payload is to go is authenticated with it, here and in its context, which names the
/// registration of the gateway and the connector: whatever is changed by hand, it takes a password
/// nowhere else. No name holds a blank.
pub(super) fn field(resource: &str, gateway: &str) -> String {
    format!("payload for {resource} through {gateway}")
}

pub(super) const fn place<'a>(call_id: &'a str, field: &'a str, context: &'a [u8]) -> Place<'a> {
    Place {
        kind: ProtectedType::QueuedCall,
        owner: call_id.as_bytes(),
        field,
        context,
    }
}
