//! A server that keeps accounts in memory and answers as the test wants.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use portcullis_common::listing::ListingKey;
use portcullis_proto::admin::v1::{
    AddGatewayRequest, AddGatewayResponse, AuditEntry, CancelQueuedRequest, EnrolmentToken,
    ExecuteRequest, Gateway, ListAuditRequest, ListAuditResponse, ListResourcesRequest,
    ListResourcesResponse, QueuedCall, QueuedState, Resource, ShowGatewayRequest,
    WatchQueuedRequest,
};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::done::Detail;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{
    AttributeSchema, Call, ClassSchema, Create, Done, Failure, FailureKind, Filter, Gone,
    Indeterminate, NativeError, Object, ObjectClass, ObjectRef, Outcome, RunResult, Schema,
    SearchEnd, SearchItem, ValueType, filter, value,
};
use portcullis_proto::grpc::{self, Body, Bytes, Handled, Replies, http};
use prost::Message;
use tokio::net::UnixListener;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::Status;
use tonic::codegen::Service;

/// What becomes of the creation of one account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It fails, with this kind.
    Fails(FailureKind),
    /// It fails, with the number of a kind, and with the code and text of the target.
    Answers(i32, &'static str, &'static str),
    /// It is created, and the answer is `indeterminate`.
    CreatedUnknown,
    /// It is not created, and the answer is `indeterminate`.
    LostUnknown,
    /// It is created, and no answer ever comes.
    CreatedHangs,
    /// It is created, and the first look does not see it yet.
    CreatedLate,
}

#[derive(Default)]
struct State {
    accounts: BTreeMap<String, Create>,
    fates: BTreeMap<String, Fate>,
    calls: Vec<Call>,
    gateways: Vec<String>,
    /// Queued calls that are followed.
    watched: usize,
    /// How many entries the audit log has.
    audited: u64,
    /// Calls on these resources fail as `unavailable`.
    out_of_reach: Vec<String>,
    /// So many creations find no room.
    busy: usize,
    /// The gateway knows no digests.
    is_old: bool,
    /// Objects that a search has answered whole.
    whole: usize,
}

