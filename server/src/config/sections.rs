//! The sections of the configuration, each with its defaults.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_common::crypto::suites::Suite;
use portcullis_common::rotation::Policy;
use portcullis_common::stream::{ChannelLimits, HalfOpenLimits};

/// `[admin]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// The Unix socket of the admin API, made with mode 0600.
    pub socket: PathBuf,
    /// The group that may open the socket, which then has mode 0660; `None`: nobody but the
    /// server's own user and root.
    pub socket_group: Option<u32>,
    /// Whether a second user has to approve what one alone can do the most harm with.
    pub second_person: bool,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            socket: "/run/portcullis/admin.sock".into(),
            socket_group: None,
            second_person: false,
        }
    }
}

/// `[server]`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Server {
    /// Its name among the servers of its repository; `None`: the host's.
    pub name: Option<String>,
}

/// `[audit]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Where the end of the log is kept outside the repository.
    pub head_file: PathBuf,
    /// Whether provisioning calls leave entries.
    pub calls: bool,
}

impl Audit {
    /// What holds for this data folder where nothing is said: `/var/lib/portcullis-audit` for
    /// `/var/lib/portcullis`, which the folder's backup and restore do not touch.
    pub(super) fn beside(data_dir: &Path) -> Self {
        let mut name = data_dir.file_name().unwrap_or_default().to_owned();
        name.push("-audit");
        Self {
            head_file: data_dir.with_file_name(name).join("head"),
            calls: true,
        }
    }
}

/// `[dial_out]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOut {
    /// `None`: gateways that dial out are not awaited.
    pub listen: Option<SocketAddr>,
    /// Handshakes under way at once.
    pub half_open: usize,
    /// Handshakes under way at once from one address.
    pub half_open_per_address: usize,
}

impl Default for DialOut {
    fn default() -> Self {
        Self {
            listen: Some(SocketAddr::from(([0, 0, 0, 0], 9279))),
            half_open: HalfOpenLimits::DIAL_OUT.total,
            half_open_per_address: HalfOpenLimits::DIAL_OUT.per_address,
        }
    }
}

/// `[peers]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers {
    /// Where the other servers of the repository are awaited.
    pub listen: SocketAddr,
    /// Where they dial this one, host and port.
    pub advertise: String,
}

/// `[channel]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// The suites allowed, in order of preference; not empty.
    pub suites: Vec<Suite>,
    /// The whole handshake.
    pub handshake_timeout: Duration,
    /// The age at which the sender ends an epoch.
    pub epoch_age: Duration,
    /// The age at which a session is replaced by a fresh handshake.
    pub max_session_age: Duration,
}

impl Channel {
    /// The limits that the channel itself keeps.
    pub fn limits(&self) -> ChannelLimits {
        ChannelLimits {
            handshake: self.handshake_timeout,
            epoch_age: self.epoch_age,
        }
    }
}

impl Default for Channel {
    fn default() -> Self {
        let limits = ChannelLimits::default();
        Self {
            suites: Suite::ALL.to_vec(),
            handshake_timeout: limits.handshake,
            epoch_age: limits.epoch_age,
            max_session_age: Duration::from_hours(24),
        }
    }
}

/// `[links]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Links {
    /// How long a link may be silent before the server asks whether it lives.
    pub keep_alive_interval: Duration,
    /// How long it waits for that answer.
    pub keep_alive_timeout: Duration,
    /// The wait after the first failure to connect; it doubles with each.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
}

impl Default for Links {
    fn default() -> Self {
        Self {
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            backoff_min: Duration::from_secs(1),
            backoff_max: Duration::from_secs(60),
        }
    }
}

/// `[keys]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// How long an enrolment token is valid.
    pub token_lifetime: Duration,
    /// How long pairing stays open.
    pub pairing_lifetime: Duration,
    /// How long a retired gateway key still lets a gateway that was away catch up.
    pub retired_key_grace: Duration,
}

impl Keys {
    /// The limits that rotation goes by.
    pub fn policy(&self) -> Policy {
        Policy {
            retired_key_grace_ms: u64::try_from(self.retired_key_grace.as_millis())
                .unwrap_or(u64::MAX),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            token_lifetime: Duration::from_hours(24),
            pairing_lifetime: Duration::from_hours(1),
            retired_key_grace: Duration::from_hours(90 * 24),
        }
    }
}

/// `[calls]`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Calls {
    /// How many calls may wait for one gateway.
    pub queue_limit: u32,
    /// How long a call may wait.
    pub queue_lifetime: Duration,
    /// How long it is known what came of a queued call.
    pub results_kept: Duration,
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            queue_limit: 10_000,
            queue_lifetime: Duration::from_hours(7 * 24),
            results_kept: Duration::from_hours(90 * 24),
        }
    }
}
