//! The use cases, one file for each noun. A front reaches them and nothing below.

pub(crate) mod audit;
mod audited_call;
pub(crate) mod authorize;
pub(crate) mod calls;
mod convert;
pub(crate) mod error;
pub(crate) mod gateways;
pub(crate) mod keys;
pub(crate) mod methods;
mod names;
pub(crate) mod note;
mod objects;
pub(crate) mod policy;
mod queue;
pub(crate) mod resources;
pub(crate) mod system;
pub(crate) mod tasks;
pub(crate) mod users;
