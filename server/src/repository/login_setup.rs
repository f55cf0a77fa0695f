//! To what users log in, and by which modules: few rows, which are read and checked together.

use std::collections::BTreeMap;

use super::authority::{Authority, LOGIN_APPLICATIONS, LOGIN_GROUPS, Stamp};
use super::sql::{Tx, Value, params};
use super::{Repository, RepositoryError};

/// An application as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationRow {
    /// How long its sessions may be idle, in milliseconds.
    pub idle_ms: u64,
    /// How long they last in any case, in milliseconds.
    pub absolute_ms: u64,
    /// Whether a user has one session at a time.
    pub single_session: bool,
    /// Whether nobody logs in.
    pub disabled: bool,
    /// What whoever is kept out is told.
    pub message: String,
    /// Names of groups, with blanks between them.
    pub groups: String,
}

/// A group of modules as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// When it is asked; empty: always.
    pub rule: String,
    /// Its modules, with blanks between them.
    pub modules: String,
}

/// All of them, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetupRows {
    /// The applications.
    pub applications: BTreeMap<String, ApplicationRow>,
    /// The groups.
    pub groups: BTreeMap<String, GroupRow>,
}

/// To what users log in, and by which modules.
#[derive(Clone, Copy, Debug)]
pub struct LoginSetup<'a> {
    repository: &'a Repository,
}

impl Repository {
    /// To what users log in, and by which modules.
    pub const fn login_setup(&self) -> LoginSetup<'_> {
        LoginSetup { repository: self }
    }
}

impl LoginSetup<'_> {
    /// All of it.
    ///
    /// # Errors
    /// [`RepositoryError::RowChanged`] where some of it was put in by hand: nobody gets in by it.
    pub async fn read(&self) -> Result<SetupRows, RepositoryError> {
        let authority = self.repository.database.authority()?;
        let database = &self.repository.database;
        database.read(move |tx| read(tx, &authority)).await
    }

    /// Has `work` change it, in one transaction. Where `work` refuses, nothing is changed.
    ///
    /// # Errors
    /// [`RepositoryError`]: nothing was changed. Within it, why `work` refused.
    pub async fn change<T: Send + 'static, E: Send + 'static>(
        &self,
        work: impl Fn(&mut SetupRows) -> Result<T, E> + Send + 'static,
    ) -> Result<Result<T, E>, RepositoryError> {
        let authority = self.repository.database.authority()?;
        self.repository
            .database
            .write(move |tx| {
                let before = read(tx, &authority)?;
                let mut after = before.clone();
                let done = match work(&mut after) {
                    Ok(done) => done,
                    Err(refused) => return Ok(Err(refused)),
                };
                for name in names(&before.applications, &after.applications) {
                    put_application(tx, &authority, name, after.applications.get(name))?;
                }
                for name in names(&before.groups, &after.groups) {
                    put_group(tx, &authority, name, after.groups.get(name))?;
                }
                Ok(Ok(done))
            })
            .await
    }
}

/// Those that differ.
fn names<'a, T: PartialEq>(
    before: &'a BTreeMap<String, T>,
    after: &'a BTreeMap<String, T>,
) -> Vec<&'a str> {
    let all = before.keys().chain(after.keys());
    let mut changed: Vec<_> = all
        .filter(|name| before.get(*name) != after.get(*name))
        .map(String::as_str)
        .collect();
    changed.sort_unstable();
    changed.dedup();
    changed
}

fn read(tx: &mut Tx<'_>, authority: &Authority) -> Result<SetupRows, RepositoryError> {
    let millis = |number: i64| u64::try_from(number).unwrap_or(0);
    let applications = tx.query(&LOGIN_APPLICATIONS.select("true"), &[], |row| {
        let stamp = Stamp::read(&LOGIN_APPLICATIONS, row, 0)?;
        authority.check_alone(&LOGIN_APPLICATIONS, &stamp)?;
        let application = ApplicationRow {
            idle_ms: millis(row.get(1)?),
            absolute_ms: millis(row.get(2)?),
            single_session: row.get(3)?,
            disabled: row.get(4)?,
            message: row.get(5)?,
            groups: row.get(6)?,
        };
        Ok((row.get(0)?, application))
    })?;
    let groups = tx.query(&LOGIN_GROUPS.select("true"), &[], |row| {
        let stamp = Stamp::read(&LOGIN_GROUPS, row, 0)?;
        authority.check_alone(&LOGIN_GROUPS, &stamp)?;
        let group = GroupRow {
            rule: row.get(1)?,
            modules: row.get(2)?,
        };
        Ok((row.get(0)?, group))
    })?;
    Ok(SetupRows {
        applications: applications.into_iter().collect(),
        groups: groups.into_iter().collect(),
    })
}

fn put_application(
    tx: &mut Tx<'_>,
    authority: &Authority,
    name: &str,
    row: Option<&ApplicationRow>,
) -> Result<(), RepositoryError> {
    let table = &LOGIN_APPLICATIONS;
    let guarded = authority.guard(tx, table, "name = ?1", &params![name])?;
    tx.execute(
        "DELETE FROM login_applications WHERE name = ?1",
        &params![name],
    )?;
    if let Some(row) = row {
        let millis = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        tx.execute(
            "INSERT INTO login_applications (name, idle_ms, absolute_ms, single_session, disabled, message, module_groups)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &params![
                name,
                millis(row.idle_ms),
                millis(row.absolute_ms),
                row.single_session,
                row.disabled,
                row.message,
                row.groups
            ],
        )?;
    }
    guarded.replaced(tx, Value::Text(name))
}

fn put_group(
    tx: &mut Tx<'_>,
    authority: &Authority,
    name: &str,
    row: Option<&GroupRow>,
) -> Result<(), RepositoryError> {
    let guarded = authority.guard(tx, &LOGIN_GROUPS, "name = ?1", &params![name])?;
    tx.execute("DELETE FROM login_groups WHERE name = ?1", &params![name])?;
    if let Some(row) = row {
        tx.execute(
            "INSERT INTO login_groups (name, rule, modules) VALUES (?1, ?2, ?3)",
            &params![name, row.rule, row.modules],
        )?;
    }
    guarded.replaced(tx, Value::Text(name))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::*;

    #[tokio::test]
    async fn it_is_read_as_it_was_changed_and_not_at_all_where_that_was_by_hand() {
        let fixture = Fixture::new().await;
        let setup = fixture.repository.login_setup();
        let change = |rule: &'static str| {
            setup.change(move |rows| {
                let group = GroupRow {
                    rule: rule.to_owned(),
                    modules: "password:required".to_owned(),
                };
                rows.groups.insert("inside".to_owned(), group);
                match rule {
                    "" => Err("refused"),
                    _ => Ok(()),
                }
            })
        };
        change("host").await.unwrap().unwrap();
        change("days:mon").await.unwrap().unwrap();
        assert_eq!(change("").await.unwrap(), Err("refused"));
        let read = fixture.another().await.login_setup().read().await.unwrap();
        assert_eq!(read.groups["inside"].rule, "days:mon");
        let changed = fixture
            .repository
            .database
            .write(|tx| tx.execute("UPDATE login_groups SET rule = 'host'", &[]));
        changed.await.unwrap();
        assert!(matches!(
            setup.read().await,
            Err(RepositoryError::RowChanged { .. })
        ));
    }
}
