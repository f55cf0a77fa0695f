//! A registration as the columns of its gateway, and its token as a sealed value.

use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{ENROLMENT_NONCE_LEN, Registration, Standing, TokenState};
use portcullis_common::secret::MasterKey;

use portcullis_host::clock;

use super::columns::{from_sql_millis, key_id, standing, to_sql_millis};
use super::sql::{Row, Tx, params};
use super::{OpenError, Place, ProtectedType, RepositoryError, Sealer, sealed_values};

/// The columns in the order that [`RegistrationRow::read`] expects.
pub(super) const COLUMNS: &str = "gateway_id, standing, token_key_id,
    (SELECT sealed FROM sealed_values v WHERE v.type = 'enrolment-key' AND v.owner = gateway_id AND v.field = 'enrolment key'),
    token_expires_ms, token_bound, pairing_until_ms, last_proved, sent";
/// How many they are.
pub(super) const COLUMN_COUNT: usize = 9;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct RegistrationRow {
    pub(super) gateway_id: Vec<u8>,
    pub(super) standing: u8,
    pub(super) token_key_id: Option<Vec<u8>>,
    pub(super) token_sealed_key: Option<Vec<u8>>,
    pub(super) token_expires_ms: Option<i64>,
    pub(super) token_bound: Option<Vec<u8>>,
    pub(super) pairing_until_ms: Option<i64>,
    pub(super) last_proved: Option<Vec<u8>>,
    pub(super) sent: Vec<u8>,
}

impl RegistrationRow {
    /// Reads [`COLUMNS`] from the one at `first` on.
    pub(super) fn read(row: &Row<'_>, first: usize) -> Result<Self, RepositoryError> {
        Ok(Self {
            gateway_id: row.get(first)?,
            standing: row.get(first + 1)?,
            token_key_id: row.get(first + 2)?,
            token_sealed_key: row.get(first + 3)?,
            token_expires_ms: row.get(first + 4)?,
            token_bound: row.get(first + 5)?,
            pairing_until_ms: row.get(first + 6)?,
            last_proved: row.get(first + 7)?,
            sent: row.get(first + 8)?,
        })
    }

    /// The columns that store `registration`. A token that `stored` holds already keeps its sealed
    /// bytes, and one whose server key is not here stays as it is until that key arrives.
    pub(super) fn encode(
        registration: &Registration,
        stored: Option<&Self>,
        sealer: &dyn Sealer,
    ) -> Self {
        let gateway_id = registration.gateway_id.to_bytes().to_vec();
        let closed =
            stored.filter(|row| row.gateway_id == gateway_id && row.token_is_closed(sealer));
        let token = registration.token.as_ref();
        let token_key_id = token.map(|token| token.key_id.to_bytes().to_vec());
        let token_sealed_key = token.map(|token| {
            stored
                .filter(|row| row.gateway_id == gateway_id && row.token_key_id == token_key_id)
                .and_then(|row| row.token_sealed_key.clone())
                .unwrap_or_else(|| sealer.seal(&token_place(&gateway_id), token.key.expose()))
        });
        let mut row = Self {
            standing: match registration.standing {
                Standing::Admitted => 0,
                Standing::Evicted => 1,
                Standing::Revoked => 2,
            },
            token_key_id,
            token_sealed_key,
            token_expires_ms: token.map(|token| to_sql_millis(token.expires)),
            token_bound: token.and_then(|token| token.bound.map(|nonce| nonce.to_vec())),
            pairing_until_ms: registration.pairing_until.map(to_sql_millis),
            last_proved: registration.last_proved.map(|id| id.to_bytes().to_vec()),
            sent: registration
                .sent
                .iter()
                .flat_map(|id| id.to_bytes())
                .collect(),
            gateway_id,
        };
        if let (None, Some(closed)) = (token, closed) {
            row.token_key_id = closed.token_key_id.clone();
            row.token_sealed_key = closed.token_sealed_key.clone();
            row.token_expires_ms = closed.token_expires_ms;
            row.token_bound = closed.token_bound.clone();
        }
        row
    }

