//! The seam between what is stored and the engine that stores it. No aggregate names a driver: it
//! hands SQL and values to a [`Tx`], and gets [`Row`]s.
//!
//! **Changes.** What a transaction does is `Fn(&mut Tx<'_>) -> Result<T, RepositoryError>`, with no
//! effect outside it: where an engine cannot commit what ran beside others, it runs all of it again
//! from the start. SQLite, which has one writer, runs each once; a
//! [`WriteObserver`](super::WriteObserver) can have it repeated, as the conformance suite does with
//! every change.
//!
//! **Dialect.** What SQLite and PostgreSQL both understand, with placeholders `?1`, `?2`, … (an
//! engine that has `$1` translates them when it prepares a statement; no text here holds another
//! `?`). So:
//! - `ON CONFLICT … DO`, never `INSERT OR REPLACE`; `IS [NOT] DISTINCT FROM`, never `IS` between
//!   two values.
//! - A boolean is an integer, 0 or 1: bound as one, stored as one, and compared with `= 1` or `<>
//!   0`. What a condition selects comes back as one.
//! - Bytes are bound, never written as a literal. A new row's number comes by `RETURNING`.
//! - `"user"` is quoted, a reserved word elsewhere. Of two values the lesser is a `CASE`.
//! - Beyond standard SQL, an engine has the functions `instr` (of texts and of bytes), `substr`,
//!   `length` and `coalesce`.
//!
//! What cannot be common is the engine's: its tables, pragmas, and how it overwrites what was
//! deleted.

mod values;

use std::any::Any;

use portcullis_common::rotation::UnixMillis;

use super::RepositoryError;
pub(super) use values::{Bind, Column, FromColumn, Value};

/// The values of a statement, in their order: `params![name, to_sql_millis(now)]`.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        [$($crate::repository::sql::Bind::bind(&$value)),*]
    };
}
pub(super) use params;

/// An engine's transaction.
pub(super) trait Driver {
    /// Carries out one statement. Gives how many rows it changed.
    ///
    /// # Errors
    /// [`RepositoryError`].
    fn execute(&mut self, sql: &str, params: &[Value<'_>]) -> Result<u64, RepositoryError>;

    /// Carries out one statement for each `width` values of `params`. Gives how many rows were
    /// changed in all.
    ///
    /// # Errors
    /// [`RepositoryError`].
    fn execute_many(
        &mut self,
        sql: &str,
        width: usize,
        params: &[Value<'_>],
    ) -> Result<u64, RepositoryError>;

    /// Gives one row after the other to `each`, for as long as that says `true`.
    ///
    /// # Errors
    /// [`RepositoryError`], also that of `each`.
    fn query(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        each: &mut dyn FnMut(&Row<'_>) -> Result<bool, RepositoryError>,
    ) -> Result<(), RepositoryError>;

    /// Carries out several statements that take no values.
    ///
    /// # Errors
    /// [`RepositoryError`].
    fn batch(&mut self, sql: &str) -> Result<(), RepositoryError>;

    /// When the transaction began, by the clock of whoever stores the repository.
    ///
    /// # Errors
    /// [`RepositoryError`].
    fn now(&mut self) -> Result<UnixMillis, RepositoryError>;
}

/// A row of an engine.
pub(super) trait Columns {
    /// What stands in a column.
    ///
    /// # Errors
    /// [`RepositoryError`] where there is no such column.
    fn column(&self, index: usize) -> Result<Column<'_>, RepositoryError>;

    /// The column's name.
    fn name(&self, index: usize) -> String;
}

/// A transaction, for as long as one piece of work takes.
pub(super) struct Tx<'a> {
    driver: &'a mut dyn Driver,
    /// What the work keeps meanwhile, one of each type.
    kept: Vec<Box<dyn Any>>,
}

impl<'a> Tx<'a> {
    /// For the engine.
    pub(super) fn new(driver: &'a mut dyn Driver) -> Self {
        let kept = Vec::new();
        Self { driver, kept }
    }

    /// The time of the transaction. Whatever is compared with a time that another server may have
    /// stored goes by it: the clocks of two hosts are never compared.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) fn now(&mut self) -> Result<UnixMillis, RepositoryError> {
        self.driver.now()
    }

    /// Takes what the work has kept of this type in this transaction; where that is nothing, a new
    /// one.
    pub(super) fn take_kept<T: Default + 'static>(&mut self) -> T {
        let found = self.kept.iter().position(|kept| kept.is::<T>());
        let kept = found.map(|place| self.kept.swap_remove(place));
        let kept = kept.and_then(|kept| kept.downcast().ok());
        kept.map_or_else(T::default, |kept| *kept)
    }

    /// Keeps something until it is taken, or the transaction ends.
    pub(super) fn keep<T: 'static>(&mut self, kept: T) {
        self.kept.push(Box::new(kept));
    }

