//! What Windows does and Samba does not: limits of searches and of values, refusals, and the texts
//! of refusals.

use std::collections::BTreeMap;

use ldap3_proto::control::LdapControl;
use ldap3_proto::proto::{
    LdapAddRequest, LdapModify, LdapModifyRequest, LdapModifyType, LdapOp, LdapPartialAttribute,
    LdapResult, LdapResultCode, LdapSearchRequest, LdapSearchResultEntry,
};

/// Entries of one search, or of one page of it (MaxPageSize).
pub(super) const PAGE: usize = 1000;
/// Values of one attribute in one answer (MaxValRange).
pub(super) const RANGE: usize = 1500;
/// Characters of a sAMAccountName of a user.
const ACCOUNT_NAME: usize = 20;
/// Characters of a common name.
const COMMON_NAME: usize = 64;

/// How the answers to one search are to be changed.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// Where the values that were asked for begin, and end, by attribute in lower case.
    ranges: BTreeMap<String, (usize, Option<usize>)>,
    /// Entries that are left, where the search has no pages.
    left: Option<usize>,
}

/// An answer without more than a code and a text.
pub(super) fn result(code: LdapResultCode, message: &str) -> LdapResult {
    LdapResult {
        code,
        matcheddn: String::new(),
        message: message.to_owned(),
        referral: Vec::new(),
    }
}

impl Plan {
    /// Reads what a search asks for, and leaves in it what Samba understands alike.
    pub(super) fn of(search: &mut LdapSearchRequest, controls: &mut [LdapControl]) -> Self {
        let mut plan = Self {
            left: Some(PAGE),
            ..Self::default()
        };
        for control in controls {
            match control {
                LdapControl::SimplePagedResults { size, .. } => {
                    *size = (*size).min(PAGE as i64);
                    plan.left = None;
                }
                LdapControl::AdDirsync { .. } => plan.left = None,
                _ => {}
            }
        }
        for attribute in &mut search.attrs {
            let Some((name, range)) = attribute.split_once(";range=") else {
                continue;
            };
            let (from, to) = range.split_once('-').unwrap_or((range, "*"));
            let range = (from.parse().unwrap_or(0), to.parse().ok());
            plan.ranges.insert(name.to_lowercase(), range);
            *attribute = name.to_owned();
        }
        plan
    }

    /// Whether one more entry may be sent.
    pub(super) fn has_room(&mut self) -> bool {
        match &mut self.left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }

    /// Leaves of each attribute the values of the range that was asked for, or else the first ones.
    pub(super) fn cut(&self, entry: &mut LdapSearchResultEntry) {
        let mut attributes = Vec::with_capacity(entry.attributes.len());
        for mut attribute in std::mem::take(&mut entry.attributes) {
            let asked = self.ranges.get(&attribute.atype.to_lowercase()).copied();
            if asked.is_none() && attribute.vals.len() <= RANGE || attribute.atype.contains(';') {
                attributes.push(attribute);
                continue;
            }
            let (from, to) = asked.unwrap_or((0, None));
            let all = attribute.vals.len();
            let end = to.map_or(all, |to| to + 1).min(from + RANGE).min(all);
            let range = attribute.vals.get(from..end).unwrap_or_default().to_vec();
            let last = if end >= all {
                "*".to_owned()
            } else {
                (end - 1).to_string()
            };
            let name = format!("{};range={from}-{last}", attribute.atype);
            if asked.is_none() {
                attribute.vals.clear();
                attributes.push(attribute);
            }
            attributes.push(LdapPartialAttribute {
                atype: name,
                vals: range,
            });
        }
        entry.attributes = attributes;
    }
}

/// Why Windows refuses an add that Samba carries out.
pub(super) fn refuses_add(add: &LdapAddRequest) -> Option<LdapResult> {
    let values = |name: &str| -> Vec<String> {
        let of_it = add
            .attributes
            .iter()
            .filter(|one| one.atype.eq_ignore_ascii_case(name));
        let values = of_it.flat_map(|one| &one.vals);
        values
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    };
    let is_user = values("objectClass")
        .iter()
        .any(|class| class.eq_ignore_ascii_case("user"));
    let too_long =
        |name: &str, most: usize| values(name).iter().any(|text| text.chars().count() > most);
    if is_user && too_long("sAMAccountName", ACCOUNT_NAME) {
        let text = "00000523: SysErr: DSID-031A1202, problem 22 (Invalid argument), data 0";
        return Some(result(LdapResultCode::Other, text));
    }
    if too_long("cn", COMMON_NAME) {
        let text = "00002082: AtrErr: DSID-03151E3B, #1:\n\t0: 00002082: DSID-03151E3B, problem 1005 (CONSTRAINT_ATT_TYPE), data 0, Att 3 (cn)";
        return Some(result(LdapResultCode::ConstraintViolation, text));
    }
    let enabled = values("userAccountControl")
        .iter()
        .filter_map(|text| text.parse::<u32>().ok())
        .any(|flags| flags & 0x2 == 0 && flags & 0x20 == 0 && flags & 0x200 != 0);
    if is_user && enabled && values("unicodePwd").is_empty() {
        return Some(result(LdapResultCode::UnwillingToPerform, PASSWORD_RULES));
    }
    None
}

