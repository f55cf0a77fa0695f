//! Reads objects: one by its id or name, or pages of all that meet a condition.

use std::sync::Arc;

use super::Sql;
use super::class::{Class, Columns, ENABLED, NAME, id_column};
use super::engine::{Access, Fault, Param, Query, Row, Transaction, few};
use super::filter::Conditions;
use super::listed::list;
use super::statement::{Dialect, quote};
use super::truth::truth;
use crate::connector::{Context, Found};
use crate::model::{
    Attribute, AttributeName, CallError, Cookie, Failure, FailureKind, Identity, Object, ObjectId,
    ObjectName, ObjectRef, Search, Selector, Value,
};

/// Objects of one page where the caller sets no limit.
const PAGE: usize = 10_000;

/// An object with its id as the database has it.
pub(super) struct Located {
    pub(super) object: Object,
    pub(super) id: Value,
}

/// How an object is read.
pub(super) struct Asking {
    pub(super) query: Query,
    columns: Arc<Columns>,
}

impl Asking {
    /// Two rows are enough to know that there is more than one.
    pub(super) const MOST: usize = 2;

    /// Of the object that a call names; `None`: no object has such an id.
    pub(super) async fn of(
        transaction: &mut dyn Transaction,
        dialect: Dialect,
        class: &Class,
        wanted: &ObjectRef,
    ) -> Result<Option<Self>, Fault> {
        let columns = class.columns(transaction).await?;
        let mut conditions = Conditions::new(dialect, &columns);
        let condition = match (&wanted.by, columns.id()) {
            (Selector::Id(id), Some(column)) => conditions.id_is(column, id.as_str()),
            (Selector::Name(name), _) => {
                let bound = conditions.bind(Param::text(name.as_str()));
                format!("{} = {bound}", quote(NAME))
            }
            (Selector::Id(_), None) => return Ok(None),
        };
        let most = Self::MOST;
        let sql = format!(
            "{} WHERE {condition} LIMIT {most}",
            class.selected(&columns)
        );
        let query = Query {
            sql,
            params: conditions.params,
            columns: columns.all.clone(),
        };
        Ok(Some(Self { query, columns }))
    }

