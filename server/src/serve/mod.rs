//! The running server.

pub mod permissions;

use std::time::Duration;

use portcullis_common::id::ServerId;
use portcullis_common::rotation::{Policy, UnixMillis};

use crate::fleet::Fleet;
use crate::repository::Repository;

/// What the admin API works on. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Services {
    /// This server.
    pub server_id: ServerId,
    /// When it was started.
    pub started: UnixMillis,
    /// The repository.
    pub repository: Repository,
    /// The gateways and their links.
    pub fleet: Fleet,
    /// Limits of rotation.
    pub policy: Policy,
    /// How long a new enrolment token is valid.
    pub token_lifetime: Duration,
    /// How long pairing stays open for a gateway added with it.
    pub pairing_lifetime: Duration,
}
