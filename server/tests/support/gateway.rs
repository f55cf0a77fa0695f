//! A gateway in this process: the real channel, record and rules, with connectors that only answer.

use std::collections::{HashMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use portcullis_common::calls::{Answering, Event, Frame, Refusal};
use portcullis_common::crypto::suites::Suite;
use portcullis_common::handshake::{CallPlace, Preamble, ResponderConfig, Way};
use portcullis_common::id::KeyId;
use portcullis_common::rotation::{EnrolmentToken, GatewayRecord, HeldKey, RunId, UnixMillis};
use portcullis_common::stream::{self, ChannelLimits, SealedStream, Session};
use portcullis_host::clock;
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::control_server::{Control, ControlServer};
use portcullis_proto::gateway::v1::provisioning_server::{Provisioning, ProvisioningServer};
use portcullis_proto::gateway::v1::{
    AcknowledgeRequest, AcknowledgeResponse, Attribute, Call, CallFrame, CallFrames,
    DescribeRequest, DescribeResponse, Done, EnrolRequest, EnrolResponse, FailureKind,
    FinishedCall, FinishedRequest, FinishedResponse, GrantRequest, GrantResponse, InstallRequest,
    InstallResponse, JournalInfo, LogMoreRequest, LogMoreResponse, LogRequest, LogResponse, Object,
    Outcome, PingRequest, PingResponse, RedialRequest, RedialResponse, RunResult, SearchEnd,
    SearchItem, Secret, Value, done, outcome, search_item, value,
};
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

/// Names of connectors, and what they do with a call.
pub(crate) const ANSWERS: &str = "answers";
/// Waits until [`FakeGateway::release`].
pub(crate) const WAITS: &str = "waits";
/// Finds one object, and nothing more.
pub(crate) const STALLS: &str = "stalls";
/// Cuts the link in the middle of the call.
pub(crate) const CUTS: &str = "cuts";
/// Answers with the password of the call, sealed.
pub(crate) const GIVES_BACK: &str = "gives back";
/// Answers with it in clear, as no gateway may.
pub(crate) const GIVES_BACK_PLAIN: &str = "gives back plain";
/// Ends the call, and does not say how.
pub(crate) const SAYS_NOTHING: &str = "says nothing";

#[derive(Clone)]
pub(crate) struct FakeGateway {
    state: Arc<State>,
}

struct State {
    record: Mutex<GatewayRecord>,
    run: RunId,
    calls: AtomicU32,
    call_timeout_ms: AtomicU32,
    refuses: AtomicBool,
    sessions: Mutex<Vec<Arc<Session>>>,
    /// A call that waits has begun.
    begun: Notify,
    release: Notify,
    /// Whether it knows that a server may ask it to dial again, as those of before do not.
    redials: AtomicBool,
    redial: Notify,
    /// It does not say what it is.
    silent: AtomicBool,
    /// It was told that outcomes are acknowledged.
    promised: AtomicBool,
    /// The ids of the calls that it carried out.
    carried_out: Mutex<Vec<String>>,
    /// What it remembers of calls.
    remembered: Mutex<Vec<FinishedCall>>,
    /// What it says of its journal.
    journal: Mutex<Option<JournalInfo>>,
    /// What it answers to looks, by the ids of the calls.
    looks: Mutex<HashMap<String, outcome::Result>>,
    /// Calls that were looked for, and whether the journal was said to be lost.
    looked: Mutex<Vec<(String, bool)>>,
    /// What it answers to the next calls, in place of that they are done.
    failures: Mutex<VecDeque<outcome::Result>>,
    /// The ids of the calls of which it was told that their outcomes are stored.
    acknowledged: Mutex<Vec<String>>,
    /// Whether it knows grants, as those of before do not.
    knows_grants: AtomicBool,
    /// Those that it was asked for.
    grants: Mutex<Vec<GrantRequest>>,
    /// What it answers to one; `None`: it takes it.
    seen_grant: Mutex<Option<GrantResponse>>,
    /// What its monotonic clock shows; 0: it does not tell.
    clock_ms: AtomicU64,
    pings: AtomicU32,
    /// The latest moments of the calls that came.
    moments: Mutex<Vec<Option<NonZeroU64>>>,
    /// How many calls it refuses yet for having come too late.
    finds_late: AtomicU32,
}

impl FakeGateway {
    /// A gateway that was given a token.
    pub(crate) fn with_token(token: &EnrolmentToken) -> Self {
        let record = GatewayRecord::empty().enrol(token, false, &mut rand::rng());
        Self::with_record(record.unwrap())
    }

    /// A gateway on which pairing was opened.
    pub(crate) fn pairing() -> Self {
        let until = UnixMillis(u64::MAX);
        Self::with_record(GatewayRecord::empty().open_pairing(until).unwrap())
    }

    pub(crate) fn with_record(record: GatewayRecord) -> Self {
        Self {
            state: Arc::new(State {
                record: Mutex::new(record),
                run: RunId::random(&mut rand::rng()),
                calls: AtomicU32::new(0),
                call_timeout_ms: AtomicU32::new(0),
                refuses: AtomicBool::new(false),
                sessions: Mutex::default(),
                begun: Notify::new(),
                release: Notify::new(),
                redials: AtomicBool::new(true),
                redial: Notify::new(),
                remembered: Mutex::default(),
                silent: AtomicBool::new(false),
                promised: AtomicBool::new(false),
                carried_out: Mutex::default(),
                journal: Mutex::default(),
                looks: Mutex::default(),
                looked: Mutex::default(),
                failures: Mutex::default(),
                acknowledged: Mutex::default(),
                knows_grants: AtomicBool::new(true),
                grants: Mutex::default(),
                seen_grant: Mutex::default(),
                clock_ms: AtomicU64::new(0),
                pings: AtomicU32::new(0),
                moments: Mutex::default(),
                finds_late: AtomicU32::new(0),
            }),
        }
    }

    pub(crate) fn record(&self) -> GatewayRecord {
        self.state.record.lock().unwrap().clone()
    }

    /// Calls carried out so far.
    pub(crate) fn calls(&self) -> u32 {
        self.state.calls.load(Ordering::SeqCst)
    }

    /// Whether it refuses the keys that come.
    pub(crate) fn refuse_keys(&self, refuses: bool) {
        self.state.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Says from now on that a call takes so long at most.
    pub(crate) fn takes_at_most(&self, millis: u32) {
        self.state.call_timeout_ms.store(millis, Ordering::Relaxed);
    }

    /// From now on it is one of an earlier version, which dials again when its session has ended.
    pub(crate) fn redials_not(&self) {
        self.state.redials.store(false, Ordering::Relaxed);
    }

    /// Resolves when a call that waits has begun.
    pub(crate) async fn begun(&self) {
        self.state.begun.notified().await;
    }

    /// Lets a call that waits go on.
    pub(crate) fn release(&self) {
        self.state.release.notify_one();
    }

    /// From now on it remembers that a call, begun so long ago, was carried out, or is under way.
    pub(crate) fn remember(&self, call_id: &str, done: bool, begun_ms_ago: u64) {
        let result = done.then(|| outcome::Result::Done(Done { detail: None }));
        self.remember_end(call_id, result, begun_ms_ago);
    }

    /// The same of a call that came to that; `None`: it is under way.
    pub(crate) fn remember_end(
        &self,
        call_id: &str,
        result: Option<outcome::Result>,
        begun_ms_ago: u64,
    ) {
        let call = FinishedCall {
            outcome: Some(Outcome {
                call_id: call_id.to_owned(),
                result,
            }),
            begun_ms_ago,
            unseen: false,
        };
        let mut remembered = self.state.remembered.lock().unwrap();
        remembered.retain(|it| it.outcome.as_ref().unwrap().call_id != call_id);
        remembered.push(call);
    }

    /// From now on it keeps a journal, or another one.
    pub(crate) fn keep_journal(&self, incarnation: u8, sequence: u64) {
        *self.state.journal.lock().unwrap() = Some(JournalInfo {
            incarnation: vec![incarnation; 16],
            sequence,
            fault: String::new(),
        });
    }

    /// From now on it does not say what it is, or does.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.state.silent.store(silent, Ordering::SeqCst);
    }

    /// Whether it was told that outcomes are acknowledged.
    pub(crate) fn promised(&self) -> bool {
        self.state.promised.load(Ordering::SeqCst)
    }

    /// The ids of the calls that it carried out.
    pub(crate) fn carried_out(&self) -> Vec<String> {
        self.state.carried_out.lock().unwrap().clone()
    }

    /// A look at this call finds that.
    pub(crate) fn finds(&self, call_id: &str, result: outcome::Result) {
        let mut looks = self.state.looks.lock().unwrap();
        looks.insert(call_id.to_owned(), result);
    }

    /// The looks so far: the call, and whether the journal was said to be lost.
    pub(crate) fn looked(&self) -> Vec<(String, bool)> {
        self.state.looked.lock().unwrap().clone()
    }

    /// The next call that it carries out comes to that.
    pub(crate) fn next_comes_to(&self, result: outcome::Result) {
        self.state.failures.lock().unwrap().push_back(result);
    }

    /// The calls of which it was told that their outcomes are stored.
    pub(crate) fn acknowledged(&self) -> Vec<String> {
        self.state.acknowledged.lock().unwrap().clone()
    }

    /// From now on it is one of an earlier version, which knows no grants.
    pub(crate) fn grants_not(&self) {
        self.state.knows_grants.store(false, Ordering::Relaxed);
    }

    /// The grants that it was asked for.
    pub(crate) fn grants(&self) -> Vec<GrantRequest> {
        self.state.grants.lock().unwrap().clone()
    }

    /// From now on it has seen this grant; `None`: it takes each.
    pub(crate) fn has_seen(&self, grant: Option<GrantResponse>) {
        *self.state.seen_grant.lock().unwrap() = grant;
    }

    /// Its monotonic clock shows that from now on.
    pub(crate) fn shows(&self, clock_ms: u64) {
        self.state.clock_ms.store(clock_ms, Ordering::Relaxed);
    }

    /// How often it was pinged.
    pub(crate) fn pings(&self) -> u32 {
        self.state.pings.load(Ordering::Relaxed)
    }

    /// The latest moments of the calls that came.
    pub(crate) fn moments(&self) -> Vec<Option<u64>> {
        let moments = self.state.moments.lock().unwrap();
        moments.iter().map(|it| it.map(NonZeroU64::get)).collect()
    }

    /// So many of the next calls come too late.
    pub(crate) fn finds_late(&self, calls: u32) {
        self.state.finds_late.store(calls, Ordering::Relaxed);
    }

    /// Cuts every session.
    pub(crate) fn cut(&self) {
        for session in self.state.sessions.lock().unwrap().drain(..) {
            session.close();
        }
    }

    /// Awaits the server at an address, until the task is aborted.
    pub(crate) async fn listen(&self, address: SocketAddr) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = self.clone();
        let task = tokio::spawn(async move {
            loop {
                let (io, _) = listener.accept().await.unwrap();
                let gateway = gateway.clone();
                tokio::spawn(async move {
                    let _ = gateway.serve(io, None).await;
                });
            }
        });
        (address, task)
    }

    pub(crate) async fn listen_anywhere(&self) -> (SocketAddr, JoinHandle<()>) {
        self.listen((Ipv4Addr::LOCALHOST, 0).into()).await
    }

    /// Dials the server, again and again, until the task is aborted.
    pub(crate) fn dial(&self, server: SocketAddr, name: &str) -> JoinHandle<()> {
        let (gateway, name) = (self.clone(), name.to_owned());
        tokio::spawn(async move {
            loop {
                let io = TcpStream::connect(server).await.unwrap();
                let preamble = match gateway.record().gateway_id() {
                    Some(id) => Preamble::Id(id),
                    None => Preamble::Name(name.clone()),
                };
                if let Ok(session) = gateway.serve(io, Some(preamble)).await {
                    tokio::select! {
                        () = session.closed() => {}
                        () = gateway.state.redial.notified() => {}
                    }
                }
                tokio::task::yield_now().await;
            }
        })
    }

    /// Shakes hands and serves what comes.
    async fn serve(
        &self,
        io: TcpStream,
        preamble: Option<Preamble>,
    ) -> Result<Arc<Session>, String> {
        let run = self.state.run;
        let identity = {
            let mut record = self.state.record.lock().unwrap();
            let begin = record.begin(run, clock::now());
            if let Some(changed) = begin.store {
                *record = changed;
            }
            begin.identity
        };
        let config = ResponderConfig {
            suites: Suite::ALL.to_vec(),
            identity,
        };
        let state = Arc::clone(&self.state);
        let sealed = stream::accept(
            io,
            preamble.as_ref(),
            config,
            &ChannelLimits::default(),
            |proved| async move {
                let mut record = state.record.lock().unwrap();
                let changed = record
                    .proved(&proved, run, clock::now())
                    .map_err(|error| error.to_string())?;
                if let Some(changed) = changed {
                    *record = changed;
                }
                Ok(())
            },
        )
        .await
        .map_err(|error| error.to_string())?;
        let session = Arc::clone(sealed.session());
        self.state
            .sessions
            .lock()
            .unwrap()
            .push(Arc::clone(&session));
        tokio::spawn(self.clone().serve_http(sealed, Arc::clone(&session)));
        Ok(session)
    }

    async fn serve_http(self, sealed: SealedStream<TcpStream>, session: Arc<Session>) {
        let enrolment_only = self.enrolment_key() == Some(session.info().key_id);
        let services = Services {
            gateway: self,
            session: Arc::clone(&session),
            enrolment_only,
        };
        let incoming =
            tokio_stream::once(Ok::<_, std::io::Error>(sealed)).chain(tokio_stream::pending());
        Server::builder()
            .add_service(ControlServer::new(services.clone()))
            .add_service(ProvisioningServer::new(services))
            .serve_with_incoming_shutdown(incoming, async move { session.closed().await })
            .await
            .unwrap();
    }

    /// Notes a call's latest moment; whether the call is found to be late.
    fn comes_late(&self, not_after: Option<NonZeroU64>) -> bool {
        self.state.moments.lock().unwrap().push(not_after);
        let left = self.state.finds_late.load(Ordering::Relaxed);
        self.finds_late(left.saturating_sub(1));
        left > 0
    }

    fn enrolment_key(&self) -> Option<KeyId> {
        self.record().enrolment().map(|(id, _)| id)
    }
}

