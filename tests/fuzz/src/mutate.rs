//! Inputs made from others, where no fuzzer watches what they reach.

use rand::RngExt as _;
use rand_chacha::ChaCha12Rng;

/// No input grows longer, in bytes.
const LONGEST: usize = 4096;
/// Numbers that stand at an edge of something.
const EDGES: [u64; 10] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    u64::MAX,
];

/// One of `seeds`, changed in one to six places.
pub fn mutated(seeds: &[Vec<u8>], rng: &mut ChaCha12Rng) -> Vec<u8> {
    let mut input = any(seeds, rng).clone();
    for _ in 0..rng.random_range(1..=6) {
        let other = any(seeds, rng);
        mutate(&mut input, other, rng);
        input.truncate(LONGEST);
    }
    input
}

fn any<'a>(seeds: &'a [Vec<u8>], rng: &mut ChaCha12Rng) -> &'a Vec<u8> {
    &seeds[rng.random_range(0..seeds.len())]
}

fn mutate(input: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha12Rng) {
    let at = rng.random_range(0..=input.len());
    let some = rng.random_range(1..=16).min(input.len() - at);
    match rng.random_range(0..9) {
        0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
        1 if at < input.len() => input[at] = rng.random(),
        2 => input.insert(at, rng.random()),
        3 => drop(input.drain(at..at + some)),
        4 => {
            let copy = input[at..at + some].to_vec();
            let to = rng.random_range(0..=input.len());
            input.splice(to..to, copy);
        }
        // A number at an edge, or beside it, of any width and either order of bytes.
        5 => {
            let edge = EDGES[rng.random_range(0..EDGES.len())];
            let number = edge.wrapping_add(rng.random_range(0..=2)).wrapping_sub(1);
            let width = [1, 2, 4, 8][rng.random_range(0..4)];
            let mut bytes = number.to_le_bytes()[..width].to_vec();
            if rng.random() {
                bytes.reverse();
            }
            let width = width.min(input.len() - at);
            input[at..at + width].copy_from_slice(&bytes[..width]);
        }
        6 => input.truncate(at),
        7 => input.extend(std::iter::repeat_n(rng.random::<u8>(), some + 1)),
        _ => {
            let from = rng.random_range(0..=other.len());
            input.truncate(at);
            input.extend_from_slice(&other[from..]);
        }
    }
}
