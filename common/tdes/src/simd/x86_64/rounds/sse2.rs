//! A round of the kernel in 605 instructions.
//!
//! Generated, and not to be edited: `cargo run --release -p portcullis-tdes
//! --example sbox_assembly -- sse2 7`.

/// The inputs and the outputs of each S-box that are kept inverted, the first as the
/// highest bit.
pub(super) const INVERTED: [[u8; 8]; 2] = [[0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]];

macro_rules! round {
    () => {
        r"
pshufd xmm0, [{masks} + 144], 0xaa
pxor xmm0, [{other} + 400]
pshufd xmm1, [{masks} + 144], 0xff
pxor xmm1, [{other} + 416]
movdqa xmm2, xmm0
pxor xmm2, xmm1
pshufd xmm3, [{masks} + 160], 0x55
pxor xmm3, [{other} + 448]
pshufd xmm4, [{masks} + 160], 0x00
pxor xmm4, [{other} + 432]
movdqa xmm5, xmm3
por xmm5, xmm4
movdqa xmm6, xmm4
pandn xmm6, xmm1
pxor xmm2, xmm4
pshufd xmm7, [{masks} + 144], 0x55
pxor xmm7, [{other} + 384]
movdqa xmm8, xmm7
por xmm8, xmm6
pxor xmm6, xmm7
pshufd xmm9, [{masks} + 144], 0x00
pxor xmm9, [{other} + 368]
movdqa xmm10, xmm2
pand xmm10, xmm9
movdqa xmm11, xmm7
pandn xmm11, xmm10
movdqa xmm12, xmm0
pandn xmm12, xmm6
pxor xmm5, xmm10
pandn xmm10, xmm6
pxor xmm8, xmm10
pxor xmm11, xmm1
pxor xmm12, xmm9
movdqa xmm13, xmm0
pandn xmm13, xmm12
pandn xmm0, xmm11
pandn xmm8, xmm3
movdqa xmm11, xmm6
pandn xmm11, xmm12
pxor xmm8, xmm2
pxor xmm11, xmm0
pxor xmm0, xmm5
por xmm6, xmm0
pandn xmm13, xmm3
pxor xmm12, xmm8
movdqa xmm8, [{half} + 96]
pxor xmm8, xmm12
movdqa [{half} + 96], xmm8
pxor xmm10, xmm12
pandn xmm6, xmm1
pxor xmm10, xmm13
pandn xmm1, xmm10
pandn xmm0, xmm9
pxor xmm0, xmm12
pxor xmm2, xmm1
pxor xmm5, xmm2
pand xmm5, xmm3
pxor xmm11, xmm5
pandn xmm3, xmm0
por xmm3, xmm6
pandn xmm7, xmm11
pxor xmm7, xmm10
movdqa xmm1, [{half} + 496]
pxor xmm1, xmm7
movdqa [{half} + 496], xmm1
pxor xmm9, xmm3
pxor xmm7, xmm0
pxor xmm4, xmm7
pxor xmm9, xmm2
pxor xmm9, [{half} + 336]
movdqa [{half} + 336], xmm9
pxor xmm2, xmm4
pxor xmm2, [{half} + 176]
movdqa [{half} + 176], xmm2
pshufd xmm0, [{masks} + 112], 0xaa
pxor xmm0, [{other} + 304]
pshufd xmm1, [{masks} + 128], 0xaa
pxor xmm1, [{other} + 368]
movdqa xmm2, xmm0
pxor xmm2, xmm1
pshufd xmm3, [{masks} + 128], 0x00
pxor xmm3, [{other} + 336]
movdqa xmm4, xmm3
pxor xmm4, xmm2
movdqa xmm5, xmm1
por xmm5, xmm3
pshufd xmm6, [{masks} + 112], 0xff
pxor xmm6, [{other} + 320]
movdqa xmm7, xmm6
pxor xmm7, xmm5
pand xmm4, xmm0
pxor xmm7, xmm4
pshufd xmm8, [{masks} + 128], 0x55
pxor xmm8, [{other} + 352]
pxor xmm2, xmm8
por xmm1, xmm4
movdqa xmm4, xmm3
por xmm4, xmm7
pshufd xmm9, [{masks} + 128], 0xff
pxor xmm9, [{other} + 384]
movdqa xmm10, xmm1
pandn xmm10, xmm9
pand xmm0, xmm4
pxor xmm4, xmm2
movdqa xmm11, xmm8
pandn xmm11, xmm4
pxor xmm4, xmm9
movdqa xmm12, xmm10
pandn xmm12, xmm5
movdqa xmm5, xmm12
pxor xmm5, xmm4
pxor xmm11, xmm3
movdqa xmm13, xmm5
pandn xmm13, xmm11
pandn xmm13, xmm1
pandn xmm13, xmm6
pxor xmm11, xmm7
movdqa xmm7, xmm13
pxor xmm7, xmm8
pand xmm7, xmm5
pxor xmm13, xmm3
por xmm0, xmm7
pand xmm9, xmm0
movdqa xmm0, xmm10
pandn xmm0, xmm9
pxor xmm11, xmm9
movdqa xmm14, [{half} + 288]
pxor xmm14, xmm11
movdqa [{half} + 288], xmm14
pand xmm9, xmm6
pxor xmm4, xmm0
por xmm7, xmm4
pxor xmm3, xmm7
pxor xmm6, xmm3
pand xmm6, xmm8
pandn xmm2, xmm1
pxor xmm10, xmm6
pand xmm6, xmm12
pxor xmm4, xmm13
pxor xmm4, [{half} + 160]
movdqa [{half} + 160], xmm4
pandn xmm9, xmm10
pxor xmm5, xmm6
pxor xmm5, xmm9
pxor xmm5, [{half} + 48]
movdqa [{half} + 48], xmm5
pandn xmm9, xmm2
pxor xmm3, xmm11
pxor xmm3, xmm9
pxor xmm3, [{half} + 448]
movdqa [{half} + 448], xmm3
pshufd xmm0, [{masks} + 64], 0x00
pxor xmm0, [{other} + 176]
pshufd xmm1, [{masks} + 64], 0x55
pxor xmm1, [{other} + 192]
movdqa xmm2, xmm1
pandn xmm2, xmm0
pshufd xmm3, [{masks} + 48], 0xff
pxor xmm3, [{other} + 160]
movdqa xmm4, xmm3
pxor xmm4, xmm1
pshufd xmm5, [{masks} + 48], 0x55
pxor xmm5, [{other} + 128]
pshufd xmm6, [{masks} + 48], 0x00
pxor xmm6, [{other} + 112]
movdqa xmm7, xmm6
pandn xmm7, xmm5
movdqa xmm8, xmm2
pxor xmm8, xmm4
pshufd xmm9, [{masks} + 48], 0xaa
pxor xmm9, [{other} + 144]
pxor xmm4, xmm9
pandn xmm2, xmm9
movdqa xmm10, xmm5
pandn xmm10, xmm2
movdqa xmm11, xmm0
pxor xmm11, xmm4
pandn xmm4, xmm0
pxor xmm7, xmm11
movdqa xmm12, xmm1
pxor xmm12, xmm6
pxor xmm4, xmm8
pxor xmm11, xmm10
movdqa xmm13, xmm11
pandn xmm13, xmm1
pxor xmm5, xmm4
pand xmm2, xmm6
movdqa xmm14, xmm13
pandn xmm14, xmm3
pandn xmm13, xmm8
pxor xmm2, xmm5
por xmm8, xmm12
pandn xmm8, xmm2
pxor xmm5, xmm6
movdqa xmm15, xmm5
pandn xmm15, xmm12
por xmm9, xmm8
pxor xmm9, xmm5
pxor xmm9, xmm14
movdqa xmm8, [{half} + 240]
pxor xmm8, xmm9
movdqa [{half} + 240], xmm8
pandn xmm1, xmm9
pandn xmm4, xmm1
pxor xmm1, xmm2
pandn xmm2, xmm3
pxor xmm1, xmm10
pxor xmm10, xmm15
pxor xmm4, xmm2
pandn xmm0, xmm10
pand xmm15, xmm11
pxor xmm13, xmm0
pandn xmm2, xmm1
pandn xmm15, xmm4
pand xmm13, xmm6
pxor xmm2, xmm4
pxor xmm15, xmm7
pxor xmm15, [{half} + 464]
movdqa [{half} + 464], xmm15
pandn xmm6, xmm2
pxor xmm5, xmm13
pxor xmm5, [{half} + 80]
movdqa [{half} + 80], xmm5
pxor xmm6, xmm11
pxor xmm6, [{half} + 368]
movdqa [{half} + 368], xmm6
pshufd xmm0, [{masks} + 112], 0x00
pxor xmm0, [{other} + 304]
pshufd xmm1, [{masks} + 96], 0x00
pxor xmm1, [{other} + 240]
movdqa xmm2, xmm0
pxor xmm2, xmm1
pshufd xmm3, [{masks} + 112], 0x55
pxor xmm3, [{other} + 320]
movdqa xmm4, xmm3
pandn xmm4, xmm2
pshufd xmm5, [{masks} + 96], 0xaa
pxor xmm5, [{other} + 272]
por xmm4, xmm5
movdqa xmm6, xmm3
pxor xmm6, xmm4
pshufd xmm7, [{masks} + 96], 0x55
pxor xmm7, [{other} + 256]
movdqa xmm8, xmm1
pxor xmm8, xmm7
por xmm0, xmm6
pxor xmm0, xmm5
movdqa xmm9, xmm0
pand xmm9, xmm4
pxor xmm6, xmm2
pxor xmm9, xmm1
movdqa xmm10, xmm7
por xmm10, xmm0
movdqa xmm11, xmm8
pand xmm11, xmm0
movdqa xmm12, xmm3
pxor xmm12, xmm9
movdqa xmm13, xmm6
pandn xmm13, xmm9
pxor xmm5, xmm7
por xmm9, xmm11
pxor xmm1, xmm13
pxor xmm9, xmm7
pand xmm1, xmm3
movdqa xmm14, xmm12
pandn xmm14, xmm9
pxor xmm3, xmm5
pxor xmm11, xmm14
pand xmm0, xmm3
pshufd xmm14, [{masks} + 96], 0xff
pxor xmm14, [{other} + 288]
por xmm11, xmm14
pxor xmm10, xmm1
pxor xmm0, xmm6
pxor xmm11, xmm10
movdqa xmm1, xmm0
pxor xmm1, xmm11
movdqa xmm6, [{half} + 208]
pxor xmm6, xmm1
movdqa [{half} + 208], xmm6
pxor xmm12, xmm1
por xmm12, xmm5
pandn xmm9, xmm12
pxor xmm12, xmm4
pandn xmm12, xmm8
pxor xmm3, xmm12
pandn xmm9, xmm14
movdqa xmm1, xmm3
pandn xmm1, xmm14
pand xmm12, xmm3
pandn xmm3, xmm7
pxor xmm0, xmm9
movdqa xmm4, [{half} + 32]
pxor xmm4, xmm0
movdqa [{half} + 32], xmm4
pandn xmm7, xmm0
pxor xmm8, xmm1
por xmm2, xmm0
pxor xmm2, xmm7
pandn xmm3, xmm13
pandn xmm12, xmm2
pxor xmm8, xmm3
pxor xmm12, xmm8
pxor xmm8, xmm9
pxor xmm8, [{half} + 384]
movdqa [{half} + 384], xmm8
pxor xmm12, xmm11
pxor xmm12, [{half} + 112]
movdqa [{half} + 112], xmm12
pshufd xmm0, [{masks} + 64], 0xaa
pxor xmm0, [{other} + 176]
pshufd xmm1, [{masks} + 80], 0x00
pxor xmm1, [{other} + 208]
movdqa xmm2, xmm0
pand xmm2, xmm1
pshufd xmm3, [{masks} + 80], 0x55
pxor xmm3, [{other} + 224]
pxor xmm2, xmm3
pshufd xmm4, [{masks} + 80], 0xaa
pxor xmm4, [{other} + 240]
movdqa xmm5, xmm2
por xmm5, xmm4
pshufd xmm6, [{masks} + 64], 0xff
pxor xmm6, [{other} + 192]
pxor xmm2, xmm6
pxor xmm5, xmm1
movdqa xmm1, xmm5
pandn xmm1, xmm0
por xmm3, xmm5
pandn xmm1, xmm2
movdqa xmm7, xmm5
pxor xmm7, xmm1
pandn xmm7, xmm6
pxor xmm7, xmm4
pxor xmm5, xmm7
pxor xmm0, xmm5
pand xmm3, xmm0
movdqa xmm4, xmm7
por xmm4, xmm0
pand xmm3, xmm5
pand xmm5, xmm6
pxor xmm4, xmm2
por xmm5, xmm4
pxor xmm3, xmm4
pxor xmm7, xmm5
movdqa xmm2, xmm0
pxor xmm2, xmm3
pshufd xmm4, [{masks} + 80], 0xff
pxor xmm4, [{other} + 256]
pxor xmm2, xmm4
pand xmm3, xmm4
movdqa xmm5, xmm0
pand xmm5, xmm7
pandn xmm5, xmm1
pxor xmm0, xmm3
pxor xmm0, [{half} + 0]
movdqa [{half} + 0], xmm0
pxor xmm6, xmm5
pxor xmm3, xmm2
pxor xmm3, [{half} + 144]
movdqa [{half} + 144], xmm3
pxor xmm2, xmm6
movdqa xmm0, xmm2
pandn xmm0, xmm4
pxor xmm0, xmm7
movdqa xmm1, [{half} + 304]
pxor xmm1, xmm0
movdqa [{half} + 304], xmm1
pxor xmm2, xmm0
pxor xmm2, [{half} + 400]
movdqa [{half} + 400], xmm2
pshufd xmm0, [{masks} + 176], 0x00
pxor xmm0, [{other} + 464]
pshufd xmm1, [{masks} + 160], 0xff
pxor xmm1, [{other} + 448]
movdqa xmm2, xmm0
por xmm2, xmm1
pshufd xmm3, [{masks} + 160], 0xaa
pxor xmm3, [{other} + 432]
movdqa xmm4, xmm3
por xmm4, xmm2
pshufd xmm5, [{masks} + 176], 0x55
pxor xmm5, [{other} + 480]
movdqa xmm6, xmm5
pxor xmm6, xmm4
pshufd xmm7, [{masks} + 176], 0xaa
pxor xmm7, [{other} + 496]
movdqa xmm8, xmm7
pxor xmm8, xmm6
movdqa xmm9, xmm7
pandn xmm9, xmm1
pxor xmm2, xmm6
movdqa xmm10, xmm0
pxor xmm10, xmm3
pxor xmm1, xmm5
movdqa xmm11, xmm2
pandn xmm11, xmm10
pandn xmm11, xmm8
pxor xmm11, xmm9
pshufd xmm10, [{masks} + 176], 0xff
pxor xmm10, [{other} + 0]
movdqa xmm12, xmm10
pandn xmm12, xmm11
movdqa xmm13, xmm12
por xmm13, xmm9
pandn xmm5, xmm13
pxor xmm12, xmm3
por xmm3, xmm5
movdqa xmm13, xmm0
pxor xmm13, xmm3
por xmm7, xmm13
pxor xmm1, xmm7
pxor xmm4, xmm1
por xmm2, xmm1
pxor xmm0, xmm2
pxor xmm8, xmm0
movdqa xmm1, xmm8
por xmm1, xmm5
pxor xmm1, xmm4
movdqa xmm2, xmm1
pandn xmm2, xmm3
por xmm2, xmm10
pxor xmm11, xmm2
pxor xmm8, xmm12
movdqa xmm2, [{half} + 320]
pxor xmm2, xmm8
movdqa [{half} + 320], xmm2
pxor xmm12, xmm11
pandn xmm5, xmm12
por xmm10, xmm5
por xmm1, xmm5
pxor xmm8, xmm11
pxor xmm8, [{half} + 64]
movdqa [{half} + 64], xmm8
pand xmm1, xmm0
pxor xmm10, xmm4
movdqa xmm0, [{half} + 416]
pxor xmm0, xmm10
movdqa [{half} + 416], xmm0
pxor xmm6, xmm1
pxor xmm10, xmm11
por xmm6, xmm9
pxor xmm10, xmm6
pxor xmm10, [{half} + 224]
movdqa [{half} + 224], xmm10
pshufd xmm0, [{masks} + 32], 0xff
pxor xmm0, [{other} + 128]
pshufd xmm1, [{masks} + 32], 0xaa
pxor xmm1, [{other} + 112]
movdqa xmm2, xmm0
pxor xmm2, xmm1
pshufd xmm3, [{masks} + 16], 0xff
pxor xmm3, [{other} + 64]
movdqa xmm4, xmm3
pxor xmm4, xmm2
pshufd xmm5, [{masks} + 16], 0xaa
pxor xmm5, [{other} + 48]
movdqa xmm6, xmm5
por xmm6, xmm4
movdqa xmm7, xmm5
pxor xmm7, xmm1
movdqa xmm8, xmm5
pxor xmm8, xmm0
pshufd xmm9, [{masks} + 32], 0x55
pxor xmm9, [{other} + 96]
movdqa xmm10, xmm9
pxor xmm10, xmm2
pand xmm2, xmm6
movdqa xmm11, xmm1
por xmm11, xmm7
pxor xmm6, xmm3
pxor xmm11, xmm2
por xmm0, xmm2
movdqa xmm12, xmm4
por xmm12, xmm11
pand xmm8, xmm11
pandn xmm0, xmm3
pshufd xmm13, [{masks} + 32], 0x00
pxor xmm13, [{other} + 80]
pand xmm12, xmm13
movdqa xmm14, xmm0
pandn xmm14, xmm9
por xmm2, xmm8
pandn xmm5, xmm8
pxor xmm14, xmm7
pandn xmm2, xmm12
pxor xmm7, xmm5
pandn xmm7, xmm10
pxor xmm10, xmm4
pxor xmm8, xmm2
pxor xmm2, xmm13
pxor xmm1, xmm7
movdqa xmm9, xmm11
pandn xmm9, xmm7
por xmm0, xmm2
pxor xmm0, xmm10
pxor xmm4, xmm1
por xmm0, xmm6
por xmm1, xmm3
pxor xmm4, xmm9
pxor xmm5, xmm0
pandn xmm9, xmm14
pxor xmm0, xmm8
pandn xmm13, xmm5
pandn xmm12, xmm4
pxor xmm0, xmm9
pxor xmm0, [{half} + 272]
movdqa [{half} + 272], xmm0
pxor xmm13, xmm10
pandn xmm10, xmm1
pxor xmm12, xmm14
pxor xmm12, [{half} + 432]
movdqa [{half} + 432], xmm12
pxor xmm10, xmm11
pxor xmm13, xmm7
pxor xmm13, [{half} + 16]
movdqa [{half} + 16], xmm13
pxor xmm10, xmm2
pxor xmm10, [{half} + 192]
movdqa [{half} + 192], xmm10
pshufd xmm0, [{masks} + 0], 0x00
pxor xmm0, [{other} + 496]
pshufd xmm1, [{masks} + 0], 0xff
pxor xmm1, [{other} + 32]
movdqa xmm2, xmm0
pxor xmm2, xmm1
pshufd xmm3, [{masks} + 16], 0x55
pxor xmm3, [{other} + 64]
pshufd xmm4, [{masks} + 0], 0x55
pxor xmm4, [{other} + 0]
movdqa xmm5, xmm4
pandn xmm5, xmm3
movdqa xmm6, xmm3
por xmm6, xmm2
pshufd xmm7, [{masks} + 0], 0xaa
pxor xmm7, [{other} + 16]
movdqa xmm8, xmm6
pxor xmm8, xmm7
movdqa xmm9, xmm8
pandn xmm9, xmm0
movdqa xmm10, xmm2
pandn xmm10, xmm9
pxor xmm8, xmm3
pshufd xmm11, [{masks} + 16], 0x00
pxor xmm11, [{other} + 48]
movdqa xmm12, xmm5
pandn xmm12, xmm11
pandn xmm10, xmm8
pxor xmm12, xmm10
pxor xmm10, xmm9
por xmm9, xmm10
pxor xmm9, xmm2
movdqa xmm13, xmm9
pxor xmm13, xmm12
pxor xmm6, xmm11
por xmm6, xmm9
movdqa xmm14, xmm11
pandn xmm14, xmm13
pxor xmm8, xmm14
movdqa xmm14, xmm4
pandn xmm14, xmm6
pxor xmm14, xmm8
movdqa xmm15, [{half} + 352]
pxor xmm15, xmm14
movdqa [{half} + 352], xmm15
pandn xmm13, xmm11
pxor xmm3, xmm4
pandn xmm14, xmm9
pandn xmm0, xmm8
movdqa xmm9, xmm7
pxor xmm9, xmm14
pandn xmm0, xmm9
pxor xmm10, xmm9
pandn xmm9, xmm13
pxor xmm0, xmm2
movdqa xmm2, xmm6
pandn xmm2, xmm10
pandn xmm2, xmm1
por xmm0, xmm11
por xmm14, xmm2
pxor xmm3, xmm0
pandn xmm6, xmm14
pxor xmm3, xmm14
movdqa xmm0, [{half} + 128]
pxor xmm0, xmm3
movdqa [{half} + 128], xmm0
pxor xmm14, xmm12
pandn xmm5, xmm3
pxor xmm5, xmm9
por xmm12, xmm4
por xmm7, xmm5
pand xmm14, xmm11
pandn xmm14, xmm7
pxor xmm14, xmm10
movdqa xmm0, [{half} + 480]
pxor xmm0, xmm14
movdqa [{half} + 480], xmm0
pandn xmm13, xmm14
por xmm12, xmm2
pxor xmm6, xmm13
pxor xmm6, xmm8
pandn xmm6, xmm12
pxor xmm3, xmm6
pxor xmm3, [{half} + 256]
movdqa [{half} + 256], xmm3
"
    };
}
pub(super) use round;
