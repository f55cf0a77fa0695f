//! When a target locks an account after wrong passwords.

use std::time::Duration;

/// What a target says before a password of an account is tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Lockout {
    /// Nothing: it does not say when it locks accounts, nor whether there is this one.
    #[default]
    NotTold,
    /// There is no such account.
    NoAccount,
    /// There is this one.
    Account {
        /// What it is known by, whatever the call names it by and whichever connector is asked.
        key: String,
        /// When it is locked; `None`: never, or nobody knows.
        limit: Option<LockoutLimit>,
    },
}

/// So many wrong passwords, and the account is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockoutLimit {
    /// The wrong one that locks it, counted from 1.
    pub threshold: u32,
    /// How long a wrong one counts; `None`: until a right one comes.
    pub window: Option<Duration>,
    /// How many count now, as far as the target tells.
    pub failures: Option<u32>,
    /// Which server tells: others of the same directory may count for themselves.
    pub told_by: String,
}
