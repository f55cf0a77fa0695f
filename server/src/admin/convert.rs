//! The server's own types as the API's messages.

use portcullis_common::id::{KeyId, KeyKind};
use portcullis_common::rotation::{GatewayKeyInfo, Standing, UnixMillis};
use portcullis_proto::admin::v1 as proto;

use super::holders::Holder;
use crate::config::CapabilitySet;
use crate::fleet::{LinkStatus, Outlook, Progress, PushEnd, SyncState};
use crate::repository::{
    Alarm, Gateway, GatewayKeyRow, PasswordPolicy, Reach, Resource, ServerKeyRow, User,
};

/// Milliseconds as the API has them.
pub(super) fn millis(time: UnixMillis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// Milliseconds as the API has them; 0: never.
pub(super) fn some_millis(time: Option<UnixMillis>) -> i64 {
    time.map_or(0, millis)
}

/// What is seen of a gateway beside what is stored.
pub(super) struct Seen {
    pub(super) link: Option<LinkStatus>,
    pub(super) outlook: Outlook,
    /// The other gateways at its address.
    pub(super) sharing: Vec<String>,
    /// Who has its link.
    pub(super) holder: Holder,
}

/// A gateway, with its link where one lives.
pub(super) fn gateway(
    gateway: Gateway,
    seen: Seen,
    keys: &[GatewayKeyInfo],
    now: UnixMillis,
) -> proto::Gateway {
    let Seen {
        link,
        outlook,
        sharing,
        holder,
    } = seen;
    let state = gateway_state(&gateway);
    let registration = &gateway.registration;
    let mut out = proto::Gateway {
        gateway_id: registration.gateway_id.to_string(),
        state: state.into(),
        address: match gateway.reach {
            Reach::Address(address) => address,
            Reach::DialOut => String::new(),
        },
        last_proved_key_id: some_id(registration.last_proved),
        synchronized: registration.synchronized(keys) && !outlook.ahead,
        // Who is shut out is not dialled.
        next_attempt_unix_ms: some_millis(
            outlook
                .next_attempt
                .filter(|_| registration.standing == Standing::Admitted),
        ),
        ahead: outlook.ahead,
        shares_address_with: sharing,
        last_seen_unix_ms: some_millis(gateway.last_seen),
        last_error: gateway.last_error.unwrap_or_default(),
        token_expires_unix_ms: some_millis(registration.token.as_ref().map(|t| t.expires)),
        pairing_until_unix_ms: some_millis(registration.pairing_until.filter(|t| now < *t)),
        alarms: gateway.alarms.iter().map(alarm_text).collect(),
        groups: gateway.groups,
        hostname: gateway.host.unwrap_or_default(),
        version: gateway.version.unwrap_or_default(),
        clock_ahead_ms: gateway.clock_ahead_ms,
        require_tls: gateway.require_tls,
        name: gateway.name,
        ..proto::Gateway::default()
    };
    out.server = holder.server;
    if let Some(row) = holder.elsewhere {
        out.connected = true;
        out.connected_since_unix_ms = millis(row.since);
        out.for_one_server = row.for_one_server;
        out.last_seen_unix_ms = millis(now);
    }
    if let Some(link) = link {
        out.connected = true;
        out.mode = link.session.mode.to_string();
        out.suite = link.session.suite.to_string();
        out.session_key_id = link.session.key_id.to_string();
        out.connected_since_unix_ms = millis(link.since);
        out.remote_address = link.remote_address;
        out.tls = link.tls;
        out.for_one_server = link.for_one_server;
        out.clock_ahead_ms = link.clock_ahead_ms.or(out.clock_ahead_ms);
        out.last_seen_unix_ms = millis(now);
        if let Some(description) = link.description {
            out.version = description.version;
            out.hostname = description.hostname;
            out.operating_system = description.operating_system;
            out.connectors = description.connectors;
        }
    }
    out
}

fn gateway_state(gateway: &Gateway) -> proto::GatewayState {
    let registration = &gateway.registration;
    match registration.standing {
        _ if gateway.record_changed => proto::GatewayState::Changed,
        Standing::Revoked => proto::GatewayState::Revoked,
        Standing::Evicted => proto::GatewayState::Evicted,
        Standing::Admitted if registration.last_proved.is_some() => proto::GatewayState::Enrolled,
        Standing::Admitted => proto::GatewayState::Registered,
    }
}

/// A gateway key: its id, never its bytes.
pub(super) fn gateway_key(row: &GatewayKeyRow) -> proto::Key {
    proto::Key {
        key_id: row.info.id.to_string(),
        purpose: "gateway".to_owned(),
        kind: row.info.id.kind().name().to_owned(),
        current: row.info.retired.is_none(),
        created_unix_ms: millis(row.created),
        retired_unix_ms: some_millis(row.info.retired),
        in_use_by: row.in_use_by,
        compromised: row.info.compromised,
        withdrawn: row.info.withdrawn,
    }
}

/// A server key: its id, never its bytes.
pub(super) fn server_key(row: &ServerKeyRow) -> proto::Key {
    proto::Key {
        key_id: row.id.to_string(),
        purpose: "server".to_owned(),
        kind: row.id.kind().name().to_owned(),
        current: row.current,
        created_unix_ms: millis(row.created),
        retired_unix_ms: some_millis(row.retired),
        in_use_by: row.in_use_by,
        compromised: false,
        withdrawn: false,
    }
}

/// The kind asked for; `None` where none was.
pub(super) fn key_kind(kind: proto::KeyKind) -> Option<KeyKind> {
    match kind {
        proto::KeyKind::Unspecified => None,
        proto::KeyKind::Tdes => Some(KeyKind::Tdes),
        proto::KeyKind::Aes256 => Some(KeyKind::Aes256),
    }
}

/// How far a gateway key has got; `withdrawn` was rolled back for it.
pub(super) fn progress(progress: Progress, withdrawn: Option<KeyId>) -> proto::SyncProgress {
    let counts = progress.counts;
    let end = match progress.end {
        PushEnd::UnderWay => proto::PushEnd::UnderWay,
        PushEnd::Complete => proto::PushEnd::Complete,
        PushEnd::Superseded => proto::PushEnd::Superseded,
    };
    proto::SyncProgress {
        current_key_id: progress.current.to_string(),
        withdrawn_key_id: some_id(withdrawn),
        synchronized: counts.synchronized,
        total: counts.total,
        away: counts.away,
        pending: counts.pending,
        refused: counts.refused,
        must_enrol: counts.must_enrol,
        ahead: counts.ahead,
        not_in_scope: counts.not_in_scope,
        end: end.into(),
        results: progress
            .results
            .into_iter()
            .map(|result| proto::SyncResult {
                gateway: result.gateway,
                state: sync_state(result.state).into(),
                detail: result.detail,
                last_seen_unix_ms: some_millis(result.last_seen),
            })
            .collect(),
        last: progress.last,
    }
}

/// A resource.
pub(super) fn resource(resource: Resource) -> proto::Resource {
    proto::Resource {
        name: resource.name,
        gateway: resource.gateway,
        connector: resource.connector,
        settings: resource.settings.into_iter().collect(),
        mapping: resource.mapping.into_iter().collect(),
        groups: resource.groups.into_iter().collect(),
        secret_settings: resource.secret_settings.into_iter().collect(),
        created_unix_ms: millis(resource.created),
        // Of a change alone, which fills them in.
        dropped_secret_settings: Vec::new(),
        cancelled_calls: 0,
        cancelled_call_ids: Vec::new(),
        warning: String::new(),
        lost_secret_settings: resource.lost_settings.into_iter().collect(),
        fault: resource.fault.unwrap_or_default(),
        pending_secret_settings: resource.pending.into_keys().collect(),
    }
}

/// A user: never the password, nor any answer.
pub(super) fn user(user: User, held: CapabilitySet) -> proto::User {
    proto::User {
        name: user.name,
        created_unix_ms: millis(user.created),
        password_set_unix_ms: some_millis(user.password_set),
        questions: user.questions,
        capabilities: names(held),
    }
}

/// Capabilities by their names.
pub(super) fn names(held: CapabilitySet) -> Vec<String> {
    let names = held.iter().map(|one| one.name().to_owned());
    names.collect()
}

/// The password policy.
pub(super) fn policy(policy: PasswordPolicy, words: u64) -> proto::PasswordPolicy {
    proto::PasswordPolicy {
        min_length: policy.min_length,
        max_length: policy.max_length,
        min_lower: policy.min_lower,
        min_upper: policy.min_upper,
        min_digits: policy.min_digits,
        min_other: policy.min_other,
        forbid_names: policy.forbid_names,
        forbid_words: policy.forbid_words,
        user_history: policy.user_history,
        account_history: policy.account_history,
        words,
    }
}

fn sync_state(state: SyncState) -> proto::SyncState {
    match state {
        SyncState::Synchronized => proto::SyncState::Synchronized,
        SyncState::Away => proto::SyncState::Away,
        SyncState::Pending => proto::SyncState::Pending,
        SyncState::Refused => proto::SyncState::Refused,
        SyncState::MustEnrol => proto::SyncState::MustEnrol,
        SyncState::Ahead => proto::SyncState::Ahead,
        SyncState::NotInScope => proto::SyncState::NotInScope,
    }
}

pub(super) fn some_id(id: Option<KeyId>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// An alarm in one line.
fn alarm_text(alarm: &Alarm) -> String {
    let since = rfc3339(alarm.first);
    match alarm.count {
        1 => format!("{since}: {}", alarm.text),
        count => format!(
            "{count} times since {since}, last {}: {}",
            rfc3339(alarm.last),
            alarm.text
        ),
    }
}

/// An alarm.
pub(super) fn alarm(alarm: Alarm) -> proto::Alarm {
    let closed = alarm.closed;
    let (closed_at, by, reason) = closed.map_or_else(Default::default, |closed| {
        (millis(closed.at), closed.by, closed.reason)
    });
    proto::Alarm {
        id: alarm.id,
        gateway: alarm.gateway,
        kind: alarm.kind.name().to_owned(),
        text: alarm.text,
        first_unix_ms: millis(alarm.first),
        last_unix_ms: millis(alarm.last),
        count: alarm.count,
        closed_unix_ms: closed_at,
        closed_by: by,
        reason,
    }
}

fn rfc3339(time: UnixMillis) -> String {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_millis(time.0);
    humantime::format_rfc3339_seconds(time).to_string()
}
