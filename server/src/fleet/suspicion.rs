//! What looks like a stolen credential: one token or one key in two hands.

use std::sync::Arc;

use portcullis_common::id::GatewayId;
use portcullis_common::rotation::{Registration, TokenState, UnixMillis};
use portcullis_host::clock;
use portcullis_proto::gateway::v1::EnrolRequest;

use super::establish::{LinkError, in_time};
use super::link::Link;
use super::roster::Peer;
use super::{CLOCKS_APART_MS, Event, Fleet, printable};
use crate::repository::{AlarmKind, Grant, NewAlarm, SpentToken, tell_refusal};

/// What a gateway could come with before a handshake.
pub(super) struct Credential {
    pub(super) token: Option<TokenState>,
    pub(super) proved: bool,
}

impl Credential {
    pub(super) fn of(registration: &Registration) -> Self {
        Self {
            token: registration.token.clone(),
            proved: registration.last_proved.is_some(),
        }
    }
}

impl Fleet {
    /// Keeps what a gateway enrolled with, so that a second holder is known. Where that fails, a
    /// second holder is refused all the same.
    pub(super) async fn remember_spent(
        &self,
        gateway_id: GatewayId,
        token: TokenState,
        spent: UnixMillis,
        remote: String,
    ) {
        let token = SpentToken {
            key_id: token.key_id,
            key: token.key,
            bound: token.bound,
            spent,
            remote,
        };
        let gateways = self.inner.repository.gateways();
        if let Err(error) = gateways.remember_spent(gateway_id, &token).await {
            tell_refusal!(
                error,
                "cannot keep a spent token: its second use would raise no alarm"
            );
        }
    }

    /// Somebody proved the enrolment key that this gateway has spent. By the nonce, the gateway
    /// itself in an earlier state is told from anybody else; both get nothing.
    pub(super) async fn token_offered_again(&self, link: &Link, spent: &SpentToken) -> LinkError {
        let answer = in_time(async { link.control().enrol(EnrolRequest {}).await }).await;
        let when = super::rfc3339(spent.spent);
        let nonce = answer.map(|answer| answer.into_inner().nonce);
        let same = matches!((&nonce, &spent.bound), (Ok(nonce), Some(bound)) if nonce == bound);
        let error = if same {
            LinkError::TokenRepeated { spent: when }
        } else {
            if self.inner.roster.may_alarm(&link.gateway) {
                // Without its name where it does not say.
                let _ = in_time(link.describe()).await;
                self.token_in_two_hands(link, Some(spent)).await;
            }
            LinkError::TokenSpent { spent: when }
        };
        link.session().close();
        error
    }

    /// A token was used by `link`'s peer after another had used it: to its end, where `spent`.
    pub(super) async fn token_in_two_hands(&self, link: &Link, spent: Option<&SpentToken>) {
        let (name, second) = (&link.gateway, Peer::of(link));
        let first = match spent {
            None => "another host had begun to enrol with it".to_owned(),
            Some(spent) => {
                let row = self.inner.repository.gateways().find(name.as_str()).await;
                let host = row.ok().flatten().and_then(|gateway| gateway.host);
                let first = Peer {
                    address: spent.remote.clone(),
                    host: host.unwrap_or_default(),
                };
                format!(
                    "{first} enrolled with it on {}",
                    super::rfc3339(spent.spent)
                )
            }
        };
        let text = format!(
            "its enrolment token was used a second time, from {second}, after {first}: it is in two hands, or a host was set up anew with an old token; `portcullis gateway evict {name}`, find out which host is the right one, and give that a new token"
        );
        let alike = format!("{}{}", second.ip(), spent.map_or("", |_| " spent"));
        let kind = AlarmKind::TokenInTwoHands;
        self.raise_alarm(name, NewAlarm { kind, alike, text }).await;
    }

