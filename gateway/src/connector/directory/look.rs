//! What became of a change of which no answer came: what only a directory can tell of it, beside
//! what every object tells.

use super::connector::Directory;
use super::dialect::Verdict;
use super::members::Member;
use super::session::Session;
use crate::connector::{Context, look};
use crate::model::{
    CallError, Create, Done, Evidence, Failure, Look, ObjectClass, ObjectId, ObjectRef, Password,
    Request, Selector,
};

/// The server that was asked before the change.
const SERVER: &str = "server";

/// The object's id, as every connector notes it.
const ID: &str = "id";

/// The name of its entry.
const ENTRY: &str = "entry";

impl Directory {
    /// What is seen before a change.
    pub(crate) async fn note(&self, cx: &Context, change: &Request) -> Result<Evidence, CallError> {
        let mut evidence = look::evidence(self, cx, change).await?;
        let session = self.session(cx)?;
        let mut lease = session
            .lease(false)
            .await
            .map_err(|error| self.read_error(&error))?;
        let link = lease.link().map_err(|error| self.read_error(&error))?;
        evidence.note(SERVER, link.shown());
        drop(lease);
        if let Request::Rename(object, _) | Request::Delete(object) = change
            && (self.may_be_member(object.class) || self.dialect.renames_in_steps())
        {
            let id = [self.dialect.id_attribute().to_owned()];
            if let Some(entry) = self.find(&session, object, &id).await? {
                evidence.note(ENTRY, entry.dn);
            }
        }
        // Where the entry will name the call, its time is of no use.
        if let Request::Create(create) = change
            && !self.marks(&session, create.class).await?
        {
            let noted = self.dialect.note_history(&session, &mut evidence).await;
            noted.map_err(|error| self.read_error(&error))?;
        }
        Ok(evidence)
    }

    /// Whether new entries of a class name the call that makes them.
    async fn marks(&self, session: &Session<'_>, class: ObjectClass) -> Result<bool, CallError> {
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        Ok(self.marker_of(&known, self.class(class)?).is_some())
    }

    /// What became of a change.
    pub(crate) async fn look_at(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        if let Request::RotatePassword(rotation) = change {
            return self.look_at_renewal(cx, rotation).await;
        }
        let session = self.session(cx)?;
        let seen = match change {
            Request::Create(create) => {
                self.look_at_new(&session, cx, change, create, before)
                    .await?
            }
            Request::SetPassword(object, password) => {
                self.look_at_password(&session, object, password, before)
                    .await?
            }
            Request::Rename(object, _) if self.dialect.renames_in_steps() => {
                let seen = look::look(self, cx, change, before).await?;
                match self.is_half_renamed(&session, object, before).await? {
                    Some(dn) if seen == Look::NotBegun => Look::Unclear(vec![format!(
                        "its entry has a new name, `{}`, and the account has its old one: rename it again",
                        super::words(&dn)
                    )]),
                    _ => seen,
                }
            }
            _ => look::look(self, cx, change, before).await?,
        };
        let seen = self.with_groups(&session, change, before, seen).await?;
        let gone = matches!((change, &seen), (Request::Delete(_), Look::Done(_)));
        if seen != Look::NotBegun && !gone {
            return Ok(seen);
        }
        if let (true, Some(id)) = (gone, before.fact(ID)) {
            let deleted = self.dialect.is_deleted(&session, id).await;
            if deleted.map_err(|error| self.read_error(&error))? == Some(true) {
                return Ok(seen);
            }
        }
        // Another server may not have heard of it yet: it can tell what is there, and not what is
        // not.
        let mut lease = session
            .lease(false)
            .await
            .map_err(|error| self.read_error(&error))?;
        let link = lease.link().map_err(|error| self.read_error(&error))?;
        Ok(match before.fact(SERVER) {
            Some(server) if server != link.shown() => Look::Unclear(vec![format!(
                "the change went to {server}, which does not answer; {} knows nothing of it, but may not have heard of it yet",
                link.shown()
            )]),
            _ => seen,
        })
    }

    /// What was removed or renamed, and is a member of groups under the name that it had.
    async fn with_groups(
        &self,
        session: &Session<'_>,
        change: &Request,
        before: &Evidence,
        seen: Look,
    ) -> Result<Look, CallError> {
        let (Request::Rename(object, _) | Request::Delete(object)) = change else {
            return Ok(seen);
        };
        let former = before.fact(ENTRY).zip(before.fact(look::NAME));
        let (Look::Done(_), Some((dn, name))) = (&seen, former) else {
            return Ok(seen);
        };
        let old = Member {
            dn: dn.to_owned(),
            name: name.to_owned(),
        };
        if let (Request::Rename(..), Some(Ok(id))) = (change, before.fact(ID).map(ObjectId::new)) {
            let by_id = ObjectRef {
                class: object.class,
                by: Selector::Id(id),
            };
            let class = self.class(object.class)?;
            let entry = self.find(session, &by_id, &self.wanted(class, &[])).await?;
            if entry.is_some_and(|entry| self.are_alike(&old, &self.as_member(class, &entry))) {
                return Ok(seen);
            }
        }
        Ok(match (self.still_in_groups(session, &old).await?, change) {
            (None, _) => seen,
            (Some(groups), Request::Delete(_)) => {
                let left = format!("still a member of {groups}");
                Look::Done(Box::new(Done::Report(left)))
            }
            (Some(groups), _) => Look::Unclear(vec![format!(
                "it has its new name, and its old name is still that of a member of {groups}"
            )]),
        })
    }

