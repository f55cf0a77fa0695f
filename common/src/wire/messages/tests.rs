//! Every message survives its encoding; what is cut, added or contradictory is refused.

use super::*;
use crate::id::KeyKind;

fn message1() -> Message1 {
    let rng = &mut rand::rng();
    Message1 {
        server_id: ServerId::random(rng),
        nonce: [2; NONCE_LEN],
        share: [3; SHARE_LEN],
        suites: Suite::ALL.to_vec(),
        key_ids: vec![
            KeyId::random(KeyKind::Aes256, rng),
            KeyId::random(KeyKind::Tdes, rng),
            KeyId::DEFAULT,
        ],
    }
}

fn message2(mode: Mode) -> Message2 {
    let rng = &mut rand::rng();
    let (gateway_id, key_id) = match mode {
        Mode::Secure => (GatewayId::random(rng), KeyId::random(KeyKind::Tdes, rng)),
        Mode::Default => (GatewayId::NONE, KeyId::DEFAULT),
    };
    Message2 {
        gateway_id,
        nonce: [4; NONCE_LEN],
        share: [5; SHARE_LEN],
        mode,
        key_id,
        suite: Suite::Aes256Gcm,
    }
}

fn message3(mode: Mode, kind: KeyKind) -> Message3 {
    let rng = &mut rand::rng();
    let wrapped = vec![6; wrapped_len(kind, kind)];
    Message3 {
        key_id: KeyId::random(kind, rng),
        wrapped_session_key: wrapped.clone(),
        delivery: (mode == Mode::Default).then(|| WrappedDelivery {
            gateway_id: GatewayId::random(rng),
            wrapped_master_key: wrapped,
        }),
    }
}

/// The header, and what follows it, with its length set anew.
fn reframed(frame: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = frame[3..].to_vec();
    change(&mut body);
    let mut out = vec![frame[0]];
    out.extend((body.len() as u16).to_be_bytes());
    out.extend(body);
    out
}

/// Decodes as every message; that none panics is the point.
fn decode_all(frame: &[u8]) -> usize {
    [
        Preamble::decode(frame).is_ok(),
        Message1::decode(frame).is_ok(),
        Message2::decode(frame).is_ok(),
        Message3::decode(frame, Mode::Secure).is_ok(),
        Message3::decode(frame, Mode::Default).is_ok(),
        Message4::decode(frame).is_ok(),
    ]
    .into_iter()
    .filter(|ok| *ok)
    .count()
}

fn one_of_each() -> Vec<Vec<u8>> {
    let mac = |_: &[u8]| [7; MAC_LEN];
    vec![
        Preamble::Id(GatewayId::from_array([1; 16]))
            .encode()
            .unwrap(),
        Preamble::Name("Zürich".to_owned()).encode().unwrap(),
        message1().encode().unwrap(),
        message2(Mode::Secure).encode(mac),
        message2(Mode::Default).encode(mac),
        message3(Mode::Secure, KeyKind::Tdes).encode(mac),
        message3(Mode::Secure, KeyKind::Aes256).encode(mac),
        message3(Mode::Default, KeyKind::Tdes).encode(mac),
        message3(Mode::Default, KeyKind::Aes256).encode(mac),
        Message4::encode([7; MAC_LEN]),
    ]
}

#[test]
fn messages_survive_the_wire() {
    let mac = |_: &[u8]| [7; MAC_LEN];
    for preamble in [
        Preamble::Id(GatewayId::from_array([1; 16])),
        Preamble::Name("a".to_owned()),
        Preamble::Name("ü".repeat(32)),
    ] {
        assert_eq!(Preamble::decode(&preamble.encode().unwrap()), Ok(preamble));
    }
    let message = message1();
    assert_eq!(Message1::decode(&message.encode().unwrap()), Ok(message));
    for mode in [Mode::Secure, Mode::Default] {
        let message = message2(mode);
        assert_eq!(
            Message2::decode(&message.encode(mac)),
            Ok((message, [7; MAC_LEN]))
        );
        for kind in [KeyKind::Tdes, KeyKind::Aes256] {
            let message = message3(mode, kind);
            let decoded = Message3::decode(&message.encode(mac), mode);
            assert_eq!(decoded, Ok((message, [7; MAC_LEN])));
        }
    }
    assert_eq!(
        Message4::decode(&Message4::encode([7; MAC_LEN])),
        Ok([7; MAC_LEN])
    );
}

