//! Links between servers: honest, and attacked by one who owns the network, by a gateway, and by
//! what either side says itself.

use super::*;
use crate::handshake::peer::{self, PeerConfig};
use crate::id::{PeerEnds, PeerId};
use crate::secret::PeerKey;

/// What two servers of one repository share.
struct Servers {
    server_id: ServerId,
    key_id: KeyId,
    key: PeerKey,
    ends: PeerEnds,
}

impl Servers {
    fn two() -> Self {
        let rng = &mut rand::rng();
        Self {
            server_id: ServerId::random(rng),
            key_id: KeyId::random(KeyKind::Aes256, rng),
            key: PeerKey::random(KeyKind::Aes256, rng),
            ends: PeerEnds {
                dialler: PeerId::random(rng),
                dialled: PeerId::random(rng),
            },
        }
    }

    fn config(&self, ends: PeerEnds) -> PeerConfig {
        PeerConfig::new(self.server_id, self.key_id, &self.key, ends)
    }

    /// Runs the handshake with `on_wire` between the two. The dialled side takes the ends that
    /// message 0 names, as a listener does that knows both instances.
    fn run_with(
        &self,
        mut on_wire: impl FnMut(u8, Vec<u8>) -> Vec<u8>,
    ) -> Result<(Established, Established), HandshakeError> {
        let rng = &mut rand::rng();
        let ([message0, message1], dialler) = peer::dial(self.config(self.ends), rng)?;
        let PeerPreamble(ends) = PeerPreamble::decode(&on_wire(0, message0))?;
        let dialled = peer::answer(self.config(ends))?;
        let (message2, dialled) = dialled.handle(&on_wire(1, message1), rng)?;
        let (message3, dialler) = dialler.handle(&on_wire(2, message2), rng)?;
        let dialled = dialled.handle(&on_wire(3, message3))?;
        let (message4, dialled) = dialled.confirm();
        Ok((dialler.handle(&on_wire(4, message4))?, dialled))
    }

    fn recorded(&self) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        self.run_with(|number, frame| {
            frames.push((number, frame.clone()));
            frame
        })
        .unwrap();
        frames
    }

    fn swapped(&self) -> PeerEnds {
        PeerEnds {
            dialler: self.ends.dialled,
            dialled: self.ends.dialler,
        }
    }
}

#[test]
fn two_servers_of_one_repository_agree() {
    let servers = Servers::two();
    let (dialler, dialled) = servers.run_with(|_, frame| frame).unwrap();
    assert_agreed(&dialler, &dialled);
    assert_eq!(dialler.info.suite, peer::SUITE);
    assert_eq!(
        dialler.info.gateway_id.to_bytes(),
        servers.ends.dialled.to_bytes()
    );
}

#[test]
fn every_message_cut_at_every_length_is_refused() {
    let servers = Servers::two();
    for (cut, frame) in servers.recorded() {
        for len in 0..frame.len() {
            let outcome = servers.run_with(|number, mut frame| {
                if number == cut {
                    frame.truncate(len);
                }
                frame
            });
            assert!(outcome.is_err(), "message {cut} cut at {len}");
        }
    }
}

#[test]
fn with_any_bit_of_any_message_flipped_nobody_establishes() {
    let servers = Servers::two();
    for (flipped, frame) in servers.recorded() {
        for bit in 0..frame.len() * 8 {
            let outcome = servers.run_with(|number, mut frame| {
                if number == flipped {
                    frame[bit / 8] ^= 1 << (bit % 8);
                }
                frame
            });
            assert!(outcome.is_err(), "bit {bit} of message {flipped}");
        }
    }
}

#[test]
fn no_message_of_an_old_link_is_taken_in_a_new_one() {
    let servers = Servers::two();
    let frames = servers.recorded();
    // Message 0 is in clear and the same each time: it is the nonces that differ.
    for (replayed, old) in &frames[1..] {
        let outcome = servers.run_with(|number, frame| match number == *replayed {
            true => old.clone(),
            false => frame,
        });
        assert!(outcome.is_err(), "message {replayed} of an old link");
    }
}

