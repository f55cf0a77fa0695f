//! What an administrator demands of a gateway's connections beside its keys.

use super::RepositoryError;
use super::sql::{Tx, params};

/// TLS around the channel.
const TLS: &str = "tls";

/// Whether a gateway is reached through TLS alone.
pub(super) fn tls(tx: &mut Tx<'_>, gateway: &str) -> Result<bool, RepositoryError> {
    tx.exists(
        "SELECT 1 FROM gateway_demands WHERE gateway = ?1 AND what = ?2",
        &params![gateway, TLS],
    )
}

/// Has it reached through TLS alone, or not.
pub(super) fn set_tls(
    tx: &mut Tx<'_>,
    gateway: &str,
    demanded: bool,
) -> Result<(), RepositoryError> {
    let sql = if demanded {
        "INSERT INTO gateway_demands (gateway, what) VALUES (?1, ?2) ON CONFLICT DO NOTHING"
    } else {
        "DELETE FROM gateway_demands WHERE gateway = ?1 AND what = ?2"
    };
    tx.execute(sql, &params![gateway, TLS])?;
    Ok(())
}
