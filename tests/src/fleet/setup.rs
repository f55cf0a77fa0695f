//! A server with a fleet of simulated gateways registered and enrolled.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use portcullis_common::rotation::EnrolmentToken;
use portcullis_gateway::config::Dial;
use portcullis_proto::admin::v1::{
    AddGatewayRequest, KeyStatusRequest, KeyStatusResponse, StatusRequest,
};

use super::{Host, SimulatedGateway};
use crate::harness::{Admin, HarnessError, Server, Site, free_port};

/// Registrations under way at once.
const REGISTRATIONS: usize = 16;
/// Threads for the gateways that are on all the time.
const THREADS: usize = 2;
/// Between two looks at the server.
const POLL: Duration = Duration::from_millis(100);
/// What the harness gives every server.
const HARNESS_LINKS: &str = "backoff_min = \"100ms\"\nbackoff_max = \"1s\"";

/// A server, and gateways of which every second one dials out.
#[derive(Debug)]
pub struct SimulatedFleet {
    /// The server's process.
    pub server: Server,
    /// Its admin API.
    pub admin: Admin,
    /// By number.
    pub gateways: Vec<Arc<SimulatedGateway>>,
    /// Bytes of the server in memory before the first link.
    pub server_empty: u64,
    _folder: tempfile::TempDir,
    _site: Site,
}

