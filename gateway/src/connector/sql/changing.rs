//! Changes objects: each verb in one transaction, all of it or nothing, and read back before it is
//! committed.

use zeroize::Zeroizing;

use super::Sql;
use super::class::{Class, Columns};
use super::engine::{Column, Fault, Note, Param, Transaction, shown};
use super::ledger::{Entry, Ledger};
use super::reading::{Asking, Located, find, locate};
use super::statement::{Dialect, Kind, Statement};
use crate::connector::Context;
use crate::model::{
    Attribute, Create, Failure, FailureKind, Modification, Object, ObjectClass, ObjectId,
    ObjectName, ObjectRef, Operation, Selector, Update, Value, ValueType, Verb,
};

/// A change, with what a statement is given for its password.
pub(super) enum Change<'a> {
    Create(&'a Create, Option<Zeroizing<Vec<u8>>>),
    Update(&'a Update),
    Delete(&'a ObjectRef),
    /// Enable or disable.
    Switch(&'a ObjectRef, Verb),
    SetPassword(&'a ObjectRef, Zeroizing<Vec<u8>>),
    Rename(&'a ObjectRef, &'a ObjectName),
}

impl Change<'_> {
    pub(super) fn verb(&self) -> Verb {
        match self {
            Self::Create(..) => Verb::Create,
            Self::Update(_) => Verb::Update,
            Self::Delete(_) => Verb::Delete,
            Self::Switch(_, verb) => *verb,
            Self::SetPassword(..) => Verb::SetPassword,
            Self::Rename(..) => Verb::Rename,
        }
    }

    pub(super) fn class(&self) -> ObjectClass {
        match self {
            Self::Create(create, _) => create.class,
            Self::Update(update) => update.object.class,
            Self::Delete(object)
            | Self::Switch(object, _)
            | Self::SetPassword(object, _)
            | Self::Rename(object, _) => object.class,
        }
    }
}

/// A change that is done, once it is committed.
pub(super) struct Carried {
    /// The object as it then is.
    pub(super) object: Option<Object>,
    /// How it is noted in the ledger, where there is one.
    pub(super) note: Option<Note>,
}

/// One attempt at a change.
pub(super) struct Work<'a> {
    pub(super) sql: &'a Sql,
    pub(super) class: &'a Class,
    pub(super) dialect: Dialect,
    pub(super) cx: &'a Context,
}

type Tx<'t> = &'t mut dyn Transaction;

impl Work<'_> {
    pub(super) async fn carry_out(
        &self,
        tx: Tx<'_>,
        change: &Change<'_>,
    ) -> Result<Carried, Fault> {
        let (id, object) = match change {
            Change::Create(create, password) => self.create(tx, create, password.as_ref()).await?,
            Change::Update(update) => self.update(tx, update).await?,
            Change::Delete(object) => self.delete(tx, object).await?,
            Change::Switch(object, verb) => self.switch(tx, object, *verb).await?,
            Change::SetPassword(object, sent) => self.set_password(tx, object, sent).await?,
            Change::Rename(object, new_name) => self.rename(tx, object, new_name).await?,
        };
        let noting = |ledger: &Ledger| {
            let entry = Entry::new(change.verb(), self.class.class, &id);
            ledger.noting(self.dialect, &self.cx.call, Some(&entry))
        };
        let note = self.sql.ledger.as_ref().map(noting).transpose()?;
        Ok(Carried { object, note })
    }

    /// The answer to a call that was carried out before; `None`: it was not.
    pub(super) async fn before(
        &self,
        tx: Tx<'_>,
        ledger: &Ledger,
        verb: Verb,
    ) -> Result<Option<Option<Object>>, Fault> {
        let Some(entry) = ledger.read(tx, self.dialect, &self.cx.call).await? else {
            return Ok(None);
        };
        let class = self.class.class;
        let id = entry.id().filter(|_| entry.is_of(verb, class));
        let Some(id) = id else {
            return Err(Fault::refused(
                FailureKind::Rejected,
                format!(
                    "the ledger says that call `{}` was another one: give every call an id of its own",
                    self.cx.call
                ),
            ));
        };
        let found = find(tx, self.dialect, self.class, &by_id(class, id)).await?;
        Ok(Some(found.map(|found| found.object)))
    }

    async fn create(
        &self,
        tx: Tx<'_>,
        create: &Create,
        password: Option<&Zeroizing<Vec<u8>>>,
    ) -> Result<(ObjectId, Option<Object>), Fault> {
        let statement = self.statement(Verb::Create)?;
        let columns = self.class.columns(tx).await?;
        let (own, later): (Vec<_>, Vec<_>) = create
            .attributes
            .iter()
            .partition(|given| self.class.created_with(given.name.as_str()));
        for given in &later {
            self.changeable(given.name.as_str())?;
        }
        let params = statement.parameters.iter().map(|parameter| {
            Ok(match parameter.as_str() {
                "name" => Param::text(create.name.as_str()),
                "enabled" => Param::Value(Value::Boolean(create.enabled)),
                "password" => password.map_or(Param::Null, |sent| Param::Secret(sent.clone())),
                "call" => Param::text(self.cx.call.as_str()),
                name => {
                    let mut given = own.iter().filter(|given| given.name.as_str() == name);
                    match given.next() {
                        Some(Attribute { values, .. }) => {
                            single(columns.named(name), name, values)?
                        }
                        None => Param::Null,
                    }
                }
            })
        });
        let params = params.collect::<Result<Vec<_>, Fault>>()?;
        let wanted = ObjectRef {
            class: create.class,
            by: Selector::Name(create.name.clone()),
        };
        let asking = Asking::of(tx, self.dialect, self.class, &wanted).await?;
        let made = match asking {
            Some(asking) => {
                let (query, most) = (&asking.query, Asking::MOST);
                let (rows, read) = tx
                    .execute_then_read(&statement.sql, &params, query, most)
                    .await?;
                one_row(statement, rows)?;
                asking.found(self.class, &wanted, read)?
            }
            None => None,
        };
        let made = made.ok_or_else(|| {
            contradicts("`create` was carried out, and `read` has no row for the new object")
        })?;
        self.complete(tx, &columns, create, (&later, password), made)
            .await
    }

    /// What the statement of `create` does not take is done by those of other verbs.
    async fn complete(
        &self,
        tx: Tx<'_>,
        columns: &Columns,
        create: &Create,
        (later, password): (&[&Attribute], Option<&Zeroizing<Vec<u8>>>),
        made: Located,
    ) -> Result<(ObjectId, Option<Object>), Fault> {
        let statement = self.statement(Verb::Create)?;
        let id = made.object.identity.id.clone();
        let mut more = false;
        for given in later {
            let replace = Modification {
                operation: Operation::Replace,
                name: given.name.clone(),
                values: given.values.clone(),
            };
            let present = made.object.values(given.name.as_str());
            self.modify(tx, columns, &made, &replace, present).await?;
            more = true;
        }
        if let Some(sent) = password.filter(|_| !statement.has("password")) {
            let setting = self.statement(Verb::SetPassword)?;
            self.on(
                tx,
                setting,
                &made,
                &[("password", Param::Secret(sent.clone()))],
            )
            .await?;
            more = true;
        }
        let is_account = create.class == ObjectClass::Account;
        if is_account && made.object.enabled.is_some_and(|is| is != create.enabled) {
            let verb = match create.enabled {
                true => Verb::Enable,
                false => Verb::Disable,
            };
            self.on(tx, self.statement(verb)?, &made, &[]).await?;
            more = true;
        } else if is_account && !create.enabled && made.object.enabled.is_none() {
            return Err(Fault::refused(
                FailureKind::Unsupported,
                "a disabled account cannot be made: `read` has no column `enabled`",
            ));
        }
        let object = match more {
            true => self.again(tx, &id).await?.object,
            false => made.object,
        };
        Ok((id, Some(object)))
    }

    async fn update(
        &self,
        tx: Tx<'_>,
        update: &Update,
    ) -> Result<(ObjectId, Option<Object>), Fault> {
        for modification in &update.modifications {
            self.changeable(modification.name.as_str())?;
        }
        let found = locate(tx, self.dialect, self.class, &update.object).await?;
        let columns = self.class.columns(tx).await?;
        let mut present: Vec<Attribute> = found.object.attributes.clone();
        for modification in &update.modifications {
            let name = &modification.name;
            let place = present.iter().position(|one| one.name == *name);
            let before = place.map(|place| present.swap_remove(place).values);
            let before = before.unwrap_or_default();
            let values = self
                .modify(tx, &columns, &found, modification, &before)
                .await?;
            present.push(Attribute {
                name: name.clone(),
                values,
            });
        }
        let id = found.object.identity.id;
        let object = self.again(tx, &id).await?.object;
        Ok((id, Some(object)))
    }

    /// Carries out one modification of an attribute that has these values; answers those that it
    /// then has.
    async fn modify(
        &self,
        tx: Tx<'_>,
        columns: &Columns,
        object: &Located,
        modification: &Modification,
        present: &[Value],
    ) -> Result<Vec<Value>, Fault> {
        let name = modification.name.as_str();
        let column = columns.named(name);
        let asked = modification
            .values
            .iter()
            .map(|value| coerced(column, name, value));
        let asked = asked.collect::<Result<Vec<_>, _>>()?;
        let wanted = wanted(modification.operation, present, &asked);
        if let Some(statement) = self.class.update.get(name)
            && !self.class.is_list(name)
        {
            if wanted.as_slice() != present {
                let value = single(column, name, &wanted)?;
                self.on(tx, statement, object, &[("value", value)]).await?;
            }
            return Ok(wanted);
        }
        let gone = present.iter().filter(|value| !wanted.contains(value));
        for value in gone {
            let statement = self.of_list(&self.class.remove, name, "remove")?;
            let param = Param::Value(value.clone());
            let done = self.on(tx, statement, object, &[("value", param)]).await;
            done.map_err(|fault| of_value("remove", name, value, fault))?;
        }
        let new = wanted.iter().filter(|value| !present.contains(value));
        for value in new {
            let statement = self.of_list(&self.class.add, name, "add")?;
            let param = Param::Value(value.clone());
            let done = self.on(tx, statement, object, &[("value", param)]).await;
            done.map_err(|fault| of_value("add", name, value, fault))?;
        }
        Ok(wanted)
    }

    async fn delete(
        &self,
        tx: Tx<'_>,
        object: &ObjectRef,
    ) -> Result<(ObjectId, Option<Object>), Fault> {
        let found = locate(tx, self.dialect, self.class, object).await?;
        self.on(tx, self.statement(Verb::Delete)?, &found, &[])
            .await?;
        let id = found.object.identity.id;
        let left = by_id(self.class.class, id.clone());
        if find(tx, self.dialect, self.class, &left).await?.is_some() {
            return Err(contradicts(
                "`delete` was carried out, and `read` has the object still",
            ));
        }
        Ok((id, None))
    }

    async fn switch(
        &self,
        tx: Tx<'_>,
        object: &ObjectRef,
        verb: Verb,
    ) -> Result<(ObjectId, Option<Object>), Fault> {
        let found = locate(tx, self.dialect, self.class, object).await?;
        self.on(tx, self.statement(verb)?, &found, &[]).await?;
        let id = found.object.identity.id;
        let object = self.again(tx, &id).await?.object;
        if object.enabled != Some(verb == Verb::Enable) {
            return Err(contradicts(&format!(
                "`{verb}` was carried out, and the column `enabled` of `read` says otherwise"
            )));
        }
        Ok((id, Some(object)))
    }

    async fn set_password(
        &self,
        tx: Tx<'_>,
        object: &ObjectRef,
        sent: &Zeroizing<Vec<u8>>,
    ) -> Result<(ObjectId, Option<Object>), Fault> {
        let found = locate(tx, self.dialect, self.class, object).await?;
        let statement = self.statement(Verb::SetPassword)?;
        let password = Param::Secret(sent.clone());
        self.on(tx, statement, &found, &[("password", password)])
            .await?;
        Ok((found.object.identity.id.clone(), Some(found.object)))
    }

    async fn rename(
        &self,
        tx: Tx<'_>,
        object: &ObjectRef,
        new_name: &ObjectName,
    ) -> Result<(ObjectId, Option<Object>), Fault> {
        let found = locate(tx, self.dialect, self.class, object).await?;
        let name = Param::text(new_name.as_str());
        let statement = self.statement(Verb::Rename)?;
        self.on(tx, statement, &found, &[("new_name", name)])
            .await?;
        let id = found.object.identity.id;
        let object = self.again(tx, &id).await?.object;
        if object.identity.name != *new_name {
            return Err(contradicts(&format!(
                "`rename` was carried out, and `read` calls the object `{}`",
                object.identity.name
            )));
        }
        Ok((id, Some(object)))
    }

    /// The object after a change: its id is still the same.
    async fn again(&self, tx: Tx<'_>, id: &ObjectId) -> Result<Located, Fault> {
        let wanted = by_id(self.class.class, id.clone());
        let found = find(tx, self.dialect, self.class, &wanted).await?;
        found.ok_or_else(|| contradicts("after the change `read` has no row with the object's id"))
    }

    /// Runs a statement on an object.
    async fn on(
        &self,
        tx: Tx<'_>,
        statement: &Statement,
        object: &Located,
        more: &[(&str, Param)],
    ) -> Result<(), Fault> {
        let params = parameters(statement, object, self.cx, more)?;
        self.run(tx, statement, &params).await
    }

    /// Runs a statement that is to change one row.
    async fn run(&self, tx: Tx<'_>, statement: &Statement, params: &[Param]) -> Result<(), Fault> {
        let rows = tx.execute(&statement.sql, params).await?;
        one_row(statement, rows)
    }

    fn statement(&self, verb: Verb) -> Result<&Statement, Fault> {
        self.class.by_verb.get(&verb).ok_or_else(|| {
            Fault::refused(
                FailureKind::Unsupported,
                format!(
                    "no statement is configured for `{verb}` of the class {}",
                    self.class.class
                ),
            )
        })
    }

    fn of_list<'s>(
        &self,
        statements: &'s std::collections::BTreeMap<String, Statement>,
        name: &str,
        what: &str,
    ) -> Result<&'s Statement, Fault> {
        statements.get(name).ok_or_else(|| {
            Fault::refused(
                FailureKind::Unsupported,
                format!("attribute `{name}` has no statement to {what} a value"),
            )
        })
    }

    fn changeable(&self, name: &str) -> Result<(), Fault> {
        if self.class.can_change(name) {
            return Ok(());
        }
        Err(Fault::refused(
            FailureKind::Unsupported,
            format!(
                "no statement is configured that sets attribute `{name}` of the class {}",
                self.class.class
            ),
        ))
    }
}

