//! A statement of the configuration: what it does, and the parameters that it names.
//!
//! It is read token by token, so that what stands in texts, quoted names and comments is never
//! taken for a keyword, a parameter or the end of the statement. What cannot be read for certain is
//! refused.

use std::iter::Peekable;
use std::str::CharIndices;

/// How an engine writes what differs between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// The parameter with this number, the first being 1.
    pub(super) fn parameter(self, number: usize) -> String {
        match self {
            Self::Postgres => format!("${number}"),
            Self::Sqlite => format!("?{number}"),
        }
    }
}

/// What a statement begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Select,
    Insert,
    Update,
    Delete,
    Call,
}

impl Kind {
    fn of(word: &str) -> Option<Self> {
        Some(match word.to_ascii_uppercase().as_str() {
            "SELECT" => Self::Select,
            "INSERT" => Self::Insert,
            "UPDATE" => Self::Update,
            "DELETE" => Self::Delete,
            "CALL" => Self::Call,
            _ => return None,
        })
    }
}

/// One statement with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statement {
    /// What the engine is given.
    pub(super) sql: String,
    pub(super) kind: Kind,
    /// The names of its parameters, by their numbers; each once.
    pub(super) parameters: Vec<String>,
}

impl Statement {
    /// Reads a statement.
    ///
    /// # Errors
    /// What is wrong with it, and what is allowed.
    pub(super) fn parse(dialect: Dialect, text: &str) -> Result<Self, String> {
        let mut reader = Reader::new(dialect, text);
        let mut kind = None;
        let mut with = false;
        while let Some(token) = reader.next()? {
            match token {
                Token::Word(word) if kind.is_none() && reader.depth == 0 => {
                    if !with && word.eq_ignore_ascii_case("WITH") {
                        with = true;
                        continue;
                    }
                    kind = Kind::of(word).filter(|kind| !with || *kind != Kind::Call);
                    if kind.is_none() && !with {
                        return Err(other(word));
                    }
                }
                // `SELECT … INTO` makes a table.
                Token::Word(word)
                    if kind == Some(Kind::Select)
                        && reader.depth == 0
                        && word.eq_ignore_ascii_case("INTO") =>
                {
                    return Err("SELECT … INTO makes a table, which no statement here may".into());
                }
                Token::Other if kind.is_none() && !with => return Err(other("it")),
                Token::Word(_) | Token::Other => {}
            }
        }
        if reader.depth != 0 {
            return Err("a parenthesis is not closed".to_owned());
        }
        Ok(Self {
            kind: kind.ok_or_else(|| other("it"))?,
            sql: reader.sql,
            parameters: reader.parameters,
        })
    }

    pub(super) fn has(&self, parameter: &str) -> bool {
        self.parameters.iter().any(|name| name == parameter)
    }
}

fn other(word: &str) -> String {
    format!(
        "begins with `{word}`: one statement of SELECT, INSERT, UPDATE, DELETE or CALL is allowed, or WITH … and one of the first four"
    )
}

enum Token<'a> {
    /// A keyword or a name without quotes.
    Word(&'a str),
    Other,
}

/// Reads token by token, and writes what the engine is given.
struct Reader<'a> {
    dialect: Dialect,
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    sql: String,
    parameters: Vec<String>,
    depth: usize,
    /// The last token was a text E'…'.
    after_escapes: bool,
}

