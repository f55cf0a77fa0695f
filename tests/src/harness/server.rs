//! The central server, and its admin API.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use portcullis_proto::admin::v1 as admin;
use portcullis_proto::admin::v1::calls_client::CallsClient;
use portcullis_proto::admin::v1::gateways_client::GatewaysClient;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use portcullis_proto::admin::v1::system_client::SystemClient;
use portcullis_proto::gateway::v1 as gateway;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use super::process::run_to_end;
use super::{Finished, HarnessError, Process, Programs, Site, eventually, free_port};

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
    log: PathBuf,
}

impl Server {
    /// Sets one up: configuration written, `init` run, not started. `more` is added to the configuration.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn new(site: &Site, more: &str) -> Result<Self, HarnessError> {
        let data = site.folder("server")?;
        let server = Self::configured(site, "server", &data, more)?;
        server.cli(&["init"])?.ok()?;
        Ok(server)
    }

    /// Only writes the configuration, for this folder.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn configured(
        site: &Site,
        name: &str,
        data: &Path,
        more: &str,
    ) -> Result<Self, HarnessError> {
        let run = site.folder(&format!("{name}-run"))?;
        let socket = run.join("admin.sock");
        let dial_out_port = free_port()?;
        let text = format!(
            "data_dir = {data:?}\n\
             [admin]\nsocket = {socket:?}\n\
             [dial_out]\nlisten = \"127.0.0.1:{dial_out_port}\"\n\
             [links]\nbackoff_min = \"100ms\"\nbackoff_max = \"1s\"\n\
             [log]\nlevel = \"debug\"\n{more}"
        );
        Ok(Self {
            config: site.file(&format!("{name}.toml"), 0o600, &text)?,
            data: data.to_owned(),
            socket,
            dial_out_port,
            process: None,
            log: site.path().join(format!("{name}.log")),
        })
    }

    /// Runs `portcullis-server` to its end.
    ///
    /// # Errors
    /// [`HarnessError::Io`] where it cannot be run.
    pub fn cli(&self, arguments: &[&str]) -> Result<Finished, HarnessError> {
        run_to_end(self.command(arguments)?, None)
    }

    /// `portcullis-server` with this configuration.
    ///
    /// # Errors
    /// [`HarnessError`] where it is not built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command, HarnessError> {
        let mut command = Command::new(&Programs::built()?.server);
        command.arg("--config").arg(&self.config).args(arguments);
        Ok(command)
    }

    /// Starts it, without waiting.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn start(&mut self) -> Result<&mut Process, HarnessError> {
        let process = Process::start(self.command(&["serve"])?, &self.log)?;
        Ok(self.process.insert(process))
    }

    /// Starts it and waits until its admin API answers.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn serve(&mut self) -> Result<Admin, HarnessError> {
        self.start()?;
        self.ready().await
    }

    /// Waits until the admin API answers.
    ///
    /// # Errors
    /// [`HarnessError`] where it does not, with the server's log.
    pub async fn ready(&mut self) -> Result<Admin, HarnessError> {
        let admin = Admin::new(&self.socket);
        let up = eventually("the admin API", || async {
            let mut system = admin.system().await.ok()?;
            system.status(admin::StatusRequest {}).await.ok()
        });
        match up.await {
            Ok(_) => Ok(admin),
            Err(HarnessError::Timeout { what, waited, .. }) => Err(HarnessError::Timeout {
                what,
                waited,
                log: self.log(),
            }),
            Err(error) => Err(error),
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
    ///
    /// # Errors
    /// [`HarnessError::Io`].
    pub fn kill(&mut self) -> Result<(), HarnessError> {
        self.process.take().map_or(Ok(()), |mut p| p.kill())
    }

    /// Runs `portcullis`, the administrators' command, against it.
    ///
    /// # Errors
    /// [`HarnessError::Io`] where it cannot be run.
    pub fn portcullis(
        &self,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Result<Finished, HarnessError> {
        let mut command = Command::new(&Programs::built()?.admin);
        command.arg("--socket").arg(&self.socket).args(arguments);
        run_to_end(command, input)
    }
}

/// A client of the admin API. Every call makes a connection of its own, so that it outlives restarts.
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

    async fn channel(&self) -> Result<Channel, HarnessError> {
        let socket = Arc::clone(&self.socket);
        let connect = tower::service_fn(move |_| {
            let socket = Arc::clone(&socket);
            async move { UnixStream::connect(&*socket).await.map(TokioIo::new) }
        });
        Ok(Endpoint::from_static("http://admin")
            .connect_with_connector(connect)
            .await?)
    }

    /// `System`
    ///
    /// # Errors
    /// [`HarnessError::Transport`].
    pub async fn system(&self) -> Result<SystemClient, HarnessError> {
        Ok(SystemClient::new(self.channel().await?))
    }

    /// `Gateways`
    ///
    /// # Errors
    /// [`HarnessError::Transport`].
    pub async fn gateways(&self) -> Result<GatewaysClient, HarnessError> {
        Ok(GatewaysClient::new(self.channel().await?))
    }

    /// `Keys`
    ///
    /// # Errors
    /// [`HarnessError::Transport`].
    pub async fn keys(&self) -> Result<KeysClient, HarnessError> {
        Ok(KeysClient::new(self.channel().await?))
    }

    /// `Resources`
    ///
    /// # Errors
    /// [`HarnessError::Transport`].
    pub async fn resources(&self) -> Result<ResourcesClient, HarnessError> {
        Ok(ResourcesClient::new(self.channel().await?))
    }

    /// `Calls`
    ///
    /// # Errors
    /// [`HarnessError::Transport`].
    pub async fn calls(&self) -> Result<CallsClient, HarnessError> {
        Ok(CallsClient::new(self.channel().await?))
    }

    /// Registers a gateway: the token. Without an address it dials out.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn add_gateway(
        &self,
        name: &str,
        address: &str,
        allow_pairing: bool,
    ) -> Result<String, HarnessError> {
        let request = admin::AddGatewayRequest {
            name: name.to_owned(),
            address: address.to_owned(),
            dial_out: address.is_empty(),
            allow_pairing,
            ..admin::AddGatewayRequest::default()
        };
        let added = self.gateways().await?.add(request).await?.into_inner();
        let token = added.token.ok_or(HarnessError::Incomplete("token"))?;
        Ok(token.token)
    }

    /// What the server knows of a gateway.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn gateway(&self, name: &str) -> Result<admin::Gateway, HarnessError> {
        let name = name.to_owned();
        let request = admin::ShowGatewayRequest { name };
        Ok(self.gateways().await?.show(request).await?.into_inner())
    }

    /// Waits until the gateway is connected under a proved key, or as `wanted` says.
    ///
    /// # Errors
    /// [`HarnessError::Timeout`], with what the server last knew of it.
    pub async fn gateway_becomes(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&admin::Gateway) -> bool,
    ) -> Result<admin::Gateway, HarnessError> {
        let last = std::sync::Mutex::new(None);
        let what = format!("gateway {name} to be {what}");
        let found = eventually(&what, || async {
            let gateway = self.gateway(name).await.ok()?;
            let fits = wanted(&gateway);
            if let Ok(mut last) = last.lock() {
                *last = Some(gateway.clone());
            }
            fits.then_some(gateway)
        });
        match found.await {
            Err(HarnessError::Timeout { what, waited, .. }) => Err(HarnessError::Timeout {
                what,
                waited,
                log: last
                    .lock()
                    .map(|last| format!("{last:?}"))
                    .unwrap_or_default(),
            }),
            other => other,
        }
    }

    /// Waits until the gateway is connected under the current key.
    ///
    /// # Errors
    /// [`HarnessError::Timeout`].
    pub async fn synchronized(&self, name: &str) -> Result<admin::Gateway, HarnessError> {
        self.gateway_becomes(name, "connected under the current key", |gateway| {
            gateway.connected
                && gateway.synchronized
                && gateway.session_key_id == gateway.last_proved_key_id
        })
        .await
    }

    /// Makes a new gateway key and waits until every connected gateway has it, `wait_ms` at most: the last report, with
    /// the last word on each gateway.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn rotate(&self, wait_ms: u32) -> Result<admin::SyncProgress, HarnessError> {
        let request = admin::RotateGatewayRequest {
            wait_ms,
            ..admin::RotateGatewayRequest::default()
        };
        let mut reports = self
            .keys()
            .await?
            .rotate_gateway(request)
            .await?
            .into_inner();
        let mut results = BTreeMap::new();
        let mut last = None;
        while let Some(mut report) = reports.message().await? {
            for result in report.results.drain(..) {
                results.insert(result.gateway.clone(), result);
            }
            last = Some(report);
        }
        let mut last = last.ok_or(HarnessError::Incomplete("report"))?;
        last.results = results.into_values().collect();
        Ok(last)
    }

    /// Adds a resource.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn add_resource(
        &self,
        name: &str,
        gateway: &str,
        connector: &str,
    ) -> Result<(), HarnessError> {
        let request = admin::AddResourceRequest {
            name: name.to_owned(),
            gateway: gateway.to_owned(),
            connector: connector.to_owned(),
            ..admin::AddResourceRequest::default()
        };
        self.resources().await?.add(request).await?;
        Ok(())
    }

    /// Carries out a call.
    ///
    /// # Errors
    /// [`HarnessError`] where the server gives no outcome at all.
    pub async fn call(
        &self,
        resource: &str,
        call: gateway::Call,
    ) -> Result<gateway::Outcome, HarnessError> {
        let request = admin::ExecuteRequest {
            resource: resource.to_owned(),
            call: Some(call),
            ..Default::default()
        };
        Ok(self.calls().await?.execute(request).await?.into_inner())
    }
}
