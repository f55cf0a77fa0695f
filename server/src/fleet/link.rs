//! One session with one gateway, and the gRPC clients inside it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use portcullis_common::calls::NotSubmitted;
use portcullis_common::handshake::SessionInfo;
use portcullis_common::id::GatewayId;
use portcullis_common::rotation::{Scope, UnixMillis};
use portcullis_common::stream::{SealedStream, Session};
use portcullis_host::clock;
use portcullis_proto::control::MAX_CONTROL_MESSAGE;
use portcullis_proto::gateway::v1::control_client::ControlClient;
use portcullis_proto::gateway::v1::provisioning_client::ProvisioningClient;
use portcullis_proto::gateway::v1::{DescribeRequest, DescribeResponse};
use portcullis_tls::Transport;
use prost::Message as _;

use super::LinkStatus;
use super::call_stream::{CallStream, Parts, UnderWay};
use super::gate::{Credentials, Gate};
use super::not_after::{Moments, Renewals};
use super::transport::{self, KeepAlive, Requests};
use super::unsent::Unsent;
use crate::repository::{Grant, Repository};

/// The name by which requests go: the gateway knows who asks by the session alone.
const ORIGIN: &str = "http://gateway.portcullis";
/// The most that can be set for `limits.call_timeout` of a gateway.
const LONGEST_CALL: Duration = Duration::from_hours(1);
/// How long a replaced link may finish its calls.
const RETIREMENT: Duration = Duration::from_secs(60);

/// A live session.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) gateway: String,
    pub(super) scope: Scope,
    pub(super) since: UnixMillis,
    pub(super) remote_address: String,
    /// The gateway opened this connection: the server cannot make another.
    pub(super) dialled_out: bool,
    /// By its handshake the gateway proved its first key.
    pub(super) enrolled: bool,
    /// There is TLS around it.
    pub(super) tls: bool,
    /// What the gateway is told before calls go through.
    grant: Option<Grant>,
    /// It has taken that.
    granted: OnceLock<()>,
    session: Arc<Session>,
    requests: Requests,
    unsent: Unsent,
    calls: CallStream,
    /// Encoded: decoded it is many small pieces of memory, and it is looked at rarely.
    description: Mutex<Option<Box<[u8]>>>,
    /// How far the gateway's clock is ahead, in milliseconds, as it first said it.
    clock_ahead_ms: OnceLock<i64>,
    /// The longest that a call may take there, as the gateway says.
    call_timeout: OnceLock<Duration>,
}

/// What is known of a link before it is one.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) gateway: String,
    pub(super) remote_address: String,
    pub(super) dialled_out: bool,
    pub(super) enrolled: bool,
    pub(super) tls: bool,
    /// Where calls are to go through it: what its gateway is told first.
    pub(super) grant: Option<Grant>,
}

impl Link {
    pub(super) async fn start(
        stream: SealedStream<Transport>,
        origin: Origin,
        scope: Scope,
        since: UnixMillis,
        keep_alive: KeepAlive,
    ) -> Result<Self, hyper::Error> {
        let session = Arc::clone(stream.session());
        let (requests, unsent) = transport::start(stream, keep_alive).await?;
        Ok(Self {
            gateway: origin.gateway,
            scope,
            since,
            remote_address: origin.remote_address,
            dialled_out: origin.dialled_out,
            enrolled: origin.enrolled,
            tls: origin.tls,
            grant: origin.grant,
            granted: OnceLock::new(),
            session,
            requests,
            unsent,
            calls: CallStream::new(),
            description: Mutex::default(),
            clock_ahead_ms: OnceLock::new(),
            call_timeout: OnceLock::new(),
        })
    }

    pub(super) const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// What tells whether all that was let through it is sent.
    pub(super) const fn unsent(&self) -> &Unsent {
        &self.unsent
    }

    pub(super) const fn grant(&self) -> Option<Grant> {
        self.grant
    }

    /// Its gateway knows no grants: it would take calls of several servers.
    pub(super) fn is_for_one_server(&self) -> bool {
        self.granted.get().is_none()
    }

    /// Its gateway has taken the grant.
    pub(super) fn set_granted(&self) {
        // Once is enough.
        let _ = self.granted.set(());
    }

    pub(super) fn info(&self) -> &SessionInfo {
        self.session.info()
    }

    pub(super) fn gateway_id(&self) -> GatewayId {
        self.info().gateway_id
    }

    /// What decides whether calls may go through it.
    pub(super) fn credentials(&self) -> Credentials {
        let session = Arc::clone(&self.session);
        Credentials::new(self.gateway_id(), self.scope, self.info().key_id, session)
    }

    pub(super) fn control(&self) -> ControlClient<Requests> {
        ControlClient::with_origin(self.requests.clone(), http::Uri::from_static(ORIGIN))
            .max_decoding_message_size(MAX_CONTROL_MESSAGE)
    }

