//! One suite for every key store: the file store where this runs on Unix, the registry store on
//! Windows.
//!
//! On Windows it writes to `HKLM\SOFTWARE\Portcullis\Gateway`, under instances of its own, and so
//! needs an administrator.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails has to say so"
)]

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use portcullis_common::handshake::{Mode, Proved};
use portcullis_common::id::{GatewayId, KeyId, KeyKind, ServerId};
use portcullis_common::rotation::{
    EnrolmentToken, GatewayRecord, HeldKey, RecordError, RunId, UnixMillis,
};
use portcullis_common::secret::MasterKey;
use portcullis_gateway::key_store::{KeyStore, KeyStoreError};

#[cfg(unix)]
#[path = "key_store_conformance/unix.rs"]
mod platform;
#[cfg(windows)]
#[path = "key_store_conformance/windows.rs"]
mod platform;

use platform::Place;

fn token() -> EnrolmentToken {
    let mut rng = rand::rng();
    EnrolmentToken::random(GatewayId::random(&mut rng), KeyKind::Tdes, &mut rng)
}

fn key(kind: KeyKind) -> HeldKey {
    HeldKey {
        id: KeyId::random(kind, &mut rand::rng()),
        key: MasterKey::random(kind, &mut rand::rng()),
    }
}

/// One record of every state, with keys of both kinds.
fn records() -> Vec<GatewayRecord> {
    let token = token();
    let empty = GatewayRecord::empty();
    let pairing = empty.open_pairing(UnixMillis(u64::MAX)).unwrap();
    let enrolling = empty.enrol(&token, false, &mut rand::rng()).unwrap();
    let first = key(KeyKind::Tdes);
    let installed = enrolling
        .install(token.key_id(), token.key_id(), first.clone())
        .unwrap();
    let proved = Proved {
        mode: Mode::Secure,
        gateway_id: token.gateway_id(),
        server_id: ServerId::random(&mut rand::rng()),
        key_id: first.id,
        delivered: None,
    };
    let keyed = installed
        .proved(&proved, RunId::random(&mut rand::rng()), UnixMillis(0))
        .unwrap()
        .unwrap();
    let rotating = keyed
        .install(first.id, first.id, key(KeyKind::Aes256))
        .unwrap();
    vec![empty, pairing, enrolling, installed, keyed, rotating]
}

fn store(store: &dyn KeyStore, record: &GatewayRecord) {
    store
        .update_or_create(|_| Ok::<_, KeyStoreError>((record.clone(), ())))
        .unwrap();
}

