//! Records by one without the keys: none is opened, of the first or of any that follows one that
//! was.

use crate::direction;
use portcullis_common::crypto::suites::Suite;
use portcullis_common::wire::HEADER_LEN;

pub(crate) fn run(input: &[u8]) {
    // The selector stands last.
    let Some((&selector, input)) = input.split_last() else {
        return;
    };
    let (aes, mut bytes) = (selector & 1 == 1, input);
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
}
