//! The gateway as a service of Windows: how it is installed, and how it runs as one.

pub(crate) mod control;
pub(crate) mod run;
