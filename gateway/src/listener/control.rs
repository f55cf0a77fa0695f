//! The `Control` service of one session: who is there, is it alive, and which key it is to hold.

use std::sync::Arc;

use portcullis_common::id::KeyId;
use portcullis_common::rotation::HeldKey;
use portcullis_common::stream::Session;
use portcullis_host::clock;
use portcullis_proto::control::INSTALL_VERSION;
use portcullis_proto::gateway::v1 as wire;
use portcullis_proto::gateway::v1::control_server;
use tokio::task::spawn_blocking;
use tonic::{Request, Response, Status};
use tracing::{info, warn};

use super::grants::Grant;
use super::keys::InstallFailure;
use super::links::{Link, Links, Scope};
use super::run::Run;
use crate::moment;
use crate::worker::{LOG_KEPT, MAX_ACKNOWLEDGED, MAX_ASKED, OwnLog, SessionCalls};

/// Larger than any ping of the server's own.
const MAX_PING_LEN: usize = 64 * 1024;

/// Answers the `Control` calls of one session.
#[derive(Debug)]
pub(super) struct Control {
    run: Arc<Run>,
    session: Arc<Session>,
    links: Arc<Links>,
    link: Arc<Link>,
    calls: SessionCalls,
}

impl Control {
    /// For the session behind `link`, one of `links`, about its calls.
    pub(super) fn new(
        run: Arc<Run>,
        session: Arc<Session>,
        links: Arc<Links>,
        link: Arc<Link>,
        calls: SessionCalls,
    ) -> Self {
        Self {
            run,
            session,
            links,
            link,
            calls,
        }
    }

    /// Takes a grant, or says which is higher.
    async fn take_grant(&self, asked: Grant) -> Result<Grant, Status> {
        let (links, link) = (Arc::clone(&self.links), Arc::clone(&self.link));
        // To its end, also where nobody waits for it any more.
        let taking = spawn_blocking(move || links.grant(&link, asked)).await;
        let taken = taking.unwrap_or_else(|error| Err(error.to_string()));
        let highest = taken.map_err(|why| {
            warn!(name: "grant_fault", session = self.link.name(), "{why}");
            self.run.status.failed(&why);
            Status::unavailable(why)
        })?;
        if highest != asked {
            let why = "another instance of the server has this gateway's link: the session carries no calls, and ends";
            warn!(name: "grant_refused", session = self.link.name(), "{why}");
        }
        Ok(highest)
    }

    /// The calls that a request names, where the session carries calls.
    fn named(&self, ids: Vec<String>, most: usize) -> Result<Vec<String>, Status> {
        if self.link.scope != Scope::Full {
            return Err(Status::failed_precondition(
                "this session carries no calls: it was opened under an enrolment key",
            ));
        }
        if ids.len() > most {
            return Err(Status::invalid_argument(format!(
                "one request names at most {most} calls"
            )));
        }
        Ok(ids)
    }

    /// The log, where this session and the configuration allow it.
    fn open_log(&self) -> Result<&OwnLog, Status> {
        if self.link.scope != Scope::Full {
            return Err(Status::failed_precondition(
                "this session is for enrolment alone: it was opened under an enrolment key",
            ));
        }
        let log = self.run.log.as_ref();
        log.ok_or_else(|| Status::failed_precondition(LOG_KEPT))
    }

    async fn take_install(&self, request: wire::InstallRequest) -> Result<KeyId, Status> {
        if request.version != INSTALL_VERSION {
            return Err(Status::unimplemented(format!(
                "this gateway knows installs of version {INSTALL_VERSION}, not {}: update the gateway",
                request.version
            )));
        }
        let new_id = key_id(&request.new_key_id, "new_key_id")?;
        let replaced = key_id(&request.replaced_key_id, "replaced_key_id")?;
        let key = self
            .session
            .unwrap_master_key(new_id, &request.wrapped_master_key)
            .map_err(|error| {
                warn!(name: "key_refused", session = self.link.name(), key = %new_id, "an install was refused: {error}");
                Status::invalid_argument("the wrapped key is not one of this session for this id")
            })?;
        let new = HeldKey { id: new_id, key };
        self.run
            .keys
            .install(self.link.info.key_id, replaced, new)
            .await
            .map_err(|error| self.install_failed(new_id, &error))?;
        info!(
            name: "key_taken",
            session = self.link.name(), key = %new_id, replaces = %replaced,
            "took a new master key; it becomes active once the server proved that it holds it too"
        );
        self.run.installed();
        Ok(new_id)
    }

    fn install_failed(&self, new: KeyId, error: &InstallFailure) -> Status {
        warn!(name: "key_refused", session = self.link.name(), key = %new, "an install was not taken: {error}");
        match error {
            InstallFailure::Refused(refused) => Status::failed_precondition(refused.to_string()),
            InstallFailure::Store(store) => {
                self.run.status.failed(&format!(
                    "the server's new key could not be stored: {store}"
                ));
                Status::unavailable(
                    "the gateway could not store the key; its log says why, and it still holds the former one",
                )
            }
        }
    }
}

