//! A round of the kernel in 591 instructions.
//!
//! Generated, and not to be edited: `cargo run --release -p portcullis-tdes
//! --example sbox_assembly -- u64 9`.

/// The inputs and the outputs of each S-box that are kept inverted, the first as the
/// highest bit.
pub(super) const INVERTED: [[u8; 8]; 2] =
    [[54, 5, 38, 6, 41, 1, 52, 15], [8, 11, 13, 7, 3, 13, 2, 5]];

/// Words that the instructions put behind the masks.
pub(super) const SLOTS: usize = 3;

macro_rules! round {
    () => {
        r"
movsx rax, byte ptr [r15 + 33]
xor rax, [rsi + 200]
movsx rcx, byte ptr [r15 + 32]
xor rcx, [rsi + 208]
mov rdx, rax
xor rdx, rcx
movsx rbx, byte ptr [r15 + 46]
xor rbx, [rsi + 224]
movsx rbp, byte ptr [r15 + 47]
xor rbp, [rsi + 216]
mov r8, rbx
or r8, rbp
mov r9, rcx
or r9, rbp
movsx r10, byte ptr [r15 + 34]
xor r10, [rsi + 192]
mov r11, r10
xor r11, r9
xor rdx, rbp
movsx r12, byte ptr [r15 + 35]
xor r12, [rsi + 184]
mov r13, rdx
or r13, r12
mov r14, rax
not r14
and r14, r11
mov [r15 + 48], rbp
mov rbp, r11
and rbp, r13
xor r8, r13
and r9, r10
xor r9, rbp
and r9, rbx
xor r14, r12
not r13
and r13, r10
xor r9, rdx
xor r13, rcx
xor r9, r14
xor [rdi + 48], r9
or r13, rax
or rax, r14
or r14, r11
and rax, rbx
xor rbp, r9
xor r14, r13
xor r13, r8
xor rbp, rax
or r11, r13
or r11, rcx
or r13, r12
and rcx, rbp
xor rdx, rcx
xor r8, rdx
and r8, rbx
xor r13, r9
or rbx, r13
xor r14, r8
and rbx, r11
and r14, r10
xor r14, rbp
xor [rdi + 248], r14
xor r12, rbx
xor r14, r13
xor r14, [r15 + 48]
xor r12, rdx
xor [rdi + 168], r12
xor rdx, r14
xor [rdi + 88], rdx
movsx rax, byte ptr [r15 + 25]
xor rax, [rsi + 152]
movsx rcx, byte ptr [r15 + 37]
xor rcx, [rsi + 184]
mov rdx, rax
xor rdx, rcx
movsx rbx, byte ptr [r15 + 39]
xor rbx, [rsi + 168]
mov rbp, rcx
or rbp, rbx
mov r8, rbx
xor r8, rdx
movsx r9, byte ptr [r15 + 24]
xor r9, [rsi + 160]
mov r10, r9
xor r10, rbp
and r8, rax
movsx r11, byte ptr [r15 + 38]
xor r11, [rsi + 176]
xor rdx, r11
not rdx
or rcx, r8
xor r8, r10
movsx r10, byte ptr [r15 + 36]
xor r10, [rsi + 192]
mov r12, r10
or r12, rcx
mov r13, rbx
or r13, r8
and rax, r13
xor r13, rdx
and rbp, r12
mov r14, r10
xor r14, r13
or r13, r11
xor r13, rbx
mov [r15 + 48], rbx
mov rbx, rbp
xor rbx, r14
xor r8, r13
or r13, rbx
and r13, rcx
and rcx, rdx
not r13
and r13, r9
mov rdx, r13
xor rdx, r11
and rdx, rbx
or rax, rdx
not r10
and r10, rax
mov rax, r10
and rax, r12
xor r8, r10
xor [rdi + 144], r8
xor r13, [r15 + 48]
xor r14, rax
or rdx, r14
and r10, r9
xor rdx, [r15 + 48]
xor r9, rdx
xor r14, r13
xor [rdi + 80], r14
and r9, r11
and rbp, r9
xor r9, r12
or r9, r10
xor rdx, r8
xor rbx, rbp
and rcx, r9
xor r9, rbx
xor [rdi + 24], r9
xor rdx, rcx
xor [rdi + 224], rdx
movsx rax, byte ptr [r15 + 10]
xor rax, [rsi + 64]
movsx rcx, byte ptr [r15 + 11]
xor rcx, [rsi + 56]
mov rdx, rax
and rdx, rcx
movsx rbx, byte ptr [r15 + 8]
xor rbx, [rsi + 80]
movsx rbp, byte ptr [r15 + 22]
xor rbp, [rsi + 96]
mov r8, rbx
xor r8, rbp
movsx r9, byte ptr [r15 + 23]
xor r9, [rsi + 88]
mov r10, r9
or r10, rbp
movsx r11, byte ptr [r15 + 9]
xor r11, [rsi + 72]
mov r12, r8
xor r12, r11
xor r8, r10
not r8
mov r13, r9
not r13
and r13, r12
xor r12, r9
and r10, r11
not r10
mov r14, rbp
xor r14, rcx
xor rdx, r12
xor r13, r8
mov [r15 + 48], rdx
mov rdx, r14
and rdx, r8
mov [r15 + 56], r9
mov r9, r10
or r9, rax
xor rax, r13
or r10, rcx
xor r12, r9
xor r10, rax
xor rax, rcx
and rdx, r10
or r11, rdx
mov rdx, rbp
and rdx, r12
xor r11, rax
or r8, rdx
or rdx, rbx
xor r11, rdx
xor [rdi + 120], r11
or rbx, r10
or r11, rbp
not r13
or r13, r11
xor r10, r11
or r14, rax
xor r10, r9
xor r9, r14
xor r13, rbx
and r9, [r15 + 56]
or r14, r12
and r10, rbx
and r14, r13
xor r10, r13
xor r8, r9
or r8, rcx
and r10, rcx
xor r14, [r15 + 48]
xor [rdi + 232], r14
xor rax, r8
xor [rdi + 40], rax
xor r10, r12
xor [rdi + 184], r10
movsx rax, byte ptr [r15 + 27]
xor rax, [rsi + 152]
movsx rcx, byte ptr [r15 + 31]
xor rcx, [rsi + 120]
mov rdx, rax
xor rdx, rcx
movsx rbx, byte ptr [r15 + 26]
xor rbx, [rsi + 160]
mov rbp, rbx
not rbp
or rbp, rdx
movsx r8, byte ptr [r15 + 29]
xor r8, [rsi + 136]
and rbp, r8
mov r9, rbx
xor r9, rbp
or rax, r9
movsx r10, byte ptr [r15 + 30]
xor r10, [rsi + 128]
mov r11, rcx
xor r11, r10
xor rax, r8
xor r9, rdx
xor r8, r10
mov r12, rbx
xor r12, r8
mov r13, rax
or r13, rbp
mov r14, r11
or r14, rax
not r14
xor r13, rcx
mov [r15 + 48], rdx
mov rdx, rax
not rdx
and rdx, r12
xor rdx, r9
and r9, r13
xor rcx, r9
not rax
or rax, r10
or rcx, rbx
xor rbx, r13
or r13, r14
xor r13, r10
xor rax, rcx
mov rcx, r13
and rcx, rbx
xor r14, rcx
movsx rcx, byte ptr [r15 + 28]
xor rcx, [rsi + 144]
or r14, rcx
xor r14, rax
mov rax, rdx
xor rax, r14
xor [rdi + 104], rax
xor rbx, rax
and rbx, r8
xor rbp, rbx
or rbx, r13
or rbp, r11
and rbx, rcx
xor r12, rbp
xor rdx, rbx
xor [rdi + 16], rdx
or rbp, r12
and rcx, r12
and r12, r10
not r12
xor r11, rcx
or r10, rdx
and rdx, [r15 + 48]
xor rdx, r10
and r9, r12
xor r11, r9
and rdx, rbp
xor rdx, r11
xor r11, rbx
xor [rdi + 192], r11
xor rdx, r14
xor [rdi + 56], rdx
movsx rax, byte ptr [r15 + 21]
xor rax, [rsi + 88]
movsx rcx, byte ptr [r15 + 19]
xor rcx, [rsi + 104]
mov rdx, rax
and rdx, rcx
movsx rbx, byte ptr [r15 + 18]
xor rbx, [rsi + 112]
xor rdx, rbx
movsx rbp, byte ptr [r15 + 17]
xor rbp, [rsi + 120]
mov r8, rdx
and r8, rbp
xor r8, rcx
movsx rcx, byte ptr [r15 + 20]
xor rcx, [rsi + 96]
xor rdx, rcx
mov r9, rax
and r9, r8
or r9, rdx
not r9
mov r10, r8
xor r10, r9
and rbx, r8
and r10, rcx
xor r10, rbp
xor r8, r10
xor rax, r8
not rax
or rbx, rax
not rbx
mov rbp, r10
and rbp, rax
xor rbp, rdx
and rbx, r8
and r8, rcx
or r8, rbp
xor rbx, rbp
xor r10, r8
movsx rdx, byte ptr [r15 + 16]
xor rdx, [rsi + 128]
mov rbp, rbx
and rbp, rdx
mov r8, rax
or r8, r10
and r9, r8
xor rbx, rax
xor rcx, r9
xor rbx, rdx
xor rcx, rbx
xor rbx, rbp
xor [rdi + 72], rbx
and rdx, rcx
xor rax, rbp
xor [rdi + 0], rax
xor rdx, r10
xor [rdi + 152], rdx
xor rcx, rdx
xor [rdi + 200], rcx
movsx rax, byte ptr [r15 + 43]
xor rax, [rsi + 232]
movsx rcx, byte ptr [r15 + 44]
xor rcx, [rsi + 224]
mov rdx, rcx
not rdx
and rdx, rax
movsx rbx, byte ptr [r15 + 45]
xor rbx, [rsi + 216]
mov rbp, rdx
not rbp
or rbp, rbx
mov r8, rax
xor r8, rbx
movsx r9, byte ptr [r15 + 42]
xor r9, [rsi + 240]
mov r10, r9
xor r10, rbp
xor rdx, r10
movsx r11, byte ptr [r15 + 41]
xor r11, [rsi + 248]
mov r12, r11
xor r12, r10
or r8, rdx
and r8, r12
mov r13, rcx
and r13, r11
xor r8, r13
movsx r14, byte ptr [r15 + 40]
xor r14, [rsi + 0]
mov [r15 + 48], r10
mov r10, r8
and r10, r14
mov [r15 + 56], r8
mov r8, rbx
xor r8, r10
xor rcx, r9
or r10, r13
and r10, r9
or rbx, r10
mov r9, rax
xor r9, rbx
and r11, r9
xor rcx, r11
or rdx, rcx
xor rax, rdx
xor rcx, rbp
xor r12, rax
mov rdx, r10
not rdx
and rdx, r12
xor rdx, rcx
xor r12, r8
xor [rdi + 160], r12
and rbx, rdx
not rbx
and rbx, r14
xor rbx, [r15 + 56]
xor r8, rbx
or r8, r10
and rdx, r8
and r14, r8
xor r12, rbx
xor [rdi + 32], r12
or rdx, rax
xor r14, rcx
xor [rdi + 208], r14
xor r14, rbx
xor rdx, [r15 + 48]
or rdx, r13
xor r14, rdx
xor [rdi + 112], r14
movsx rax, byte ptr [r15 + 1]
xor rax, [rsi + 24]
movsx rcx, byte ptr [r15 + 13]
xor rcx, [rsi + 56]
mov rdx, rax
xor rdx, rcx
movsx rbx, byte ptr [r15 + 12]
xor rbx, [rsi + 64]
mov rbp, rbx
xor rbp, rcx
mov r8, rcx
or r8, rdx
mov r9, rax
xor r9, rbx
movsx r10, byte ptr [r15 + 0]
xor r10, [rsi + 32]
mov r11, r10
xor r11, rbp
mov r12, rax
not r12
and r12, r11
mov r13, r12
or r13, rbp
xor r12, r10
movsx r14, byte ptr [r15 + 14]
xor r14, [rsi + 48]
xor rbp, r14
and rbx, r13
xor r8, r13
or r9, r8
and rbx, r10
mov [r15 + 48], r12
mov r12, r11
and r12, r8
and r13, r9
or r14, rbx
or rax, r9
xor r14, rdx
xor rdx, rax
mov [r15 + 56], r14
movsx r14, byte ptr [r15 + 15]
xor r14, [rsi + 40]
not r12
and r12, r14
and rdx, rbp
xor rcx, rdx
xor rbp, r11
and r13, r12
xor r9, r13
xor r11, rcx
xor r13, r14
or rcx, r10
and rcx, rbp
or rbx, r13
xor rcx, r8
and r8, rdx
xor rbx, rbp
xor r11, r8
and rbx, [r15 + 48]
xor rcx, r13
xor [rdi + 96], rcx
xor rax, rbx
or r11, r12
not r14
and r14, rax
xor rbx, r9
or r8, [r15 + 56]
xor r11, [r15 + 56]
xor [rdi + 216], r11
xor r14, rbp
xor rbx, r8
xor [rdi + 136], rbx
xor r14, rdx
xor [rdi + 8], r14
movsx rax, byte ptr [r15 + 7]
xor rax, [rsi + 248]
movsx rcx, byte ptr [r15 + 4]
xor rcx, [rsi + 16]
mov rdx, rax
xor rdx, rcx
movsx rbx, byte ptr [r15 + 2]
xor rbx, [rsi + 32]
mov rbp, rbx
or rbp, rdx
movsx r8, byte ptr [r15 + 5]
xor r8, [rsi + 8]
mov r9, rbp
xor r9, r8
mov r10, r9
xor r10, rbx
or r9, rax
mov r11, r9
or r11, rdx
movsx r12, byte ptr [r15 + 6]
xor r12, [rsi + 0]
mov r13, rbx
and r13, r12
and r11, r10
movsx r14, byte ptr [r15 + 3]
xor r14, [rsi + 24]
mov [r15 + 48], rcx
mov rcx, r14
or rcx, r13
mov [r15 + 56], r13
mov r13, r11
xor r13, r9
xor rbx, r12
and r9, r13
xor r9, rdx
xor rcx, r11
xor rbp, r14
and rbp, r9
mov r11, r9
xor r11, rcx
mov [r15 + 64], rbx
mov rbx, r11
and rbx, r14
xor r10, rbx
mov rbx, rbp
not rbx
and rbx, r12
and rax, r10
xor rbx, r10
xor [rdi + 176], rbx
or r9, rbx
mov rbx, r8
xor rbx, r9
xor r13, rbx
or r11, r14
or rax, rbx
xor rax, rdx
not rbx
or rbx, r11
and rax, r14
mov rdx, r13
and rdx, rbp
or rdx, [r15 + 48]
and r12, rcx
xor rax, [r15 + 64]
and r12, rdx
and rdx, r9
xor rax, rdx
xor [rdi + 64], rax
mov r9, [r15 + 56]
or r9, rax
xor rcx, rdx
not rcx
xor r9, rbx
or rcx, r14
or r8, r9
and r8, rcx
xor r8, r13
xor [rdi + 240], r8
and r8, r11
not rdx
and rdx, rbp
xor rdx, r8
xor rdx, r10
or r12, rdx
xor rax, r12
xor [rdi + 128], rax
"
    };
}
pub(super) use round;
