//! The provisioning service: receives calls, checks them against the guard rails and has the connectors carry them out.
//!
//! [`Service`] speaks gRPC and nothing else; [`Provisioner`] decides; [`model`] is what they talk about;
//! [`GuardRails`] are the gateway's own word on what any server may do here.

mod call_stream;
mod guard;
mod lane;
pub mod model;
mod provisioner;
mod secrets;
mod service;

pub use guard::{GuardDefaults, GuardRails};
pub use provisioner::{Provisioner, SearchEvent};
pub use service::Service;
