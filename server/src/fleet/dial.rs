//! One task for each gateway that the server dials: it keeps the link up.

use std::sync::Arc;
use std::time::Duration;

use portcullis_common::rotation::Standing;
use portcullis_host::backoff::{Backoff, jittered};
use portcullis_host::clock;
use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::Fleet;
use super::establish::{LinkError, Step};
use super::link::{Link, Origin};
use super::noise::Heard;
use super::sharing::Share;
use crate::repository::{Gateway, Reach, tell_refusal};

/// Silence on a connection before the system asks whether the peer lives: HTTP/2 asks sooner, this
/// is for connections that have not come that far.
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(60);
/// Handshakes in a row that ended with an install before it counts as a failure.
const MAX_INSTALLS: u32 = 3;

impl Fleet {
    /// Keeps up the link to a gateway for as long as the server is to dial it.
    pub(super) async fn keep_dialling(self, name: String) {
        let redial = self.inner.roster.redial(&name);
        let links = &self.inner.settings.links;
        let mut backoff = Backoff::new(links.backoff_min, links.backoff_max);
        let mut installs = 0;
        loop {
            let gateway = match self.inner.repository.gateways().find(name.as_str()).await {
                Ok(Some(gateway)) => gateway,
                Ok(None) => return,
                Err(error) => {
                    tell_refusal!(error, gateway = name, "cannot read the roster");
                    sleep(backoff.next_wait()).await;
                    continue;
                }
            };
            let address = match gateway.reach.clone() {
                Reach::Address(address) if gateway.registration.standing == Standing::Admitted => {
                    address
                }
                // Until that changes.
                _ => {
                    redial.notified().await;
                    continue;
                }
            };
            let share = match self.share_of(&gateway).await {
                Ok(share) => share,
                Err(error) => {
                    tell_refusal!(
                        error,
                        gateway = name,
                        "it is not known which server is to dial it"
                    );
                    sleep(backoff.next_wait()).await;
                    continue;
                }
            };
            if share == Share::Leave {
                // Until that changes.
                self.inner.roster.give_up(&name);
                redial.notified().await;
                continue;
            }
            // In a box of its own: what a handshake takes is not kept for as long as the link
            // lives.
            let dialled = Box::pin(self.dial(&gateway, &address)).await;
            let id = gateway.registration.gateway_id;
            drop(gateway);
            match dialled {
                Ok(Step::Live(link)) => {
                    backoff.reset();
                    installs = 0;
                    self.until_due(link, &redial).await;
                }
                Ok(Step::ShakeHandsAnew) if installs < MAX_INSTALLS => installs += 1,
                Ok(Step::ShakeHandsAnew) => {
                    let error = "the gateway takes a new key each time and never uses it: look at its log and its key store";
                    self.note_failure(&name, error).await;
                    self.wait(&name, &mut backoff, &redial).await;
                }
                // Another server has the link, and keeps it.
                Err(error) if share == Share::Take || matches!(error, LinkError::Overtaken) => {
                    self.inner.roster.give_up(&name);
                    self.could_not_take(&name, id, &error);
                }
                Err(error) => {
                    self.inner.roster.give_up(&name);
                    self.note_failure_at(&name, &address, &error.to_string())
                        .await;
                    self.wait(&name, &mut backoff, &redial).await;
                }
            }
        }
    }

    async fn dial(&self, gateway: &Gateway, address: &str) -> Result<Step, LinkError> {
        let connected = self.connect(address).await;
        if connected.is_err() {
            self.inner.measured.shaken(&connected);
        }
        let io = connected?;
        prepare(&io);
        // Only now: hosts that do not answer hold up no others.
        let _turn = self.inner.handshakes.acquire().await;
        let deadline = Instant::now() + self.inner.settings.limits.handshake;
        let around = self.around_dialled(io, gateway, deadline).await;
        if around.is_err() {
            self.inner.measured.shaken(&around);
        }
        let io = around?;
        let origin = Origin {
            gateway: gateway.name.clone(),
            remote_address: address.to_owned(),
            dialled_out: false,
            enrolled: false,
            tls: io.is_tls(),
            grant: None,
        };
        let link = self
            .shake_hands(io, None, gateway.registration.gateway_id, origin, deadline)
            .await?;
        self.follow_up(link).await
    }

