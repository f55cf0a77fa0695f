//! The servers that the resources lie in, each behind a relay that can cut, and what they really
//! hold in the end: read with their own tools, past the gateways.

mod sections;
mod seen;
mod servers;

pub(super) use seen::{Found, Seen};
pub(super) use servers::Targets;
