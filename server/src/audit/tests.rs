//! The log as a whole, over a real repository and a real head file; an attacker writes to both as
//! SQLite and the system let them.

mod archive;
mod many;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::config::Config;
use crate::repository::{AuditEntry, tamper};
use crate::serve::{Unlocked, init};

struct Fixture {
    _folder: TempDir,
    config: Config,
    server: ServerId,
    repository: Repository,
    log: AuditLog,
}

impl Fixture {
    /// A log with one entry: `Server/Start`.
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let text = format!("data_dir = {:?}", folder.path().join("data"));
        let config = Config::parse(&text, "test.toml".as_ref()).unwrap();
        init::init(&config).await.unwrap();
        let Unlocked {
            server_id: server,
            repository,
            ..
        } = Unlocked::open(&config).await.unwrap();
        let log = AuditLog::open(&repository, server, &config.audit)
            .await
            .unwrap();
        Self {
            _folder: folder,
            config,
            server,
            repository,
            log,
        }
    }

    /// With entries 2 to 7: three operations that were carried out.
    async fn with_entries() -> Self {
        let fixture = Self::new().await;
        for object in ["one", "two", "three"] {
            fixture.change(object).await.unwrap();
        }
        fixture
    }

    async fn change(&self, object: &str) -> Result<(), AuditError> {
        let begun = self.log.begin(alice(), "Things/Change", object).await?;
        begun.end(Outcome::Done, "").await;
        Ok(())
    }

    /// As a crash of the server ends it, and a new start finds it.
    async fn restart(&mut self) {
        self.repository.database().close().await;
        let unlocked = Unlocked::open(&self.config).await.unwrap();
        self.repository = unlocked.repository;
        self.log = AuditLog::open(&self.repository, self.server, &self.config.audit)
            .await
            .unwrap();
    }

    fn head(&self) -> PathBuf {
        self.config.audit.head_file.clone()
    }

    /// Runs SQL as somebody who can write to the repository's file.
    fn attack(&self, sql: &str) {
        tamper(
            &self.config.repository_file(),
            &format!(
                "DROP TRIGGER IF EXISTS audit_entries_never_change;
                 DROP TRIGGER IF EXISTS audit_entries_never_go; {sql}"
            ),
        );
    }

    async fn entries(&self) -> Vec<AuditEntry> {
        self.repository
            .audit_entries()
            .scan(0, 1_000)
            .await
            .unwrap()
    }

    async fn faults(&self) -> Vec<Fault> {
        self.log.verify(Vec::new()).await.unwrap().faults
    }

    /// The dispute for which nothing is begun.
    async fn dispute(&self) -> Dispute {
        match self.change("four").await {
            Err(AuditError::Disputed(dispute)) => dispute,
            other => panic!("not disputed: {other:?}"),
        }
    }
}

fn alice() -> Subject {
    Subject::user(1_001, Some("alice"))
}

fn told(entries: &[AuditEntry]) -> Vec<(&str, &str, u64)> {
    let told = |entry: &AuditEntry| entry.begun;
    entries
        .iter()
        .map(|entry| (entry.action.as_str(), entry.outcome.as_str(), told(entry)))
        .collect()
}

#[tokio::test]
async fn an_operation_leaves_an_entry_before_and_one_after_and_the_whole_verifies() {
    let mut fixture = Fixture::new().await;
    fixture.change("one").await.unwrap();
    let entries = fixture.entries().await;
    assert_eq!(
        told(&entries),
        [
            ("Server/Start", "done", 0),
            ("Things/Change", "begun", 0),
            ("Things/Change", "done", 2)
        ]
    );
    assert_eq!(entries[1].subject, "alice (1001)");
    for _ in 0..2 {
        let report = fixture.log.verify(Vec::new()).await.unwrap();
        assert_eq!(report.faults, []);
        assert_eq!(
            (report.count, report.sound.count),
            (report.head.unwrap(), report.count)
        );
        fixture.log.close().await;
        fixture.restart().await;
    }
}

