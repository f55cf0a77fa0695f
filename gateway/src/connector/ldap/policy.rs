//! The password policy of a directory (draft-behera-ldap-password-policy-10): its reasons come in a
//! control, and its refusals under a code that other rules have too.

use bytes::Bytes;

use crate::connector::directory::ber::{self, Reader};
use crate::connector::directory::dialect::Verdict;
use crate::connector::directory::failures;
use crate::connector::directory::fault::code;
use crate::connector::directory::message::Answer;
use crate::model::{Failure, FailureKind, Verb};

/// The control of the draft, section 6.
pub(super) const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// What the control says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Policy {
    /// What is wrong (section 6.2).
    pub(super) error: Option<i64>,
    /// Whether the password is about to expire, or has and may be used a few times more.
    pub(super) warns: bool,
}

/// What the control of an answer says; `None`: there is none that can be read.
pub(super) fn policy(answer: &Answer) -> Option<Policy> {
    let value = answer.control(PASSWORD_POLICY)?;
    let mut policy = Policy::default();
    if value.is_empty() {
        return Some(policy);
    }
    let mut inner = Reader::new(Bytes::copy_from_slice(value));
    let mut inner = inner.within(ber::SEQUENCE).ok()?;
    while let Some(element) = inner.next().ok()? {
        match element.tag {
            0xa0 => policy.warns = true,
            0x81 => policy.error = Some(ber::number(&element.content).ok()?),
            _ => {}
        }
    }
    Some(policy)
}

/// What the answer to a bind with somebody's password says.
pub(super) fn verdict(answer: &Answer) -> Verdict {
    let error = policy(answer).and_then(|policy| policy.error);
    match (answer.code, error) {
        (code::SUCCESS, Some(2)) => Verdict::MustChange,
        (code::SUCCESS, Some(0)) => Verdict::Expired,
        (code::SUCCESS, _) => Verdict::Right,
        (_, Some(0)) => Verdict::Expired,
        (_, Some(1)) => Verdict::Locked,
        (_, Some(2)) => Verdict::MustChange,
        (code::INVALID_CREDENTIALS, _) => Verdict::Wrong,
        // 389 Directory Server and Oracle's say so of accounts that are locked or switched off.
        (code::CONSTRAINT_VIOLATION, _) => Verdict::Locked,
        (code::UNWILLING_TO_PERFORM, _) => Verdict::Disabled,
        (code::INAPPROPRIATE_AUTHENTICATION | code::NO_SUCH_OBJECT, _) => Verdict::Wrong,
        _ => Verdict::Unavailable,
    }
}

/// What a refusal means that the standard's codes do not tell: both a taken value and a password
/// that breaks a rule are a constraint violation.
pub(super) fn failure(verb: Verb, answer: &Answer) -> Option<Failure> {
    if let Some(error) = policy(answer).and_then(|policy| policy.error)
        && answer.code != code::SUCCESS
    {
        let meaning = match error {
            0 => "the password has expired",
            1 => "the account is locked",
            2 => "the password has to be changed first",
            3 => "the directory's policy forbids to change this password",
            4 => "the directory's policy asks for the old password",
            5 => "the password is not good enough for the directory's policy",
            6 => "the password is too short for the directory's policy",
            7 => "the password was changed too short a while ago for the directory's policy",
            8 => {
                "the password is the present one or was used before, which the directory's policy forbids"
            }
            9 => "the password is too long for the directory's policy",
            _ => "the directory's password policy forbids it",
        };
        let kind = match error {
            0 | 2 => FailureKind::PasswordExpired,
            1 => FailureKind::AccountLocked,
            _ => FailureKind::Policy,
        };
        return Some(failures::failure(kind, answer, meaning));
    }
    let is_unique = answer.code == code::CONSTRAINT_VIOLATION
        && ["non-unique", "already exists", "same attribute value"]
            .iter()
            .any(|words| answer.text.contains(words));
    if is_unique {
        let meaning = "another entry has this value, which the directory wants to be unique";
        return Some(failures::failure(
            FailureKind::AlreadyExists,
            answer,
            meaning,
        ));
    }
    let lacks_request = verb == Verb::SetPassword && answer.code == code::PROTOCOL_ERROR;
    lacks_request.then(|| {
        let meaning = "the directory has no Password Modify request (RFC 3062): set `password = \"replace\"` if it hashes what comes";
        failures::failure(FailureKind::Unsupported, answer, meaning)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::directory::message::Control;

    fn answer(code: u32, value: Option<&[u8]>, text: &str) -> Answer {
        let control = value.map(|value| Control::new(PASSWORD_POLICY, Some(value.to_vec())));
        Answer {
            code,
            text: text.to_owned(),
            controls: control.into_iter().collect(),
            ..Answer::default()
        }
    }

    #[test]
    fn a_constraint_violation_is_not_always_the_same() {
        let short = answer(
            19,
            Some(&[0x30, 3, 0x81, 1, 6]),
            "Password fails quality checking policy",
        );
        let failure_of = |answer| failure(Verb::SetPassword, answer);
        let found = failure_of(&short).unwrap();
        assert_eq!(found.kind, FailureKind::Policy);
        assert!(found.message.contains("too short"), "{}", found.message);
        let taken = answer(19, None, "non-unique attributes found with (|(uid=ada))");
        assert_eq!(failure_of(&taken).unwrap().kind, FailureKind::AlreadyExists);
        assert_eq!(failure_of(&answer(19, None, "value too long")), None);
    }

    #[test]
    fn a_bind_has_seven_answers() {
        for (code, value, expected) in [
            (0, None, Verdict::Right),
            (0, Some(&[0x30, 0][..]), Verdict::Right),
            (0, Some(&[0x30, 3, 0x81, 1, 2]), Verdict::MustChange),
            (49, None, Verdict::Wrong),
            (49, Some(&[0x30, 0]), Verdict::Wrong),
            (49, Some(&[0x30, 3, 0x81, 1, 1]), Verdict::Locked),
            (49, Some(&[0x30, 3, 0x81, 1, 0]), Verdict::Expired),
            (53, None, Verdict::Disabled),
            (51, None, Verdict::Unavailable),
            (49, Some(&[0x30, 9, 0x81]), Verdict::Wrong),
        ] {
            assert_eq!(
                verdict(&answer(code, value, "")),
                expected,
                "{code} {value:?}"
            );
        }
    }
}
