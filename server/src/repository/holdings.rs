//! Which gateway holds which key, without a single secret: what reports on the whole fleet read.

use std::collections::HashMap;

use portcullis_common::rotation::{GatewayKeyInfo, Registration, Standing, UnixMillis};

use super::authority::Authority;
use super::columns::from_sql_millis;
use super::registration::{COLUMN_COUNT, UncheckedRow, columns};
use super::sql::Tx;
use super::{Gateways, Reach, RepositoryError, gateway_groups, gateway_keys};

/// How one gateway stands to the gateway keys.
#[derive(Clone, Debug)]
pub struct Holding {
    /// The gateway's name.
    pub gateway: String,
    /// The groups that it is in.
    pub groups: Vec<String>,
    /// The server dials it.
    pub dialled: bool,
    /// Its registration, as far as the gateway keys are concerned: token and pairing are left out.
    pub registration: Registration,
    /// When it first proved the key that it proved last; `None`: not known, or never.
    pub proved: Option<UnixMillis>,
    /// When a link to it was last known to live.
    pub last_seen: Option<UnixMillis>,
    /// Why the last attempt at a link failed.
    pub last_error: Option<String>,
    /// Its record was changed or put in by hand: it decides nothing.
    pub record_changed: bool,
}

impl Holding {
    /// It once proved a key, and was neither evicted nor revoked since.
    pub fn is_enrolled(&self) -> bool {
        self.registration.standing == Standing::Admitted && self.registration.last_proved.is_some()
    }
}

/// Every gateway's holding and all gateway keys, newest first, as they are in one moment.
#[derive(Clone, Debug)]
pub struct Holdings {
    /// The gateway keys.
    pub keys: Vec<GatewayKeyInfo>,
    /// By name.
    pub gateways: Vec<Holding>,
}

impl Gateways<'_> {
    /// Which gateway holds which key.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn holdings(&self) -> Result<Holdings, RepositoryError> {
        let authority = self.database().authority()?;
        self.database()
            .read(move |tx| {
                let keys = gateway_keys::infos(tx, &authority)?;
                let mut groups = gateway_groups::all(tx)?;
                let columns = columns();
                let rows = tx.query(
                    &format!(
                        "SELECT {columns}, last_seen_ms, last_error FROM gateways ORDER BY name"
                    ),
                    &[],
                    |row| {
                        let last_seen: Option<i64> = row.get(COLUMN_COUNT)?;
                        let last_error: Option<String> = row.get(COLUMN_COUNT + 1)?;
                        Ok((UncheckedRow::read(row)?, last_seen, last_error))
                    },
                )?;
                let mut gateways = Vec::with_capacity(rows.len());
                for (row, last_seen, last_error) in rows {
                    let mut holding = checked(tx, &authority, row, &mut groups)?;
                    holding.last_seen = last_seen.map(from_sql_millis);
                    holding.last_error = holding.last_error.or(last_error);
                    gateways.push(holding);
                }
                Ok(Holdings { keys, gateways })
            })
            .await
    }
}

/// One whose MAC is wrong holds nothing and is in no group.
fn checked(
    tx: &mut Tx<'_>,
    authority: &Authority,
    row: UncheckedRow,
    groups: &mut HashMap<String, Vec<String>>,
) -> Result<Holding, RepositoryError> {
    let gateway = row.name().to_owned();
    let (reach, _) = row.reach();
    let mut holding = Holding {
        groups: Vec::new(),
        dialled: matches!(reach, Reach::Address(_)),
        registration: row.closed(),
        proved: None,
        last_seen: None,
        last_error: None,
        record_changed: false,
        gateway,
    };
    match row.check(tx, authority) {
        Ok((row, _)) => {
            holding.registration = row.decode_without_secrets()?;
            holding.proved = row.proved();
            holding.groups = groups.remove(&holding.gateway).unwrap_or_default();
        }
        Err(error @ RepositoryError::RowChanged { .. }) => {
            holding.record_changed = true;
            holding.last_error = Some(error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(holding)
}
