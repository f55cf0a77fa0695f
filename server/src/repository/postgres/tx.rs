//! A transaction of PostgreSQL, and what its rows hold.

use std::error::Error as StdError;
use std::pin::pin;

use futures_util::TryStreamExt as _;
use futures_util::future::try_join_all;
use portcullis_common::rotation::UnixMillis;
use tokio_postgres::Row as TheirRow;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::dialect;
use super::fault::Fault;
use super::link::Link;
use crate::repository::RepositoryError;
use crate::repository::columns::from_sql_millis;
use crate::repository::sql::{Column, Columns, Driver, Row, Value};

/// Statements that are under way at once.
const AT_ONCE: usize = 128;

/// The transaction that is open on a connection.
pub(super) struct PostgresTx<'a> {
    link: &'a mut Link,
    /// What ended the transaction, where that is not the fault of what was asked.
    broken: Option<Fault>,
    /// A statement failed, and the transaction takes no others until it is rolled back.
    failed: bool,
    /// A statement takes as long as it takes.
    patient: bool,
}

impl<'a> PostgresTx<'a> {
    /// The one that is open on `link`.
    pub(super) const fn new(link: &'a mut Link) -> Self {
        Self {
            link,
            broken: None,
            failed: false,
            patient: false,
        }
    }

    /// As [`Self::new`], where a statement without values may take as long as it takes.
    pub(super) fn patient(link: &'a mut Link) -> Self {
        Self {
            patient: true,
            ..Self::new(link)
        }
    }

    /// Whether nothing of it can be committed.
    pub(super) const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether it has ended, and that is not the fault of what was asked.
    pub(super) const fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// What ended it, where that is not the fault of what was asked.
    pub(super) fn broken(&mut self) -> Option<Fault> {
        self.broken.take()
    }

    /// Carries out a statement without values.
    pub(super) fn step(&mut self, sql: &str) -> Result<(), RepositoryError> {
        let done = match self.patient {
            true => self.link.batch_long(sql),
            false => self.link.batch(sql),
        };
        if done.is_ok() && sql.starts_with("ROLLBACK TO ") {
            self.failed = false;
        }
        self.noted(done)
    }

    fn noted<T>(&mut self, done: Result<T, Fault>) -> Result<T, RepositoryError> {
        let fault = match done {
            Ok(value) => return Ok(value),
            Err(fault) => fault,
        };
        self.failed = true;
        let (error, broken) = match fault {
            Fault::Refused(error) => (error, None),
            Fault::Again => (RepositoryError::Busy, Some(Fault::Again)),
            Fault::Lost(reason) => (
                RepositoryError::Storage(reason.clone()),
                Some(Fault::Lost(reason)),
            ),
        };
        // What it began with is why; what follows it says nothing new.
        if self.broken.is_none() {
            self.broken = broken;
        }
        Err(error)
    }
}

