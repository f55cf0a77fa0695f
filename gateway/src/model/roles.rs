//! What a connector declares of its objects, so that the guard rails can judge calls without knowing the connector.

/// What the guard rails of a connector protect where the configuration is silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuardDefaults {
    /// Names or patterns of accounts. The configuration can add to them, not take them away.
    pub protected_accounts: &'static [&'static str],
    /// Names or patterns of groups, likewise.
    pub protected_groups: &'static [&'static str],
    /// Accounts and groups with lower numeric ids are protected; 0: ids decide nothing.
    pub protected_ids_below: u64,
}

impl GuardDefaults {
    /// Of a resource of which nothing is known.
    pub const NOTHING: Self = Self {
        protected_accounts: &[],
        protected_groups: &[],
        protected_ids_below: 0,
    };
}
