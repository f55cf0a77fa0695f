//! Who somebody is who presents a password or a session. Nothing here depends on how they are
//! connected.
//!
//! ```text
//! log-in ── locked out? ── which group? ── its modules ──── one user? ── session
//!             lockout          rule         flags, password     flags    limits, session
//! request ── session counts? ── what its user may do now ── Caller
//! ```
//!
//! `flags`, `rule`, `lockout` and `limits` decide, and know neither clock nor repository; `attempt`
//! and `session` drive them.

pub mod application;
mod attempt;
pub mod flags;
pub mod limits;
pub mod lockout;
mod password;
pub mod rule;
mod session;

pub use attempt::{Attempt, LoggedIn, NotLoggedIn, Why, log_in};
pub use session::{Refusal, SessionSecret, caller_of, known_here, log_out, still_caller_of, terms};
