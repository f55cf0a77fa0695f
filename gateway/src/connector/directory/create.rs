//! New entries.

use bytes::Bytes;

use super::ber::{self, Reader, Writer};
use super::connector::Directory;
use super::failures::{of_change, with_matched};
use super::fault::{Error, code};
use super::message::{Answer, Change, Control, Entry, Operation, decode_entry, wipe};
use super::objects::base_of;
use super::session::{Knowledge, Session};
use super::settings::ClassSettings;
use crate::connector::Context;
use crate::model::{
    CallError, Create, Failure, FailureKind, Object, ObjectClass, ObjectRef, Password, Selector,
    Value, Verb,
};

/// RFC 4527: what the entry is after the change.
const POST_READ: &str = "1.3.6.1.1.13.2";

/// Attributes that hold members of groups, of whatever kind.
const MEMBERS: [&str; 5] = [
    "member",
    "uniqueMember",
    "memberUid",
    "roleOccupant",
    "memberURL",
];

/// The attributes of an entry, each once, in whatever case it is named. One may be a password, so
/// that they are never shown.
#[derive(Default)]
pub(crate) struct Attributes(Vec<(String, Vec<Vec<u8>>)>);

/// A value may be a password.
impl Drop for Attributes {
    fn drop(&mut self) {
        self.0.iter_mut().for_each(|(_, values)| wipe(values));
    }
}

impl Attributes {
    /// Those that have values.
    fn take(mut self) -> Vec<(String, Vec<Vec<u8>>)> {
        let mut all = std::mem::take(&mut self.0);
        all.retain(|(_, values)| !values.is_empty());
        all
    }

    /// Adds values that are not there yet.
    pub(crate) fn add(&mut self, name: &str, values: Vec<Vec<u8>>) {
        let mut own = self.0.iter_mut();
        match own.find(|(own, _)| own.eq_ignore_ascii_case(name)) {
            Some((_, present)) => {
                for value in values {
                    if !present.contains(&value) {
                        present.push(value);
                    }
                }
            }
            None => self.0.push((name.to_owned(), values)),
        }
    }

    /// The values of an attribute that are text.
    fn texts(&self, name: &str) -> Vec<String> {
        let own = self.0.iter();
        let own = own.filter(|(own, _)| own.eq_ignore_ascii_case(name));
        own.flat_map(|(_, values)| values)
            .filter_map(|value| String::from_utf8(value.clone()).ok())
            .collect()
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own.eq_ignore_ascii_case(name))
    }
}

/// What a new entry needs after it was made.
struct Further<'a> {
    password: Option<&'a Password>,
    changes: Vec<Change>,
}

impl Further<'_> {
    const fn is_nothing(&self) -> bool {
        self.password.is_none() && self.changes.is_empty()
    }
}