#[derive(Clone)]
struct Services {
    gateway: FakeGateway,
    session: Arc<Session>,
    enrolment_only: bool,
}

#[tonic::async_trait]
impl Control for Services {
    async fn describe(
        &self,
        request: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        let promised = request.into_inner().acknowledges;
        self.gateway
            .state
            .promised
            .store(promised, Ordering::SeqCst);
        if self.gateway.state.silent.load(Ordering::SeqCst) {
            return Err(Status::unavailable("not now"));
        }
        Ok(Response::new(DescribeResponse {
            version: "fake".to_owned(),
            call_timeout_ms: self.gateway.state.call_timeout_ms.load(Ordering::Relaxed),
            journal: self.gateway.state.journal.lock().unwrap().clone(),
            ..DescribeResponse::default()
        }))
    }

    async fn grant(
        &self,
        request: Request<GrantRequest>,
    ) -> Result<Response<GrantResponse>, Status> {
        let state = &self.gateway.state;
        if !state.knows_grants.load(Ordering::Relaxed) {
            return Err(Status::unimplemented("of an earlier version"));
        }
        let asked = request.into_inner();
        state.grants.lock().unwrap().push(asked.clone());
        let seen = state.seen_grant.lock().unwrap().clone();
        Ok(Response::new(seen.unwrap_or(GrantResponse {
            generation: asked.generation,
            epoch: asked.epoch,
            instance: asked.instance,
        })))
    }

