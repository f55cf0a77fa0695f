//! The tables whose rows decide, with the columns that do.

use portcullis_common::id::KeyId;

use super::encoding::{Encoding, Owned};
use crate::repository::RepositoryError;
use crate::repository::sql::{Column, Tx, Value};

/// A table whose rows decide.
#[derive(Debug)]
pub(in crate::repository) struct Table {
    /// Its name.
    pub(in crate::repository) name: &'static str,
    /// What one of its rows is, to people.
    pub(super) kind: &'static str,
    /// The columns that decide, the key first.
    pub(in crate::repository) columns: &'static str,
    /// How many they are.
    pub(in crate::repository) width: usize,
    /// The name of the key column.
    pub(super) key: &'static str,
    /// What belongs to a row in other tables.
    children: &'static [Children],
}

/// Rows of another table that belong to a row: `sql` selects them, all of texts, by the key.
#[derive(Debug)]
struct Children {
    sql: &'static str,
    width: usize,
    /// The key is compared as the bytes of its text.
    key_as_bytes: bool,
    /// Where there are none, nothing is encoded: the MACs from before this table was there hold.
    /// What is encoded tells its own end, so the last in a row's list alone may be so.
    optional: bool,
}

pub(in crate::repository) const GATEWAYS: Table = Table {
    name: "gateways",
    kind: "gateway",
    columns: "name, address, created_ms, gateway_id, standing, token_key_id, token_expires_ms, token_bound, pairing_until_ms, last_proved, sent, proved_ms",
    width: 12,
    key: "name",
    children: &[
        Children {
            sql: "SELECT name FROM gateway_groups WHERE gateway = ?1",
            width: 1,
            key_as_bytes: false,
            optional: false,
        },
        Children {
            sql: "SELECT what FROM gateway_demands WHERE gateway = ?1",
            width: 1,
            key_as_bytes: false,
            optional: true,
        },
    ],
};

pub(in crate::repository) const RESOURCES: Table = Table {
    name: "resources",
    kind: "resource",
    columns: "name, gateway, connector, created_ms",
    width: 4,
    key: "name",
    children: &[
        Children {
            sql: "SELECT name, value FROM resource_settings WHERE resource = ?1",
            width: 2,
            key_as_bytes: false,
            optional: false,
        },
        Children {
            sql: "SELECT field FROM sealed_values WHERE type = 'resource-password' AND owner = ?1",
            width: 1,
            key_as_bytes: true,
            optional: false,
        },
    ],
};

pub(in crate::repository) const TASKS: Table = Table {
    name: "tasks",
    kind: "task",
    columns: "id, kind, parameters, subject, state, reason, progress, started_ms, ended_ms, instance",
    width: 10,
    key: "id",
    children: &[],
};

pub(in crate::repository) const GATEWAY_KEYS: Table = Table {
    name: "gateway_keys",
    kind: "gateway key",
    columns: "id, generation, created_ms, retired_ms, compromised, withdrawn",
    width: 6,
    key: "id",
    children: &[],
};

/// The wrapped key has a MAC of its own.
pub(in crate::repository) const SERVER_KEYS: Table = Table {
    name: "server_keys",
    kind: "server key",
    columns: "id, generation, created_ms, retired_ms, current",
    width: 5,
    key: "id",
    children: &[],
};

pub(in crate::repository) const PASSWORD_POLICY: Table = Table {
    name: "password_policy",
    kind: "password policy",
    columns: "id, min_length, max_length, min_lower, min_upper, min_digits, min_other, forbid_names, forbid_words, user_history, account_history",
    width: 11,
    key: "id",
    children: &[],
};

/// What is to be sent has a seal of its own.
pub(in crate::repository) const QUEUED_CALLS: Table = Table {
    name: "queued_calls",
    kind: "queued call",
    columns: "call_id, sequence, resource, summary, state, queued_ms, expires_ms, dispatched_ms, ended_ms, outcome, digest, instance, direct, lane, other_lane, gateway, attempt, next_ms, lost, begun, retry_of",
    width: 21,
    key: "call_id",
    children: &[],
};

/// As before direct calls stood beside the queued ones: rows of form 0.
pub(super) const QUEUED_CALLS_BEFORE: Table = Table {
    name: "queued_calls",
    kind: "queued call",
    columns: "call_id, sequence, resource, summary, state, queued_ms, expires_ms, dispatched_ms, ended_ms, outcome, digest, instance",
    width: 12,
    key: "call_id",
    children: &[],
};

pub(in crate::repository) const GATEWAY_JOURNALS: Table = Table {
    name: "gateway_journals",
    kind: "memory of a gateway's journal",
    columns: "gateway_id, incarnation, sequence, lost_ms",
    width: 4,
    key: "gateway_id",
    children: &[],
};

