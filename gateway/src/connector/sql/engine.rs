//! What the verbs need of a database: transactions in which statements run, and faults that say
//! whose concern they are. One implementation for each engine.

use std::fmt;
use std::path::Path;

use tonic::async_trait;
use zeroize::Zeroizing;

use super::statement::Dialect;
use crate::connector::Context;
pub(super) use crate::connector::listing::Seen;
use crate::model::{CallError, Failure, FailureKind, Native, Password, Value, ValueType};

/// Bytes of a text of the target that reach the caller.
const MOST_TEXT: usize = 600;

/// What a parameter of a statement stands for. It has no `Debug` that shows it: it may be a secret.
#[derive(Clone)]
pub(super) enum Param {
    Null,
    Value(Value),
    /// A password, or its hash.
    Secret(Zeroizing<Vec<u8>>),
}

impl Param {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Value(Value::Text(text.into()))
    }

    pub(super) fn secret(bytes: &[u8]) -> Self {
        Self::Secret(Zeroizing::new(bytes.to_vec()))
    }
}

impl fmt::Debug for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Param")
    }
}

/// The values in one column of a row: none is NULL, and only a list has several.
pub(super) type Cell = Vec<Value>;

/// One row.
pub(super) type Row = Vec<Cell>;

/// The values in one column of a row that is not taken apart.
#[derive(Debug)]
pub(super) enum SeenCell<'a> {
    None,
    One(Seen<'a>),
    List(Vec<Seen<'a>>),
}

impl<'a> SeenCell<'a> {
    /// The first of them.
    pub(super) fn first(self) -> Option<Seen<'a>> {
        match self {
            Self::None => None,
            Self::One(seen) => Some(seen),
            Self::List(all) => all.into_iter().next(),
        }
    }
}

/// A row that is not taken apart.
pub(super) trait Cells {
    /// The values in the column with this number, from 0.
    fn cell(&self, place: usize) -> Result<SeenCell<'_>, Fault>;
}

impl Cells for Row {
    fn cell(&self, place: usize) -> Result<SeenCell<'_>, Fault> {
        let cell = self.get(place).map(Vec::as_slice).unwrap_or_default();
        Ok(match cell {
            [] => SeenCell::None,
            [value] => Seen::of(value).map_or(SeenCell::None, SeenCell::One),
            values => SeenCell::List(values.iter().filter_map(Seen::of).collect()),
        })
    }
}

/// A column of what a statement reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) value_type: ValueType,
    /// Whether it holds a list of values.
    pub(super) is_list: bool,
    /// How it is selected, so that the engine's side of this program can read it.
    pub(super) expression: String,
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Change,
}

/// Whose concern a fault is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    /// The target answered, and said no.
    Refused(FailureKind),
    /// The target gave the transaction up in favour of another: it may be begun again.
    Again,
    /// No answer came, or none that makes sense.
    Cut,
}

/// Why something was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) cause: Cause,
    /// The target's own code (SQLSTATE, or SQLite's extended one) and words.
    pub(super) native: Option<Native>,
    pub(super) message: String,
}

