//! The worker: model, guard rails and connectors behind one door.
//!
//! A call goes in as the server sent it, and its outcome comes out. [`Service`] speaks gRPC and
//! nothing else, [`Provisioner`] decides, and each connector stands behind its guard rails
//! (`guarded`). [`crate::model`] is what they talk about.
//!
//! The [`Door`] hides where that is: in this process, or in workers of their own (`processes`).

mod admitted;
mod asked;
mod call_log;
mod call_stream;
mod change;
mod door;
mod durable;
mod guarded;
mod lanes;
mod log_in;
mod more_log;
mod own_log;
mod pages;
#[cfg(unix)]
pub mod processes;
#[cfg(windows)]
#[path = "processes/windows.rs"]
pub mod processes;
mod provisioner;
mod search;
mod service;
mod sync;
mod tries;

pub use door::{Described, Door, MAX_ACKNOWLEDGED, MAX_ASKED, SessionCalls};
pub(crate) use own_log::KEPT as LOG_KEPT;
pub use own_log::OwnLog;
pub use provisioner::Provisioner;
pub use service::Service;
