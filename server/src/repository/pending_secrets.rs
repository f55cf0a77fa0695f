//! A secret setting whose value is being changed: the new one is kept beside the old one until it
//! is known which of them the resource has.

use zeroize::Zeroizing;

use super::authority::RESOURCES;
use super::resource_rows::{find, store};
use super::resources::{context, gateway_id, not_found, place};
use super::sql::{Tx, params};
use super::{RepositoryError, Resource, Resources, Sealer, sealed_values};

/// What stands before a secret setting that is being changed, among the settings, with the id of
/// the call that does it; and before the field of its new value.
pub(super) const PENDING: &str = "pending:";

/// A secret setting that is being changed: whether the resource has the new value or the old one,
/// nobody knows yet.
#[derive(Clone, Debug)]
pub struct PendingSecret {
    /// Its name.
    pub setting: String,
    /// The call that changes it.
    pub call_id: String,
    /// The new value.
    pub value: Zeroizing<Vec<u8>>,
}

impl Resources<'_> {
    /// Keeps a new value of a secret setting beside the one that it has, until
    /// [`Self::settle_secret`]. False: it has no such setting, or is changing one already.
    ///
    /// # Errors
    /// [`RepositoryError`]; `NotFound` where there is no such resource.
    pub async fn keep_pending(
        &self,
        name: &str,
        pending: PendingSecret,
    ) -> Result<bool, RepositoryError> {
        let name = name.to_owned();
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .write(move |tx| {
                let guarded = authority.guard(tx, &RESOURCES, "name = ?1", &params![name])?;
                let mut resource =
                    find(tx, &authority, &name)?.ok_or_else(|| not_found("resource", &name))?;
                let setting = &pending.setting;
                let is_lost = resource.lost_settings.contains(setting);
                let is_secret = resource.secret_settings.contains(setting);
                if !is_secret || is_lost || !resource.pending.is_empty() {
                    return Ok(false);
                }
                let gateway_id = gateway_id(tx, &authority, &resource.gateway)?;
                let context = context(gateway_id, &resource.connector);
                let field = pending_field(setting);
                let place = place(&name, &field, &context);
                sealed_values::put(tx, &place, &sealer.seal(&place, &pending.value))?;
                let call_id = pending.call_id.clone();
                resource.pending.insert(setting.clone(), call_id);
                store(tx, &resource)?;
                guarded.settle(tx)?;
                Ok(true)
            })
            .await
    }

    /// It is known which value the resource has: the new one takes the place of the old one, or is
    /// forgotten. Tells whether that call was still changing it.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn settle_secret(
        &self,
        name: &str,
        call_id: &str,
        is_new: bool,
    ) -> Result<bool, RepositoryError> {
        let (name, call_id) = (name.to_owned(), call_id.to_owned());
        let authority = self.repository.database.authority()?;
        let sealer = self.repository.sealer.clone();
        self.repository
            .database
            .write(move |tx| {
                let guarded = authority.guard(tx, &RESOURCES, "name = ?1", &params![name])?;
                let mut resource =
                    find(tx, &authority, &name)?.ok_or_else(|| not_found("resource", &name))?;
                let found = resource.pending.iter().find(|(_, call)| **call == call_id);
                let Some(setting) = found.map(|(setting, _)| setting.clone()) else {
                    return Ok(false);
                };
                let gateway_id = gateway_id(tx, &authority, &resource.gateway)?;
                let context = context(gateway_id, &resource.connector);
                if is_new && let Some(new) = pending(tx, &resource, &context, &*sealer)? {
                    let place = place(&name, &setting, &context);
                    sealed_values::put(tx, &place, &sealer.seal(&place, &new.value))?;
                }
                forget_pending(tx, &mut resource, &setting)?;
                store(tx, &resource)?;
                guarded.settle(tx)?;
                Ok(true)
            })
            .await
    }
}

/// The field of the new value of a secret setting.
pub(super) fn pending_field(setting: &str) -> String {
    format!("{PENDING}{setting}")
}

