//! Which gateways a list shows, and how many there are of each sort.

use std::collections::HashMap;

use portcullis_proto::admin::v1 as proto;
use portcullis_proto::admin::v1::GatewayState;

use super::error::AdminError;
use super::names;
use crate::repository::{Gateway, Reach};

/// What a list is to hold.
pub(super) struct Filter {
    groups: Vec<String>,
    request: proto::ListGatewaysRequest,
}

impl Filter {
    pub(super) fn new(mut request: proto::ListGatewaysRequest) -> Result<Self, AdminError> {
        let groups = names::groups(std::mem::take(&mut request.groups))?;
        Ok(Self { groups, request })
    }

    pub(super) fn wants(&self, gateway: &proto::Gateway) -> bool {
        let Self { groups, request } = self;
        let in_groups =
            groups.is_empty() || gateway.groups.iter().any(|group| groups.contains(group));
        let in_states = request.states.is_empty() || request.states.contains(&gateway.state);
        let conditions = [
            (request.down, is_down(gateway)),
            (request.behind, is_behind(gateway)),
            (request.ahead, gateway.ahead),
            (request.alarms, !gateway.alarms.is_empty()),
            (
                request.never_enrolled,
                gateway.state() == GatewayState::Registered,
            ),
        ];
        let asked = conditions.iter().any(|(asked, _)| *asked);
        let holds = conditions.iter().any(|(asked, holds)| *asked && *holds);
        in_groups && in_states && (!asked || holds)
    }
}

/// Counts one more gateway.
pub(super) fn count(counts: &mut proto::GatewayCounts, gateway: &proto::Gateway) {
    let shut_out = [GatewayState::Evicted, GatewayState::Revoked].contains(&gateway.state());
    let alarms = u32::try_from(gateway.alarms.len()).unwrap_or(u32::MAX);
    for (place, one) in [
        (&mut counts.registered, true),
        (&mut counts.up, gateway.connected),
        (&mut counts.down, is_down(gateway)),
        (
            &mut counts.never_enrolled,
            gateway.state() == GatewayState::Registered,
        ),
        (&mut counts.shut_out, shut_out),
        (&mut counts.behind, is_behind(gateway)),
        (&mut counts.ahead, gateway.ahead),
        (&mut counts.with_alarms, alarms > 0),
    ] {
        *place += u32::from(one);
    }
    counts.alarms = counts.alarms.saturating_add(alarms);
}

fn is_down(gateway: &proto::Gateway) -> bool {
    gateway.state() == GatewayState::Enrolled && !gateway.connected
}

fn is_behind(gateway: &proto::Gateway) -> bool {
    gateway.state() == GatewayState::Enrolled && !gateway.synchronized && !gateway.ahead
}

/// The gateways at each address, where there are several.
pub(super) fn sharing(gateways: &[Gateway]) -> HashMap<String, Vec<String>> {
    let mut at = HashMap::<String, Vec<String>>::new();
    for gateway in gateways {
        if let Reach::Address(address) = &gateway.reach {
            at.entry(address.clone())
                .or_default()
                .push(gateway.name.clone());
        }
    }
    at.retain(|_, names| names.len() > 1);
    at
}

/// The others at this gateway's address.
pub(super) fn sharing_with(
    sharing: &HashMap<String, Vec<String>>,
    gateway: &Gateway,
) -> Vec<String> {
    let Reach::Address(address) = &gateway.reach else {
        return Vec::new();
    };
    let all = sharing.get(address).into_iter().flatten();
    all.filter(|name| **name != gateway.name).cloned().collect()
}