    /// What an entry is called now, where that is not what it was called before.
    async fn is_half_renamed(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        before: &Evidence,
    ) -> Result<Option<String>, CallError> {
        let (Some(Ok(id)), Some(former)) = (before.fact(ID).map(ObjectId::new), before.fact(ENTRY))
        else {
            return Ok(None);
        };
        let class = self.class(object.class)?;
        let object = ObjectRef {
            class: object.class,
            by: Selector::Id(id),
        };
        let found = self
            .find(session, &object, &self.wanted(class, &[]))
            .await?;
        Ok(found.map(|entry| entry.dn).filter(|dn| dn != former))
    }

    async fn look_at_new(
        &self,
        session: &Session<'_>,
        cx: &Context,
        change: &Request,
        create: &Create,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        let class = self.class(create.class)?;
        let object = ObjectRef {
            class: create.class,
            by: Selector::Name(create.name.clone()),
        };
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        let marker = self.marker_of(&known, class);
        let mut wanted = self.wanted(class, &[]);
        wanted.extend(self.dialect.history_attributes());
        wanted.extend(marker.map(str::to_owned));
        let Some(entry) = self.find(session, &object, &wanted).await? else {
            return Ok(Look::NotBegun);
        };
        if let Some(marker) = marker {
            let mut marks = entry.values(marker).iter();
            if !marks.any(|mark| mark.as_ref() == cx.call.as_str().as_bytes()) {
                return Ok(Look::NotBegun);
            }
        } else {
            let after = self.dialect.was_made_after(session, &entry, before).await;
            if after.map_err(|error| self.read_error(&error))? == Some(false) {
                return Ok(Look::NotBegun);
            }
        }
        if let Some(password) = &create.password {
            match self.verdict_on(session, &object, password).await?.0 {
                Verdict::Right | Verdict::MustChange => {}
                Verdict::Wrong if marker.is_some() => {
                    let what = format!(
                        "{object} was made by this call, and has not got the password that was asked for: give it one, or remove it before you try again"
                    );
                    return Ok(Look::Unclear(vec![what]));
                }
                verdict => {
                    let what = format!(
                        "{object} is there, and whether it has its password is not certain ({verdict:?})"
                    );
                    return Ok(Look::Unclear(vec![what]));
                }
            }
        }
        let made = self.read_links(session, class, &entry, &[]).await?;
        if marker.is_some() {
            return Ok(Look::Done(Box::new(Done::Object(Box::new(made)))));
        }
        let plain = Request::Create(Create {
            class: create.class,
            name: create.name.clone(),
            attributes: create.attributes.clone(),
            password: None,
            enabled: create.enabled,
        });
        match change {
            Request::Create(_) => look::look(self, cx, &plain, before).await,
            _ => Ok(Look::NotBegun),
        }
    }

    /// Tries the password, which is one of the account's tries where it is wrong.
    async fn look_at_password(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        password: &Password,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        let unclear = |why: &str| Ok(Look::Unclear(vec![why.to_owned()]));
        if object.class != ObjectClass::Account {
            return Err(Failure::unsupported("only an account has a password").into());
        }
        let object = match before.fact(ID).map(ObjectId::new) {
            Some(Ok(id)) => &ObjectRef {
                class: object.class,
                by: Selector::Id(id),
            },
            _ => object,
        };
        let wanted = [self.dialect.id_attribute().to_owned()];
        if self.find(session, object, &wanted).await?.is_none() {
            return Ok(look::not_there(before, object));
        }
        match self.verdict_on(session, object, password).await?.0 {
            // Some directories enable whoever gets a password: it was to be disabled again.
            Verdict::Right | Verdict::MustChange if before.fact(look::ENABLED) == Some("no") => {
                unclear(
                    "the account has the password that was asked for, and is enabled, which it was not before the call: disable it",
                )
            }
            Verdict::Right | Verdict::MustChange => Ok(Look::Done(Box::new(Done::Nothing))),
            Verdict::Wrong => Ok(Look::NotBegun),
            Verdict::Locked => {
                unclear("the account is locked, so that its password cannot be tried")
            }
            Verdict::Disabled => {
                unclear("the account is disabled, so that its password cannot be tried")
            }
            Verdict::NotNow => {
                unclear("the account may not log in now, so that its password cannot be tried")
            }
            Verdict::Expired => {
                unclear("the account has expired, so that its password cannot be tried")
            }
            Verdict::Unavailable => {
                unclear("the directory could not tell whether it is the account's password")
            }
        }
    }
}
