//! A repository as it is, row by row: read in one transaction, and written into an empty one of
//! whichever engine.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::sealed_values::{self, Opened};
use super::sql::{Column, Row, Tx, Value, params};
use super::{Database, Repository, RepositoryError, Store, postgres, sqlite};

/// Rows that one transaction writes at most.
const ROWS: usize = 500;
/// Bytes of rows beyond which a transaction gets no more of them.
const BYTES: usize = 1 << 20;
/// Transactions' worth of rows that are read ahead.
const AHEAD: usize = 2;
/// The property that says that a repository was moved: it stays with the one that was.
const MOVED: &str = "moved";

/// A table as both engines have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Its name.
    pub(super) name: String,
    /// The columns that are given when a row is inserted.
    pub(super) columns: Vec<String>,
    /// Those of them that tell its rows apart, in the order of the key.
    pub(super) key: Vec<String>,
    /// The column that the engine numbers by itself, where it has one.
    pub(super) numbered: Option<String>,
    /// A number is never given out again.
    pub(super) never_again: bool,
}

/// What a table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableSum {
    /// Its name.
    pub table: String,
    /// How many rows.
    pub rows: u64,
    /// Over all of them, in the order of their keys.
    digest: [u8; 32],
}

/// What one column of a row holds.
#[derive(Debug)]
enum Cell {
    Null,
    Integer(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// Rows of one table.
#[derive(Debug)]
struct Rows {
    table: usize,
    cells: Vec<Cell>,
}

impl Database {
    /// Copies all that is stored into `to`, which is empty, as it was in one moment, and reads it
    /// there again. Gives what the tables hold.
    ///
    /// # Errors
    /// [`RepositoryError`]; `NotCopied` where the copy is another than what was read. What was
    /// written is of no use then.
    pub async fn copy_to(&self, to: &Self) -> Result<Vec<TableSum>, RepositoryError> {
        let tables = Arc::new(sqlite::tables()?);
        let (sender, mut rows) = mpsc::channel(AHEAD);
        let (wanted, engine) = (Arc::clone(&tables), self.place().clone());
        let reading = self.read(move |tx| {
            begin(tx, &engine)?;
            let sums = sums(tx, &wanted, |rows| {
                let sent = sender.blocking_send(rows);
                sent.map_err(|_| RepositoryError::Closed)
            })?;
            Ok((sums, numbers(tx, &engine, &wanted)?))
        });
        let writing = async {
            while let Some(rows) = rows.recv().await {
                let tables = Arc::clone(&tables);
                to.write(move |tx| insert(tx, &tables, &rows)).await?;
            }
            // Whoever reads finds that out.
            drop(rows);
            Ok(())
        };
        let (read, written) = tokio::join!(reading, writing);
        let written: Result<(), RepositoryError> = written;
        written?;
        let (sums, numbers) = read?;
        let (wanted, engine) = (Arc::clone(&tables), to.place().clone());
        to.write(move |tx| set_numbers(tx, &engine, &wanted, &numbers))
            .await?;
        let copied = to.sums().await?;
        let differing = sums.iter().zip(&copied).find(|(one, other)| one != other);
        match differing {
            Some((sum, _)) => Err(RepositoryError::NotCopied {
                table: sum.table.clone(),
            }),
            None => Ok(sums),
        }
    }

    /// What the tables hold.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn sums(&self) -> Result<Vec<TableSum>, RepositoryError> {
        let tables = sqlite::tables()?;
        let engine = self.place().clone();
        self.read(move |tx| {
            begin(tx, &engine)?;
            sums(tx, &tables, |_| Ok(()))
        })
        .await
    }

    /// Where the repository was moved to; `None`: it is in use here.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn moved(&self) -> Result<Option<String>, RepositoryError> {
        self.read(|tx| {
            let sql = "SELECT value FROM meta WHERE name = ?1";
            let found: Option<Vec<u8>> =
                tx.query_optional(sql, &params![MOVED], |row| row.get(0))?;
            Ok(found.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
        })
        .await
    }

    /// The repository is in use at `place` from now on, and no more here.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn set_moved(&self, place: &str) -> Result<(), RepositoryError> {
        let place = place.as_bytes().to_vec();
        self.write(move |tx| {
            tx.execute(
                "INSERT INTO meta (name, value) VALUES (?1, ?2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                &params![MOVED, place],
            )?;
            Ok(())
        })
        .await
    }
}

impl Repository {
    /// Opens every sealed value once. Gives how many opened, and how many are sealed under server
    /// keys that are not here.
    ///
    /// # Errors
    /// [`RepositoryError::Sealed`] with the first that was changed or moved.
    pub async fn open_all(&self) -> Result<Opened, RepositoryError> {
        let sealer = Arc::clone(&self.sealer);
        let engine = self.database.place().clone();
        self.database
            .read(move |tx| {
                begin(tx, &engine)?;
                sealed_values::open_all(tx, &*sealer)
            })
            .await
    }
}

/// What is read may take as long as it takes.
fn begin(tx: &mut Tx<'_>, engine: &Store) -> Result<(), RepositoryError> {
    match engine {
        Store::File(_) => Ok(()),
        Store::Postgres(_) => postgres::take_time(tx),
    }
}

