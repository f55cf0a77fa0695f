//! Changes of entries that there are.

use super::ber::Writer;
use super::compare::{Altered, Comparing, Way};
use super::connector::Directory;
use super::dn;
use super::failures::of_change;
use super::fault::{Error, code};
use super::filter::Filter;
use super::message::{Change, ChangeKind, Control, Entry, Operation};
use super::objects::base_of;
use super::session::{Knowledge, Session};
use super::settings::{ClassSettings, MemberSettings};
use crate::model::{
    CallError, Failure, Modification, Object, ObjectClass, ObjectRef, Operation as Kind, Update,
    Verb,
};

/// RFC 4528: the change is for an entry that meets a filter, and otherwise for none.
const ASSERTION: &str = "1.3.6.1.1.12";

/// How often a change is worked out anew because another one came between.
const MOST_OVERTAKEN: usize = 20;

/// The control by which a change is for the entry as it was read.
fn unchanged(version: &str, entry: &Entry) -> Option<Control> {
    let seen = entry.values(version).first()?;
    let mut filter = Writer::default();
    Filter::equal(version, seen).encode(&mut filter);
    Some(Control::new(ASSERTION, Some(filter.into_bytes().to_vec())).critical())
}

impl Directory {
    /// Changes an entry, all that is asked or nothing.
    pub(crate) async fn change(
        &self,
        session: &Session<'_>,
        update: &Update,
    ) -> Result<Object, CallError> {
        let class = self.class(update.object.class)?;
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        let asked = &update.modifications;
        let altered = self.altered(session, &known, class, asked).await?;
        let mut wanted: Vec<_> = altered.iter().map(|one| one.name.clone()).collect();
        wanted.push(class.naming.clone());
        wanted.push(self.dialect.id_attribute().to_owned());
        let controls = self.dialect.controls(Verb::Update, &known.root.controls);
        let version = self.dialect.version_attribute();
        let version = version.filter(|_| known.root.has_control(ASSERTION));
        wanted.extend(version.map(str::to_owned));
        let mut overtaken = 0;
        let log_ins = self.log_ins(class, &altered);
        let mut way = self.first_way(&altered);
        loop {
            let entry = self.found(session, &update.object, &wanted).await?;
            if !log_ins.is_empty() {
                let name = entry.text(&class.naming).unwrap_or_default();
                let dialect = &self.dialect;
                let checked = dialect.check_log_ins(session, Some(&entry), name, &log_ins);
                checked.await?;
            }
            let changes = self.changes(way, class, &altered, &entry);
            if changes.is_empty() {
                return self
                    .read_after(session, class, &entry.dn, Verb::Update)
                    .await;
            }
            let kinds: Vec<_> = changes.iter().map(|change| change.kind).collect();
            let modify = Operation::Modify {
                dn: entry.dn.clone(),
                changes,
            };
            let mut controls = controls.clone();
            // What was worked out from what is there holds only while that is there.
            let seen = version.filter(|_| way != Way::AsAsked);
            controls.extend(seen.and_then(|name| unchanged(name, &entry)));
            let error = match session.write(&modify, &controls).await {
                Ok(_) => {
                    return self
                        .read_after(session, class, &entry.dn, Verb::Update)
                        .await;
                }
                Err(error) => error,
            };
            if error.code() == Some(code::ASSERTION_FAILED) && overtaken < MOST_OVERTAKEN {
                overtaken += 1;
                continue;
            }
            match self.next_way(way, &kinds, &error) {
                Some(next) => way = next,
                None => return Err(of_change(&*self.dialect, Verb::Update, &error)),
            }
        }
    }

    /// The further names that an account would log in by.
    fn log_ins(&self, class: &ClassSettings, altered: &[Altered]) -> Vec<String> {
        let holds = self.dialect.log_in_attribute();
        let holds = holds.filter(|_| class.class == ObjectClass::Account);
        let of_it = |one: &&Altered| {
            holds.is_some_and(|attribute| one.name.eq_ignore_ascii_case(attribute))
        };
        let asked = altered.iter().filter(of_it).flat_map(|one| &one.asked);
        asked
            .filter(|(kind, _)| *kind != Kind::Remove)
            .flat_map(|(_, values)| values)
            .filter_map(|value| String::from_utf8(value.clone()).ok())
            .collect()
    }

    /// With a placeholder what is there has to be known in any case.
    fn first_way(&self, altered: &[Altered]) -> Way {
        let placeholder =
            |(_, settings): &(ClassSettings, MemberSettings)| settings.placeholder.is_some();
        let is_placed = self.settings.groups.as_ref().is_some_and(placeholder);
        let members = altered
            .iter()
            .any(|one| self.is_member_attribute(&one.name));
        let several = altered.iter().any(|one| one.asked.len() > 1);
        let removes = altered
            .iter()
            .any(|one| one.asked.iter().any(|(kind, _)| *kind == Kind::Remove));
        if members && (is_placed || removes) || several {
            Way::Difference
        } else {
            Way::AsAsked
        }
    }

