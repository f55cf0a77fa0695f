//! What a user or an attacker would notice of the record layer.

use std::io::IoSlice;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::*;
use crate::crypto::suites::Suite;
use crate::id::KeyKind;
use crate::secret::TrafficSecret;

const SECRET: [u8; 32] = [7; 32];
const START: Duration = Duration::from_secs(1_000);
const AGE: Duration = Duration::from_secs(600);

fn limits() -> RecordLimits {
    RecordLimits::new(AGE)
}

fn sealer(suite: Suite, limits: RecordLimits) -> Sealer {
    Sealer::new(
        TrafficSecret::from_bytes(&SECRET),
        KeyKind::Tdes,
        suite,
        limits,
    )
}

fn opener(suite: Suite, limits: RecordLimits) -> Opener {
    Opener::new(
        TrafficSecret::from_bytes(&SECRET),
        KeyKind::Tdes,
        suite,
        limits,
    )
}

fn data(sealer: &mut Sealer, text: &[u8]) -> Result<Vec<u8>, RecordError> {
    let mut out = Vec::new();
    assert_eq!(
        sealer.data(START, &[IoSlice::new(text)], &mut out)?,
        text.len()
    );
    Ok(out)
}

fn close(sealer: &mut Sealer) -> Vec<u8> {
    let mut out = Vec::new();
    sealer.close(&mut out).unwrap();
    out
}

/// What came of opening everything in `wire`.
#[derive(Debug, Default, PartialEq)]
struct Received {
    text: Vec<u8>,
    types: Vec<RecordType>,
    error: Option<RecordError>,
    /// Bytes at the end that are no whole record.
    rest: usize,
}

fn receive(opener: &mut Opener, wire: &[u8]) -> Received {
    let mut received = Received::default();
    let mut at = 0;
    while let Some(header) = wire[at..].first_chunk() {
        let opened = opener.header(*header).and_then(|header| {
            let body = at + HEADER_LEN;
            let Some(body) = wire.get(body..body + header.body_len()) else {
                return Ok(None);
            };
            if let Opened::Data(text) = opener.open(header, &mut body.to_vec())? {
                received.text.extend_from_slice(text);
            }
            received.types.push(header.kind());
            Ok(Some(HEADER_LEN + header.body_len()))
        });
        match opened {
            Ok(Some(len)) => at += len,
            Ok(None) => break,
            Err(error) => {
                received.error = Some(error);
                return received;
            }
        }
    }
    received.rest = wire.len() - at;
    received
}

/// A direction that failed gives no record any more, not even the right one.
fn assert_dead(opener: &mut Opener, right: &[u8]) {
    assert_eq!(receive(opener, right).error, Some(RecordError::Dead));
}

#[test]
fn texts_of_any_size_arrive_whole_and_in_order() {
    let seed = rand::rng().next_u64();
    println!("seed {seed}");
    for suite in Suite::ALL {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (mut sealer, mut opener) = (sealer(suite, limits()), opener(suite, limits()));
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for _ in 0..200 {
            let text: Vec<u8> = match rng.random_range(0..4) {
                0 => vec![rng.random(); 1],
                1 => (0..rng.random_range(1..40)).map(|_| rng.random()).collect(),
                2 => (0..rng.random_range(1..20_000))
                    .map(|_| rng.random())
                    .collect(),
                _ => vec![0; 16_384],
            };
            let cut = rng.random_range(0..=text.len());
            let pieces = [IoSlice::new(&text[..cut]), IoSlice::new(&text[cut..])];
            let taken = sealer.data(START, &pieces, &mut wire).unwrap();
            assert_eq!(taken, text.len().min(MAX_PLAINTEXT));
            sent.extend_from_slice(&text[..taken]);
        }
        sealer.close(&mut wire).unwrap();
        let received = receive(&mut opener, &wire);
        assert_eq!((received.error, received.rest), (None, 0));
        assert!(received.text == sent);
        assert_eq!(received.types.last(), Some(&RecordType::Close));
    }
}