/// Reads all tables, and gives their rows to `give`.
fn sums(
    tx: &mut Tx<'_>,
    tables: &[Table],
    mut give: impl FnMut(Rows) -> Result<(), RepositoryError>,
) -> Result<Vec<TableSum>, RepositoryError> {
    let mut sums = Vec::with_capacity(tables.len());
    for (index, table) in tables.iter().enumerate() {
        let (mut digest, mut count) = (Sha256::new(), 0);
        let (mut cells, mut bytes) = (Vec::new(), 0);
        let width = table.columns.len();
        tx.each(&table.select(), &[], |row| {
            for column in 0..width {
                let cell = Cell::read(row, column)?;
                bytes += cell.add_to(&mut digest);
                cells.push(cell);
            }
            count += 1;
            if cells.len() < ROWS * width && bytes < BYTES {
                return Ok(());
            }
            bytes = 0;
            give(Rows {
                table: index,
                cells: std::mem::take(&mut cells),
            })
        })?;
        if !cells.is_empty() {
            give(Rows {
                table: index,
                cells,
            })?;
        }
        sums.push(TableSum {
            table: table.name.clone(),
            rows: count,
            digest: digest.finalize().into(),
        });
    }
    Ok(sums)
}

fn insert(tx: &mut Tx<'_>, tables: &[Table], rows: &Rows) -> Result<(), RepositoryError> {
    let Some(table) = tables.get(rows.table) else {
        return Ok(());
    };
    let values: Vec<_> = rows.cells.iter().map(Cell::value).collect();
    tx.execute_rows(&table.insert(), table.columns.len(), &values)?;
    Ok(())
}

/// The last number that the engine gave out by itself in each table.
fn numbers(tx: &mut Tx<'_>, engine: &Store, tables: &[Table]) -> Result<Vec<i64>, RepositoryError> {
    let mut numbers = Vec::with_capacity(tables.len());
    for table in tables {
        numbers.push(match &table.numbered {
            None => 0,
            Some(column) => {
                let last = match engine {
                    Store::File(_) => sqlite::last_number(tx, table)?,
                    Store::Postgres(_) => postgres::last_number(tx, &table.name, column)?,
                };
                let sql = format!("SELECT coalesce(max({column}), 0) FROM {}", table.name);
                last.max(tx.query_one(&sql, &[], |row| row.get(0))?)
            }
        });
    }
    Ok(numbers)
}

fn set_numbers(
    tx: &mut Tx<'_>,
    engine: &Store,
    tables: &[Table],
    numbers: &[i64],
) -> Result<(), RepositoryError> {
    for (table, last) in tables.iter().zip(numbers) {
        if let Some(column) = table.numbered.as_ref().filter(|_| *last > 0) {
            match engine {
                Store::File(_) => sqlite::set_last_number(tx, table, *last)?,
                Store::Postgres(_) => postgres::set_last_number(tx, &table.name, column, *last)?,
            }
        }
    }
    Ok(())
}

impl Table {
    fn select(&self) -> String {
        // What says that the repository was moved stays where it is.
        let but = match self.name.as_str() {
            "meta" => format!(" WHERE name <> '{MOVED}'"),
            _ => String::new(),
        };
        format!(
            "SELECT {} FROM {}{but} ORDER BY {}",
            listed(&self.columns),
            self.name,
            listed(&self.key)
        )
    }

    fn insert(&self) -> String {
        let places: Vec<_> = (1..=self.columns.len())
            .map(|place| format!("?{place}"))
            .collect();
        format!(
            "INSERT INTO {} ({}) VALUES ({})",
            self.name,
            listed(&self.columns),
            places.join(", ")
        )
    }
}

/// Names of columns, of which one is a reserved word.
fn listed(columns: &[String]) -> String {
    let quoted = columns.iter().map(|column| format!("\"{column}\""));
    quoted.collect::<Vec<_>>().join(", ")
}

impl Cell {
    fn read(row: &Row<'_>, index: usize) -> Result<Self, RepositoryError> {
        Ok(match row.column(index)? {
            Column::Null => Self::Null,
            Column::Integer(number) => Self::Integer(number),
            Column::Blob(bytes) => Self::Blob(bytes.to_vec()),
            Column::Text(text) => match str::from_utf8(text) {
                Ok(text) => Self::Text(text.to_owned()),
                Err(_) => return Err(RepositoryError::damaged("text")),
            },
            Column::Other => return Err(RepositoryError::damaged("column")),
        })
    }

    fn value(&self) -> Value<'_> {
        match self {
            Self::Null => Value::Null,
            Self::Integer(number) => Value::Integer(*number),
            Self::Text(text) => Value::Text(text),
            Self::Blob(bytes) => Value::Blob(bytes),
        }
    }

    /// Adds what it holds, so that no two rows add the same. Gives how many bytes that are.
    fn add_to(&self, digest: &mut Sha256) -> usize {
        let number;
        let (kind, bytes): (u8, &[u8]) = match self {
            Self::Null => (0, &[]),
            Self::Integer(value) => {
                number = value.to_be_bytes();
                (1, &number)
            }
            Self::Text(text) => (2, text.as_bytes()),
            Self::Blob(bytes) => (3, bytes),
        };
        digest.update([kind]);
        digest.update((bytes.len() as u64).to_be_bytes());
        digest.update(bytes);
        bytes.len()
    }
}
