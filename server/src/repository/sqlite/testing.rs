//! What tests do to a file behind the repository's back.

use std::path::Path;

use rusqlite::Connection;

use crate::repository::postgres;

/// Bytes as they stand in SQL.
pub(crate) fn literal(bytes: &[u8]) -> String {
    format!("x'{}'", data_encoding::HEXUPPER.encode(bytes))
}

/// Carries out statements on a connection of their own, as another program would.
pub(crate) fn tamper(file: &Path, sql: &str) {
    if postgres::testing::tamper(file, sql) {
        return;
    }
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(sql).unwrap();
}
