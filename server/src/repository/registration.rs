//! A registration as the columns of its gateway, and its token as a sealed value.

use portcullis_common::id::{GatewayId, KeyId};
use portcullis_common::rotation::{
    ENROLMENT_NONCE_LEN, Registration, Standing, TokenState, UnixMillis,
};
use portcullis_common::secret::MasterKey;

use portcullis_host::clock;

use super::authority::{Authority, Checked, GATEWAYS, Stamp};
use super::columns::{from_sql_millis, key_id, standing, to_sql_millis};
use super::sql::{Row, Tx, Value, params};
use super::{
    OpenError, Place, ProtectedType, QueuedCalls, Reach, RepositoryError, Sealer, sealed_values,
};

/// The columns that [`Self::read`](RegistrationRow::read) expects after those of [`GATEWAYS`] and
/// their MAC.
pub(super) const TOKEN: &str = "(SELECT sealed FROM sealed_values v WHERE v.type = 'enrolment-key' AND v.owner = gateway_id AND v.field = 'enrolment key')";
/// How many columns are read in all.
pub(super) const COLUMN_COUNT: usize = GATEWAYS.width + 2;

/// A gateway's row: what decides of it.
#[derive(Clone)]
pub(super) struct RegistrationRow {
    pub(super) name: String,
    address: Option<String>,
    created_ms: i64,
    gateway_id: Vec<u8>,
    standing: u8,
    token_key_id: Option<Vec<u8>>,
    token_sealed_key: Option<Vec<u8>>,
    token_expires_ms: Option<i64>,
    token_bound: Option<Vec<u8>>,
    pairing_until_ms: Option<i64>,
    last_proved: Option<Vec<u8>>,
    sent: Vec<u8>,
    proved_ms: Option<i64>,
}

/// A gateway's row as it was read, not checked yet.
pub(super) struct UncheckedRow {
    stamp: Stamp,
    row: RegistrationRow,
}

/// The columns to select, in the order that [`UncheckedRow::read`] expects.
pub(super) fn columns() -> String {
    format!("{}, mac, {TOKEN}", GATEWAYS.columns)
}

impl UncheckedRow {
    /// Reads [`columns`] from the first on.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, RepositoryError> {
        Ok(Self {
            stamp: Stamp::read(&GATEWAYS, row, 0)?,
            row: RegistrationRow {
                name: row.get(0)?,
                address: row.get(1)?,
                created_ms: row.get(2)?,
                gateway_id: row.get(3)?,
                standing: row.get(4)?,
                token_key_id: row.get(5)?,
                token_expires_ms: row.get(6)?,
                token_bound: row.get(7)?,
                pairing_until_ms: row.get(8)?,
                last_proved: row.get(9)?,
                sent: row.get(10)?,
                proved_ms: row.get(11)?,
                token_sealed_key: row.get(13)?,
            },
        })
    }

    /// The row, where its MAC is right, and that MAC.
    ///
    /// # Errors
    /// [`RepositoryError::RowChanged`] where it is wrong.
    pub(super) fn check(
        self,
        tx: &mut Tx<'_>,
        authority: &Authority,
    ) -> Result<(RegistrationRow, Checked), RepositoryError> {
        let checked = authority.check(tx, &GATEWAYS, &self.stamp)?;
        Ok((self.row, checked))
    }

    /// What it is called, whether its MAC is right or not.
    pub(super) fn name(&self) -> &str {
        &self.row.name
    }

    /// The registration of a gateway whose row decides nothing: it is let in by no key.
    pub(super) fn closed(&self) -> Registration {
        let id = GatewayId::from_bytes(&self.row.gateway_id);
        Registration {
            gateway_id: id.unwrap_or(GatewayId::from_array([0; 16])),
            standing: Standing::Revoked,
            token: None,
            pairing_until: None,
            last_proved: None,
            sent: Vec::new(),
        }
    }

    /// Who dials whom, and when it was added, as the row says.
    pub(super) fn reach(&self) -> (Reach, UnixMillis) {
        self.row.reach()
    }
}