    /// Submits an encoded call that is given up after `wait`.
    pub(super) fn submit(
        &self,
        call: Bytes,
        wait: Duration,
        repository: &Repository,
        renewals: Option<&Arc<dyn Renewals>>,
    ) -> Result<UnderWay, NotSubmitted> {
        self.calls.submit(call, wait, || Parts {
            gateway: self.gateway.clone(),
            session: Arc::clone(&self.session),
            client: ProvisioningClient::with_origin(
                self.requests.clone(),
                http::Uri::from_static(ORIGIN),
            ),
            gate: Gate::new(repository.clone(), self.credentials()),
            moments: renewals.map(|renewals| Moments::new(Arc::clone(renewals), self.control())),
        })
    }

    /// Does it take new calls, as far as can be told without asking the repository?
    pub(super) fn takes_calls(&self) -> bool {
        !self.session.is_closed() && self.calls.takes_calls()
    }

    pub(super) fn status(&self) -> LinkStatus {
        LinkStatus {
            gateway: self.gateway.clone(),
            session: *self.info(),
            since: self.since,
            remote_address: self.remote_address.clone(),
            tls: self.tls,
            for_one_server: self.is_for_one_server(),
            description: self.description(),
            clock_ahead_ms: self.clock_ahead_ms(),
        }
    }

    /// How far the gateway's clock is ahead of this one, in milliseconds; negative: behind; `None`:
    /// it did not say.
    pub(super) fn clock_ahead_ms(&self) -> Option<i64> {
        self.clock_ahead_ms.get().copied()
    }

    /// What the gateway calls its host; empty: it did not say.
    pub(super) fn host(&self) -> String {
        let description = self.description();
        description.map_or_else(String::new, |told| super::printable(&told.hostname))
    }

    /// The longest that a call may take there, if the gateway has said so. A gateway that says
    /// something absurd is not waited for longer than for one with the longest that can be set.
    pub(super) fn call_timeout(&self) -> Option<Duration> {
        self.call_timeout.get().copied()
    }

    /// Whether the gateway keeps a journal of calls; `None`: it has not said so yet.
    pub(super) fn keeps_journal(&self) -> Option<bool> {
        self.description().map(|told| told.journal.is_some())
    }

    fn description(&self) -> Option<DescribeResponse> {
        let held = self.description.lock();
        let held = held.unwrap_or_else(PoisonError::into_inner);
        DescribeResponse::decode(&**held.as_ref()?).ok()
    }

    /// Asks the gateway what it is.
    pub(super) async fn describe(&self) -> Result<(), tonic::Status> {
        let request = DescribeRequest { acknowledges: true };
        let asked = clock::now();
        let answer = self.control().describe(request).await?;
        let (answer, answered) = (answer.into_inner(), clock::now());
        if let told @ 1.. = answer.clock_unix_ms {
            let _ = self.clock_ahead_ms.set(ahead(told, asked, answered));
        }
        // It holds from a start of the gateway to the next.
        if let millis @ 1.. = answer.call_timeout_ms {
            let _ = self
                .call_timeout
                .set(Duration::from_millis(millis.into()).min(LONGEST_CALL));
        }
        let encoded = answer.encode_to_vec().into_boxed_slice();
        let held = self.description.lock();
        *held.unwrap_or_else(PoisonError::into_inner) = Some(encoded);
        Ok(())
    }

    /// Takes no new calls, lets those in flight end, and closes: after 60 s at the latest.
    pub(super) fn retire(link: Arc<Self>) {
        let session = Arc::clone(&link.session);
        // The connection closes with the last holder of the link, which is then a call in flight.
        drop(link);
        tokio::spawn(async move {
            if tokio::time::timeout(RETIREMENT, session.closed())
                .await
                .is_err()
            {
                session.close();
            }
        });
    }
}

/// How far a clock is ahead that showed `told` at some time between `asked` and `answered`, in
/// milliseconds: 0 where it may be right. So a slow answer does not count against it.
fn ahead(told: i64, asked: UnixMillis, answered: UnixMillis) -> i64 {
    let millis = |time: UnixMillis| i64::try_from(time.0).unwrap_or(i64::MAX);
    // This side's clock may have been set back meanwhile.
    let (first, last) = (millis(asked), millis(answered).max(millis(asked)));
    told.saturating_sub(told.clamp(first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_apart_by_what_the_way_of_the_answer_does_not_explain() {
        let (asked, answered) = (UnixMillis(1_000_000), UnixMillis(1_000_400));
        for (told, apart) in [
            (1_000_000, 0),
            (1_000_200, 0),
            (1_000_400, 0),
            (1_060_400, 60_000),
            (940_000, -60_000),
            (1, -999_999),
        ] {
            assert_eq!(ahead(told, asked, answered), apart, "{told}");
        }
        assert_eq!(ahead(i64::MAX, asked, answered), i64::MAX - 1_000_400);
        // Set back by an hour between the two.
        assert_eq!(ahead(3_600_000, UnixMillis(3_600_000), UnixMillis(400)), 0);
    }
}
