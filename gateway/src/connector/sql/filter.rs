//! From a typed filter to a condition of SQL: columns in quotes, values bound, never written.
//!
//! It finds what [`Filter::matches`] finds: text is compared byte by byte, an attribute without a
//! value never matches, and a value of another type never does.

use portcullis_host::nearest::nearest_first;

use super::class::{Columns, ENABLED, ID, NAME};
use super::engine::{Column, Param};
use super::statement::{Dialect, quote};
use super::truth::{FALSE, TRUE};
use crate::model::{Comparison, Failure, Filter, FilterOperation, Value, ValueType};

/// A condition that never holds, and one that always does.
const NEVER: &str = "1 = 0";
const ALWAYS: &str = "1 = 1";

/// Builds conditions, and collects what is to be bound.
pub(super) struct Conditions<'a> {
    dialect: Dialect,
    columns: &'a Columns,
    pub(super) params: Vec<Param>,
}

impl<'a> Conditions<'a> {
    pub(super) fn new(dialect: Dialect, columns: &'a Columns) -> Self {
        Self {
            dialect,
            columns,
            params: Vec::new(),
        }
    }

    /// Binds a value; answers its parameter.
    pub(super) fn bind(&mut self, param: Param) -> String {
        self.params.push(param);
        self.dialect.parameter(self.params.len())
    }

    /// The condition that a filter is.
    ///
    /// # Errors
    /// [`Failure`] where it names an attribute that there is not.
    pub(super) fn of(&mut self, filter: &Filter) -> Result<String, Failure> {
        match filter {
            Filter::Comparison(comparison) => self.comparison(comparison),
            Filter::All(filters) => self.joined(filters, " AND ", ALWAYS),
            Filter::Any(filters) => self.joined(filters, " OR ", NEVER),
            // What is unknown to SQL does not hold here.
            Filter::Not(filter) => Ok(format!("(({}) IS NOT TRUE)", self.of(filter)?)),
        }
    }

    fn joined(&mut self, filters: &[Filter], by: &str, empty: &str) -> Result<String, Failure> {
        let conditions = filters.iter().map(|filter| self.of(filter));
        let conditions = conditions.collect::<Result<Vec<_>, _>>()?;
        if conditions.is_empty() {
            return Ok(empty.to_owned());
        }
        Ok(format!("({})", conditions.join(by)))
    }

    fn comparison(&mut self, comparison: &Comparison) -> Result<String, Failure> {
        let asked = comparison.attribute.as_str();
        let column = match asked {
            "__id__" => self.columns.named(ID),
            "__name__" => self.columns.named(NAME),
            "__enabled__" => match self.columns.named(ENABLED) {
                None => return Ok(NEVER.to_owned()),
                found => found,
            },
            name => {
                let mut attributes = self.columns.attributes().iter();
                attributes.find(|column| column.name == name)
            }
        };
        let Some(column) = column else {
            let known = self.columns.attributes().iter();
            return Err(Failure::unsupported(format!(
                "there is no attribute `{asked}` to search for; there are {}",
                nearest_first(asked, known.map(|column| column.name.as_str()))
            )));
        };
        let Some(value) = &comparison.value else {
            return Ok(self.present(column));
        };
        if comparison.operation == FilterOperation::Present {
            return Ok(self.present(column));
        }
        Ok(match asked {
            "__id__" => self.id(column, comparison.operation, value),
            "__name__" => self.text(&self.operand(column), comparison.operation, value),
            "__enabled__" => self.enabled(column, comparison.operation, value),
            _ if column.is_list => self.list(column, comparison.operation, value),
            _ => self.single(column, comparison.operation, value),
        })
    }

    fn present(&self, column: &Column) -> String {
        let quoted = quote(&column.name);
        match (column.is_list, self.dialect) {
            (false, _) => format!("{quoted} IS NOT NULL"),
            (true, Dialect::Postgres) => format!("cardinality({quoted}) > 0"),
            (true, Dialect::Sqlite) => format!("json_array_length({quoted}) > 0"),
        }
    }

