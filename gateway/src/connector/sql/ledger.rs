//! The ledger: a table of the target in which every change leaves its call's id, in the same
//! transaction. Whether a call was carried out can then always be told.
//!
//! ```text
//! begin → the verb → insert call and outcome (waits for another transaction with it) → commit
//! ```
//!
//! COMMIT takes effect only where the call could be noted: to PostgreSQL both go at once, and where
//! the first fails, the second rolls back. So where a look can note the call too, no transaction of
//! it was committed, and none will be. Where it was carried out before, the verb fails or the
//! call cannot be noted, and it is answered from the ledger.

use serde::{Deserialize, Serialize};

use super::engine::{Fault, Note, Param, Transaction, few, text_column};
use super::statement::{Dialect, quote};
use crate::model::{CallId, FailureKind, ObjectClass, ObjectId, Verb};

/// The table of the configuration.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// In quotes.
    table: String,
}

/// What a call has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    verb: String,
    class: String,
    /// Of the object that it was about.
    id: String,
}

impl Entry {
    pub(super) fn new(verb: Verb, class: ObjectClass, id: &ObjectId) -> Self {
        Self {
            verb: verb.name().to_owned(),
            class: class.name().to_owned(),
            id: id.to_string(),
        }
    }

    /// Whether a call of this verb and class may have left it.
    pub(super) fn is_of(&self, verb: Verb, class: ObjectClass) -> bool {
        self.verb == verb.name() && self.class == class.name()
    }

    pub(super) fn id(&self) -> Option<ObjectId> {
        ObjectId::new(self.id.as_str()).ok()
    }
}

impl Ledger {
    /// Takes the name of a table, perhaps with its schema.
    ///
    /// # Errors
    /// What is allowed.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('.').collect();
        let sound = |part: &&str| {
            !part.is_empty()
                && part.len() <= 63
                && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if parts.len() > 2 || !parts.iter().all(sound) {
            return Err(format!(
                "`{text}`: the name of a table is allowed, such as \"portcullis_calls\" or \"hr.portcullis_calls\""
            ));
        }
        let parts: Vec<_> = parts.into_iter().map(quote).collect();
        Ok(Self {
            table: parts.join("."),
        })
    }

    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// What is there to be checked of it.
    pub(super) fn sample(&self) -> String {
        format!("SELECT call, outcome FROM {} LIMIT 0", self.table)
    }

    /// Notes a call and what it has done, once every other transaction that has noted it has ended;
    /// without an outcome where it has done nothing yet. False: one of them was committed.
    pub(super) async fn note(
        &self,
        transaction: &mut dyn Transaction,
        dialect: Dialect,
        call: &CallId,
        entry: Option<&Entry>,
    ) -> Result<bool, Fault> {
        let note = self.noting(dialect, call, entry)?;
        Ok(transaction.execute(&note.sql, &note.params).await? == 1)
    }

    /// How a call and what it has done is noted.
    pub(super) fn noting(
        &self,
        dialect: Dialect,
        call: &CallId,
        entry: Option<&Entry>,
    ) -> Result<Note, Fault> {
        let (first, second) = (dialect.parameter(1), dialect.parameter(2));
        let sql = format!(
            "INSERT INTO {} (call, outcome) VALUES ({first}, {second}) ON CONFLICT (call) DO NOTHING",
            self.table
        );
        let outcome = entry.map(serde_json::to_string).transpose();
        let outcome =
            outcome.map_err(|error| Fault::refused(FailureKind::Internal, error.to_string()))?;
        Ok(Note {
            sql,
            params: vec![
                Param::text(call.as_str()),
                Param::text(outcome.unwrap_or_default()),
            ],
        })
    }

    /// What a call has done; `None`: nothing.
    pub(super) async fn read(
        &self,
        transaction: &mut dyn Transaction,
        dialect: Dialect,
        call: &CallId,
    ) -> Result<Option<Entry>, Fault> {
        let first = dialect.parameter(1);
        let reading = format!("SELECT outcome FROM {} WHERE call = {first}", self.table);
        let column = text_column("outcome");
        let call = [Param::text(call.as_str())];
        let rows = few(transaction, &reading, &call, &[column], 1).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let text = row.first().and_then(|cell| cell.first()?.as_text());
        let entry = text.and_then(|text| serde_json::from_str(text).ok());
        entry.map(Some).ok_or_else(|| {
            Fault::refused(
                FailureKind::Rejected,
                format!(
                    "the ledger {} has this call with an outcome that is none of ours: somebody has changed it",
                    self.table
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_table_is_one() {
        assert_eq!(Ledger::parse("hr.calls").unwrap().table, "\"hr\".\"calls\"");
        for text in ["", "a.b.c", "a b", "a\"b", "a;b", ".a", "a."] {
            assert!(Ledger::parse(text).is_err(), "{text}");
        }
    }
}
