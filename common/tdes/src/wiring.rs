//! The permutations of DES, as FIPS 46-3 prints them (bits are numbered from 1, the most
//! significant first), and which outputs of the circuits are inverted.

/// The initial permutation. Its inverse is the final one.
#[rustfmt::skip]
pub(crate) const IP: [u8; 64] = [
    58, 50, 42, 34, 26, 18, 10, 2, 60, 52, 44, 36, 28, 20, 12, 4,
    62, 54, 46, 38, 30, 22, 14, 6, 64, 56, 48, 40, 32, 24, 16, 8,
    57, 49, 41, 33, 25, 17, 9, 1, 59, 51, 43, 35, 27, 19, 11, 3,
    61, 53, 45, 37, 29, 21, 13, 5, 63, 55, 47, 39, 31, 23, 15, 7,
];

/// P: which output of the S-boxes each bit of the round function is.
const P: [u8; 32] = [
    16, 7, 20, 21, 29, 12, 28, 17, 1, 15, 23, 26, 5, 18, 31, 10, 2, 8, 24, 14, 32, 27, 3, 9, 19,
    13, 30, 6, 22, 11, 4, 25,
];

#[rustfmt::skip]
const PC1: [u8; 56] = [
    57, 49, 41, 33, 25, 17, 9, 1, 58, 50, 42, 34, 26, 18, 10, 2, 59, 51, 43, 35, 27, 19, 11, 3, 60, 52, 44, 36,
    63, 55, 47, 39, 31, 23, 15, 7, 62, 54, 46, 38, 30, 22, 14, 6, 61, 53, 45, 37, 29, 21, 13, 5, 28, 20, 12, 4,
];

#[rustfmt::skip]
const PC2: [u8; 48] = [
    14, 17, 11, 24, 1, 5, 3, 28, 15, 6, 21, 10, 23, 19, 12, 4, 26, 8, 16, 7, 27, 20, 13, 2,
    41, 52, 31, 37, 47, 55, 30, 40, 51, 45, 33, 48, 44, 49, 39, 56, 34, 53, 46, 42, 50, 36, 29, 32,
];

/// By how much the halves of the key are rotated before each round.
const ROTATIONS: [u8; ROUNDS] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/// Rounds of DES.
pub(crate) const ROUNDS: usize = 16;
/// Key bits of a round, which are the inputs of the S-boxes.
pub(crate) const ROUND_KEY_BITS: usize = 48;

/// The outputs of each circuit that come out inverted: the S-box of zero, output 1 being the
/// highest of four bits.
pub(crate) const INVERTED: [u8; 8] = [14, 15, 10, 7, 2, 12, 4, 13];

/// Which bit of its half, from 0, is input `input` of S-box `number`, both from 0: the expansion E.
pub(crate) const fn expanded(number: usize, input: usize) -> usize {
    (4 * number + input + 31) % 32
}

/// Which bit of the other half, from 0, output `output` of S-box `number` is added to.
pub(crate) const fn permuted(number: usize, output: usize) -> usize {
    P_INVERSE[4 * number + output]
}

/// Which bit of the eight key bytes each bit of each round key is, from 0, the most significant
/// first.
pub(crate) const KEY_BITS: [[u8; ROUND_KEY_BITS]; ROUNDS] = key_bits();

const P_INVERSE: [usize; 32] = {
    let mut inverse = [0; 32];
    let mut bit = 0;
    while bit < 32 {
        inverse[P[bit] as usize - 1] = bit;
        bit += 1;
    }
    inverse
};

const fn key_bits() -> [[u8; ROUND_KEY_BITS]; ROUNDS] {
    let mut bits = [[0; ROUND_KEY_BITS]; ROUNDS];
    let (mut round, mut rotation) = (0, 0);
    while round < ROUNDS {
        rotation += ROTATIONS[round];
        let mut bit = 0;
        while bit < ROUND_KEY_BITS {
            let chosen = PC2[bit] - 1;
            let half = chosen / 28 * 28;
            bits[round][bit] = PC1[(half + (chosen - half + rotation) % 28) as usize] - 1;
            bit += 1;
        }
        round += 1;
    }
    bits
}