#[test]
fn a_store_that_was_never_created_is_an_error_of_its_own_and_stays_absent() {
    let place = Place::new();
    let keys = place.open();
    assert!(keys.load_if_created().unwrap().is_none());
    let changed =
        keys.update(|_| -> Result<(Option<GatewayRecord>, ()), KeyStoreError> { unreachable!() });
    for error in [keys.load().unwrap_err(), changed.unwrap_err()] {
        assert!(
            matches!(error, KeyStoreError::NeverCreated { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("portcullis-gateway enroll"));
    }
    assert!(keys.load_if_created().unwrap().is_none());
}

#[test]
fn every_record_is_read_back_also_after_a_restart() {
    let place = Place::new();
    for record in records() {
        store(&*place.open(), &record);
        let read = place.open().load().unwrap();
        assert_eq!(read.encode(), record.encode());
    }
}

#[test]
fn an_emptied_store_is_not_one_that_was_never_created() {
    let place = Place::new();
    store(&*place.open(), records().last().unwrap());
    place.open().reset().unwrap();
    let read = place.open().load().unwrap();
    assert_eq!(read.encode(), GatewayRecord::empty().encode());
}

#[test]
fn a_change_that_is_refused_changes_nothing() {
    let place = Place::new();
    let keys = place.open();
    let before = records().pop().unwrap();
    store(&*keys, &before);
    let refused = keys.update(|record| {
        record
            .enrol(&token(), false, &mut rand::rng())
            .map(|new| (Some(new), ()))
            .map_err(|_| refusal())
    });
    assert!(refused.is_err());
    assert_eq!(keys.load().unwrap().encode(), before.encode());
    let unchanged = keys.update(|record| Ok::<_, KeyStoreError>((None, record.active_key_id())));
    assert_eq!(unchanged.unwrap(), before.active_key_id());
}

fn refusal() -> KeyStoreError {
    KeyStoreError::Record {
        location: "here".to_owned(),
        source: RecordError::NoRecord,
    }
}

/// Each change adds one to what it read: none is lost where every reading and its writing are one.
#[test]
fn changes_from_many_sides_follow_each_other_and_none_is_lost() {
    const SIDES: u64 = 4;
    const CHANGES: u64 = 10;
    let place = Arc::new(Place::new());
    store(&*place.open(), &GatewayRecord::empty());
    let sides: Vec<_> = (0..SIDES)
        .map(|_| {
            let place = Arc::clone(&place);
            thread::spawn(move || {
                for _ in 0..CHANGES {
                    let add = |record: GatewayRecord| {
                        let next = record.pairing_until().map_or(1, |until| until.0 + 1);
                        let record = record.open_pairing(UnixMillis(next)).unwrap();
                        Ok::<_, KeyStoreError>((Some(record), ()))
                    };
                    place.open().update(add).unwrap();
                }
            })
        })
        .collect();
    for side in sides {
        side.join().unwrap();
    }
    let last = place.open().load().unwrap();
    assert_eq!(last.pairing_until(), Some(UnixMillis(SIDES * CHANGES)));
}

#[test]
fn a_reader_beside_a_writer_sees_the_old_record_or_the_new_one() {
    let place = Arc::new(Place::new());
    let records: Vec<_> = records().into_iter().skip(1).collect();
    store(&*place.open(), &records[0]);
    let (done, ended) = mpsc::channel::<()>();
    let reader = {
        let place = Arc::clone(&place);
        let known: HashSet<Vec<u8>> = records.iter().map(|r| r.encode().to_vec()).collect();
        thread::spawn(move || {
            let mut reads = 0;
            while ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
                assert!(known.contains(place.open().load().unwrap().encode().as_slice()));
                reads += 1;
            }
            reads
        })
    };
    for record in records.iter().cycle().take(60) {
        store(&*place.open(), record);
    }
    drop(done);
    assert!(reader.join().unwrap() > 0);
}

#[test]
fn a_change_waits_until_the_one_before_is_done() {
    let place = Arc::new(Place::new());
    store(&*place.open(), &GatewayRecord::empty());
    let (first, second) = (token(), token());
    let (entered, inside) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let slow = {
        let place = Arc::clone(&place);
        thread::spawn(move || {
            place.open().update(|record| {
                entered.send(()).unwrap();
                left.recv().unwrap();
                let record = record.enrol(&first, false, &mut rand::rng()).unwrap();
                Ok::<_, KeyStoreError>((Some(record), ()))
            })
        })
    };
    inside.recv().unwrap();
    let (done, waiting) = mpsc::channel();
    let late = {
        let place = Arc::clone(&place);
        thread::spawn(move || {
            let seen = place.open().update(|record| {
                let refused = record.enrol(&second, false, &mut rand::rng());
                Ok::<_, KeyStoreError>((None, refused.is_err()))
            });
            done.send(seen.unwrap()).unwrap();
        })
    };
    assert!(waiting.recv_timeout(Duration::from_millis(200)).is_err());
    leave.send(()).unwrap();
    slow.join().unwrap().unwrap();
    assert!(
        waiting.recv().unwrap(),
        "the late change did not see the first one"
    );
    late.join().unwrap();
}

#[test]
fn a_damaged_record_is_fatal_and_never_counts_as_empty() {
    let place = Place::new();
    let keys = place.open();
    let record = records().pop().unwrap();
    store(&*keys, &record);
    let good = record.encode();
    let lock = keys.lock().unwrap();
    for at in 0..good.len() {
        let mut bad = good.to_vec();
        bad[at] ^= 1 << (at % 8);
        keys.write(&bad, &lock).unwrap();
        drop_and_expect_damage(&*keys, at);
    }
    for length in 0..good.len() {
        keys.write(&good[..length], &lock).unwrap();
        drop_and_expect_damage(&*keys, length);
    }
    drop(lock);
    keys.reset().unwrap();
    assert_eq!(
        keys.load().unwrap().encode(),
        GatewayRecord::empty().encode()
    );
}

/// Reads as `load` does, but for the lock, which the caller holds.
fn drop_and_expect_damage(keys: &dyn KeyStore, at: usize) {
    let bytes = keys.read().unwrap().unwrap();
    assert!(GatewayRecord::decode(&bytes).is_err(), "at {at}");
}

#[test]
fn what_is_too_long_for_a_record_is_not_read() {
    let place = Place::new();
    let keys = place.open();
    store(&*keys, &GatewayRecord::empty());
    let lock = keys.lock().unwrap();
    keys.write(&[0; 8000], &lock).unwrap();
    drop(lock);
    let error = keys.load().unwrap_err();
    assert!(matches!(error, KeyStoreError::TooLong { .. }), "{error}");
}
