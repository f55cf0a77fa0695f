//! Which gateway holds which key, without a single secret: what reports on the whole fleet read.

use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{GatewayKeyInfo, Registration, Standing, UnixMillis};

use super::columns::{from_sql_millis, key_id};
use super::sql::Row;
use super::{Gateways, RepositoryError, gateway_groups, gateway_keys};

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
        self.database()
            .read(|tx| {
                let keys = gateway_keys::infos(tx)?;
                let mut groups = gateway_groups::all(tx)?;
                let gateways = tx.query(
                    "SELECT name, gateway_id, standing, last_proved, sent, proved_ms, last_seen_ms, last_error,
                            address IS NOT NULL FROM gateways ORDER BY name",
                    &[],
                    |row| {
                        let mut holding = read(row)?;
                        holding.groups = groups.remove(&holding.gateway).unwrap_or_default();
                        Ok(holding)
                    },
                )?;
                Ok(Holdings { keys, gateways })
            })
            .await
    }
}

fn read(row: &Row<'_>) -> Result<Holding, RepositoryError> {
    let (id, sent): (Vec<u8>, Vec<u8>) = (row.get(1)?, row.get(4)?);
    let last_proved: Option<Vec<u8>> = row.get(3)?;
    Ok(Holding {
        gateway: row.get(0)?,
        groups: Vec::new(),
        dialled: row.get(8)?,
        registration: Registration {
            gateway_id: GatewayId::from_bytes(&id)
                .ok_or_else(|| RepositoryError::damaged("gateway id"))?,
            standing: super::columns::standing(row.get(2)?)?,
            token: None,
            pairing_until: None,
            last_proved: last_proved.as_deref().map(key_id).transpose()?,
            sent: sent
                .chunks(KeyId::LEN)
                .map(key_id)
                .collect::<Result<_, _>>()?,
        },
        proved: row.get::<Option<i64>>(5)?.map(from_sql_millis),
        last_seen: row.get::<Option<i64>>(6)?.map(from_sql_millis),
        last_error: row.get(7)?,
    })
}