    fn next_way(&self, way: Way, kinds: &[ChangeKind], error: &Error) -> Option<Way> {
        let Error::Refused(answer) = error else {
            return None;
        };
        if answer.code == code::INAPPROPRIATE_MATCHING {
            return (way != Way::Whole).then_some(Way::Whole);
        }
        let mut kinds = kinds.iter();
        let already = kinds.any(|kind| self.dialect.is_already_so(*kind, answer));
        match way {
            Way::AsAsked if already => Some(Way::Difference),
            Way::Difference if already => Some(Way::Folded),
            _ => None,
        }
    }

    async fn altered(
        &self,
        session: &Session<'_>,
        known: &Knowledge,
        class: &ClassSettings,
        modifications: &[Modification],
    ) -> Result<Vec<Altered>, CallError> {
        let mut altered: Vec<Altered> = Vec::new();
        for change in modifications {
            let name = change.name.as_str();
            self.check_writable(class, name)?;
            self.check_alias(known, class, name)?;
            if base_of(name).eq_ignore_ascii_case(&class.naming) {
                let message = format!("`{name}` is the object's name: rename it instead");
                return Err(Failure::unsupported(message).into());
            }
            let values = if self.is_member_attribute(name) {
                self.altered_members(session, change).await?
            } else {
                let values = change
                    .values
                    .iter()
                    .map(|value| self.to_directory(value, name));
                values.collect::<Result<_, _>>()?
            };
            let place = altered
                .iter()
                .position(|one| one.name.eq_ignore_ascii_case(name));
            let place = place.unwrap_or_else(|| {
                let known = known.schema.attribute(name);
                altered.push(Altered {
                    name: name.to_owned(),
                    equality: known.map(|known| known.equality).unwrap_or_default(),
                    asked: Vec::new(),
                });
                altered.len() - 1
            });
            if let Some(one) = altered.get_mut(place) {
                one.asked.push((change.operation, values));
            }
        }
        Ok(altered)
    }

    /// Members that leave need not be accounts any more: those go by the name that they are shown
    /// under.
    async fn altered_members(
        &self,
        session: &Session<'_>,
        change: &Modification,
    ) -> Result<Vec<Vec<u8>>, CallError> {
        if change.operation != Kind::Remove {
            return self.member_values(session, &change.values).await;
        }
        let names = change.values.iter().filter_map(|value| value.as_text());
        let mut names: Vec<_> = names.map(str::to_owned).collect();
        let by_name = |(_, settings): &(_, MemberSettings)| settings.by_name;
        if !self.settings.accounts.is_named_by_rdn()
            && !self.settings.groups.as_ref().is_none_or(by_name)
        {
            // The name of an entry does not tell which account it is.
            let found = self.entries_of_names(session, &names).await;
            let found = found.map_err(|error| self.read_error(&error))?;
            for name in &mut names {
                if let Some(entry) = found.get(&dn::prepared(name.as_bytes())) {
                    *name = entry.dn.clone();
                }
            }
        }
        Ok(names.into_iter().map(String::into_bytes).collect())
    }

    fn changes(
        &self,
        way: Way,
        class: &ClassSettings,
        altered: &[Altered],
        entry: &Entry,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        for one in altered {
            let members = self
                .settings
                .groups
                .as_ref()
                .filter(|_| {
                    class.class == ObjectClass::Group && self.is_member_attribute(&one.name)
                })
                .map(|(_, members)| members);
            let comparing = Comparing {
                way,
                members,
                equality: one.equality,
                accounts: &self.settings.accounts,
            };
            changes.extend(comparing.changes(one, entry));
        }
        changes
    }

    /// Lets an account log in, or not.
    pub(crate) async fn switch(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        enable: bool,
    ) -> Result<Object, CallError> {
        let class = self.class(object.class)?;
        let verb = if enable { Verb::Enable } else { Verb::Disable };
        let entry = self
            .found(session, object, &self.wanted(class, &[]))
            .await?;
        let changes = self.dialect.switch(&entry, enable)?;
        if !changes.is_empty() {
            self.modify(session, verb, &entry.dn, changes).await?;
        }
        self.read_after(session, class, &entry.dn, verb).await
    }

    pub(super) async fn modify(
        &self,
        session: &Session<'_>,
        verb: Verb,
        dn: &str,
        changes: Vec<Change>,
    ) -> Result<(), CallError> {
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        let controls = self.dialect.controls(verb, &known.root.controls);
        let modify = Operation::Modify {
            dn: dn.to_owned(),
            changes,
        };
        let changed = session.write(&modify, &controls).await;
        changed
            .map(drop)
            .map_err(|error| of_change(&*self.dialect, verb, &error))
    }

    /// Removes an entry, and takes it out of the groups that the directory leaves it in.
    pub(crate) async fn remove(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
    ) -> Result<Option<String>, CallError> {
        let class = self.class(object.class)?;
        let wanted = [class.naming.clone(), self.dialect.id_attribute().to_owned()];
        let entry = self.found(session, object, &wanted).await?;
        let delete = Operation::Delete {
            dn: entry.dn.clone(),
        };
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        let controls = self.dialect.controls(Verb::Delete, &known.root.controls);
        let deleted = session.write(&delete, &controls).await;
        deleted.map_err(|error| of_change(&*self.dialect, Verb::Delete, &error))?;
        if !self.may_be_member(class.class) {
            return Ok(None);
        }
        let member = self.as_member(class, &entry);
        Ok(self.leave_groups(session, &member).await)
    }
}