/// Says which value of a list a statement was about: there are as many runs of it as values.
fn of_value(key: &str, attribute: &str, value: &Value, fault: Fault) -> Fault {
    let shown = match value {
        Value::Text(text) => format!(" for the value `{}`", shown(text)),
        _ => String::new(),
    };
    Fault {
        message: format!("`{key}.{attribute}`{shown}: {}", fault.message),
        ..fault
    }
}

/// Refuses a statement that has not changed one row.
fn one_row(statement: &Statement, rows: u64) -> Result<(), Fault> {
    // The answer to CALL has no count.
    if rows == 1 || statement.kind == Kind::Call {
        return Ok(());
    }
    Err(Fault::refused(
        FailureKind::Rejected,
        format!(
            "the statement concerns {rows} rows where it is to be one, so that nothing was changed: what it refers to is not there, or it is not bound to one object"
        ),
    ))
}

/// What the parameters of a statement on an object stand for.
pub(super) fn parameters(
    statement: &Statement,
    object: &Located,
    cx: &Context,
    more: &[(&str, Param)],
) -> Result<Vec<Param>, Fault> {
    let parameters = statement.parameters.iter().map(|parameter| {
        let mut given = more.iter().filter(|(name, _)| name == parameter);
        match (parameter.as_str(), given.next()) {
            (_, Some((_, param))) => Ok(param.clone()),
            ("id", _) => Ok(Param::Value(object.id.clone())),
            ("name", _) => Ok(Param::text(object.object.identity.name.as_str())),
            ("call", _) => Ok(Param::text(cx.call.as_str())),
            (unknown, _) => Err(Fault::refused(
                FailureKind::Internal,
                format!("nothing is known for `:{unknown}`"),
            )),
        }
    });
    parameters.collect()
}

