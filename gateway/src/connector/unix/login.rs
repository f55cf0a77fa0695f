//! Who may log in: enabling, disabling, passwords.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::account_fields::Arguments;
use super::accounts::view;
use super::asked::{Asked, Hash, Wanted};
use super::database::{Account, DISABLED_DAY, today};
use super::expiry::Remembered;
use super::membership::Stopped;
use super::password::Verdict;
use super::tools::{Tool, ToolError};
use super::{Unix, find_account};
use crate::connector::Context;
use crate::model::{CallError, Failure, FailureKind, Object, ObjectRef, Password};

/// Lock signs before a hash that are taken away one by one.
const MOST_LOCKS: usize = 16;

impl Unix {
    pub(super) async fn disable_account(
        &self,
        cx: &Context,
        target: &ObjectRef,
    ) -> Result<Object, CallError> {
        let database = self.read().await?;
        let account = find_account(&database, target)?;
        let has_hash = account.password.hash().is_some();
        let is_locked = account.password.is_locked() || !has_hash;
        if account.expires == Some(DISABLED_DAY) && is_locked {
            return Ok(self.account_object(&database, account)?);
        }
        if account.expires != Some(DISABLED_DAY) {
            Remembered::load(&self.policy.prefix)?.set(
                account.uid,
                &account.name,
                account.expires,
            )?;
        }
        let mut arguments = Arguments::default();
        arguments.option("-e", DISABLED_DAY.to_string());
        if has_hash {
            arguments.flag("-L");
        }
        let name = account.name.as_str();
        let mut asked = Asked::default();
        asked.push(Wanted::Enabled(false));
        self.change(cx, &database, name, &[arguments.on(name)], &asked)
            .await?;
        self.confirm(&database, (name, name), &asked).await
    }

    pub(super) async fn enable_account(
        &self,
        cx: &Context,
        target: &ObjectRef,
    ) -> Result<Object, CallError> {
        let database = self.read().await?;
        let account = find_account(&database, target)?;
        let expires = self.real_expiry(account)?;
        if expires.is_some_and(|day| day <= today()) {
            return Err(Failure::rejected(format!(
                "account `{}` expired: give it a later `expires`, or none, before you enable it",
                account.name
            ))
            .into());
        }
        let unlocked = Account {
            expires,
            password: account.password.unlocked(),
            ..account.clone()
        };
        if !unlocked.is_enabled(today()) {
            return Err(Failure::rejected(format!(
                "account `{}` is kept out by more than its lock: its password has run out. Set a new one before you enable it",
                account.name
            ))
            .into());
        }
        let mut arguments = Arguments::default();
        if account.expires != expires {
            let day = expires.map_or_else(String::new, |day| day.to_string());
            arguments.option("-e", day);
        }
        let name = account.name.as_str();
        let mut asked = Asked::default();
        asked.push(Wanted::Enabled(true));
        asked.push(Wanted::Expires(expires));
        let runs = unlocking(account, arguments)?;
        self.change(cx, &database, name, &runs, &asked).await?;
        let enabled = self.confirm(&database, (name, name), &asked).await?;
        // Only an account that is disabled has its day looked up: one that stays does no harm.
        if let Err(failure) = Remembered::load(&self.policy.prefix)
            .and_then(|mut all| all.set(account.uid, &account.name, None))
        {
            tracing::warn!(
                account = account.name,
                failure.message,
                "the remembered expiry day of an enabled account stays"
            );
        }
        Ok(enabled)
    }

    pub(super) async fn set_account_password(
        &self,
        cx: &Context,
        target: &ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        let database = self.read().await?;
        let account = find_account(&database, target)?;
        let disabled = account.password.is_locked() || account.expires == Some(DISABLED_DAY);
        let Some(hash) = self.hash(Some(password), disabled).await? else {
            return Err(Failure::internal("no hash").into());
        };
        if let Err(error) = self.store_hash(cx, &account.name, &hash).await {
            let what = format!("the password of account `{}`", account.name);
            let view = view(&account.name);
            let before = view(&database);
            let stopped = Stopped { done: 0, error };
            return Err(self.after_failure(stopped, &what, &before, view).await);
        }
        let mut asked = Asked::default();
        asked.push(Wanted::Hash(Hash(hash)));
        let name = account.name.as_str();
        let confirmed = self.confirm(&database, (name, name), &asked).await;
        confirmed.map(drop)
    }

