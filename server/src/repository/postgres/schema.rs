//! The tables in the database: made, brought up to date, and compared with what this program makes.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::apart::has_table;
use super::connect::{Target, quoted};
use super::dialect;
use super::fault::Fault;
use super::link::Link;
use super::tx::PostgresTx;
use crate::repository::sql::{Tx, params};
use crate::repository::{MIGRATIONS, RepositoryError, schema};

/// The schema that `init` fills before it becomes the repository's own.
pub(in crate::repository) const UNFINISHED: &str = "portcullis_unfinished";

/// What the engine has beside the tables of the repository: functions that the common dialect
/// names, the version of the schema with whom servers of earlier versions knew to hold the
/// repository, and the ids of changes of which nobody has asked yet whether they were made.
const OWN: &str = "
    CREATE FUNCTION instr(text, text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS 'SELECT pg_catalog.strpos($1, $2)';
    CREATE FUNCTION instr(bytea, bytea) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS 'SELECT pg_catalog.position($1, $2)';
    CREATE FUNCTION substr(text, integer, bigint) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
        AS 'SELECT pg_catalog.substr($1, $2, $3::integer)';
    CREATE TABLE engine (
        one BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
        version BIGINT NOT NULL,
        holder BYTEA,
        holder_host TEXT
    );
    INSERT INTO engine (one, version) VALUES (1, 0);
    CREATE TABLE engine_changes (id BYTEA NOT NULL PRIMARY KEY);";

/// Columns, constraints, indexes and functions, by name, as the database describes them.
type Shape = BTreeMap<String, String>;

/// What this program makes, once it was asked for.
static EXPECTED: Mutex<Option<Shape>> = Mutex::new(None);

/// A number for the locks of a schema: the same for whoever asks.
pub(super) fn lock_number(schema: &str, purpose: &str) -> i64 {
    // FNV-1a: any spread will do.
    let bytes = purpose.bytes().chain([0]).chain(schema.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash.cast_signed()
}

/// Makes an empty repository, where none may be.
///
/// # Errors
/// [`RepositoryError::Occupied`], `Storage`, `Away`.
pub(super) fn create(link: &mut Link, target: &Target) -> Result<(), RepositoryError> {
    let name = quoted(&target.schema);
    in_transaction(link, target, |tx| {
        lock(tx, target)?;
        if is_there(tx, &target.schema)? {
            return Err(RepositoryError::Occupied {
                place: target.place(),
            });
        }
        tx.batch(&format!("CREATE SCHEMA {name}"))?;
        tx.batch(OWN)
    })
}

/// Makes a repository that was filled under another name the one of this database.
///
/// # Errors
/// [`RepositoryError::Occupied`] where another was faster, `Away`, `Storage`.
pub(super) fn publish(link: &mut Link, target: &Target, to: &str) -> Result<(), RepositoryError> {
    in_transaction(link, target, |tx| {
        lock(tx, target)?;
        if is_there(tx, to)? {
            return Err(RepositoryError::Occupied {
                place: target.place(),
            });
        }
        let (from, to) = (quoted(&target.schema), quoted(to));
        tx.batch(&format!("ALTER SCHEMA {from} RENAME TO {to}"))
    })
}

/// Removes what an `init` that ended too early left.
///
/// # Errors
/// [`RepositoryError`].
pub(super) fn remove_unfinished(link: &mut Link, target: &Target) -> Result<(), RepositoryError> {
    let name = quoted(UNFINISHED);
    in_transaction(link, target, |tx| {
        tx.batch(&format!("DROP SCHEMA IF EXISTS {name} CASCADE"))
    })
}

/// # Errors
/// [`RepositoryError::Missing`] where there is no repository, `Away`.
pub(super) fn must_be_there(link: &mut Link, target: &Target) -> Result<(), RepositoryError> {
    in_transaction(link, target, |tx| match is_there(tx, &target.schema)? {
        true => Ok(()),
        false => Err(RepositoryError::Missing {
            path: target.place(),
        }),
    })
}

/// Brings the tables up to date, and compares them with what this program makes.
///
/// # Errors
/// [`RepositoryError::NewerSchema`], `SchemaPutBack`, `SchemaChanged`, `Away`; `Taken` where a
/// server of an earlier version is at work on it.
pub(super) fn migrate(link: &mut Link, target: &Target) -> Result<(), RepositoryError> {
    in_transaction(link, target, |tx| {
        lock(tx, target)?;
        let found: u32 = tx.query_one("SELECT version FROM engine", &[], |row| row.get(0))?;
        if (found as usize) < MIGRATIONS.len() {
            must_not_be_served(tx, target)?;
        }
        let version = schema::migrate(tx, found, |migration| dialect::migration(migration).into())?;
        if version != found {
            // A server of an earlier version that comes back to it changes nothing any more.
            let sql = "UPDATE engine SET version = ?1, holder = NULL";
            tx.execute(sql, &params![version])?;
        }
        Ok(())
    })?;
    check(link, target)
}

/// Compares the tables with those of a schema just made, which nobody else sees.
fn check(link: &mut Link, target: &Target) -> Result<(), RepositoryError> {
    let mut expected = EXPECTED.lock().unwrap_or_else(PoisonError::into_inner);
    if expected.is_none() {
        *expected = Some(fresh(link, target)?);
    }
    let found = in_transaction(link, target, |tx| describe(tx, &target.schema))?;
    let changed = expected
        .iter()
        .flatten()
        .find(|(name, what)| found.get(*name) != Some(*what));
    let planted = || {
        found.keys().find(|name| {
            let known = expected.iter().any(|known| known.contains_key(*name));
            !known && !is_of_others(expected.as_ref(), name)
        })
    };
    match changed.map(|(name, _)| name).or_else(planted) {
        Some(name) => Err(RepositoryError::SchemaChanged { name: name.clone() }),
        None => Ok(()),
    }
}

/// Whether nothing of ours depends on what is called so: an index, or what a table has that this
/// program does not make.
fn is_of_others(expected: Option<&Shape>, name: &str) -> bool {
    let Some((kind, rest)) = name.split_once(' ') else {
        return false;
    };
    let table = rest.split('.').next().unwrap_or_default();
    let column = format!("column {table}.");
    let ours = expected.is_some_and(|known| known.keys().any(|name| name.starts_with(&column)));
    kind == "index" || (["column", "constraint"].contains(&kind) && !ours)
}

/// What this program makes.
fn fresh(link: &mut Link, target: &Target) -> Result<Shape, RepositoryError> {
    let name = format!("portcullis_shape_{:032x}", rand::random::<u128>());
    let made = in_transaction(link, target, |tx| {
        tx.batch(&format!("CREATE SCHEMA {name}"))?;
        tx.batch(&format!("SET LOCAL search_path TO {name}, pg_temp"))?;
        tx.batch(OWN)?;
        for migration in MIGRATIONS {
            tx.batch(&dialect::migration(migration))?;
        }
        Ok(Undone(describe(tx, &name)?))
    })?;
    Ok(made.0)
}

/// What a transaction comes to that is not to be committed.
struct Undone<T>(T);

/// What of a transaction is to be kept.
trait Outcome {
    const COMMIT: &'static str = "COMMIT";
}

impl Outcome for () {}
impl Outcome for Shape {}
impl<T> Outcome for Undone<T> {
    const COMMIT: &'static str = "ROLLBACK";
}

fn describe(tx: &mut Tx<'_>, schema: &str) -> Result<Shape, RepositoryError> {
    let rows = tx.query(
        "SELECT 'column ' || c.relname || '.' || a.attname,
                concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
                          pg_get_expr(d.adbin, d.adrelid), l.collname)
         FROM pg_class c
         JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         LEFT JOIN pg_collation l ON l.oid = a.attcollation
         WHERE n.nspname = ?1 AND c.relkind IN ('r', 'p')
         UNION ALL
         SELECT 'constraint ' || c.relname || '.' || o.conname, pg_get_constraintdef(o.oid)
         FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = o.connamespace
         WHERE n.nspname = ?1
         UNION ALL
         SELECT 'index ' || indexname, replace(replace(indexdef, ' ' || schemaname || '.', ' '), ' \"' || schemaname || '\".', ' ')
         FROM pg_indexes WHERE schemaname = ?1
         UNION ALL
         SELECT 'function ' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')', p.prosrc
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ?1
         UNION ALL
         SELECT 'trigger ' || t.tgname, '' FROM pg_trigger t
         JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = ?1 AND NOT t.tgisinternal
         UNION ALL
         SELECT 'rule ' || r.rulename, '' FROM pg_rewrite r
         JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = ?1 AND c.relkind IN ('r', 'p')
         UNION ALL
         SELECT 'policies of ' || c.relname, '' FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = ?1 AND c.relrowsecurity",
        &params![schema],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    Ok(rows.into_iter().collect())
}

/// Tables are not changed under a server of an earlier version, which knows nothing of it.
fn must_not_be_served(tx: &mut Tx<'_>, target: &Target) -> Result<(), RepositoryError> {
    let by = match has_table(tx, "servers")? {
        true => tx.query_optional("SELECT name FROM servers", &[], |row| row.get(0))?,
        // Those from before that table held a lock.
        false => {
            let number = lock_number(&target.schema, "hold");
            let sql = "SELECT holder_host FROM engine WHERE NOT pg_try_advisory_xact_lock(?1)";
            let by = tx.query_optional(sql, &params![number], |row| row.get(0))?;
            by.map(|by: Option<String>| by.unwrap_or_else(|| "another host".to_owned()))
        }
    };
    match by {
        None => Ok(()),
        Some(by) => Err(RepositoryError::Taken {
            place: target.place(),
            by,
        }),
    }
}

/// One program at a time makes or changes tables. Waits for as long as it takes.
fn lock(tx: &mut Tx<'_>, target: &Target) -> Result<(), RepositoryError> {
    tx.batch("SET LOCAL lock_timeout TO 0; SET LOCAL idle_in_transaction_session_timeout TO 0")?;
    let number = lock_number(&target.settings.database, "schema");
    tx.execute("SELECT pg_advisory_xact_lock(?1)", &params![number])?;
    Ok(())
}

fn is_there(tx: &mut Tx<'_>, schema: &str) -> Result<bool, RepositoryError> {
    tx.exists(
        "SELECT 1 FROM pg_namespace WHERE nspname = ?1",
        &params![schema],
    )
}

/// Does `work` in a transaction, in which a statement may take long.
fn in_transaction<T: Outcome>(
    link: &mut Link,
    target: &Target,
    work: impl Fn(&mut Tx<'_>) -> Result<T, RepositoryError>,
) -> Result<T, RepositoryError> {
    let mut tx = PostgresTx::patient(link);
    let begun = tx.step("BEGIN");
    let done = begun.and_then(|()| work(&mut Tx::new(&mut tx)));
    let ended = match &done {
        Ok(_) => tx.step(T::COMMIT),
        Err(_) => tx.step("ROLLBACK"),
    };
    match tx.broken() {
        Some(Fault::Lost(reason)) => Err(target.away(&reason)),
        _ => done.and_then(|value| ended.map(|()| value)),
    }
}
