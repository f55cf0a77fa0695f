//! A relay between a client of LDAP and Samba, with TLS of its own on both sides. It adds what
//! Windows does and Samba does not, and plays the hostile directory where a test asks for it.
//!
//! ```text
//! client ── TLS ── frame ── trick ── windows ── TLS ── Samba
//! ```
//!
//! One request is carried out after the other, as a directory may do it.

mod frame;
mod relay;
mod trick;
mod windows;

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portcullis_tests::harness::{OrFail as _, Site};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use frame::Kind;
pub use trick::Trick;

use crate::{Authority, Certificate, Samba, loopback_address};
use trick::Tricks;

const PORT: u16 = 636;

/// A directory that behaves as Windows does, or worse.
#[derive(Debug)]
pub struct Quirks {
    address: Ipv4Addr,
    authority: PathBuf,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
    _site: Site,
}

/// What the relay's connections have in common.
#[derive(Debug)]
struct Shared {
    upstream: Ipv4Addr,
    state: Mutex<State>,
    /// Whether late answers may go out.
    released: watch::Sender<bool>,
    cut: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    tricks: Tricks,
    /// Codes that binds are refused with, by name in lower case.
    refused_binds: BTreeMap<String, String>,
    counts: HashMap<Kind, usize>,
    connections: usize,
}

impl Quirks {
    /// The name in its certificate, beside `localhost` and its address.
    pub const NAME: &str = "dc1.example.test";

    /// Puts a relay before a controller.
    pub async fn before(samba: &Samba) -> Self {
        let address = loopback_address();
        let names = [Self::NAME, "localhost", &address.to_string()];
        let certificate = Authority::ours().certificate(&names);
        Self::listen(address, samba.address(), &certificate).await
    }

    async fn listen(address: Ipv4Addr, upstream: Ipv4Addr, certificate: &Certificate) -> Self {
        let site = Site::new();
        let authority = Authority::ours().file(&site);
        let listener = TcpListener::bind((address, PORT)).await.or_fail("listen");
        let shared = Arc::new(Shared {
            upstream,
            state: Mutex::default(),
            released: watch::Sender::new(false),
            cut: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(relay::accept(
            listener,
            relay::acceptor(certificate),
            relay::connector(Authority::ours().pem()),
            Arc::clone(&shared),
        ));
        Self {
            address,
            authority,
            shared,
            accepting,
            _site: site,
        }
    }

    /// Where it listens for TLS.
    pub fn url(&self) -> String {
        format!("ldaps://{}:{PORT}", self.address)
    }

    /// The file with the certificate of the authority that issued its own.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Plays a trick on the next request of this kind.
    pub fn play(&self, kind: Kind, trick: Trick) {
        self.shared.state().tricks.once(kind, trick);
    }

    /// Plays a trick on every request of this kind.
    pub fn keep_playing(&self, kind: Kind, trick: Trick) {
        self.shared.state().tricks.always(kind, trick);
    }

    /// Plays no more tricks.
    pub fn behave(&self) {
        self.shared.state().tricks.none();
    }

    /// Lets late answers go, those that are held back and those to come.
    pub fn release(&self) {
        self.shared.released.send_replace(true);
    }

    /// Refuses binds of this name with a code of Windows, such as `525`.
    pub fn refuse_bind(&self, name: &str, data: &str) {
        let mut state = self.shared.state();
        state
            .refused_binds
            .insert(name.to_lowercase(), data.to_owned());
    }

    /// Ends all connections.
    pub fn cut(&self) {
        self.shared.cut.send_modify(|count| *count += 1);
    }

    /// How many requests of this kind came so far.
    pub fn requests(&self, kind: Kind) -> usize {
        self.shared
            .state()
            .counts
            .get(&kind)
            .copied()
            .unwrap_or_default()
    }

    /// How many connections came so far.
    pub fn connections(&self) -> usize {
        self.shared.state().connections
    }
}

impl Drop for Quirks {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