    async fn connect(&self, address: &str) -> Result<TcpStream, LinkError> {
        let after = self.inner.settings.limits.handshake;
        match timeout(after, TcpStream::connect(address)).await {
            Ok(connected) => connected.map_err(|source| LinkError::Connect {
                address: address.to_owned(),
                source,
            }),
            Err(_) => Err(LinkError::ConnectTimeout {
                address: address.to_owned(),
                after,
            }),
        }
    }

    /// Until the link is gone, too old, or to be replaced. A link that still lives then keeps its
    /// place until its successor has taken it.
    async fn until_due(&self, link: Arc<Link>, redial: &tokio::sync::Notify) {
        let session = Arc::clone(link.session());
        drop(link);
        let age = self.inner.settings.max_session_age;
        tokio::select! {
            () = session.closed() => {
                // So that a fleet behind a switch that was down does not come back in one moment.
                let spread = self.inner.settings.links.backoff_min;
                sleep(jittered(spread / 4)).await;
            }
            () = redial.notified() => {}
            () = sleep(early(age)) => {}
        }
    }

    async fn wait(&self, gateway: &str, backoff: &mut Backoff, redial: &tokio::sync::Notify) {
        let wait = backoff.next_wait();
        let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let roster = &self.inner.roster;
        roster.next_attempt(gateway, Some(clock::now().plus(ms)));
        tokio::select! {
            () = sleep(wait) => {}
            () = redial.notified() => {}
        }
        roster.next_attempt(gateway, None);
    }

    /// Stores why there is no link, for `portcullis gateway show`.
    pub(super) async fn note_failure(&self, gateway: &str, error: &str) {
        self.note_failure_at(gateway, "", error).await;
    }

    /// The same of an attempt to dial it at `address`. While a link lives nothing is stored, but
    /// where that is one to another address, which is to be left.
    async fn note_failure_at(&self, gateway: &str, address: &str, error: &str) {
        match self.inner.roster.failure(gateway, error) {
            Heard::First => tracing::warn!(gateway, error, "no link"),
            Heard::Still(attempts) => tracing::warn!(gateway, error, attempts, "still no link"),
            Heard::Before => tracing::debug!(gateway, error, "no link"),
        }
        let link = self.inner.roster.standing(gateway).link;
        if link.is_some_and(|link| address.is_empty() || link.remote_address == address) {
            return;
        }
        let noted = self
            .inner
            .repository
            .gateways()
            .failed(gateway, error)
            .await;
        if let Err(error) = noted {
            tell_refusal!(error, gateway, "cannot note why there is no link");
        }
    }
}

/// Sets what the system is to know about a connection.
pub(crate) fn prepare(io: &TcpStream) {
    let set = io
        .set_nodelay(true)
        .and_then(|()| Ok(sockopt::set_socket_keepalive(io, true)?))
        .and_then(|()| Ok(sockopt::set_tcp_keepidle(io, TCP_KEEP_ALIVE)?));
    if let Err(error) = set {
        tracing::debug!(%error, "a connection goes without keep-alive");
    }
}

/// A time up to a tenth shorter than `time`: links that came up in one moment are not all asked, or
/// replaced, in one moment.
pub(super) fn early(time: Duration) -> Duration {
    time - jittered(time / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_of_one_age_are_replaced_over_a_tenth_of_it() {
        let age = Duration::from_hours(24);
        let mut due: Vec<_> = (0..1_000).map(|_| early(age)).collect();
        due.sort_unstable();
        assert!(due[0] >= age * 9 / 10 && due[999] <= age, "{due:?}");
        // In no hundredth of the age more than a few times its share.
        let crowd = due.windows(300).map(|few| few[299] - few[0]).min();
        assert!(crowd > Some(age / 100), "{crowd:?}");
    }
}
