//! A round of the kernel in 508 instructions.
//!
//! Generated, and not to be edited: `cargo run --release -p portcullis-tdes
//! --example sbox_assembly -- avx2 7`.

/// The inputs and the outputs of each S-box that are kept inverted, the first as the
/// highest bit.
pub(super) const INVERTED: [[u8; 8]; 2] = [[0, 0, 0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0]];

macro_rules! round {
    () => {
        r"
vpbroadcastd ymm0, [{masks} + 152]
vpxor ymm0, ymm0, [{other} + 800]
vpbroadcastd ymm1, [{masks} + 156]
vpxor ymm1, ymm1, [{other} + 832]
vpxor ymm2, ymm0, ymm1
vpbroadcastd ymm3, [{masks} + 160]
vpxor ymm3, ymm3, [{other} + 864]
vpandn ymm4, ymm3, ymm1
vpbroadcastd ymm5, [{masks} + 148]
vpxor ymm5, ymm5, [{other} + 768]
vpxor ymm6, ymm5, ymm4
vpxor ymm2, ymm2, ymm3
vpbroadcastd ymm7, [{masks} + 144]
vpxor ymm7, ymm7, [{other} + 736]
vpand ymm8, ymm2, ymm7
vpandn ymm9, ymm0, ymm6
vpor ymm4, ymm4, ymm5
vpxor ymm9, ymm9, ymm7
vpandn ymm10, ymm8, ymm6
vpxor ymm4, ymm4, ymm10
vpandn ymm11, ymm5, ymm8
vpbroadcastd ymm12, [{masks} + 164]
vpxor ymm12, ymm12, [{other} + 896]
vpandn ymm4, ymm4, ymm12
vpxor ymm11, ymm11, ymm1
vpxor ymm4, ymm4, ymm2
vpandn ymm13, ymm6, ymm9
vpor ymm14, ymm12, ymm3
vpandn ymm11, ymm0, ymm11
vpandn ymm0, ymm0, ymm9
vpxor ymm9, ymm9, ymm4
vpxor ymm4, ymm9, [{half} + 192]
vmovdqa [{half} + 192], ymm4
vpxor ymm10, ymm10, ymm9
vpandn ymm0, ymm0, ymm12
vpxor ymm10, ymm10, ymm0
vpxor ymm14, ymm14, ymm8
vpxor ymm0, ymm11, ymm14
vpxor ymm13, ymm13, ymm11
vpandn ymm4, ymm1, ymm10
vpandn ymm8, ymm0, ymm7
vpor ymm6, ymm6, ymm0
vpxor ymm2, ymm2, ymm4
vpxor ymm14, ymm14, ymm2
vpand ymm14, ymm14, ymm12
vpxor ymm8, ymm8, ymm9
vpxor ymm13, ymm13, ymm14
vpandn ymm5, ymm5, ymm13
vpandn ymm6, ymm6, ymm1
vpandn ymm12, ymm12, ymm8
vpor ymm12, ymm12, ymm6
vpxor ymm5, ymm5, ymm10
vpxor ymm0, ymm5, [{half} + 992]
vmovdqa [{half} + 992], ymm0
vpxor ymm5, ymm5, ymm8
vpxor ymm7, ymm7, ymm12
vpxor ymm3, ymm3, ymm5
vpxor ymm7, ymm7, ymm2
vpxor ymm7, ymm7, [{half} + 672]
vmovdqa [{half} + 672], ymm7
vpxor ymm2, ymm2, ymm3
vpxor ymm2, ymm2, [{half} + 352]
vmovdqa [{half} + 352], ymm2
vpbroadcastd ymm0, [{masks} + 120]
vpxor ymm0, ymm0, [{other} + 608]
vpbroadcastd ymm1, [{masks} + 136]
vpxor ymm1, ymm1, [{other} + 736]
vpxor ymm2, ymm0, ymm1
vpbroadcastd ymm3, [{masks} + 128]
vpxor ymm3, ymm3, [{other} + 672]
vpor ymm4, ymm1, ymm3
vpxor ymm5, ymm3, ymm2
vpbroadcastd ymm6, [{masks} + 124]
vpxor ymm6, ymm6, [{other} + 640]
vpxor ymm7, ymm6, ymm4
vpand ymm5, ymm5, ymm0
vpor ymm1, ymm1, ymm5
vpxor ymm5, ymm5, ymm7
vpbroadcastd ymm7, [{masks} + 132]
vpxor ymm7, ymm7, [{other} + 704]
vpxor ymm2, ymm2, ymm7
vpor ymm8, ymm3, ymm5
vpbroadcastd ymm9, [{masks} + 140]
vpxor ymm9, ymm9, [{other} + 768]
vpandn ymm10, ymm1, ymm9
vpxor ymm11, ymm2, ymm8
vpxor ymm12, ymm9, ymm11
vpandn ymm4, ymm10, ymm4
vpandn ymm11, ymm7, ymm11
vpxor ymm13, ymm4, ymm12
vpxor ymm11, ymm11, ymm3
vpandn ymm14, ymm13, ymm11
vpandn ymm14, ymm14, ymm1
vpand ymm0, ymm0, ymm8
vpandn ymm14, ymm14, ymm6
vpxor ymm8, ymm3, ymm14
vpxor ymm14, ymm14, ymm7
vpand ymm14, ymm14, ymm13
vpor ymm0, ymm0, ymm14
vpand ymm9, ymm9, ymm0
vpandn ymm0, ymm10, ymm9
vpandn ymm2, ymm2, ymm1
vpxor ymm11, ymm11, ymm5
vpand ymm1, ymm9, ymm6
vpxor ymm12, ymm12, ymm0
vpxor ymm11, ymm11, ymm9
vpxor ymm0, ymm11, [{half} + 576]
vmovdqa [{half} + 576], ymm0
vpor ymm14, ymm14, ymm12
vpxor ymm3, ymm3, ymm14
vpxor ymm6, ymm6, ymm3
vpxor ymm12, ymm12, ymm8
vpxor ymm12, ymm12, [{half} + 320]
vmovdqa [{half} + 320], ymm12
vpand ymm6, ymm6, ymm7
vpand ymm4, ymm4, ymm6
vpxor ymm6, ymm6, ymm10
vpandn ymm1, ymm1, ymm6
vpxor ymm13, ymm13, ymm4
vpandn ymm2, ymm1, ymm2
vpxor ymm3, ymm3, ymm11
vpxor ymm1, ymm1, ymm13
vpxor ymm1, ymm1, [{half} + 96]
vmovdqa [{half} + 96], ymm1
vpxor ymm3, ymm3, ymm2
vpxor ymm3, ymm3, [{half} + 896]
vmovdqa [{half} + 896], ymm3
vpbroadcastd ymm0, [{masks} + 60]
vpxor ymm0, ymm0, [{other} + 320]
vpbroadcastd ymm1, [{masks} + 68]
vpxor ymm1, ymm1, [{other} + 384]
vpxor ymm2, ymm0, ymm1
vpbroadcastd ymm3, [{masks} + 56]
vpxor ymm3, ymm3, [{other} + 288]
vpxor ymm4, ymm2, ymm3
vpbroadcastd ymm5, [{masks} + 64]
vpxor ymm5, ymm5, [{other} + 352]
vpxor ymm6, ymm5, ymm4
vpandn ymm4, ymm4, ymm5
vpandn ymm7, ymm1, ymm5
vpxor ymm2, ymm2, ymm7
vpbroadcastd ymm8, [{masks} + 48]
vpxor ymm8, ymm8, [{other} + 224]
vpxor ymm9, ymm1, ymm8
vpandn ymm7, ymm7, ymm3
vpxor ymm4, ymm4, ymm2
vpbroadcastd ymm10, [{masks} + 52]
vpxor ymm10, ymm10, [{other} + 256]
vpandn ymm11, ymm10, ymm7
vpandn ymm12, ymm8, ymm10
vpand ymm7, ymm7, ymm8
vpxor ymm10, ymm10, ymm4
vpxor ymm7, ymm7, ymm10
vpor ymm13, ymm9, ymm2
vpandn ymm13, ymm13, ymm7
vpxor ymm14, ymm6, ymm11
vpandn ymm15, ymm14, ymm1
vpor ymm3, ymm3, ymm13
vpxor ymm10, ymm10, ymm8
vpandn ymm13, ymm15, ymm0
vpxor ymm6, ymm6, ymm12
vpxor ymm3, ymm3, ymm10
vpandn ymm9, ymm10, ymm9
vpxor ymm3, ymm3, ymm13
vpxor ymm12, ymm3, [{half} + 480]
vmovdqa [{half} + 480], ymm12
vpandn ymm15, ymm15, ymm2
vpandn ymm1, ymm1, ymm3
vpxor ymm2, ymm9, ymm11
vpxor ymm3, ymm7, ymm1
vpandn ymm5, ymm5, ymm2
vpandn ymm7, ymm7, ymm0
vpandn ymm4, ymm4, ymm1
vpxor ymm4, ymm4, ymm7
vpxor ymm3, ymm3, ymm11
vpand ymm9, ymm9, ymm14
vpxor ymm15, ymm15, ymm5
vpandn ymm7, ymm7, ymm3
vpand ymm15, ymm15, ymm8
vpandn ymm9, ymm9, ymm4
vpxor ymm7, ymm7, ymm4
vpxor ymm10, ymm10, ymm15
vpxor ymm10, ymm10, [{half} + 160]
vmovdqa [{half} + 160], ymm10
vpandn ymm8, ymm8, ymm7
vpxor ymm9, ymm9, ymm6
vpxor ymm9, ymm9, [{half} + 928]
vmovdqa [{half} + 928], ymm9
vpxor ymm8, ymm8, ymm14
vpxor ymm8, ymm8, [{half} + 736]
vmovdqa [{half} + 736], ymm8
vpbroadcastd ymm0, [{masks} + 112]
vpxor ymm0, ymm0, [{other} + 608]
vpbroadcastd ymm1, [{masks} + 96]
vpxor ymm1, ymm1, [{other} + 480]
vpxor ymm2, ymm0, ymm1
vpbroadcastd ymm3, [{masks} + 116]
vpxor ymm3, ymm3, [{other} + 640]
vpandn ymm4, ymm3, ymm2
vpbroadcastd ymm5, [{masks} + 100]
vpxor ymm5, ymm5, [{other} + 512]
vpbroadcastd ymm6, [{masks} + 104]
vpxor ymm6, ymm6, [{other} + 544]
vpxor ymm7, ymm5, ymm6
vpxor ymm8, ymm1, ymm5
vpor ymm4, ymm4, ymm6
vpxor ymm9, ymm3, ymm4
vpor ymm0, ymm0, ymm9
vpxor ymm0, ymm0, ymm6
vpand ymm6, ymm0, ymm4
vpxor ymm6, ymm6, ymm1
vpand ymm10, ymm8, ymm0
vpxor ymm9, ymm9, ymm2
vpor ymm11, ymm6, ymm10
vpxor ymm11, ymm11, ymm5
vpxor ymm12, ymm3, ymm7
vpxor ymm13, ymm3, ymm6
vpandn ymm6, ymm9, ymm6
vpand ymm14, ymm0, ymm12
vpor ymm0, ymm0, ymm5
vpandn ymm15, ymm13, ymm11
vpxor ymm1, ymm1, ymm6
vpxor ymm10, ymm10, ymm15
vpand ymm3, ymm3, ymm1
vpxor ymm14, ymm14, ymm9
vpbroadcastd ymm1, [{masks} + 108]
vpxor ymm1, ymm1, [{other} + 576]
vpor ymm10, ymm10, ymm1
vpxor ymm0, ymm0, ymm3
vpxor ymm10, ymm10, ymm0
vpxor ymm0, ymm14, ymm10
vpxor ymm3, ymm0, [{half} + 416]
vmovdqa [{half} + 416], ymm3
vpxor ymm13, ymm13, ymm0
vpor ymm13, ymm13, ymm7
vpxor ymm4, ymm4, ymm13
vpandn ymm11, ymm11, ymm13
vpandn ymm11, ymm11, ymm1
vpandn ymm4, ymm4, ymm8
vpxor ymm12, ymm12, ymm4
vpxor ymm14, ymm14, ymm11
vpxor ymm0, ymm14, [{half} + 64]
vmovdqa [{half} + 64], ymm0
vpandn ymm0, ymm5, ymm14
vpand ymm4, ymm4, ymm12
vpor ymm2, ymm2, ymm14
vpandn ymm5, ymm12, ymm5
vpxor ymm2, ymm2, ymm0
vpandn ymm12, ymm12, ymm1
vpxor ymm8, ymm8, ymm12
vpandn ymm5, ymm5, ymm6
vpandn ymm4, ymm4, ymm2
vpxor ymm8, ymm8, ymm5
vpxor ymm4, ymm4, ymm8
vpxor ymm8, ymm8, ymm11
vpxor ymm8, ymm8, [{half} + 768]
vmovdqa [{half} + 768], ymm8
vpxor ymm4, ymm4, ymm10
vpxor ymm4, ymm4, [{half} + 224]
vmovdqa [{half} + 224], ymm4
vpbroadcastd ymm0, [{masks} + 72]
vpxor ymm0, ymm0, [{other} + 352]
vpbroadcastd ymm1, [{masks} + 80]
vpxor ymm1, ymm1, [{other} + 416]
vpand ymm2, ymm0, ymm1
vpbroadcastd ymm3, [{masks} + 84]
vpxor ymm3, ymm3, [{other} + 448]
vpxor ymm2, ymm2, ymm3
vpbroadcastd ymm4, [{masks} + 88]
vpxor ymm4, ymm4, [{other} + 480]
vpor ymm5, ymm2, ymm4
vpxor ymm5, ymm5, ymm1
vpbroadcastd ymm1, [{masks} + 76]
vpxor ymm1, ymm1, [{other} + 384]
vpxor ymm2, ymm2, ymm1
vpandn ymm6, ymm5, ymm0
vpandn ymm6, ymm6, ymm2
vpxor ymm7, ymm5, ymm6
vpandn ymm7, ymm7, ymm1
vpor ymm3, ymm3, ymm5
vpxor ymm7, ymm7, ymm4
vpxor ymm5, ymm5, ymm7
vpand ymm4, ymm1, ymm5
vpxor ymm0, ymm0, ymm5
vpand ymm3, ymm3, ymm0
vpor ymm8, ymm7, ymm0
vpxor ymm8, ymm8, ymm2
vpand ymm3, ymm3, ymm5
vpxor ymm3, ymm3, ymm8
vpor ymm4, ymm4, ymm8
vpxor ymm7, ymm7, ymm4
vpbroadcastd ymm2, [{masks} + 92]
vpxor ymm2, ymm2, [{other} + 512]
vpand ymm4, ymm3, ymm2
vpxor ymm3, ymm3, ymm0
vpand ymm5, ymm0, ymm7
vpandn ymm5, ymm5, ymm6
vpxor ymm3, ymm3, ymm2
vpxor ymm0, ymm0, ymm4
vpxor ymm0, ymm0, [{half} + 0]
vmovdqa [{half} + 0], ymm0
vpxor ymm1, ymm1, ymm5
vpxor ymm1, ymm1, ymm3
vpxor ymm3, ymm3, ymm4
vpxor ymm3, ymm3, [{half} + 288]
vmovdqa [{half} + 288], ymm3
vpandn ymm2, ymm1, ymm2
vpxor ymm2, ymm2, ymm7
vpxor ymm0, ymm2, [{half} + 608]
vmovdqa [{half} + 608], ymm0
vpxor ymm1, ymm1, ymm2
vpxor ymm1, ymm1, [{half} + 800]
vmovdqa [{half} + 800], ymm1
vpbroadcastd ymm0, [{masks} + 176]
vpxor ymm0, ymm0, [{other} + 928]
vpbroadcastd ymm1, [{masks} + 172]
vpxor ymm1, ymm1, [{other} + 896]
vpor ymm2, ymm0, ymm1
vpbroadcastd ymm3, [{masks} + 168]
vpxor ymm3, ymm3, [{other} + 864]
vpor ymm4, ymm3, ymm2
vpbroadcastd ymm5, [{masks} + 180]
vpxor ymm5, ymm5, [{other} + 960]
vpxor ymm6, ymm5, ymm4
vpxor ymm7, ymm5, ymm1
vpxor ymm8, ymm0, ymm3
vpbroadcastd ymm9, [{masks} + 184]
vpxor ymm9, ymm9, [{other} + 992]
vpxor ymm10, ymm9, ymm6
vpandn ymm1, ymm9, ymm1
vpxor ymm2, ymm2, ymm6
vpandn ymm8, ymm2, ymm8
vpandn ymm8, ymm8, ymm10
vpxor ymm8, ymm8, ymm1
vpbroadcastd ymm11, [{masks} + 188]
vpxor ymm11, ymm11, [{other} + 0]
vpandn ymm12, ymm11, ymm8
vpor ymm13, ymm12, ymm1
vpandn ymm5, ymm5, ymm13
vpor ymm13, ymm3, ymm5
vpxor ymm3, ymm3, ymm12
vpxor ymm12, ymm0, ymm13
vpor ymm9, ymm9, ymm12
vpxor ymm7, ymm7, ymm9
vpor ymm2, ymm2, ymm7
vpxor ymm0, ymm0, ymm2
vpxor ymm10, ymm10, ymm0
vpor ymm2, ymm10, ymm5
vpxor ymm7, ymm7, ymm4
vpxor ymm2, ymm2, ymm7
vpandn ymm13, ymm2, ymm13
vpor ymm13, ymm13, ymm11
vpxor ymm8, ymm8, ymm13
vpxor ymm4, ymm3, ymm8
vpandn ymm5, ymm5, ymm4
vpor ymm2, ymm2, ymm5
vpor ymm11, ymm11, ymm5
vpxor ymm10, ymm10, ymm3
vpxor ymm3, ymm10, [{half} + 640]
vmovdqa [{half} + 640], ymm3
vpand ymm2, ymm2, ymm0
vpxor ymm11, ymm11, ymm7
vpxor ymm0, ymm11, [{half} + 832]
vmovdqa [{half} + 832], ymm0
vpxor ymm11, ymm11, ymm8
vpxor ymm6, ymm6, ymm2
vpor ymm6, ymm6, ymm1
vpxor ymm8, ymm8, ymm10
vpxor ymm8, ymm8, [{half} + 128]
vmovdqa [{half} + 128], ymm8
vpxor ymm11, ymm11, ymm6
vpxor ymm11, ymm11, [{half} + 448]
vmovdqa [{half} + 448], ymm11
vpbroadcastd ymm0, [{masks} + 44]
vpxor ymm0, ymm0, [{other} + 256]
vpbroadcastd ymm1, [{masks} + 40]
vpxor ymm1, ymm1, [{other} + 224]
vpxor ymm2, ymm0, ymm1
vpbroadcastd ymm3, [{masks} + 28]
vpxor ymm3, ymm3, [{other} + 128]
vpxor ymm4, ymm3, ymm2
vpbroadcastd ymm5, [{masks} + 24]
vpxor ymm5, ymm5, [{other} + 96]
vpxor ymm6, ymm5, ymm1
vpor ymm7, ymm5, ymm4
vpbroadcastd ymm8, [{masks} + 36]
vpxor ymm8, ymm8, [{other} + 192]
vpxor ymm9, ymm8, ymm2
vpxor ymm10, ymm5, ymm0
vpand ymm2, ymm2, ymm7
vpor ymm11, ymm1, ymm6
vpxor ymm11, ymm11, ymm2
vpor ymm0, ymm0, ymm2
vpor ymm12, ymm4, ymm11
vpand ymm10, ymm10, ymm11
vpbroadcastd ymm13, [{masks} + 32]
vpxor ymm13, ymm13, [{other} + 160]
vpand ymm12, ymm12, ymm13
vpor ymm2, ymm2, ymm10
vpandn ymm0, ymm0, ymm3
vpandn ymm5, ymm5, ymm10
vpxor ymm14, ymm6, ymm5
vpandn ymm8, ymm0, ymm8
vpandn ymm2, ymm2, ymm12
vpxor ymm15, ymm13, ymm2
vpandn ymm14, ymm14, ymm9
vpxor ymm9, ymm9, ymm4
vpor ymm0, ymm0, ymm15
vpxor ymm1, ymm1, ymm14
vpxor ymm10, ymm10, ymm2
vpandn ymm2, ymm11, ymm14
vpxor ymm7, ymm7, ymm3
vpxor ymm0, ymm0, ymm9
vpxor ymm4, ymm4, ymm1
vpor ymm0, ymm0, ymm7
vpor ymm1, ymm1, ymm3
vpxor ymm4, ymm4, ymm2
vpxor ymm5, ymm5, ymm0
vpxor ymm8, ymm8, ymm6
vpandn ymm1, ymm9, ymm1
vpandn ymm12, ymm12, ymm4
vpxor ymm1, ymm1, ymm11
vpandn ymm13, ymm13, ymm5
vpxor ymm12, ymm12, ymm8
vpxor ymm12, ymm12, [{half} + 864]
vmovdqa [{half} + 864], ymm12
vpxor ymm13, ymm13, ymm9
vpxor ymm0, ymm0, ymm10
vpxor ymm1, ymm1, ymm15
vpxor ymm1, ymm1, [{half} + 384]
vmovdqa [{half} + 384], ymm1
vpandn ymm2, ymm2, ymm8
vpxor ymm13, ymm13, ymm14
vpxor ymm13, ymm13, [{half} + 32]
vmovdqa [{half} + 32], ymm13
vpxor ymm0, ymm0, ymm2
vpxor ymm0, ymm0, [{half} + 544]
vmovdqa [{half} + 544], ymm0
vpbroadcastd ymm0, [{masks} + 0]
vpxor ymm0, ymm0, [{other} + 992]
vpbroadcastd ymm1, [{masks} + 12]
vpxor ymm1, ymm1, [{other} + 64]
vpxor ymm2, ymm0, ymm1
vpbroadcastd ymm3, [{masks} + 20]
vpxor ymm3, ymm3, [{other} + 128]
vpor ymm4, ymm3, ymm2
vpbroadcastd ymm5, [{masks} + 8]
vpxor ymm5, ymm5, [{other} + 32]
vpxor ymm6, ymm4, ymm5
vpbroadcastd ymm7, [{masks} + 4]
vpxor ymm7, ymm7, [{other} + 0]
vpandn ymm8, ymm7, ymm3
vpxor ymm9, ymm6, ymm3
vpandn ymm6, ymm6, ymm0
vpbroadcastd ymm10, [{masks} + 16]
vpxor ymm10, ymm10, [{other} + 96]
vpandn ymm11, ymm8, ymm10
vpandn ymm12, ymm2, ymm6
vpandn ymm12, ymm12, ymm9
vpxor ymm13, ymm12, ymm6
vpxor ymm11, ymm11, ymm12
vpor ymm6, ymm6, ymm13
vpxor ymm6, ymm6, ymm2
vpxor ymm4, ymm4, ymm10
vpor ymm4, ymm4, ymm6
vpxor ymm12, ymm6, ymm11
vpandn ymm14, ymm10, ymm12
vpxor ymm9, ymm9, ymm14
vpandn ymm14, ymm7, ymm4
vpxor ymm14, ymm14, ymm9
vpxor ymm15, ymm14, [{half} + 704]
vmovdqa [{half} + 704], ymm15
vpxor ymm3, ymm3, ymm7
vpandn ymm0, ymm0, ymm9
vpandn ymm14, ymm14, ymm6
vpxor ymm6, ymm5, ymm14
vpxor ymm13, ymm13, ymm6
vpandn ymm0, ymm0, ymm6
vpxor ymm0, ymm0, ymm2
vpandn ymm12, ymm12, ymm10
vpandn ymm2, ymm4, ymm13
vpandn ymm6, ymm6, ymm12
vpandn ymm2, ymm2, ymm1
vpor ymm0, ymm0, ymm10
vpxor ymm3, ymm3, ymm0
vpor ymm14, ymm14, ymm2
vpxor ymm3, ymm3, ymm14
vpxor ymm0, ymm3, [{half} + 256]
vmovdqa [{half} + 256], ymm0
vpandn ymm8, ymm8, ymm3
vpxor ymm0, ymm14, ymm11
vpxor ymm8, ymm8, ymm6
vpor ymm11, ymm11, ymm7
vpandn ymm4, ymm4, ymm14
vpor ymm5, ymm5, ymm8
vpand ymm0, ymm0, ymm10
vpandn ymm0, ymm0, ymm5
vpxor ymm0, ymm0, ymm13
vpxor ymm1, ymm0, [{half} + 960]
vmovdqa [{half} + 960], ymm1
vpandn ymm12, ymm12, ymm0
vpxor ymm4, ymm4, ymm12
vpxor ymm4, ymm4, ymm9
vpor ymm11, ymm11, ymm2
vpandn ymm4, ymm4, ymm11
vpxor ymm3, ymm3, ymm4
vpxor ymm3, ymm3, [{half} + 512]
vmovdqa [{half} + 512], ymm3
"
    };
}
pub(super) use round;
