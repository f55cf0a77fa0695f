//! Where the audit log ends.

/// Bytes of the key and of the MACs of the chain.
pub const AUDIT_MAC_LEN: usize = 32;

/// The end of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditTip {
    /// How many entries there are.
    pub count: u64,
    /// The MAC of the last one; of an empty log, zeros.
    pub mac: [u8; AUDIT_MAC_LEN],
}

impl AuditTip {
    /// Of an empty log.
    pub const BEGINNING: Self = Self {
        count: 0,
        mac: [0; AUDIT_MAC_LEN],
    };
}
