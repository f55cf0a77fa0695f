//! Real directories and databases as processes, each on an address of its own, all of them killed
//! when dropped: OpenLDAP ([`Slapd`]), Samba as a controller of Active Directory ([`Samba`]) and
//! PostgreSQL ([`Postgres`]). [`Quirks`] stands before Samba and does what Windows does, or worse.
//!
//! ```text
//! what is slow to make     a tree, once for all runs      trees
//! a server                 a copy of it, on an address    slapd, samba, postgres
//! its certificate          by one authority a process     authority
//! what it holds            by its own tools               tools
//! ```
//!
//! Tests that need a server are ignored unless `tests/run directories` asks for them by the name of
//! their module, which it does where the server is installed.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "it is code of tests, which are to fail where something is amiss"
)]

mod address;
mod authority;
mod pgbouncer;
mod postgres;
mod quirks;
mod samba;
mod slapd;
mod tools;
mod trees;

pub use address::loopback_address;
pub use authority::{Authority, Certificate};
pub use pgbouncer::{PgBouncer, PoolMode};
pub use postgres::Postgres;
pub use quirks::{Kind, Quirks, Trick};
pub use samba::Samba;
pub use slapd::{Setup, Slapd};
pub use tools::Tools;
