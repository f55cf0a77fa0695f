//! What the exit codes of shadow-utils mean.
//!
//! One table, after the section EXIT VALUES of each manual page: useradd(8), usermod(8),
//! userdel(8), groupadd(8), groupmod(8), groupdel(8). gpasswd(1) and chpasswd(8) have no such
//! section; their codes are those of their sources.

use super::tools::Tool;
use crate::model::FailureKind;

/// What a program says by its exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Its options were not understood.
    Usage,
    /// A value was not accepted.
    BadValue,
    /// The uid or gid belongs to somebody else.
    IdTaken,
    /// The name is in use.
    NameTaken,
    /// The account or group is not there.
    Missing,
    /// The account or group is in use, and so stays as it is.
    InUse,
    /// An account file could not be written.
    NotWritten,
    /// The home directory could not be made, moved or removed.
    Home,
    /// A code that the manual does not have.
    Unknown,
}

impl Meaning {
    /// Of an exit code other than 0.
    pub(super) const fn of(tool: Tool, code: i32) -> Self {
        use Tool::{ChPasswd, GPasswd, GroupAdd, GroupDel, GroupMod, UserAdd, UserDel, UserMod};
        match (tool, code) {
            (UserAdd | UserMod | UserDel | GroupAdd | GroupMod | GroupDel | GPasswd, 2) => {
                Self::Usage
            }
            (UserAdd | UserMod | GroupAdd | GroupMod | GPasswd, 3) => Self::BadValue,
            (UserAdd | UserMod | GroupAdd | GroupMod, 4) => Self::IdTaken,
            (UserAdd | UserMod | UserDel | GroupMod | GroupDel, 6) => Self::Missing,
            (UserMod | UserDel | GroupDel, 8) => Self::InUse,
            (UserAdd | UserMod | GroupAdd | GroupMod, 9) => Self::NameTaken,
            // 1 passwd or shadow, 10 group or gshadow, 13 a backup, 14 the SELinux mapping, 16 and
            // 18 the subordinate ids.
            (UserAdd | UserMod | UserDel, 1 | 10 | 13 | 14 | 16 | 18)
            | (GroupAdd | GroupMod | GroupDel, 1 | 10)
            | (GPasswd | ChPasswd, 1) => Self::NotWritten,
            (UserMod, 11 | 12) | (UserAdd | UserDel, 12) => Self::Home,
            _ => Self::Unknown,
        }
    }

    /// Whether the program ends so before it writes anything.
    pub(super) const fn wrote_nothing(self) -> bool {
        match self {
            Self::Usage
            | Self::BadValue
            | Self::IdTaken
            | Self::NameTaken
            | Self::Missing
            | Self::InUse => true,
            Self::NotWritten | Self::Home | Self::Unknown => false,
        }
    }

    /// Whose concern it is. What the program said tells apart what one code stands for: an account
    /// that is gone from a group that was asked for, and a name from that of the account's own
    /// group.
    pub(super) fn kind(self, tool: Tool, said: &str) -> FailureKind {
        let of_accounts = matches!(
            tool,
            Tool::UserAdd | Tool::UserMod | Tool::UserDel | Tool::ChPasswd
        );
        let own = if of_accounts { "user '" } else { "group '" };
        match self {
            Self::Usage => FailureKind::Internal,
            Self::Missing if said.starts_with(own) => FailureKind::NotFound,
            Self::Missing | Self::BadValue => FailureKind::Invalid,
            Self::NameTaken if of_accounts && said.starts_with("group ") => FailureKind::Rejected,
            Self::NameTaken => FailureKind::AlreadyExists,
            Self::IdTaken | Self::InUse | Self::Home => FailureKind::Rejected,
            // chpasswd has one code for all.
            Self::NotWritten if said.contains("' does not exist") => FailureKind::NotFound,
            Self::NotWritten if said.contains("Read-only file system") => FailureKind::Rejected,
            Self::NotWritten | Self::Unknown => FailureKind::Unavailable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use FailureKind::{AlreadyExists, Internal, Invalid, NotFound, Rejected, Unavailable};
    use Tool::{ChPasswd, GPasswd, GroupAdd, GroupDel, GroupMod, UserAdd, UserDel, UserMod};

    /// The rows are the lines of the manual pages, the texts those of shadow-utils 4.13; whether
    /// nothing was written stands last.
    const CODES: &[(Tool, i32, &str, FailureKind, bool)] = &[
        (
            UserAdd,
            1,
            "failure while writing changes",
            Unavailable,
            false,
        ),
        (UserAdd, 2, "unrecognized option", Internal, true),
        (UserAdd, 3, "invalid user name 'a:b'", Invalid, true),
        (UserAdd, 4, "UID 2000 is not unique", Rejected, true),
        (UserAdd, 6, "group 'nope' does not exist", Invalid, true),
        (UserAdd, 9, "user 'ada' already exists", AlreadyExists, true),
        (UserAdd, 9, "group ada exists - if you want", Rejected, true),
        (UserAdd, 10, "failure while writing", Unavailable, false),
        (UserAdd, 12, "cannot create directory", Rejected, false),
        (UserAdd, 14, "SELinux", Unavailable, false),
        (UserMod, 6, "user 'ada' does not exist", NotFound, true),
        (UserMod, 6, "group 'nope' does not exist", Invalid, true),
        (
            UserMod,
            8,
            "user ada is currently used by process 7",
            Rejected,
            true,
        ),
        (UserMod, 9, "user 'bob' already exists", AlreadyExists, true),
        (UserMod, 11, "no space for the home", Rejected, false),
        (UserMod, 12, "unable to move", Rejected, false),
        (UserMod, 16, "failed to add uid range", Unavailable, false),
        (UserDel, 6, "user 'ada' does not exist", NotFound, true),
        (
            UserDel,
            8,
            "user ada is currently logged in",
            Rejected,
            true,
        ),
        (UserDel, 12, "cannot remove", Rejected, false),
        (GroupAdd, 4, "GID '50' already exists", Rejected, true),
        (
            GroupAdd,
            9,
            "group 'team' already exists",
            AlreadyExists,
            true,
        ),
        (GroupAdd, 10, "Read-only file system", Rejected, false),
        (GroupMod, 6, "group 'team' does not exist", NotFound, true),
        (GroupDel, 6, "group 'team' does not exist", NotFound, true),
        (
            GroupDel,
            8,
            "cannot remove the primary group",
            Rejected,
            true,
        ),
        (GPasswd, 1, "failure while writing", Unavailable, false),
        (GPasswd, 3, "user 'eve' does not exist", Invalid, true),
        (ChPasswd, 1, "No space left on device", Unavailable, false),
        (
            ChPasswd,
            1,
            "line 1: user 'ada' does not exist",
            NotFound,
            false,
        ),
        (UserDel, 99, "", Unavailable, false),
    ];

    #[test]
    fn every_exit_code_of_the_manuals_has_its_kind() {
        for &(tool, code, said, kind, wrote_nothing) in CODES {
            let meaning = Meaning::of(tool, code);
            assert_eq!(meaning.kind(tool, said), kind, "{tool} {code} {said}");
            assert_eq!(meaning.wrote_nothing(), wrote_nothing, "{tool} {code}");
        }
    }
}