#[tonic::async_trait]
impl control_server::Control for Control {
    async fn describe(
        &self,
        request: Request<wire::DescribeRequest>,
    ) -> Result<Response<wire::DescribeResponse>, Status> {
        if self.link.scope == Scope::Full {
            self.calls
                .set_acknowledging(request.into_inner().acknowledges);
        }
        let described = self.calls.describe().await;
        let standing = self.run.keys.standing();
        let held = [standing.active, standing.pending];
        Ok(Response::new(wire::DescribeResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            operating_system: std::env::consts::OS.to_owned(),
            hostname: self.run.hostname.clone(),
            connectors: described.connectors,
            held_key_ids: held
                .into_iter()
                .flatten()
                .map(|id| id.to_bytes().to_vec())
                .collect(),
            call_timeout_ms: self
                .run
                .call_timeout
                .as_millis()
                .try_into()
                .unwrap_or(u32::MAX),
            journal: Some(described.journal),
            tells_unknown: true,
            clock_unix_ms: i64::try_from(clock::now().0).unwrap_or(i64::MAX),
        }))
    }

    async fn grant(
        &self,
        request: Request<wire::GrantRequest>,
    ) -> Result<Response<wire::GrantResponse>, Status> {
        if self.link.scope != Scope::Full {
            return Err(Status::failed_precondition(
                "this session carries no calls: it was opened under an enrolment key",
            ));
        }
        let asked = Grant::from_wire(request.get_ref()).ok_or_else(|| {
            Status::invalid_argument("a grant has an epoch from 1 and an instance of 16 bytes")
        })?;
        if self.link.grant().is_some_and(|granted| granted != asked) {
            return Err(Status::failed_precondition(
                "this session has another grant already",
            ));
        }
        let highest = self.take_grant(asked).await?;
        Ok(Response::new(highest.into()))
    }

    async fn ping(
        &self,
        request: Request<wire::PingRequest>,
    ) -> Result<Response<wire::PingResponse>, Status> {
        let payload = request.into_inner().payload;
        if payload.len() > MAX_PING_LEN {
            return Err(Status::invalid_argument(format!(
                "a ping carries at most {MAX_PING_LEN} bytes"
            )));
        }
        Ok(Response::new(wire::PingResponse {
            payload,
            clock_ms: moment::now_ms(),
        }))
    }

    async fn enrol(
        &self,
        _request: Request<wire::EnrolRequest>,
    ) -> Result<Response<wire::EnrolResponse>, Status> {
        let refusal = || {
            Status::failed_precondition(
                "this session was not opened under the enrolment key that the gateway holds",
            )
        };
        if self.link.scope != Scope::Enrolment {
            return Err(refusal());
        }
        let nonce = self
            .run
            .keys
            .nonce(self.link.info.key_id)
            .await
            .map_err(|error| {
                warn!(session = self.link.name(), "{error}");
                Status::unavailable("the gateway could not read its key store; its log says why")
            })?
            .ok_or_else(refusal)?;
        Ok(Response::new(wire::EnrolResponse {
            nonce: nonce.to_vec(),
        }))
    }

    async fn install(
        &self,
        request: Request<wire::InstallRequest>,
    ) -> Result<Response<wire::InstallResponse>, Status> {
        let pending = self.take_install(request.into_inner()).await?;
        Ok(Response::new(wire::InstallResponse {
            pending_key_id: pending.to_bytes().to_vec(),
        }))
    }

    async fn finished(
        &self,
        request: Request<wire::FinishedRequest>,
    ) -> Result<Response<wire::FinishedResponse>, Status> {
        let ids = self.named(request.into_inner().call_ids, MAX_ASKED)?;
        let calls = self.calls.finished(ids).await;
        Ok(Response::new(wire::FinishedResponse { calls }))
    }

    async fn acknowledge(
        &self,
        request: Request<wire::AcknowledgeRequest>,
    ) -> Result<Response<wire::AcknowledgeResponse>, Status> {
        let ids = self.named(request.into_inner().call_ids, MAX_ACKNOWLEDGED)?;
        self.calls
            .acknowledge(ids)
            .await
            .map_err(Status::unavailable)?;
        Ok(Response::new(wire::AcknowledgeResponse {}))
    }

    async fn redial(
        &self,
        _request: Request<wire::RedialRequest>,
    ) -> Result<Response<wire::RedialResponse>, Status> {
        if !self.link.dialled {
            return Err(Status::failed_precondition(
                "this gateway did not open the connection: dial it",
            ));
        }
        self.link.redial();
        Ok(Response::new(wire::RedialResponse {}))
    }

    async fn log(
        &self,
        request: Request<wire::LogRequest>,
    ) -> Result<Response<wire::LogResponse>, Status> {
        let (log, most) = (self.open_log()?, request.into_inner().lines);
        let (lines, faults) = self.calls.log(log.lines(most), most).await;
        Ok(Response::new(wire::LogResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            lines,
            more: log.more(),
            faults,
        }))
    }

    async fn log_more(
        &self,
        request: Request<wire::LogMoreRequest>,
    ) -> Result<Response<wire::LogMoreResponse>, Status> {
        let request = request.into_inner();
        let taken = self.open_log()?.take(self.link.info.server_id, &request);
        let more = taken.map_err(|error| Status::invalid_argument(error.to_string()))?;
        Ok(Response::new(wire::LogMoreResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            more,
            faults: self.calls.log_more(&request).await,
        }))
    }
}

fn key_id(bytes: &[u8], field: &str) -> Result<KeyId, Status> {
    KeyId::from_bytes(bytes).ok_or_else(|| {
        Status::invalid_argument(format!(
            "{field} is no key id: {} bytes of a known kind",
            KeyId::LEN
        ))
    })
}
