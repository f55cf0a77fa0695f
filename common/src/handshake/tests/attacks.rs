//! One who owns the network: changes, cuts, replays and reflects messages.

use super::*;
use crate::wire::{Message1, Message2};

/// The frames of one honest run, by their numbers.
fn recorded(pair: &Pair) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    pair.run_with(|number, frame| {
        frames.push((number, frame.clone()));
        frame
    })
    .unwrap();
    frames
}

/// The side that receives a message.
fn receiver_is_gateway(number: u8) -> bool {
    matches!(number, 1 | 3)
}

#[test]
fn every_message_cut_at_every_length_is_refused_by_its_receiver() {
    for pair in Pair::one_of_each_shape() {
        for (cut, frame) in recorded(&pair) {
            for len in 0..frame.len() {
                let outcome = pair.run_with(|number, mut frame| {
                    if number == cut {
                        frame.truncate(len);
                    }
                    frame
                });
                match outcome {
                    Err(Failure::Gateway(_)) => assert!(receiver_is_gateway(cut)),
                    Err(Failure::Server(_)) => assert!(!receiver_is_gateway(cut)),
                    Ok(_) => panic!("message {cut} cut at {len} established a session"),
                }
            }
        }
    }
}

#[test]
fn with_any_bit_of_any_message_flipped_nobody_establishes() {
    for pair in Pair::one_of_each_shape() {
        for (flipped, frame) in recorded(&pair) {
            for bit in 0..frame.len() * 8 {
                let outcome = pair.run_with(|number, mut frame| {
                    if number == flipped {
                        frame[bit / 8] ^= 1 << (bit % 8);
                    }
                    frame
                });
                // The receiver itself notices, or in clear messages 0 and 1 whoever verifies the
                // next proof, and nobody gets further than that: the gateway confirms nothing, the
                // server sends no session key.
                let error = outcome.expect_err("a changed handshake established a session");
                match (flipped, &error) {
                    (0, Failure::Server(_)) | (1, _) => {}
                    (2 | 4, Failure::Server(_)) | (3, Failure::Gateway(_)) => {}
                    _ => panic!("bit {bit} of message {flipped}: {error:?}"),
                }
            }
        }
    }
}

#[test]
fn nobody_lowers_suite_or_key_on_the_way() {
    let (new, old) = (held(KeyKind::Tdes), held(KeyKind::Tdes));
    let mut pair = Pair::secure(KeyKind::Tdes, Suite::Aes256Gcm);
    pair.server.suites = vec![Suite::Aes256Gcm, Suite::TdesCtrHmacSha256];
    pair.server.keys = vec![new.clone(), old.clone()];
    *pair.gateway_keys() = vec![new, old];
    let lowered: [fn(&mut Message1); 4] = [
        |message| message.suites.reverse(),
        |message| message.suites.retain(|suite| *suite != Suite::Aes256Gcm),
        |message| message.key_ids.reverse(),
        |message| message.key_ids = message.key_ids.split_off(1),
    ];
    for lower in lowered {
        let outcome = pair.run_with(|number, frame| {
            if number != 1 {
                return frame;
            }
            let mut message = Message1::decode(&frame).unwrap();
            lower(&mut message);
            message.encode().unwrap()
        });
        assert!(matches!(
            outcome,
            Err(Failure::Server(HandshakeError::Misbehaved(
                Misbehaviour::GatewayProof(_)
            )))
        ));
    }
    // Nor is a choice changed on its way back.
    let choose: [fn(&mut Message2, &Pair); 2] = [
        |message, _| message.suite = Suite::TdesCtrHmacSha256,
        |message, pair| message.key_id = pair.server.keys[1].id,
    ];
    for change in choose {
        let outcome = pair.run_with(|number, frame| {
            if number != 2 {
                return frame;
            }
            let (mut message, proof) = Message2::decode(&frame).unwrap();
            change(&mut message, &pair);
            message.encode(|_| proof)
        });
        assert!(matches!(
            outcome,
            Err(Failure::Server(HandshakeError::Misbehaved(
                Misbehaviour::GatewayProof(_)
            )))
        ));
    }
}

#[test]
fn a_replayed_message_never_establishes() {
    for pair in Pair::every_sort() {
        let frames = recorded(&pair);
        for (replayed, old) in &frames {
            if *replayed == 0 {
                // In clear and the same each time, by nature: it is the nonces that differ.
                continue;
            }
            let outcome = pair.run_with(|number, frame| {
                if number == *replayed {
                    old.clone()
                } else {
                    frame
                }
            });
            assert!(
                outcome.is_err(),
                "message {replayed} of an old session was taken"
            );
        }
        // All of one side's messages at once.
        for gateway_replays in [false, true] {
            let outcome = pair.run_with(|number, frame| {
                if number != 0 && receiver_is_gateway(number) != gateway_replays {
                    let (_, old) = frames.iter().find(|(n, _)| *n == number).unwrap();
                    old.clone()
                } else {
                    frame
                }
            });
            assert!(outcome.is_err(), "an old side was taken for a living one");
        }
    }
}

#[test]
fn a_reflected_proof_never_verifies() {
    for pair in Pair::every_sort() {
        // The gateway's own proof comes back to it in place of the server's MAC, and the server's
        // as confirmation.
        let to_gateway = pair.run_with(reflect_proof(2));
        assert!(matches!(
            to_gateway,
            Err(Failure::Gateway(HandshakeError::Misbehaved(
                Misbehaviour::ServerProof(_)
            )))
        ));
        let to_server = pair.run_with(reflect_proof(3));
        assert!(matches!(
            to_server,
            Err(Failure::Server(HandshakeError::Misbehaved(
                Misbehaviour::Confirmation
            )))
        ));
    }
}

#[test]
fn a_message_of_one_session_never_fits_into_another_between_the_same_two() {
    let pair = Pair::secure(KeyKind::Tdes, Suite::TdesCtrHmacSha256);
    let rng = &mut rand::rng();
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let (_, gateway) = responder::start(pair.gateway.clone(), None).unwrap();
        let (message1, server) = initiator::start(pair.server.clone(), None, rng).unwrap();
        let (message2, gateway) = gateway.handle(&message1, rng).unwrap();
        sessions.push((server, gateway, message2));
    }
    let (server_b, gateway_b, message2_b) = sessions.pop().unwrap();
    let (server_a, _, message2_a) = sessions.pop().unwrap();
    assert!(server_b.handle(&message2_a, rng).is_err());
    assert!(server_a.handle(&message2_b, rng).is_err());
    let (_, fresh) = responder::start(pair.gateway.clone(), None).unwrap();
    let (message1, server) = initiator::start(pair.server, None, rng).unwrap();
    let (message2, _) = fresh.handle(&message1, rng).unwrap();
    let (message3, _) = server.handle(&message2, rng).unwrap();
    assert!(gateway_b.handle(&message3).is_err());
}

#[test]
fn a_preamble_changed_on_its_way_is_noticed() {
    let mut pair = Pair::pairing(KeyKind::Tdes, Suite::TdesCtrHmacSha256);
    pair.preamble = Some(Preamble::Name("printer".to_owned()));
    let outcome = pair.run_with(|number, frame| match number {
        0 => Preamble::Name("payroll".to_owned()).encode().unwrap(),
        _ => frame,
    });
    assert!(matches!(
        outcome,
        Err(Failure::Server(HandshakeError::Misbehaved(
            Misbehaviour::GatewayProof(_)
        )))
    ));
}
