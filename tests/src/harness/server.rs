//! The central server, and its admin API.

use std::collections::BTreeMap;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use portcullis_proto::admin::v1 as admin;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use portcullis_proto::admin::v1::system_client::SystemClient;
use portcullis_proto::gateway::v1 as gateway;
use tokio::net::UnixStream;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use super::process::{run_to_end, within};
use super::{
    Finished, OrFail as _, Process, Programs, Site, eventually_at, fail, free_port, words,
};

/// A server with a folder of its own.
#[derive(Debug)]
pub struct Server {
    /// Its configuration.
    pub config: PathBuf,
    /// The folder of its repository.
    pub data: PathBuf,
    /// The socket of its admin API.
    pub socket: PathBuf,
    /// Where it awaits gateways that dial out.
    pub dial_out_port: u16,
    /// While it runs.
    pub process: Option<Process>,
    /// The network namespace in which it runs; `None`: that of the tests.
    pub netns: Option<String>,
    log: PathBuf,
}

impl Server {
    /// Sets one up: configuration written, `init` run, not started. `more` is added to the
    /// configuration.
    pub fn new(site: &Site, more: &str) -> Self {
        let data = site.folder("server");
        let server = Self::configured(site, "server", &data, more);
        server.cli("init").ok();
        server
    }

    /// Only writes the configuration, for this folder.
    pub fn configured(site: &Site, name: &str, data: &Path, more: &str) -> Self {
        let run = site.folder(&format!("{name}-run"));
        let socket = run.join("admin.sock");
        let dial_out_port = free_port();
        let text = format!(
            "data_dir = {data:?}\n\
             [admin]\nsocket = {socket:?}\n\
             [dial_out]\nlisten = \"127.0.0.1:{dial_out_port}\"\n\
             [links]\nbackoff_min = \"100ms\"\nbackoff_max = \"1s\"\n\
             [log]\nlevel = \"debug\"\n{more}"
        );
        Self {
            config: site.file(&format!("{name}.toml"), 0o600, &text),
            data: data.to_owned(),
            socket,
            dial_out_port,
            process: None,
            netns: None,
            log: site.path().join(format!("{name}.log")),
        }
    }

    /// Runs `portcullis-server` to its end.
    #[track_caller]
    pub fn cli(&self, line: &str) -> Finished {
        run_to_end(self.command(line), "")
    }

    /// `portcullis-server` with this configuration.
    pub fn command(&self, line: &str) -> Command {
        let mut command = within(self.netns.as_deref(), &Programs::built().server);
        command.arg("--config").arg(&self.config).args(words(line));
        command
    }

    /// Starts it, without waiting.
    #[track_caller]
    pub fn start(&mut self) -> &mut Process {
        let process = Process::start(self.command("serve"), &self.log);
        self.process.insert(process)
    }

    /// Starts it and waits until its admin API answers.
    #[track_caller]
    pub fn serve(&mut self) -> impl Future<Output = Admin> {
        let at = Location::caller();
        self.start();
        let admin = Admin::new(&self.socket);
        async move {
            let status = || async { admin.system().status(admin::StatusRequest {}).await.ok() };
            eventually_at(at, "the admin API", status, || self.log()).await;
            admin
        }
    }

    /// What it wrote since it was started last.
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Everything that it wrote in all its runs.
    pub fn whole_log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Kills it (SIGKILL).
    #[track_caller]
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Runs `portcullis`, the administrators' command, against it.
    #[track_caller]
    pub fn portcullis(&self, line: &str) -> Finished {
        self.portcullis_given(line, "")
    }

    /// The same, with `input` on its standard input.
    #[track_caller]
    pub fn portcullis_given(&self, line: &str, input: &str) -> Finished {
        run_to_end(self.admin_command(line), input)
    }

    /// The command, not yet run.
    pub fn admin_command(&self, line: &str) -> Command {
        let mut command = Command::new(&Programs::built().admin);
        command.arg("--socket").arg(&self.socket).args(words(line));
        command
    }
}

/// A client of the admin API. Every call makes a connection of its own, so that it outlives
/// restarts.
#[derive(Clone, Debug)]
pub struct Admin {
    socket: Arc<PathBuf>,
}

