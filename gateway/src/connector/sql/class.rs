//! What the configuration says of one class of objects: its statements, and what they take.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::engine::{Column, Fault, Transaction};
use super::statement::{Statement, quote};
use crate::model::{
    AttributeName, AttributeSchema, ClassSchema, FailureKind, ObjectClass, ValueType, Verb,
};

/// The column of a row with the object's id.
pub(super) const ID: &str = "id";
/// That with its name.
pub(super) const NAME: &str = "name";
/// That with whether it may log in.
pub(super) const ENABLED: &str = "enabled";
/// In `changes`.
pub(super) const DELETED: &str = "deleted";

/// Parameters that stand for no attribute.
const RESERVED: [&str; 7] = [ID, NAME, ENABLED, "new_name", "password", "value", "call"];

/// Columns of one class at the most.
const MOST_COLUMNS: usize = 200;

/// One class of objects.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) class: ObjectClass,
    /// Answers with every object, a row each.
    pub(super) read: Statement,
    /// One for each verb that takes a single statement.
    pub(super) by_verb: BTreeMap<Verb, Statement>,
    /// By attribute: those that put a value in the place of another.
    pub(super) update: BTreeMap<String, Statement>,
    /// By attribute: those that add a value to a list, and take one away.
    pub(super) add: BTreeMap<String, Statement>,
    pub(super) remove: BTreeMap<String, Statement>,
    pub(super) changes: Option<Changes>,
    pub(super) described: Described,
}

/// The statement that tells what has changed, and how far back it is read again.
#[derive(Debug)]
pub(super) struct Changes {
    pub(super) statement: Statement,
    /// Seconds where the column is a time, else what is taken from its number.
    pub(super) overlap: i64,
}

/// The columns of the reading statement, once they are known.
#[derive(Debug, Default)]
pub(super) struct Described(Mutex<Option<Arc<Columns>>>);

/// What the reading statement answers with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Columns {
    /// Id, name, `enabled` where it is there, and then the attributes.
    pub(super) all: Vec<Column>,
    pub(super) has_enabled: bool,
}

impl Columns {
    pub(super) fn id(&self) -> Option<&Column> {
        self.all.first()
    }

    pub(super) fn attributes(&self) -> &[Column] {
        let before = 2 + usize::from(self.has_enabled);
        self.all.get(before..).unwrap_or_default()
    }

    pub(super) fn named(&self, name: &str) -> Option<&Column> {
        self.all.iter().find(|column| column.name == name)
    }
}

impl Class {
    /// Which verbs have what they need.
    pub(super) fn verbs(&self) -> Vec<Verb> {
        let has = |verb: &Verb| match verb {
            Verb::Get | Verb::Search => true,
            Verb::Sync => self.changes.is_some(),
            Verb::Update => {
                !(self.update.is_empty() && self.add.is_empty() && self.remove.is_empty())
            }
            verb => self.by_verb.contains_key(verb),
        };
        Verb::ALL.into_iter().filter(has).collect()
    }

    /// Attributes that a create takes with its own statement.
    pub(super) fn created_with(&self, attribute: &str) -> bool {
        !RESERVED.contains(&attribute)
            && self
                .by_verb
                .get(&Verb::Create)
                .is_some_and(|create| create.has(attribute))
    }

    /// Whether an attribute holds a list of values, as far as the configuration tells.
    pub(super) fn is_list(&self, attribute: &str) -> bool {
        self.add.contains_key(attribute) || self.remove.contains_key(attribute)
    }

    pub(super) fn can_change(&self, attribute: &str) -> bool {
        self.update.contains_key(attribute) || self.is_list(attribute)
    }

