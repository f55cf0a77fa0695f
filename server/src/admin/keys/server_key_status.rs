//! Under which server key the values of the repository are sealed.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use portcullis_proto::admin::v1 as proto;

use super::protection::protection;
use crate::admin::convert;
use crate::admin::error::AdminError;
use crate::repository::{ProtectedType, SealedCount};
use crate::services::Services;
use crate::tasks::SERVER_KEY;

/// The server keys, the values under each, and those that no key of this repository opens.
pub(super) async fn server_keys(services: &Services) -> Result<proto::ServerKeyStatus, AdminError> {
    let database = services.repository.database();
    // The values first: a key made since is listed without values, and none that has values is left
    // out.
    let counts = database.sealed_values().counts().await?;
    let mut rows = database.server_keys().list().await?;
    // An imported key is stored last, and was made before.
    rows.sort_by_key(|row| Reverse(row.created));

    let keys = rows.iter().map(|row| {
        let values = of_every_type(counts.iter().filter(|it| it.server_key == Some(row.id)));
        let mut key = convert::server_key(row);
        key.in_use_by = values.iter().map(|kind| kind.count).sum();
        proto::ServerKeyValues {
            key: Some(key),
            values,
        }
    });
    let keys: Vec<_> = keys.collect();
    let keyring = services.keys.keyring();
    let named = counts.iter().filter_map(|count| count.server_key);
    let absent: BTreeSet<_> = named.filter(|id| keyring.key(*id).is_none()).collect();
    let absent = absent.into_iter().map(|id| {
        let mut values = of_every_type(counts.iter().filter(|it| it.server_key == Some(id)));
        values.retain(|kind| kind.count > 0);
        proto::AbsentServerKey {
            key_id: id.to_string(),
            values,
        }
    });
    let absent = absent.collect();
    let malformed = counts.iter().filter(|count| count.server_key.is_none());
    let mut totals = of_every_type(counts.iter());
    totals.push(type_count(SERVER_KEY, rows.len() as u64));
    Ok(proto::ServerKeyStatus {
        keys,
        absent,
        malformed: malformed.map(|count| count.values).sum(),
        protection: Some(protection(services).await?),
        totals,
    })
}

fn of_every_type<'a>(
    counts: impl Iterator<Item = &'a SealedCount> + Clone,
) -> Vec<proto::TypeCount> {
    let types = ProtectedType::ALL.into_iter().map(|kind| {
        let of_kind = counts.clone().filter(|count| count.kind == kind);
        type_count(kind.name(), of_kind.map(|count| count.values).sum())
    });
    types.collect()
}

fn type_count(name: &str, count: u64) -> proto::TypeCount {
    proto::TypeCount {
        r#type: name.to_owned(),
        count,
    }
}
