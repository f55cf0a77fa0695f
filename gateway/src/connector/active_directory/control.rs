//! Whether an account may log in: the bits of `userAccountControl`, of which one is the gateway's,
//! and what the domain works out beside them (MS-ADTS 2.2.16 and 3.1.1.4.5.17).

use super::names::PRINCIPAL_NAME;
use crate::connector::directory::message::{Change, ChangeKind, Entry};
use crate::model::{Failure, Value};

/// The attribute with the bits.
pub(super) const CONTROL: &str = "userAccountControl";
/// The bits that the domain works out: whether the account is locked now, or its password expired.
const COMPUTED: &str = "msDS-User-Account-Control-Computed";
/// When the password was set last; 0: it has to be changed at the next log-in.
const LAST_SET: &str = "pwdLastSet";
/// When the account expires.
const EXPIRES: &str = "accountExpires";

/// What is read to know how an account stands.
pub(super) const READ: [&str; 4] = [CONTROL, COMPUTED, LAST_SET, EXPIRES];

/// Attributes that the gateway makes of them.
pub(super) const DERIVED: [&str; 3] = ["locked", "passwordExpired", "mustChangePassword"];

/// A rule that holds where every bit of a value is set (MS-ADTS 3.1.1.3.4.4.1).
pub(super) const BITS: &str = "1.2.840.113556.1.4.803";

/// ADS_UF_ACCOUNTDISABLE.
pub(super) const DISABLED: u32 = 0x2;
/// ADS_UF_LOCKOUT, in the computed bits.
const LOCKED: u32 = 0x10;
/// ADS_UF_PASSWD_NOTREQD: Active Directory gives it to whom is made without a password.
const PASSWORD_NOT_REQUIRED: u32 = 0x20;
/// ADS_UF_NORMAL_ACCOUNT.
const NORMAL: u32 = 0x200;
/// ADS_UF_PASSWORD_EXPIRED, in the computed bits.
const PASSWORD_EXPIRED: u32 = 0x0080_0000;

/// The bits of a new account.
pub(super) fn normal(disabled: bool) -> u32 {
    if disabled { NORMAL | DISABLED } else { NORMAL }
}

fn bits(entry: &Entry, attribute: &str) -> Option<u32> {
    // Written as a signed number of 32 bits.
    let number: i64 = entry.text(attribute)?.parse().ok()?;
    u32::try_from(number & 0xffff_ffff).ok()
}

/// The bits of an account.
pub(super) fn flags(entry: &Entry) -> Option<u32> {
    bits(entry, CONTROL)
}

/// Changes the bit that disables, and leaves every other as it is. Whoever is enabled needs a
/// password from then on.
pub(super) fn switch(entry: &Entry, enable: bool) -> Result<Vec<Change>, Failure> {
    let before = flags(entry).ok_or_else(|| {
        Failure::rejected(format!(
            "the account has no `{CONTROL}` that the gateway may read: grant it the right to"
        ))
    })?;
    let after = if enable {
        before & !(DISABLED | PASSWORD_NOT_REQUIRED)
    } else {
        before | DISABLED
    };
    if before & DISABLED == after & DISABLED {
        return Ok(Vec::new());
    }
    // As the signed number that the directory keeps.
    let text = |bits: u32| (bits as i32).to_string().into_bytes();
    // The old value is named: Windows refuses where another has changed it meanwhile.
    let change = |kind, bits| Change {
        kind,
        attribute: CONTROL.to_owned(),
        values: vec![text(bits)],
    };
    Ok(vec![
        change(ChangeKind::Delete, before),
        change(ChangeKind::Add, after),
    ])
}

/// What an account's bits say in words.
pub(super) fn derived(entry: &Entry) -> Vec<(&'static str, Value)> {
    let mut derived = Vec::new();
    if let Some(computed) = bits(entry, COMPUTED) {
        let [locked, expired, _] = DERIVED;
        derived.push((locked, Value::Boolean(computed & LOCKED != 0)));
        derived.push((expired, Value::Boolean(computed & PASSWORD_EXPIRED != 0)));
    }
    if let Some(last_set) = entry.text(LAST_SET) {
        let [.., must_change] = DERIVED;
        derived.push((must_change, Value::Boolean(last_set == "0")));
    }
    derived
}

