//! Each rule of the protocol, and the error that its breach gives.

use super::*;
use crate::crypto::key_wrap;
use crate::crypto::mac::MacKey;
use crate::handshake::key_schedule::{MasterSecret, Role};
use crate::handshake::transcript::Transcript;
use crate::secret::{DEFAULT_KEY, KeyBytes, KeyEncryptionKey};
use crate::wire::{MAC_LEN, Message1, Message2, Message3, WrappedDelivery};

const SUITE: Suite = Suite::TdesCtrHmacSha256;

fn secure() -> Pair {
    Pair::secure(KeyKind::Tdes, SUITE)
}

#[test]
fn a_gateway_of_another_id_is_refused_before_its_proof_is_looked_at() {
    let mut pair = secure();
    let expected = GatewayId::random(&mut rand::rng());
    let found = pair.server.gateway_id;
    pair.server.gateway_id = expected;
    // The key itself is right: a stolen gateway that answers at another's address.
    let other = Misbehaviour::OtherGateway { expected, found };
    assert_eq!(pair.server_error(), other.into());
    // Nor does it help to have another key, or another key's id: nothing is looked up.
    pair.gateway_keys()[0].key = MasterKey::random(KeyKind::Tdes, &mut rand::rng());
    assert!(matches!(
        pair.server_error(),
        HandshakeError::Misbehaved(Misbehaviour::OtherGateway { .. })
    ));
}

#[test]
fn a_wrong_key_under_the_right_id_is_refused_by_the_server() {
    let mut pair = secure();
    let id = pair.server.keys[0].id;
    pair.gateway_keys()[0].key = MasterKey::random(KeyKind::Tdes, &mut rand::rng());
    let error = pair.server_error();
    assert_eq!(error, Misbehaviour::GatewayProof(id).into());
    assert!(
        error.to_string().contains("portcullis gateway show NAME"),
        "{error}"
    );
}

#[test]
fn a_server_without_the_key_is_refused_by_the_gateway() {
    let pair = secure();
    let rng = &mut rand::rng();
    let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
    let (message1, _) = initiator::start(pair.server.clone(), None, rng).unwrap();
    let (message2, gateway) = gateway.handle(&message1, rng).unwrap();
    let wrong = MasterSecret::new(&MasterKey::random(KeyKind::Tdes, rng), Role::Gateway);
    let id = pair.server.keys[0].id;
    let message3 = forged_message3(&[&message1, &message2], &wrong, id, &[9; 24]);
    let error = gateway.handle(&message3).unwrap_err();
    assert_eq!(error, Misbehaviour::ServerProof(id).into());
    assert!(
        error.to_string().contains("portcullis gateway show NAME"),
        "{error}"
    );
}

#[test]
fn a_key_or_suite_that_was_not_offered_is_refused() {
    let pair = secure();
    let rng = &mut rand::rng();
    let stranger = held(KeyKind::Tdes);
    for (key, suite, expected) in [
        (
            stranger.clone(),
            SUITE,
            Misbehaviour::KeyNotOffered(stranger.id),
        ),
        (
            pair.server.keys[0].clone(),
            Suite::Aes256Gcm,
            Misbehaviour::SuiteNotOffered(Suite::Aes256Gcm),
        ),
    ] {
        let (message1, server) = initiator::start(pair.server.clone(), None, rng).unwrap();
        let message2 = Message2 {
            gateway_id: pair.server.gateway_id,
            nonce: [1; 32],
            share: [9; 32],
            mode: Mode::Secure,
            key_id: key.id,
            suite,
        };
        let frame = proved(
            &message2,
            &message1,
            &MasterSecret::new(&key.key, Role::Gateway),
        );
        assert_eq!(server.handle(&frame, rng).unwrap_err(), expected.into());
    }
}

