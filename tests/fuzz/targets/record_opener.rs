#![no_main]
//! Records by one without the keys: none is opened, of the first or of any that follows one that was.

use libfuzzer_sys::fuzz_target;
use portcullis_common::crypto::suites::Suite;
use portcullis_common::wire::HEADER_LEN;
use portcullis_fuzz::direction;

fuzz_target!(|input: (bool, &[u8])| {
    let (aes, mut bytes) = input;
    let suite = if aes {
        Suite::Aes256Gcm
    } else {
        Suite::TdesCtrHmacSha256
    };
    let (_, mut opener) = direction(suite);
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() {
        let Ok(header) = opener.header(*header) else {
            break;
        };
        let Some((body, rest)) = rest.split_at_checked(header.body_len()) else {
            break;
        };
        if opener.open(header, &mut body.to_vec()).is_err() {
            // Dead for good.
            assert!(opener.header([0x20, 0, 17]).is_err());
            break;
        }
        bytes = rest;
    }
});
