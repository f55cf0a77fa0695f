//! The worker: model, guard rails and connectors behind one door.
//!
//! A call goes in as the server sent it, and its outcome comes out. [`Service`] speaks gRPC and
//! nothing else, [`Provisioner`] decides, and each connector stands behind its guard rails
//! (`guarded`). [`crate::model`] is what they talk about.

mod asked;
mod call_log;
mod call_stream;
mod change;
mod durable;
mod guarded;
mod lanes;
mod log_in;
mod pages;
mod provisioner;
mod service;
mod sync;
mod tries;

pub use provisioner::Provisioner;
use provisioner::ServerCalls;
pub use service::Service;
