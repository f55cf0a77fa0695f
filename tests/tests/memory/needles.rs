//! Searching for what should not be there, also where only a part of it is.

use std::collections::HashMap;

/// Bytes of a piece: none that is random in all its bits turns up by chance.
const PIECE: usize = 8;
/// A 3DES key was the same key before its parity was set.
const WITHOUT_PARITY: u64 = 0xFEFE_FEFE_FEFE_FEFE;

/// A secret to search for.
#[derive(Clone, Debug)]
pub(crate) struct Needle {
    what: String,
    bytes: Vec<u8>,
}

impl Needle {
    /// The bytes of a key or secret.
    pub(crate) fn bytes(what: impl Into<String>, bytes: &[u8]) -> Self {
        assert!(bytes.len() >= PIECE);
        Self {
            what: what.into(),
            bytes: bytes.to_vec(),
        }
    }

    /// A text.
    pub(crate) fn text(what: impl Into<String>, text: &str) -> Self {
        Self::bytes(what, text.as_bytes())
    }

    pub(crate) fn what(&self) -> &str {
        &self.what
    }
}

/// The needles of which a piece of 8 bytes, from a multiple of 8 on, is somewhere in `hay`; parity
/// bits do not count.
pub(crate) fn found(hay: &[u8], needles: &[Needle]) -> Vec<String> {
    let mut pieces: HashMap<u64, &Needle> = HashMap::new();
    // Most places of the hay are sorted out by two bytes.
    let mut begins = vec![false; 1 << 16];
    for needle in needles {
        for piece in needle.bytes.as_chunks::<PIECE>().0 {
            let piece = u64::from_le_bytes(*piece) & WITHOUT_PARITY;
            begins[usize::from(piece as u16)] = true;
            pieces.insert(piece, needle);
        }
    }
    let mut found: Vec<String> = hay
        .array_windows::<PIECE>()
        .filter_map(|window| {
            let window = u64::from_le_bytes(*window) & WITHOUT_PARITY;
            if !begins[usize::from(window as u16)] {
                return None;
            }
            pieces.get(&window).map(|needle| needle.what.clone())
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

#[test]
fn a_part_of_a_key_is_found_whatever_its_parity_and_place() {
    let key: [u8; 24] = rand::random();
    let needles = [Needle::bytes("a key", &key)];
    let mut hay = vec![0x55; 1000];
    assert_eq!(found(&hay, &needles), Vec::<String>::new());
    for (part, at) in [(0, 0), (8, 501), (16, 992)] {
        hay.fill(0x55);
        for (to, from) in hay[at..][..8].iter_mut().zip(&key[part..]) {
            *to = from ^ 1;
        }
        assert_eq!(found(&hay, &needles), ["a key"]);
        hay[at + 3] ^= 2;
        assert_eq!(found(&hay, &needles), Vec::<String>::new());
    }
}
