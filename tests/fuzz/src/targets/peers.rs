//! Both servers of a link against a peer without the key: whatever it sends at whichever point, it
//! gets no session.

use portcullis_common::handshake::{PeerPreamble, peer};

use crate::{rng, servers};

pub(crate) fn run(input: &[u8]) {
    // The selector stands last.
    let Some((&selector, frame)) = input.split_last() else {
        return;
    };
    let mut rng = rng();
    let Ok(([_, message1], dialler)) = peer::dial(servers(), &mut rng) else {
        unreachable!("the configuration is sound");
    };
    let Ok(dialled) = peer::answer(servers()) else {
        unreachable!("the configuration is sound");
    };
    match selector % 5 {
        0 => {
            if let Ok(preamble) = PeerPreamble::decode(frame) {
                assert_eq!(preamble.encode().as_deref(), Ok(frame));
                assert!(preamble.0.are_two());
            }
        }
        1 => {
            let _ = dialled.handle(frame, &mut rng);
        }
        2 => assert!(dialler.handle(frame, &mut rng).is_err()),
        3 => {
            let Ok((_, dialled)) = dialled.handle(&message1, &mut rng) else {
                unreachable!("message 1 is sound");
            };
            assert!(dialled.handle(frame).is_err());
        }
        _ => {
            let Ok((message2, _)) = dialled.handle(&message1, &mut rng) else {
                unreachable!("message 1 is sound");
            };
            let Ok((_, dialler)) = dialler.handle(&message2, &mut rng) else {
                unreachable!("message 2 is sound");
            };
            assert!(dialler.handle(frame).is_err());
        }
    }
}