    async fn ping(&self, request: Request<PingRequest>) -> Result<Response<PingResponse>, Status> {
        let state = &self.gateway.state;
        state.pings.fetch_add(1, Ordering::Relaxed);
        let payload = request.into_inner().payload;
        let clock_ms = state.clock_ms.load(Ordering::Relaxed);
        Ok(Response::new(PingResponse { payload, clock_ms }))
    }

    async fn enrol(&self, _: Request<EnrolRequest>) -> Result<Response<EnrolResponse>, Status> {
        let record = self.gateway.record();
        let (_, nonce) = record
            .enrolment()
            .filter(|_| self.enrolment_only)
            .ok_or_else(|| Status::permission_denied("this is no enrolment session"))?;
        let nonce = nonce.to_vec();
        Ok(Response::new(EnrolResponse { nonce }))
    }

    async fn install(
        &self,
        request: Request<InstallRequest>,
    ) -> Result<Response<InstallResponse>, Status> {
        if self.gateway.state.refuses.load(Ordering::SeqCst) {
            return Err(Status::unavailable("the disk is full"));
        }
        let request = request.into_inner();
        let id = |bytes: &[u8]| KeyId::from_bytes(bytes).unwrap();
        let new = id(&request.new_key_id);
        let key = self
            .session
            .unwrap_master_key(new, &request.wrapped_master_key)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let mut record = self.gateway.state.record.lock().unwrap();
        *record = record
            .install(
                self.session.info().key_id,
                id(&request.replaced_key_id),
                HeldKey { id: new, key },
            )
            .map_err(|error| Status::failed_precondition(error.to_string()))?;
        Ok(Response::new(InstallResponse {
            pending_key_id: request.new_key_id,
        }))
    }