impl Driver for PostgresTx<'_> {
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> Result<u64, RepositoryError> {
        if params.is_empty() && is_of_a_savepoint(sql) {
            return self.step(sql).map(|()| 0);
        }
        let done = self.link.prepared(sql, params).and_then(|statement| {
            let client = self.link.client();
            self.link.wait(client.execute_raw(&statement, params))
        });
        self.noted(done)
    }

    fn execute_many(
        &mut self,
        sql: &str,
        width: usize,
        params: &[Value<'_>],
    ) -> Result<u64, RepositoryError> {
        let mut changed = 0;
        let width = width.max(1);
        for rows in params.chunks(width * AT_ONCE) {
            let mut prepared = Vec::with_capacity(AT_ONCE);
            for row in rows.chunks_exact(width) {
                let statement = self.link.prepared(sql, row);
                prepared.push((self.noted(statement)?, row));
            }
            let client = self.link.client();
            let asked = prepared
                .iter()
                .map(|(statement, row)| client.execute_raw(statement, *row));
            let done = self.link.wait(try_join_all(asked));
            changed += self.noted(done)?.iter().sum::<u64>();
        }
        Ok(changed)
    }

    fn query(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool, RepositoryError>,
    ) -> Result<(), RepositoryError> {
        let statement = self.link.prepared(sql, params);
        let statement = self.noted(statement)?;
        let link = &*self.link;
        let asked = link.wait(link.client().query_raw(&statement, params));
        let rows = match asked {
            Ok(rows) => rows,
            Err(fault) => return self.noted(Err(fault)),
        };
        let mut rows = pin!(rows);
        let mut wanted = true;
        loop {
            match link.wait(rows.try_next()) {
                Ok(None) => return Ok(()),
                // The others are read as well: what fails in them fails the transaction.
                Ok(Some(_)) if !wanted => {}
                Ok(Some(row)) => wanted = each(&Row::new(&Read::of(row)))?,
                Err(fault) => return self.noted(Err(fault)),
            }
        }
    }

    fn batch(&mut self, sql: &str) -> Result<(), RepositoryError> {
        self.step(sql)
    }

    fn now(&mut self) -> Result<UnixMillis, RepositoryError> {
        let sql = "SELECT CAST(extract(epoch FROM now()) * 1000 AS bigint)";
        let mut now = UnixMillis(0);
        self.query(sql, &[], &mut |row| {
            now = from_sql_millis(row.get(0)?);
            Ok(false)
        })?;
        Ok(now)
    }
}

/// These are kept prepared for nothing.
fn is_of_a_savepoint(sql: &str) -> bool {
    ["SAVEPOINT ", "RELEASE ", "ROLLBACK TO "]
        .iter()
        .any(|first| sql.starts_with(first))
}

/// A row, with the texts that are stored otherwise than they are.
struct Read {
    row: TheirRow,
    restored: Vec<(usize, String)>,
}

impl Read {
    fn of(row: TheirRow) -> Self {
        let mut restored = Vec::new();
        for index in 0..row.len() {
            if let Ok(Cell(Column::Text(text))) = row.try_get(index)
                && let Ok(text) = str::from_utf8(text)
                && let Some(text) = dialect::restored(text)
            {
                restored.push((index, text));
            }
        }
        Self { row, restored }
    }
}

impl Columns for Read {
    fn column(&self, index: usize) -> Result<Column<'_>, RepositoryError> {
        if let Some((_, text)) = self.restored.iter().find(|(at, _)| *at == index) {
            return Ok(Column::Text(text.as_bytes()));
        }
        let cell: Result<Cell<'_>, _> = self.row.try_get(index);
        cell.map(|Cell(column)| column)
            .map_err(|error| RepositoryError::Storage(error.to_string()))
    }

    fn name(&self, index: usize) -> String {
        let column = self.row.columns().get(index);
        column.map_or_else(String::new, |column| column.name().to_owned())
    }
}

/// What a column of any type holds.
struct Cell<'a>(Column<'a>);

impl<'a> FromSql<'a> for Cell<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(match *ty {
            Type::BOOL => Column::Integer(bool::from_sql(ty, raw)?.into()),
            Type::INT2 => Column::Integer(i16::from_sql(ty, raw)?.into()),
            Type::INT4 => Column::Integer(i32::from_sql(ty, raw)?.into()),
            Type::INT8 => Column::Integer(i64::from_sql(ty, raw)?),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN => Column::Text(raw),
            Type::BYTEA => Column::Blob(raw),
            _ => Column::Other,
        }))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Column::Null))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match *self {
            Value::Null => Ok(IsNull::Yes),
            Value::Integer(number) => number.to_sql(ty, out),
            Value::Text(text) => dialect::stored(text).to_sql(ty, out),
            Value::Blob(bytes) => bytes.to_sql(ty, out),
        }
    }

    fn accepts(ty: &Type) -> bool {
        [Type::INT8, Type::TEXT, Type::BYTEA].contains(ty)
    }

    to_sql_checked!();
}
