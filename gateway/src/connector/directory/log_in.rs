//! Passwords of accounts, and the names that they go by.

use super::connector::Directory;
use super::dialect::Verdict;
use super::dn;
use super::failures::{failure, of_change};
use super::fault::Error;
use super::members::Member;
use super::message::Answer;
use super::session::Session;
use crate::model::{
    CallError, Failure, FailureKind, Object, ObjectClass, ObjectName, ObjectRef, Password,
    Selector, Verb,
};

impl Directory {
    /// Gives an account a password.
    pub(crate) async fn give_password(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        password: &Password,
    ) -> Result<(), CallError> {
        let class = self.class(object.class)?;
        let entry = self
            .found(session, object, &self.wanted(class, &[]))
            .await?;
        let set = self.dialect.set_password(session, &entry, password).await;
        set.map_err(|error| of_change(&*self.dialect, Verb::SetPassword, &error))
    }

    /// Tries a password, once. An account that there is not takes as long as one that there is.
    pub(crate) async fn try_password(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        password: &Password,
    ) -> Result<(), CallError> {
        let (verdict, answer) = self.verdict_on(session, object, password).await?;
        let (kind, meaning) = match verdict {
            Verdict::Right => return Ok(()),
            // Not the directory's words: they could tell one from the other.
            Verdict::Wrong => {
                let message = "the password is wrong, or there is no such account";
                return Err(Failure::new(FailureKind::BadCredentials, message).into());
            }
            Verdict::Locked => (FailureKind::AccountLocked, "the account is locked"),
            Verdict::Disabled => (FailureKind::AccountDisabled, "the account is disabled"),
            Verdict::NotNow => (
                FailureKind::AccountDisabled,
                "the account may not log in now, or not from here",
            ),
            Verdict::Expired => (
                FailureKind::PasswordExpired,
                "the password or the account has expired",
            ),
            Verdict::MustChange => (
                FailureKind::PasswordExpired,
                "the password is right, and has to be changed first",
            ),
            Verdict::Unavailable => (
                FailureKind::Unavailable,
                "the directory could not tell whether the password is right",
            ),
        };
        Err(failure(kind, &answer, meaning).into())
    }

    /// What the directory says of a password.
    pub(crate) async fn verdict_on(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        password: &Password,
    ) -> Result<(Verdict, Answer), CallError> {
        let class = self.class(object.class)?;
        let found = self.find(session, object, &self.wanted(class, &[])).await?;
        let dn = match &found {
            Some(entry) => self.dialect.bind_name(entry),
            None => class.dn_of(&format!("nobody-{:016x}", rand::random::<u64>())),
        };
        let controls = self.dialect.bind_controls();
        let tried = self
            .pool
            .try_bind(&dn, password, &controls, session.deadline);
        let answer = match tried.await {
            Ok(answer) => answer,
            Err(Error::Unknown(fault)) => {
                return Err(CallError::Indeterminate(format!(
                    "the password was sent, and no answer came that can be read: {}",
                    fault.text
                )));
            }
            Err(error) => return Err(self.read_error(&error)),
        };
        let Some(entry) = found else {
            return Ok((Verdict::Wrong, answer));
        };
        // A directory may let in those whom only its applications keep out, and call locked what is
        // disabled.
        let disabled = self.dialect.is_enabled(&entry) == Some(false);
        let verdict = match self.dialect.verdict(&answer) {
            Verdict::Right | Verdict::Locked | Verdict::MustChange if disabled => Verdict::Disabled,
            verdict => verdict,
        };
        Ok((verdict, answer))
    }

    /// Gives an object another name.
    pub(crate) async fn give_name(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        new_name: &ObjectName,
    ) -> Result<Object, CallError> {
        let class = self.class(object.class)?;
        self.dialect.check_name(object.class, new_name.as_str())?;
        let entry = self
            .found(session, object, &self.wanted(class, &[]))
            .await?;
        let identity = self.identity(class, &entry)?;
        let renamed = ObjectRef {
            class: object.class,
            by: Selector::Name(new_name.clone()),
        };
        let wanted = self.wanted(class, &[]);
        if let Some(other) = self.find(session, &renamed, &wanted).await?
            && !dn::same(&other.dn, &entry.dn)
        {
            let message = format!("there is {renamed} already: `{}`", super::words(&other.dn));
            return Err(Failure::new(FailureKind::AlreadyExists, message).into());
        }
        if object.class == ObjectClass::Account {
            let name = new_name.as_str();
            let checked = self.dialect.check_log_ins(session, Some(&entry), name, &[]);
            checked.await?;
        }
        let known = session.knowledge().await;
        let known = known.map_err(|error| self.read_error(&error))?;
        let controls = self.dialect.controls(Verb::Rename, &known.root.controls);
        let steps = self.dialect.renaming(&entry, class, new_name.as_str());
        for (place, step) in steps.iter().enumerate() {
            let Err(error) = session.write(step, &controls).await else {
                continue;
            };
            return Err(match of_change(&*self.dialect, Verb::Rename, &error) {
                CallError::Failed(failure) if place > 0 => CallError::Indeterminate(format!(
                    "step {} of {} was refused after the others were done, so that it has both names: {}",
                    place + 1,
                    steps.len(),
                    failure.message
                )),
                other => other,
            });
        }
        let by_id = ObjectRef {
            class: object.class,
            by: Selector::Id(identity.id),
        };
        self.renamed(session, &by_id, &self.as_member(class, &entry))
            .await
    }

    /// What has a new name, which its groups then have, too.
    async fn renamed(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
        old: &Member,
    ) -> Result<Object, CallError> {
        let class = self.class(object.class)?;
        let read = async {
            let entry = self
                .found(session, object, &self.wanted(class, &[]))
                .await?;
            let left = if self.may_be_member(class.class) {
                let new = self.as_member(class, &entry);
                self.stay_in_groups(session, old, &new).await
            } else {
                None
            };
            let read = self.read_links(session, class, &entry, &[]).await?;
            Ok((read, left))
        };
        match read.await {
            Ok((object, None)) => Ok(object),
            Ok((_, Some(left))) => Err(CallError::Indeterminate(format!(
                "it has its new name, and {left}"
            ))),
            Err(CallError::Failed(failure)) => Err(CallError::Indeterminate(format!(
                "the directory confirmed the new name, but the object could not be read afterwards: {}",
                failure.message
            ))),
            Err(other) => Err(other),
        }
    }
}