impl Directory {
    /// Makes an entry, all of it or nothing. `absent`: it was looked for just now, and is not
    /// there.
    pub(crate) async fn make(
        &self,
        session: &Session<'_>,
        cx: &Context,
        create: Create,
        absent: bool,
    ) -> Result<Object, CallError> {
        let class = self.class(create.class)?;
        let name = create.name.as_str();
        let object = ObjectRef {
            class: create.class,
            by: Selector::Name(create.name.clone()),
        };
        let id = [self.dialect.id_attribute().to_owned()];
        let found = match absent {
            true => None,
            false => self.find(session, &object, &id).await?,
        };
        if let Some(found) = found {
            let message = format!("there is {object} already: `{}`", super::words(&found.dn));
            return Err(Failure::new(FailureKind::AlreadyExists, message).into());
        }
        let mut attributes = self.attributes_of(session, class, &create).await?;
        if create.class == ObjectClass::Account {
            let log_ins = self.dialect.log_in_attribute();
            let log_ins = log_ins.map_or_else(Vec::new, |name| attributes.texts(name));
            let checked = self.dialect.check_log_ins(session, None, name, &log_ins);
            checked.await?;
        }
        let password = create.password.as_ref();
        let mut finishing = self
            .dialect
            .finish(create.class, name, password, create.enabled)?;
        for (name, values) in std::mem::take(&mut finishing.attributes) {
            attributes.add(&name, values);
        }
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        if let Some(marker) = self.marker_of(&known, class) {
            attributes.add(marker, vec![cx.call.as_str().as_bytes().to_vec()]);
        }
        let further = Further {
            password: password.filter(|_| finishing.password_later),
            changes: std::mem::take(&mut finishing.changes_later),
        };
        // What the entry is comes with the answer, where it stays so.
        let shown = match further.is_nothing() {
            true => self.wanted(class, &[]),
            false => id.to_vec(),
        };
        let mut controls = self.dialect.controls(Verb::Create, &known.root.controls);
        if known.root.has_control(POST_READ) {
            controls.push(post_read(&shown));
        }
        let dn = class.dn_of(name);
        let add = Operation::Add {
            dn: dn.clone(),
            attributes: attributes.take(),
        };
        let added = session.write(&add, &controls).await;
        drop(add);
        let added = added.map_err(|error| self.not_made(&error))?;
        let made = match entry_after(&added) {
            Some(made) if further.is_nothing() && self.identity(class, &made).is_ok() => {
                return self.shown_after(session, class, made, Verb::Create).await;
            }
            Some(made) => made,
            None => Entry {
                dn,
                attributes: Vec::new(),
            },
        };
        self.finish(session, &known, &made, further).await?;
        self.read_after(session, class, &made.dn, Verb::Create)
            .await
    }

    /// The attribute of new entries of a class that holds the call's id; `None`: there is none, or
    /// entries of that class may not have it.
    pub(crate) fn marker_of(&self, known: &Knowledge, class: &ClassSettings) -> Option<&str> {
        let marker = self.settings.marker.as_deref()?;
        let classes = &class.object_classes;
        let takes_any = |name: &String| name.eq_ignore_ascii_case("extensibleObject");
        if !self.dialect.schema_is_whole() || classes.iter().any(takes_any) {
            return Some(marker);
        }
        let allowed = known.schema.attributes_of(classes);
        let name = known
            .schema
            .attribute(marker)
            .map_or(marker, |it| it.name.as_str());
        // A schema that the gateway may not read names nothing.
        let has = |own: &String| own.eq_ignore_ascii_case(name);
        (allowed.is_empty() || allowed.keys().any(has)).then_some(marker)
    }

    /// Takes the steps that a new entry needs after it was made.
    async fn finish(
        &self,
        session: &Session<'_>,
        known: &Knowledge,
        made: &Entry,
        further: Further<'_>,
    ) -> Result<(), CallError> {
        if let Some(password) = further.password {
            let set = self.dialect.set_password(session, made, password).await;
            self.or_take_back(session, &made.dn, set).await?;
        }
        if further.changes.is_empty() {
            return Ok(());
        }
        let modify = Operation::Modify {
            dn: made.dn.clone(),
            changes: further.changes,
        };
        let controls = self.dialect.controls(Verb::Enable, &known.root.controls);
        let changed = session.write(&modify, &controls).await.map(drop);
        self.or_take_back(session, &made.dn, changed).await
    }

    /// What is not made means.
    fn not_made(&self, error: &Error) -> CallError {
        match (of_change(&*self.dialect, Verb::Create, error), error) {
            (CallError::Failed(failure), Error::Refused(answer)) => {
                with_matched(failure, answer).into()
            }
            (other, _) => other,
        }
    }

    /// Takes a new entry back where a further step of its making was refused.
    async fn or_take_back(
        &self,
        session: &Session<'_>,
        dn: &str,
        step: Result<(), Error>,
    ) -> Result<(), CallError> {
        let Err(error) = step else {
            return Ok(());
        };
        let why = match of_change(&*self.dialect, Verb::SetPassword, &error) {
            CallError::Failed(failure) => failure,
            unknown => return Err(unknown),
        };
        let delete = Operation::Delete { dn: dn.to_owned() };
        match session.write(&delete, &[]).await {
            Ok(_) => Err(why.into()),
            Err(error) if error.code() == Some(code::NO_SUCH_OBJECT) => Err(why.into()),
            Err(_) => Err(CallError::Indeterminate(format!(
                "the entry `{}` was made, a further step was refused ({}), and it could not be taken back",
                super::words(dn),
                why.message
            ))),
        }
    }

