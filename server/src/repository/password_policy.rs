//! What passwords have to be.

use super::authority::{PASSWORD_POLICY, Stamp, Table};
use super::sql::{Value, params};
use super::{Database, ProtectedType, Repository, RepositoryError, password_history};

/// What passwords have to be. By default nothing is demanded. 0: the rule is off.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Characters at least.
    pub min_length: u32,
    /// Characters at most.
    pub max_length: u32,
    /// Lower-case letters at least.
    pub min_lower: u32,
    /// Upper-case letters at least.
    pub min_upper: u32,
    /// Digits at least.
    pub min_digits: u32,
    /// Characters that are neither letters nor digits, at least.
    pub min_other: u32,
    /// The name of the user or account may not be in it.
    pub forbid_names: bool,
    /// It may be no word of the dictionary.
    pub forbid_words: bool,
    /// It may be none of so many earlier ones of the user.
    pub user_history: u32,
    /// It may be none of so many earlier ones of the account on its resource.
    pub account_history: u32,
}

/// The password policy: one for the whole site.
#[derive(Clone, Copy, Debug)]
pub struct PasswordPolicies<'a> {
    database: &'a Database,
}

impl Repository {
    /// What passwords have to be.
    pub const fn password_policy(&self) -> PasswordPolicies<'_> {
        PasswordPolicies {
            database: &self.database,
        }
    }
}

impl PasswordPolicies<'_> {
    /// The policy as it is.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn current(&self) -> Result<PasswordPolicy, RepositoryError> {
        let authority = self.database.authority()?;
        self.database
            .read(move |tx| {
                let Table { columns, .. } = PASSWORD_POLICY;
                let policy = tx.query_optional(
                    &format!("SELECT {columns}, mac FROM password_policy"),
                    &[],
                    |row| {
                        let stamp = Stamp::read(&PASSWORD_POLICY, row, 0)?;
                        authority.check_alone(&PASSWORD_POLICY, &stamp)?;
                        Ok(PasswordPolicy {
                            min_length: row.get(1)?,
                            max_length: row.get(2)?,
                            min_lower: row.get(3)?,
                            min_upper: row.get(4)?,
                            min_digits: row.get(5)?,
                            min_other: row.get(6)?,
                            forbid_names: row.get(7)?,
                            forbid_words: row.get(8)?,
                            user_history: row.get(9)?,
                            account_history: row.get(10)?,
                        })
                    },
                )?;
                Ok(policy.unwrap_or_default())
            })
            .await
    }

    /// Puts another in its place, and forgets what lies beyond its histories.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn set(&self, policy: PasswordPolicy) -> Result<(), RepositoryError> {
        let authority = self.database.authority()?;
        self.database
            .write(move |tx| {
                // A policy that was changed by hand is replaced like any other.
                let guarded = authority.guard_any(tx, &PASSWORD_POLICY, "true", &[])?;
                tx.execute(
                    "INSERT INTO password_policy
                         (id, min_length, max_length, min_lower, min_upper, min_digits, min_other,
                          forbid_names, forbid_words, user_history, account_history)
                     VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
                     ON CONFLICT (id) DO UPDATE SET
                         min_length = excluded.min_length, max_length = excluded.max_length,
                         min_lower = excluded.min_lower, min_upper = excluded.min_upper,
                         min_digits = excluded.min_digits, min_other = excluded.min_other,
                         forbid_names = excluded.forbid_names, forbid_words = excluded.forbid_words,
                         user_history = excluded.user_history, account_history = excluded.account_history",
                    &params![
                        policy.min_length,
                        policy.max_length,
                        policy.min_lower,
                        policy.min_upper,
                        policy.min_digits,
                        policy.min_other,
                        policy.forbid_names,
                        policy.forbid_words,
                        policy.user_history,
                        policy.account_history,
                    ],
                )?;
                guarded.replaced(tx, Value::Integer(1))?;
                for (kind, depth) in [
                    (ProtectedType::PasswordHistory, policy.user_history),
                    (ProtectedType::ResourcePasswordHistory, policy.account_history),
                ] {
                    password_history::trim_all(tx, kind, depth)?;
                }
                Ok(())
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;

    #[tokio::test]
    async fn a_policy_is_read_as_it_was_set_and_demands_nothing_at_first() {
        let fixture = Fixture::new().await;
        let policies = fixture.repository.password_policy();
        assert_eq!(policies.current().await.unwrap(), PasswordPolicy::default());
        let policy = PasswordPolicy {
            min_length: 1,
            max_length: 2,
            min_lower: 3,
            min_upper: 4,
            min_digits: 5,
            min_other: 6,
            forbid_names: true,
            forbid_words: false,
            user_history: 7,
            account_history: 8,
        };
        policies.set(policy.clone()).await.unwrap();
        let other = PasswordPolicy {
            forbid_names: false,
            forbid_words: true,
            ..policy
        };
        policies.set(other.clone()).await.unwrap();
        let read = fixture.another().await.password_policy().current().await;
        assert_eq!(read.unwrap(), other);
    }
}