/// What Windows says of a password that breaks a rule, whichever it is.
const PASSWORD_RULES: &str =
    "0000052D: SvcErr: DSID-031A12D2, problem 5003 (WILL_NOT_PERFORM), data 0";

/// The value of userAccountControl that a modification takes for the present one.
pub(super) fn compared_flags(modify: &LdapModifyRequest) -> Option<Vec<u8>> {
    let deletes = |change: &&LdapModify| {
        change.operation == LdapModifyType::Delete
            && change
                .modification
                .atype
                .eq_ignore_ascii_case("userAccountControl")
    };
    let change = modify.changes.iter().find(deletes)?;
    change.modification.vals.first().cloned()
}

/// The refusal of a modification that took another value for the present one.
pub(super) fn is_another_value() -> LdapResult {
    let text = "00002085: AtrErr: DSID-03153B17, #1:\n\t0: 00002085: DSID-03153B17, problem 1001 (NO_ATTRIBUTE_OR_VAL), data 0, Att 90008 (userAccountControl)";
    result(LdapResultCode::NoSuchAttribute, text)
}

/// Says what Samba refused in the words of Windows.
pub(super) fn reword(request: Option<&LdapOp>, answer: &mut LdapResult) {
    if answer.message.starts_with("0000052D") {
        // A reset is refused as a whole, a change by the user as a wrong value.
        let resets = |change: &LdapModify| change.operation == LdapModifyType::Replace;
        match request {
            Some(LdapOp::ModifyRequest(modify)) if !modify.changes.iter().any(resets) => {
                answer.message = "0000052D: AtrErr: DSID-03191083, #1:\n\t0: 0000052D: DSID-03191083, problem 1005 (CONSTRAINT_ATT_TYPE), data 0, Att 9005a (unicodePwd)".to_owned();
            }
            _ => *answer = result(LdapResultCode::UnwillingToPerform, PASSWORD_RULES),
        }
    } else if answer.message.contains("0000202F") {
        answer.message = "000021C8: AtrErr: DSID-03200BBA, #1:\n\t0: 000021C8: DSID-03200BBA, problem 1005 (CONSTRAINT_ATT_TYPE), data 0, Att 90290 (userPrincipalName)".to_owned();
    }
}

/// The refusal of a bind for the reason that this code, such as `525`, stands for.
pub(super) fn bind_refused(data: &str) -> LdapResult {
    let text = format!(
        "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {data}, v4563\0"
    );
    result(LdapResultCode::InvalidCredentials, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(asked: &str, count: usize) -> Vec<(String, usize)> {
        let mut search = LdapSearchRequest {
            base: String::new(),
            scope: ldap3_proto::proto::LdapSearchScope::Base,
            aliases: ldap3_proto::proto::LdapDerefAliases::Never,
            sizelimit: 0,
            timelimit: 0,
            typesonly: false,
            filter: ldap3_proto::proto::LdapFilter::Present("objectClass".to_owned()),
            attrs: vec![asked.to_owned()],
        };
        let plan = Plan::of(&mut search, &mut []);
        assert_eq!(search.attrs, ["member"]);
        let mut entry = LdapSearchResultEntry {
            dn: String::new(),
            attributes: vec![LdapPartialAttribute {
                atype: "member".to_owned(),
                vals: vec![Vec::new(); count],
            }],
        };
        plan.cut(&mut entry);
        let attributes = entry.attributes.into_iter();
        attributes.map(|one| (one.atype, one.vals.len())).collect()
    }

    #[test]
    fn values_come_in_ranges() {
        let one = |name: &str, count| (name.to_owned(), count);
        assert_eq!(members("member", 1500), [one("member", 1500)]);
        let first = [one("member", 0), one("member;range=0-1499", 1500)];
        assert_eq!(members("member", 1501), first);
        let second = [one("member;range=1500-2999", 1500)];
        assert_eq!(members("member;range=1500-*", 3001), second);
        assert_eq!(
            members("member;range=3000-*", 3001),
            [one("member;range=3000-*", 1)]
        );
        assert_eq!(
            members("member;range=9-10", 3001),
            [one("member;range=9-10", 2)]
        );
        assert_eq!(
            members("member;range=4000-*", 3001),
            [one("member;range=4000-*", 0)]
        );
    }
}
