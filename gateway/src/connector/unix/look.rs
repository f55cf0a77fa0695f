//! What became of a change whose end nobody saw: this host can be asked for everything, also for
//! whether a password is the one that was to be set.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::password::Verdict;
use super::{Account, Unix, deleted, find_account, marker};
use crate::connector::{Context, look};
use crate::model::{
    CallError, Create, Done, Evidence, Failure, Look, ObjectClass, ObjectId, ObjectRef, Password,
    Request, Selector, Value,
};

/// Whether a group of a new account's name was there: `yes` or `no`.
const GROUP: &str = "group of that name";
/// A digest of the password field.
const PASSWORD: &str = "#password";
/// Whether the comment field of the new account names the call: `yes`.
const MARKED: &str = "marked";
const DAY: u64 = 86_400;

impl Unix {
    pub(super) async fn seen_before(
        &self,
        cx: &Context,
        change: &Request,
    ) -> Result<Evidence, CallError> {
        let mut evidence = look::evidence(self, cx, change).await?;
        if let Request::Create(create) = change
            && create.class == ObjectClass::Account
        {
            let there = self.read().await?.group(create.name.as_str()).is_some();
            evidence.note(GROUP, if there { "yes" } else { "no" });
            if self.policy.marker {
                evidence.note(MARKED, "yes");
            }
        }
        if let Request::SetPassword(object, _) = change {
            let database = self.read().await?;
            if let Ok(account) = find_account(&database, object) {
                evidence.note(PASSWORD, look::digest(&field(account)));
            }
        }
        if let Request::Delete(object) = change
            && object.class == ObjectClass::Account
        {
            let database = self.read().await?;
            if let Ok(account) = find_account(&database, object) {
                deleted::note(&mut evidence, account);
            }
        }
        Ok(evidence)
    }

    pub(super) async fn look_at(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        self.tools.former_ended(cx.deadline).await?;
        match change {
            Request::SetPassword(object, password) => {
                self.look_at_password(object, password, before).await
            }
            Request::Create(create) => self.look_at_new(cx, create, before).await,
            Request::Delete(object) if object.class == ObjectClass::Account => {
                let seen = look::look(self, cx, change, before).await?;
                match seen {
                    Look::Unclear(_) => Ok(self.was_given_away(before).await?.unwrap_or(seen)),
                    seen => Ok(seen),
                }
            }
            other => look::look(self, cx, &by_days(other), before).await,
        }
    }

    /// An account that was made without its password was not made whole.
    async fn look_at_new(
        &self,
        cx: &Context,
        create: &Create,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        if before.fact(MARKED) == Some("yes") && self.is_of_another(cx, create).await? {
            return Ok(Look::NotBegun);
        }
        let without_password = Request::Create(Create {
            password: None,
            ..create.clone()
        });
        let seen = look::look(self, cx, &by_days(&without_password), before).await?;
        if seen == Look::NotBegun && create.class == ObjectClass::Account {
            return self.without_remains(create, before).await;
        }
        let (Look::Done(_), Some(password)) = (&seen, &create.password) else {
            return Ok(seen);
        };
        let object = ObjectRef {
            class: ObjectClass::Account,
            by: Selector::Name(create.name.clone()),
        };
        let database = self.read().await?;
        let account = find_account(&database, &object)?;
        Ok(match self.fits(account, password).await? {
            true => seen,
            false => Look::Unclear(vec![format!(
                "account `{}` was not there before the call, and is there now with uid {}, but without the password that was asked for: remove it before you try again, or give it one",
                account.name, account.uid
            )]),
        })
    }

    /// Whether there is an account of that name which another made than this call.
    async fn is_of_another(&self, cx: &Context, create: &Create) -> Result<bool, CallError> {
        let database = self.read().await?;
        let account = database.account(create.name.as_str());
        Ok(account.is_some_and(|account| !marker::is_of(&account.gecos, &cx.call)))
    }

    /// A create begins only where no group has the name of an account that is to get a group of its
    /// own: one that is there now was made with it, and the account was not.
    async fn without_remains(&self, create: &Create, before: &Evidence) -> Result<Look, CallError> {
        let mut given = create.attributes.iter();
        let has_group = given.any(|given| given.name.as_str() == "primary_group");
        let name = create.name.as_str();
        let database = self.read().await?;
        let made = database.group(name).is_some() && before.fact(GROUP) == Some("no");
        Ok(if made && !has_group {
            Look::Unclear(vec![format!(
                "there is no account `{name}`, but its group, which was not there before the call: remove it before you try again"
            )])
        } else {
            Look::NotBegun
        })
    }

    async fn look_at_password(
        &self,
        object: &ObjectRef,
        password: &Password,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        let object = match before.fact(look::ID).map(ObjectId::new) {
            Some(Ok(id)) => ObjectRef {
                class: object.class,
                by: Selector::Id(id),
            },
            _ => object.clone(),
        };
        let database = self.read().await?;
        let account = match find_account(&database, &object) {
            Ok(account) => account,
            Err(failure) if failure.is_not_found() => {
                return Ok(look::not_there(before, &object));
            }
            Err(failure) => return Err(failure.into()),
        };
        if self.fits(account, password).await? {
            return Ok(Look::Done(Box::new(Done::Nothing)));
        }
        let noted = before.fact(PASSWORD);
        Ok(match noted.and_then(|noted| look::is_same(noted, &field(account))) {
            Some(true) => Look::NotBegun,
            _ => Look::Unclear(vec![
                "the password is neither the one that was asked for nor known to be that of before the call".to_owned(),
            ]),
        })
    }

    /// Whether a password is that of the account, locked or not.
    async fn fits(&self, account: &Account, password: &Password) -> Result<bool, Failure> {
        let Some(hash) = account.password.hash() else {
            return Ok(false);
        };
        let (hash, password) = (zeroize::Zeroizing::new(hash.to_owned()), password.clone());
        let verifier = Arc::clone(&self.verifier);
        let comparing = self
            .hashing
            .run(move || Ok(verifier.verify(&password, &hash)));
        Ok(comparing.await? == Verdict::Right)
    }
}

/// What a password field is, without its locks.
fn field(account: &Account) -> Vec<u8> {
    account
        .password
        .hash()
        .unwrap_or_default()
        .as_bytes()
        .to_vec()
}

/// A host keeps days, where a call may name any second of one.
fn by_days(change: &Request) -> Request {
    let mut change = change.clone();
    match &mut change {
        Request::Create(create) => {
            let values = create.attributes.iter_mut().map(|given| &mut given.values);
            values.flatten().for_each(to_day);
        }
        Request::Update(update) => {
            let values = update.modifications.iter_mut();
            values
                .flat_map(|change| &mut change.values)
                .for_each(to_day);
        }
        _ => {}
    }
    change
}

fn to_day(value: &mut Value) {
    if let Value::Time(time) = value {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let days = since.as_secs() / DAY;
        *time = SystemTime::UNIX_EPOCH + Duration::from_secs(days * DAY);
    }
}