    async fn finished(
        &self,
        request: Request<FinishedRequest>,
    ) -> Result<Response<FinishedResponse>, Status> {
        let asked = request.into_inner().call_ids;
        let mut calls = self.gateway.state.remembered.lock().unwrap().clone();
        calls.retain(|call| asked.contains(&call.outcome.as_ref().unwrap().call_id));
        Ok(Response::new(FinishedResponse { calls }))
    }

    async fn acknowledge(
        &self,
        request: Request<AcknowledgeRequest>,
    ) -> Result<Response<AcknowledgeResponse>, Status> {
        let mut acknowledged = self.gateway.state.acknowledged.lock().unwrap();
        acknowledged.extend(request.into_inner().call_ids);
        Ok(Response::new(AcknowledgeResponse {}))
    }

    async fn redial(&self, _: Request<RedialRequest>) -> Result<Response<RedialResponse>, Status> {
        if !self.gateway.state.redials.load(Ordering::Relaxed) {
            return Err(Status::unimplemented("there is no such method"));
        }
        self.gateway.state.redial.notify_one();
        Ok(Response::new(RedialResponse {}))
    }

    async fn log(&self, _: Request<LogRequest>) -> Result<Response<LogResponse>, Status> {
        Err(Status::unimplemented("there is no such method"))
    }

