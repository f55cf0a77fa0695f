//! Accounts and groups in the tables of a database: PostgreSQL or SQLite.
//!
//! The gateway's configuration names a statement for each verb and class; nothing that a caller
//! sends becomes part of one: values are bound, and the names of columns come from the database
//! itself. `read` answers with all objects, and every other read is a condition on it.
//!
//! ```text
//! configure → class (statements) → reading, attempts, login → engine → postgres | sqlite
//!                                  filter: a condition on `read`;  ledger: what a call has done
//! ```
//!
//! A change is one transaction: the statements of the verb, each on one row, the object read back,
//! the ledger, COMMIT. Where no answer comes before COMMIT was sent, nothing has changed; where it
//! comes neither after, the ledger tells.

mod attempts;
mod changing;
mod class;
mod configure;
mod engine;
mod filter;
mod ledger;
mod listed;
mod login;
mod looking;
mod password;
mod postgres;
mod reading;
mod renewal;
mod sqlite;
mod statement;
mod sync;
mod truth;

use std::collections::BTreeSet;
use std::sync::Arc;

use tonic::async_trait;

use crate::connector::{Changes, Connector, Context, Found, Inspecting, Inspection, Lane};
use crate::model::{
    AttributeRole, CallError, ClassSchema, Cookie, Create, Evidence, Failure, Get, Look, Object,
    ObjectClass, ObjectId, ObjectName, ObjectRef, Password, Request, Role, Roles, Rotation, Schema,
    Search, Selector, SyncToken, Update, Value, Verb,
};
use changing::Change;
use class::{Class, section_of};
pub use configure::configure;
use engine::{Access, Engine, Fault, Transaction};
use ledger::Ledger;
use password::Hashing;
use statement::Dialect;

/// The connector of type `sql`.
#[derive(Debug)]
pub struct Sql {
    name: String,
    engine: Arc<dyn Engine>,
    /// Whether the resource gives the password of the gateway's own user.
    asks_password: bool,
    classes: Vec<Class>,
    ledger: Option<Ledger>,
    hashing: Hashing,
    roles: Vec<AttributeRole>,
}

impl Sql {
    fn dialect(&self) -> Dialect {
        self.engine.dialect()
    }

    fn class(&self, class: ObjectClass) -> Result<&Class, Failure> {
        let mut classes = self.classes.iter();
        classes.find(|found| found.class == class).ok_or_else(|| {
            Failure::unsupported(format!(
                "[connectors.{}.{class}] is not configured: this connector has no objects of the class {class}",
                self.name
            ))
        })
    }

    async fn begin(&self, cx: &Context, access: Access) -> Result<Box<dyn Transaction>, Failure> {
        let begun = self.engine.begin(cx, access).await;
        begun.map_err(Fault::not_committed)
    }

    /// The lane of an object, as it is named.
    fn lane(&self, class: ObjectClass, by: &Selector) -> Lane {
        let object = match by {
            Selector::Id(id) => format!("id {id}"),
            Selector::Name(name) => format!("name {}", name.as_str().to_lowercase()),
        };
        Lane::Shared(format!("{} {class} {object}", self.engine.place()))
    }

    /// Has the database read every statement.
    async fn check(&self, transaction: &mut dyn Transaction) -> Result<usize, Fault> {
        let mut count = 0;
        for class in &self.classes {
            let section = section_of(class.class);
            let of = |key: &str| format!("[connectors.{}.{section}] {key}", self.name);
            for (key, statement) in class.statements() {
                let checked = transaction.describe(&statement.sql, &[]).await;
                checked.map_err(|fault| about(&of(&key), fault))?;
                count += 1;
            }
            class.described.forget();
            let columns = class.columns(transaction).await;
            let columns =
                columns.map_err(|fault| about(&format!("[connectors.{}]", self.name), fault))?;
            // Whether it may be read shows only when it is.
            let sample = format!("{} LIMIT 0", class.selected(&columns));
            let read = engine::few(transaction, &sample, &[], &columns.all, 0).await;
            read.map_err(|fault| about(&of("read"), fault))?;
        }
        if let Some(ledger) = &self.ledger {
            let read = transaction.execute(&ledger.sample(), &[]).await;
            let what = format!("[connectors.{}] ledger", self.name);
            read.map_err(|fault| about(&what, fault))?;
        }
        Ok(count)
    }
}

fn about(what: &str, fault: Fault) -> Fault {
    Fault {
        message: format!("{what}: {}", fault.message),
        ..fault
    }
}

