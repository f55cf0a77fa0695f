//! The provisioning service: receives calls, checks them against the guard rails and has the connectors carry them out.
//!
//! [`Service`] speaks gRPC and nothing else; [`Provisioner`] decides; [`crate::model`] is what they talk about;
//! [`crate::guard`] is the gateway's own word on what any server may do here.

mod call_stream;
mod lane;
mod provisioner;
mod secrets;
mod service;

pub use provisioner::{Provisioner, SearchEvent};
pub use service::Service;