impl Fault {
    pub(super) fn refused(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            cause: Cause::Refused(kind),
            native: None,
            message: message.into(),
        }
    }

    pub(super) fn cut(message: impl Into<String>) -> Self {
        Self {
            cause: Cause::Cut,
            native: None,
            message: message.into(),
        }
    }

    /// That the time of the call is over.
    pub(super) fn late() -> Self {
        Self::cut("the database did not answer in the time that the call may take")
    }

    /// The target's own code.
    pub(super) fn code(&self) -> Option<&str> {
        self.native.as_ref().map(Native::code)
    }

    pub(super) fn is_invalid(&self) -> bool {
        self.cause == Cause::Refused(FailureKind::Invalid)
    }

    /// The answer to a call whose transaction was not committed, and never will be.
    pub(super) fn not_committed(self) -> Failure {
        let kind = match self.cause {
            Cause::Refused(kind) => kind,
            Cause::Again => FailureKind::Busy,
            Cause::Cut => FailureKind::Unavailable,
        };
        Failure {
            native: self.native,
            ..Failure::new(kind, self.message)
        }
    }

    /// The answer to a call whose COMMIT was sent.
    pub(super) fn at_commit(self) -> CallError {
        match self.cause {
            Cause::Cut => CallError::Indeterminate(format!(
                "the answer to COMMIT did not come: {}",
                self.message
            )),
            Cause::Refused(_) | Cause::Again => self.not_committed().into(),
        }
    }

    /// The same without what must not be shown.
    pub(super) fn without(mut self, secret: Option<&Password>) -> Self {
        let secret = secret.and_then(|secret| std::str::from_utf8(secret.expose()).ok());
        let Some(secret) = secret else {
            return self;
        };
        // As it is, as it stands in the message and as it does in the native text.
        let native = Native::new("", secret);
        let forms =
            [secret, &*shown(secret), native.text()].map(|it| Zeroizing::new(it.to_owned()));
        let hide = |text: &str| {
            let hide = |text: String, form: &Zeroizing<String>| text.replace(form.as_str(), "***");
            let forms = forms.iter().filter(|form| !form.is_empty());
            forms.fold(text.to_owned(), hide)
        };
        self.message = hide(&self.message);
        let native = self.native.take();
        self.native = native.map(|native| Native::new(native.code(), &hide(native.text())));
        self
    }
}

/// How a call is noted in a ledger: the statement adds one row, or none where it is there already.
pub(super) struct Note {
    pub(super) sql: String,
    pub(super) params: Vec<Param>,
}

/// Why a transaction that was to be committed was perhaps not.
pub(super) struct Unfinished {
    pub(super) fault: Fault,
    /// Whether it may be committed, as far as the gateway knows.
    pub(super) perhaps: bool,
}

impl Unfinished {
    pub(super) const fn at_commit(fault: Fault) -> Self {
        let perhaps = true;
        Self { fault, perhaps }
    }

    pub(super) const fn before(fault: Fault) -> Self {
        let perhaps = false;
        Self { fault, perhaps }
    }
}

/// A text of the target as it may be shown: in one line, and not endless.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        if shown.len() >= MOST_TEXT {
            shown.push('…');
            break;
        }
        let blank = c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        shown.push(if blank { ' ' } else { c });
    }
    shown
}

/// A database.
#[async_trait]
pub(super) trait Engine: fmt::Debug + Send + Sync {
    fn dialect(&self) -> Dialect;

    /// Which database it is, for people and for telling it from others.
    fn place(&self) -> &str;

    /// Begins a transaction.
    async fn begin(&self, cx: &Context, access: Access) -> Result<Box<dyn Transaction>, Fault>;

    /// What keeps it from being opened, as far as this host tells; nothing is asked of the target.
    fn faults(&self, owner_of: Option<&Path>) -> Vec<String>;

    /// An administrator asks: a password that was refused may be tried once more.
    fn try_again(&self) {}

    /// Lets go of what is not in use.
    async fn close(&self);

    /// Gives the gateway's own user a new password.
    async fn renew_password(&self, _: &Context, _new: &Password) -> Result<(), CallError> {
        Err(no_password())
    }

    /// Whether the database lets the gateway's own user in by this password. Where it does, no
    /// [`renew_password`](Self::renew_password) is under way any more.
    async fn takes_password(&self, _: &Context, _tried: &Password) -> Result<bool, CallError> {
        Err(no_password())
    }
}

/// A transaction. One that is dropped is rolled back, and so is the target's side of it.
#[async_trait]
pub(super) trait Transaction: Send {
    /// The columns that a statement answers with; none where it answers without rows. Nothing is
    /// run. `lists`: names of columns that hold a list, where their type does not tell.
    async fn describe(&mut self, sql: &str, lists: &[String]) -> Result<Vec<Column>, Fault>;

