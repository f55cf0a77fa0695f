//! What no server may touch on a unix host, whatever the configuration says.

use crate::model::{GuardDefaults, NameComparison};

/// The guard rails of a unix host where the configuration is silent.
pub const GUARD_DEFAULTS: GuardDefaults = GuardDefaults {
    protected_accounts: SYSTEM_ACCOUNTS,
    protected_groups: PRIVILEGED_GROUPS,
    protected_ids_below: 1000,
    harmless_groups: HARMLESS_GROUPS,
    compare_names: NameComparison::CaseInsensitive,
};

/// Groups of the system that people at the host's own screen are in on many a host, and in which
/// nobody comes to rule it.
const HARMLESS_GROUPS: &[&str] = &[
    "users",
    "audio",
    "video",
    "render",
    "cdrom",
    "floppy",
    "dialout",
    "dip",
    "plugdev",
    "scanner",
    "bluetooth",
    "games",
];

/// Groups whose members rule the host, or can come to. They are protected whatever the
/// configuration adds; membership of one can be allowed only by naming it in `allowed_groups`.
const PRIVILEGED_GROUPS: &[&str] = &[
    "root",
    "*sudo*",
    "wheel",
    "admin",
    "adm",
    "daemon",
    "bin",
    "sys",
    "disk",
    "shadow",
    "kmem",
    "tty",
    "docker",
    "lxd",
    "microk8s",
    "lpadmin",
    "incus-admin",
    "libvirt",
    "kvm",
    "systemd-*",
    "polkitd",
    "ssh",
    "_ssh",
    "staff",
    "backup",
    "operator",
    "utmp",
    "netdev",
    "portcullis*",
    "nogroup",
    "nobody",
];

/// Accounts that no server may change, whatever their ids.
const SYSTEM_ACCOUNTS: &[&str] = &[
    "root",
    "daemon",
    "bin",
    "sys",
    "nobody",
    "systemd-*",
    "portcullis*",
];