#[test]
fn default_mode_is_refused_where_it_was_not_offered() {
    let rng = &mut rand::rng();
    // By the server, whatever the gateway says.
    let (message1, server) = initiator::start(secure().server, None, rng).unwrap();
    let message2 = Message2 {
        gateway_id: GatewayId::NONE,
        nonce: [1; 32],
        share: [9; 32],
        mode: Mode::Default,
        key_id: KeyId::DEFAULT,
        suite: SUITE,
    };
    let frame = proved(&message2, &message1, &MasterSecret::of_default_key());
    let error = server.handle(&frame, rng).unwrap_err();
    assert_eq!(error, Misbehaviour::DefaultModeNotOffered.into());

    // And by the gateway.
    let mut pair = secure();
    pair.gateway.identity = Identity::Pairing;
    let error = pair.gateway_error();
    assert_eq!(error, Incompatibility::PairingNotOffered.into());
    assert!(
        error.to_string().contains("portcullis gateway show NAME"),
        "{error}"
    );
}

#[test]
fn a_gateway_with_a_key_never_falls_back_to_default_mode() {
    // Not though the server offers nothing else, nor though a stored key bears the default key's
    // id.
    let mut pair = Pair::pairing(KeyKind::Tdes, SUITE);
    let own = held(KeyKind::Tdes);
    pair.gateway.identity = Identity::Keyed {
        gateway_id: pair.server.gateway_id,
        keys: vec![own.clone()],
    };
    let held = vec![own.id];
    let error = pair.gateway_error();
    assert_eq!(error, Incompatibility::NoCommonKey { held }.into());
    assert!(error.to_string().contains(&own.id.to_string()), "{error}");

    pair.gateway_keys()[0] = HeldKey {
        id: KeyId::DEFAULT,
        key: MasterKey::from_bytes(KeyKind::Tdes, &DEFAULT_KEY).unwrap(),
    };
    assert_eq!(pair.gateway_error(), Misuse::KeyId(KeyId::DEFAULT).into());
}

#[test]
fn a_gateway_without_key_and_pairing_refuses_every_session_and_says_what_to_do() {
    for mut pair in [secure(), Pair::pairing(KeyKind::Tdes, SUITE)] {
        pair.gateway.identity = Identity::None;
        let error = pair.gateway_error();
        assert_eq!(error, Incompatibility::NoKey.into());
        assert!(
            error.to_string().contains("portcullis-gateway enroll"),
            "{error}"
        );
    }
}

#[test]
fn the_two_proofs_never_verify_as_one_another_over_the_same_transcript() {
    let secret = MasterSecret::new(&held(KeyKind::Tdes).key, Role::Gateway);
    let transcript = transcript_of(&[b"the same"]);
    let gateway = tag(&secret.gateway_proof_key(), &transcript, b"");
    let server = tag(&secret.server_proof_key(), &transcript, b"");
    assert_ne!(gateway, server);
    let hash = transcript.hash();
    let as_server = secret
        .server_proof_key()
        .verify(&[hash.as_bytes()], &gateway);
    assert!(as_server.is_err());
}

#[test]
fn another_version_is_nobodys_fault() {
    let pair = secure();
    let outcome = pair.run_with(|number, mut frame| {
        if number == 1 {
            frame[3] = 2;
        }
        frame
    });
    let version = Incompatibility::Version(2).into();
    assert!(matches!(outcome, Err(Failure::Gateway(error)) if error == version));
}

#[test]
fn no_common_suite_is_refused() {
    let mut pair = Pair::secure(KeyKind::Tdes, Suite::Aes256Gcm);
    pair.gateway.suites = vec![SUITE];
    assert_eq!(pair.gateway_error(), Incompatibility::NoCommonSuite.into());
}

