//! A server with a fleet of simulated gateways registered and enrolled.

use std::net::{Ipv4Addr, SocketAddr};
use std::panic::Location;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use portcullis_common::rotation::EnrolmentToken;
use portcullis_gateway::config::Dial;
use portcullis_proto::admin::v1::{GatewayKeyStatus, KeyStatusRequest, StatusRequest};

use super::{Host, SimulatedGateway};
use crate::harness::usage::{locked, processor_time, resident};
use crate::harness::{Admin, OrFail as _, Process, Server, Site, free_port, in_vain};

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
    pub async fn new(count: usize) -> Self {
        Self::with(count, HARNESS_LINKS, "").await
    }

    /// As [`Self::new`], with this for the server's `[links]`, and `more` in its configuration.
    pub async fn with(count: usize, links: &str, more: &str) -> Self {
        let site = Site::new();
        let mut server = Server::new(&site, more);
        // A line of the log for each step of each gateway would be what is measured.
        let text = std::fs::read_to_string(&server.config);
        let text = text.or_fail("read the server's configuration");
        let text = text.replace("\"debug\"", "\"warn\"");
        let written = std::fs::write(&server.config, text.replace(HARNESS_LINKS, links));
        written.or_fail("write the server's configuration");
        let admin = server.serve().await;
        let folder = super::folder();
        let port = free_port();
        let server_address = format!("127.0.0.1:{}", server.dial_out_port);
        let gateways: Vec<_> = (0..count)
            .map(|number| {
                let name = format!("sim{number:05}");
                let dial = match number % 2 {
                    0 => Dial::Out {
                        server: server_address.clone(),
                        others: Vec::new(),
                        name: None,
                        proxy: None,
                    },
                    _ => Dial::Listen(address(number, port)),
                };
                let folder = folder.path().join(&name);
                Arc::new(SimulatedGateway::new(name, dial, folder))
            })
            .collect();
        let server_empty = resident(running(&server).id());
        let fleet = Self {
            server,
            admin,
            gateways,
            server_empty,
            _folder: folder,
            _site: site,
        };
        fleet.register().await;
        fleet
    }

    async fn register(&self) {
        let registrations = self.gateways.iter().map(async |gateway| {
            let address = match &gateway.dial {
                Dial::Out { .. } => String::new(),
                Dial::Listen(address) => address.to_string(),
            };
            let token = self.admin.add_gateway(&gateway.name, &address, false).await;
            let token: EnrolmentToken = token.parse().or_fail("a token");
            gateway.enroll(&token).or_fail("enrol a gateway");
        });
        let under_way = stream::iter(registrations).buffer_unordered(REGISTRATIONS);
        under_way.collect().await
    }

    /// Starts the gateways with these numbers on one host.
    pub fn start(&self, numbers: impl IntoIterator<Item = usize>) -> Host {
        let gateways = numbers
            .into_iter()
            .filter_map(|number| self.gateways.get(number).cloned());
        Host::start(gateways, THREADS)
    }

    /// Starts one gateway on a host of its own.
    pub fn start_alone(&self, number: usize) -> Host {
        Host::start(self.gateways.get(number).cloned(), 1)
    }

    /// Stops the server in order.
    pub fn stop_server(&mut self) {
        let process = self.server.process.as_mut();
        process.or_fail("server that runs").stop();
    }

    /// Who holds which key.
    pub async fn key_status(&self, gateways: bool) -> GatewayKeyStatus {
        let request = KeyStatusRequest { gateways };
        let status = self.admin.keys().status(request).await;
        let status = status.or_fail("who holds which key").into_inner();
        status.gateway_keys.or_fail("status of gateway keys")
    }

    /// Waits until so many gateways are connected, and how long that took.
    pub async fn connected(&self, count: usize, patience: Duration) -> Duration {
        self.until(&format!("{count} links"), patience, async || {
            let status = self.admin.system().status(StatusRequest {}).await;
            let status = status.or_fail("the server's status").into_inner();
            status.gateways_connected as usize == count
        })
        .await
    }

    /// Waits until so many gateways have proved the current key, and how long that took.
    pub async fn proved(&self, count: usize, patience: Duration) -> Duration {
        let what = format!("{count} proofs of the current key");
        self.until(&what, patience, async || {
            let keys = self.key_status(false).await.keys;
            keys.first().is_some_and(|key| key.proved as usize == count)
        })
        .await
    }

    /// Bytes of the server in memory.
    pub fn server_memory(&self) -> u64 {
        resident(running(&self.server).id())
    }

    /// Bytes of the server that are locked in memory.
    pub fn server_locked(&self) -> u64 {
        locked(running(&self.server).id())
    }

    /// Processor time that the server has used.
    pub fn server_cpu(&self) -> Duration {
        processor_time(running(&self.server).id())
    }

    async fn until(
        &self,
        what: &str,
        patience: Duration,
        holds: impl AsyncFn() -> bool,
    ) -> Duration {
        let began = Instant::now();
        while !holds().await {
            if began.elapsed() > patience {
                let log: String = self.server.log().chars().take(4_000).collect();
                in_vain(Location::caller(), what, began.elapsed(), &log);
            }
            tokio::time::sleep(POLL).await;
        }
        began.elapsed()
    }
}

fn running(server: &Server) -> &Process {
    server.process.as_ref().or_fail("server that runs")
}

/// An address of loopback of its own for each gateway that is dialled.
fn address(number: usize, port: u16) -> SocketAddr {
    let [_, high, middle, low] = u32::try_from(number).unwrap_or(0).to_be_bytes();
    (Ipv4Addr::new(127, 64 | high, middle, low), port).into()
}