impl<'a> Reader<'a> {
    fn new(dialect: Dialect, text: &'a str) -> Self {
        Self {
            dialect,
            text,
            rest: text.char_indices().peekable(),
            sql: String::with_capacity(text.len()),
            parameters: Vec::new(),
            depth: 0,
            after_escapes: false,
        }
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, String> {
        loop {
            let Some(&(at, c)) = self.rest.peek() else {
                return Ok(None);
            };
            let tail = self.text.get(at..).unwrap_or_default();
            if c.is_ascii_whitespace() || c == '\x0b' {
                self.take(1);
            } else if tail.starts_with("--") {
                let end = tail.find('\n').unwrap_or(tail.len());
                self.skip(end);
            } else if tail.starts_with("/*") {
                let length = comment(self.dialect, tail)?;
                self.skip(length);
            } else {
                return self.token(c, tail).map(Some);
            }
        }
    }

    fn token(&mut self, c: char, tail: &'a str) -> Result<Token<'a>, String> {
        let after_escapes = std::mem::take(&mut self.after_escapes);
        if is_word_start(c) {
            return self.word(tail);
        }
        match c {
            // PostgreSQL reads both as one text, with backslashes, whatever comments stand between.
            '\'' if after_escapes => {
                return Err("a text E'…' is followed by another one: write them as one".to_owned());
            }
            '\'' => self.take(quoted(tail, '\'', false)?),
            '"' => self.take(quoted(tail, '"', false)?),
            '`' if self.dialect == Dialect::Sqlite => self.take(quoted(tail, '`', false)?),
            '[' if self.dialect == Dialect::Sqlite => {
                self.take(tail.find(']').ok_or("a name in [ ] is not closed")? + 1);
            }
            '$' => self.dollar(tail)?,
            '?' | '@' if self.dialect == Dialect::Sqlite => return Err(by_number(c)),
            ':' => self.colon(tail)?,
            ';' => {
                return Err(
                    "a semicolon stands in it: one statement is allowed, without one at its end"
                        .to_owned(),
                );
            }
            '\0' => return Err("a NUL stands in it".to_owned()),
            '0'..='9' => {
                let length = number(tail);
                if tail.get(length..).is_some_and(runs_on) {
                    return Err("a number is followed by a text: put a blank between".to_owned());
                }
                self.take(length);
            }
            '(' => {
                self.depth += 1;
                self.take(1);
            }
            ')' => {
                self.depth = self
                    .depth
                    .checked_sub(1)
                    .ok_or("a parenthesis is closed that was not opened")?;
                self.take(1);
            }
            other => self.take(other.len_utf8()),
        }
        Ok(Token::Other)
    }

    fn word(&mut self, tail: &'a str) -> Result<Token<'a>, String> {
        let length = tail
            .find(|c| !is_word(c, self.dialect))
            .unwrap_or(tail.len());
        let word = tail.get(..length).unwrap_or_default();
        // E'…' of PostgreSQL takes a backslash before a quote.
        let after = tail.get(length..).unwrap_or_default();
        if self.dialect == Dialect::Postgres && after.starts_with('\'') {
            let escapes = word.eq_ignore_ascii_case("E");
            let text = quoted(after, '\'', escapes)?;
            self.take(length + text);
            self.after_escapes = escapes;
            return Ok(Token::Other);
        }
        self.take(length);
        Ok(Token::Word(word))
    }

    /// `$tag$ … $tag$` of PostgreSQL; `$1` is a parameter without a name.
    fn dollar(&mut self, tail: &str) -> Result<(), String> {
        let rest = tail.get(1..).unwrap_or_default();
        let tag = rest
            .find(|c: char| !is_word(c, Dialect::Sqlite))
            .unwrap_or(rest.len());
        let closes = rest.get(tag..).is_some_and(|after| after.starts_with('$'));
        let numbered = rest.starts_with(|c: char| c.is_ascii_digit());
        if self.dialect == Dialect::Sqlite || numbered || !closes {
            return Err(by_number('$'));
        }
        let mark = tail.get(..tag + 2).unwrap_or_default();
        let inner = tail.get(tag + 2..).unwrap_or_default();
        let end = inner
            .find(mark)
            .ok_or_else(|| format!("a text that begins with {mark} is not closed"))?;
        self.take(tag + 2 + end + mark.len());
        Ok(())
    }

    /// A parameter, or a cast of PostgreSQL.
    fn colon(&mut self, tail: &str) -> Result<(), String> {
        if tail.starts_with("::") || tail.starts_with(":=") {
            self.take(2);
            return Ok(());
        }
        let rest = tail.get(1..).unwrap_or_default();
        if !rest.starts_with(is_word_start) {
            if self.dialect == Dialect::Sqlite {
                return Err(by_number(':'));
            }
            self.take(1);
            return Ok(());
        }
        let length = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
            .unwrap_or(rest.len());
        let name = rest.get(..length).unwrap_or_default();
        if name.is_empty()
            || rest
                .get(length..)
                .is_some_and(|after| after.starts_with(is_word_start))
        {
            return Err(format!(
                "`:{name}…` is no parameter: its name may have A-Z a-z 0-9 _"
            ));
        }
        let place = self.parameters.iter().position(|known| known == name);
        let place = place.unwrap_or_else(|| {
            self.parameters.push(name.to_owned());
            self.parameters.len() - 1
        });
        self.sql.push_str(&self.dialect.parameter(place + 1));
        self.pass(1 + length);
        Ok(())
    }

    /// Passes over so many bytes, which the engine gets.
    fn take(&mut self, bytes: usize) {
        if let Some(&(at, _)) = self.rest.peek() {
            let taken = self.text.get(at..at + bytes).unwrap_or_default();
            self.sql.push_str(taken);
        }
        self.pass(bytes);
    }

    /// Passes over a comment: it separates words, and no more.
    fn skip(&mut self, bytes: usize) {
        self.sql.push(' ');
        self.pass(bytes);
    }

    fn pass(&mut self, bytes: usize) {
        let Some(&(at, _)) = self.rest.peek() else {
            return;
        };
        while self
            .rest
            .next_if(|(place, _)| *place < at + bytes)
            .is_some()
        {}
    }
}

fn by_number(c: char) -> String {
    format!("`{c}` begins a parameter without a name: `:name` is allowed")
}

/// To both engines whatever is no ASCII belongs to a name, blanks of Unicode too.
fn is_word_start(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_' || !c.is_ascii()
}

fn is_word(c: char, dialect: Dialect) -> bool {
    is_word_start(c) || c.is_ascii_digit() || (c == '$' && dialect == Dialect::Postgres)
}

/// Bytes of a number, such as `1.5e3`: no word begins within it.
fn number(tail: &str) -> usize {
    tail.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '_'))
        .unwrap_or(tail.len())
}

/// Whether a text begins right after a number. Engines differ in where the number ends, and so in
/// whether `1E'…'` takes backslashes and which tag `1a$b$` has.
fn runs_on(after: &str) -> bool {
    after.starts_with(['\'', '$']) || after.starts_with(|c: char| !c.is_ascii())
}

/// Bytes of what stands in quotes; a doubled quote does not end it.
fn quoted(tail: &str, quote: char, escapes: bool) -> Result<usize, String> {
    let mut rest = tail.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        if escapes && c == '\\' {
            rest.next();
        } else if c == quote && rest.next_if(|(_, next)| *next == quote).is_none() {
            return Ok(at + c.len_utf8());
        }
    }
    Err(format!("what begins with {quote} is not closed"))
}

/// Bytes of a comment. PostgreSQL nests them, SQLite does not.
fn comment(dialect: Dialect, tail: &str) -> Result<usize, String> {
    let mut depth = 0_usize;
    let mut at = 0;
    loop {
        let rest = tail.get(at..).unwrap_or_default();
        if rest.starts_with("/*") && (depth == 0 || dialect == Dialect::Postgres) {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return Ok(at);
            }
        } else {
            let next = rest.chars().next().ok_or("a comment is not closed")?;
            at += next.len_utf8();
        }
    }
}

/// A name in quotes, for a column or a table of the target.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
#[path = "tests/statement.rs"]
mod tests;