#[test]
fn every_message_cut_at_every_length_or_lengthened_is_refused() {
    for frame in one_of_each() {
        assert!(decode_all(&frame) > 0);
        for len in 0..frame.len() {
            assert_eq!(
                decode_all(&frame[..len]),
                0,
                "a frame cut at {len}: {frame:x?}"
            );
        }
        let longer = reframed(&frame, |body| body.push(b'x'));
        // A name has no end of its own but the frame's: a longer one is another name.
        let is_name = matches!(Preamble::decode(&frame), Ok(Preamble::Name(_)));
        assert_eq!(decode_all(&longer), usize::from(is_name));
        for len in 3..frame.len() {
            let shorter = reframed(&frame, |body| body.truncate(len - 3));
            let name_is_left = is_name && Preamble::decode(&shorter).is_ok();
            // A message 3 of secure mode is the beginning of one of default mode, by form: its
            // receiver knows which is due.
            let secure_is_left = Message3::decode(&frame, Mode::Default).is_ok()
                && Message3::decode(&shorter, Mode::Secure).is_ok();
            assert_eq!(
                decode_all(&shorter),
                usize::from(name_is_left || secure_is_left),
                "cut to {len}: {frame:x?}"
            );
        }
    }
}

#[test]
fn no_bytes_make_a_decoder_panic_and_what_decodes_has_one_encoding() {
    use rand::{RngExt as _, SeedableRng as _};
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed);
    let samples = one_of_each();
    for _ in 0..50_000 {
        let mut frame = samples[rng.random_range(0..samples.len())].clone();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..frame.len());
            frame[at] = rng.random();
        }
        decode_all(&frame);
        if let Ok(message) = Message1::decode(&frame) {
            assert_eq!(message.encode().unwrap(), frame);
        }
        if let Ok((message, proof)) = Message2::decode(&frame) {
            assert_eq!(message.encode(|_| proof), frame);
        }
        for mode in [Mode::Secure, Mode::Default] {
            if let Ok((message, mac)) = Message3::decode(&frame, mode) {
                assert_eq!(message.encode(|_| mac), frame);
            }
        }
        if let Ok(preamble) = Preamble::decode(&frame) {
            assert_eq!(preamble.encode().unwrap(), frame);
        }
    }
}

#[test]
fn names_that_are_empty_too_long_no_utf8_or_hold_controls_are_refused() {
    let sample = Preamble::Name("x".to_owned()).encode().unwrap();
    for name in [
        &b""[..],
        &[b'a'; 65],
        b"\xff\xfe",
        b"a\nb",
        b"\0",
        "\u{85}".as_bytes(),
    ] {
        let frame = reframed(&sample, |body| {
            body.splice(1.., name.iter().copied()).for_each(drop)
        });
        assert_eq!(
            Preamble::decode(&frame),
            Err(DecodeError::Name),
            "{name:x?}"
        );
    }
    for name in [String::new(), "a".repeat(65), "a\tb".to_owned()] {
        assert_eq!(Preamble::Name(name).encode(), Err(DecodeError::Name));
    }
    let unknown = reframed(&sample, |body| body[0] = 3);
    assert_eq!(
        Preamble::decode(&unknown),
        Err(DecodeError::PreambleKind(3))
    );
    let nobody = Preamble::Id(GatewayId::NONE).encode().unwrap();
    assert_eq!(Preamble::decode(&nobody), Err(DecodeError::Contradiction));
}