/// The server; it ends with this value.
pub(crate) struct Fake {
    pub(crate) folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    called: Arc<Notify>,
    runtime: Option<Runtime>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let mut fake = Self {
            folder: tempfile::tempdir().unwrap(),
            state: Arc::default(),
            called: Arc::default(),
            runtime: None,
        };
        fake.listen();
        fake
    }

    /// Begins, or begins again.
    pub(crate) fn listen(&mut self) {
        let runtime = Runtime::new().unwrap();
        let listener = {
            let _entered = runtime.enter();
            UnixListener::bind(self.socket()).unwrap()
        };
        let calls = FakeCalls {
            state: Arc::clone(&self.state),
            called: Arc::clone(&self.called),
        };
        runtime.spawn(
            tonic::transport::Server::builder()
                .serve_with_incoming(calls, UnixListenerStream::new(listener)),
        );
        self.runtime = Some(runtime);
    }

    /// Ends the server as if it were killed.
    pub(crate) fn stop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
        std::fs::remove_file(self.socket()).unwrap();
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("admin.sock")
    }

    pub(crate) fn fate(&self, name: &str, fate: Fate) {
        let mut state = self.state.lock().unwrap();
        state.fates.insert(name.to_owned(), fate);
    }

    pub(crate) fn no_more_fates(&self) {
        self.state.lock().unwrap().fates.clear();
    }

    pub(crate) fn no_more_accounts(&self) {
        self.state.lock().unwrap().accounts.clear();
    }

    pub(crate) fn account(&self, name: &str) -> Option<Create> {
        self.state.lock().unwrap().accounts.get(name).cloned()
    }

    pub(crate) fn put(&self, create: Create) {
        let mut state = self.state.lock().unwrap();
        state.accounts.insert(create.name.clone(), create);
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.state
            .lock()
            .unwrap()
            .accounts
            .keys()
            .cloned()
            .collect()
    }

    /// From now on the gateway is one that knows no digests.
    pub(crate) fn age(&self) {
        self.state.lock().unwrap().is_old = true;
    }

    /// The objects that searches have answered whole so far; what comes later starts a new count.
    pub(crate) fn take_whole(&self) -> usize {
        std::mem::take(&mut self.state.lock().unwrap().whole)
    }

    /// The audit log has so many entries.
    pub(crate) fn audited(&self, entries: u64) {
        self.state.lock().unwrap().audited = entries;
    }

    /// Calls on these resources fail as `unavailable` from now on, and on no other.
    pub(crate) fn out_of_reach(&self, resources: &[&str]) {
        let resources = resources.iter().map(|&name| name.to_owned());
        self.state.lock().unwrap().out_of_reach = resources.collect();
    }

    /// The next creations, so many, find no room.
    pub(crate) fn busy(&self, calls: usize) {
        self.state.lock().unwrap().busy = calls;
    }

    /// The gateways that were registered.
    pub(crate) fn gateways(&self) -> Vec<String> {
        self.state.lock().unwrap().gateways.clone()
    }

    /// The calls so far; what comes later starts a new list.
    pub(crate) fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// Waits until a call of `create` for this account has come.
    pub(crate) fn wait_for_create(&self, name: &str) {
        self.wait_for(|state| {
            let mut calls = state.calls.iter();
            calls
                .any(|call| matches!(&call.verb, Some(Verb::Create(create)) if create.name == name))
        });
    }

    /// Waits until so many queued calls have been followed.
    pub(crate) fn wait_for_watched(&self, count: usize) {
        self.wait_for(|state| state.watched >= count);
    }

    /// Waits until so many syncs have come.
    pub(crate) fn wait_for_syncs(&self, count: usize) {
        self.wait_for(|state| {
            let syncs = |call: &&Call| matches!(call.verb, Some(Verb::Sync(_)));
            state.calls.iter().filter(syncs).count() >= count
        });
    }

    /// Waits until so many searches have come.
    pub(crate) fn wait_for_searches(&self, count: usize) {
        self.wait_for(|state| {
            let searches = |call: &&Call| matches!(call.verb, Some(Verb::Search(_)));
            state.calls.iter().filter(searches).count() >= count
        });
    }

    fn wait_for(&self, found: impl Fn(&State) -> bool) {
        let found = || found(&self.state.lock().unwrap());
        self.runtime.as_ref().unwrap().block_on(async {
            loop {
                let next = self.called.notified();
                if found() {
                    return;
                }
                next.await;
            }
        });
    }

    pub(crate) fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// The program, with nothing on its standard input.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
        command
            .args(arguments)
            .env("PORTCULLIS_SOCKET", self.socket())
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(self.command(arguments).output().unwrap())
    }

    pub(crate) fn run_with_input(&self, arguments: &[&str], input: &str) -> Finished {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_bytes())
            .unwrap();
        Finished::of(child.wait_with_output().unwrap())
    }
}

/// What a program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Finished {
    fn of(output: std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its standard output, as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The `error` of its standard error, as JSON.
    pub(crate) fn error(&self) -> serde_json::Value {
        let error: serde_json::Value =
            serde_json::from_str(&self.err).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        error["error"].clone()
    }
}