/// Attributes that give powers which the guard rails cannot judge, in lower case.
const POWERS: [&str; 10] = [
    "admincount",
    "altsecurityidentities",
    "msds-allowedtoactonbehalfofotheridentity",
    "msds-allowedtodelegateto",
    "msds-keycredentiallink",
    "msds-supersededmanagedaccountlink",
    "msds-supersededserviceaccountstate",
    "ntsecuritydescriptor",
    "objectsid",
    "sidhistory",
];

/// Refuses an attribute that another verb is for, or that gives powers which the guard rails cannot
/// judge.
pub(super) fn check_writable(attribute: &str) -> Result<(), Failure> {
    let base = attribute.split(';').next().unwrap_or(attribute);
    if base.eq_ignore_ascii_case(CONTROL) || base.eq_ignore_ascii_case(COMPUTED) {
        return Err(Failure::unsupported(format!(
            "`{attribute}` is changed by `enable` and `disable`, bit by bit: a whole value from outside would take bits of others along"
        )));
    }
    if DERIVED
        .iter()
        .any(|derived| derived.eq_ignore_ascii_case(base))
    {
        return Err(Failure::unsupported(format!(
            "`{attribute}` is worked out: set `lockoutTime` to 0 to unlock, `pwdLastSet` to 0 to have the password changed and to -1 to take that back"
        )));
    }
    if base.eq_ignore_ascii_case(PRINCIPAL_NAME) && base.len() != attribute.len() {
        return Err(Failure::unsupported(format!(
            "`{attribute}`: give `{PRINCIPAL_NAME}` without options, by which the guard rails know it"
        )));
    }
    let powerful = POWERS.iter().any(|power| power.eq_ignore_ascii_case(base));
    if powerful {
        return Err(Failure::unsupported(format!(
            "`{attribute}` gives powers that the guard rails cannot judge: no call can set it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn entry(attributes: &[(&str, &'static str)]) -> Entry {
        let attributes = attributes.iter().map(|(name, value)| {
            (
                (*name).to_owned(),
                vec![Bytes::from_static(value.as_bytes())],
            )
        });
        Entry {
            dn: String::new(),
            attributes: attributes.collect(),
        }
    }

    fn values(changes: &[Change]) -> Vec<String> {
        let values = changes.iter().flat_map(|change| &change.values);
        values
            .map(|value| String::from_utf8(value.clone()).unwrap())
            .collect()
    }

    #[test]
    fn no_bit_is_changed_but_our_own() {
        for (before, enable, after) in [
            ("512", true, None),
            ("514", true, Some("512")),
            ("546", true, Some("512")),
            ("66050", true, Some("66048")),
            ("512", false, Some("514")),
            ("66048", false, Some("66050")),
            ("514", false, None),
            ("-2147483134", true, Some("-2147483136")),
        ] {
            let changes = switch(&entry(&[(CONTROL, before)]), enable).unwrap();
            let expected = after.map(|after| vec![before.to_owned(), after.to_owned()]);
            assert_eq!(values(&changes), expected.unwrap_or_default(), "{before}");
        }
        assert!(switch(&entry(&[]), true).is_err());
    }

    #[test]
    fn what_the_domain_works_out_is_told() {
        let told = |computed, last_set| {
            derived(&entry(&[(COMPUTED, computed), (LAST_SET, last_set)]))
                .into_iter()
                .map(|(_, value)| value == Value::Boolean(true))
                .collect::<Vec<_>>()
        };
        assert_eq!(told("0", "134042752000000000"), [false, false, false]);
        assert_eq!(told("16", "0"), [true, false, true]);
        assert_eq!(told("8388624", "1"), [true, true, false]);
    }

    #[test]
    fn powers_are_not_given_by_calls() {
        for attribute in [
            "userAccountControl",
            "SIDHistory",
            "nTSecurityDescriptor",
            "locked",
            "userPrincipalName;x-a",
        ] {
            assert!(check_writable(attribute).is_err(), "{attribute}");
        }
        for attribute in ["lockoutTime", "pwdLastSet", "description", "primaryGroupID"] {
            assert!(check_writable(attribute).is_ok(), "{attribute}");
        }
    }
}
