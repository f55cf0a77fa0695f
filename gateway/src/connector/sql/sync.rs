//! What has changed: by a statement whose rows are changes, each with a number or a time that only
//! grows, beside the objects as they now are.
//!
//! Numbers are given out in another order than transactions end in, so each sync reads a little of
//! what it has read before: as far back as `overlap` says. A page that is full is gone on with
//! right after its last row.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::Sql;
use super::class::{Changes as Source, Class, Columns, DELETED, ID, section_of};
use super::engine::{Access, Column, Fault, Param, Row, Transaction, few};
use super::reading::{located, plain};
use super::statement::{Dialect, quote};
use super::truth::truth;
use crate::connector::{Changes, Context};
use crate::model::{
    CallError, Change, Failure, FailureKind, ObjectClass, ObjectId, SyncToken, Value, ValueType,
};

/// Changes that one sync hands on at the most.
const MOST: usize = 20_000;

/// A place among the changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// Of which database and class.
    of: String,
    /// The greatest number or time that was seen; none: there was no change yet.
    last: Option<Mark>,
    /// The id of the last row of a page that was full: what comes right after it has not been seen.
    after: Option<String>,
    /// Whether that id is a number: to SQLite a number and its text are not the same.
    #[serde(default)]
    after_number: bool,
    /// The greatest that there was when the first of several pages was read: what has got its
    /// number before, and is committed while they are read, is not passed over.
    #[serde(default)]
    began: Option<Mark>,
}

/// A number or a time of a change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Mark {
    Number(i64),
    /// Microseconds since 1970.
    Time(u64),
    Text(String),
}

impl Mark {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Integer(number) => Self::Number(*number),
            Value::Text(text) => Self::Text(text.clone()),
            Value::Time(time) => {
                let since = time.duration_since(UNIX_EPOCH).ok()?;
                Self::Time(u64::try_from(since.as_micros()).ok()?)
            }
            _ => return None,
        })
    }

    fn value(&self) -> Value {
        match self {
            Self::Number(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text.clone()),
            Self::Time(micros) => Value::Time(moment(*micros)),
        }
    }

    /// So far back that no change has been missed. A text is nothing to count with.
    fn back(&self, overlap: i64) -> Self {
        match self {
            Self::Number(number) => Self::Number(number.saturating_sub(overlap)),
            Self::Text(text) => Self::Text(text.clone()),
            Self::Time(micros) => {
                let overlap = u64::try_from(overlap).unwrap_or_default();
                Self::Time(micros.saturating_sub(overlap.saturating_mul(1_000_000)))
            }
        }
    }
}

fn moment(micros: u64) -> SystemTime {
    UNIX_EPOCH
        .checked_add(Duration::from_micros(micros))
        .unwrap_or(UNIX_EPOCH)
}

impl Place {
    fn read(token: &SyncToken, of: &str) -> Result<Option<Self>, Failure> {
        if token.is_empty() {
            return Ok(None);
        }
        let place: Option<Self> = serde_json::from_slice(token.as_bytes()).ok();
        place
            .filter(|place| place.of == of)
            .map(Some)
            .ok_or_else(|| {
                Failure::new(
                    FailureKind::Forgotten,
                    "the sync token is of another database or class: begin anew, with a whole read",
                )
            })
    }

    /// The id of the last row of a page that was full, as the database has it.
    fn after(&self, column: ValueType) -> Option<Param> {
        let after = self.after.as_ref()?;
        let is_number = self.after_number || column == ValueType::Integer;
        let number = after.parse().ok().filter(|_| is_number);
        Some(number.map_or_else(
            || Param::text(after),
            |number| Param::Value(Value::Integer(number)),
        ))
    }

    fn token(&self) -> Result<SyncToken, Failure> {
        let bytes =
            serde_json::to_vec(self).map_err(|error| Failure::internal(error.to_string()))?;
        SyncToken::new(bytes).ok_or_else(|| Failure::internal("the sync token is too long"))
    }
}

impl Sql {
    pub(super) async fn sync_objects(
        &self,
        cx: &Context,
        class: ObjectClass,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        let class = self.class(class)?;
        let Some(source) = &class.changes else {
            return Err(Failure::unsupported(format!(
                "[connectors.{}.{}] has no statement `changes`, which would tell what has changed",
                self.name,
                section_of(class.class)
            ))
            .into());
        };
        let of = format!("{} {}", self.engine.place(), class.class);
        let place = Place::read(token, &of)?;
        let mut transaction = self.begin(cx, Access::Read).await?;
        let syncing = Syncing {
            sql: self,
            class,
            source,
            of,
        };
        let next = match place {
            None => syncing.first(&mut *transaction).await,
            Some(place) => syncing.since(&mut *transaction, place, changes).await,
        };
        transaction.rollback().await;
        Ok(next?.token()?)
    }
}

