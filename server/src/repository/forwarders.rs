//! Which server sends the audit log to which place: one at a time, where several share the
//! repository.

use super::sql::params;
use super::{Database, RepositoryError};

/// Who sends to the places of `[forward]`.
#[derive(Clone, Copy, Debug)]
pub struct Forwarders<'a> {
    database: &'a Database,
}

impl Database {
    /// Who sends to the places of `[forward]`.
    pub const fn forwarders(&self) -> Forwarders<'_> {
        Forwarders { database: self }
    }
}

impl Forwarders<'_> {
    /// Has this instance send to a place, unless another one does whose row stands. `false`: it
    /// does.
    ///
    /// # Errors
    /// [`RepositoryError`].
    pub async fn claim(&self, place: &str) -> Result<bool, RepositoryError> {
        let (place, instance) = (place.to_owned(), self.database.instance());
        let name = place.clone();
        let taken = self
            .database
            .look(move |tx| {
                tx.query_optional(
                    "SELECT f.instance = ?2 FROM forwarders f
                     WHERE f.place = ?1 AND (f.instance = ?2
                         OR f.instance IN (SELECT s.instance FROM servers s))",
                    &params![name, instance],
                    |row| row.get::<bool>(0),
                )
            })
            .await?;
        if let Some(ours) = taken {
            return Ok(ours);
        }
        self.database
            .write_in_turn(move |tx| {
                let claimed = tx.execute(
                    "INSERT INTO forwarders (place, instance) VALUES (?1, ?2)
                     ON CONFLICT (place) DO UPDATE SET instance = excluded.instance
                     WHERE forwarders.instance NOT IN (SELECT s.instance FROM servers s)",
                    &params![place, instance],
                )?;
                Ok(claimed > 0)
            })
            .await
    }

    /// Has another instance send to a place, if one can.
    ///
    /// # Errors
    /// [`RepositoryError`]: this one still does.
    pub async fn release(&self, place: &str) -> Result<(), RepositoryError> {
        let (place, instance) = (place.to_owned(), self.database.instance());
        self.database
            .write_in_turn(move |tx| {
                let sql = "DELETE FROM forwarders WHERE place = ?1 AND instance = ?2";
                tx.execute(sql, &params![place, instance]).map(drop)
            })
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Fixture;
    use super::super::{on_postgres, stand};

    #[tokio::test]
    async fn one_server_sends_to_a_place_until_it_is_gone_or_leaves_it_to_another() {
        if !on_postgres() {
            return;
        }
        let fixture = Fixture::new().await;
        let later = fixture.another().await;
        let (database, elsewhere) = (fixture.repository.database(), later.database());
        let (one, two) = (database.forwarders(), elsewhere.forwarders());
        stand(database, true);
        stand(elsewhere, true);
        assert!(one.claim("siem").await.unwrap());
        assert!(one.claim("siem").await.unwrap());
        assert!(!two.claim("siem").await.unwrap());
        assert!(two.claim("file").await.unwrap());
        two.release("siem").await.unwrap();
        assert!(!two.claim("siem").await.unwrap());
        one.release("siem").await.unwrap();
        assert!(two.claim("siem").await.unwrap());
        assert!(!one.claim("siem").await.unwrap());
        stand(elsewhere, false);
        assert!(one.claim("siem").await.unwrap());
    }
}
