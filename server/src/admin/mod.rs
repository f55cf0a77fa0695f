//! The use cases, one file for each noun, and the one door to them.
//!
//! A front makes a request and a [`Caller`](crate::access::Caller), and calls [`dispatch`]; an
//! error of the administration itself is an [`AdminError`], whatever concerns a call on a resource
//! is an `Outcome`. Nothing here knows which front asked.

mod alarms;
mod approvals;
mod audit;
mod authorize;
mod calls;
mod common;
mod context;
mod convert;
mod dispatch;
mod elsewhere;
mod error;
mod gateway_life;
mod gateway_list;
mod gateway_log;
mod gateways;
mod holders;
mod keys;
mod log_ins;
mod login_setup;
mod names;
mod policy;
mod queue;
mod request;
mod resource_fit;
mod resources;
mod servers;
mod system;
mod tasks;
mod upgrades;
mod users;

use crate::config::Capability;
pub(crate) use authorize::{admit, refuse_unknown};
pub(crate) use dispatch::dispatch;
pub(crate) use elsewhere::{AGAIN_AFTER, Encoded, ThroughLink, forward, has_moved};
pub(crate) use error::AdminError;
pub(crate) use request::{Answer, FromMessage, Front, Messages, Method, Plan, Request, Shown};

/// Who may look at what the server holds.
const LOOK: &[Capability] = &[
    Capability::SecurityAdministrator,
    Capability::Administrator,
    Capability::Auditor,
];

/// Tells `front` every use case once.
pub(crate) fn offer_all(front: &mut impl Front) {
    alarms::offer(front);
    approvals::offer(front);
    audit::offer(front);
    calls::offer(front);
    common::offer(front);
    gateways::offer(front);
    gateway_life::offer(front);
    gateway_log::offer(front);
    keys::offer(front);
    log_ins::offer(front);
    login_setup::offer(front);
    policy::offer(front);
    queue::offer(front);
    resources::offer(front);
    servers::offer(front);
    system::offer(front);
    tasks::offer(front);
    upgrades::offer(front);
    users::offer(front);
}

#[cfg(test)]
pub(crate) mod tests;
