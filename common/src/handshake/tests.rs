//! Whole handshakes, honest and attacked.

use super::*;
use crate::id::KeyKind;
use crate::secret::GatewayKey;

mod attacks;
mod honest;
mod peers;
mod rules;
mod wycheproof;

/// Two sides that fit together; a test changes what it is about.
struct Pair {
    server: InitiatorConfig,
    gateway: ResponderConfig,
    preamble: Option<Preamble>,
}

impl Pair {
    /// Secure mode, with a master key of `kind` that both hold.
    fn secure(kind: KeyKind, suite: Suite) -> Self {
        let rng = &mut rand::rng();
        let gateway_id = GatewayId::random(rng);
        let held = held(kind);
        Self {
            server: InitiatorConfig {
                server_id: ServerId::random(rng),
                suites: vec![suite],
                gateway_id,
                keys: vec![held.clone()],
                pairing: None,
            },
            gateway: ResponderConfig {
                suites: Suite::ALL.to_vec(),
                identity: Identity::Keyed {
                    gateway_id,
                    keys: vec![held],
                },
            },
            preamble: None,
        }
    }

    /// Default mode, delivering a master key of `kind`.
    fn pairing(kind: KeyKind, suite: Suite) -> Self {
        let mut pair = Self::secure(kind, suite);
        pair.server.pairing = pair.server.keys.pop();
        pair.gateway.identity = Identity::Pairing;
        pair
    }

    /// Every mode, kind of key and suite, dialled in either direction.
    fn every_sort() -> impl Iterator<Item = Self> {
        [KeyKind::Tdes, KeyKind::Aes256]
            .into_iter()
            .flat_map(|kind| {
                Suite::ALL.into_iter().flat_map(move |suite| {
                    let mut named = Self::pairing(kind, suite);
                    named.preamble = Some(Preamble::Name("lab-7 / Zürich".to_owned()));
                    let mut by_id = Self::secure(kind, suite);
                    by_id.preamble = Some(Preamble::Id(by_id.server.gateway_id));
                    [
                        Self::secure(kind, suite),
                        Self::pairing(kind, suite),
                        named,
                        by_id,
                    ]
                })
            })
    }

    /// Every mode, kind of key, suite and form of message 0 at least once: for tests that run
    /// thousands of handshakes.
    fn one_of_each_shape() -> [Self; 4] {
        let suite = Suite::TdesCtrHmacSha256;
        let mut named = Self::pairing(KeyKind::Aes256, Suite::Aes256Gcm);
        named.preamble = Some(Preamble::Name("lab-7".to_owned()));
        let mut by_id = Self::secure(KeyKind::Tdes, suite);
        by_id.preamble = Some(Preamble::Id(by_id.server.gateway_id));
        [
            by_id,
            named,
            Self::secure(KeyKind::Aes256, suite),
            Self::pairing(KeyKind::Tdes, suite),
        ]
    }

    fn gateway_keys(&mut self) -> &mut Vec<HeldKey> {
        match &mut self.gateway.identity {
            Identity::Keyed { keys, .. } => keys,
            Identity::Pairing | Identity::None => panic!("this gateway holds no key"),
        }
    }

    /// Runs the handshake with `on_wire` between the two sides, which is given each message's
    /// number and frame.
    fn run_with(
        &self,
        mut on_wire: impl FnMut(u8, Vec<u8>) -> Vec<u8>,
    ) -> Result<(Established, Established), Failure> {
        let rng = &mut rand::rng();
        let (message0, gateway) = responder::start(self.gateway.clone(), self.preamble.as_ref())
            .map_err(Failure::Gateway)?;
        let preamble = message0
            .map(|frame| Preamble::decode(&on_wire(0, frame)))
            .transpose()
            .map_err(|error| Failure::Server(error.into()))?;
        let (message1, server) = initiator::start(self.server.clone(), preamble.as_ref(), rng)
            .map_err(Failure::Server)?;
        let (message2, gateway) = gateway
            .handle(&on_wire(1, message1), rng)
            .map_err(Failure::Gateway)?;
        let (message3, server) = server
            .handle(&on_wire(2, message2), rng)
            .map_err(Failure::Server)?;
        let gateway = gateway
            .handle(&on_wire(3, message3))
            .map_err(Failure::Gateway)?;
        let (message4, gateway) = gateway.confirm();
        let server = server
            .handle(&on_wire(4, message4))
            .map_err(Failure::Server)?;
        Ok((server, gateway))
    }

    fn run(&self) -> Result<(Established, Established), Failure> {
        self.run_with(|_, frame| frame)
    }

    fn server_error(&self) -> HandshakeError {
        match self.run() {
            Err(Failure::Server(error)) => error,
            other => panic!("the server ought to have refused: {other:?}"),
        }
    }

    fn gateway_error(&self) -> HandshakeError {
        match self.run() {
            Err(Failure::Gateway(error)) => error,
            other => panic!("the gateway ought to have refused: {other:?}"),
        }
    }
}

/// The side that refused, and why.
#[derive(Debug)]
enum Failure {
    Server(HandshakeError),
    Gateway(HandshakeError),
}

fn held(kind: KeyKind) -> HeldKey {
    let rng = &mut rand::rng();
    HeldKey {
        id: KeyId::random(kind, rng),
        key: MasterKey::random(kind, rng),
    }
}

/// What goes over the wire, with the proof at the end of message `of` in the place of that of the
/// next one.
fn reflect_proof(of: u8) -> impl FnMut(u8, Vec<u8>) -> Vec<u8> {
    let mut proof = Vec::new();
    move |number, mut frame| {
        let at = frame.len().saturating_sub(32);
        if number == of {
            proof = frame[at..].to_vec();
        } else if number == of + 1 {
            frame[at..].copy_from_slice(&proof);
        }
        frame
    }
}

/// Both sides have the same session, under the same keys.
#[track_caller]
fn assert_agreed(one: &Established, other: &Established) {
    assert_eq!(one.info, other.info);
    let secrets = |side: &Established| {
        let keys = [&side.server_to_gateway, &side.gateway_to_server];
        keys.map(|key| key.expose().to_vec())
    };
    assert_eq!(secrets(one), secrets(other));
}
