//! A call in words and in fields, for people and for the audit log; never a secret of it.

use std::borrow::Cow;

use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::object_ref::By;
use portcullis_proto::gateway::v1::outcome::Result as OutcomeResult;
use portcullis_proto::gateway::v1::{Call, Failure, ObjectClass, ObjectRef, Outcome};

use crate::audit;
use crate::repository::AuditFields;

/// Letters of one name in words, at most: the fields have more.
const MAX_WORD: usize = 60;
/// What stands before the user whose password a call is given.
const PASSWORD_OF: &str = ", password of user ";

/// What a call is about.
#[derive(Debug)]
pub struct Described {
    /// The verb, in the spelling of the command line.
    pub verb: &'static str,
    /// The resource, the object and whose password it is given, in words. A name of unusual letters
    /// stands in quotation marks, so that none poses as more words.
    pub object: String,
    /// The same, field by field.
    pub fields: AuditFields,
}

impl Described {
    /// Of `call` on `resource`, with the password of this user where one is named.
    pub fn new(resource: &str, call: &Call, password_from_user: &str) -> Self {
        let (verb, object) = (call.verb_name(), about(call));
        let mut words = format!("resource {}{}", word(resource), object.words);
        if !password_from_user.is_empty() {
            words.push_str(&password_of(password_from_user));
        }
        Self {
            verb,
            object: words,
            fields: AuditFields {
                call_id: call.call_id.clone(),
                resource: resource.to_owned(),
                object_class: object.class,
                object_name: object.name,
                user: password_from_user.to_owned(),
                gateway: String::new(),
            },
        }
    }

    /// The verb and the object, for lists of queued calls.
    pub fn summary(call: &Call, password_from_user: &str) -> String {
        let (verb, object) = (call.verb_name(), about(call));
        format!("{verb}{}{}", object.words, password_of(password_from_user))
    }

    /// As [`Self::summary`], of a queued call whose summary is `stored`: where the call itself is
    /// at hand it says what is done, whatever was written beside it.
    pub(super) fn stored(stored: &str, call: &Call) -> String {
        if call.verb.is_none() {
            return stored.to_owned();
        }
        let own = Self::summary(call, "");
        let user = stored
            .strip_prefix(&own)
            .and_then(|rest| rest.strip_prefix(PASSWORD_OF));
        match user {
            Some(_) => stored.to_owned(),
            None => own,
        }
    }
}

/// An outcome as the audit log has it, and why.
pub fn audited(outcome: &Outcome) -> (audit::Outcome, Cow<'_, str>) {
    match &outcome.result {
        Some(OutcomeResult::Done(_)) => (audit::Outcome::Done, "".into()),
        Some(OutcomeResult::Failed(failure)) => (audit::Outcome::Failed, reason(failure)),
        Some(OutcomeResult::Indeterminate(it)) => {
            (audit::Outcome::Indeterminate, it.message.as_str().into())
        }
        None => (audit::Outcome::Indeterminate, "".into()),
    }
}

/// Why a call failed, with the target's own code where the message does not have it already.
fn reason(failure: &Failure) -> Cow<'_, str> {
    let code = failure.native.as_ref().map(|native| native.code.as_str());
    match code.filter(|code| !code.is_empty() && !failure.message.contains(code)) {
        Some(code) => format!("{} (the target answered {code})", failure.message).into(),
        None => failure.message.as_str().into(),
    }
}

/// The object of a call.
#[derive(Default)]
struct About {
    class: String,
    name: String,
    /// With a comma before.
    words: String,
}

impl About {
    fn named(class: String, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            words: format!(", {class} {}", word(name)),
            class,
        }
    }

    /// The objects of a class.
    fn all(class: String) -> Self {
        Self {
            words: format!(", {class}s"),
            class,
            ..Self::default()
        }
    }

    fn of(object: Option<&ObjectRef>) -> Self {
        let Some(object) = object else {
            return Self::default();
        };
        let class = class(object.object_class, &object.class_name);
        match &object.by {
            Some(By::Id(id)) => Self {
                words: format!(", {class} with id {}", word(id)),
                ..Self::named(class, id)
            },
            Some(By::Name(name)) => Self::named(class, name),
            None => Self::default(),
        }
    }
}

