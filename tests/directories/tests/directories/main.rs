//! The connectors against real directories and databases. `tests/run directories` names the modules
//! whose server is installed.
//!
//! What no server does that runs here is played by one that lies: a relay before Samba (`Quirks`),
//! and a server of answers beside the code (`gateway/src/connector/ldap/tests`). These are a
//! StartTLS that is refused or followed by more, a bind that the server has forgotten, late
//! answers, cookies that are dropped or come again for ever, an extended answer to a modification,
//! and of Windows what it does beyond Samba: pages of 1,000, ranges of 1,500, the comparison of
//! userAccountControl, the codes of refused binds, a notice whose name stands outside of it.
//!
//! Not shown at all:
//!
//! * Windows itself: its limits of time and of queries at once (MaxQueryDuration,
//!   MaxActiveQueries), hints of its password policy, channel binding, which concerns other binds
//!   than those by password, and what its controllers tell one another when.
//! * 389 Directory Server, FreeIPA and others: what they answer is known from their documents.
//! * Cancel (RFC 3909) and Abandon: a request that has left is waited for, and never taken back.
//! * A change of a password by its owner: no verb does that.
//! * The PowerShell samples.
//! * A clock that jumps: the connectors count time by a clock that does not, and compare the
//!   directory's times with one another alone.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

mod active_directory;
mod ldap;
mod reconcile;
mod servers;
mod sql;
mod windows;