    async fn attributes_of(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        create: &Create,
    ) -> Result<Attributes, CallError> {
        let name = create.name.as_str();
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        let mut attributes = Attributes::default();
        let classes = class.object_classes.iter();
        attributes.add(
            "objectClass",
            classes.map(|name| name.clone().into_bytes()).collect(),
        );
        attributes.add(&class.naming, vec![name.as_bytes().to_vec()]);
        for given in &create.attributes {
            let attribute = given.name.as_str();
            self.check_writable(class, attribute)?;
            self.check_alias(&known, class, attribute)?;
            let is_name = base_of(attribute).eq_ignore_ascii_case(&class.naming);
            let others = || {
                let mut values = given.values.iter();
                values.any(|value| value.as_text() != Some(name))
            };
            if is_name && (attribute.len() != class.naming.len() || others()) {
                // A second name would be one that no guard rail has seen.
                let message = format!("`{attribute}` is the object's name: it can have no other");
                return Err(Failure::invalid(message).into());
            }
            if self.is_member_attribute(attribute) {
                let values = self.member_values(session, &given.values).await?;
                attributes.add(attribute, values);
                continue;
            }
            let values = given
                .values
                .iter()
                .map(|value| self.to_directory(value, attribute));
            attributes.add(attribute, values.collect::<Result<_, _>>()?);
        }
        for (attribute, template) in &class.defaults {
            if !attributes.has(attribute) {
                let value = template.replace("{name}", name);
                attributes.add(attribute, vec![value.into_bytes()]);
            }
        }
        if let (ObjectClass::Group, Some((_, settings))) = (class.class, &self.settings.groups)
            && let Some(placeholder) = &settings.placeholder
        {
            let filled = attributes.0.iter().any(|(name, values)| {
                name.eq_ignore_ascii_case(&settings.attribute) && !values.is_empty()
            });
            if !filled {
                attributes
                    .0
                    .retain(|(name, _)| !name.eq_ignore_ascii_case(&settings.attribute));
                attributes.add(&settings.attribute, vec![placeholder.clone().into_bytes()]);
            }
        }
        Ok(attributes)
    }

    /// The members that a call names, as the directory keeps them.
    pub(crate) async fn member_values(
        &self,
        session: &Session<'_>,
        values: &[Value],
    ) -> Result<Vec<Vec<u8>>, CallError> {
        let Some((_, settings)) = &self.settings.groups else {
            return Ok(Vec::new());
        };
        let names = values.iter().map(|value| match value {
            Value::Text(name) => Ok(name.clone()),
            _ => Err(Failure::invalid(format!(
                "`{}` takes names of accounts",
                settings.attribute
            ))),
        });
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let members = self.members_of_names(session, settings, &names).await?;
        Ok(members.into_iter().map(String::into_bytes).collect())
    }