#[test]
fn equal_texts_never_look_equal_on_the_wire() {
    for suite in Suite::ALL {
        let mut sealer = sealer(suite, limits());
        let first = data(&mut sealer, &[0; 64]).unwrap();
        let second = data(&mut sealer, &[0; 64]).unwrap();
        for block in first[HEADER_LEN..].windows(8) {
            assert!(!second.windows(8).any(|other| other == block));
        }
    }
}

#[test]
fn no_text_makes_no_record() {
    let mut sealer = sealer(Suite::TdesCtrHmacSha256, limits());
    let mut out = Vec::new();
    assert_eq!(sealer.data(START, &[IoSlice::new(&[])], &mut out), Ok(0));
    assert!(out.is_empty());
}

#[test]
fn every_flipped_bit_ends_the_session() {
    for suite in Suite::ALL {
        let mut sender = sealer(suite, limits());
        let first = data(&mut sender, b"create account").unwrap();
        let next = data(&mut sender, b"next").unwrap();
        for kind in [RecordType::Data, RecordType::Close] {
            let record = match kind {
                RecordType::Close => close(&mut sealer(suite, limits())),
                _ => first.clone(),
            };
            for bit in 0..record.len() * 8 {
                let mut altered = record.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                // A length that became larger waits for bytes: those of the next record.
                altered.extend_from_slice(&[0; 70_000]);
                let mut opener = opener(suite, limits());
                let received = receive(&mut opener, &altered);
                assert!(received.error.is_some(), "bit {bit}");
                assert!(received.text.is_empty() && received.types.is_empty());
                assert_dead(&mut opener, &record);
                assert_dead(&mut opener, &next);
            }
        }
    }
}

#[test]
fn a_cut_record_gives_nothing() {
    for suite in Suite::ALL {
        let record = data(&mut sealer(suite, limits()), b"delete account").unwrap();
        for len in 0..record.len() {
            let received = receive(&mut opener(suite, limits()), &record[..len]);
            assert_eq!(
                received,
                Received {
                    rest: len,
                    ..Received::default()
                }
            );
        }
    }
}

#[test]
fn replayed_dropped_and_reordered_records_end_the_session() {
    for suite in Suite::ALL {
        let mut sealer = sealer(suite, limits());
        let records: Vec<_> = (0..3)
            .map(|i| data(&mut sealer, &[i; 16]).unwrap())
            .collect();
        for (name, order, good) in [
            ("replayed", vec![0, 0], 1),
            ("replayed later", vec![0, 1, 0], 2),
            ("dropped", vec![0, 2], 1),
            ("reordered", vec![1, 0, 2], 0),
            ("started late", vec![1], 0),
        ] {
            let wire: Vec<u8> = order.iter().flat_map(|&i| records[i].clone()).collect();
            let mut opener = opener(suite, limits());
            let received = receive(&mut opener, &wire);
            assert_eq!(received.error, Some(RecordError::Forged), "{name}");
            assert_eq!(received.types.len(), good, "{name}");
            assert_dead(&mut opener, &records[0]);
        }
    }
}

#[test]
fn another_suite_kind_or_secret_opens_nothing() {
    let record = data(&mut sealer(Suite::TdesCtrHmacSha256, limits()), b"text").unwrap();
    let others = [
        (SECRET, KeyKind::Tdes, Suite::Aes256Gcm),
        (SECRET, KeyKind::Aes256, Suite::TdesCtrHmacSha256),
        ([8; 32], KeyKind::Tdes, Suite::TdesCtrHmacSha256),
    ];
    for (secret, kind, suite) in others {
        let secret = TrafficSecret::from_bytes(&secret);
        let received = receive(&mut Opener::new(secret, kind, suite, limits()), &record);
        assert_eq!(received.error, Some(RecordError::Forged));
    }
}

#[test]
fn headers_that_no_record_has_are_refused_before_any_body() {
    for suite in Suite::ALL {
        for header in [
            [0x00, 0, 17],
            [0x10, 0, 17],
            [0x30, 0, 0],
            *b"GET",
            [0x20, 0, 0],
            [0x20, 0, 15],
            [0x20, 0, 16],
            [0x20, 0x40, 0x11],
            [0x20, 0xff, 0xff],
            [0x21, 0, 15],
            [0x21, 0, 17],
            [0x22, 0, 15],
            [0x22, 0, 17],
        ] {
            let mut opener = opener(suite, limits());
            let error = opener.header(header).unwrap_err();
            assert!(
                matches!(error, RecordError::Header(_) | RecordError::Length(_)),
                "{header:?}: {error}"
            );
            assert_eq!(opener.header([0x20, 0, 17]), Err(RecordError::Dead));
        }
    }
}

