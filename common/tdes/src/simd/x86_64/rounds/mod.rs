//! Rounds as instructions: what a compiler makes of the circuits takes two fifths more, since it
//! orders the gates so that their values do not fit into the registers.
//!
//! The instructions are those of one round, which goes through a pass; nothing but the number of
//! rounds decides a jump. They read the masks and the other half, and change the half, all at fixed
//! places; no address depends on a value.

mod avx2;
mod sse2;
mod u64;

use std::arch::asm;

use super::registers::{Avx2, Scalar, Sse2};
use crate::schedule::{RoundKey, RoundMasks, inversions};
use crate::wiring::{ROUND_KEY_BITS, ROUNDS};
use crate::word::Word;

/// The rounds of a pass on wide registers, each of which `$rounds` writes; `$end` comes after them.
macro_rules! pass {
    ($rounds:ident $(, $end:literal)?) => {
        #[inline(never)]
        fn pass(
            left: &mut [Self; 32],
            right: &mut [Self; 32],
            masks: &mut [RoundMasks; ROUNDS],
        ) {
            // SAFETY: only in this register's own kernel, which the processor can run (the rule of
            // `simd`). The instructions read the masks and change the halves, which are as long and
            // as aligned as they need.
            unsafe {
                asm!(
                    "2:",
                    $rounds::round!(),
                    "xchg {half}, {other}",
                    "add {masks}, {step}",
                    "dec {count:e}",
                    "jnz 2b",
                    $($end,)?
                    half = inout(reg) left.as_mut_ptr() => _,
                    other = inout(reg) right.as_mut_ptr() => _,
                    masks = inout(reg) masks.as_mut_ptr() => _,
                    count = inout(reg) ROUNDS => _,
                    step = const size_of::<RoundMasks>(),
                    out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                    out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                    out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                    out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                    options(nostack),
                );
            }
        }
    };
}

/// The masks at `$to` of eight bits of `$half`: each is shifted to the top of its word, and spread
/// over it.
macro_rules! avx2_masks {
    ($half:literal, $shifts:literal, $to:literal) => {
        concat!(
            "vpsllvd ymm2, ",
            $half,
            ", [{shifts} + ",
            $shifts,
            "]\nvpsrad ymm2, ymm2, 31\nvmovdqa [{masks} + ",
            $to,
            "], ymm2"
        )
    };
}

/// The masks at `$to` of four bits of `$half`: all but one bit of each word is cleared, and what is
/// left compared with it.
macro_rules! sse2_masks {
    ($half:literal, $bits:literal, $to:literal) => {
        concat!(
            "movdqa {mask}, [{bits} + ",
            $bits,
            "]\npand {mask}, {",
            $half,
            "}\npcmpeqd {mask}, [{bits} + ",
            $bits,
            "]\nmovdqa [{masks} + ",
            $to,
            "], {mask}"
        )
    };
}

impl Word for Avx2 {
    type Masks = RoundMasks;

    const INVERSIONS: [RoundKey; 2] = inversions(avx2::INVERTED);

    #[inline(always)]
    fn fill(masks: &mut RoundMasks, key: RoundKey) {
        // SAFETY: as for `pass`.
        unsafe {
            asm!(
                "vmovq xmm0, {key}",
                "vpbroadcastq ymm0, xmm0",
                "vpshufd ymm1, ymm0, 0x55",
                "vpshufd ymm0, ymm0, 0",
                avx2_masks!("ymm0", 0, 0),
                avx2_masks!("ymm0", 32, 32),
                avx2_masks!("ymm0", 64, 64),
                avx2_masks!("ymm1", 0, 96),
                avx2_masks!("ymm1", 32, 128),
                avx2_masks!("ymm1", 64, 160),
                key = in(reg) key,
                masks = in(reg) &raw mut *masks,
                shifts = in(reg) &raw const SHIFTS,
                out("ymm0") _, out("ymm1") _, out("ymm2") _,
                options(nostack, preserves_flags),
            );
        }
    }

    pass!(avx2, "vzeroupper");
}

impl Word for Sse2 {
    type Masks = RoundMasks;