/// The secret setting that is being changed, with its new value.
pub(super) fn pending(
    tx: &mut Tx<'_>,
    resource: &Resource,
    context: &[u8],
    sealer: &dyn Sealer,
) -> Result<Option<PendingSecret>, RepositoryError> {
    let Some((setting, call_id)) = resource.pending.iter().next() else {
        return Ok(None);
    };
    let field = pending_field(setting);
    let place = place(&resource.name, &field, context);
    let sealed = sealed_values::find(tx, &place)?;
    let sealed = sealed.ok_or_else(|| RepositoryError::damaged("new value of a setting"))?;
    Ok(Some(PendingSecret {
        setting: setting.clone(),
        call_id: call_id.clone(),
        value: sealer.open(&place, &sealed)?,
    }))
}

/// The value that a secret setting was to get counts no more.
pub(super) fn forget_pending(
    tx: &mut Tx<'_>,
    resource: &mut Resource,
    setting: &str,
) -> Result<(), RepositoryError> {
    if resource.pending.remove(setting).is_some() {
        let field = pending_field(setting);
        sealed_values::remove(tx, &place(&resource.name, &field, &[]))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::resources::tests::{secrets, with_resource};
    use super::*;

    fn new(call: &str) -> PendingSecret {
        PendingSecret {
            setting: "password".to_owned(),
            call_id: call.to_owned(),
            value: Zeroizing::new(b"new".to_vec()),
        }
    }

    #[tokio::test]
    async fn the_new_value_counts_once_it_is_known_that_the_resource_has_it() {
        for (is_new, left) in [(true, "new"), (false, "old")] {
            let fixture = with_resource().await;
            let resources = fixture.repository.resources();
            assert!(!resources.keep_pending("ldap", new("c1")).await.unwrap());
            let given = secrets(&[("password", "old")]);
            resources.update_with("ldap", given, |_| ()).await.unwrap();
            assert!(resources.keep_pending("ldap", new("c1")).await.unwrap());
            assert!(!resources.keep_pending("ldap", new("c2")).await.unwrap());
            fixture.change_server_key().await;
            let another = fixture.another().await;
            let resources = another.resources();
            let opened = resources.open("ldap").await.unwrap().unwrap().unwrap();
            assert_eq!(opened.secrets, secrets(&[("password", "old")]));
            assert!(opened.resource.secret_settings.iter().eq(["password"]));
            let pending = opened.pending.unwrap();
            assert_eq!((&*pending.call_id, &**pending.value), ("c1", &b"new"[..]));
            assert!(!resources.settle_secret("ldap", "c2", true).await.unwrap());
            assert!(resources.settle_secret("ldap", "c1", is_new).await.unwrap());
            let opened = resources.open("ldap").await.unwrap().unwrap().unwrap();
            assert_eq!(opened.secrets, secrets(&[("password", left)]));
            assert!(opened.pending.is_none() && opened.resource.pending.is_empty());
        }
    }

    #[tokio::test]
    async fn who_gives_the_setting_anew_or_moves_the_resource_ends_the_change() {
        let fixture = with_resource().await;
        let resources = fixture.repository.resources();
        let old = secrets(&[("password", "old")]);
        resources.update_with("ldap", old, |_| ()).await.unwrap();
        assert!(resources.keep_pending("ldap", new("c1")).await.unwrap());
        let given = secrets(&[("password", "given")]);
        resources.update_with("ldap", given, |_| ()).await.unwrap();
        let opened = resources.open("ldap").await.unwrap().unwrap().unwrap();
        assert_eq!(opened.secrets, secrets(&[("password", "given")]));
        assert!(opened.pending.is_none());
        assert!(!resources.settle_secret("ldap", "c1", true).await.unwrap());
        assert!(resources.keep_pending("ldap", new("c2")).await.unwrap());
        let moved = resources.update("ldap", |it| it.connector = "d".to_owned());
        let moved = moved.await.unwrap();
        assert!(moved.pending.is_empty() && moved.secret_settings.is_empty());
    }
}