#[test]
fn nothing_comes_after_a_close() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (sealer(suite, limits()), opener(suite, limits()));
        let wire = close(&mut sealer);
        assert_eq!(data(&mut sealer, b"more"), Err(RecordError::Closed));
        assert_eq!(sealer.close(&mut Vec::new()), Err(RecordError::Closed));
        assert_eq!(receive(&mut opener, &wire).error, None);
        assert_eq!(
            receive(&mut opener, &wire).error,
            Some(RecordError::AfterClose)
        );
    }
}

#[test]
fn the_budget_makes_epochs_that_the_receiver_follows() {
    for (suite, block) in [(Suite::TdesCtrHmacSha256, 8), (Suite::Aes256Gcm, 16)] {
        let limits = RecordLimits {
            epoch_blocks: 10,
            ..limits()
        };
        let (mut sealer, mut opener) = (sealer(suite, limits), opener(suite, limits));
        let (mut wire, mut sent) = (Vec::new(), Vec::new());
        for i in 0..300 {
            let text = vec![i as u8; 1 + i % (9 * block)];
            wire.extend(data(&mut sealer, &text).unwrap());
            sent.extend(text);
        }
        let received = receive(&mut opener, &wire);
        assert_eq!(received.error, None);
        assert!(received.text == sent);
        let updates = received
            .types
            .iter()
            .filter(|&&t| t == RecordType::KeyUpdate)
            .count();
        assert!(updates > 100, "{updates} epochs");
    }
}

#[test]
fn an_epoch_is_filled_to_the_last_block_and_the_close_still_fits() {
    let limits = RecordLimits {
        epoch_blocks: 4,
        ..limits()
    };
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (sealer(suite, limits), opener(suite, limits));
        let mut wire: Vec<u8> = (0..3)
            .flat_map(|_| data(&mut sealer, b"x").unwrap())
            .collect();
        wire.extend(close(&mut sealer));
        let received = receive(&mut opener, &wire);
        assert_eq!((received.error, received.types.len()), (None, 4));
        assert_eq!(received.types[2..], [RecordType::Data, RecordType::Close]);
    }
}

#[test]
fn a_sender_that_exceeds_the_budget_is_refused() {
    let generous = RecordLimits {
        epoch_blocks: 100,
        ..limits()
    };
    let strict = RecordLimits {
        epoch_blocks: 4,
        ..limits()
    };
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (sealer(suite, generous), opener(suite, strict));
        let wire: Vec<u8> = (0..4)
            .flat_map(|_| data(&mut sealer, b"x").unwrap())
            .collect();
        let received = receive(&mut opener, &wire);
        // The fourth would leave no block for the update.
        assert_eq!(received.text, b"xxx");
        assert_eq!(received.error, Some(RecordError::BudgetExceeded));
        assert_dead(&mut opener, &data(&mut sealer, b"x").unwrap());
    }
}

#[test]
fn the_protocols_own_budget_is_kept_to_the_block() {
    let (mut sealer, mut opener) = {
        let suite = Suite::Aes256Gcm;
        (sealer(suite, limits()), opener(suite, limits()))
    };
    let text = vec![0; MAX_PLAINTEXT];
    let per_record = (MAX_PLAINTEXT / 16) as u64;
    // All but the last record, which would leave no room for the update.
    for _ in 0..EPOCH_BLOCKS / per_record - 1 {
        let wire = data(&mut sealer, &text).unwrap();
        assert_eq!(receive(&mut opener, &wire).types, [RecordType::Data]);
    }
    let wire = data(&mut sealer, &text[16..]).unwrap();
    assert_eq!(receive(&mut opener, &wire).types, [RecordType::Data]);
    let wire = data(&mut sealer, b"x").unwrap();
    let types = receive(&mut opener, &wire).types;
    assert_eq!(types, [RecordType::KeyUpdate, RecordType::Data]);
}