pub(in crate::repository) const APPROVALS: Table = Table {
    name: "approvals",
    kind: "approval",
    columns: "number, method, object, contents, asked_by, asked_uid, asked_ms, expires_ms, approved_by",
    width: 9,
    key: "number",
    children: &[],
};

pub(in crate::repository) const ADMINISTRATORS: Table = Table {
    name: "administrators",
    kind: "user's rights",
    columns: "user_name, capabilities",
    width: 2,
    key: "user_name",
    children: &[],
};

pub(in crate::repository) const SESSIONS: Table = Table {
    name: "sessions",
    kind: "session",
    columns: "id, digest, user_name, application, made_ms, used_ms, idle_ms, absolute_ms, address, method, superseded_by",
    width: 11,
    key: "id",
    children: &[],
};

pub(in crate::repository) const LOGIN_APPLICATIONS: Table = Table {
    name: "login_applications",
    kind: "log-in application",
    columns: "name, idle_ms, absolute_ms, single_session, disabled, message, module_groups",
    width: 7,
    key: "name",
    children: &[],
};

pub(in crate::repository) const LOGIN_GROUPS: Table = Table {
    name: "login_groups",
    kind: "log-in group",
    columns: "name, rule, modules",
    width: 3,
    key: "name",
    children: &[],
};

/// All of them.
pub(in crate::repository) const TABLES: [&Table; 13] = [
    &GATEWAYS,
    &RESOURCES,
    &TASKS,
    &GATEWAY_KEYS,
    &SERVER_KEYS,
    &PASSWORD_POLICY,
    &QUEUED_CALLS,
    &GATEWAY_JOURNALS,
    &APPROVALS,
    &ADMINISTRATORS,
    &SESSIONS,
    &LOGIN_APPLICATIONS,
    &LOGIN_GROUPS,
];

impl Table {
    /// What belongs to the row with this key in other tables, encoded, in an order that does not
    /// depend on the engine.
    pub(super) fn children(
        &self,
        tx: &mut Tx<'_>,
        key: Value<'_>,
    ) -> Result<Vec<u8>, RepositoryError> {
        let mut all = Vec::new();
        for children in self.children {
            all.extend(children.read(tx, key)?);
        }
        Ok(all)
    }

    /// The statement that selects the columns that decide and the MAC, of the rows that `filter`
    /// selects.
    pub(in crate::repository) fn select(&self, filter: &str) -> String {
        let Self { name, columns, .. } = self;
        format!("SELECT {columns}, mac FROM {name} WHERE {filter}")
    }

    /// A statement that writes one row, and answers with what [`select`](Self::select) selects.
    pub(in crate::repository) fn returning(&self, statement: &str) -> String {
        let columns = self.columns;
        format!("{statement} RETURNING {columns}, mac")
    }

    pub(super) fn changed(&self, key: &Owned) -> RepositoryError {
        RepositoryError::RowChanged {
            kind: self.kind,
            table: self.name,
            name: self.row_name(key),
        }
    }

    /// A row as people know it.
    pub(super) fn row_name(&self, key: &Owned) -> String {
        match key {
            Owned::Null => "without a key".to_owned(),
            Owned::Integer(number) => number.to_string(),
            Owned::Text(text) => text.chars().map(printable).collect(),
            Owned::Blob(bytes) => KeyId::from_bytes(bytes).map_or_else(
                || data_encoding::HEXLOWER.encode(bytes),
                |id| id.to_string(),
            ),
        }
    }
}

impl Children {
    fn read(&self, tx: &mut Tx<'_>, key: Value<'_>) -> Result<Vec<u8>, RepositoryError> {
        let key = match key {
            Value::Text(text) if self.key_as_bytes => Value::Blob(text.as_bytes()),
            key => key,
        };
        let mut rows = tx.query(self.sql, &[key], |row| {
            let mut child = Encoding::default();
            for index in 0..self.width {
                child.column(row.column(index)?);
            }
            Ok(child.into_bytes())
        })?;
        if self.optional && rows.is_empty() {
            return Ok(Vec::new());
        }
        rows.sort_unstable();
        let mut all = Encoding::default();
        all.column(Column::Integer(
            i64::try_from(rows.len()).unwrap_or(i64::MAX),
        ));
        for row in &rows {
            all.value(Value::Blob(row));
        }
        Ok(all.into_bytes())
    }
}

fn printable(letter: char) -> char {
    if letter.is_control() {
        '\u{fffd}'
    } else {
        letter
    }
}
