//! Both roles against a peer without keys: whatever it sends at whichever point, it gets no
//! session.

use crate::{parties, rng};
use portcullis_common::handshake::{initiator, responder};

pub(crate) fn run(input: &[u8]) {
    // The selector stands last.
    let Some((&selector, input)) = input.split_last() else {
        return;
    };
    let (what, frame) = (selector, input);
    let (server, gateway) = parties(what & 1 == 1);
    let mut rng = rng();
    let Ok((message1, server)) = initiator::start(server, None, &mut rng) else {
        unreachable!("the configuration is sound");
    };
    let Ok((_, gateway)) = responder::start(gateway, None) else {
        unreachable!("the configuration is sound");
    };
    match (what >> 1) % 4 {
        0 => {
            let _ = gateway.handle(frame, &mut rng);
        }
        1 => {
            // Default mode authenticates nobody: there a stranger may get this far, and no further.
            let _ = server.handle(frame, &mut rng);
        }
        2 => {
            if let Ok((_, gateway)) = gateway.handle(&message1, &mut rng) {
                assert!(gateway.handle(frame).is_err());
            }
        }
        _ => {
            let Ok((message2, _)) = gateway.handle(&message1, &mut rng) else {
                unreachable!("message 1 is sound");
            };
            let Ok((_, server)) = server.handle(&message2, &mut rng) else {
                unreachable!("message 2 is sound");
            };
            assert!(server.handle(frame).is_err());
        }
    }
}