/// As a link does that is now busy, now idle.
#[test]
fn what_is_made_ahead_or_given_back_changes_no_record() {
    let seed = rand::rng().next_u64();
    println!("seed {seed}");
    let limits = RecordLimits {
        epoch_blocks: 1_000,
        ..limits()
    };
    for suite in Suite::ALL {
        let rng = &mut StdRng::seed_from_u64(seed);
        let (mut steady, mut sealer) = (sealer(suite, limits), sealer(suite, limits));
        let mut opener = opener(suite, limits);
        let mut now = START;
        for _ in 0..2_000 {
            let text = vec![rng.random(); rng.random_range(1..600)];
            let pieces = [IoSlice::new(&text)];
            let (mut expected, mut wire) = (Vec::new(), Vec::new());
            steady.data(now, &pieces, &mut expected).unwrap();
            sealer.data(now, &pieces, &mut wire).unwrap();
            assert!(wire == expected);
            let received = receive(&mut opener, &wire);
            assert_eq!(received.error, None);
            assert!(received.text == text);
            now += Duration::from_secs(rng.random_range(0..100));
            match rng.random_range(0..3) {
                0 => sealer.prepare(now),
                1 => sealer.rest(),
                _ => {}
            }
            match rng.random_range(0..3) {
                0 => opener.prepare(now),
                1 => opener.rest(),
                _ => {}
            }
        }
    }
}

#[test]
fn a_draft_takes_what_its_epoch_and_its_buffer_have_room_for() {
    let limits = RecordLimits {
        epoch_blocks: 10,
        ..limits()
    };
    let suite = Suite::TdesCtrHmacSha256;
    let (mut sealer, mut opener) = (sealer(suite, limits), opener(suite, limits));
    let mut wire = Vec::new();
    let mut draft = sealer.begin(START, 5, &mut wire).unwrap();
    wire.reserve(1_000);
    // 10 blocks, of which the update has one.
    let text = [7; 100];
    assert_eq!(draft.append(&[IoSlice::new(&text)], &mut wire), 72);
    assert!(draft.is_full());
    assert_eq!(draft.append(&[IoSlice::new(&text)], &mut wire), 0);
    sealer.finish(draft, &mut wire).unwrap();

    // Where its buffer would have to grow, plaintext would be left behind.
    let mut small = Vec::with_capacity(2 * HEADER_LEN + 2 * TAG_LEN + 8);
    let mut draft = sealer.begin(START, 8, &mut small).unwrap();
    let (place, room) = (small.as_ptr(), small.capacity() - small.len() - TAG_LEN);
    let taken = draft.append(&[IoSlice::new(&text)], &mut small);
    assert_eq!(taken, room);
    sealer.finish(draft, &mut small).unwrap();
    assert_eq!(small.as_ptr(), place);

    wire.extend(small);
    let received = receive(&mut opener, &wire);
    assert_eq!(received.error, None);
    assert_eq!(received.text, vec![7; 72 + taken]);
    use RecordType::{Data, KeyUpdate};
    assert_eq!(received.types, [Data, KeyUpdate, Data]);
}

#[test]
fn a_draft_that_cannot_be_sealed_leaves_no_plaintext() {
    let few = RecordLimits {
        records: 1,
        ..limits()
    };
    for suite in Suite::ALL {
        let mut sealer = sealer(suite, few);
        let mut wire = data(&mut sealer, b"x").unwrap();
        let sent = wire.len();
        let mut draft = sealer.begin(START, 6, &mut wire).unwrap();
        draft.append(&[IoSlice::new(b"secret")], &mut wire);
        let len = wire.len();
        assert_eq!(sealer.finish(draft, &mut wire), Err(RecordError::Exhausted));
        assert_eq!(wire.len(), sent);
        // What was cut off lies behind the end.
        wire.resize(len, 0);
        assert!(wire[sent..].iter().all(|&byte| byte == 0));

        let mut sealer = self::sealer(suite, limits());
        let draft = sealer.begin(START, 6, &mut wire).unwrap();
        assert_eq!(sealer.finish(draft, &mut wire), Err(RecordError::Length(0)));
    }
}

