//! A server that keeps accounts in memory and answers as the test wants.

mod answers;

use std::convert::Infallible;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use portcullis_common::listing::{Listed, ListingKey};
use portcullis_proto::admin::v1::{
    AddGatewayRequest, AddGatewayResponse, CancelQueuedRequest, EnrolmentToken, ExecuteRequest,
    Gateway, ListAuditRequest, ListGatewaysResponse, ListResourcesRequest, QueuedCall, QueuedState,
    ShowGatewayRequest, UpgradeStatusResponse, WatchQueuedRequest,
};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{
    Call, Create, FailureKind, Gone, Listing, Object, ObjectClass, Outcome, SearchEnd, SearchItem,
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

pub(crate) use answers::Fate;
use answers::{State, cancelled, end_of_sync, failure, group, head, ids, object, shown, versions};

/// The server; it ends with this value.
pub(crate) struct Fake {
    pub(crate) folder: tempfile::TempDir,
    state: Arc<Mutex<State>>,
    called: Arc<Notify>,
    released: Arc<Notify>,
    runtime: Option<Runtime>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let mut fake = Self {
            folder: tempfile::tempdir().unwrap(),
            state: Arc::default(),
            called: Arc::default(),
            released: Arc::default(),
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
            released: Arc::clone(&self.released),
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

    /// Waits until a gateway of this name was registered.
    pub(crate) fn wait_for_gateway(&self, name: &str) {
        self.wait_for(|state| state.gateways.iter().any(|gateway| gateway == name));
    }

    /// Answers who has registered the gateway `held`, which gets no answer until then.
    pub(crate) fn release(&self) {
        self.released.notify_one();
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
    released: Arc<Notify>,
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
                    let (held, answer) = (request.name == "held", fake.add_gateway(request)?);
                    fake.called.notify_waiters();
                    if held {
                        fake.released.notified().await;
                    }
                    return Ok(once(&answer));
                }
                if path == "/portcullis.admin.v1.Fleet/UpgradeCheck" {
                    return Ok(once(&versions()));
                }
                if path == "/portcullis.admin.v1.Fleet/UpgradeStatus" {
                    return Ok(once(&UpgradeStatusResponse::default()));
                }
                if path == "/portcullis.admin.v1.Audit/Export" {
                    return Ok(once(&head()));
                }
                if path == "/portcullis.admin.v1.Audit/Archive" {
                    return Err(Status::aborted("another archive has moved them"));
                }
                if path == "/portcullis.admin.v1.Gateways/List" {
                    return Ok(once(&ListGatewaysResponse {
                        gateways: vec![shown("taken".to_owned())?],
                        counts: None,
                    }));
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
        let page: Vec<_> = found.into_iter().skip(from).take(size).collect();
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
        let found: Vec<_> = match search.digest_key.as_slice().try_into() {
            Ok(key) if !state.is_old => vec![listing(&ListingKey::new(key), &page)],
            _ => {
                state.whole += page.len();
                page.into_iter().map(Kind::Object).collect()
            }
        };
        let items = found
            .into_iter()
            .chain(std::iter::once(Kind::End(end)))
            .map(|kind| SearchItem { kind: Some(kind) });
        Ok(items.collect())
    }
}

/// As a gateway lists objects.
fn listing(key: &ListingKey, objects: &[Object]) -> Kind {
    let mut listed = Vec::new();
    for object in objects {
        Listed {
            id: &object.id,
            name: &object.name,
            enabled: object.enabled,
            digest: key.digest_of(&object.attributes),
        }
        .put(&mut listed);
    }
    Kind::Listing(Listing {
        objects: listed.into(),
    })
}
