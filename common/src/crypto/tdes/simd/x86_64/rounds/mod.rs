//! Rounds as instructions: what a compiler makes of the circuits takes two fifths more, since it orders the gates so that
//! their values do not fit into the registers.
//!
//! The instructions are those of one round without a branch. They read the masks and the other half, and change the half,
//! all at fixed places; no address depends on a value.

mod avx2;
mod sse2;
mod u64;

use std::arch::asm;

use super::registers::{Avx2, Scalar, Sse2};
use crate::crypto::tdes::schedule::{RoundKey, RoundMasks, inversions};
use crate::crypto::tdes::word::Word;

impl Word for Avx2 {
    const INVERSIONS: [RoundKey; 2] = inversions(avx2::INVERTED);

    #[inline(always)]
    fn fill(masks: &mut RoundMasks, key: RoundKey) {
        // SAFETY: as for `round`.
        unsafe {
            asm!(
                "vmovq xmm0, {key}",
                "vpbroadcastq ymm0, xmm0",
                "vpshufd ymm1, ymm0, 0x55",
                "vpshufd ymm0, ymm0, 0",
                "vpsllvd ymm2, ymm0, [{shifts}]",
                "vpsrad ymm2, ymm2, 31",
                "vmovdqa [{masks}], ymm2",
                "vpsllvd ymm2, ymm0, [{shifts} + 32]",
                "vpsrad ymm2, ymm2, 31",
                "vmovdqa [{masks} + 32], ymm2",
                "vpsllvd ymm2, ymm0, [{shifts} + 64]",
                "vpsrad ymm2, ymm2, 31",
                "vmovdqa [{masks} + 64], ymm2",
                "vpsllvd ymm2, ymm1, [{shifts}]",
                "vpsrad ymm2, ymm2, 31",
                "vmovdqa [{masks} + 96], ymm2",
                "vpsllvd ymm2, ymm1, [{shifts} + 32]",
                "vpsrad ymm2, ymm2, 31",
                "vmovdqa [{masks} + 128], ymm2",
                "vpsllvd ymm2, ymm1, [{shifts} + 64]",
                "vpsrad ymm2, ymm2, 31",
                "vmovdqa [{masks} + 160], ymm2",
                key = in(reg) key,
                masks = in(reg) &raw mut *masks,
                shifts = in(reg) &raw const SHIFTS,
                out("ymm0") _, out("ymm1") _, out("ymm2") _,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(never)]
    fn round(half: &mut [Self; 32], other: &[Self; 32], masks: &mut RoundMasks) {
        // SAFETY: only in this register's own kernel, which the processor can run (the rule of `simd`). The instructions
        // read the masks and the other half and write to the half, which are as long and as aligned as they need.
        unsafe {
            asm!(
                avx2::round!(),
                "vzeroupper",
                half = in(reg) half.as_mut_ptr(),
                other = in(reg) other.as_ptr(),
                masks = in(reg) &raw mut *masks,
                out("ymm0") _, out("ymm1") _, out("ymm2") _, out("ymm3") _,
                out("ymm4") _, out("ymm5") _, out("ymm6") _, out("ymm7") _,
                out("ymm8") _, out("ymm9") _, out("ymm10") _, out("ymm11") _,
                out("ymm12") _, out("ymm13") _, out("ymm14") _, out("ymm15") _,
                options(nostack, preserves_flags),
            );
        }
    }
}

impl Word for Sse2 {
    const INVERSIONS: [RoundKey; 2] = inversions(sse2::INVERTED);

    #[inline(always)]
    fn fill(masks: &mut RoundMasks, key: RoundKey) {
        // SAFETY: as for `round`.
        unsafe {
            asm!(
                "movq {high}, {key}",
                "pshufd {low}, {high}, 0",
                "pshufd {high}, {high}, 0x55",
                "movdqa {mask}, [{bits} + 0]",
                "pand {mask}, {low}",
                "pcmpeqd {mask}, [{bits} + 0]",
                "movdqa [{masks} + 0], {mask}",
                "movdqa {mask}, [{bits} + 16]",
                "pand {mask}, {low}",
                "pcmpeqd {mask}, [{bits} + 16]",
                "movdqa [{masks} + 16], {mask}",
                "movdqa {mask}, [{bits} + 32]",
                "pand {mask}, {low}",
                "pcmpeqd {mask}, [{bits} + 32]",
                "movdqa [{masks} + 32], {mask}",
                "movdqa {mask}, [{bits} + 48]",
                "pand {mask}, {low}",
                "pcmpeqd {mask}, [{bits} + 48]",
                "movdqa [{masks} + 48], {mask}",
                "movdqa {mask}, [{bits} + 64]",
                "pand {mask}, {low}",
                "pcmpeqd {mask}, [{bits} + 64]",
                "movdqa [{masks} + 64], {mask}",
                "movdqa {mask}, [{bits} + 80]",
                "pand {mask}, {low}",
                "pcmpeqd {mask}, [{bits} + 80]",
                "movdqa [{masks} + 80], {mask}",
                "movdqa {mask}, [{bits} + 0]",
                "pand {mask}, {high}",
                "pcmpeqd {mask}, [{bits} + 0]",
                "movdqa [{masks} + 96], {mask}",
                "movdqa {mask}, [{bits} + 16]",
                "pand {mask}, {high}",
                "pcmpeqd {mask}, [{bits} + 16]",
                "movdqa [{masks} + 112], {mask}",
                "movdqa {mask}, [{bits} + 32]",
                "pand {mask}, {high}",
                "pcmpeqd {mask}, [{bits} + 32]",
                "movdqa [{masks} + 128], {mask}",
                "movdqa {mask}, [{bits} + 48]",
                "pand {mask}, {high}",
                "pcmpeqd {mask}, [{bits} + 48]",
                "movdqa [{masks} + 144], {mask}",
                "movdqa {mask}, [{bits} + 64]",
                "pand {mask}, {high}",
                "pcmpeqd {mask}, [{bits} + 64]",
                "movdqa [{masks} + 160], {mask}",
                "movdqa {mask}, [{bits} + 80]",
                "pand {mask}, {high}",
                "pcmpeqd {mask}, [{bits} + 80]",
                "movdqa [{masks} + 176], {mask}",
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

    #[inline(never)]
    fn round(half: &mut [Self; 32], other: &[Self; 32], masks: &mut RoundMasks) {
        // SAFETY: as for `Avx2`.
        unsafe {
            asm!(
                sse2::round!(),
                half = in(reg) half.as_mut_ptr(),
                other = in(reg) other.as_ptr(),
                masks = in(reg) &raw mut *masks,
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                out("xmm4") _, out("xmm5") _, out("xmm6") _, out("xmm7") _,
                out("xmm8") _, out("xmm9") _, out("xmm10") _, out("xmm11") _,
                out("xmm12") _, out("xmm13") _, out("xmm14") _, out("xmm15") _,
                options(nostack, preserves_flags),
            );
        }
    }
}

impl Word for Scalar {
    const INVERSIONS: [RoundKey; 2] = inversions(u64::INVERTED);

    /// A byte for each bit: eight at a time by multiplication, so that byte `i` of a word holds bit `i` alone at first.
    #[inline(always)]
    fn fill(masks: &mut RoundMasks, key: RoundKey) {
        let eight = |number: usize| {
            let bits = key >> (number / 3 * 32 + number % 3 * 8) & 0xFF;
            let apart = bits.wrapping_mul(0x0101_0101_0101_0101) & 0x8040_2010_0804_0201;
            let highest = apart.wrapping_add(0x7F7F_7F7F_7F7F_7F7F) & 0x8080_8080_8080_8080;
            highest | (highest - (highest >> 7))
        };
        masks.set_bytes([eight(0), eight(1), eight(2), eight(3), eight(4), eight(5)]);
    }

    #[inline(never)]
    fn round(half: &mut [Self; 32], other: &[Self; 32], masks: &mut RoundMasks) {
        // SAFETY: as for `Avx2`, on any processor of this kind. `rbx` and `rbp`, which a compiler does not lend, are kept behind
        // the masks, which are of bytes here, and are restored.
        unsafe {
            asm!(
                u64::round!(),
                in("rdi") half.as_mut_ptr(),
                in("rsi") other.as_ptr(),
                in("r15") &raw mut *masks,
                out("rax") _, out("rcx") _, out("rdx") _,
                out("r8") _, out("r9") _, out("r10") _, out("r11") _,
                out("r12") _, out("r13") _, out("r14") _,
                options(nostack),
            );
        }
    }
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
