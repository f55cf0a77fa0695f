//! The tables, and how a file of an earlier version becomes one of this version.

use rusqlite::{Connection, TransactionBehavior};

use super::RepositoryError;

/// Each brings a file from the version of its index to the next. Never change one that was released.
const MIGRATIONS: &[&str] = &[
    include_str!("schema/0001_first.sql"),
    include_str!("schema/0002_sealed_values.sql"),
    include_str!("schema/0003_gateway_groups.sql"),
    include_str!("schema/0004_audit.sql"),
    include_str!("schema/0005_protection.sql"),
    include_str!("schema/0006_tasks.sql"),
    include_str!("schema/0007_passwords.sql"),
    include_str!("schema/0008_queued_calls.sql"),
];

pub(super) fn migrate(connection: &mut Connection) -> Result<(), RepositoryError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(RepositoryError::NewerSchema { found, known });
    }
    for migration in MIGRATIONS.iter().skip(found as usize) {
        transaction.execute_batch(migration)?;
    }
    if found < known {
        transaction.pragma_update(None, "user_version", known)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_values_of_the_first_schema_move_into_their_table() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(MIGRATIONS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        connection
            .execute_batch(
                "INSERT INTO server_keys (id, generation, wrapped, created_ms) VALUES (zeroblob(17), 1, x'01', 1);
                 INSERT INTO gateway_keys (id, generation, sealed_key, created_ms) VALUES (zeroblob(17), 1, x'AA', 1);
                 INSERT INTO gateways (name, created_ms, gateway_id, standing, token_key_id, token_sealed_key, token_expires_ms, sent)
                     VALUES ('host1', 1, zeroblob(16), 0, zeroblob(17), x'BB', 1, x'');",
            )
            .unwrap();
        migrate(&mut connection).unwrap();
        let value = |kind: &str| -> (Vec<u8>, String, Vec<u8>) {
            connection
                .query_row(
                    "SELECT owner, field, sealed FROM sealed_values WHERE type = ?1",
                    [kind],
                    |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
                )
                .unwrap()
        };
        assert_eq!(
            value("gateway-key"),
            (vec![0; 17], "key".into(), vec![0xAA])
        );
        assert_eq!(
            value("enrolment-key"),
            (vec![0; 16], "enrolment key".into(), vec![0xBB])
        );
        let current: i64 = connection
            .query_row(
                "SELECT count(*) FROM server_keys WHERE current = 1",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(current, 1);
    }
}
