//! Carries changes out: each in one transaction, which is begun again where the target gave it up,
//! and answered from the ledger where the call was carried out before.

use super::Sql;
use super::changing::{Carried, Change, Work};
use super::engine::{Access, Cause, Fault, Note, Transaction, Unfinished};
use crate::connector::Context;
use crate::model::{CallError, FailureKind, Object, Password};

/// How often a transaction is begun that the target gives up in favour of another.
const ATTEMPTS: usize = 4;

/// SQLITE_CONSTRAINT_CHECK and SQLITE_CONSTRAINT_TRIGGER.
const SQLITE_CHECK: &str = "275";
const SQLITE_TRIGGER: &str = "1811";

impl Sql {
    /// Carries out a change. `secret`: a password that the target's own words must not repeat.
    ///
    /// Answers the object as it then is; `None` where it is gone.
    pub(super) async fn change(
        &self,
        cx: &Context,
        change: &Change<'_>,
        secret: Option<&Password>,
    ) -> Result<Option<Object>, CallError> {
        let class = self.class(change.class())?;
        let work = Work {
            sql: self,
            class,
            dialect: self.dialect(),
            cx,
        };
        let mut attempt = 1;
        loop {
            let mut transaction = self.begin(cx, Access::Change).await?;
            let fault = match work.carry_out(&mut *transaction, change).await {
                Ok(Carried { object, note }) => match finish(transaction, note.as_ref()).await {
                    Ok(true) => return Ok(object),
                    Ok(false) => None,
                    Err(Unfinished { fault, .. })
                        if fault.cause == Cause::Again && attempt < ATTEMPTS =>
                    {
                        attempt += 1;
                        continue;
                    }
                    Err(Unfinished {
                        fault,
                        perhaps: true,
                    }) => return Err(fault.without(secret).at_commit()),
                    Err(Unfinished { fault, .. }) => Some(fault),
                },
                Err(fault) => {
                    transaction.rollback().await;
                    Some(fault)
                }
            };
            if let Some(fault) = &fault
                && fault.cause == Cause::Again
                && attempt < ATTEMPTS
            {
                attempt += 1;
                continue;
            }
            return self.done_before(cx, &work, change, fault, secret).await;
        }
    }

    /// The answer to a call that was carried out before, or else its fault. Who has a fault is told
    /// it only where the ledger does not have the call.
    async fn done_before(
        &self,
        cx: &Context,
        work: &Work<'_>,
        change: &Change<'_>,
        fault: Option<Fault>,
        secret: Option<&Password>,
    ) -> Result<Option<Object>, CallError> {
        let failed = |fault: Fault| {
            let failure = fault_of(change, fault).without(secret).not_committed();
            CallError::from(failure)
        };
        let refused = |fault: &Fault| matches!(fault.cause, Cause::Refused(_));
        let Some(ledger) = &self.ledger else {
            return Err(failed(fault.unwrap_or_else(lost)));
        };
        if let Some(fault) = fault.clone().filter(|fault| !refused(fault)) {
            return Err(failed(fault));
        }
        let mut transaction = self.begin(cx, Access::Change).await?;
        let before = work.before(&mut *transaction, ledger, change.verb()).await;
        transaction.rollback().await;
        match before {
            Ok(Some(object)) => Ok(object),
            Ok(None) => Err(failed(fault.unwrap_or_else(lost))),
            Err(fault) => Err(failed(fault)),
        }
    }
}

/// Ends a transaction for good, with the note of its call. False: the call was noted before, and
/// nothing was changed.
async fn finish(
    transaction: Box<dyn Transaction>,
    note: Option<&Note>,
) -> Result<bool, Unfinished> {
    match note {
        Some(note) => transaction.commit_noted(note).await,
        None => {
            let committed = transaction.commit().await;
            committed.map(|()| true).map_err(Unfinished::at_commit)
        }
    }
}

/// The fault where the ledger had a call, and has it no more.
fn lost() -> Fault {
    let message =
        "the ledger had this call a moment ago, and has it no more: somebody has changed it";
    Fault::refused(FailureKind::Rejected, message)
}

/// A rule that refuses a password is the target's policy: a constraint, or what a trigger raises.
fn fault_of(change: &Change<'_>, fault: Fault) -> Fault {
    let is_rule = matches!(
        fault.code(),
        Some("23514" | "P0001" | SQLITE_CHECK | SQLITE_TRIGGER)
    );
    if matches!(change, Change::SetPassword(..)) && is_rule {
        return Fault {
            cause: Cause::Refused(FailureKind::Policy),
            ..fault
        };
    }
    fault
}