fn about(call: &Call) -> About {
    match &call.verb {
        None | Some(Verb::Test(_) | Verb::Schema(_) | Verb::RotatePassword(_)) => About::default(),
        Some(Verb::Create(verb)) => About::named(class(verb.object_class, ""), &verb.name),
        Some(Verb::Get(verb)) => About::of(verb.object.as_ref()),
        Some(Verb::Update(verb)) => About::of(verb.object.as_ref()),
        Some(Verb::Delete(verb)) => About::of(verb.object.as_ref()),
        Some(Verb::Enable(verb)) => About::of(verb.object.as_ref()),
        Some(Verb::Disable(verb)) => About::of(verb.object.as_ref()),
        Some(Verb::SetPassword(verb)) => About::of(verb.object.as_ref()),
        Some(Verb::Authenticate(verb)) => About::of(verb.object.as_ref()),
        Some(Verb::Rename(verb)) => {
            let mut object = About::of(verb.object.as_ref());
            object
                .words
                .push_str(&format!(" to {}", word(&verb.new_name)));
            object
        }
        Some(Verb::Search(verb)) => About::all(class(verb.object_class, &verb.class_name)),
        Some(Verb::Sync(verb)) => About::all(class(verb.object_class, &verb.class_name)),
        Some(Verb::Run(verb)) => About::named("action".to_owned(), &verb.action),
    }
}

/// Whose password an account is given, in words.
fn password_of(user: &str) -> String {
    match user {
        "" => String::new(),
        user => format!("{PASSWORD_OF}{}", word(user)),
    }
}

/// A name as it stands among words.
fn word(name: &str) -> String {
    let usual = |letter: char| letter.is_alphanumeric() || "._@+-$".contains(letter);
    let mut letters = name.chars();
    let mut short: String = letters.by_ref().take(MAX_WORD).collect();
    if letters.next().is_some() {
        short.push('…');
    }
    match !name.is_empty() && name.chars().all(usual) {
        true => short,
        false => format!("{short:?}"),
    }
}

/// The class in words; of a further one, the name that the caller has for it.
fn class(number: i32, name: &str) -> String {
    match ObjectClass::try_from(number) {
        Ok(ObjectClass::Account) => "account".to_owned(),
        Ok(ObjectClass::Group) => "group".to_owned(),
        Ok(ObjectClass::Other) => word(name),
        Ok(ObjectClass::Unspecified) | Err(_) => "object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use portcullis_proto::gateway::v1::{Create, Rename};

    use super::*;

    fn create(name: &str) -> Call {
        Call {
            call_id: "c1".to_owned(),
            verb: Some(Verb::Create(Create {
                object_class: ObjectClass::Account.into(),
                name: name.to_owned(),
                ..Create::default()
            })),
            ..Call::default()
        }
    }

    #[test]
    fn no_name_pushes_another_out_or_poses_as_more_words() {
        let long = "a".repeat(249);
        for (name, words) in [
            ("ada", "resource ldap, account ada"),
            (&*long, "resource ldap, account aaaa"),
            ("a, call 7", "resource ldap, account \"a, call 7\""),
            (
                "x, password of user root",
                "resource ldap, account \"x, password of user root\"",
            ),
            ("a\"\n", "resource ldap, account \"a\\\"\\n\""),
            ("", "resource ldap, account \"\""),
        ] {
            let described = Described::new("ldap", &create(name), "eve");
            assert!(described.object.starts_with(words), "{}", described.object);
            assert!(described.object.ends_with(", password of user eve"));
            assert!(described.object.chars().count() < 256);
            let fields = described.fields;
            assert_eq!((&*fields.call_id, &*fields.resource), ("c1", "ldap"));
            assert_eq!(
                (&*fields.object_class, &*fields.object_name),
                ("account", name)
            );
            assert_eq!(fields.user, "eve");
        }
    }

    #[test]
    fn a_rename_names_both() {
        let call = Call {
            verb: Some(Verb::Rename(Rename {
                object: Some(ObjectRef {
                    object_class: ObjectClass::Group.into(),
                    by: Some(By::Name("wheel".to_owned())),
                    ..ObjectRef::default()
                }),
                new_name: "root, account x".to_owned(),
            })),
            ..Call::default()
        };
        let summary = Described::summary(&call, "");
        assert_eq!(summary, "rename, group wheel to \"root, account x\"");
    }

    #[test]
    fn what_was_written_beside_a_call_does_not_say_what_it_does() {
        let call = create("ada");
        let own = Described::summary(&call, "");
        let with_user = Described::summary(&call, "eve");
        assert_eq!(Described::stored(&own, &call), own);
        assert_eq!(Described::stored(&with_user, &call), with_user);
        for other in ["enable, account bob", "", &format!("{own}, too")] {
            assert_eq!(Described::stored(other, &call), own);
        }
        // Where the call itself is not to be had there is nothing else.
        assert_eq!(Described::stored("enable", &Call::default()), "enable");
    }
}
