//! What Active Directory's refusals mean. Their texts begin with a code of Windows, which says more
//! than the standard's: the same one of those stands for several things.

use crate::connector::directory::dialect::Verdict;
use crate::connector::directory::failures;
use crate::connector::directory::fault::code;
use crate::connector::directory::message::Answer;
use crate::model::{Failure, FailureKind, Verb};

/// Codes of Windows (MS-ERREF 2.2).
mod win32 {
    pub(super) const INVALID_PASSWORD: u32 = 0x56;
    pub(super) const INVALID_ACCOUNT_NAME: u32 = 0x523;
    pub(super) const USER_EXISTS: u32 = 0x524;
    pub(super) const PASSWORD_RESTRICTION: u32 = 0x52d;
    pub(super) const OBJECT_EXISTS: u32 = 0x2071;
    pub(super) const NOT_UNIQUE: u32 = 0x202f;
    pub(super) const SPN_NOT_UNIQUE: u32 = 0x21c7;
    pub(super) const UPN_NOT_UNIQUE: u32 = 0x21c8;
    pub(super) const TOO_LONG: u32 = 0x2082;
}

/// The code that the text begins with.
pub(super) fn win32(text: &str) -> Option<u32> {
    let (digits, rest) = text.split_at_checked(8)?;
    let all = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    (all && rest.starts_with(':')).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// The code in the text of a bind that was refused: `data 52e`.
fn data(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("data ")?;
    let end = rest
        .find(|c: char| !c.is_ascii_hexdigit())
        .unwrap_or(rest.len());
    u32::from_str_radix(rest.get(..end)?, 16).ok()
}

/// What the answer to a bind with somebody's password says.
pub(super) fn verdict(answer: &Answer) -> Verdict {
    match answer.code {
        code::SUCCESS => Verdict::Right,
        code::INVALID_CREDENTIALS => match data(&answer.text) {
            Some(0x532 | 0x701) => Verdict::Expired,
            Some(0x533) => Verdict::Disabled,
            Some(0x773) => Verdict::MustChange,
            Some(0x775) => Verdict::Locked,
            // Outside of its hours, or from this computer; other restrictions.
            Some(0x52f..=0x531) => Verdict::NotNow,
            // 52e and 525: neither tells whether there is such an account.
            _ => Verdict::Wrong,
        },
        _ => Verdict::Unavailable,
    }
}

/// What a refusal means that the standard's codes do not tell.
pub(super) fn failure(verb: Verb, answer: &Answer) -> Option<Failure> {
    if answer.code == code::SUCCESS {
        return None;
    }
    if answer.code == code::NO_SUCH_ATTRIBUTE
        && matches!(verb, Verb::Create | Verb::Update)
        && let Some(failure) = unknown_attribute(answer)
    {
        return Some(failure);
    }
    let of = |kind, meaning: &str| failures::failure(kind, answer, meaning);
    let exists = |attribute: &str| {
        let meaning =
            format!("another object has this `{attribute}`, which is unique in the domain");
        failures::failure(FailureKind::AlreadyExists, answer, &meaning)
    };
    let has = |attribute: &str| {
        let text = answer.text.to_lowercase();
        text.contains(&attribute.to_lowercase())
    };
    Some(match win32(&answer.text)? {
        win32::PASSWORD_RESTRICTION => {
            let meaning = match verb {
                Verb::Create | Verb::Enable => {
                    "an account is enabled with a password that keeps the domain's rules alone: its length, complexity, history or age"
                }
                _ => {
                    "the password breaks a rule of the domain: its length, complexity, history or age"
                }
            };
            of(FailureKind::Policy, meaning)
        }
        win32::INVALID_PASSWORD => of(FailureKind::BadCredentials, "the old password is wrong"),
        win32::INVALID_ACCOUNT_NAME => of(
            FailureKind::Invalid,
            "the domain does not take the `sAMAccountName`",
        ),
        win32::TOO_LONG => of(
            FailureKind::Invalid,
            "a value is too long or too short for its attribute",
        ),
        win32::USER_EXISTS => exists("sAMAccountName"),
        win32::UPN_NOT_UNIQUE => exists("userPrincipalName"),
        win32::SPN_NOT_UNIQUE => exists("servicePrincipalName"),
        win32::NOT_UNIQUE if has("userPrincipalName") => exists("userPrincipalName"),
        win32::NOT_UNIQUE if has("servicePrincipalName") => exists("servicePrincipalName"),
        win32::NOT_UNIQUE => exists("value"),
        win32::OBJECT_EXISTS if has("sAMAccountName") => exists("sAMAccountName"),
        win32::OBJECT_EXISTS => exists("distinguishedName"),
        _ => return None,
    })
}

/// Active Directory says of an attribute that it does not have what others say of a value.
fn unknown_attribute(answer: &Answer) -> Option<Failure> {
    // Windows says 00000057 and `Error in attribute conversion operation`; Samba names it.
    let unknown = ["schema", "Error in attribute conversion"];
    let told = unknown.iter().any(|words| answer.text.contains(words));
    told.then(|| {
        failures::failure(
            FailureKind::Unsupported,
            answer,
            "the directory has no such attribute",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u32, text: &str) -> Answer {
        Answer {
            code,
            text: text.to_owned(),
            ..Answer::default()
        }
    }

    #[test]
    fn a_bind_tells_why_it_was_refused_but_not_whether_there_is_an_account() {
        let said = |data: &str| {
            let text = format!(
                "80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data {data}, v4563\0"
            );
            verdict(&answer(49, &text))
        };
        for (data, verdict) in [
            ("52e", Verdict::Wrong),
            ("525", Verdict::Wrong),
            ("533", Verdict::Disabled),
            ("775", Verdict::Locked),
            ("773", Verdict::MustChange),
            ("532", Verdict::Expired),
            ("701", Verdict::Expired),
            ("530", Verdict::NotNow),
            ("531", Verdict::NotNow),
            ("", Verdict::Wrong),
        ] {
            assert_eq!(said(data), verdict, "{data}");
        }
        assert_eq!(verdict(&answer(0, "")), Verdict::Right);
        assert_eq!(verdict(&answer(51, "")), Verdict::Unavailable);
    }

    #[test]
    fn whatever_code_says_that_it_exists_the_attribute_is_named() {
        for (code, text, attribute) in [
            (
                68,
                "00002071: samldb: Account name (sAMAccountName) 'ada' already in use!",
                "sAMAccountName",
            ),
            (
                68,
                "00000524: UpdErr: DSID-031A11E2, problem 6005 (ENTRY_EXISTS), data 0",
                "sAMAccountName",
            ),
            (
                68,
                "00002071: UpdErr: DSID-0305038D, problem 6005 (ENTRY_EXISTS), data 0",
                "distinguishedName",
            ),
            (
                19,
                "0000202F: samldb: userPrincipalName 'ada@x' is not unique",
                "userPrincipalName",
            ),
            (
                19,
                "000021C8: AtrErr: DSID-03200BBA, #1:",
                "userPrincipalName",
            ),
        ] {
            let failure = failure(Verb::Create, &answer(code, text)).unwrap();
            assert_eq!(failure.kind, FailureKind::AlreadyExists, "{text}");
            assert!(
                failure.message.contains(&format!("`{attribute}`")),
                "{}",
                failure.message
            );
        }
    }

    #[test]
    fn the_code_decides_and_its_words_are_kept() {
        for (code, text, kind) in [
            (
                19,
                "00000056: AtrErr: DSID-03190F80, #1: problem 1005",
                FailureKind::BadCredentials,
            ),
            (
                53,
                "0000052D: SvcErr: DSID-031A12D2, problem 5003",
                FailureKind::Policy,
            ),
            (
                80,
                "00000523: SysErr: DSID-031A1202, problem 22",
                FailureKind::Invalid,
            ),
            (
                19,
                "00002082: AtrErr: DSID-03151E3B, #1: problem 1005",
                FailureKind::Invalid,
            ),
        ] {
            let failure = failure(Verb::SetPassword, &answer(code, text)).unwrap();
            assert_eq!(failure.kind, kind, "{text}");
            let native = failure.native.as_ref().unwrap();
            assert_eq!(native.code(), code.to_string());
            assert!(failure.message.contains(text), "{}", failure.message);
        }
    }

    #[test]
    fn a_text_without_a_code_has_none() {
        for text in [
            "",
            "0000052D",
            "not eight digits: x",
            "0000052G: x",
            "äöüäöüäö: x",
        ] {
            assert_eq!(win32(text), None, "{text}");
        }
        assert_eq!(win32("0000052D: x"), Some(0x52d));
    }
}
