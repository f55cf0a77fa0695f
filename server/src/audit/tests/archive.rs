//! A log whose beginning was moved into a file.

use super::*;

/// All that may be archived now, archived: the end of it.
async fn archived(fixture: &Fixture) -> AuditTip {
    let log = &fixture.log;
    let head = log.archivable(u64::MAX, u64::MAX).await.unwrap().unwrap();
    log.archive(head.tip, u64::MAX).await.unwrap();
    head.tip
}

#[tokio::test]
async fn what_was_archived_is_gone_and_both_parts_verify_also_after_a_restart() {
    let mut fixture = Fixture::with_entries().await;
    let whole = fixture.entries().await;
    let end = archived(&fixture).await;
    assert_eq!(end.count, 6);
    fixture.change("four").await.unwrap();
    let left: Vec<_> = fixture.entries().await.iter().map(|one| one.seq).collect();
    assert_eq!(left, [7, 8, 9]);
    for _ in 0..2 {
        let report = fixture.log.verify(vec![end]).await.unwrap();
        assert_eq!(report.faults, []);
        assert_eq!((report.archived, report.sound.count), (6, report.count));
        fixture.log.close().await;
        fixture.restart().await;
    }
    // The archive, and what is left, are one chain.
    let mut verifier = fixture.log.verifier().await.unwrap();
    let rest = fixture.entries().await;
    for entry in whole.iter().take(6).chain(&rest) {
        verifier.take(entry).unwrap();
    }
    // A head of an archived entry is held against the archive.
    let known = AuditTip {
        count: 3,
        mac: whole[2].mac.clone().try_into().unwrap(),
    };
    let faults = fixture.log.verify(vec![known]).await.unwrap().faults;
    assert_eq!(faults, [Fault::Archived { seq: 3 }]);
    let again = archived(&fixture).await;
    assert!(again.count > end.count);
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn what_is_archived_while_the_log_is_verified_is_not_missing() {
    let fixture = Fixture::with_entries().await;
    let (log, whole) = (&fixture.log, fixture.entries().await);
    let known = |index: usize| AuditTip {
        count: whole[index].seq,
        mac: whole[index].mac.clone().try_into().unwrap(),
    };
    let inspection = log.inspect().await.unwrap();
    let chain = Chain::load(&fixture.repository, fixture.server)
        .await
        .unwrap();
    let start = Anchor::At(AuditTip::BEGINNING);
    archived(&fixture).await;
    fixture.change("four").await.unwrap();
    let heads = vec![known(2), known(5)];
    let found = verify::verify_from(start, &fixture.repository, chain, inspection, heads);
    let report = found.await.unwrap();
    assert_eq!(report.faults, [Fault::Archived { seq: 3 }]);
    assert_eq!((report.archived, report.sound.count), (6, report.count));
}

#[tokio::test]
async fn the_anchor_never_moves_back() {
    let fixture = Fixture::with_entries().await;
    let entries = fixture.repository.audit_entries();
    archived(&fixture).await;
    let anchor = entries.anchor().await.unwrap();
    let earlier = AuditTip {
        count: 3,
        mac: [0xff; 32],
    };
    entries.remove_up_to(earlier, [0xff; 32]).await.unwrap();
    assert_eq!(entries.anchor().await.unwrap(), anchor);
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn a_log_of_one_entry_after_its_archive_is_gone_on_from_after_a_loss_of_power() {
    let mut fixture = Fixture::with_entries().await;
    let head = fs::read(fixture.head()).unwrap();
    archived(&fixture).await;
    assert_eq!(fixture.entries().await.len(), 1);
    // What the archive flushed is what is left of the head file.
    assert_eq!(fs::read(fixture.head()).unwrap(), head);
    fixture.restart().await;
    fixture.change("four").await.unwrap();
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn nothing_is_archived_while_the_head_file_cannot_be_flushed() {
    let fixture = Fixture::with_entries().await;
    let log = &fixture.log;
    let head = log.archivable(u64::MAX, u64::MAX).await.unwrap().unwrap();
    fs::remove_file(fixture.head()).unwrap();
    let refused = log.archive(head.tip, u64::MAX).await.unwrap_err();
    let expected = matches!(refused, ArchiveError::Audit(AuditError::Head(_)));
    assert!(expected, "{refused}");
    assert_eq!(fixture.entries().await.first().unwrap().seq, 1);
}

#[tokio::test]
async fn nobody_shortens_the_log_without_its_key() {
    let fixture = Fixture::with_entries().await;
    let entries = fixture.entries().await;
    let fifth = |tag: &str| {
        let mac = data_encoding::HEXLOWER.encode(&entries[4].mac);
        format!(
            "INSERT OR REPLACE INTO meta VALUES ('audit_anchor', x'0000000000000005{mac}{tag}');
             DELETE FROM audit_entries WHERE seq <= 5"
        )
    };
    fixture.attack(&fifth(&"00".repeat(32)));
    assert!(fixture.faults().await.contains(&Fault::AnchorForged));

    let fixture = Fixture::with_entries().await;
    let end = archived(&fixture).await;
    fixture.change("four").await.unwrap();
    fixture.attack(&format!(
        "DELETE FROM audit_entries WHERE seq = {}",
        end.count + 1
    ));
    let missing = Fault::Missing { first: 7, last: 7 };
    assert_eq!(fixture.faults().await, [missing]);
    // An anchor of before is no way out, nor is none.
    fixture.attack("DELETE FROM meta WHERE name = 'audit_anchor'");
    let missing = Fault::Missing { first: 1, last: 7 };
    assert_eq!(fixture.faults().await, [missing]);
}

#[tokio::test]
async fn what_is_open_or_not_forwarded_or_unsound_or_another_file_stays() {
    let fixture = Fixture::with_entries().await;
    let log = &fixture.log;
    let count = async |most| {
        let head = log.archivable(u64::MAX, most).await.unwrap();
        head.map_or(0, |head| head.tip.count)
    };
    assert_eq!(
        (count(u64::MAX).await, count(4).await, count(0).await),
        (6, 4, 0)
    );
    assert_eq!(log.archivable(0, u64::MAX).await.unwrap(), None);
    let begun = log.begin(alice(), "Things/Change", "open").await.unwrap();
    fixture.change("after").await.unwrap();
    assert_eq!(count(u64::MAX).await, 7);
    let head = log.archivable(u64::MAX, u64::MAX).await.unwrap().unwrap();
    let foreign = AuditTip {
        mac: [7; 32],
        ..head.tip
    };
    let refused = log.archive(foreign, u64::MAX).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Unknown(7)), "{refused}");
    let later = AuditTip {
        count: 8,
        ..head.tip
    };
    let refused = log.archive(later, u64::MAX).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Needed(8)), "{refused}");
    let refused = log.archive(head.tip, 3).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Needed(4)), "{refused}");
    fixture.attack("UPDATE audit_entries SET detail = 'x' WHERE seq = 2");
    let refused = log.archive(head.tip, u64::MAX).await.unwrap_err();
    assert!(matches!(refused, ArchiveError::Unsound(7)), "{refused}");
    assert_eq!(fixture.entries().await.first().unwrap().seq, 1);
    begun.leave();
}

#[tokio::test]
async fn what_another_archive_has_moved_is_not_archived_again() {
    let fixture = Fixture::with_entries().await;
    let log = &fixture.log;
    let end = archived(&fixture).await;
    for count in [end.count, end.count - 1] {
        let late = log.archive(AuditTip { count, ..end }, u64::MAX).await;
        assert!(matches!(late, Err(ArchiveError::Moved(_))), "{late:?}");
    }
    // Nor is a copy that has besides what is in another file; made anew it is taken.
    fixture.change("four").await.unwrap();
    let head = log.archivable(u64::MAX, u64::MAX).await.unwrap().unwrap();
    log.copied(0, head.tip);
    let both = log.archive(head.tip, u64::MAX).await.unwrap_err();
    let told = format!("up to {} are no longer in the log", end.count);
    assert!(both.to_string().contains(&told), "{both}");
    log.copied(end.count, head.tip);
    log.archive(head.tip, u64::MAX).await.unwrap();
    assert_eq!(fixture.faults().await, []);
}
