//! Work that is done in the transaction of audit entries.

use super::*;
use crate::repository::sql::params;

/// Puts a name into `meta`; twice where it is to fail, for it may be there once.
fn put(name: &'static str, times: usize) -> Option<Beside> {
    let (work, _) = Beside::new(move |tx, _| {
        for _ in 0..times {
            let sql = "INSERT INTO meta (name, value) VALUES (?1, ?2)";
            tx.execute(sql, &params![name, vec![1_u8]])?;
        }
        Ok(Some((true, ())))
    });
    Some(work)
}

#[tokio::test]
async fn work_that_fails_beside_its_entry_takes_no_other_with_it() {
    let fixture = Fixture::new().await;
    let repository = &fixture.repository;
    let besides = vec![put("work a", 1), put("work b", 2), None, put("work c", 1)];
    let make = |_: AuditTip, written: &[Written], _: &[u8; AUDIT_MAC_LEN]| {
        let numbers = written.iter().filter_map(|one| one.as_ref().ok().copied()?);
        let entries = numbers.map(|seq| AuditEntry {
            seq,
            commit_first: 1,
            mac: vec![1; AUDIT_MAC_LEN],
            ..AuditEntry::default()
        });
        Ok(entries.collect())
    };
    let log = repository.audit_entries();
    let appended = log.append(NO_ENTRY, besides, moved, make);
    let appended = appended.await.unwrap().unwrap();
    let numbers: Vec<_> = appended.written.into_iter().map(Result::ok).collect();
    assert_eq!(numbers, [Some(Some(1)), None, Some(Some(2)), Some(Some(3))]);
    assert_eq!(log.scan(0, 10).await.unwrap().len(), 3);
    let put = repository.database().read(|tx| {
        let sql = "SELECT name FROM meta WHERE name LIKE 'work %' ORDER BY name";
        tx.query(sql, &[], |row| row.get::<String>(0))
    });
    assert_eq!(put.await.unwrap(), ["work a", "work c"]);
}
