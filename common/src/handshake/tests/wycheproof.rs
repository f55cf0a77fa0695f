//! X25519 as both sides of a handshake call it, against the vectors of Wycheproof.

use data_encoding::HEXLOWER;
use serde::Deserialize;
use x25519_dalek::EphemeralSecret;

use super::super::error::Misbehaviour;
use super::super::key_schedule::agree;
use crate::vectors::Script;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    number_of_tests: usize,
    test_groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    tc_id: u32,
    comment: String,
    public: String,
    private: String,
    shared: String,
}

fn array(hex: &str) -> [u8; 32] {
    HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap()
}

/// Shares on the twist and shares that are no canonical number are taken, as RFC 7748 has it; a
/// result of zero is refused, whichever share gives it.
#[test]
fn every_share_gives_its_secret_and_a_secret_of_zero_is_refused() {
    let file = include_str!("../../../tests/vectors/wycheproof/x25519_test.json");
    let file: File = serde_json::from_str(file).unwrap();
    let (mut given, mut refused) = (0, 0);
    for case in file.test_groups.iter().flat_map(|group| &group.tests) {
        let private = array(&case.private);
        let secret = EphemeralSecret::random_from_rng(&mut Script::new(&[&private]));
        let (id, comment) = (case.tc_id, &case.comment);
        match agree(secret, array(&case.public)) {
            Ok(shared) => {
                assert_eq!(*shared.as_bytes(), array(&case.shared), "{id}: {comment}");
                assert_ne!(*shared.as_bytes(), [0; 32], "{id}: {comment}");
                given += 1;
            }
            Err(error) => {
                assert_eq!(error, Misbehaviour::DegenerateShare, "{id}: {comment}");
                assert_eq!(array(&case.shared), [0; 32], "{id}: {comment}");
                refused += 1;
            }
        }
    }
    assert_eq!(given + refused, file.number_of_tests);
    assert!(refused >= 30, "{refused} shares of small order");
}