    /// What a column is compared by: its text as it is read, anything else as it is, so that an
    /// index of it serves.
    fn operand(&self, column: &Column) -> String {
        match column.value_type {
            ValueType::Text | ValueType::Time => column.expression.clone(),
            _ => quote(&column.name),
        }
    }

    fn id(&mut self, column: &Column, operation: FilterOperation, value: &Value) -> String {
        match (value, operation) {
            (Value::Text(id), FilterOperation::Equals) => self.id_is(column, id),
            _ => {
                let text = match self.dialect {
                    Dialect::Postgres => format!("{}::text", quote(&column.name)),
                    Dialect::Sqlite => format!("CAST({} AS TEXT)", quote(&column.name)),
                };
                self.text(&text, operation, value)
            }
        }
    }

    /// That the id is this one, in the column's own type.
    pub(super) fn id_is(&mut self, column: &Column, id: &str) -> String {
        let quoted = quote(&column.name);
        let number = id.parse::<i64>().ok();
        let number = number.filter(|number| number.to_string() == id);
        match (self.dialect, column.value_type, number) {
            (Dialect::Postgres, ValueType::Integer, None) => NEVER.to_owned(),
            (Dialect::Postgres, ValueType::Integer, Some(number)) => {
                let bound = self.bind(Param::Value(Value::Integer(number)));
                format!("{quoted} = {bound}::int8")
            }
            (Dialect::Postgres, ..) => {
                let bound = self.bind(Param::text(id));
                format!("{quoted} = {bound}")
            }
            (Dialect::Sqlite, _, None) => {
                let bound = self.bind(Param::text(id));
                format!("{quoted} = {bound}")
            }
            // A column without a type compares a text with a number as unequal.
            (Dialect::Sqlite, _, Some(number)) => {
                let text = self.bind(Param::text(id));
                let number = self.bind(Param::Value(Value::Integer(number)));
                format!("{quoted} IN ({text}, {number})")
            }
        }
    }

    /// A text counts as it is read: see `truth`.
    fn enabled(&mut self, column: &Column, operation: FilterOperation, value: &Value) -> String {
        let (Value::Boolean(wanted), FilterOperation::Equals) = (value, operation) else {
            return NEVER.to_owned();
        };
        let quoted = quote(ENABLED);
        if column.value_type != ValueType::Text {
            let bound = self.bound(value);
            return format!("{quoted} = {bound}");
        }
        let (words, sign) = if *wanted { (TRUE, "<>") } else { (FALSE, "=") };
        let words = words.map(|word| format!("'{word}'")).join(", ");
        match self.dialect {
            Dialect::Postgres => format!("lower(btrim({quoted}::text)) IN ({words})"),
            // An expression has no type there, and may be a number.
            Dialect::Sqlite => format!(
                "CASE typeof({quoted}) WHEN 'integer' THEN {quoted} {sign} 0 ELSE lower(trim({quoted})) IN ({words}) END"
            ),
        }
    }

    fn single(&mut self, column: &Column, operation: FilterOperation, value: &Value) -> String {
        if !comparable(self.dialect, column.value_type, value) {
            return NEVER.to_owned();
        }
        let operand = self.operand(column);
        let typed = self.dialect == Dialect::Postgres || column.value_type == value.value_type();
        self.of_type(typed, &operand, operation, value)
    }

    fn list(&mut self, column: &Column, operation: FilterOperation, value: &Value) -> String {
        if !comparable(self.dialect, column.value_type, value) {
            return NEVER.to_owned();
        }
        let typed = self.dialect == Dialect::Postgres;
        let holds = self.of_type(typed, "element.value", operation, value);
        let elements = match self.dialect {
            Dialect::Postgres => format!("unnest({}) AS element(value)", column.expression),
            Dialect::Sqlite => format!("json_each({}) AS element", quote(&column.name)),
        };
        format!("EXISTS (SELECT 1 FROM {elements} WHERE {holds})")
    }