    /// Runs a statement; answers how many rows it has changed, or has answered with.
    async fn execute(&mut self, sql: &str, params: &[Param]) -> Result<u64, Fault>;

    /// Begins to read: the statement selects the expressions of `columns`.
    async fn open(
        &mut self,
        sql: &str,
        params: &[Param],
        columns: &[Column],
    ) -> Result<Box<dyn Rows>, Fault>;

    /// Runs a statement that changes something, and reads what is there then. Both may be sent at
    /// once: where the first fails, the second was not run. Answers how many rows were changed, and
    /// no more than `most` of those that were read.
    async fn execute_then_read(
        &mut self,
        sql: &str,
        params: &[Param],
        then: &Query,
        most: usize,
    ) -> Result<(u64, Result<Vec<Row>, Fault>), Fault>;

    /// Ends it for good.
    async fn commit(self: Box<Self>) -> Result<(), Fault>;

    /// Notes the call of which it is, and ends it for good: where the call cannot be noted, nothing
    /// is committed. False: it was noted before, and nothing was changed.
    async fn commit_noted(self: Box<Self>, note: &Note) -> Result<bool, Unfinished>;

    /// Ends it without a change.
    async fn rollback(self: Box<Self>);

    /// What the target says of itself, for [`Connector::test`](crate::connector::Connector::test).
    async fn version(&mut self) -> Result<String, Fault>;
}

/// The answer of a database that asks for no password.
fn no_password() -> CallError {
    Failure::unsupported("the database is a file: the gateway has no password at it").into()
}

/// A statement that reads: it selects the expressions of its columns.
pub(super) struct Query {
    pub(super) sql: String,
    pub(super) params: Vec<Param>,
    pub(super) columns: Vec<Column>,
}

/// Takes a row; answers whether it wants another one now.
pub(super) type Take<'a> = dyn FnMut(&dyn Cells) -> Result<bool, Fault> + Send + 'a;

/// Rows that are read one by one, while the target holds back the others.
#[async_trait]
pub(super) trait Rows: Send {
    /// The next row; `None`: there is no other.
    async fn next(&mut self) -> Result<Option<Row>, Fault>;

    /// Hands rows to `take` until that answers that it wants none for now. Answers whether there
    /// may be more of them.
    async fn each(&mut self, take: &mut Take<'_>) -> Result<bool, Fault> {
        while let Some(row) = self.next().await? {
            if !take(&row)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// All rows of a statement that answers with few.
pub(super) async fn few(
    transaction: &mut dyn Transaction,
    sql: &str,
    params: &[Param],
    columns: &[Column],
    most: usize,
) -> Result<Vec<Row>, Fault> {
    gathered(transaction.open(sql, params, columns).await?, most).await
}

/// The first of these rows, no more than `most`.
pub(super) async fn gathered(mut rows: Box<dyn Rows>, most: usize) -> Result<Vec<Row>, Fault> {
    let mut all = Vec::new();
    while let Some(row) = rows.next().await? {
        if all.len() == most {
            break;
        }
        all.push(row);
    }
    Ok(all)
}

/// One column of text, as statements of the gateway's own answer with.
pub(super) fn text_column(expression: &str) -> Column {
    Column {
        name: "value".to_owned(),
        value_type: ValueType::Text,
        is_list: false,
        expression: expression.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_as_it_is_shown() {
        for secret in ["hunter2", "hunter\t2", "hunter\r\n2", "hunter\u{202e}2"] {
            let text = format!("invalid input syntax for type integer: \"{secret}\"");
            let fault = Fault {
                cause: Cause::Refused(FailureKind::Invalid),
                native: Some(Native::new("22P02", &text)),
                message: shown(&text),
            };
            let password = Password::new(secret.as_bytes().to_vec()).unwrap();
            let hidden = format!("{:?}", fault.without(Some(&password)));
            assert!(!hidden.contains("hunter"), "{hidden}");
        }
    }
}
