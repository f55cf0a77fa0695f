//! When a directory locks an account after wrong passwords.

use super::connector::Directory;
use super::dn;
use super::fault::Error;
use super::session::Session;
use crate::model::{CallError, Lockout, LockoutLimit, ObjectRef};

impl Directory {
    /// What the directory says of an account before its password is tried.
    pub(crate) async fn lockout_of(
        &self,
        session: &Session<'_>,
        object: &ObjectRef,
    ) -> Result<Lockout, CallError> {
        let class = self.class(object.class)?;
        let mut wanted = self.wanted(class, &[]);
        wanted.extend(self.dialect.lockout_attributes());
        let Some(entry) = self.find(session, object, &wanted).await? else {
            return Ok(Lockout::NoAccount);
        };
        let read = async {
            let mut lease = session.lease(false).await?;
            let shown = lease.link()?.shown().to_owned();
            drop(lease);
            let limit = self.dialect.lockout_limit(session, &entry).await?;
            Ok::<_, Error>((shown, limit))
        };
        let (told_by, limit) = read.await.map_err(|error| self.read_error(&error))?;
        let servers = &self.settings.servers.list;
        let place = servers.first().map(|first| first.shown());
        let name = dn::key(&entry.dn).unwrap_or(entry.dn);
        Ok(Lockout::Account {
            key: format!("{} {name}", place.unwrap_or_default()),
            limit: limit.map(|limit| LockoutLimit { told_by, ..limit }),
        })
    }
}