#[test]
fn an_epoch_ends_at_its_age_counted_from_its_first_record() {
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (sealer(suite, limits()), opener(suite, limits()));
        let mut send = |now: Duration| {
            let mut wire = Vec::new();
            sealer.data(now, &[IoSlice::new(b"x")], &mut wire).unwrap();
            let received = receive(&mut opener, &wire);
            assert_eq!((received.error, &*received.text), (None, &b"x"[..]));
            received.types.len() == 2
        };
        // An epoch under whose key nothing was sealed has nothing to end for.
        assert!(!send(START + 5 * AGE));
        let first = START + 5 * AGE;
        assert!(!send(first + AGE - Duration::from_millis(1)));
        assert!(send(first + AGE));
        assert!(!send(first + 2 * AGE - Duration::from_millis(1)));
        assert!(send(first + 2 * AGE));
        // A clock that went back does no harm.
        assert!(!send(Duration::ZERO));
    }
}

#[test]
fn a_key_renewed_before_its_use_is_refused() {
    for suite in Suite::ALL {
        // A sender of this kind does not exist here: what it would send is sealed by hand.
        let mut direction = direction::Direction::new(
            TrafficSecret::from_bytes(&SECRET),
            KeyKind::Tdes,
            suite,
            limits(),
        );
        let header = RecordHeader::new(RecordType::KeyUpdate, 0);
        let (cipher, sequence) = direction.next_record(header).unwrap();
        let tag = cipher.seal(sequence, header.to_bytes(), &mut []).unwrap();
        let wire = [&header.to_bytes()[..], &tag].concat();
        let received = receive(&mut opener(suite, limits()), &wire);
        assert_eq!(received.error, Some(RecordError::IdleUpdate));
    }
}

#[test]
fn a_record_of_a_former_epoch_opens_in_no_later_one() {
    let limits = RecordLimits {
        epoch_blocks: 2,
        ..limits()
    };
    for suite in Suite::ALL {
        let (mut sealer, mut opener) = (sealer(suite, limits), opener(suite, limits));
        let first = data(&mut sealer, b"x").unwrap();
        let second = data(&mut sealer, b"x").unwrap();
        receive(&mut opener, &first);
        receive(&mut opener, &second[..HEADER_LEN + TAG_LEN]);
        assert_eq!(
            receive(&mut opener, &first).error,
            Some(RecordError::Forged)
        );
    }
}

#[test]
fn hard_limits_end_both_sides_with_an_error() {
    let few_records = RecordLimits {
        records: 3,
        ..limits()
    };
    let few_epochs = RecordLimits {
        epoch_blocks: 2,
        epochs: 3,
        ..limits()
    };
    for suite in Suite::ALL {
        for few in [few_records, few_epochs] {
            let mut sealer = sealer(suite, few);
            for _ in 0..3 {
                data(&mut sealer, b"x").unwrap();
            }
            assert_eq!(data(&mut sealer, b"x"), Err(RecordError::Exhausted));
            assert_eq!(data(&mut sealer, b"x"), Err(RecordError::Dead));
            assert_eq!(sealer.close(&mut Vec::new()), Err(RecordError::Dead));

            // A peer that knows no such limits.
            let unlimited = RecordLimits {
                records: u64::MAX,
                epochs: u64::MAX,
                ..few
            };
            let mut sealer = self::sealer(suite, unlimited);
            let wire: Vec<u8> = (0..4)
                .flat_map(|_| data(&mut sealer, b"x").unwrap())
                .collect();
            let received = receive(&mut opener(suite, few), &wire);
            assert_eq!(received.error, Some(RecordError::Exhausted));
            assert_eq!(received.text, b"xxx");
        }
    }
}

#[test]
fn no_key_material_shows_in_debug() {
    for suite in Suite::ALL {
        assert_eq!(
            format!("{:?}", sealer(suite, limits())),
            "Sealer([redacted])"
        );
        assert_eq!(
            format!("{:?}", opener(suite, limits())),
            "Opener([redacted])"
        );
    }
}