    /// The object that these rows are; `None`: there is none.
    pub(super) fn found(
        &self,
        class: &Class,
        wanted: &ObjectRef,
        rows: Result<Vec<Row>, Fault>,
    ) -> Result<Option<Located>, Fault> {
        let rows = match rows {
            Ok(rows) => rows,
            // An id that the column's type cannot be is nobody's.
            Err(fault) if fault.is_invalid() => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let mut rows = rows.into_iter();
        match (rows.next(), rows.next()) {
            (None, _) => Ok(None),
            (Some(row), None) => located(class, &self.columns, row).map(Some),
            (Some(_), Some(_)) => Err(Fault::refused(
                FailureKind::Rejected,
                format!(
                    "`read` has more than one row for {wanted}: ids and names have to be unique"
                ),
            )),
        }
    }
}

/// The object that a call names; `None`: there is none.
pub(super) async fn find(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    class: &Class,
    wanted: &ObjectRef,
) -> Result<Option<Located>, Fault> {
    let Some(asking) = Asking::of(transaction, dialect, class, wanted).await? else {
        return Ok(None);
    };
    let Query {
        sql,
        params,
        columns,
    } = &asking.query;
    let rows = few(transaction, sql, params, columns, Asking::MOST).await;
    asking.found(class, wanted, rows)
}

/// The same, where there has to be one.
pub(super) async fn locate(
    transaction: &mut dyn Transaction,
    dialect: Dialect,
    class: &Class,
    wanted: &ObjectRef,
) -> Result<Located, Fault> {
    find(transaction, dialect, class, wanted)
        .await?
        .ok_or_else(|| {
            Fault::refused(
                FailureKind::NotFound,
                format!("there is no {}", wanted.sought()),
            )
        })
}

/// The object that a row is.
pub(super) fn located(class: &Class, columns: &Columns, row: Row) -> Result<Located, Fault> {
    let unusable = |what: &str| unusable(class, what);
    let mut cells = row.into_iter();
    let mut single = || cells.next().and_then(|cell| cell.into_iter().next());
    let id = single().ok_or_else(|| unusable("no id"))?;
    let name = single().ok_or_else(|| unusable("no name"))?;
    let enabled = if columns.has_enabled {
        let truth = single().map_or(Ok(false), |value| truth(&value, ENABLED));
        Some(truth.map_err(|what| unusable(&what))?)
    } else {
        None
    };
    let identity = Identity {
        class: class.class,
        id: plain(&id)
            .and_then(|text| ObjectId::new(text).ok())
            .ok_or_else(|| unusable("an id that no object can have"))?,
        name: plain(&name)
            .and_then(|text| ObjectName::new(text).ok())
            .ok_or_else(|| unusable("a name that no object can have"))?,
    };
    let attributes = columns.attributes().iter().zip(cells);
    let attributes = attributes.filter(|(_, values)| !values.is_empty());
    let attributes = attributes.filter_map(|(column, values)| {
        Some(Attribute {
            name: AttributeName::new(column.name.as_str()).ok()?,
            values,
        })
    });
    Ok(Located {
        object: Object {
            attributes: attributes.collect(),
            identity,
            enabled,
        },
        id,
    })
}

/// A row that is no object, having this.
pub(super) fn unusable(class: &Class, what: &str) -> Fault {
    Fault::refused(
        FailureKind::Rejected,
        format!("a row of `read` for the class {} has {what}", class.class),
    )
}

/// The text of an id or a name.
pub(super) fn plain(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

impl Sql {
    pub(super) async fn read_object(
        &self,
        cx: &Context,
        wanted: &ObjectRef,
    ) -> Result<Object, CallError> {
        let class = self.class(wanted.class)?;
        let mut transaction = self.begin(cx, Access::Read).await?;
        let found = locate(&mut *transaction, self.dialect(), class, wanted).await;
        transaction.rollback().await;
        Ok(found.map_err(Fault::not_committed)?.object)
    }

    pub(super) async fn search_objects(
        &self,
        cx: &Context,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        let class = self.class(search.class)?;
        let mut transaction = self.begin(cx, Access::Read).await?;
        let page = self.page(&mut *transaction, class, search, found).await;
        transaction.rollback().await;
        page
    }

    async fn page(
        &self,
        transaction: &mut dyn Transaction,
        class: &Class,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        let columns = class.columns(transaction).await;
        let columns = columns.map_err(Fault::not_committed)?;
        let most = search.page_size.unwrap_or(PAGE);
        let (sql, params) = self.paged(class, &columns, search, most)?;
        let rows = transaction.open(&sql, &params, &columns.all).await;
        let mut rows = rows.map_err(Fault::not_committed)?;
        if found.wants_digests() {
            let last = list(&mut *rows, class, (&columns, search), most, found).await?;
            return last.as_ref().map_or(Ok(Cookie::default()), cookie);
        }
        let (mut last, mut count) = (None, 0);
        while let Some(row) = rows.next().await.map_err(Fault::not_committed)? {
            if count == most {
                return last
                    .as_ref()
                    .map(cookie)
                    .unwrap_or_else(|| Ok(Cookie::default()));
            }
            count += 1;
            let mut next = located(class, &columns, row).map_err(Fault::not_committed)?;
            next.object.retain(&search.attributes);
            last = Some(next.id);
            found.push(next.object).await?;
        }
        Ok(Cookie::default())
    }

    /// The statement of one page, which asks for one row more, to know whether there is another.
    fn paged(
        &self,
        class: &Class,
        columns: &Columns,
        search: &Search,
        most: usize,
    ) -> Result<(String, Vec<Param>), Failure> {
        let mut conditions = Conditions::new(self.dialect(), columns);
        let mut all = Vec::new();
        if let Some(filter) = &search.filter {
            all.push(conditions.of(filter)?);
        }
        if !search.cookie.is_empty() {
            let after = after(&search.cookie)?;
            let bound = conditions.bind(Param::Value(after));
            all.push(format!("{} > {bound}", id_column()));
        }
        let condition = match all.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", all.join(" AND ")),
        };
        let sql = format!(
            "{}{condition} ORDER BY {} LIMIT {}",
            class.selected(columns),
            id_column(),
            most.saturating_add(1)
        );
        Ok((sql, conditions.params))
    }
}

/// Where the next page starts: after this id.
fn cookie(id: &Value) -> Result<Cookie, CallError> {
    let text = match id {
        Value::Integer(number) => format!("i{number}"),
        Value::Text(text) => format!("t{text}"),
        _ => String::new(),
    };
    let cookie = Cookie::new(text.into_bytes());
    cookie.ok_or_else(|| Failure::rejected("an id is too long to go on after it").into())
}

fn after(cookie: &Cookie) -> Result<Value, Failure> {
    let unknown =
        || Failure::invalid("the search cookie is none of this connector's: start the search anew");
    let text = std::str::from_utf8(cookie.as_bytes()).map_err(|_| unknown())?;
    match text.split_at_checked(1) {
        Some(("i", number)) => number.parse().map(Value::Integer).map_err(|_| unknown()),
        Some(("t", text)) => Ok(Value::Text(text.to_owned())),
        _ => Err(unknown()),
    }
}
