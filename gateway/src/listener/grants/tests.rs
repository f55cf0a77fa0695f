//! Which grants are taken, and what outlasts a restart, a crash and a disk that fails.

use super::*;

fn ids() -> Between {
    let mut rng = rand::rng();
    (ServerId::random(&mut rng), GatewayId::random(&mut rng))
}

const fn grant(generation: u64, epoch: u64, instance: u8) -> Grant {
    Grant {
        generation,
        epoch,
        instance: [instance; 16],
    }
}

#[test]
fn the_highest_holds_and_an_equal_one_of_another_instance_is_not_taken() {
    let (grants, between) = (Grants::default(), ids());
    for (asked, highest) in [
        (grant(0, 1, 1), grant(0, 1, 1)),
        // Its second session.
        (grant(0, 1, 1), grant(0, 1, 1)),
        (grant(0, 1, 2), grant(0, 1, 1)),
        (grant(0, 3, 2), grant(0, 3, 2)),
        (grant(0, 2, 1), grant(0, 3, 2)),
        (grant(1, 1, 3), grant(1, 1, 3)),
        (grant(0, 9, 2), grant(1, 1, 3)),
        (grant(1, u64::MAX, 4), grant(1, u64::MAX, 4)),
    ] {
        assert_eq!(grants.take(between, asked), Ok(highest), "{asked:?}");
        assert!(grants.admits(between, Some(highest)));
        assert_eq!(grants.admits(between, Some(asked)), asked == highest);
    }
}

#[test]
fn a_session_without_a_grant_is_obeyed_until_its_server_id_has_granted_one() {
    let (grants, between, other) = (Grants::default(), ids(), ids());
    assert!(grants.admits(between, None));
    grants.take(between, grant(0, 1, 1)).unwrap();
    assert!(!grants.admits(between, None));
    assert!(grants.admits(other, None));
    // Under another registration at the same server it begins anew, by a grant.
    let moved = (between.0, other.1);
    assert!(!grants.admits(moved, None));
    assert_eq!(grants.take(moved, grant(0, 1, 2)), Ok(grant(0, 1, 2)));
    assert!(grants.admits(moved, Some(grant(0, 1, 2))));
    assert!(grants.admits(between, Some(grant(0, 1, 1))));
}

#[test]
fn what_was_taken_outlasts_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let folder = StateDir::new(&folder.path().join("state"));
    let (one, two) = (ids(), ids());
    let grants = Grants::open(&folder);
    grants.take(one, grant(0, 7, 1)).unwrap();
    grants.take(two, grant(2, 1, 2)).unwrap();
    drop(grants);
    let grants = Grants::open(&folder);
    assert_eq!(grants.fault(), None);
    assert_eq!(grants.take(one, grant(0, 6, 3)), Ok(grant(0, 7, 1)));
    assert_eq!(grants.take(two, grant(1, 9, 3)), Ok(grant(2, 1, 2)));
    assert!(!grants.admits(one, None));
}

/// A crash leaves the file as it was or as it is to be: the one was never told, the other holds.
#[test]
fn one_that_reached_the_disk_and_was_never_answered_holds_after_the_crash() {
    let folder = tempfile::tempdir().unwrap();
    let folder = StateDir::new(&folder.path().join("state"));
    let between = ids();
    Grants::open(&folder).take(between, grant(0, 4, 1)).unwrap();
    let written = Ledger::default().raised(between, grant(0, 5, 2)).unwrap();
    folder.replace(FILE, &written.encode()).unwrap();
    let grants = Grants::open(&folder);
    assert_eq!(grants.take(between, grant(0, 4, 1)), Ok(grant(0, 5, 2)));
    // Whoever has it asks again, with the same.
    assert_eq!(grants.take(between, grant(0, 5, 2)), Ok(grant(0, 5, 2)));
}

#[test]
fn one_that_cannot_be_noted_is_not_taken_and_what_held_before_holds_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state");
    let (grants, between) = (Grants::open(&StateDir::new(&path)), ids());
    grants.take(between, grant(0, 1, 1)).unwrap();
    // No file can be put in the place of a folder, whoever asks.
    std::fs::remove_file(path.join(FILE)).unwrap();
    std::fs::create_dir(path.join(FILE)).unwrap();
    let error = grants.take(between, grant(0, 2, 2)).unwrap_err();
    assert!(error.contains("cannot be noted"), "{error}");
    assert!(grants.admits(between, Some(grant(0, 1, 1))));
    assert!(!grants.admits(between, Some(grant(0, 2, 2))));
    std::fs::remove_dir(path.join(FILE)).unwrap();
    assert_eq!(grants.take(between, grant(0, 2, 2)), Ok(grant(0, 2, 2)));
}

#[test]
fn a_file_that_cannot_be_read_lets_no_call_through() {
    let between = ids();
    let whole = Ledger::default().raised(between, grant(0, 5, 2)).unwrap();
    let whole = whole.encode();
    assert_eq!(Ledger::decode(&whole).unwrap().encode(), whole);
    let cut = (0..whole.len()).filter(|len| *len != MAGIC.len());
    let mut damaged: Vec<_> = cut.map(|len| whole[..len].to_vec()).collect();
    damaged.push([&whole[..], b"x"].concat());
    damaged.push([b"pcgrant2", &whole[MAGIC.len()..]].concat());
    for bytes in damaged {
        let folder = tempfile::tempdir().unwrap();
        let folder = StateDir::new(&folder.path().join("state"));
        folder.replace(FILE, &bytes).unwrap();
        let grants = Grants::open(&folder);
        assert!(grants.fault().unwrap().contains("grants"));
        assert!(!grants.admits(between, None));
        assert!(grants.take(between, grant(9, 9, 9)).is_err());
    }
}

#[test]
fn of_many_registrations_those_raised_last_are_kept() {
    let grants = Grants::default();
    let all: Vec<_> = (0..=MOST).map(|_| ids()).collect();
    for (at, between) in all.iter().enumerate() {
        grants.take(*between, grant(0, 1, 1)).unwrap();
        // The first one is in use.
        let epoch = 2 + u64::try_from(at).unwrap();
        grants.take(all[0], grant(0, epoch, 1)).unwrap();
    }
    assert!(grants.knows(all[0].0) && grants.knows(all[MOST].0));
    assert!(!grants.knows(all[1].0));
}