#[test]
fn a_degenerate_x25519_share_is_refused_by_both_sides() {
    // The points of small order, in every encoding below the prime (RFC 7748, 6.1): 0, 1 and p - 1
    // suffice here.
    let mut minus_one = [0xFF; 32];
    (minus_one[0], minus_one[31]) = (0xEC, 0x7F);
    let mut one = [0; 32];
    one[0] = 1;
    for share in [[0; 32], one, minus_one] {
        let rng = &mut rand::rng();
        let pair = secure();
        let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
        let (message1, server) = initiator::start(pair.server.clone(), None, rng).unwrap();
        let degenerate = Message1 {
            share,
            ..Message1::decode(&message1).unwrap()
        };
        let error = gateway
            .handle(&degenerate.encode().unwrap(), rng)
            .unwrap_err();
        assert_eq!(error, Misbehaviour::DegenerateShare.into());

        let message2 = Message2 {
            gateway_id: pair.server.gateway_id,
            nonce: [1; 32],
            share,
            mode: Mode::Secure,
            key_id: pair.server.keys[0].id,
            suite: SUITE,
        };
        let secret = MasterSecret::new(&pair.server.keys[0].key, Role::Gateway);
        let frame = proved(&message2, &message1, &secret);
        let error = server.handle(&frame, rng).unwrap_err();
        assert_eq!(error, Misbehaviour::DegenerateShare.into());
    }
}

#[test]
fn a_weak_session_key_is_refused_though_the_server_proves_itself() {
    let mut even = *b"\x01\x02\x04\x07\x08\x0b\x0d\x0e\x10\x13\x15\x16\x19\x1a\x1c\x1f\x20\x23\x25\x26\x29\x2a\x2c\x2f";
    assert!(KeyBytes::new(KeyKind::Tdes, &even).is_ok());
    even[3] ^= 1;
    let mut equal_parts = [0x02; 24];
    equal_parts[16..].fill(0x04);
    for weak in [[0x01; 24], [0x02; 24], equal_parts, even] {
        let rng = &mut rand::rng();
        let pair = secure();
        let held = &pair.server.keys[0];
        let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
        let (message1, _) = initiator::start(pair.server.clone(), None, rng).unwrap();
        let (message2, gateway) = gateway.handle(&message1, rng).unwrap();
        let secret = MasterSecret::new(&held.key, Role::Gateway);
        let message3 = forged_message3(&[&message1, &message2], &secret, held.id, &weak);
        let error = gateway.handle(&message3).unwrap_err();
        assert_eq!(error, Misbehaviour::WeakKey("session key").into());
    }
}

#[test]
fn the_mac_is_checked_before_anything_is_unwrapped() {
    // A wrap that would not open, under a MAC that does not verify: the MAC is what is complained
    // of.
    let rng = &mut rand::rng();
    let pair = secure();
    let id = pair.server.keys[0].id;
    let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
    let (message1, _) = initiator::start(pair.server.clone(), None, rng).unwrap();
    let (_, gateway) = gateway.handle(&message1, rng).unwrap();
    let message3 = Message3 {
        key_id: id,
        wrapped_session_key: vec![0; 28],
        delivery: None,
    };
    let error = gateway
        .handle(&message3.encode(|_| [0; MAC_LEN]))
        .unwrap_err();
    assert_eq!(error, Misbehaviour::ServerProof(id).into());

    // With the right MAC the wrap is.
    let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
    let (message2, gateway) = gateway.handle(&message1, rng).unwrap();
    let transcript = transcript_of(&[&message1, &message2]);
    let secret = MasterSecret::new(&pair.server.keys[0].key, Role::Gateway);
    let frame = message3.encode(|unproved| tag(&secret.server_proof_key(), &transcript, unproved));
    let error = gateway.handle(&frame).unwrap_err();
    assert_eq!(error, Misbehaviour::KeyWrap(id).into());
}

#[test]
fn message_3_of_another_key_than_message_2_chose_is_refused() {
    let rng = &mut rand::rng();
    let mut pair = secure();
    let (new, old) = (pair.server.keys[0].clone(), held(KeyKind::Tdes));
    pair.server.keys.push(old.clone());
    pair.gateway_keys().push(old.clone());
    let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
    let (message1, _) = initiator::start(pair.server.clone(), None, rng).unwrap();
    let (message2, gateway) = gateway.handle(&message1, rng).unwrap();
    // By one who stole the older key, and who would thereby make the gateway drop the newer.
    let stolen = MasterSecret::new(&old.key, Role::Gateway);
    let key = KeyBytes::random(KeyKind::Tdes, rng);
    let message3 = forged_message3(&[&message1, &message2], &stolen, old.id, key.expose());
    let other = Misbehaviour::OtherKey {
        expected: new.id,
        found: old.id,
    };
    assert_eq!(gateway.handle(&message3).unwrap_err(), other.into());
}