fn by_id(class: ObjectClass, id: ObjectId) -> ObjectRef {
    ObjectRef {
        class,
        by: Selector::Id(id),
    }
}

/// The statements of the configuration contradict one another.
fn contradicts(what: &str) -> Fault {
    Fault::refused(
        FailureKind::Rejected,
        format!("{what}: nothing was changed"),
    )
}

/// The values that an attribute is to have.
fn wanted(operation: Operation, present: &[Value], asked: &[Value]) -> Vec<Value> {
    let mut wanted = match operation {
        Operation::Replace => Vec::new(),
        Operation::Add | Operation::Remove => present.to_vec(),
    };
    for value in asked {
        if operation == Operation::Remove {
            wanted.retain(|there| there != value);
        } else if !wanted.contains(value) {
            wanted.push(value.clone());
        }
    }
    wanted
}

/// The one value of an attribute that is no list, or none.
fn single(column: Option<&Column>, name: &str, values: &[Value]) -> Result<Param, Fault> {
    match values {
        [] => Ok(Param::Null),
        [value] => coerced(column, name, value).map(Param::Value),
        _ => Err(Fault::refused(
            FailureKind::Invalid,
            format!(
                "attribute `{name}` takes one value, and would have {}",
                values.len()
            ),
        )),
    }
}

