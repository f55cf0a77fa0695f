//! A transaction of SQLite, and what its errors mean.

use portcullis_common::rotation::UnixMillis;
use portcullis_host::clock;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection, ErrorCode, ToSql, params_from_iter};

use crate::repository::RepositoryError;
use crate::repository::sql::{Column, Columns, Driver, Row, Value};

/// The transaction that is open on a connection.
pub(super) struct SqliteTx<'a>(pub(super) &'a Connection);

impl SqliteTx<'_> {
    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>, RepositoryError> {
        Ok(self.0.prepare_cached(sql)?)
    }
}

impl Driver for SqliteTx<'_> {
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> Result<u64, RepositoryError> {
        let changed = self.prepare(sql)?.execute(params_from_iter(params))?;
        Ok(changed as u64)
    }

    fn execute_many(
        &mut self,
        sql: &str,
        width: usize,
        params: &[Value<'_>],
    ) -> Result<u64, RepositoryError> {
        let mut statement = self.prepare(sql)?;
        let mut changed = 0;
        for row in params.chunks_exact(width.max(1)) {
            changed += statement.execute(params_from_iter(row))? as u64;
        }
        Ok(changed)
    }

    fn query(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool, RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let mut statement = self.prepare(sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            if !each(&Row::new(row))? {
                break;
            }
        }
        Ok(())
    }

    fn batch(&mut self, sql: &str) -> Result<(), RepositoryError> {
        Ok(self.0.execute_batch(sql)?)
    }

    fn now(&mut self) -> Result<UnixMillis, RepositoryError> {
        Ok(clock::now())
    }
}

impl Columns for rusqlite::Row<'_> {
    fn column(&self, index: usize) -> Result<Column<'_>, RepositoryError> {
        Ok(match self.get_ref(index)? {
            ValueRef::Null => Column::Null,
            ValueRef::Integer(number) => Column::Integer(number),
            ValueRef::Text(text) => Column::Text(text),
            ValueRef::Blob(bytes) => Column::Blob(bytes),
            ValueRef::Real(_) => Column::Other,
        })
    }

    fn name(&self, index: usize) -> String {
        let name = self.as_ref().column_name(index);
        name.unwrap_or_default().to_owned()
    }
}

impl ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Value::Null => ValueRef::Null,
            Value::Integer(number) => ValueRef::Integer(number),
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
            Value::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

impl From<rusqlite::Error> for RepositoryError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            _ => Self::Storage(error.to_string()),
        }
    }
}