    /// Refuses an attribute that no call may write: one that another verb is for, that is worked
    /// out, or that is named such that the guard rails cannot tell which it is.
    pub(crate) fn check_writable(
        &self,
        class: &ClassSettings,
        attribute: &str,
    ) -> Result<(), Failure> {
        use super::objects::DN;
        self.dialect.check_writable(attribute)?;
        let base = base_of(attribute);
        let computed = attribute.eq_ignore_ascii_case(DN)
            || base.eq_ignore_ascii_case(super::objects::MEMBER_OF)
            || base.eq_ignore_ascii_case(self.dialect.id_attribute());
        if computed {
            return Err(Failure::unsupported(format!(
                "`{attribute}` is worked out by the directory: a rename changes an entry's name, and who is in a group is changed at the group"
            )));
        }
        // `OID.2.5.4.31` is one, too.
        if base.contains('.') || !base.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(Failure::unsupported(format!(
                "`{attribute}`: give an attribute by its name, not by its number"
            )));
        }
        if self.is_hidden(attribute) {
            return Err(Failure::unsupported(format!(
                "`{attribute}` holds a password: that is set by `set-password`, or given to `create` as the password"
            )));
        }
        let is_member = self.is_member_attribute(attribute);
        let of_other = MEMBERS.iter().any(|name| name.eq_ignore_ascii_case(base))
            && !(is_member && class.class == ObjectClass::Group);
        let has_role = is_member
            || ["uidNumber", "gidNumber"]
                .iter()
                .any(|name| name.eq_ignore_ascii_case(base));
        if of_other || has_role && base.len() != attribute.len() {
            return Err(Failure::unsupported(format!(
                "`{attribute}` is not what holds members or numbers here: the guard rails could not judge it"
            )));
        }
        Ok(())
    }

    /// Refuses a second name of an attribute that something here depends on: `userid` is `uid`.
    pub(crate) fn check_alias(
        &self,
        known: &Knowledge,
        class: &ClassSettings,
        attribute: &str,
    ) -> Result<(), Failure> {
        let groups = self.settings.groups.as_ref();
        let members = groups.map(|(_, members)| members.attribute.as_str());
        let fixed = [
            class.naming.as_str(),
            self.dialect.id_attribute(),
            super::objects::MEMBER_OF,
            "uidNumber",
            "gidNumber",
        ];
        let hidden = self.dialect.hidden().iter().copied();
        let of_groups = MEMBERS.into_iter().chain(members);
        let base = base_of(attribute);
        let mut meant = fixed.into_iter().chain(of_groups).chain(hidden);
        match meant.find(|name| known.schema.is_alias(base, name)) {
            Some(name) => Err(Failure::unsupported(format!(
                "`{attribute}` is another name of `{name}`: give that, by which the guard rails know it"
            ))),
            None => Ok(()),
        }
    }

    /// An entry as it is after a change that the directory confirmed.
    pub(crate) async fn read_after(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        dn: &str,
        verb: Verb,
    ) -> Result<Object, CallError> {
        let read = async {
            let entry = session.entry(dn, &self.wanted(class, &[])).await;
            let entry = entry.map_err(|error| self.read_error(&error))?;
            let entry = entry.ok_or_else(|| {
                CallError::from(Failure::not_found("the entry is not there to be read"))
            })?;
            self.object_of(session, class, entry).await
        };
        read.await
            .map_err(|error| unreadable_after(dn, verb, error))
    }

    /// As [`read_after`](Self::read_after), of an entry that the directory showed with its answer.
    async fn shown_after(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        entry: Entry,
        verb: Verb,
    ) -> Result<Object, CallError> {
        let dn = entry.dn.clone();
        let read = self.object_of(session, class, entry).await;
        read.map_err(|error| unreadable_after(&dn, verb, error))
    }

    async fn object_of(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        mut entry: Entry,
    ) -> Result<Object, CallError> {
        let completed = self.dialect.complete(session, &mut entry).await;
        completed.map_err(|error| self.read_error(&error))?;
        self.read_links(session, class, &entry, &[]).await
    }
}

fn unreadable_after(dn: &str, verb: Verb, error: CallError) -> CallError {
    let why = match error {
        CallError::Failed(failure) => failure.message,
        CallError::Indeterminate(message) => message,
    };
    CallError::Indeterminate(format!(
        "the directory confirmed the {verb} of `{}`, but the entry could not be read afterwards: {why}",
        super::words(dn)
    ))
}

fn post_read(attributes: &[String]) -> Control {
    let mut value = Writer::default();
    value.constructed(ber::SEQUENCE, |list| {
        for attribute in attributes {
            list.octets(attribute);
        }
    });
    Control::new(POST_READ, Some(value.into_bytes().to_vec()))
}

/// The entry that the directory shows beside its answer.
fn entry_after(answer: &Answer) -> Option<Entry> {
    let value = answer.control(POST_READ)?;
    let mut reader = Reader::new(Bytes::copy_from_slice(value));
    let entry = reader.expect(0x64).or_else(|_| {
        let mut again = Reader::new(Bytes::copy_from_slice(value));
        again.expect(ber::SEQUENCE)
    });
    decode_entry(Reader::new(entry.ok()?)).ok()
}