    /// Carries out a statement. Gives how many rows it changed.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) fn execute(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
    ) -> Result<u64, RepositoryError> {
        self.driver.execute(sql, params)
    }

    /// Carries out a statement for each of `rows`: one round trip on an engine that can. Gives how
    /// many rows were changed in all.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) fn execute_many<const N: usize>(
        &mut self,
        sql: &str,
        rows: &[[Value<'_>; N]],
    ) -> Result<u64, RepositoryError> {
        self.driver.execute_many(sql, N, rows.as_flattened())
    }

    /// As [`Self::execute_many`], of `width` values for each row.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) fn execute_rows(
        &mut self,
        sql: &str,
        width: usize,
        values: &[Value<'_>],
    ) -> Result<u64, RepositoryError> {
        self.driver.execute_many(sql, width, values)
    }

    /// Gives one row after the other to `each`.
    ///
    /// # Errors
    /// [`RepositoryError`], also that of `each`.
    pub(super) fn each(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        mut each: impl FnMut(&Row<'_>) -> Result<(), RepositoryError>,
    ) -> Result<(), RepositoryError> {
        self.driver
            .query(sql, params, &mut |row| each(row).map(|()| true))
    }

    /// Every row, read by `read`.
    ///
    /// # Errors
    /// [`RepositoryError`], also that of `read`.
    pub(super) fn query<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, RepositoryError>,
    ) -> Result<Vec<T>, RepositoryError> {
        let mut found = Vec::new();
        self.driver.query(sql, params, &mut |row| {
            found.push(read(row)?);
            Ok(true)
        })?;
        Ok(found)
    }

    /// The first row, read by `read`; `None`: there is none.
    ///
    /// # Errors
    /// [`RepositoryError`], also that of `read`.
    pub(super) fn query_optional<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, RepositoryError>,
    ) -> Result<Option<T>, RepositoryError> {
        let mut found = None;
        self.driver.query(sql, params, &mut |row| {
            found = Some(read(row)?);
            Ok(false)
        })?;
        Ok(found)
    }

    /// The first row, read by `read`.
    ///
    /// # Errors
    /// [`RepositoryError`], also that of `read`, and where there is none.
    pub(super) fn query_one<T>(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
        read: impl FnMut(&Row<'_>) -> Result<T, RepositoryError>,
    ) -> Result<T, RepositoryError> {
        self.query_optional(sql, params, read)?
            .ok_or_else(|| RepositoryError::Storage("Query returned no rows".to_owned()))
    }

    /// Is there any row?
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) fn exists(
        &mut self,
        sql: &str,
        params: &[Value<'_>],
    ) -> Result<bool, RepositoryError> {
        Ok(self.query_optional(sql, params, |_| Ok(()))?.is_some())
    }

    /// Carries out several statements that take no values: for migrations.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub(super) fn batch(&mut self, sql: &str) -> Result<(), RepositoryError> {
        self.driver.batch(sql)
    }
}

/// A row, for as long as it is read.
pub(super) struct Row<'a> {
    columns: &'a dyn Columns,
}

impl<'a> Row<'a> {
    /// For the engine.
    pub(super) const fn new(columns: &'a dyn Columns) -> Self {
        Self { columns }
    }

    /// What stands in a column.
    ///
    /// # Errors
    /// [`RepositoryError`] where it is of another type.
    pub(super) fn get<T: FromColumn>(&self, index: usize) -> Result<T, RepositoryError> {
        T::from_column(self.column(index)?).ok_or_else(|| self.mismatch(index))
    }

    /// What stands in a column, whatever it is.
    ///
    /// # Errors
    /// [`RepositoryError`] where there is no such column.
    pub(super) fn column(&self, index: usize) -> Result<Column<'_>, RepositoryError> {
        self.columns.column(index)
    }

    fn mismatch(&self, index: usize) -> RepositoryError {
        let kind = match self.column(index) {
            Ok(Column::Null) => "Null",
            Ok(Column::Integer(_)) => "Integer",
            Ok(Column::Text(_)) => "Text",
            Ok(Column::Blob(_)) => "Blob",
            Ok(Column::Other) | Err(_) => "Other",
        };
        let name = self.columns.name(index);
        RepositoryError::Storage(format!(
            "Invalid column type {kind} at index: {index}, name: {name}"
        ))
    }
}

/// What a piece of work comes to, whatever that is: so that the code of an engine stands in the
/// program once, and not once for each kind of work.
pub(super) type Answer = Box<dyn Any + Send>;

type Run = dyn Fn(&mut Tx<'_>) -> Result<Answer, RepositoryError> + Send;

/// What is to be done in one transaction.
pub(super) struct Work {
    run: Box<Run>,
}

impl Work {
    /// Work that comes to a `T`.
    pub(super) fn new<T, F>(work: F) -> Self
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>) -> Result<T, RepositoryError> + Send + 'static,
    {
        Self {
            run: Box::new(move |tx| Ok(Box::new(work(tx)?))),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// [`RepositoryError`]: what it changed is to be undone.
    pub(super) fn run(&self, tx: &mut Tx<'_>) -> Result<Answer, RepositoryError> {
        (self.run)(tx)
    }
}

/// What work made by [`Work::new`] came to.
///
/// # Errors
/// [`RepositoryError::Closed`] where it is no `T`, which no engine does.
pub(super) fn answer<T: 'static>(answer: Answer) -> Result<T, RepositoryError> {
    let answer = answer.downcast().map_err(|_| RepositoryError::Closed)?;
    Ok(*answer)
}