    /// Every statement with what it is called in the configuration.
    pub(super) fn statements(&self) -> Vec<(String, &Statement)> {
        let named = |table: &str, of: &'_ BTreeMap<String, Statement>| -> Vec<String> {
            of.keys().map(|name| format!("{table}.{name}")).collect()
        };
        let mut all = vec![("read".to_owned(), &self.read)];
        all.extend(
            self.by_verb
                .iter()
                .map(|(verb, statement)| (key_of(*verb).to_owned(), statement)),
        );
        for (table, of) in [
            ("update", &self.update),
            ("add", &self.add),
            ("remove", &self.remove),
        ] {
            all.extend(named(table, of).into_iter().zip(of.values()));
        }
        if let Some(changes) = &self.changes {
            all.push(("changes".to_owned(), &changes.statement));
        }
        all
    }

    /// The columns of the reading statement, asked of the target where they are not known yet.
    pub(super) async fn columns(
        &self,
        transaction: &mut dyn Transaction,
    ) -> Result<Arc<Columns>, Fault> {
        if let Some(known) = self.described.get() {
            return Ok(known);
        }
        let lists: BTreeSet<_> = self.add.keys().chain(self.remove.keys()).cloned().collect();
        let lists: Vec<_> = lists.into_iter().collect();
        let found = transaction.describe(&self.wrapped("*"), &lists).await?;
        let columns = Arc::new(self.sorted(found)?);
        self.described.set(Some(Arc::clone(&columns)));
        Ok(columns)
    }

    /// The reading statement as a table of which `what` is selected.
    pub(super) fn wrapped(&self, what: &str) -> String {
        format!("SELECT {what} FROM ({}) AS object", self.read.sql)
    }

    /// The same with all columns, as they are read.
    pub(super) fn selected(&self, columns: &Columns) -> String {
        let expressions = columns.all.iter().map(|column| column.expression.as_str());
        self.wrapped(&expressions.collect::<Vec<_>>().join(", "))
    }

    fn sorted(&self, mut found: Vec<Column>) -> Result<Columns, Fault> {
        let wrong = |what: String| {
            Fault::refused(
                FailureKind::Internal,
                format!("`read` of `{}`: {what}", section_of(self.class)),
            )
        };
        if found.len() > MOST_COLUMNS {
            return Err(wrong(format!("it has more than {MOST_COLUMNS} columns")));
        }
        let mut all = Vec::new();
        for name in [ID, NAME, ENABLED] {
            match found.iter().position(|column| column.name == name) {
                Some(place) => all.push(found.remove(place)),
                None if name == ENABLED => {}
                None => return Err(wrong(format!("it has no column `{name}`: use `AS {name}`"))),
            }
        }
        let has_enabled = all.len() == 3;
        let switches = [Verb::Enable, Verb::Disable];
        if !has_enabled && switches.iter().any(|verb| self.by_verb.contains_key(verb)) {
            return Err(wrong(
                "it has no column `enabled`, which `enable` and `disable` have to be read back by"
                    .to_owned(),
            ));
        }
        for column in &found {
            let name = &column.name;
            if RESERVED.contains(&name.as_str()) || AttributeName::new(name.as_str()).is_err() {
                return Err(wrong(format!(
                    "a column `{name}` can be no attribute: give it another name with AS, or leave it out"
                )));
            }
            if found.iter().filter(|other| other.name == *name).count() > 1 {
                return Err(wrong(format!("two columns are called `{name}`")));
            }
            if self.is_list(name) && !column.is_list {
                return Err(wrong(format!(
                    "column `{name}` is to be an array: `add` and `remove` take lists"
                )));
            }
        }
        for name in self
            .update
            .keys()
            .chain(self.add.keys())
            .chain(self.remove.keys())
        {
            if !found.iter().any(|column| column.name == *name) {
                return Err(wrong(format!(
                    "it has no column `{name}`, which a statement changes"
                )));
            }
        }
        all.extend(found);
        Ok(Columns { all, has_enabled })
    }

    /// What the columns and the statements make of it.
    pub(super) fn schema(&self, columns: &Columns) -> ClassSchema {
        let attribute = |column: &Column| AttributeSchema {
            multi_valued: column.is_list,
            creatable: self.by_verb.contains_key(&Verb::Create)
                && (self.created_with(&column.name) || self.can_change(&column.name)),
            updatable: self.can_change(&column.name),
            ..AttributeSchema::new(column.name.as_str(), column.value_type)
        };
        let mut attributes: Vec<_> = columns.attributes().iter().map(attribute).collect();
        // What a create takes and no read shows.
        let create = self.by_verb.get(&Verb::Create);
        let hidden = create.iter().flat_map(|create| &create.parameters);
        for name in hidden.filter(|name| !RESERVED.contains(&name.as_str())) {
            if columns.named(name).is_none() {
                attributes.push(AttributeSchema {
                    updatable: false,
                    readable: false,
                    returned_by_default: false,
                    description: "given to the statement of `create`; no read shows it".to_owned(),
                    ..AttributeSchema::new(name.as_str(), ValueType::Text)
                });
            }
        }
        ClassSchema {
            class: self.class,
            attributes,
            verbs: self.verbs(),
        }
    }
}

impl Described {
    fn get(&self) -> Option<Arc<Columns>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clone()
    }

    fn set(&self, columns: Option<Arc<Columns>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = columns;
    }

    /// Has the target be asked anew: its tables may have changed.
    pub(super) fn forget(&self) {
        self.set(None);
    }
}

/// The key of a verb's statement in the configuration.
pub(super) fn key_of(verb: Verb) -> &'static str {
    match verb {
        Verb::SetPassword => "set_password",
        verb => verb.name(),
    }
}

/// The section of a class in the configuration.
pub(super) fn section_of(class: ObjectClass) -> String {
    class.name().replace('-', "_")
}

/// A condition on the column with the id.
pub(super) fn id_column() -> String {
    quote(ID)
}