    async fn log_more(
        &self,
        _: Request<LogMoreRequest>,
    ) -> Result<Response<LogMoreResponse>, Status> {
        Err(Status::unimplemented("there is no such method"))
    }
}

impl Services {
    /// The password of the call, as the result of a run: sealed, or as it never may be sent.
    fn given_back(&self, mut call: Call) -> Outcome {
        let exporter = self.session.exporter();
        let place = |way| CallPlace {
            way,
            call_id: &call.call_id,
            number: 0,
        };
        let (asked, answered) = (place(Way::Call), place(Way::Answer));
        let mut copy = call.clone();
        let password = copy.secrets_mut().into_iter().next().unwrap();
        assert!(password.value.is_empty(), "a password came in clear");
        let password = exporter.open(asked, &password.sealed).unwrap();
        let secret = match call.connector.as_str() {
            GIVES_BACK_PLAIN => Secret::plain(password.to_vec()),
            _ => Secret::sealed(exporter.seal(answered, &password, &mut rand::rng())),
        };
        let value = Value {
            kind: Some(value::Kind::Secret(secret)),
        };
        let result = RunResult {
            results: vec![Attribute {
                name: "password".to_owned(),
                values: vec![value],
            }],
            ..RunResult::default()
        };
        Outcome {
            call_id: std::mem::take(&mut call.call_id),
            result: Some(outcome::Result::Done(Done {
                detail: Some(done::Detail::Run(result)),
            })),
        }
    }
}

#[tonic::async_trait]
impl Provisioning for Services {
    type CallsStream = ReceiverStream<Result<CallFrames, Status>>;

