//! What stands in a gateway's configuration, for the programs that write parts of it for others.

/// The types of connectors, of all operating systems together.
pub const CONNECTOR_TYPES: [&str; 5] = ["unix", "script", "ldap", "active-directory", "sql"];

/// Its sections that many gateways can have in common, besides `connectors`.
pub const COMMON_SECTIONS: [&str; 9] = [
    "tls",
    "key_store",
    "channel",
    "limits",
    "journal",
    "workers",
    "watch",
    "traces",
    "log",
];

/// Its sections that say how this one gateway is reached.
pub const OWN_SECTIONS: [&str; 2] = ["listen", "dial_out"];
