//! What users may do once they have logged in.

use super::authority::{ADMINISTRATORS, Authority, Stamp};
use super::meta;
use super::sql::{Tx, Value, params};
use super::users::require;
use super::{Repository, RepositoryError};
use crate::config::{Capability, CapabilitySet};

/// The users who may do something.
#[derive(Clone, Copy, Debug)]
pub struct Administrators<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// What users may do once they have logged in.
    pub const fn administrators(&self) -> Administrators<'_> {
        Administrators { repository: self }
    }
}

impl Administrators<'_> {
    /// What this user may do; `None`: there is no such user.
    ///
    /// # Errors
    /// [`RepositoryError::RowChanged`] where what stands there was put in by hand.
    pub async fn held_by(&self, user: &str) -> Result<Option<CapabilitySet>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let user = user.to_owned();
        self.repository
            .database
            .read(move |tx| {
                let there = tx.exists("SELECT 1 FROM users WHERE name = ?1", &params![user])?;
                match there {
                    true => held(tx, &authority, &user).map(Some),
                    false => Ok(None),
                }
            })
            .await
    }

    /// Gives a user a capability, or takes it away (`holds` is false). True: that changed
    /// something.
    ///
    /// # Errors
    /// [`RepositoryError::NotFound`] where there is no such user.
    pub async fn set(
        &self,
        user: &str,
        capability: Capability,
        holds: bool,
    ) -> Result<bool, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let user = user.to_owned();
        self.repository
            .database
            .write(move |tx| {
                require(tx, &user)?;
                let mine = "user_name = ?1";
                let guarded = authority.guard(tx, &ADMINISTRATORS, mine, &params![user])?;
                let before = held(tx, &authority, &user)?;
                let others = before.iter().filter(|one| *one != capability);
                let after: CapabilitySet = others.chain(holds.then_some(capability)).collect();
                if after == before {
                    return Ok(false);
                }
                let names: Vec<_> = after.iter().map(Capability::name).collect();
                match names.is_empty() {
                    true => tx.execute(
                        "DELETE FROM administrators WHERE user_name = ?1",
                        &params![user],
                    )?,
                    false => tx.execute(
                        "INSERT INTO administrators (user_name, capabilities) VALUES (?1, ?2)
                         ON CONFLICT (user_name) DO UPDATE SET capabilities = excluded.capabilities",
                        &params![user, names.join(" ")],
                    )?,
                };
                guarded.replaced(tx, Value::Text(&user))?;
                if !holds {
                    meta::raise_authority(tx)?;
                }
                Ok(true)
            })
            .await
    }
}

/// What a user may do, who is there.
pub(super) fn held(
    tx: &mut Tx<'_>,
    authority: &Authority,
    user: &str,
) -> Result<CapabilitySet, RepositoryError> {
    let sql = ADMINISTRATORS.select("user_name = ?1");
    let names: Option<String> = tx.query_optional(&sql, &params![user], |row| {
        let stamp = Stamp::read(&ADMINISTRATORS, row, 0)?;
        authority.check_alone(&ADMINISTRATORS, &stamp)?;
        row.get(1)
    })?;
    let names = names.unwrap_or_default();
    // A name that this version does not know gives nothing here.
    let known = |name: &str| Capability::ALL.into_iter().find(|one| one.name() == name);
    Ok(names.split(' ').filter_map(known).collect())
}

/// The user is removed: whoever gets the name later may do nothing by it.
pub(super) fn forget(
    tx: &mut Tx<'_>,
    authority: &Authority,
    user: &str,
) -> Result<(), RepositoryError> {
    let guarded = authority.guard_any(tx, &ADMINISTRATORS, "user_name = ?1", &params![user])?;
    tx.execute(
        "DELETE FROM administrators WHERE user_name = ?1",
        &params![user],
    )?;
    guarded.settle(tx)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixture, NOW};
    use super::*;

    #[tokio::test]
    async fn a_user_may_do_what_was_given_and_whoever_gets_the_name_later_nothing() {
        let fixture = Fixture::new().await;
        let (users, all) = (
            fixture.repository.users(),
            fixture.repository.administrators(),
        );
        let held = async || all.held_by("ada").await.unwrap();
        assert_eq!(held().await, None);
        let refused = all.set("ada", Capability::Auditor, true).await;
        assert!(matches!(refused, Err(RepositoryError::NotFound { .. })));
        users.add("ada", NOW).await.unwrap();
        assert_eq!(held().await, Some(CapabilitySet::default()));
        for one in [Capability::Operator, Capability::Auditor] {
            assert!(all.set("ada", one, true).await.unwrap());
            assert!(!all.set("ada", one, true).await.unwrap());
        }
        let both = CapabilitySet::of(&[Capability::Operator, Capability::Auditor]);
        assert_eq!(held().await, Some(both));
        assert!(all.set("ada", Capability::Operator, false).await.unwrap());
        assert!(!all.set("ada", Capability::Operator, false).await.unwrap());
        assert_eq!(
            held().await,
            Some(CapabilitySet::of(&[Capability::Auditor]))
        );
        users.remove("ada").await.unwrap();
        users.add("ada", NOW).await.unwrap();
        assert_eq!(held().await, Some(CapabilitySet::default()));
    }

    #[tokio::test]
    async fn a_right_that_was_put_in_by_hand_gives_nothing() {
        let fixture = Fixture::new().await;
        let (users, all) = (
            fixture.repository.users(),
            fixture.repository.administrators(),
        );
        users.add("ada", NOW).await.unwrap();
        all.set("ada", Capability::Operator, true).await.unwrap();
        let changed = fixture.repository.database.write(|tx| {
            let sql = "UPDATE administrators SET capabilities = 'security-administrator'";
            tx.execute(sql, &[])
        });
        changed.await.unwrap();
        let held = all.held_by("ada").await;
        assert!(
            matches!(held, Err(RepositoryError::RowChanged { .. })),
            "{held:?}"
        );
    }
}