/// The lines of a results file.
pub(crate) fn results(path: &Path) -> Vec<serde_json::Value> {
    let name = format!("{}.results.jsonl", path.display());
    let text = std::fs::read_to_string(name).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[derive(Clone)]
struct FakeCalls {
    state: Arc<Mutex<State>>,
    called: Arc<Notify>,
}

impl Service<http::Request<Body>> for FakeCalls {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Handled;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Handled {
        let (fake, path) = (self.clone(), request.uri().path().to_owned());
        grpc::serve(request, grpc::MAX_MESSAGE, move |encoded| {
            Box::pin(async move {
                if path == "/portcullis.admin.v1.Gateways/Add" {
                    let request = AddGatewayRequest::decode(encoded).unwrap();
                    return Ok(once(&fake.add_gateway(request)?));
                }
                if path == "/portcullis.admin.v1.Gateways/Show" {
                    let request = ShowGatewayRequest::decode(encoded).unwrap();
                    return Ok(once(&shown(request.name)?));
                }
                if path == "/portcullis.admin.v1.Resources/List" {
                    let request = ListResourcesRequest::decode(encoded).unwrap();
                    return Ok(once(&group(&request)));
                }
                if path == "/portcullis.admin.v1.Audit/List" {
                    let request = ListAuditRequest::decode(encoded).unwrap();
                    return Ok(once(&fake.state.lock().unwrap().audit(&request)));
                }
                if path == "/portcullis.admin.v1.Calls/WatchQueued" {
                    let request = WatchQueuedRequest::decode(encoded).unwrap();
                    return Ok(fake.watch(request.call_id));
                }
                if path == "/portcullis.admin.v1.Calls/CancelQueued" {
                    let request = CancelQueuedRequest::decode(encoded).unwrap();
                    return Ok(once(&cancelled(request.call_id)?));
                }
                let request = ExecuteRequest::decode(encoded).unwrap();
                match path.strip_prefix("/portcullis.admin.v1.Calls/") {
                    Some("Execute") => Ok(once(&fake.execute(request).await?)),
                    Some("Enqueue") => Ok(once(&fake.enqueue(request))),
                    Some("Search") => {
                        let items = fake.search(request)?;
                        let items = items.into_iter().map(|item| item.encode_to_vec().into());
                        Ok(replies(items.collect()))
                    }
                    Some("Sync") => {
                        let items = fake.sync(request)?;
                        let items = items.into_iter().map(|item| item.encode_to_vec().into());
                        Ok(replies(items.collect()))
                    }
                    _ => Err(Status::unimplemented("not here")),
                }
            })
        })
    }
}

fn once(answer: &impl Message) -> Replies<Bytes> {
    replies(vec![answer.encode_to_vec().into()])
}

fn replies(encoded: Vec<Bytes>) -> Replies<Bytes> {
    Box::pin(tokio_stream::iter(encoded.into_iter().map(Ok)))
}

impl FakeCalls {
    async fn execute(&self, request: ExecuteRequest) -> Result<Outcome, Status> {
        if request.resource == "missing" {
            return Err(Status::not_found("there is no resource `missing`"));
        }
        let call = request.call.unwrap();
        let answer = self.state.lock().unwrap().on(&request.resource, &call);
        self.called.notify_waiters();
        match answer {
            Some(result) => Ok(Outcome {
                call_id: call.call_id,
                result: Some(result),
            }),
            None => std::future::pending().await,
        }
    }

    fn add_gateway(&self, request: AddGatewayRequest) -> Result<AddGatewayResponse, Status> {
        if request.name == "taken" && request.if_absent {
            let gateway = Some(shown(request.name)?);
            return Ok(AddGatewayResponse {
                gateway,
                token: None,
            });
        }
        if request.name == "taken" {
            return Err(Status::already_exists("there is a gateway of this name"));
        }
        self.state
            .lock()
            .unwrap()
            .gateways
            .push(request.name.clone());
        Ok(AddGatewayResponse {
            gateway: Some(Gateway {
                name: request.name,
                gateway_id: "gw-1".to_owned(),
                ..Gateway::default()
            }),
            token: Some(EnrolmentToken {
                token: "PCT1-TOKEN".to_owned(),
                expires_unix_ms: 1,
            }),
        })
    }

    fn enqueue(&self, request: ExecuteRequest) -> QueuedCall {
        let ExecuteRequest { resource, call, .. } = request;
        let call = call.unwrap();
        let queued = QueuedCall {
            call_id: call.call_id.clone(),
            resource,
            summary: "delete, account ada".to_owned(),
            state: QueuedState::Waiting.into(),
            ..QueuedCall::default()
        };
        self.state.lock().unwrap().calls.push(call);
        queued
    }

    /// It waits, and goes on doing so.
    fn watch(&self, call_id: String) -> Replies<Bytes> {
        let waits = QueuedCall {
            call_id,
            state: QueuedState::Waiting.into(),
            ..QueuedCall::default()
        };
        self.state.lock().unwrap().watched += 1;
        self.called.notify_waiters();
        let told = tokio_stream::once(Ok(waits.encode_to_vec().into()));
        Box::pin(told.chain(tokio_stream::pending()))
    }

    /// A token is the count of changes that were told before it: those of the accounts in the order
    /// of their names, and the deletion of `ghost` before them. `stale` is one that nobody knows.
    fn sync(&self, request: ExecuteRequest) -> Result<Vec<SearchItem>, Status> {
        let call = request.call.unwrap();
        let mut state = self.state.lock().unwrap();
        state.calls.push(call.clone());
        let Some(Verb::Sync(sync)) = call.verb else {
            return Err(Status::internal("no sync"));
        };
        if state.fates.remove("sync").is_some() {
            return Ok(vec![end_of_sync(SearchEnd {
                failure: Some(failure(FailureKind::Unavailable)),
                ..SearchEnd::default()
            })]);
        }
        if sync.token == b"stale" {
            return Ok(vec![end_of_sync(SearchEnd {
                failure: Some(failure(FailureKind::Forgotten)),
                ..SearchEnd::default()
            })]);
        }
        let ghost = Gone {
            object_class: ObjectClass::Account.into(),
            id: "66".to_owned(),
            ..Gone::default()
        };
        let present = state.accounts.values().map(object).map(Kind::Object);
        let changes: Vec<_> = std::iter::once(Kind::Gone(ghost)).chain(present).collect();
        let from: usize = match sync.token.as_slice() {
            [] => 0,
            token => std::str::from_utf8(token).unwrap().parse().unwrap(),
        };
        let size = sync.page_size as usize;
        let next = changes.len().min(from + size);
        let end = SearchEnd {
            next_token: next.to_string().into_bytes(),
            more: next < changes.len(),
            ..SearchEnd::default()
        };
        let page = changes.into_iter().skip(from).take(size);
        let page = page.map(|kind| SearchItem { kind: Some(kind) });
        let items = page.chain([end_of_sync(end)]).collect();
        drop(state);
        self.called.notify_waiters();
        Ok(items)
    }

    fn search(&self, request: ExecuteRequest) -> Result<Vec<SearchItem>, Status> {
        let call = request.call.unwrap();
        let mut state = self.state.lock().unwrap();
        state.calls.push(call.clone());
        let Some(Verb::Search(search)) = call.verb else {
            return Err(Status::internal("no search"));
        };
        self.called.notify_waiters();
        // As a gateway that was started anew.
        if !search.cookie.is_empty() && state.fates.remove("page").is_some() {
            return Ok(vec![end_of_sync(SearchEnd {
                failure: Some(failure(FailureKind::Invalid)),
                ..SearchEnd::default()
            })]);
        }
        let from: usize = match search.cookie.as_slice() {
            [] => 0,
            cookie => std::str::from_utf8(cookie).unwrap().parse().unwrap(),
        };
        let size = search.page_size as usize;
        let ids = search.filter.as_ref().and_then(ids);
        let found: Vec<Object> = state.accounts.values().map(object).collect();
        let found = found
            .into_iter()
            .filter(|object| ids.as_ref().is_none_or(|ids| ids.contains(&object.id)));
        let found: Vec<_> = found.collect();
        let count = found.len();
        let mut page: Vec<_> = found.into_iter().skip(from).take(size).collect();
        match search.digest_key.as_slice().try_into() {
            Ok(key) if !state.is_old => {
                let key = ListingKey::new(key);
                for object in &mut page {
                    object.digest = key.digest(&object.attributes).to_vec();
                    object.attributes.clear();
                }
            }
            _ => state.whole += page.len(),
        }
        let failure = page
            .iter()
            .any(|object| object.name == "poison")
            .then(|| failure(FailureKind::Unavailable));
        let next = from + size;
        let end = SearchEnd {
            next_cookie: if next < count {
                next.to_string().into_bytes()
            } else {
                Vec::new()
            },
            failure,
            ..SearchEnd::default()
        };
        let items = page
            .into_iter()
            .map(Kind::Object)
            .chain(std::iter::once(Kind::End(end)))
            .map(|kind| SearchItem { kind: Some(kind) });
        Ok(items.collect())
    }
}

impl State {
    fn audit(&self, request: &ListAuditRequest) -> ListAuditResponse {
        let entries = (1..=self.audited)
            .rev()
            .filter(|seq| request.before == 0 || *seq < request.before)
            .take(request.limit as usize)
            .map(|seq| AuditEntry {
                seq,
                time_unix_ms: 1_800_000_000_000,
                subject: "alice".to_owned(),
                action: "Keys/List".to_owned(),
                object: "\u{1b}[2J".to_owned(),
                outcome: "done".to_owned(),
                ..AuditEntry::default()
            })
            .collect::<Vec<_>>();
        let full = entries.len() == request.limit as usize;
        ListAuditResponse {
            next_before: entries.last().filter(|_| full).map_or(0, |last| last.seq),
            entries,
        }
    }

    /// `None`: no answer ever comes.
    fn on(&mut self, resource: &str, call: &Call) -> Option<OutcomeResult> {
        let kind = if self.out_of_reach.iter().any(|it| it == resource) {
            FailureKind::Unavailable
        } else if self.busy > 0 && matches!(call.verb, Some(Verb::Create(_))) {
            self.busy -= 1;
            FailureKind::Busy
        } else {
            return self.answer(call.clone());
        };
        self.calls.push(call.clone());
        Some(failed(kind))
    }

    fn answer(&mut self, call: Call) -> Option<OutcomeResult> {
        self.calls.push(call.clone());
        Some(match call.verb? {
            Verb::Schema(_) => done(Some(Detail::Schema(schema()))),
            Verb::Test(_) => done(Some(Detail::Report("ready".to_owned()))),
            Verb::Create(create) => return self.create(create),
            Verb::Get(get) => match self.named(get.object).cloned() {
                Some(account) if self.fates.remove(&account.name) == Some(Fate::CreatedLate) => {
                    failed(FailureKind::NotFound)
                }
                Some(account) => done(Some(Detail::Object(object(&account)))),
                None => failed(FailureKind::NotFound),
            },
            Verb::Authenticate(authenticate) => match self.named(authenticate.object) {
                Some(account) if account.password == authenticate.password => done(None),
                Some(_) => failed(FailureKind::BadCredentials),
                None => failed(FailureKind::NotFound),
            },
            Verb::SetPassword(set) => match self.named(set.object).cloned() {
                Some(mut account) => {
                    account.password = set.password;
                    self.accounts.insert(account.name.clone(), account);
                    done(None)
                }
                None => failed(FailureKind::NotFound),
            },
            Verb::Delete(delete) => match self.named(delete.object).map(|a| a.name.clone()) {
                Some(name) => {
                    self.accounts.remove(&name);
                    done(None)
                }
                None => failed(FailureKind::NotFound),
            },
            Verb::Run(run) => done(Some(Detail::Run(RunResult {
                // An action named by a number ends with it.
                exit_code: run.action.parse().unwrap_or(0),
                results: run.arguments,
            }))),
            _ => done(None),
        })
    }

    fn create(&mut self, create: Create) -> Option<OutcomeResult> {
        let fate = self.fates.get(&create.name).copied();
        if self.accounts.contains_key(&create.name) {
            return Some(failed(FailureKind::AlreadyExists));
        }
        match fate {
            Some(Fate::Fails(kind)) => return Some(failed(kind)),
            Some(Fate::Answers(kind, code, text)) => {
                return Some(OutcomeResult::Failed(Failure {
                    kind,
                    message: "the directory refuses it".to_owned(),
                    native: Some(NativeError {
                        code: code.to_owned(),
                        text: text.to_owned(),
                    }),
                }));
            }
            Some(Fate::LostUnknown) => return Some(unknown()),
            Some(Fate::CreatedUnknown | Fate::CreatedHangs | Fate::CreatedLate) | None => {}
        }
        let made = object(&create);
        self.accounts.insert(create.name.clone(), create);
        match fate {
            Some(Fate::CreatedUnknown | Fate::CreatedLate) => Some(unknown()),
            Some(Fate::CreatedHangs) => None,
            _ => Some(done(Some(Detail::Object(made)))),
        }
    }

    fn named(&self, reference: Option<ObjectRef>) -> Option<&Create> {
        match reference?.by? {
            By::Name(name) => self.accounts.get(&name),
            By::Id(id) => self.accounts.get(id.strip_prefix("id-")?),
        }
    }
}

/// In the group `all` are the resources r1, r2 and r3; there is no other.
fn group(request: &ListResourcesRequest) -> ListResourcesResponse {
    let in_group = request.groups.iter().any(|group| group == "all");
    let names: &[&str] = if in_group { &["r3", "r1", "r2"] } else { &[] };
    let resources = names.iter().map(|&name| Resource {
        name: name.to_owned(),
        ..Resource::default()
    });
    ListResourcesResponse {
        resources: resources.collect(),
    }
}

/// There is the gateway `taken`, and no other.
fn shown(name: String) -> Result<Gateway, Status> {
    if name != "taken" {
        return Err(Status::not_found("there is no such gateway"));
    }
    Ok(Gateway {
        name,
        ..Gateway::default()
    })
}

/// Those whose id begins with `w` wait; there are no others.
fn cancelled(call_id: String) -> Result<QueuedCall, Status> {
    if !call_id.starts_with('w') {
        return Err(Status::not_found(format!(
            "no call `{call_id}` was queued here"
        )));
    }
    Ok(QueuedCall {
        call_id,
        state: QueuedState::Cancelled.into(),
        ..QueuedCall::default()
    })
}

/// The ids that a filter asks for, where it asks for ids; no other filter is regarded.
fn ids(filter: &Filter) -> Option<Vec<String>> {
    let Some(filter::Kind::Any(list)) = &filter.kind else {
        return None;
    };
    let id = |one: &Filter| match &one.kind {
        Some(filter::Kind::Comparison(it)) if it.attribute == "__id__" => {
            match it.value.as_ref()?.kind.clone()? {
                value::Kind::Text(id) => Some(id),
                _ => None,
            }
        }
        _ => None,
    };
    list.filters.iter().map(id).collect()
}

fn object(create: &Create) -> Object {
    Object {
        object_class: ObjectClass::Account.into(),
        id: format!("id-{}", create.name),
        name: create.name.clone(),
        enabled: Some(create.enabled.unwrap_or(true)),
        attributes: create.attributes.clone(),
        ..Object::default()
    }
}

fn done(detail: Option<Detail>) -> OutcomeResult {
    OutcomeResult::Done(Done { detail })
}

fn failed(kind: FailureKind) -> OutcomeResult {
    OutcomeResult::Failed(failure(kind))
}

fn failure(kind: FailureKind) -> Failure {
    Failure {
        kind: kind.into(),
        message: format!("the resource says \x1b[31m{}", kind.as_str_name()),
        ..Failure::default()
    }
}

fn unknown() -> OutcomeResult {
    OutcomeResult::Indeterminate(Indeterminate {
        message: "the link was lost".to_owned(),
        ..Indeterminate::default()
    })
}

fn schema() -> Schema {
    let attribute = |name: &str, value_type: ValueType, multi_valued| AttributeSchema {
        name: name.to_owned(),
        r#type: value_type.into(),
        multi_valued,
        creatable: true,
        updatable: true,
        returned_by_default: true,
        description: format!("what {name} is"),
        ..AttributeSchema::default()
    };
    let photo = AttributeSchema {
        readable: Some(false),
        syntax: "1.3.6.1.4.1.1466.115.121.1.28".to_owned(),
        source: "JPEG".to_owned(),
        ..attribute("jpegPhoto", ValueType::Binary, false)
    };
    let units = ClassSchema {
        object_class: ObjectClass::Other.into(),
        class_name: "organizational-unit".to_owned(),
        attributes: vec![photo],
        verbs: vec!["get".to_owned()],
    };
    Schema {
        classes: vec![
            ClassSchema {
                object_class: ObjectClass::Account.into(),
                attributes: vec![
                    attribute("uid", ValueType::Integer, false),
                    attribute("shell", ValueType::Text, false),
                    attribute("groups", ValueType::Text, true),
                ],
                verbs: vec!["create".to_owned(), "get".to_owned()],
                ..ClassSchema::default()
            },
            units,
        ],
        actions: vec!["greet".to_owned()],
        settings: vec!["prefix".to_owned()],
    }
}

fn end_of_sync(end: SearchEnd) -> SearchItem {
    SearchItem {
        kind: Some(Kind::End(end)),
    }
}
