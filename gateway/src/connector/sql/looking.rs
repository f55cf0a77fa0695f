//! What became of a change whose end nobody saw: the ledger knows, where there is one.

use super::Sql;
use super::engine::{Access, Fault};
use super::ledger::Ledger;
use super::reading::find;
use crate::connector::{Connector as _, Context, look};
use crate::model::{
    CallError, Done, Evidence, FailureKind, Get, Look, ObjectClass, ObjectId, ObjectRef, Password,
    Request, Selector, Verb,
};

/// The fact that the change would be noted in this ledger.
const LEDGER: &str = "ledger";

impl Sql {
    pub(super) async fn evidence_of(
        &self,
        cx: &Context,
        change: &Request,
    ) -> Result<Evidence, CallError> {
        let Some(ledger) = &self.ledger else {
            return self.evidence_by_reading(cx, change).await;
        };
        let mut evidence = Evidence::default();
        evidence.note(LEDGER, ledger.table());
        Ok(evidence)
    }

    pub(super) async fn look_for(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        if let Request::RotatePassword(rotation) = change {
            return self.look_at_renewal(cx, rotation).await;
        }
        let class = match change {
            Request::Create(create) => Some(create.class),
            other => other.object().map(|object| object.class),
        };
        match (&self.ledger, class, before.fact(LEDGER)) {
            (Some(ledger), Some(class), Some(noted)) if noted == ledger.table() => {
                self.look_into(ledger, cx, class, change).await
            }
            // It was begun under another configuration: what is not in this ledger may be in that.
            (_, _, Some(noted)) => Ok(Look::Unclear(vec![format!(
                "the change was to be noted in the ledger {noted}, which is not that of the connector any more"
            )])),
            _ => match change {
                Request::SetPassword(object, password) if self.authenticates(object) => {
                    self.look_at_password(cx, object, password, before).await
                }
                _ => self.look_by_reading(cx, change, before).await,
            },
        }
    }

    fn authenticates(&self, object: &ObjectRef) -> bool {
        let class = self.class(object.class);
        class.is_ok_and(|class| class.by_verb.contains_key(&Verb::Authenticate))
    }

    /// Tries the password, which may be one of the account's tries where it is wrong.
    async fn look_at_password(
        &self,
        cx: &Context,
        asked: &ObjectRef,
        password: &Password,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        let object = match before.fact(look::ID).map(ObjectId::new) {
            Some(Ok(id)) => ObjectRef {
                class: asked.class,
                by: Selector::Id(id),
            },
            _ => asked.clone(),
        };
        let failure = match self.check_password(cx, &object, password).await {
            Ok(()) => return Ok(Look::Done(Box::new(Done::Nothing))),
            Err(CallError::Failed(failure)) => failure,
            Err(unknown) => return Err(unknown),
        };
        match failure.kind {
            FailureKind::AccountDisabled => Ok(Look::Done(Box::new(Done::Nothing))),
            FailureKind::BadCredentials => {
                let get = Get {
                    object: object.clone(),
                    attributes: Vec::new(),
                };
                match self.get(cx, &get).await {
                    Ok(_) => Ok(Look::NotBegun),
                    Err(CallError::Failed(failure)) if failure.is_not_found() => {
                        Ok(look::not_there(before, &object))
                    }
                    Err(error) => Err(error),
                }
            }
            _ => Err(failure.into()),
        }
    }

    /// To note the call waits for a transaction that has noted it and has not ended. Where it can
    /// then be noted, no such transaction was committed, and none will be: COMMIT takes effect only
    /// where the call could be noted. The note of the look itself is rolled back.
    async fn look_into(
        &self,
        ledger: &Ledger,
        cx: &Context,
        class: ObjectClass,
        change: &Request,
    ) -> Result<Look, CallError> {
        let dialect = self.dialect();
        let mut transaction = self.begin(cx, Access::Change).await?;
        let call = &cx.call;
        let noted = ledger.note(&mut *transaction, dialect, call, None).await;
        let entry = match noted {
            Ok(false) => ledger.read(&mut *transaction, dialect, call).await,
            Ok(true) => Ok(None),
            Err(fault) => Err(fault),
        };
        let found = match entry {
            Ok(None) => Ok(Look::NotBegun),
            Err(fault) => Err(fault),
            Ok(Some(entry)) => match entry.id().filter(|_| entry.is_of(change.verb(), class)) {
                None => Ok(Look::Unclear(vec![format!(
                    "the ledger has the call as another one: {entry:?}"
                )])),
                Some(id) => {
                    let object = ObjectRef {
                        class,
                        by: Selector::Id(id),
                    };
                    let class = self.class(class)?;
                    let found = find(&mut *transaction, dialect, class, &object).await;
                    found.map(|found| Look::Done(Box::new(done(change, found))))
                }
            },
        };
        transaction.rollback().await;
        Ok(found.map_err(Fault::not_committed)?)
    }
}

/// What the verb would have answered.
fn done(change: &Request, found: Option<super::reading::Located>) -> Done {
    match (change, found) {
        (Request::Delete(_) | Request::SetPassword(..), _) | (_, None) => Done::Nothing,
        (_, Some(found)) => Done::Object(Box::new(found.object)),
    }
}