/// Whoever sends a server's own messages back to its port, as they are or with the ends exchanged,
/// is refused: the key of a link depends on who dialled.
#[test]
fn what_is_reflected_to_its_sender_is_refused() {
    let servers = Servers::two();
    let rng = &mut rand::rng();
    let ([message0, message1], dialler) = peer::dial(servers.config(servers.ends), rng).unwrap();
    let PeerPreamble(ends) = PeerPreamble::decode(&message0).unwrap();
    assert_eq!(ends, servers.ends, "it names another than its own instance");
    let reflected = peer::answer(servers.config(servers.swapped())).unwrap();
    let (message2, _) = reflected.handle(&message1, rng).unwrap();
    assert!(matches!(
        dialler.handle(&message2, rng),
        Err(HandshakeError::Misbehaved(
            Misbehaviour::OtherGateway { .. }
        ))
    ));
    // And with the instance changed in it, the proof does not verify.
    let (_, dialler) = peer::dial(servers.config(servers.ends), rng).unwrap();
    let changed = [
        &message2[..3],
        &servers.ends.dialled.to_bytes(),
        &message2[19..],
    ]
    .concat();
    assert!(matches!(
        dialler.handle(&changed, rng),
        Err(HandshakeError::Misbehaved(Misbehaviour::GatewayProof(_)))
    ));
    // Nor is a proof sent back to the side that made it.
    let outcome = servers.run_with(reflect_proof(2));
    assert!(matches!(
        outcome,
        Err(HandshakeError::Misbehaved(Misbehaviour::ServerProof(_)))
    ));
}

#[test]
fn a_server_is_no_other_instance_than_the_one_that_was_dialled() {
    let servers = Servers::two();
    let rng = &mut rand::rng();
    let (frames, dialler) = peer::dial(servers.config(servers.ends), rng).unwrap();
    let third = PeerEnds {
        dialled: PeerId::random(rng),
        ..servers.ends
    };
    let other = peer::answer(servers.config(third)).unwrap();
    let (message2, _) = other.handle(&frames[1], rng).unwrap();
    assert!(dialler.handle(&message2, rng).is_err());
    for (dialler, dialled) in [
        (servers.ends.dialler, servers.ends.dialler),
        (PeerId::NONE, servers.ends.dialled),
        (servers.ends.dialler, PeerId::NONE),
    ] {
        let ends = PeerEnds { dialler, dialled };
        assert!(peer::dial(servers.config(ends), rng).is_err());
        assert!(peer::answer(servers.config(ends)).is_err());
    }
}

/// Even one who has the very master key and the ids of a link gets nowhere in the other role.
#[test]
fn neither_role_takes_the_other() {
    let servers = Servers::two();
    let rng = &mut rand::rng();
    let held = HeldKey {
        id: servers.key_id,
        key: crate::crypto::kdf::diversify_for_peers(&servers.key, &servers.ends),
    };
    let gateway_id = GatewayId::from_array(servers.ends.dialled.to_bytes());
    let gateway = ResponderConfig {
        suites: vec![peer::SUITE],
        identity: Identity::Keyed {
            gateway_id,
            keys: vec![held.clone()],
        },
    };
    let server = InitiatorConfig {
        server_id: servers.server_id,
        suites: vec![peer::SUITE],
        gateway_id,
        keys: vec![held],
        pairing: None,
    };
    // A gateway in place of the server that was dialled.
    let ([message0, message1], dialler) = peer::dial(servers.config(servers.ends), rng).unwrap();
    let (_, as_gateway) = responder::start(gateway, None).unwrap();
    let (message2, _) = as_gateway.handle(&message1, rng).unwrap();
    assert!(matches!(
        dialler.handle(&message2, rng),
        Err(HandshakeError::Misbehaved(Misbehaviour::GatewayProof(_)))
    ));
    // A server that is dialled as if it were a gateway.
    let (message1, as_server) = initiator::start(server, None, rng).unwrap();
    let dialled = peer::answer(servers.config(servers.ends)).unwrap();
    let (message2, _) = dialled.handle(&message1, rng).unwrap();
    assert!(matches!(
        as_server.handle(&message2, rng),
        Err(HandshakeError::Misbehaved(Misbehaviour::GatewayProof(_)))
    ));
    // Who dials is not even read at the other's port.
    assert!(Preamble::decode(&message0).is_err());
    let gateway = Preamble::Id(gateway_id).encode().unwrap();
    assert!(PeerPreamble::decode(&gateway).is_err());
}