    pub(super) async fn authenticate_account(
        &self,
        target: &ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        let database = self.read().await?;
        let account = find_account(&database, target).ok();
        let hash = account.and_then(|account| account.password.hash());
        let compared = Zeroizing::new(hash.unwrap_or(&self.decoy).to_owned());
        let verifier = Arc::clone(&self.verifier);
        let comparing = self
            .hashing
            .run(move || Ok(verifier.verify(&password, &compared)));
        let verdict = comparing.await?;
        if verdict == Verdict::UnknownScheme {
            // That the account is there is nothing new: `get` tells it.
            return Err(Failure::unsupported(
                "the account's password is hashed by a scheme that neither crypt(3) of the host nor the gateway knows, so that it cannot be checked here: set it anew",
            )
            .into());
        }
        let known = account.filter(|_| hash.is_some() && verdict == Verdict::Right);
        // One answer for all others, so that nobody learns which accounts there are.
        let known = known.ok_or_else(|| {
            Failure::new(
                FailureKind::BadCredentials,
                "the password is wrong, or there is no such account, or it has no password",
            )
        })?;
        Ok(admits(known, today())?)
    }

    pub(super) async fn hash(
        &self,
        password: Option<Password>,
        locked: bool,
    ) -> Result<Option<Zeroizing<String>>, Failure> {
        let Some(password) = password else {
            return Ok(None);
        };
        let scheme = self.scheme;
        let hash = self.hashing.run(move || scheme.hash(&password)).await?;
        let lock = if locked { "!" } else { "" };
        Ok(Some(Zeroizing::new(format!("{lock}{}", *hash))))
    }

    pub(super) async fn store_hash(
        &self,
        cx: &Context,
        name: &str,
        hash: &str,
    ) -> Result<(), ToolError> {
        let line = Zeroizing::new(format!("{name}:{hash}\n"));
        self.tools
            .run(Tool::ChPasswd, &["-e"], line.as_bytes(), cx.deadline)
            .await
            .map(drop)
    }
}

/// Whether an account may log in by its password, which is right.
fn admits(account: &Account, today: i64) -> Result<(), Failure> {
    let (kind, why) = if account.password.is_locked() || account.has_expired(today) {
        let why = "the account is disabled or has expired";
        (FailureKind::AccountDisabled, why)
    } else if account.ageing.is_inactive(today) {
        let why = "the password ran out, too long ago to be changed at a log-in: set a new one";
        (FailureKind::PasswordExpired, why)
    } else if account.ageing.must_change(today) {
        let why = "the password is right, but has run out or must be changed first";
        (FailureKind::PasswordExpired, why)
    } else {
        return Ok(());
    };
    Err(Failure::new(kind, why))
}

/// The runs of usermod that give an account these arguments and unlock its password: each takes
/// one lock sign away, and other programs than usermod put two (libuser's `passwd -l`) or more.
fn unlocking(account: &Account, mut arguments: Arguments) -> Result<Vec<Vec<String>>, Failure> {
    let Some(locks) = account.password.locks() else {
        return Err(Failure::rejected(format!(
            "the password of account `{}` is locked by a sign that usermod does not take away, as other systems and programs write it: set a new one",
            account.name
        )));
    };
    if locks > MOST_LOCKS {
        return Err(Failure::rejected(format!(
            "the password of account `{}` is locked by {locks} signs, more than any program puts there: set a new one",
            account.name
        )));
    }
    let mut runs = Vec::new();
    for _ in 0..locks {
        arguments.flag("-U");
        runs.push(std::mem::take(&mut arguments).on(&account.name));
    }
    if !arguments.is_empty() {
        runs.push(arguments.on(&account.name));
    }
    Ok(runs)
}