    /// The links of one gateway replace each other without end.
    pub(super) async fn two_hosts(&self, link: &Link, former: &Peer) {
        let (name, peer) = (&link.gateway, Peer::of(link));
        let mut ips = [former.ip(), peer.ip()];
        ips.sort_unstable();
        let text = format!(
            "its links replace each other without end, from {former} and {peer}: two hosts may hold the same key; `portcullis gateway evict {name}`, and enrol the right one"
        );
        let alarm = NewAlarm {
            kind: AlarmKind::TwoHosts,
            alike: ips.join(" "),
            text,
        };
        self.raise_alarm(name, alarm).await;
    }

    /// Another server has given a gateway the very grant that this one gives it.
    pub(super) async fn two_servers(&self, link: &Link, grant: &Grant) {
        let (generation, epoch) = (grant.generation, grant.epoch);
        let text = format!(
            "another server of this id has its link, by the same grant (generation {generation}, epoch {epoch}) as this one: a copy of this repository is served elsewhere. Stop one of the two servers; the other goes on after `portcullis-server repository accept-loss`"
        );
        let alarm = NewAlarm {
            kind: AlarmKind::TwoServers,
            alike: String::new(),
            text,
        };
        self.raise_alarm(&link.gateway, alarm).await;
    }

    /// A gateway has seen a later grant than this repository has given out, as it was read since.
    pub(super) async fn went_back(&self, link: &Link, seen: (u64, u64), own: (u64, u64)) {
        let text = format!(
            "it has seen a later grant (generation {}, epoch {}) than this repository has given out (generation {}, epoch {}): the repository was put back to an earlier state, or a copy of it is served elsewhere. Nothing is sent to it; where no other server runs on a copy, stop all servers and run `portcullis-server repository accept-loss`",
            seen.0, seen.1, own.0, own.1
        );
        let alarm = NewAlarm {
            kind: AlarmKind::WentBack,
            alike: String::new(),
            text,
        };
        self.raise_alarm(&link.gateway, alarm).await;
    }

    /// Asks a gateway that has come to live what it is, and keeps that.
    pub(super) async fn get_to_know(&self, link: &Arc<Link>) {
        if let Err(error) = in_time(link.describe()).await {
            tracing::warn!(gateway = link.gateway, %error, "the gateway does not describe itself");
        }
        if let Some(told) = link.status().description {
            let (host, version) = (printable(&told.hostname), printable(&told.version));
            let gateways = self.inner.repository.gateways();
            let ahead = link.clock_ahead_ms();
            if let Some(ahead) = ahead.filter(|ahead| ahead.unsigned_abs() >= CLOCKS_APART_MS) {
                tracing::warn!(
                    gateway = link.gateway,
                    ahead_ms = ahead,
                    "its clock and this one differ: synchronize both hosts with NTP"
                );
            }
            let noted = gateways.described(&link.gateway, &host, &version, ahead);
            let noted = noted.await;
            if let Err(error) = noted {
                tell_refusal!(
                    error,
                    gateway = link.gateway,
                    "cannot note what the gateway said of itself"
                );
            }
        }
        self.tell_where_enrolled(link);
        self.inner.roster.changed(&link.gateway);
    }

    /// Who took the token, and from where, belongs into the audit log.
    pub(super) fn tell_where_enrolled(&self, link: &Link) {
        if link.enrolled {
            self.tell(Event::Enrolled {
                gateway: link.gateway.clone(),
                id: link.gateway_id(),
                remote: link.remote_address.clone(),
                host: link.host(),
            });
        }
    }

    async fn raise_alarm(&self, gateway: &str, alarm: NewAlarm) {
        let text = alarm.text.clone();
        let gateways = self.inner.repository.gateways();
        match gateways.raise_alarm(gateway, alarm, clock::now()).await {
            Ok(1) => {
                tracing::error!(gateway, alarm = text);
                let gateway = gateway.to_owned();
                self.tell(Event::Alarm { gateway, text });
            }
            Ok(times) => tracing::info!(gateway, times, alarm = text, "the same alarm again"),
            Err(error) => {
                tell_refusal!(error, gateway, alarm = text, "cannot store an alarm");
            }
        }
    }
}