#[test]
fn lists_that_are_empty_too_long_or_repeat_themselves_are_refused() {
    let refused = |change: fn(&mut Message1)| {
        let mut message = message1();
        change(&mut message);
        message.encode().unwrap_err()
    };
    assert_eq!(refused(|m| m.suites.clear()), DecodeError::ListLength);
    assert_eq!(
        refused(|m| m.suites.push(Suite::Aes256Gcm)),
        DecodeError::Duplicate
    );
    assert_eq!(
        refused(|m| m.key_ids[1] = m.key_ids[0]),
        DecodeError::Duplicate
    );
    assert_eq!(
        refused(|m| m.key_ids.swap(1, 2)),
        DecodeError::DefaultKeyNotLast
    );
    let many = |m: &mut Message1| {
        m.key_ids = (0..65)
            .map(|_| KeyId::random(KeyKind::Tdes, &mut rand::rng()))
            .collect();
    };
    assert_eq!(refused(many), DecodeError::ListLength);

    // The same on the wire: version, server id, nonce and share take 81 bytes, then the lists.
    let sample = message1().encode().unwrap();
    let decoded = |change: fn(&mut Vec<u8>)| Message1::decode(&reframed(&sample, change));
    assert_eq!(decoded(|b| b[0] = 2), Err(DecodeError::Version(2)));
    assert_eq!(decoded(|b| b[81] = 9), Err(DecodeError::ListLength));
    assert_eq!(decoded(|b| b[83] = 2), Err(DecodeError::Duplicate));
    assert_eq!(decoded(|b| b[83] = 3), Err(DecodeError::Suite(3)));
    assert_eq!(decoded(|b| b[86] = 65), Err(DecodeError::ListLength));
    assert_eq!(decoded(|b| b[87] = 3), Err(DecodeError::KeyKind));
    assert_eq!(
        decoded(|b| b.copy_within(87..104, 104)),
        Err(DecodeError::Duplicate)
    );
    let default_first = decoded(|b| b[87..104].copy_from_slice(&KeyId::DEFAULT.to_bytes()));
    assert_eq!(default_first, Err(DecodeError::Duplicate));
}

#[test]
fn mode_gateway_id_and_key_id_must_agree() {
    let mac = |_: &[u8]| [7; MAC_LEN];
    for mode in [Mode::Secure, Mode::Default] {
        let good = message2(mode);
        let other = message2(match mode {
            Mode::Secure => Mode::Default,
            Mode::Default => Mode::Secure,
        });
        for bad in [
            Message2 {
                mode: other.mode,
                ..good.clone()
            },
            Message2 {
                gateway_id: other.gateway_id,
                ..good.clone()
            },
            Message2 {
                key_id: other.key_id,
                ..good.clone()
            },
        ] {
            assert_eq!(
                Message2::decode(&bad.encode(mac)),
                Err(DecodeError::Contradiction)
            );
        }
    }
    let frame = message2(Mode::Secure).encode(mac);
    let unknown = reframed(&frame, |body| body[80] = 2);
    assert_eq!(Message2::decode(&unknown), Err(DecodeError::Mode(2)));

    let mut default_key = message3(Mode::Secure, KeyKind::Tdes);
    default_key.key_id = KeyId::DEFAULT;
    let decoded = Message3::decode(&default_key.encode(mac), Mode::Secure);
    assert_eq!(decoded, Err(DecodeError::Contradiction));
    let mut nobody = message3(Mode::Default, KeyKind::Tdes);
    nobody.delivery.as_mut().unwrap().gateway_id = GatewayId::NONE;
    let decoded = Message3::decode(&nobody.encode(mac), Mode::Default);
    assert_eq!(decoded, Err(DecodeError::Contradiction));
}

#[test]
fn a_wrapped_key_of_another_length_than_its_id_implies_is_refused() {
    let mut message = message3(Mode::Secure, KeyKind::Tdes);
    for len in (0..=255).filter(|len| *len != 28) {
        message.wrapped_session_key = vec![0; len];
        let frame = message.encode(|_| [7; MAC_LEN]);
        assert_eq!(
            Message3::decode(&frame, Mode::Secure),
            Err(DecodeError::WrappedLength)
        );
    }
}

#[test]
fn a_delivery_is_refused_in_secure_mode_and_missed_in_default_mode() {
    let mac = |_: &[u8]| [7; MAC_LEN];
    for kind in [KeyKind::Tdes, KeyKind::Aes256] {
        let frame = message3(Mode::Default, kind).encode(mac);
        assert!(Message3::decode(&frame, Mode::Secure).is_err());
        let frame = message3(Mode::Secure, kind).encode(mac);
        assert!(Message3::decode(&frame, Mode::Default).is_err());
    }
}
