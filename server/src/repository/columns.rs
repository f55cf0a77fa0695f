//! How times, key ids and standings stand in columns.

use portcullis_common::id::KeyId;
use portcullis_common::rotation::{Standing, UnixMillis};

use super::RepositoryError;

/// The standing that a column holds as a number.
pub(super) fn standing(number: u8) -> Result<Standing, RepositoryError> {
    match number {
        0 => Ok(Standing::Admitted),
        1 => Ok(Standing::Evicted),
        2 => Ok(Standing::Revoked),
        _ => Err(RepositoryError::damaged("standing of a gateway")),
    }
}

/// The key id that a column holds as its bytes.
pub(super) fn key_id(bytes: &[u8]) -> Result<KeyId, RepositoryError> {
    KeyId::from_bytes(bytes).ok_or_else(|| RepositoryError::damaged("key id"))
}

/// A time as a column holds it.
pub(super) fn to_sql_millis(time: UnixMillis) -> i64 {
    i64::try_from(time.0).unwrap_or(i64::MAX)
}

/// The time that a column holds.
pub(super) fn from_sql_millis(value: i64) -> UnixMillis {
    UnixMillis(u64::try_from(value).unwrap_or(0))
}
