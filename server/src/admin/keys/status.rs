//! Who holds which key.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use portcullis_common::id::KeyId;
use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;

use crate::admin::convert::{self, some_id, some_millis};
use crate::admin::error::AdminError;
use crate::repository::Holding;
use crate::services::Services;

/// The gateway keys: who proved each, who was sent it, who of them is away; with the list of
/// gateways where asked for.
pub(super) async fn gateway_keys(
    services: &Services,
    with_gateways: bool,
) -> Result<proto::GatewayKeyStatus, AdminError> {
    let repository = &services.repository;
    let mut rows = repository.gateway_keys().list().await?;
    rows.sort_by_key(|row| Reverse(row.created));
    let holdings = repository.gateways().holdings().await?;
    let connected = services.fleet.connected_anywhere().await?;
    let outlooks = services.fleet.outlooks();
    let is_ahead = |name: &str| outlooks.get(name).is_some_and(|outlook| outlook.ahead);
    let mut held = HashMap::<KeyId, proto::GatewayKeyHolders>::new();
    let (mut enrolled, mut away, mut ahead) = (0, 0, 0);
    for holding in &holdings.gateways {
        let is_away = u32::from(!connected.contains(&holding.gateway));
        if holding.is_enrolled() {
            enrolled += 1;
            away += is_away;
            ahead += u32::from(is_ahead(&holding.gateway));
        }
        let registration = &holding.registration;
        if let Some(proved) = registration.last_proved {
            let holders = held.entry(proved).or_default();
            holders.proved += 1;
            holders.proved_away += is_away;
        }
        for sent in registration.sent.iter().collect::<BTreeSet<_>>() {
            let holders = held.entry(*sent).or_default();
            holders.sent += 1;
            holders.sent_away += is_away;
        }
    }
    let keys = rows.iter().map(|row| proto::GatewayKeyHolders {
        key: Some(convert::gateway_key(row)),
        ..held.remove(&row.info.id).unwrap_or_default()
    });
    let keys = keys.collect();
    let now = clock::now();
    let listed = holdings.gateways.into_iter().filter(|_| with_gateways);
    Ok(proto::GatewayKeyStatus {
        keys,
        enrolled,
        away,
        ahead,
        gateways: listed
            .map(|holding| {
                let must_enrol = holding.is_enrolled()
                    && holding
                        .registration
                        .must_enrol(&holdings.keys, &services.policy, now);
                let connected = connected.contains(&holding.gateway);
                let ahead = is_ahead(&holding.gateway);
                proto::GatewayKeyHolding {
                    ahead,
                    ..shown(holding, connected, must_enrol)
                }
            })
            .collect(),
    })
}

fn shown(holding: Holding, connected: bool, must_enrol: bool) -> proto::GatewayKeyHolding {
    let registration = holding.registration;
    proto::GatewayKeyHolding {
        gateway: holding.gateway,
        proved_key_id: some_id(registration.last_proved),
        proved_unix_ms: some_millis(holding.proved),
        sent_key_ids: registration.sent.iter().map(ToString::to_string).collect(),
        connected,
        last_seen_unix_ms: some_millis(if connected {
            Some(clock::now())
        } else {
            holding.last_seen
        }),
        groups: holding.groups,
        must_enrol,
        ahead: false,
    }
}