#[test]
fn a_delivered_master_key_that_is_not_the_one_of_the_mac_is_refused() {
    let rng = &mut rand::rng();
    let pair = Pair::pairing(KeyKind::Tdes, SUITE);
    let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
    let (message1, server) = initiator::start(pair.server, None, rng).unwrap();
    let (message2, gateway) = gateway.handle(&message1, rng).unwrap();
    let (frame, _) = server.handle(&message2, rng).unwrap();
    let (message3, mac) = Message3::decode(&frame, Mode::Default).unwrap();
    let delivery = message3.delivery.clone().unwrap();
    let renamed = Message3 {
        delivery: Some(WrappedDelivery {
            gateway_id: GatewayId::random(rng),
            ..delivery
        }),
        ..message3
    };
    let error = gateway.handle(&renamed.encode(|_| mac)).unwrap_err();
    assert!(matches!(
        error,
        HandshakeError::Misbehaved(Misbehaviour::ServerProof(_))
    ));
}

#[test]
fn a_message_out_of_turn_is_refused_and_an_alert_ends_the_handshake() {
    let rng = &mut rand::rng();
    let pair = secure();
    let mut frames = Vec::new();
    pair.run_with(|_, frame| {
        frames.push(frame.clone());
        frame
    })
    .unwrap();
    for (sent, wrong) in frames.iter().enumerate() {
        for awaited in (0..4).filter(|awaited| *awaited != sent) {
            let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
            let (message1, server) = initiator::start(pair.server.clone(), None, rng).unwrap();
            let error = match awaited {
                0 => gateway.handle(wrong, rng).unwrap_err(),
                1 => server.handle(wrong, rng).unwrap_err(),
                2 => gateway
                    .handle(&message1, rng)
                    .unwrap()
                    .1
                    .handle(wrong)
                    .unwrap_err(),
                _ => {
                    let (message2, _) = gateway.handle(&message1, rng).unwrap();
                    server
                        .handle(&message2, rng)
                        .unwrap()
                        .1
                        .handle(wrong)
                        .unwrap_err()
                }
            };
            assert!(matches!(error, HandshakeError::Malformed(_)), "{error}");
        }
    }
    let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
    let (message1, server) = initiator::start(pair.server, None, rng).unwrap();
    assert_eq!(
        server.handle(&ALERT, rng).unwrap_err(),
        HandshakeError::Refused
    );
    let (_, gateway) = gateway.handle(&message1, rng).unwrap();
    assert_eq!(gateway.handle(&ALERT).unwrap_err(), HandshakeError::Refused);
}

#[test]
fn an_unusable_configuration_is_refused_before_anything_is_sent() {
    let misuse = |change: fn(&mut Pair)| {
        let mut pair = secure();
        change(&mut pair);
        match pair.run() {
            Err(
                Failure::Server(HandshakeError::Misuse(misuse))
                | Failure::Gateway(HandshakeError::Misuse(misuse)),
            ) => misuse,
            other => panic!("ought to have been refused: {other:?}"),
        }
    };
    assert_eq!(misuse(|p| p.server.suites.clear()), Misuse::NothingToOffer);
    assert_eq!(misuse(|p| p.server.keys.clear()), Misuse::NothingToOffer);
    assert_eq!(misuse(|p| p.gateway.suites.clear()), Misuse::NothingToOffer);
    assert_eq!(
        misuse(|p| p.server.gateway_id = GatewayId::NONE),
        Misuse::NoGatewayId
    );
    let other_kind = |p: &mut Pair| {
        p.server.keys[0].key = MasterKey::random(KeyKind::Aes256, &mut rand::rng());
    };
    assert!(matches!(misuse(other_kind), Misuse::KeyId(_)));
    let twice = |p: &mut Pair| p.server.keys.push(p.server.keys[0].clone());
    assert!(matches!(misuse(twice), Misuse::Unsendable(_)));
    // Each side for itself, for the other may be no program of ours.
    let (pair, rng) = (secure(), &mut rand::rng());
    let other = Some(Preamble::Id(GatewayId::random(rng)));
    let server = initiator::start(pair.server, other.as_ref(), rng).unwrap_err();
    assert_eq!(server, Misuse::OtherPreamble.into());
    let gateway = responder::start(pair.gateway, other.as_ref()).unwrap_err();
    assert_eq!(gateway, Misuse::OtherPreamble.into());
    let nameless = |p: &mut Pair| p.preamble = Some(Preamble::Name(String::new()));
    assert!(matches!(misuse(nameless), Misuse::Unsendable(_)));
}

