//! Log-ins that failed, counted so that it holds whichever server is asked. What the counts come to
//! is for whoever counts to say.

use portcullis_common::rotation::UnixMillis;

use super::authority::Authority;
use super::columns::{from_sql_millis, to_sql_millis};
use super::sql::{Tx, params};
use super::{Repository, RepositoryError};

const COUNTED: &[u8] = b"portcullis log-in failures v1";

/// For how long a count is kept that nothing was added to, in milliseconds: longer than any that
/// is made of them looks back.
const KEPT_FOR: i64 = 31 * 24 * 60 * 60 * 1_000;

/// What failures are counted of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Counted {
    /// A user at an application.
    User {
        /// The application.
        application: String,
        /// The name as it was typed.
        user: String,
    },
    /// The same, from one address.
    UserAt {
        /// The application.
        application: String,
        /// The name as it was typed.
        user: String,
        /// The address.
        address: String,
    },
    /// An address, whoever is named.
    Address(String),
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Failures.
    pub failures: u32,
    /// When the last one was.
    pub last: UnixMillis,
    /// When the user last logged in from there.
    pub known: Option<UnixMillis>,
}

impl Count {
    /// Nothing yet.
    pub const NONE: Self = Self {
        failures: 0,
        last: UnixMillis(0),
        known: None,
    };
}

/// Log-ins that failed.
#[derive(Clone, Copy, Debug)]
pub struct LogInFailures<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// Log-ins that failed.
    pub const fn log_in_failures(&self) -> LogInFailures<'_> {
        LogInFailures { repository: self }
    }
}

impl LogInFailures<'_> {
    /// Has `work` look at the counts of `counted`, in their order, and change them, in one
    /// transaction; the time is by the repository's clock.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was changed.
    pub async fn change<T: Send + 'static, const N: usize>(
        &self,
        counted: [Counted; N],
        work: impl Fn(&mut [Count; N], UnixMillis) -> T + Send + 'static,
    ) -> Result<T, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let keys = counted.map(|one| key(&authority, &one));
        self.repository
            .database
            .write(move |tx| {
                let now = tx.now()?;
                let mut before = [Count::NONE; N];
                for (count, key) in before.iter_mut().zip(&keys) {
                    *count = find(tx, key)?;
                }
                let mut after = before;
                let result = work(&mut after, now);
                for ((count, former), key) in after.iter().zip(&before).zip(&keys) {
                    if count != former {
                        put(tx, key, count)?;
                    }
                }
                if after != before {
                    let old = to_sql_millis(now).saturating_sub(KEPT_FOR);
                    let sql = "DELETE FROM lockouts WHERE last_ms < ?1";
                    tx.execute(sql, &params![old])?;
                }
                Ok(result)
            })
            .await
    }
}

/// Under what it stands: nobody reads from it what was typed.
fn key(authority: &Authority, counted: &Counted) -> [u8; 32] {
    let (kind, parts): (&[u8], [&str; 3]) = match counted {
        Counted::User { application, user } => (b"u", [application, user, ""]),
        Counted::UserAt {
            application,
            user,
            address,
        } => (b"@", [application, user, address]),
        Counted::Address(address) => (b"a", [address, "", ""]),
    };
    let lengths = parts.map(|part| (part.len() as u64).to_be_bytes());
    let [one, two, three] = parts.map(str::as_bytes);
    authority.tag(&[COUNTED, kind, &lengths.concat(), one, two, three])
}

fn find(tx: &mut Tx<'_>, key: &[u8; 32]) -> Result<Count, RepositoryError> {
    let found = tx.query_optional(
        "SELECT failures, last_ms, known_ms FROM lockouts WHERE counted = ?1",
        &params![key],
        |row| {
            Ok(Count {
                failures: row.get(0)?,
                last: from_sql_millis(row.get(1)?),
                known: row.get::<Option<i64>>(2)?.map(from_sql_millis),
            })
        },
    )?;
    Ok(found.unwrap_or(Count::NONE))
}

fn put(tx: &mut Tx<'_>, key: &[u8; 32], count: &Count) -> Result<(), RepositoryError> {
    tx.execute(
        "INSERT INTO lockouts (counted, failures, last_ms, known_ms) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (counted) DO UPDATE SET
             failures = excluded.failures, last_ms = excluded.last_ms, known_ms = excluded.known_ms",
        &params![
            key,
            count.failures,
            to_sql_millis(count.last),
            count.known.map(to_sql_millis)
        ],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;

    #[tokio::test]
    async fn counts_hold_for_one_thing_each_and_on_every_server() {
        let fixture = Fixture::new().await;
        let user = |application: &str, user: &str| Counted::User {
            application: application.to_owned(),
            user: user.to_owned(),
        };
        let at = |user: &str, address: &str| Counted::UserAt {
            application: "api".to_owned(),
            user: user.to_owned(),
            address: address.to_owned(),
        };
        let all = [
            user("api", "ada"),
            user("ap", "iada"),
            user("api", "bob"),
            at("ada", ""),
            at("ada", "x"),
            Counted::Address("ada".to_owned()),
        ];
        for (number, counted) in (1..).zip(&all) {
            for of in [&fixture.repository, &fixture.another().await] {
                let failures = of.log_in_failures();
                let changed = failures.change([counted.clone()], move |counts, now| {
                    counts[0].failures += number;
                    counts[0].last = now;
                });
                changed.await.unwrap();
            }
        }
        for (number, counted) in (1..).zip(all) {
            let failures = fixture.repository.log_in_failures();
            let count = failures.change([counted], |counts, _| counts[0].failures);
            assert_eq!(count.await.unwrap(), 2 * number);
        }
    }
}