/// The columns of the statement of the configuration.
struct Shape {
    change: Column,
    id: Column,
    deleted: Option<Column>,
}

impl Shape {
    /// What changes are ordered by and compared with: texts by their bytes, as they are here,
    /// whatever the order of the database's language.
    fn mark(&self, dialect: Dialect, table: &str, column: &str) -> String {
        let plain = format!("{table}{}", quote(column));
        match (dialect, self.change.value_type) {
            (Dialect::Postgres, ValueType::Text) => format!("{plain}::text COLLATE \"C\""),
            // A column may have its own order there, of whatever type it is.
            (Dialect::Sqlite, _) => format!("{plain} COLLATE BINARY"),
            (Dialect::Postgres, _) => plain,
        }
    }

    fn by(&self, dialect: Dialect) -> String {
        self.mark(dialect, "", &self.change.name)
    }
}

struct Syncing<'a> {
    sql: &'a Sql,
    class: &'a Class,
    source: &'a Source,
    of: String,
}

impl Syncing<'_> {
    /// Where now is.
    async fn first(&self, transaction: &mut dyn Transaction) -> Result<Place, CallError> {
        let shape = self.shape(transaction).await?;
        Ok(Place {
            of: self.of.clone(),
            last: self.greatest(transaction, &shape).await?,
            after: None,
            after_number: false,
            began: None,
        })
    }

    async fn shape(&self, transaction: &mut dyn Transaction) -> Result<Shape, CallError> {
        let described = transaction.describe(&self.source.statement.sql, &[]).await;
        let mut found = described.map_err(Fault::not_committed)?;
        let mut named = |name: &str| {
            let place = found.iter().position(|column| column.name == name);
            place.map(|place| found.swap_remove(place))
        };
        let (change, id, deleted) = (named("change"), named(ID), named(DELETED));
        let (Some(change), Some(id)) = (change, id) else {
            return Err(Failure::internal(format!(
                "[connectors.{}.{}] changes: it needs the columns `change` and `id`, and takes `deleted`",
                self.sql.name,
                section_of(self.class.class)
            ))
            .into());
        };
        Ok(Shape {
            change,
            id,
            deleted,
        })
    }

    async fn greatest(
        &self,
        transaction: &mut dyn Transaction,
        shape: &Shape,
    ) -> Result<Option<Mark>, CallError> {
        let expression = &shape.change.expression;
        let sql = format!(
            "SELECT {expression} FROM ({}) AS seen WHERE {expression} IS NOT NULL ORDER BY {} DESC LIMIT 1",
            self.source.statement.sql,
            shape.by(self.sql.dialect()),
        );
        let columns = [shape.change.clone()];
        let rows = few(transaction, &sql, &[], &columns, 1).await;
        let rows = rows.map_err(Fault::not_committed)?;
        let value = rows.first().and_then(|row| row.first()?.first());
        if let Some(Value::Text(text)) = value
            && text.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(Failure::internal(format!(
                "[connectors.{}.{}] changes: `change` is a number as text, of which 10 comes before 9; select it as a number, with `CAST(… AS bigint)`",
                self.sql.name,
                section_of(self.class.class)
            ))
            .into());
        }
        Ok(value.and_then(Mark::of))
    }

    async fn since(
        &self,
        transaction: &mut dyn Transaction,
        place: Place,
        changes: &mut Changes,
    ) -> Result<Place, CallError> {
        let shape = self.shape(transaction).await?;
        let greatest = self.greatest(transaction, &shape).await?;
        if greatest < place.last {
            return Err(Failure::new(
                FailureKind::Forgotten,
                "the database knows no change as late as the last one that was seen: it was put back to an earlier state, or its changes were removed. Begin anew, with a whole read",
            )
            .into());
        }
        let columns = self.class.columns(transaction).await;
        let columns = columns.map_err(Fault::not_committed)?;
        let most = changes.room().clamp(1, MOST);
        let (sql, params) = self.statement(&shape, &columns, &place, most);
        let selected = selected(&shape, &columns);
        let rows = transaction.open(&sql, &params, &selected).await;
        let mut rows = rows.map_err(Fault::not_committed)?;
        let began = place.began.clone();
        let mut next = Place {
            after: None,
            after_number: false,
            began: None,
            ..place
        };
        let mut count = 0;
        while let Some(row) = rows.next().await.map_err(Fault::not_committed)? {
            count += 1;
            let (mark, (id, is_number), change) =
                self.change(&columns, row).map_err(Fault::not_committed)?;
            changes.push(change).await?;
            // What was read again may be older than what had been seen.
            next.last = next.last.max(Some(mark.clone()));
            if count == most {
                changes.more();
                next.last = Some(mark);
                next.after = Some(id);
                next.after_number = is_number;
                next.began = began.or(greatest);
                return Ok(next);
            }
        }
        if began.is_some() {
            next.last = next.last.min(began);
        }
        Ok(next)
    }

    fn statement(
        &self,
        shape: &Shape,
        columns: &Columns,
        place: &Place,
        most: usize,
    ) -> (String, Vec<Param>) {
        let dialect = self.sql.dialect();
        let mut params = Vec::new();
        let change = shape.by(dialect);
        let condition = match (&place.last, place.after(shape.id.value_type)) {
            (None, _) => String::new(),
            (Some(last), None) => {
                params.push(Param::Value(last.back(self.source.overlap).value()));
                format!(" WHERE {change} >= {}", dialect.parameter(1))
            }
            (Some(last), Some(after)) => {
                params.push(Param::Value(last.value()));
                params.push(after);
                let (first, second) = (dialect.parameter(1), dialect.parameter(2));
                format!(" WHERE ({change}, {}) > ({first}, {second})", quote(ID))
            }
        };
        let deleted = match &shape.deleted {
            Some(deleted) => deleted.expression.clone(),
            None => "FALSE".to_owned(),
        };
        let objects = columns.all.iter();
        let objects: Vec<_> = objects
            .map(|column| format!("{} AS {}", column.expression, quote(&column.name)))
            .collect();
        let names = columns.all.iter();
        let names: Vec<_> = names
            .map(|column| format!("object.{}", quote(&column.name)))
            .collect();
        let sql = format!(
            "SELECT seen.change_mark, seen.change_id, seen.is_deleted, {names} FROM \
             (SELECT {mark} AS change_mark, {id} AS change_id, {deleted} AS is_deleted, \
             {change} AS by_mark, {raw} AS by_id FROM ({source}) AS changes{condition} \
             ORDER BY {change}, {raw} LIMIT {most}) AS seen \
             LEFT JOIN ({objects}) AS object ON object.{raw} = seen.change_id \
             ORDER BY {by_mark}, seen.by_id",
            by_mark = shape.mark(dialect, "seen.", "by_mark"),
            names = names.join(", "),
            mark = shape.change.expression,
            id = shape.id.expression,
            raw = quote(ID),
            source = self.source.statement.sql,
            objects = self.class.wrapped(&objects.join(", ")),
        );
        (sql, params)
    }

    fn change(&self, columns: &Columns, row: Row) -> Result<(Mark, (String, bool), Change), Fault> {
        let unusable = || {
            Fault::refused(
                FailureKind::Rejected,
                "a row of `changes` has no `change` or no `id`, or one of a type that it cannot be",
            )
        };
        let mut cells = row.into_iter();
        let mut single = || cells.next().and_then(|cell| cell.into_iter().next());
        let mark = single().as_ref().and_then(Mark::of).ok_or_else(unusable)?;
        let id = single();
        let is_number = matches!(id, Some(Value::Integer(_)));
        let id = id.as_ref().and_then(plain).ok_or_else(unusable)?;
        let deleted = single().map_or(Ok(false), |value| truth(&value, DELETED));
        let deleted = deleted.map_err(|what| {
            let message = format!("a row of `changes` has {what}");
            Fault::refused(FailureKind::Rejected, message)
        })?;
        let object: Row = cells.collect();
        let is_there = object.first().is_some_and(|cell| !cell.is_empty());
        let change = if deleted || !is_there {
            Change::Gone {
                class: self.class.class,
                id: ObjectId::new(id.as_str()).map_err(|_| unusable())?,
                name: None,
            }
        } else {
            let object = located(self.class, columns, object)?.object;
            Change::Present(Box::new(object))
        };
        Ok((mark, (id, is_number), change))
    }
}

/// The columns of the joined statement.
fn selected(shape: &Shape, columns: &Columns) -> Vec<Column> {
    let deleted = Column {
        value_type: ValueType::Boolean,
        ..shape.deleted.clone().unwrap_or_else(|| shape.id.clone())
    };
    let before = [shape.change.clone(), shape.id.clone(), deleted];
    before
        .into_iter()
        .chain(columns.all.iter().cloned())
        .collect()
}