impl SimulatedFleet {
    /// Starts the server, registers the gateways and gives each its token. None of them runs yet.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn new(count: usize) -> Result<Self, HarnessError> {
        Self::with_links(count, HARNESS_LINKS).await
    }

    /// As [`Self::new`], with this for the server's `[links]`.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn with_links(count: usize, links: &str) -> Result<Self, HarnessError> {
        let site = Site::new()?;
        let mut server = Server::new(&site, "")?;
        // A line of the log for each step of each gateway would be what is measured.
        let text = std::fs::read_to_string(&server.config)
            .map_err(HarnessError::io("read the server's configuration"))?;
        std::fs::write(
            &server.config,
            text.replace("\"debug\"", "\"warn\"")
                .replace(HARNESS_LINKS, links),
        )
        .map_err(HarnessError::io("write the server's configuration"))?;
        let admin = server.serve().await?;
        let folder = super::folder()?;
        let port = free_port()?;
        let server_address = format!("127.0.0.1:{}", server.dial_out_port);
        let gateways: Vec<_> = (0..count)
            .map(|number| {
                let name = format!("sim{number:05}");
                let dial = match number % 2 {
                    0 => Dial::Out {
                        server: server_address.clone(),
                        name: None,
                    },
                    _ => Dial::Listen(address(number, port)),
                };
                let folder = folder.path().join(&name);
                Arc::new(SimulatedGateway::new(name, dial, folder))
            })
            .collect();
        let server_empty = server_memory(&server)?;
        let fleet = Self {
            server,
            admin,
            gateways,
            server_empty,
            _folder: folder,
            _site: site,
        };
        fleet.register().await?;
        Ok(fleet)
    }

    async fn register(&self) -> Result<(), HarnessError> {
        let client = self.admin.gateways().await?;
        stream::iter(&self.gateways)
            .map(|gateway| {
                let mut client = client.clone();
                async move {
                    let address = match &gateway.dial {
                        Dial::Out { .. } => String::new(),
                        Dial::Listen(address) => address.to_string(),
                    };
                    let request = AddGatewayRequest {
                        name: gateway.name.clone(),
                        dial_out: address.is_empty(),
                        address,
                        ..AddGatewayRequest::default()
                    };
                    let added = client.add(request).await?.into_inner();
                    let token = added.token.map(|token| token.token).unwrap_or_default();
                    let token: EnrolmentToken = token
                        .parse()
                        .map_err(|_| HarnessError::Incomplete("token"))?;
                    gateway.enroll(&token).map_err(|error| {
                        HarnessError::io("enrol a gateway")(std::io::Error::other(error))
                    })
                }
            })
            .buffer_unordered(REGISTRATIONS)
            .try_collect()
            .await
    }

    /// Starts the gateways with these numbers on one host.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn start(&self, numbers: impl IntoIterator<Item = usize>) -> Result<Host, HarnessError> {
        let gateways = numbers
            .into_iter()
            .filter_map(|number| self.gateways.get(number).cloned());
        Host::start(gateways, THREADS)
    }

    /// Starts one gateway on a host of its own.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn start_alone(&self, number: usize) -> Result<Host, HarnessError> {
        Host::start(self.gateways.get(number).cloned(), 1)
    }

    /// Stops the server in order.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn stop_server(&mut self) -> Result<(), HarnessError> {
        let process = self.server.process.as_mut();
        process.ok_or(HarnessError::Incomplete("server"))?.stop()?;
        Ok(())
    }

    /// Who holds which key.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn key_status(&self, gateways: bool) -> Result<KeyStatusResponse, HarnessError> {
        let request = KeyStatusRequest { gateways };
        Ok(self.admin.keys().await?.status(request).await?.into_inner())
    }

    /// Waits until so many gateways are connected, and how long that took.
    ///
    /// # Errors
    /// [`HarnessError::Timeout`].
    pub async fn connected(
        &self,
        count: usize,
        patience: Duration,
    ) -> Result<Duration, HarnessError> {
        self.until(&format!("{count} links"), patience, async || {
            let mut system = self.admin.system().await?;
            let status = system.status(StatusRequest {}).await?.into_inner();
            Ok(status.gateways_connected as usize == count)
        })
        .await
    }

    /// Waits until so many gateways have proved the current key, and how long that took.
    ///
    /// # Errors
    /// [`HarnessError::Timeout`].
    pub async fn proved(&self, count: usize, patience: Duration) -> Result<Duration, HarnessError> {
        let what = format!("{count} proofs of the current key");
        self.until(&what, patience, async || {
            let status = self.key_status(false).await?.gateway_keys;
            let keys = status.unwrap_or_default().keys;
            Ok(keys.first().is_some_and(|key| key.proved as usize == count))
        })
        .await
    }

    /// Bytes of the server in memory.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn server_memory(&self) -> Result<u64, HarnessError> {
        server_memory(&self.server)
    }

    /// Bytes of the server that are locked in memory.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn server_locked(&self) -> Result<u64, HarnessError> {
        let process = self.server.process.as_ref();
        locked(process.ok_or(HarnessError::Incomplete("server"))?.id())
    }

    /// Processor time that the server has used.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn server_cpu(&self) -> Result<Duration, HarnessError> {
        let process = self.server.process.as_ref();
        processor_time(process.ok_or(HarnessError::Incomplete("server"))?.id())
    }

    async fn until(
        &self,
        what: &str,
        patience: Duration,
        holds: impl AsyncFn() -> Result<bool, HarnessError>,
    ) -> Result<Duration, HarnessError> {
        let began = Instant::now();
        while !holds().await? {
            if began.elapsed() > patience {
                return Err(HarnessError::Timeout {
                    what: what.to_owned(),
                    waited: began.elapsed(),
                    log: self.server.log().chars().take(4_000).collect(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(began.elapsed())
    }
}

/// Bytes of a process in memory.
///
/// # Errors
/// [`HarnessError::Io`] where `/proc` does not tell.
pub fn resident(pid: u32) -> Result<u64, HarnessError> {
    from_status(pid, "VmRSS:")
}

fn from_status(pid: u32, field: &str) -> Result<u64, HarnessError> {
    let failed = || HarnessError::io("read how much memory a process has");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).map_err(failed())?;
    status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| failed()(std::io::ErrorKind::InvalidData.into()))
}

/// Processor time that a process has used, in the system's ticks of 10 ms.
fn processor_time(pid: u32) -> Result<Duration, HarnessError> {
    let failed = || HarnessError::io("read how much processor time a process has used");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).map_err(failed())?;
    // The name before may hold blanks; after it, user and system time are the 12th and 13th.
    let ticks = stat.rsplit_once(')').map(|(_, fields)| {
        let times = fields.split_whitespace().skip(11).take(2);
        times
            .filter_map(|time| time.parse::<u64>().ok())
            .sum::<u64>()
    });
    ticks
        .map(|ticks| Duration::from_millis(ticks * 10))
        .ok_or_else(|| failed()(std::io::ErrorKind::InvalidData.into()))
}

/// Bytes of a process that are locked in memory: keys.
fn locked(pid: u32) -> Result<u64, HarnessError> {
    from_status(pid, "VmLck:")
}

fn server_memory(server: &Server) -> Result<u64, HarnessError> {
    let process = server.process.as_ref();
    resident(process.ok_or(HarnessError::Incomplete("server"))?.id())
}

/// An address of loopback of its own for each gateway that is dialled.
fn address(number: usize, port: u16) -> SocketAddr {
    let [_, high, middle, low] = u32::try_from(number).unwrap_or(0).to_be_bytes();
    (Ipv4Addr::new(127, 64 | high, middle, low), port).into()
}