impl Admin {
    /// Of the server behind this socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: Arc::new(socket.to_owned()),
        }
    }

    /// Not connected yet: where the server cannot be reached, the first call says so.
    fn channel(&self) -> Channel {
        let socket = Arc::clone(&self.socket);
        let connect = tower::service_fn(move |_| {
            let socket = Arc::clone(&socket);
            async move { UnixStream::connect(&*socket).await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://admin").connect_with_connector_lazy(connect)
    }

    /// `System`
    pub fn system(&self) -> SystemClient {
        SystemClient::new(self.channel())
    }

    /// `Gateways`
    pub fn gateways(&self) -> GatewaysClient {
        GatewaysClient::new(self.channel())
    }

    /// `Keys`
    pub fn keys(&self) -> KeysClient {
        KeysClient::new(self.channel())
    }

    /// `Resources`
    pub fn resources(&self) -> ResourcesClient {
        ResourcesClient::new(self.channel())
    }

    /// The log of who did what.
    pub fn audit(&self) -> AuditClient {
        AuditClient::new(self.channel())
    }

    /// `Calls`
    pub fn calls(&self) -> CallsClient {
        CallsClient::new(self.channel())
    }

    /// Registers a gateway: the token. Without an address it dials out.
    pub async fn add_gateway(&self, name: &str, address: &str, allow_pairing: bool) -> String {
        let request = admin::AddGatewayRequest {
            name: name.to_owned(),
            address: address.to_owned(),
            dial_out: address.is_empty(),
            allow_pairing,
            ..admin::AddGatewayRequest::default()
        };
        let added = self.gateways().add(request).await;
        let added = added.or_fail("register a gateway").into_inner();
        added.token.or_fail("its token").token
    }

    /// What the server knows of a gateway.
    pub async fn gateway(&self, name: &str) -> admin::Gateway {
        self.show(name).await.or_fail("show a gateway")
    }

    async fn show(&self, name: &str) -> Result<admin::Gateway, Status> {
        let name = name.to_owned();
        let request = admin::ShowGatewayRequest { name };
        Ok(self.gateways().show(request).await?.into_inner())
    }

    /// Waits until the gateway is as `wanted` says; where it does not get there, the failure tells
    /// what the server last knew of it.
    #[track_caller]
    pub fn gateway_becomes(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&admin::Gateway) -> bool,
    ) -> impl Future<Output = admin::Gateway> {
        let at = Location::caller();
        let last = Mutex::new(None);
        async move {
            let what = format!("gateway {name} to be {what}");
            let probe = || async {
                let gateway = self.show(name).await.ok()?;
                *last.lock().unwrap() = Some(gateway.clone());
                wanted(&gateway).then_some(gateway)
            };
            eventually_at(at, &what, probe, || format!("{:?}", last.lock().unwrap())).await
        }
    }

    /// Waits until the gateway is connected under the current key.
    #[track_caller]
    pub fn synchronized(&self, name: &str) -> impl Future<Output = admin::Gateway> {
        self.gateway_becomes(name, "connected under the current key", |gateway| {
            gateway.connected
                && gateway.synchronized
                && gateway.session_key_id == gateway.last_proved_key_id
        })
    }

    /// Makes a new gateway key and waits until every connected gateway has it, `wait_ms` at most:
    /// the last report, with the last word on each gateway.
    #[track_caller]
    pub fn rotate(&self, wait_ms: u32) -> impl Future<Output = admin::SyncProgress> {
        let at = Location::caller();
        async move {
            let rotated = self.try_rotate(wait_ms).await;
            rotated.unwrap_or_else(|status| fail(at, &format!("rotate the gateway key: {status}")))
        }
    }

    /// The same.
    ///
    /// # Errors
    /// The server's refusal.
    pub async fn try_rotate(&self, wait_ms: u32) -> Result<admin::SyncProgress, Status> {
        let request = admin::RotateGatewayRequest {
            wait_ms,
            ..admin::RotateGatewayRequest::default()
        };
        let mut reports = self.keys().rotate_gateway(request).await?.into_inner();
        let mut results = BTreeMap::new();
        let mut last = None;
        while let Some(mut report) = reports.message().await? {
            for result in report.results.drain(..) {
                results.insert(result.gateway.clone(), result);
            }
            last = Some(report);
        }
        let mut last = last.or_fail("the last report of a rotation");
        last.results = results.into_values().collect();
        Ok(last)
    }

    /// Adds a resource.
    pub async fn add_resource(&self, name: &str, gateway: &str, connector: &str) {
        let request = admin::AddResourceRequest {
            name: name.to_owned(),
            gateway: gateway.to_owned(),
            connector: connector.to_owned(),
            ..admin::AddResourceRequest::default()
        };
        let added = self.resources().add(request).await;
        added.or_fail("add a resource");
    }

    /// Carries out a call.
    #[track_caller]
    pub fn call(
        &self,
        resource: &str,
        call: gateway::Call,
    ) -> impl Future<Output = gateway::Outcome> {
        let at = Location::caller();
        async move {
            let called = self.try_call(resource, call).await;
            called.unwrap_or_else(|status| fail(at, &format!("call {resource}: {status}")))
        }
    }

    /// The same.
    ///
    /// # Errors
    /// Where the server gives no outcome at all.
    pub async fn try_call(
        &self,
        resource: &str,
        call: gateway::Call,
    ) -> Result<gateway::Outcome, Status> {
        let request = admin::ExecuteRequest {
            resource: resource.to_owned(),
            call: Some(call),
            ..Default::default()
        };
        Ok(self.calls().execute(request).await?.into_inner())
    }
}
