//! Checks passwords.

use zeroize::Zeroizing;

use super::Sql;
use super::changing::parameters;
use super::class::Class;
use super::engine::{Access, Cause, Fault, Param, Seen, Transaction, few, text_column};
use super::reading::{Located, find};
use super::statement::{Dialect, Statement};
use crate::connector::Context;
use crate::model::{CallError, Failure, FailureKind, ObjectRef, Password, Value, Verb};

impl Sql {
    /// A statement that takes the password judges it by itself; any other answers with the hash,
    /// which is compared here.
    pub(super) async fn check_password(
        &self,
        cx: &Context,
        wanted: &ObjectRef,
        password: &Password,
    ) -> Result<(), CallError> {
        let class = self.class(wanted.class)?;
        let Some(statement) = class.by_verb.get(&Verb::Authenticate) else {
            return Err(
                Failure::unsupported("no statement is configured for `authenticate`").into(),
            );
        };
        let judges = statement.has("password");
        // One that judges may count the failures.
        let access = if judges { Access::Change } else { Access::Read };
        let mut transaction = self.begin(cx, access).await?;
        let asked = Asked {
            class,
            statement,
            dialect: self.dialect(),
            cx,
        };
        let answer = asked.ask(&mut *transaction, wanted, password).await;
        let shown = |fault: Fault| {
            let fault = fault.without(Some(password));
            match fault.cause {
                // The database may have judged it, and counted.
                Cause::Cut if judges => CallError::Indeterminate(fault.message),
                _ => fault.not_committed().into(),
            }
        };
        let (enabled, answer) = match answer {
            Ok(answer) => answer,
            Err(fault) => {
                transaction.rollback().await;
                return Err(shown(fault));
            }
        };
        if judges {
            transaction.commit().await.map_err(shown)?;
        } else {
            transaction.rollback().await;
        }
        let right = if judges {
            answer.is_some_and(|answer| Seen::Text(answer.as_str().into()).truth() == Some(true))
        } else {
            self.hashing.fits(password, answer).await?
        };
        if right && enabled {
            return Ok(());
        }
        if right {
            return Err(Failure::new(
                FailureKind::AccountDisabled,
                "the password is right, and the account is disabled",
            )
            .into());
        }
        // One answer for all, so that nobody learns which accounts there are.
        Err(Failure::new(
            FailureKind::BadCredentials,
            "the password is wrong, or there is no such account, or it has no password",
        )
        .into())
    }
}

struct Asked<'a> {
    class: &'a Class,
    statement: &'a Statement,
    dialect: Dialect,
    cx: &'a Context,
}

impl Asked<'_> {
    /// Whether the account may log in, and what the statement answers.
    async fn ask(
        &self,
        transaction: &mut dyn Transaction,
        wanted: &ObjectRef,
        password: &Password,
    ) -> Result<(bool, Option<Zeroizing<String>>), Fault> {
        let found = find(transaction, self.dialect, self.class, wanted).await?;
        let Some(found) = found else {
            return Ok((false, None));
        };
        let answer = self.answer(transaction, &found, password).await?;
        Ok((found.object.enabled != Some(false), answer))
    }

    async fn answer(
        &self,
        transaction: &mut dyn Transaction,
        found: &Located,
        password: &Password,
    ) -> Result<Option<Zeroizing<String>>, Fault> {
        let sql = match self.dialect {
            Dialect::Postgres => {
                format!(
                    "SELECT answer.value::text FROM ({}) AS answer(value)",
                    self.statement.sql
                )
            }
            Dialect::Sqlite => self.statement.sql.clone(),
        };
        let sent = Param::secret(password.expose());
        let params = parameters(self.statement, found, self.cx, &[("password", sent)])?;
        let rows = few(transaction, &sql, &params, &[text_column("value")], 2).await?;
        let [row] = rows.as_slice() else {
            return Ok(None);
        };
        Ok(match row.first().map(Vec::as_slice) {
            Some([Value::Text(text)]) => Some(Zeroizing::new(text.clone())),
            Some([Value::Integer(number)]) => Some(Zeroizing::new(number.to_string())),
            _ => None,
        })
    }
}
