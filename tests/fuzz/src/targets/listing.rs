//! The objects of a listing, as a gateway sends them.

use portcullis_common::listing::Objects;

pub(crate) fn run(input: &[u8]) {
    let mut written = Vec::new();
    for listed in Objects::of(input).map_while(Result::ok) {
        listed.put(&mut written);
        // There is one way to write it.
        assert!(input.starts_with(&written), "it is read as another one");
    }
}
