//! What the programs tell whoever watches them: whether they live, whether they are ready and why
//! not, and their metrics. It is read over HTTP, by default from the host itself alone.
//!
//! ```text
//!   GET /live ──▶ 200 while the program runs
//!   GET /ready ─▶ 200, or 503 with the reasons ◀── each program's own checks ([`Watched::ready`])
//!   GET /metrics ▶ OpenMetrics text            ◀── its registry, and gauges that it sets then
//! ```
//!
//! [`traces`] are the one thing that is sent rather than read, and off unless it is configured.
//!
//! Nobody proves who he is here, so nothing here is secret, and nothing changes anything. Whatever
//! is asked costs a bounded amount: few connections at once, one request on each, and what was
//! found out holds for a second.
#![forbid(unsafe_code)]

mod answers;
mod calls;
mod disk;
mod expiry;
mod http;
mod metrics;
pub mod post;
mod process;
mod readiness;
mod settings;
pub mod traces;
mod watched;

pub use calls::{CallMeter, DONE, INDETERMINATE, failure_name, outcome_name};
pub use disk::DiskGauge;
pub use expiry::ExpiryGauge;
pub use http::{Bound, bind, serve};
pub use metrics::{Flag, Metrics};
pub use readiness::{Check, Readiness, check};
pub use settings::Settings;
pub use watched::Watched;