    const INVERSIONS: [RoundKey; 2] = inversions(sse2::INVERTED);

    #[inline(always)]
    fn fill(masks: &mut RoundMasks, key: RoundKey) {
        // SAFETY: as for `pass`.
        unsafe {
            asm!(
                "movq {high}, {key}",
                "pshufd {low}, {high}, 0",
                "pshufd {high}, {high}, 0x55",
                sse2_masks!("low", 0, 0),
                sse2_masks!("low", 16, 16),
                sse2_masks!("low", 32, 32),
                sse2_masks!("low", 48, 48),
                sse2_masks!("low", 64, 64),
                sse2_masks!("low", 80, 80),
                sse2_masks!("high", 0, 96),
                sse2_masks!("high", 16, 112),
                sse2_masks!("high", 32, 128),
                sse2_masks!("high", 48, 144),
                sse2_masks!("high", 64, 160),
                sse2_masks!("high", 80, 176),
                key = in(reg) key,
                masks = in(reg) &raw mut *masks,
                bits = in(reg) &raw const WORD_BITS,
                low = out(xmm_reg) _,
                high = out(xmm_reg) _,
                mask = out(xmm_reg) _,
                options(nostack, preserves_flags),
            );
        }
    }

    pass!(sse2);
}

impl Word for Scalar {
    type Masks = ByteMasks;

    const INVERSIONS: [RoundKey; 2] = inversions(u64::INVERTED);

    /// Eight bits at a time: multiplied so that each is the highest of its byte, the first one's
    /// byte the last, then shifted down and multiplied again.
    #[inline(always)]
    fn fill(masks: &mut ByteMasks, key: RoundKey) {
        for (number, bytes) in masks.bytes.iter_mut().enumerate() {
            let bits = key >> (number / 3 * 32 + number % 3 * 8) & 0xFF;
            let lowest = bits.wrapping_mul(0x8040_2010_0804_0201) >> 7 & 0x0101_0101_0101_0101;
            *bytes = lowest * 0xFF;
        }
    }

    #[inline(never)]
    fn pass(left: &mut [Self; 32], right: &mut [Self; 32], masks: &mut [ByteMasks; ROUNDS]) {
        // SAFETY: as for the wide registers, on any processor of this kind. `rbx` and `rbp`, which
        // a compiler does not lend, are restored. No secret is put on the stack: the slots are
        // behind the masks, and are wiped with them.
        unsafe {
            asm!(
                "push rbx",
                "push rbp",
                "push {rounds}",
                "2:",
                u64::round!(),
                "xchg rdi, rsi",
                "add r15, {step}",
                "dec qword ptr [rsp]",
                "jnz 2b",
                "pop rax",
                "pop rbp",
                "pop rbx",
                rounds = const ROUNDS,
                step = const size_of::<ByteMasks>(),
                inout("rdi") left.as_mut_ptr() => _,
                inout("rsi") right.as_mut_ptr() => _,
                inout("r15") masks.as_mut_ptr() => _,
                out("rax") _, out("rcx") _, out("rdx") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                out("r12") _, out("r13") _, out("r14") _,
            );
        }
    }
}

/// A round key as a round on general registers reads it: a byte for each bit, in words of eight
/// that begin with the last.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct ByteMasks {
    bytes: [u64; ROUND_KEY_BITS / 8],
    /// What the round has no register for.
    slots: [u64; u64::SLOTS],
}

/// Read by whole registers.
#[repr(C, align(64))]
struct Aligned<T>(T);

/// The shifts that make each of 24 bits the highest of its word.
static SHIFTS: Aligned<[u32; 24]> = Aligned({
    let mut shifts = [0; 24];
    let mut bit = 0;
    while bit < 24 {
        shifts[bit] = 31 - bit as u32;
        bit += 1;
    }
    shifts
});

/// Each of 24 bits in its word.
static WORD_BITS: Aligned<[u32; 24]> = Aligned({
    let mut bits = [0; 24];
    let mut bit = 0;
    while bit < 24 {
        bits[bit] = 1 << bit;
        bit += 1;
    }
    bits
});