    async fn calls(
        &self,
        request: Request<Streaming<CallFrames>>,
    ) -> Result<Response<Self::CallsStream>, Status> {
        let (frames, answers) = mpsc::channel(16);
        tokio::spawn(self.clone().answer(request.into_inner(), frames));
        Ok(Response::new(ReceiverStream::new(answers)))
    }
}

impl Services {
    /// Serves the stream of calls until the server ends it.
    async fn answer(
        self,
        mut input: Streaming<CallFrames>,
        output: mpsc::Sender<Result<CallFrames, Status>>,
    ) {
        let mut answering = Answering::<()>::default();
        let mut running = JoinSet::new();
        let mut searches = JoinSet::new();
        loop {
            tokio::select! {
                frames = input.next() => {
                    let Some(Ok(frames)) = frames else {
                        return;
                    };
                    for frame in frames.frames {
                        let event = answering.handle(Frame::try_from(frame).unwrap()).unwrap();
                        let Some(Event::Call(number, call, not_after)) = event else {
                            continue;
                        };
                        if self.gateway.comes_late(not_after) {
                            let kind = FailureKind::Late.into();
                            let message = "too late".to_owned();
                            answering.refuse(number, Refusal { kind, message });
                            continue;
                        }
                        let call = Call::decode(call).unwrap();
                        if matches!(call.verb, Some(Verb::Search(_))) || call.call_id == "s" {
                            let services = self.clone();
                            searches.spawn(async move {
                                services.wait(&call).await;
                                (number, call)
                            });
                        } else {
                            let services = self.clone();
                            running.spawn(async move { (number, services.execute(call).await) });
                        }
                    }
                }
                Some(Ok((number, outcome))) = running.join_next() => {
                    answering.end(number, outcome.encode_to_vec().into());
                }
                Some(Ok((number, call))) = searches.join_next() => {
                    self.search(&call, number, &mut answering);
                }
            }
            let mut frames = Vec::new();
            answering.take(|frame| frames.push(CallFrame::from(frame)));
            if !frames.is_empty() && output.send(Ok(CallFrames { frames })).await.is_err() {
                return;
            }
        }
    }

    async fn execute(&self, call: Call) -> Outcome {
        let state = &self.gateway.state;
        if call.look {
            let looked = (call.call_id.clone(), call.journal_lost);
            state.looked.lock().unwrap().push(looked);
            return Outcome {
                result: state.looks.lock().unwrap().get(&call.call_id).cloned(),
                call_id: call.call_id,
            };
        }
        if let Some(result) = state.failures.lock().unwrap().pop_front() {
            return Outcome {
                call_id: call.call_id,
                result: Some(result),
            };
        }
        state.calls.fetch_add(1, Ordering::SeqCst);
        let id = call.call_id.clone();
        state.carried_out.lock().unwrap().push(id);
        match call.connector.as_str() {
            GIVES_BACK | GIVES_BACK_PLAIN => return self.given_back(call),
            WAITS => self.wait(&call).await,
            CUTS => self.session.close(),
            SAYS_NOTHING => return Outcome::default(),
            _ => {}
        }
        Outcome {
            call_id: call.call_id,
            result: Some(outcome::Result::Done(Done {
                detail: Some(done::Detail::Report("ready".to_owned())),
            })),
        }
    }

    async fn wait(&self, call: &Call) {
        if call.connector == WAITS {
            self.gateway.state.begun.notify_one();
            self.gateway.state.release.notified().await;
        }
    }

    fn search(&self, call: &Call, number: u64, answering: &mut Answering<()>) {
        for item in 0..3 {
            if item == 2 && call.connector == CUTS {
                self.session.close();
                return;
            }
            if item == 1 && call.connector == STALLS {
                return;
            }
            let object = Object {
                name: format!("object {item}"),
                ..Object::default()
            };
            let item = search_item(search_item::Kind::Object(object));
            answering.item(number, item);
        }
        if call.connector == SAYS_NOTHING {
            answering.end(number, Bytes::new());
            return;
        }
        let end = search_item::Kind::End(SearchEnd::default());
        answering.end(number, search_item(end));
    }
}

fn search_item(kind: search_item::Kind) -> Bytes {
    SearchItem { kind: Some(kind) }.encode_to_vec().into()
}
