//! The connector of every kind of directory: what is the same for all of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::account;
use super::dialect::{Dialect, Place};
use super::dn;
use super::fault::Error;
use super::filter::Filter;
use super::message::Entry;
use super::objects::{Links, MEMBER_OF};
use super::parked::Parked;
use super::pool::{Identity, Pool};
use super::session::{Knowledge, Session};
use super::settings::{ClassSettings, Settings};
use crate::connector::renewed::Renewed;
use crate::connector::{Context, secret_file};
use crate::model::{
    AttributeName, AttributeRole, CallError, Failure, Object, ObjectClass, ObjectRef, Role,
    Selector,
};

/// How long what a directory says of itself is believed.
const KNOWN_FOR: Duration = Duration::from_secs(600);

/// The setting of a resource that holds the gateway's name at the directory.
pub(super) const BIND_DN: &str = "bind_dn";

/// The setting of a resource that holds the gateway's password there.
pub(super) const BIND_PASSWORD: &str = "bind_password";

/// A directory, with what its kind is like.
#[derive(Debug)]
pub(crate) struct Directory {
    name: String,
    /// What its kind is like.
    pub(crate) dialect: Box<dyn Dialect>,
    /// The configuration.
    pub(crate) settings: Settings,
    /// The connections.
    pub(crate) pool: Arc<Pool>,
    /// Searches between two of their pages.
    pub(crate) parked: Parked,
    /// The gateway's own passwords that were changed.
    pub(super) renewed: Renewed,
    pub(super) roles: Vec<AttributeRole>,
    knowledge: Mutex<Option<(Instant, Arc<Knowledge>)>>,
}

impl Directory {
    /// With this configuration.
    pub(crate) fn new(name: &str, dialect: Box<dyn Dialect>, settings: Settings) -> Self {
        let pool = Pool::new(settings.servers.clone());
        let roles = roles(&settings, &*dialect);
        Self {
            name: name.to_owned(),
            parked: Parked::new(settings.servers.connections),
            dialect,
            settings,
            pool,
            roles,
            renewed: Renewed::default(),
            knowledge: Mutex::default(),
        }
    }

    /// What the directory said of itself a short while ago.
    pub(crate) fn known(&self) -> Option<Arc<Knowledge>> {
        let known = self
            .knowledge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (when, known) = known.as_ref()?;
        (when.elapsed() < KNOWN_FOR).then(|| Arc::clone(known))
    }

    /// Remembers what the directory says of itself.
    pub(crate) fn learn(&self, fresh: Knowledge) -> Arc<Knowledge> {
        let fresh = Arc::new(fresh);
        let mut known = self
            .knowledge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = Some((Instant::now(), Arc::clone(&fresh)));
        fresh
    }

    pub(super) fn forget(&self) {
        let mut known = self
            .knowledge
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *known = None;
    }

