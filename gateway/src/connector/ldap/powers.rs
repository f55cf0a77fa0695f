//! Attributes of directories of the field that give rights by themselves, whatever groups say.

use crate::connector::directory::objects::base_of;
use crate::model::Failure;

/// In lower case, with their second names: who may act as whom (OpenLDAP), rules of access
/// (OpenLDAP, 389 Directory Server), roles that are written at the account (389 Directory Server),
/// and to whom a ticket may be handed on (FreeIPA).
const POWERS: [&str; 9] = [
    "aci",
    "authzfrom",
    "authzto",
    "krballowedtodelegateto",
    "nsroledn",
    "nsrolescopedn",
    "openldapaci",
    "saslauthzfrom",
    "saslauthzto",
];

/// Refuses an attribute that gives powers which the guard rails cannot judge.
pub(super) fn check_writable(attribute: &str) -> Result<(), Failure> {
    let base = base_of(attribute);
    if POWERS.iter().any(|power| power.eq_ignore_ascii_case(base)) {
        return Err(Failure::unsupported(format!(
            "`{attribute}` gives powers that the guard rails cannot judge: no call can set it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_not_given_by_calls() {
        for attribute in ["authzTo", "saslAuthzTo", "ACI", "nsRoleDN", "authzTo;x-a"] {
            assert!(check_writable(attribute).is_err(), "{attribute}");
        }
        for attribute in ["description", "pwdAccountLockedTime", "krbPrincipalName"] {
            assert!(check_writable(attribute).is_ok(), "{attribute}");
        }
    }
}