impl RegistrationRow {
    /// Who dials whom, and when the gateway was added.
    pub(super) fn reach(&self) -> (Reach, UnixMillis) {
        let reach = self.address.clone().map_or(Reach::DialOut, Reach::Address);
        (reach, from_sql_millis(self.created_ms))
    }

    /// When `last_proved` was first proved.
    pub(super) fn proved(&self) -> Option<UnixMillis> {
        self.proved_ms.map(from_sql_millis)
    }

    /// The id of the registration.
    pub(super) fn gateway_id(&self) -> &[u8] {
        &self.gateway_id
    }

    /// A key was proved, and none had been where the row was `before`.
    pub(super) const fn first_proves(&self, before: &Self) -> bool {
        before.last_proved.is_none() && self.last_proved.is_some()
    }

    /// The same row under another name.
    pub(super) fn named(self, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..self
        }
    }

    /// Whether it stores something else than `other`, the token's sealed bytes included.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.values() != other.values() || self.token_sealed_key != other.token_sealed_key
    }

    /// Whether it takes from the gateway what `other` let it do.
    pub(super) fn withdraws(&self, other: &Self) -> bool {
        self.gateway_id != other.gateway_id
            || (self.standing != 0 && self.standing != other.standing)
    }

    /// The row of a gateway about to be added.
    pub(super) fn new(
        name: &str,
        reach: &Reach,
        created: UnixMillis,
        registration: &Registration,
        sealer: &dyn Sealer,
    ) -> Self {
        let nothing = Self {
            name: name.to_owned(),
            address: match reach {
                Reach::Address(address) => Some(address.clone()),
                Reach::DialOut => None,
            },
            created_ms: to_sql_millis(created),
            gateway_id: Vec::new(),
            standing: 0,
            token_key_id: None,
            token_sealed_key: None,
            token_expires_ms: None,
            token_bound: None,
            pairing_until_ms: None,
            last_proved: None,
            sent: Vec::new(),
            proved_ms: None,
        };
        nothing.with(registration, sealer)
    }

    /// The columns of [`GATEWAYS`], in their order.
    fn values(&self) -> [Value<'_>; GATEWAYS.width] {
        params![
            self.name,
            self.address,
            self.created_ms,
            self.gateway_id,
            self.standing,
            self.token_key_id,
            self.token_expires_ms,
            self.token_bound,
            self.pairing_until_ms,
            self.last_proved,
            self.sent,
            self.proved_ms,
        ]
    }

    /// The row that stores `registration` in place of this one. A token that this one holds already
    /// keeps its sealed bytes, and one whose server key is not here stays as it is until that key
    /// arrives.
    pub(super) fn with(&self, registration: &Registration, sealer: &dyn Sealer) -> Self {
        let gateway_id = registration.gateway_id.to_bytes().to_vec();
        let same = self.gateway_id == gateway_id;
        let token = registration.token.as_ref();
        let token_key_id = token.map(|token| token.key_id.to_bytes().to_vec());
        let token_sealed_key = token.map(|token| {
            let kept = (same && self.token_key_id == token_key_id)
                .then(|| self.token_sealed_key.clone())
                .flatten();
            kept.unwrap_or_else(|| sealer.seal(&token_place(&gateway_id), token.key.expose()))
        });
        let last_proved = registration.last_proved.map(|id| id.to_bytes().to_vec());
        let mut row = Self {
            name: self.name.clone(),
            address: self.address.clone(),
            created_ms: self.created_ms,
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
            sent: registration
                .sent
                .iter()
                .flat_map(|id| id.to_bytes())
                .collect(),
            proved_ms: match &last_proved {
                proved if *proved == self.last_proved => self.proved_ms,
                Some(_) => Some(to_sql_millis(clock::now())),
                None => None,
            },
            last_proved,
            gateway_id,
        };
        if token.is_none() && same && self.token_is_closed(sealer) {
            row.token_key_id.clone_from(&self.token_key_id);
            row.token_sealed_key.clone_from(&self.token_sealed_key);
            row.token_expires_ms = self.token_expires_ms;
            row.token_bound.clone_from(&self.token_bound);
        }
        row
    }

    /// Stores this row in the place of `before`.
    pub(super) fn store(
        &self,
        tx: &mut Tx<'_>,
        authority: &Authority,
        before: &Self,
        checked: &Checked,
    ) -> Result<(), RepositoryError> {
        if before.gateway_id != self.gateway_id {
            forget_tokens(tx, &before.gateway_id)?;
            QueuedCalls::orphan(tx, authority, &self.name)?;
        }
        self.store_token(tx)?;
        let mac = authority.mac(&GATEWAYS, &self.values(), &checked.children);
        self.write(tx, &mac)?;
        authority.note(tx, Some(&checked.mac), Some(&mac))
    }

    /// Stores this row in place of another of its name, with a MAC that is to be made yet.
    pub(super) fn overwrite(&self, tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
        self.store_token(tx)?;
        self.write(tx, &[])
    }

    fn write(&self, tx: &mut Tx<'_>, mac: &[u8]) -> Result<(), RepositoryError> {
        tx.execute(
            "UPDATE gateways SET gateway_id = ?2, standing = ?3, token_key_id = ?4,
                 token_expires_ms = ?5, token_bound = ?6, pairing_until_ms = ?7, last_proved = ?8,
                 sent = ?9, proved_ms = ?10, mac = ?11
             WHERE name = ?1",
            &params![
                self.name,
                self.gateway_id,
                self.standing,
                self.token_key_id,
                self.token_expires_ms,
                self.token_bound,
                self.pairing_until_ms,
                self.last_proved,
                self.sent,
                self.proved_ms,
                mac,
            ],
        )?;
        Ok(())
    }

    /// Stores the row of a gateway that is not there yet.
    pub(super) fn insert(&self, tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
        tx.execute(
            &format!(
                "INSERT INTO gateways ({})
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
                GATEWAYS.columns
            ),
            &self.values(),
        )?;
        self.store_token(tx)
    }

    fn store_token(&self, tx: &mut Tx<'_>) -> Result<(), RepositoryError> {
        let place = token_place(&self.gateway_id);
        let stands = sealed_values::find(tx, &place)?;
        match &self.token_sealed_key {
            None => sealed_values::remove(tx, &place),
            Some(sealed) if stands.as_ref() == Some(sealed) => Ok(()),
            Some(sealed) => sealed_values::put(tx, &place, sealed),
        }
    }

    fn token_is_closed(&self, sealer: &dyn Sealer) -> bool {
        self.token_sealed_key
            .as_ref()
            .is_some_and(|sealed| !sealer.holds_key_of(sealed))
    }

    /// The registration, without token and pairing.
    pub(super) fn decode_without_secrets(&self) -> Result<Registration, RepositoryError> {
        Ok(Registration {
            gateway_id: GatewayId::from_bytes(&self.gateway_id)
                .ok_or_else(|| RepositoryError::damaged("gateway id"))?,
            standing: standing(self.standing)?,
            token: None,
            pairing_until: None,
            last_proved: self.last_proved.as_deref().map(key_id).transpose()?,
            sent: self
                .sent
                .chunks(KeyId::LEN)
                .map(key_id)
                .collect::<Result<_, _>>()?,
        })
    }

    /// The registration.
    pub(super) fn decode(&self, sealer: &dyn Sealer) -> Result<Registration, RepositoryError> {
        Ok(Registration {
            token: self.decode_token(sealer)?,
            pairing_until: self.pairing_until_ms.map(from_sql_millis),
            ..self.decode_without_secrets()?
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
        context: &[],
    }
}
