//! What somebody put in place by hand: in the repository, and where a file is written.

use super::*;

#[tokio::test]
async fn a_cursor_that_is_ahead_of_the_log_silences_no_place() {
    let fixture = Fixture::new().await;
    let file = fixture.path("audit.jsonl");
    let place = format!("[forward.file]\ntype = \"file\"\npath = {file:?}\n");
    drop(fixture.forward(&place).await);
    fixture.entry("Things/Change", "thing").await;
    let meta = fixture.unlocked.repository.database().meta();
    let last = fixture.last().await;
    for ahead in [last + 1, u64::MAX] {
        meta.set_forwarded("file", ahead).await.unwrap();
        let forwarding = fixture.forward(&place).await;
        until("the file has all", || {
            forwarding.places()[0].cursor() == last
        })
        .await;
        drop(forwarding);
        assert_eq!(lines(&file), (1..=last).collect::<Vec<_>>());
        fs::remove_file(&file).unwrap();
        assert_eq!(meta.forwarded("file").await.unwrap(), Some(last));
    }
}

#[tokio::test]
async fn a_link_leads_no_entry_into_another_file() {
    let fixture = Fixture::new().await;
    let (file, other) = (fixture.path("audit.jsonl"), fixture.path("other"));
    fs::write(&other, "mine\n").unwrap();
    std::os::unix::fs::symlink(&other, &file).unwrap();
    let place = format!("[forward.file]\ntype = \"file\"\npath = {file:?}\n");
    let forwarding = fixture.forward(&place).await;
    fixture.entry("Things/Change", "thing").await;
    until("the fault", || forwarding.places()[0].fault().is_some()).await;
    assert_eq!(fs::read_to_string(&other).unwrap(), "mine\n");
}