#[test]
fn debug_of_every_state_shows_no_key() {
    let rng = &mut rand::rng();
    for pair in Pair::every_sort() {
        let mut texts = vec![format!("{:?} {:?}", pair.server, pair.gateway)];
        let (_, gateway) = responder::start(pair.gateway.clone(), pair.preamble.as_ref()).unwrap();
        texts.push(format!("{gateway:?}"));
        let (message1, server) =
            initiator::start(pair.server.clone(), pair.preamble.as_ref(), rng).unwrap();
        texts.push(format!("{server:?}"));
        let (message2, gateway) = gateway.handle(&message1, rng).unwrap();
        texts.push(format!("{gateway:?}"));
        let (message3, server) = server.handle(&message2, rng).unwrap();
        texts.push(format!("{server:?}"));
        let gateway = gateway.handle(&message3).unwrap();
        texts.push(format!("{gateway:?}"));
        let (message4, established) = gateway.confirm();
        texts.push(format!(
            "{established:?} {:?}",
            server.handle(&message4).unwrap()
        ));

        let master = pair
            .server
            .keys
            .first()
            .or(pair.server.pairing.as_ref())
            .unwrap();
        let secrets = [
            master.key.expose(),
            established.server_to_gateway.expose(),
            established.gateway_to_server.expose(),
        ];
        for text in texts {
            let text = text.to_lowercase().replace([' ', ','], "");
            for secret in secrets {
                let part = &secret[..8];
                let hex: String = part.iter().map(|b| format!("{b:02x}")).collect();
                let list: String = part.iter().map(|b| b.to_string()).collect();
                assert!(!text.contains(&hex) && !text.contains(&list), "{text}");
            }
        }
    }
}

fn transcript_of(frames: &[&[u8]]) -> Transcript {
    let mut transcript = Transcript::new(None);
    for frame in frames {
        transcript.add(frame);
    }
    transcript
}

fn tag(key: &MacKey, transcript: &Transcript, unproved: &[u8]) -> [u8; MAC_LEN] {
    key.tag(&[transcript.hash_with(unproved).as_bytes()])
        .to_bytes()
}

/// Message 2 with a proof that is right for `secret`.
fn proved(message2: &Message2, message1: &[u8], secret: &MasterSecret) -> Vec<u8> {
    let transcript = transcript_of(&[message1]);
    message2.encode(|unproved| tag(&secret.gateway_proof_key(), &transcript, unproved))
}

/// Message 3 that carries `session_key`, wrapped and proved as `secret` allows.
fn forged_message3(
    before: &[&[u8]],
    secret: &MasterSecret,
    key_id: KeyId,
    session_key: &[u8],
) -> Vec<u8> {
    let transcript = transcript_of(before);
    let kek: KeyEncryptionKey = secret.session_kek(&transcript.hash());
    let message3 = Message3 {
        key_id,
        wrapped_session_key: key_wrap::wrap(&kek, session_key),
        delivery: None,
    };
    message3.encode(|unproved| tag(&secret.server_proof_key(), &transcript, unproved))
}