    /// Where the operand's type is not known, SQLite may take a number and its text for equal.
    fn of_type(
        &mut self,
        typed: bool,
        operand: &str,
        operation: FilterOperation,
        value: &Value,
    ) -> String {
        let holds = self.holds(operand, operation, value);
        let stored = match value.value_type() {
            _ if typed => return holds,
            ValueType::Integer => "integer",
            ValueType::Real => "real",
            ValueType::Binary => "blob",
            _ => "text",
        };
        format!("(typeof({operand}) = '{stored}' AND {holds})")
    }

    fn holds(&mut self, operand: &str, operation: FilterOperation, value: &Value) -> String {
        if matches!(value, Value::Text(_)) {
            return self.text(operand, operation, value);
        }
        let sign = match operation {
            FilterOperation::Equals => "=",
            FilterOperation::LessOrEqual if is_ordered(value) => "<=",
            FilterOperation::GreaterOrEqual if is_ordered(value) => ">=",
            _ => return NEVER.to_owned(),
        };
        let bound = self.bound(value);
        format!("{operand} {sign} {bound}")
    }

    fn text(&mut self, operand: &str, operation: FilterOperation, value: &Value) -> String {
        let Value::Text(wanted) = value else {
            return NEVER.to_owned();
        };
        if wanted.is_empty()
            && matches!(
                operation,
                FilterOperation::StartsWith | FilterOperation::EndsWith | FilterOperation::Contains
            )
        {
            return format!("{operand} IS NOT NULL");
        }
        let bound = self.bound(value);
        let bytes = match self.dialect {
            Dialect::Postgres => "COLLATE \"C\"",
            Dialect::Sqlite => "COLLATE BINARY",
        };
        match (operation, self.dialect) {
            // Collations that take different texts for equal are not the default of PostgreSQL.
            (FilterOperation::Equals, Dialect::Postgres) => format!("{operand} = {bound}"),
            (FilterOperation::Equals, Dialect::Sqlite) => format!("{operand} {bytes} = {bound}"),
            (FilterOperation::LessOrEqual, _) => format!("{operand} {bytes} <= {bound}"),
            (FilterOperation::GreaterOrEqual, _) => format!("{operand} {bytes} >= {bound}"),
            (FilterOperation::StartsWith, Dialect::Postgres) => {
                format!("starts_with({operand}, {bound})")
            }
            (FilterOperation::EndsWith, Dialect::Postgres) => {
                format!("right({operand}, char_length({bound})) {bytes} = {bound}")
            }
            (FilterOperation::Contains, Dialect::Postgres) => {
                format!("strpos({operand}, {bound}) > 0")
            }
            (FilterOperation::StartsWith, Dialect::Sqlite) => {
                format!("substr({operand}, 1, length({bound})) {bytes} = {bound}")
            }
            (FilterOperation::EndsWith, Dialect::Sqlite) => {
                format!("substr({operand}, -length({bound})) {bytes} = {bound}")
            }
            (FilterOperation::Contains, Dialect::Sqlite) => {
                format!("instr({operand}, {bound}) > 0")
            }
            (FilterOperation::Present, _) => format!("{operand} IS NOT NULL"),
        }
    }

    /// A parameter with the type of its value.
    fn bound(&mut self, value: &Value) -> String {
        let parameter = self.bind(Param::Value(value.clone()));
        if self.dialect == Dialect::Sqlite {
            return parameter;
        }
        let target = match value.value_type() {
            ValueType::Text | ValueType::Secret => "text",
            ValueType::Integer => "int8",
            ValueType::Boolean => "bool",
            ValueType::Binary => "bytea",
            ValueType::Real => "float8",
            ValueType::Time => "timestamptz",
        };
        format!("{parameter}::{target}")
    }
}

fn is_ordered(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Real(_) | Value::Time(_))
}

/// Whether values of a column of this type can be equal to the value. A secret never takes part.
fn comparable(dialect: Dialect, column: ValueType, value: &Value) -> bool {
    let value = value.value_type();
    match dialect {
        _ if value == ValueType::Secret => false,
        Dialect::Postgres => column == value,
        // An expression has no type there; only columns declared so have truth values.
        Dialect::Sqlite => {
            column == value
                || (column == ValueType::Text
                    && !matches!(value, ValueType::Boolean | ValueType::Time))
        }
    }
}