#[async_trait]
impl Connector for Sql {
    fn kind(&self) -> &'static str {
        "sql"
    }

    fn further_classes(&self) -> Vec<ObjectClass> {
        let classes = self.classes.iter().map(|found| found.class);
        classes
            .filter(|class| matches!(class, ObjectClass::Other(_)))
            .collect()
    }

    fn verbs(&self, class: ObjectClass) -> Vec<Verb> {
        self.class(class).map(Class::verbs).unwrap_or_default()
    }

    fn roles(&self) -> Roles<'_> {
        Roles::new(&self.roles)
    }

    /// A key counts up from 1 and gives nobody rights.
    fn number_of_id(&self, _: &ObjectId) -> Option<u64> {
        None
    }

    fn number_of(&self, object: &Object) -> Option<u64> {
        let roles = self.roles();
        let names = roles.attributes(object.identity.class, Role::NumericId);
        let mut values = names.flat_map(|name| object.values(name));
        values.find_map(Value::as_id)
    }

    fn settings(&self) -> Vec<String> {
        let password = self.asks_password.then(|| password::SETTING.to_owned());
        password.into_iter().collect()
    }

    fn lanes(&self, change: &Request) -> BTreeSet<Lane> {
        let mut lanes = BTreeSet::new();
        match change {
            Request::Create(create) => {
                let name = Selector::Name(create.name.clone());
                lanes.insert(self.lane(create.class, &name));
            }
            other => {
                let object = other.object();
                lanes.extend(object.map(|object| self.lane(object.class, &object.by)));
            }
        }
        if let Request::Rename(object, new_name) = change {
            let name = Selector::Name(new_name.clone());
            lanes.insert(self.lane(object.class, &name));
        }
        lanes
    }

    fn inspect(&self, how: Inspecting<'_>) -> Inspection {
        Inspection {
            faults: self.engine.faults(how.owner_of),
            notes: Vec::new(),
        }
    }

    async fn stop(&self) {
        self.engine.close().await;
    }

    async fn test(&self, cx: &Context) -> Result<String, CallError> {
        self.engine.try_again();
        let mut transaction = self.begin(cx, Access::Read).await?;
        let version = transaction.version().await;
        let checked = match version {
            Ok(version) => {
                let checked = self.check(&mut *transaction).await;
                checked.map(|count| (version, count))
            }
            Err(fault) => Err(fault),
        };
        transaction.rollback().await;
        let (version, count) = checked.map_err(Fault::not_committed)?;
        let ledger = match &self.ledger {
            Some(ledger) => format!("the ledger is {}", ledger.table()),
            None => "there is no ledger, so that a change whose answer is lost may stay unknown"
                .to_owned(),
        };
        let place = self.engine.place();
        Ok(format!(
            "{version} at {place}: {count} statements are sound; {ledger}"
        ))
    }

    async fn schema(&self, cx: &Context) -> Result<Schema, CallError> {
        let mut transaction = self.begin(cx, Access::Read).await?;
        let mut classes = Vec::new();
        let mut fault = None;
        for class in &self.classes {
            match class.columns(&mut *transaction).await {
                Ok(columns) => classes.push(class.schema(&columns)),
                Err(found) => fault = Some(found),
            }
        }
        transaction.rollback().await;
        if let Some(fault) = fault {
            return Err(fault.not_committed().into());
        }
        for class in [ObjectClass::Account, ObjectClass::Group] {
            if self.class(class).is_err() {
                classes.push(ClassSchema {
                    class,
                    attributes: Vec::new(),
                    verbs: Vec::new(),
                });
            }
        }
        Ok(Schema {
            classes,
            actions: Vec::new(),
            settings: self.settings(),
        })
    }

    async fn create(&self, cx: &Context, create: Create) -> Result<Object, CallError> {
        let sent = match &create.password {
            Some(password) => Some(self.hashing.sent(password).await?),
            None => None,
        };
        let change = Change::Create(&create, sent);
        let made = self.change(cx, &change, create.password.as_ref()).await?;
        made.ok_or_else(gone)
    }

    async fn get(&self, cx: &Context, get: &Get) -> Result<Object, CallError> {
        let mut object = self.read_object(cx, &get.object).await?;
        object.retain(&get.attributes);
        Ok(object)
    }

    async fn update(&self, cx: &Context, update: Update) -> Result<Object, CallError> {
        let changed = self.change(cx, &Change::Update(&update), None).await?;
        changed.ok_or_else(gone)
    }

    async fn delete(&self, cx: &Context, object: ObjectRef) -> Result<Option<String>, CallError> {
        self.change(cx, &Change::Delete(&object), None).await?;
        Ok(None)
    }

    async fn enable(&self, cx: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        let change = Change::Switch(&object, Verb::Enable);
        self.change(cx, &change, None).await
    }

    async fn disable(&self, cx: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        let change = Change::Switch(&object, Verb::Disable);
        self.change(cx, &change, None).await
    }

    async fn set_password(
        &self,
        cx: &Context,
        object: ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        let sent = self.hashing.sent(&password).await?;
        let change = Change::SetPassword(&object, sent);
        self.change(cx, &change, Some(&password)).await.map(drop)
    }

    async fn authenticate(
        &self,
        cx: &Context,
        object: ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        self.check_password(cx, &object, &password).await
    }

    async fn rename(
        &self,
        cx: &Context,
        object: ObjectRef,
        new_name: ObjectName,
    ) -> Result<Object, CallError> {
        let change = Change::Rename(&object, &new_name);
        self.change(cx, &change, None).await?.ok_or_else(gone)
    }

    async fn search(
        &self,
        cx: &Context,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        self.search_objects(cx, search, found).await
    }

    async fn evidence(&self, cx: &Context, change: &Request) -> Result<Evidence, CallError> {
        self.evidence_of(cx, change).await
    }

    async fn look(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        self.look_for(cx, change, before).await
    }

    fn rotates_password(&self) -> bool {
        self.asks_password
    }

    async fn rotate_password(&self, cx: &Context, rotation: Rotation) -> Result<(), CallError> {
        self.check_rotation(cx, &rotation)?;
        self.engine.renew_password(cx, &rotation.password).await
    }

    async fn sync(
        &self,
        cx: &Context,
        class: ObjectClass,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        self.sync_objects(cx, class, token, changes).await
    }
}

/// The answer to a repeated call whose object somebody has removed since.
fn gone() -> CallError {
    Failure::not_found("the call was carried out before, and its object has been removed since")
        .into()
}

// Their configuration names paths as Unix does.
#[cfg(test)]
#[cfg(unix)]
mod tests;
