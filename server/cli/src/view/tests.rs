//! Tables and JSON of what the server itself keeps, word for word, at a fixed time.

use portcullis_proto::admin::v1::{Key, PushEnd, SyncProgress, SyncResult, SyncState};
use serde_json::json;

use super::*;
use crate::time::tests::{NOW_MS, now};

const KEY: &str = "3des-00112233445566778899aabbccddeeff";

#[test]
fn keys_as_a_table() {
    let key = |current, compromised, retired_unix_ms| Key {
        key_id: KEY.to_owned(),
        purpose: "gateway".to_owned(),
        kind: "3des".to_owned(),
        current,
        created_unix_ms: NOW_MS - 10 * 86_400_000,
        retired_unix_ms,
        in_use_by: 1,
        compromised,
        withdrawn: false,
    };
    let text = KeyList(vec![
        key(true, false, 0),
        key(false, false, NOW_MS - 60_000),
        key(false, true, NOW_MS - 60_000),
        Key {
            withdrawn: true,
            ..key(false, false, NOW_MS - 60_000)
        },
    ])
    .table(now());
    assert_eq!(
        text,
        "KEY                                    PURPOSE  STATE        MADE         RETIRED    IN USE BY\n\
         3des-00112233445566778899aabbccddeeff  gateway  current      10 days ago             1 gateway\n\
         3des-00112233445566778899aabbccddeeff  gateway  retired      10 days ago  1 min ago  1 gateway\n\
         3des-00112233445566778899aabbccddeeff  gateway  compromised  10 days ago  1 min ago  1 gateway\n\
         3des-00112233445566778899aabbccddeeff  gateway  withdrawn    10 days ago  1 min ago  1 gateway"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn a_push_tells_who_is_late_and_the_last_word_of_each_counts() {
    let result = |gateway: &str, state: SyncState| SyncResult {
        gateway: gateway.to_owned(),
        state: state.into(),
        detail: String::new(),
        last_seen_unix_ms: NOW_MS - 3_600_000,
    };
    let mut summary = SyncSummary::default();
    for (synchronized, results) in [
        (
            0,
            vec![
                result("web1", SyncState::Pending),
                result("db1", SyncState::Away),
            ],
        ),
        (1, vec![result("web1", SyncState::Synchronized)]),
    ] {
        summary.take(SyncProgress {
            current_key_id: KEY.to_owned(),
            synchronized,
            total: 2,
            away: 1,
            results,
            end: PushEnd::Complete.into(),
            withdrawn_key_id: "3des-ff".to_owned(),
            ..SyncProgress::default()
        });
    }
    assert_eq!(
        summary.table(now()),
        "gateway key: 3des-00112233445566778899aabbccddeeff\n\
         1 of 2 enrolled gateways have proved it, 1 away\n\
         withdrawn: 3des-ff, never sent again\n\
         \n\
         GATEWAY  STATE  SEEN     DETAIL\n\
         db1      away   1 h ago"
    );
    assert_eq!(
        summary.json(),
        json!({
            "current_key_id": KEY,
            "withdrawn_key_id": "3des-ff",
            "end": "complete",
            "synchronized": 1,
            "away": 1,
            "pending": 0,
            "refused": 0,
            "must_enrol": 0,
            "not_in_scope": 0,
            "total": 2,
            "gateways": [
                { "gateway": "db1", "state": "away", "detail": "", "last_seen": "2027-01-15T07:00:00Z" },
                { "gateway": "web1", "state": "synchronized", "detail": "", "last_seen": "2027-01-15T07:00:00Z" },
            ],
        })
    );
}

#[test]
fn nothing_from_outside_steers_the_terminal() {
    assert_eq!(
        printable("a\x1b[2Jb\u{9b}c\nd\u{202e}e"),
        "a\\u{1b}[2Jb\\u{9b}c d\\u{202e}e"
    );
    assert_eq!(printable("Zoë 東京"), "Zoë 東京");
}