    /// What one call does at the directory.
    pub(crate) fn session(&self, cx: &Context) -> Result<Session<'_>, CallError> {
        Ok(Session {
            directory: self,
            identity: Arc::new(self.bind_identity(cx)?),
            deadline: cx.deadline,
            nested: false,
        })
    }

    /// Who the gateway is, by the password that counts now.
    fn bind_identity(&self, cx: &Context) -> Result<Identity, CallError> {
        let given = self.given_identity(cx)?;
        Ok(Identity {
            password: self.renewed.current(&given.dn, &given.password),
            ..given
        })
    }

    /// Who the gateway is: as the resource has it, or else the configuration.
    pub(super) fn given_identity(&self, cx: &Context) -> Result<Identity, CallError> {
        let given = cx.settings.get(BIND_DN).cloned();
        if given
            .as_deref()
            .is_some_and(|given| !account::is_name(given))
        {
            let message = "the resource's setting `bind_dn` is no name that the gateway logs in by: give that of the entry, NAME@DOMAIN or DOMAIN\\NAME";
            return Err(Failure::invalid(message).into());
        }
        let Some(dn) = given.or_else(|| self.settings.bind.dn.clone()) else {
            return Err(self.no_identity("name", "bind_dn", "bind_dn"));
        };
        if let Some(password) = cx.secret_settings.get(BIND_PASSWORD) {
            return Ok(Identity {
                dn,
                password: password.clone(),
            });
        }
        let Some(file) = &self.settings.bind.password_file else {
            return Err(self.no_identity("password", "bind_password_file", BIND_PASSWORD));
        };
        let password = secret_file::read(file)
            .map_err(|error| Failure::unavailable(format!("`bind_password_file`: {error}")))?;
        Ok(Identity { dn, password })
    }

    fn no_identity(&self, what: &str, key: &str, setting: &str) -> CallError {
        Failure::unavailable(format!(
            "the gateway has no {what} at the directory: give `{key}` in [connectors.{}], or the resource's setting `{setting}`",
            self.name
        ))
        .into()
    }

    /// Where the objects of a class are.
    pub(crate) fn class(&self, class: ObjectClass) -> Result<&ClassSettings, CallError> {
        self.settings.class(class).ok_or_else(|| {
            Failure::unsupported(format!(
                "[connectors.{}] has no objects of the class {class}",
                self.name
            ))
            .into()
        })
    }

    /// The entry of an object; `None`: there is no such object.
    pub(crate) async fn find(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        attributes: &[String],
    ) -> Result<Option<Entry>, CallError> {
        let class = self.class(object.class)?;
        let place = match &object.by {
            Selector::Id(id) => match self.dialect.place_of_id(id.as_str()) {
                Some(place) => place,
                None => return Ok(None),
            },
            Selector::Name(name) => Place::Where(Filter::equal(&class.naming, name.as_str())),
        };
        let found = match place {
            Place::At(dn) => {
                let found = session.entry(&dn, attributes).await;
                found.map(|found| found.into_iter().collect())
            }
            Place::Where(filter) => {
                let filter = Filter::And(vec![class.filter.clone(), filter]);
                session.entries(&class.base, filter, attributes, 2).await
            }
        };
        let mut found: Vec<Entry> = found.map_err(|error| self.read_error(&error))?;
        if found.len() > 1 {
            return Err(Failure::rejected(format!(
                "there are several entries of {object} below {}: `{}` and `{}`; the directory has to tell them apart",
                class.base,
                found.first().map_or_else(String::new, |entry| super::words(&entry.dn)),
                found.last().map_or_else(String::new, |entry| super::words(&entry.dn)),
            ))
            .into());
        }
        let Some(mut entry) = found.pop() else {
            return Ok(None);
        };
        if !dn::is_within(&entry.dn, &class.base) {
            return Ok(None);
        }
        let completed = self.dialect.complete(session, &mut entry).await;
        completed.map_err(|error| self.read_error(&error))?;
        Ok(Some(entry))
    }

    /// The entry of an object.
    ///
    /// # Errors
    /// A [`Failure`] where there is none.
    pub(crate) async fn found(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        attributes: &[String],
    ) -> Result<Entry, CallError> {
        let found = self.find(session, object, attributes).await?;
        found.ok_or_else(|| {
            let base = self.class(object.class).map_or("", |class| &class.base);
            Failure::not_found(format!("there is no {} below {base}", object.sought())).into()
        })
    }

    /// An object as it now is.
    pub(crate) async fn read(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        wanted: &[AttributeName],
    ) -> Result<Object, CallError> {
        let class = self.class(object.class)?;
        let entry = self
            .found(session, object, &self.wanted(class, wanted))
            .await?;
        self.read_links(session, class, &entry, wanted).await
    }

    /// An entry as an object, with the names of its members and groups.
    pub(crate) async fn read_links(
        &self,
        session: &Session<'_>,
        class: &ClassSettings,
        entry: &Entry,
        wanted: &[AttributeName],
    ) -> Result<Object, CallError> {
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        let wants = |name: &str| {
            wanted.is_empty()
                || wanted
                    .iter()
                    .any(|one| one.as_str().eq_ignore_ascii_case(name))
        };
        let mut links = Links::default();
        if let Some((_, settings)) = &self.settings.groups {
            let read = async {
                if class.class == ObjectClass::Group && wants(&settings.attribute) {
                    links.members = Some(self.member_names(session, entry).await?);
                }
                if wants(MEMBER_OF) && class.class == ObjectClass::Account {
                    let member = self.as_member(class, entry);
                    links.groups = Some(self.groups_of(session, &member).await?);
                }
                Ok::<_, Error>(())
            };
            read.await.map_err(|error| self.read_error(&error))?;
        }
        self.object(class, entry, &known, wanted, links)
    }

    /// What a read that failed means: nothing has changed in any case.
    pub(crate) fn read_error(&self, error: &Error) -> CallError {
        super::failures::of_read(&*self.dialect, error).into()
    }
}

/// The roles of the attributes that every directory has, and of those of its kind.
fn roles(settings: &Settings, dialect: &dyn Dialect) -> Vec<AttributeRole> {
    let role = |class, attribute: &str, role| AttributeRole {
        class,
        attribute: attribute.to_owned().into(),
        role,
    };
    let account = ObjectClass::Account;
    let mut roles = vec![
        role(account, super::objects::DN, Role::Computed),
        role(account, "uidNumber", Role::NumericId),
        role(account, "gidNumber", Role::GroupNumber),
    ];
    if let Some((_, members)) = &settings.groups {
        let group = ObjectClass::Group;
        roles.push(role(account, MEMBER_OF, Role::NamesGroups));
        roles.push(role(account, MEMBER_OF, Role::Computed));
        roles.push(role(group, super::objects::DN, Role::Computed));
        roles.push(role(group, &members.attribute, Role::NamesAccounts));
        roles.push(role(group, "gidNumber", Role::NumericId));
    }
    for hidden in dialect.hidden() {
        roles.push(role(account, hidden, Role::Secret));
    }
    roles.extend(dialect.roles());
    roles
}
