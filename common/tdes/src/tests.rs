//! The circuits against the S-boxes, the kernel against the vectors of NIST, the choice of a
//! backend.

use data_encoding::HEXLOWER;

use super::*;
use crate::circuits::{three, two};
use crate::kernel::add_batches;
use crate::schedule::Schedule;
use crate::word::{Circuits, Register, Tables};

/// Gates of three inputs on one word: the circuits that AVX-512 runs, on every processor.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Modelled(u64);

impl Tables for Modelled {
    fn lut<const TABLE: i32>(Self(a): Self, Self(b): Self, Self(c): Self) -> Self {
        let gate = |i: u32| 4 * (a >> i & 1) + 2 * (b >> i & 1) + (c >> i & 1);
        Self((0..64).fold(0, |out, i| out | (TABLE as u64 >> gate(i) & 1) << i))
    }
}

impl Register for Modelled {
    const WORDS: usize = 1;

    fn xor(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    fn left(self, places: i32) -> Self {
        Self(self.0 << places)
    }

    fn right(self, places: i32) -> Self {
        Self(self.0 >> places)
    }

    fn spread(word: u32) -> Self {
        Self(u64::spread(word))
    }

    fn from_words(words: &[u64; 8]) -> Self {
        Self(words[0])
    }

    fn add(self, data: &mut [u8]) {
        self.0.add(data);
    }
}

impl Circuits for Modelled {
    fn substitute<const BOX: usize>(inputs: [Self; 6]) -> [Self; 4] {
        three::substitute::<Self, BOX>(inputs)
    }
}

/// The six inputs of an S-box for all 64 values at once.
const INPUTS: [u64; 6] = [
    0xFFFF_FFFF_0000_0000,
    0xFFFF_0000_FFFF_0000,
    0xFF00_FF00_FF00_FF00,
    0xF0F0_F0F0_F0F0_F0F0,
    0xCCCC_CCCC_CCCC_CCCC,
    0xAAAA_AAAA_AAAA_AAAA,
];

#[test]
fn every_circuit_is_its_s_box() {
    check_circuits::<0>();
    check_circuits::<1>();
    check_circuits::<2>();
    check_circuits::<3>();
    check_circuits::<4>();
    check_circuits::<5>();
    check_circuits::<6>();
    check_circuits::<7>();
}

fn check_circuits<const BOX: usize>() {
    let of_two = two::substitute::<u64, BOX>(INPUTS);
    let of_three = three::substitute::<Modelled, BOX>(INPUTS.map(Modelled)).map(|word| word.0);
    for (outputs, gates) in [(of_two, "two"), (of_three, "three")] {
        for input in 0..64 {
            let row = input >> 4 & 2 | input & 1;
            let expected = sboxes::SBOXES[BOX][row][input >> 1 & 15];
            let found = outputs
                .iter()
                .fold(0, |found, output| found << 1 | (output >> input & 1) as u8);
            assert_eq!(
                found ^ wiring::INVERTED[BOX],
                expected,
                "S{} of {input}, by gates of {gates} inputs",
                BOX + 1
            );
        }
    }
}

const FILES: [(&str, &str); 8] = [
    ("TECBMMT1", include_str!("../tests/vectors/TECBMMT1.rsp")),
    ("TECBMMT2", include_str!("../tests/vectors/TECBMMT2.rsp")),
    ("TECBMMT3", include_str!("../tests/vectors/TECBMMT3.rsp")),
    (
        "TECBinvperm",
        include_str!("../tests/vectors/TECBinvperm.rsp"),
    ),
    (
        "TECBpermop",
        include_str!("../tests/vectors/TECBpermop.rsp"),
    ),
    (
        "TECBsubtab",
        include_str!("../tests/vectors/TECBsubtab.rsp"),
    ),
    (
        "TECBvarkey",
        include_str!("../tests/vectors/TECBvarkey.rsp"),
    ),
    (
        "TECBvartext",
        include_str!("../tests/vectors/TECBvartext.rsp"),
    ),
];

/// Every NIST vector of TDES in ECB mode, each block encrypted and decrypted, and encrypted by
/// every kernel as a counter.
#[test]
fn nist_tdes_vectors() {
    let mut blocks = 0;
    for (name, file) in FILES {
        let mut key = Vec::new();
        let mut plaintext = Vec::new();
        let mut ciphertext = Vec::new();
        for line in file.lines().chain([""]) {
            if let Some((field, value)) = line.trim().split_once(" = ") {
                let value = || HEXLOWER.decode(value.as_bytes()).unwrap();
                match field {
                    "KEYs" => key = value().repeat(3),
                    "KEY1" => key = value(),
                    "KEY2" | "KEY3" => key.extend(value()),
                    "PLAINTEXT" => plaintext = value(),
                    "CIPHERTEXT" => ciphertext = value(),
                    _ => {}
                }
            } else if !plaintext.is_empty() && !ciphertext.is_empty() {
                let key = key.as_slice().try_into().unwrap();
                let cipher = Tdes::new(key);
                let schedule = Schedule::new(key);
                for (p, c) in plaintext
                    .chunks(BLOCK_LEN)
                    .zip(ciphertext.chunks(BLOCK_LEN))
                {
                    let mut block: [u8; BLOCK_LEN] = p.try_into().unwrap();
                    cipher.encrypt(&mut block);
                    assert_eq!(block, *c, "{name}");
                    cipher.decrypt(&mut block);
                    assert_eq!(block, *p, "{name}");
                    for (kernel, found) in by_kernels(&schedule, u64::from_be_bytes(block)) {
                        assert_eq!(found, *c, "{name}, by {kernel}");
                    }
                    blocks += 1;
                }
                plaintext.clear();
                ciphertext.clear();
            }
        }
    }
    assert!(blocks > 500, "only {blocks} blocks were checked");
}

/// The encipherment of `counter` by every kernel, and by the model of that of AVX-512.
fn by_kernels(schedule: &Schedule, counter: u64) -> Vec<(&'static str, [u8; BLOCK_LEN])> {
    let block = |batch: &[u8]| {
        let blocks = batch.as_chunks().0;
        blocks[counter as usize % blocks.len()]
    };
    let mut found = Vec::new();
    for backend in Backend::available(Features::detected()) {
        assert!(backend.batch_len().is_multiple_of(backend.least_len()));
        for len in [backend.batch_len(), backend.least_len()] {
            let blocks = (len / BLOCK_LEN) as u64;
            let mut batch = vec![0; len];
            backend.add_batches(schedule, counter / blocks * blocks, &mut batch);
            found.push((backend.name(), block(&batch)));
        }
    }
    let mut batch = [0; 64 * BLOCK_LEN];
    add_batches::<Modelled>(schedule, counter / 64 * 64, &mut batch);
    found.push(("the model of AVX-512", block(&batch)));
    let mut batch = [0; 64 * BLOCK_LEN];
    add_batches::<u64>(schedule, counter / 64 * 64, &mut batch);
    found.push(("the portable kernel", block(&batch)));
    found
}

#[test]
fn a_backend_is_offered_only_where_all_that_it_needs_is_there() {
    let names = |features| -> Vec<_> {
        Backend::available(features)
            .map(|backend| backend.name())
            .collect()
    };
    assert_eq!(names(Features::NONE), ["u64"]);
    let detected = Features::detected();
    let all = names(detected);
    assert_eq!(Backend::fastest().name(), all[0]);
    for (feature, lost) in [
        (Feature::Avx512f, &["avx512", "avx512vl"][..]),
        (Feature::Avx512vl, &["avx512vl"]),
        (Feature::Avx2, &["avx512vl", "avx2"]),
        (Feature::Sse2, &["sse2"]),
        (Feature::Neon, &["neon"]),
    ] {
        let mut expected = all.clone();
        expected.retain(|name| !lost.contains(name));
        assert_eq!(names(detected.without(feature)), expected, "{feature:?}");
    }
}

#[cfg(all(feature = "simd", target_arch = "x86_64"))]
#[test]
fn what_every_processor_of_this_kind_has_is_found() {
    assert!(Features::detected().has(Feature::Sse2));
}
