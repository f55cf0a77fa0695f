//! The end of a gateway in the roster, and its change of name: with all that names it.

use portcullis_common::id::GatewayId;
use portcullis_host::clock;

use super::authority::{Authority, GATEWAY_JOURNALS, GATEWAYS, RESOURCES};
use super::gateways::{GatewayRef, find_row, is_there};
use super::sql::{Tx, Value, params};
use super::{
    Gateways, QueuedCalls, RepositoryError, Sealer, links, meta, queued_calls, registration,
    resources,
};

/// What went with a gateway that was removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemovedGateway {
    /// Its resources, by name.
    pub resources: Vec<String>,
    /// The ids of the calls that waited for these, and were cancelled.
    pub cancelled: Vec<String>,
}

/// Why a gateway was not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillInUse {
    /// The resources that lie on it, by name.
    pub resources: Vec<String>,
    /// How many calls wait for these, or are under way.
    pub calls: u64,
}

impl Gateways<'_> {
    /// Removes a gateway with its registration, its token, its groups and its alarms. Where
    /// resources lie on it nothing changes, unless with `force`: they are removed then, as
    /// [`Resources::remove`](super::Resources::remove) does.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such gateway.
    pub async fn remove(
        &self,
        name: &str,
        force: bool,
    ) -> Result<Result<RemovedGateway, StillInUse>, RepositoryError> {
        let name = name.to_owned();
        let authority = self.database().authority()?;
        self.database()
            .write(move |tx| {
                // One whose record was changed by hand is removed like any other.
                let guarded = authority.guard_any(tx, &GATEWAYS, "name = ?1", &params![name])?;
                let gateway_id = gateway_id(tx, &name)?;
                let resources = resources_of(tx, &name)?;
                if !resources.is_empty() && !force {
                    let calls = queued_calls::open_of_gateway(tx, &name)?;
                    return Ok(Err(StillInUse { resources, calls }));
                }
                let mut removed = RemovedGateway::default();
                for resource in &resources {
                    let cancelled = resources::remove(tx, &authority, resource, clock::now())?;
                    removed.cancelled.extend(cancelled);
                }
                removed.resources = resources;
                registration::forget_tokens(tx, &gateway_id)?;
                forget_journal(tx, &authority, &gateway_id)?;
                links::forget(tx, &gateway_id)?;
                QueuedCalls::orphan(tx, &authority, &name)?;
                // Groups and alarms go with it.
                tx.execute("DELETE FROM gateways WHERE name = ?1", &params![name])?;
                guarded.settle(tx)?;
                meta::raise_authority(tx)?;
                Ok(Ok(removed))
            })
            .await
    }

    /// Gives a gateway another name. Its registration stays; its resources, groups, alarms and the
    /// calls that wait for it follow.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such gateway, `AlreadyExists` where the new
    /// name is taken, `Sealed` where a call waits whose payload does not open.
    pub async fn rename(&self, old: &str, new: &str) -> Result<(), RepositoryError> {
        let (old, new) = (old.to_owned(), new.to_owned());
        let sealer = self.sealer();
        let authority = self.database().authority()?;
        self.database()
            .write(move |tx| rename(tx, &authority, &old, &new, &*sealer))
            .await
    }
}

fn rename(
    tx: &mut Tx<'_>,
    authority: &Authority,
    old: &str,
    new: &str,
    sealer: &dyn Sealer,
) -> Result<(), RepositoryError> {
    let (row, _) = find_row(tx, authority, &GatewayRef::Name(old.to_owned()))?;
    let former = authority.guard(tx, &GATEWAYS, "name = ?1", &params![old])?;
    let resources = authority.guard(tx, &RESOURCES, "gateway = ?1", &params![old])?;
    if is_there(tx, new)? {
        return Err(RepositoryError::AlreadyExists {
            kind: "gateway",
            name: new.to_owned(),
        });
    }
    // Other rows name it, so both are there until these have moved; only one can have the id.
    let meanwhile = GatewayId::random(&mut rand::rng()).to_bytes();
    tx.execute(
        "INSERT INTO gateways (name, address, created_ms, last_seen_ms, last_error, gateway_id,
             standing, last_proved, proved_ms, sent, host, version)
         SELECT ?2, address, created_ms, last_seen_ms, last_error, ?3,
             standing, last_proved, proved_ms, sent, host, version FROM gateways WHERE name = ?1",
        &params![old, new, meanwhile],
    )?;
    queued_calls::follow_rename(tx, authority, old, new, sealer)?;
    for table in ["resources", "gateway_groups", "gateway_demands", "alarms"] {
        let sql = format!("UPDATE {table} SET gateway = ?2 WHERE gateway = ?1");
        tx.execute(&sql, &params![old, new])?;
    }
    tx.execute("DELETE FROM gateways WHERE name = ?1", &params![old])?;
    row.named(new).overwrite(tx)?;
    authority.added(tx, &GATEWAYS, Value::Text(new))?;
    former.settle(tx)?;
    meta::raise_authority(tx)?;
    resources.settle(tx)
}

fn gateway_id(tx: &mut Tx<'_>, name: &str) -> Result<Vec<u8>, RepositoryError> {
    let found = tx.query_optional(
        "SELECT gateway_id FROM gateways WHERE name = ?1",
        &params![name],
        |row| row.get(0),
    )?;
    found.ok_or_else(|| GatewayRef::Name(name.to_owned()).not_found())
}

fn forget_journal(
    tx: &mut Tx<'_>,
    authority: &Authority,
    gateway_id: &[u8],
) -> Result<(), RepositoryError> {
    let of = "gateway_id = ?1";
    let guarded = authority.guard_any(tx, &GATEWAY_JOURNALS, of, &params![gateway_id])?;
    let sql = format!("DELETE FROM gateway_journals WHERE {of}");
    tx.execute(&sql, &params![gateway_id])?;
    guarded.settle(tx)
}

fn resources_of(tx: &mut Tx<'_>, gateway: &str) -> Result<Vec<String>, RepositoryError> {
    tx.query(
        "SELECT name FROM resources WHERE gateway = ?1 ORDER BY name",
        &params![gateway],
        |row| row.get(0),
    )
}
