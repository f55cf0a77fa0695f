//! How an account is disabled. There is no standard for it: each directory has an attribute.

use crate::config::Section;
use crate::connector::directory::filter::Filter;
use crate::connector::directory::message::{Change, ChangeKind, Entry};
use crate::connector::directory::settings::is_attribute;

/// When an account was locked, to the policy overlay of OpenLDAP.
const LOCKED: &str = "pwdAccountLockedTime";

/// The attribute that disables an account, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// The attribute.
    pub(super) attribute: String,
    /// The value of accounts that are disabled.
    value: String,
}

impl State {
    /// Reads `disable`: the name of a product's way, or an attribute with its value.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Option<Self>> {
        let text = section.text("disable").unwrap_or("openldap");
        let state = match text {
            "none" => None,
            // The policy overlay: locked by an administrator, for good.
            "openldap" => Some((LOCKED, "000001010000Z")),
            "389ds" => Some(("nsAccountLock", "TRUE")),
            other => match other.split_once('=') {
                Some((attribute, value)) if is_attribute(attribute) && !value.is_empty() => {
                    Some((attribute, value))
                }
                _ => {
                    section.problem("disable", format!("`{other}`: `openldap`, `389ds`, `none`, or ATTRIBUTE=VALUE of accounts that are disabled are allowed"));
                    return None;
                }
            },
        };
        Some(state.map(|(attribute, value)| Self {
            attribute: attribute.to_owned(),
            value: value.to_owned(),
        }))
    }

    /// The policy overlay of OpenLDAP takes a lock away with every new password.
    pub(super) fn is_lifted_by_password(&self) -> bool {
        self.attribute.eq_ignore_ascii_case(LOCKED)
    }

    pub(super) fn is_disabled(&self, entry: &Entry) -> bool {
        let mut values = entry.values(&self.attribute).iter();
        values.any(|value| value.eq_ignore_ascii_case(self.value.as_bytes()))
    }

    pub(super) fn filter(&self) -> Filter {
        Filter::equal(&self.attribute, &self.value)
    }

    /// What makes an account enabled or not.
    pub(super) fn change(&self, enable: bool) -> Change {
        let values = if enable {
            Vec::new()
        } else {
            vec![self.value.clone().into_bytes()]
        };
        Change {
            kind: ChangeKind::Replace,
            attribute: self.attribute.clone(),
            values,
        }
    }
}