#[tokio::test]
async fn what_arrives_together_is_one_commit() {
    let fixture = Fixture::new().await;
    let calls = (0..256).map(|n| {
        let draft = Draft::new(alice(), "call test", &n.to_string(), Outcome::Done);
        fixture.log.record(draft)
    });
    futures_util::future::join_all(calls).await;
    let entries = fixture.entries().await;
    assert_eq!(entries.len(), 257);
    let mut commits: Vec<_> = entries.iter().map(|entry| entry.commit_first).collect();
    commits.dedup();
    // The start, the first to arrive, and all that came while that one was written.
    assert!(commits.len() <= 4, "{commits:?}");
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn an_entry_whose_work_is_not_done_is_left_out_and_takes_no_other_with_it() {
    let fixture = Fixture::new().await;
    let calls = fixture.repository.queued_calls();
    // There is no such call.
    let work = || calls.lose("none", "why").unwrap().0;
    let draft = || Draft::new(alice(), "call run", "", Outcome::Unknown).beside(work());
    let before = fixture.entries().await.len();
    assert!(fixture.log.begin_draft(draft()).await.unwrap().is_none());
    assert_eq!(fixture.log.record(draft()).await, Recorded::Not);
    let one = Draft::new(alice(), "Things/Change", "one", Outcome::Done);
    let together = tokio::join!(
        fixture.log.record(draft()),
        fixture.log.record(one),
        fixture.log.record(draft()),
    );
    let written = Recorded::Written;
    assert_eq!(together, (Recorded::Not, written, Recorded::Not));
    assert_eq!(fixture.entries().await.len(), before + 1);
    fixture.change("two").await.unwrap();
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn a_changed_field_of_any_entry_shows() {
    for change in [
        "subject = 'bob (1002)'",
        "action = 'Things/Look'",
        "object = 'five'",
        "outcome = 'refused'",
        "detail = 'by mistake'",
        "time_ms = time_ms + 1",
        "begun = begun + 1",
        "commit_first = 1",
        "mac = randomblob(32)",
    ] {
        let fixture = Fixture::with_entries().await;
        fixture.attack(&format!("UPDATE audit_entries SET {change} WHERE seq = 4"));
        assert_eq!(
            fixture.faults().await,
            [Fault::Changed { seq: 4 }],
            "{change}"
        );
    }
}

#[tokio::test]
async fn swapped_removed_and_inserted_entries_show() {
    let fixture = Fixture::with_entries().await;
    fixture.attack(
        "UPDATE audit_entries SET seq = 100 WHERE seq = 3; UPDATE audit_entries SET seq = 3 WHERE seq = 5;
         UPDATE audit_entries SET seq = 5 WHERE seq = 100;",
    );
    assert_eq!(fixture.faults().await, [Fault::Changed { seq: 3 }]);

    let fixture = Fixture::with_entries().await;
    fixture.attack("DELETE FROM audit_entries WHERE seq IN (3, 4)");
    assert_eq!(
        fixture.faults().await,
        [Fault::Missing { first: 3, last: 4 }]
    );

    // With the gap closed.
    let fixture = Fixture::with_entries().await;
    fixture.attack(
        "DELETE FROM audit_entries WHERE seq = 3; UPDATE audit_entries SET seq = -seq WHERE seq > 3;
         UPDATE audit_entries SET seq = -seq - 1 WHERE seq < 0;",
    );
    assert_eq!(fixture.faults().await[0], Fault::Changed { seq: 3 });
}

#[tokio::test]
async fn a_cut_tail_shows_while_the_server_runs_and_after() {
    let mut fixture = Fixture::with_entries().await;
    fixture.attack("DELETE FROM audit_entries WHERE seq > 5");
    let cut = Dispute::Cut { head: 7, count: 5 };
    assert_eq!(fixture.faults().await, [Fault::Disputed(cut)]);
    assert_eq!(fixture.dispute().await, Dispute::Moved);
    fixture.restart().await;
    assert_eq!(fixture.faults().await, [Fault::Disputed(cut)]);
    assert_eq!(fixture.dispute().await, cut);
    // The log takes nothing before an administrator has decided.
    assert!(fixture.log.ready().await.is_err());
    assert_eq!(fixture.entries().await.len(), 5);

    // All of it.
    let mut fixture = Fixture::with_entries().await;
    fixture.attack("DELETE FROM audit_entries");
    fixture.restart().await;
    assert_eq!(fixture.dispute().await, Dispute::Cut { head: 7, count: 0 });
}

#[tokio::test]
async fn a_restored_backup_goes_on_once_it_is_accepted_and_the_log_says_so() {
    let mut fixture = Fixture::with_entries().await;
    fixture.attack("DELETE FROM audit_entries WHERE seq > 5");
    fixture.restart().await;
    fixture.dispute().await;
    let tip = fixture.log.accept(alice(), "restored from Tuesday").await;
    let tip = tip.unwrap().tip;
    let entries = fixture.entries().await;
    let accepted = entries.iter().find(|entry| entry.action == "Audit/Accept");
    let accepted = accepted.unwrap();
    assert_eq!(accepted.subject, "alice (1001)");
    for part in [
        "restored from Tuesday",
        "counts 7 entries",
        "said 7 ",
        "repository 5 ",
    ] {
        assert!(accepted.detail.contains(part), "{}", accepted.detail);
    }
    assert_eq!(tip.count, entries.len() as u64);
    assert_eq!(fixture.faults().await, []);
    fixture.change("four").await.unwrap();
    let again = fixture.log.accept(alice(), "").await;
    assert!(matches!(again, Err(AuditError::Undisputed)), "{again:?}");
    fixture.restart().await;
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn a_rewrite_with_the_right_key_shows() {
    let mut fixture = Fixture::with_entries().await;
    let before = fixture.log.head().await.unwrap().tip;
    fixture.repository.database().close().await;
    // Whoever holds the key makes a chain that is sound in itself.
    let unlocked = Unlocked::open(&fixture.config).await.unwrap();
    let chain = Chain::load(&unlocked.repository, fixture.server).await;
    let chain = chain.unwrap();
    let mut tip = AuditTip::BEGINNING;
    let mut rewritten = unlocked
        .repository
        .audit_entries()
        .scan(0, 100)
        .await
        .unwrap();
    for entry in &mut rewritten {
        entry.object = "nothing of interest".to_owned();
        tip = AuditTip {
            count: entry.seq,
            mac: chain.mac(&tip.mac, entry).unwrap(),
        };
        entry.mac = tip.mac.to_vec();
    }
    fixture.attack("DELETE FROM audit_entries");
    let entries = unlocked.repository.audit_entries();
    entries.insert(rewritten).await.unwrap();
    unlocked.repository.database().close().await;
    fixture.restart().await;
    let dispute = Dispute::Rewritten { seq: 7 };
    assert_eq!(fixture.faults().await, [Fault::Disputed(dispute)]);
    assert_eq!(fixture.dispute().await, dispute);

    // With the head file made anew, too, what the server's log was told gives it away.
    HeadFile::new(fixture.head())
        .write(&chain.head(tip, true).unwrap())
        .unwrap();
    fixture.restart().await;
    assert_eq!(fixture.faults().await, []);
    let report = fixture.log.verify(vec![before]).await.unwrap();
    assert_eq!(report.faults, [Fault::Foreign { seq: 7 }]);
}

#[tokio::test]
async fn a_head_file_that_is_missing_or_damaged_shows() {
    let mut fixture = Fixture::with_entries().await;
    fixture.change("four").await.unwrap();
    fixture.change("five").await.unwrap();
    let newest = fs::read(fixture.head()).unwrap();
    let forged = String::from_utf8(newest.clone())
        .unwrap()
        .replace("\"count\":11", "\"count\":10")
        .into_bytes();
    assert_ne!(forged, newest);
    let cases = [
        (None, Dispute::HeadMissing),
        (Some(Vec::new()), Dispute::HeadDamaged),
        (
            Some(newest[..newest.len() / 4].to_vec()),
            Dispute::HeadDamaged,
        ),
        (Some(forged), Dispute::HeadDamaged),
    ];
    for (content, dispute) in cases {
        match content {
            None => fs::remove_file(fixture.head()).unwrap(),
            Some(content) => fs::write(fixture.head(), content).unwrap(),
        }
        fixture.restart().await;
        assert_eq!(fixture.faults().await, [Fault::Disputed(dispute)]);
        assert_eq!(fixture.dispute().await, dispute);
        // Nothing of what was found is lost before an administrator has seen it.
        fs::write(fixture.head(), &newest).unwrap();
    }
    fixture.restart().await;
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn another_repositorys_head_file_is_not_taken() {
    let (mut fixture, other) = (Fixture::new().await, Fixture::new().await);
    fs::copy(other.head(), fixture.head()).unwrap();
    fixture.restart().await;
    assert_eq!(fixture.dispute().await, Dispute::HeadDamaged);
}

#[test]
fn a_head_file_is_behind_by_a_commit_or_by_what_was_not_flushed_and_else_older() {
    let entry = |seq, commit_first, time_ms| AuditEntry {
        seq,
        commit_first,
        time_ms,
        ..AuditEntry::default()
    };
    let dispute = Dispute::HeadOlder { head: 7, count: 11 };
    for (missed, last, found) in [
        (entry(8, 8, 1_000), entry(11, 8, 90_000), None),
        (entry(8, 8, 1_000), entry(11, 10, 5_000), None),
        (entry(8, 8, 1_000), entry(11, 10, 9_000), Some(dispute)),
    ] {
        assert_eq!(writer::older(7, Some(&missed), Some(&last)), found);
    }
    assert_eq!(writer::older(11, None, Some(&entry(11, 10, 0))), None);
}

#[tokio::test]
async fn a_head_file_behind_by_what_was_not_flushed_is_gone_on_from() {
    let mut fixture = Fixture::with_entries().await;
    let older = fs::read(fixture.head()).unwrap();
    for object in ["four", "five"] {
        fixture.change(object).await.unwrap();
        assert_eq!(fs::read(fixture.head()).unwrap().len(), older.len());
    }
    fs::write(fixture.head(), older).unwrap();
    fixture.restart().await;
    assert_eq!(fixture.faults().await, []);
    fixture.change("six").await.unwrap();
}

#[tokio::test]
async fn a_head_file_one_commit_behind_is_what_a_crash_leaves() {
    let mut fixture = Fixture::with_entries().await;
    let begun = fixture.log.begin(alice(), "Things/Change", "four").await;
    let before = fs::read(fixture.head()).unwrap();
    begun.unwrap().end(Outcome::Done, "").await;
    fs::write(fixture.head(), before).unwrap();
    assert_eq!(fixture.faults().await, []);
    fixture.restart().await;
    assert_eq!(fixture.faults().await, []);
    fixture.change("five").await.unwrap();
}

#[tokio::test]
async fn a_head_file_is_not_behind_what_is_written_while_the_log_is_verified() {
    let fixture = Fixture::with_entries().await;
    let inspection = fixture.log.inspect().await.unwrap();
    for object in ["four", "five", "six"] {
        fixture.change(object).await.unwrap();
    }
    let chain = Chain::load(&fixture.repository, fixture.server)
        .await
        .unwrap();
    let report = verify::verify(&fixture.repository, chain, inspection, Vec::new())
        .await
        .unwrap();
    assert_eq!(report.faults, []);
    assert_eq!((report.head, report.sound.count), (Some(7), 13));
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "as a crash would")]
async fn a_crash_between_begun_and_outcome_shows_as_unknown() {
    let mut fixture = Fixture::new().await;
    let begun = fixture.log.begin(alice(), "Things/Change", "one").await;
    // The process is gone: nothing of it runs any more.
    std::mem::forget(begun.unwrap());
    fixture.restart().await;
    let entries = fixture.entries().await;
    assert_eq!(
        told(&entries[2..]),
        [("Things/Change", "unknown", 2), ("Server/Start", "done", 0)]
    );
    assert_eq!(entries[2].object, "one");
    // Once.
    fixture.restart().await;
    assert_eq!(fixture.entries().await.len(), 5);
}

#[tokio::test]
async fn an_abandoned_operation_is_unknown() {
    let fixture = Fixture::new().await;
    drop(
        fixture
            .log
            .begin(alice(), "Things/Change", "one")
            .await
            .unwrap(),
    );
    fixture.change("two").await.unwrap();
    let entries = fixture.entries().await;
    assert_eq!(told(&entries[2..3]), [("Things/Change", "unknown", 2)]);
}

#[tokio::test]
async fn on_a_full_disk_nothing_is_begun_and_what_was_done_is_written_later() {
    let fixture = Fixture::new().await;
    let begun = fixture.log.begin(alice(), "Things/Change", "one").await;
    fixture.repository.database().limit_pages(Some(1)).await;
    let long = "x".repeat(900);
    begun.unwrap().end(Outcome::Done, &long).await;
    let mut refused = 0;
    for n in 0..100 {
        let draft = Draft::new(alice(), "call test", &n.to_string(), Outcome::Done);
        fixture.log.record(draft.detail(&long)).await;
        refused += u64::from(
            fixture
                .log
                .begin(alice(), "Things/Change", &long)
                .await
                .is_err(),
        );
    }
    assert!(refused > 0);
    let error = fixture.log.ready().await.unwrap_err();
    assert!(error.to_string().contains("disk"), "{error}");
    let before = fixture.entries().await.len();
    fixture.repository.database().limit_pages(None).await;
    fixture.log.ready().await.unwrap();
    let entries = fixture.entries().await;
    assert!(entries.len() > before);
    let calls = entries.iter().filter(|entry| entry.action == "call test");
    assert_eq!(calls.count(), 100);
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn where_the_head_file_cannot_be_written_nothing_is_begun() {
    let fixture = Fixture::new().await;
    let folder = fixture.head().parent().unwrap().to_owned();
    let moved = folder.with_extension("moved");
    fs::rename(&folder, &moved).unwrap();
    fs::write(&folder, "").unwrap();
    for _ in 0..3 {
        let error = fixture.change("one").await.unwrap_err();
        assert!(matches!(error, AuditError::Head(_)), "{error}");
    }
    fs::remove_file(&folder).unwrap();
    fs::rename(&moved, &folder).unwrap();
    fixture.change("two").await.unwrap();
    let entries = fixture.entries().await;
    // The first was begun before the file was missed, and then given up.
    assert_eq!(
        told(&entries[1..3]),
        [
            ("Things/Change", "begun", 0),
            ("Things/Change", "failed", 2)
        ]
    );
    assert_eq!(entries.len(), 5);
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn a_log_that_is_removed_with_its_key_and_its_head_file_is_in_dispute() {
    let mut fixture = Fixture::new().await;
    fixture.attack("DELETE FROM audit_entries; DELETE FROM sealed_values WHERE type = 'audit-key'");
    fs::remove_file(fixture.head()).unwrap();
    fixture.restart().await;
    assert_eq!(fixture.dispute().await, Dispute::KeyGone);
    let accepted = fixture.log.accept(alice(), "it was removed").await;
    accepted.unwrap();
    fixture.change("one").await.unwrap();
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn the_head_file_is_written_through_no_link_and_into_no_folder_of_others() {
    let mut fixture = Fixture::new().await;
    let head = fixture.head();
    let (folder, beside) = (head.parent().unwrap(), head.with_extension("new"));
    let precious = fixture.config.data_dir.join("precious");
    fs::write(&precious, "precious").unwrap();
    std::os::unix::fs::symlink(&precious, &beside).unwrap();
    fixture.change("one").await.unwrap();
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    fixture.restart().await;
    fixture.change("two").await.unwrap();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o770)).unwrap();
    let opened = AuditLog::open(&fixture.repository, fixture.server, &fixture.config.audit);
    let error = opened.await.unwrap_err().to_string();
    assert!(error.contains("chmod 0700"), "{error}");
}

#[tokio::test]
async fn where_the_audit_key_does_not_open_the_server_starts_and_goes_on_with_another_once_accepted()
 {
    let mut fixture = Fixture::with_entries().await;
    let hidden = "UPDATE sealed_values SET field = 'away' WHERE type = 'audit-key'";
    fixture.attack(hidden);
    fixture.restart().await;
    assert_eq!(fixture.dispute().await, Dispute::KeyGone);
    fixture
        .log
        .accept(alice(), "the key was deleted")
        .await
        .unwrap();
    fixture.change("four").await.unwrap();
    let unchecked = Fault::Unchecked { first: 1, last: 7 };
    for _ in 0..2 {
        assert_eq!(fixture.faults().await, [unchecked]);
        fixture.restart().await;
    }
    // What comes after is checked all the same …
    fixture.attack("UPDATE audit_entries SET object = 'five' WHERE seq = 10");
    assert_eq!(
        fixture.faults().await,
        [Fault::Changed { seq: 10 }, unchecked]
    );
    fixture.attack("UPDATE audit_entries SET object = 'four' WHERE seq = 10");
    // … and what was before, once its key is back.
    fixture.attack(
        "UPDATE sealed_values SET field = 'key' WHERE type = 'audit-key' AND field = 'away'",
    );
    fixture.restart().await;
    assert_eq!(fixture.faults().await, []);
}

#[tokio::test]
async fn an_audit_key_under_a_server_key_that_is_away_says_which() {
    let mut fixture = Fixture::with_entries().await;
    // The id of a server key stands behind the version byte.
    fixture.attack(
        "UPDATE sealed_values SET sealed = CAST(substr(sealed, 1, 2) || zeroblob(16) || substr(sealed, 19) AS BLOB)
         WHERE type = 'audit-key'",
    );
    fixture.restart().await;
    let dispute = fixture.dispute().await;
    assert!(matches!(dispute, Dispute::KeyAway { .. }), "{dispute}");
    assert!(dispute.to_string().contains("3des-0000"), "{dispute}");
}
