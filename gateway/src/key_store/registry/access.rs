//! Who may open the registry key, as an access list in SDDL.

/// SYSTEM and Administrators, everything; nobody else anything; nothing inherited. Owned by
/// Administrators.
#[cfg(windows)]
pub(super) const PRIVATE: &str = "O:BAD:P(A;;KA;;;SY)(A;;KA;;;BA)";

/// SYSTEM and Administrators, by alias and by SID.
const TRUSTED: [&str; 4] = ["SY", "BA", "S-1-5-18", "S-1-5-32-544"];

/// Does this descriptor (owner and DACL, as SDDL) grant anything to SYSTEM and Administrators
/// alone?
///
/// What it does not understand counts as open.
pub(super) fn is_private(sddl: &str) -> bool {
    let Some((head, dacl)) = sddl.split_once("D:") else {
        // No DACL at all grants everything to everyone.
        return false;
    };
    let owner_is_trusted = head
        .strip_prefix("O:")
        .is_some_and(|owner| TRUSTED.contains(&owner.split("G:").next().unwrap_or(owner)));
    let Some((flags, entries)) = dacl.split_once('(') else {
        // An empty list grants nothing; "NO_ACCESS_CONTROL" and the like stand for no list.
        return owner_is_trusted && dacl.bytes().all(|byte| b"PAIR".contains(&byte));
    };
    let flags_are_known = flags.bytes().all(|byte| b"PAIR".contains(&byte));
    let Some(entries) = entries.strip_suffix(')') else {
        return false;
    };
    owner_is_trusted && flags_are_known && entries.split(")(").all(entry_is_harmless)
}

/// `type;flags;rights;object;inherited object;account`, and no condition after it.
fn entry_is_harmless(entry: &str) -> bool {
    let fields: Vec<_> = entry.split(';').collect();
    match fields.as_slice() {
        ["D", ..] => true,
        ["A", _, _, _, _, account] => TRUSTED.contains(account),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_and_administrators_alone_are_private() {
        for sddl in [
            "O:BAD:P(A;;KA;;;SY)(A;;KA;;;BA)",
            "O:SYD:PAI(A;;KA;;;BA)(A;;KA;;;SY)",
            "O:BAG:SYD:(A;OICIID;KA;;;S-1-5-18)",
            "O:BAD:P(D;;KR;;;BU)(A;;KA;;;SY)",
            "O:BAD:P",
        ] {
            assert!(is_private(sddl), "{sddl}");
        }
    }

    #[test]
    fn any_other_account_owner_or_form_is_open() {
        for sddl in [
            "",
            "O:BA",
            "O:BAD:NO_ACCESS_CONTROL",
            "O:BAD:P(A;;KR;;;BU)(A;;KA;;;SY)",
            "O:BAD:P(A;;KA;;;SY)(A;;KR;;;WD)",
            "O:BUD:P(A;;KA;;;SY)(A;;KA;;;BA)",
            "D:P(A;;KA;;;SY)(A;;KA;;;BA)",
            "O:BAD:P(A;;KA;;;S-1-5-21-1-2-3-1001)",
            "O:BAD:P(XA;;KA;;;SY;(WIN://x))",
            "O:BAD:P(A;;KA;;;SY",
        ] {
            assert!(!is_private(sddl), "{sddl}");
        }
    }
}