    /// Stores the registration of the gateway `name`.
    pub(super) fn store(&self, tx: &mut Tx<'_>, name: &str) -> Result<(), RepositoryError> {
        let before: Option<Vec<u8>> = tx.query_optional(
            "SELECT gateway_id FROM gateways WHERE name = ?1",
            &params![name],
            |row| row.get(0),
        )?;
        if let Some(before) = before.filter(|before| *before != self.gateway_id) {
            forget_tokens(tx, &before)?;
        }
        let place = token_place(&self.gateway_id);
        let stands = sealed_values::find(tx, &place)?;
        match &self.token_sealed_key {
            None => sealed_values::remove(tx, &place)?,
            Some(sealed) if stands.as_ref() == Some(sealed) => {}
            Some(sealed) => sealed_values::put(tx, &place, sealed)?,
        }
        tx.execute(
            "UPDATE gateways SET gateway_id = ?2, standing = ?3, token_key_id = ?4,
                 token_expires_ms = ?5, token_bound = ?6, pairing_until_ms = ?7, sent = ?8,
                 proved_ms = CASE WHEN last_proved IS NOT DISTINCT FROM ?9 THEN proved_ms
                                  WHEN ?9 IS NOT NULL THEN ?10 END,
                 last_proved = ?9
             WHERE name = ?1",
            &params![
                name,
                self.gateway_id,
                self.standing,
                self.token_key_id,
                self.token_expires_ms,
                self.token_bound,
                self.pairing_until_ms,
                self.sent,
                self.last_proved,
                to_sql_millis(clock::now()),
            ],
        )?;
        Ok(())
    }

    fn token_is_closed(&self, sealer: &dyn Sealer) -> bool {
        self.token_sealed_key
            .as_ref()
            .is_some_and(|sealed| !sealer.holds_key_of(sealed))
    }

    pub(super) fn decode(&self, sealer: &dyn Sealer) -> Result<Registration, RepositoryError> {
        Ok(Registration {
            gateway_id: GatewayId::from_bytes(&self.gateway_id)
                .ok_or_else(|| RepositoryError::damaged("gateway id"))?,
            standing: standing(self.standing)?,
            token: self.decode_token(sealer)?,
            pairing_until: self.pairing_until_ms.map(from_sql_millis),
            last_proved: self.last_proved.as_deref().map(key_id).transpose()?,
            sent: self
                .sent
                .chunks(KeyId::LEN)
                .map(key_id)
                .collect::<Result<_, _>>()?,
        })
    }

    fn decode_token(&self, sealer: &dyn Sealer) -> Result<Option<TokenState>, RepositoryError> {
        let (Some(id), Some(sealed), Some(expires)) = (
            &self.token_key_id,
            &self.token_sealed_key,
            self.token_expires_ms,
        ) else {
            return Ok(None);
        };
        let id = key_id(id)?;
        let key = match sealer.open(&token_place(&self.gateway_id), sealed) {
            // Of no use until that key arrives; the roster is readable all the same.
            Err(OpenError::UnknownKey { .. }) => return Ok(None),
            opened => opened?,
        };
        let bound: Option<[u8; ENROLMENT_NONCE_LEN]> = self
            .token_bound
            .as_deref()
            .map(<[u8; ENROLMENT_NONCE_LEN]>::try_from)
            .transpose()
            .map_err(|_| RepositoryError::damaged("enrolment nonce"))?;
        Ok(Some(TokenState {
            key_id: id,
            key: MasterKey::from_bytes(id.kind(), &key)
                .map_err(|_| RepositoryError::damaged("enrolment key"))?,
            expires: from_sql_millis(expires),
            bound,
        }))
    }
}

/// Deletes the enrolment key of a registration that is no more.
pub(super) fn forget_tokens(tx: &mut Tx<'_>, gateway_id: &[u8]) -> Result<(), RepositoryError> {
    sealed_values::remove_of_owner(tx, ProtectedType::EnrolmentKey, gateway_id)
}

fn token_place(gateway_id: &[u8]) -> Place<'_> {
    Place {
        kind: ProtectedType::EnrolmentKey,
        owner: gateway_id,
        field: "enrolment key",
    }
}