/// A value in the type of its column, where it says the same in it.
fn coerced(column: Option<&Column>, name: &str, value: &Value) -> Result<Value, Fault> {
    let Some(column) = column else {
        return Ok(value.clone());
    };
    let wanted = column.value_type;
    let same = match (wanted, value) {
        (_, Value::Secret(_)) => None,
        (wanted, value) if wanted == value.value_type() => Some(value.clone()),
        (ValueType::Text, Value::Integer(number)) => Some(Value::Text(number.to_string())),
        (ValueType::Text, Value::Boolean(truth)) => Some(Value::Text(truth.to_string())),
        (ValueType::Text, Value::Real(_) | Value::Time(_)) => Some(value.clone()),
        (ValueType::Integer, Value::Text(text)) => text.parse().ok().map(Value::Integer),
        (ValueType::Boolean, Value::Text(text)) => text.parse().ok().map(Value::Boolean),
        (ValueType::Real, Value::Integer(number)) => {
            number.to_string().parse().ok().map(Value::Real)
        }
        (ValueType::Time, Value::Text(text)) => {
            humantime::parse_rfc3339(text).ok().map(Value::Time)
        }
        _ => None,
    };
    same.ok_or_else(|| {
        Fault::refused(
            FailureKind::Invalid,
            format!(
                "attribute `{name}` takes values of type {}, and this is one of type {}",
                wanted.name(),
                value.value_type().name()
            ),
        )
    })
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self::refused(failure.kind, failure.message)
    }
}
