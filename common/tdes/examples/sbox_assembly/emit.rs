//! Instructions as the text of an `asm!` block.

use std::fmt::{Result, Write};

use crate::allocate::{Instruction, Place, Target};
use crate::gates::Function;
use crate::wiring::{expanded, permuted};

/// Where the slots begin, behind masks of bytes: the registers that have others need no slots.
const SLOTS: usize = 48;

/// The registers that instructions are written for.
#[derive(Clone, Copy)]
pub(crate) enum Registers {
    /// Of 256 bits.
    Ymm,
    /// Of 128 bits.
    Xmm,
    /// Of 64 bits.
    General,
}

impl Registers {
    pub(crate) fn target(self) -> Target {
        match self {
            Self::Ymm => Target::YMM,
            Self::Xmm => Target::XMM,
            Self::General => Target::GENERAL,
        }
    }

    fn name(self, number: usize) -> String {
        match self {
            Self::Ymm => format!("ymm{number}"),
            Self::Xmm => format!("xmm{number}"),
            Self::General => GENERAL[number].to_owned(),
        }
    }

    /// What holds the address of the half that is changed, of the other, and of the masks.
    fn addresses(self) -> [&'static str; 3] {
        match self {
            Self::Ymm | Self::Xmm => ["{half}", "{other}", "{masks}"],
            // Named here, since not all of the registers above can be named to a compiler as taken.
            Self::General => ["rdi", "rsi", "r15"],
        }
    }

    /// The instruction that copies a register, or moves it to or from memory.
    fn moves(self) -> &'static str {
        match self {
            Self::Ymm => "vmovdqa",
            Self::Xmm => "movdqa",
            Self::General => "mov",
        }
    }

    /// Where slot `number` is.
    fn slot(self, number: usize) -> String {
        let [.., masks] = self.addresses();
        format!("[{masks} + {}]", SLOTS + self.width() * number)
    }

    /// Bytes of a register.
    fn width(self) -> usize {
        match self {
            Self::Ymm => 32,
            Self::Xmm => 16,
            Self::General => 8,
        }
    }
}

const GENERAL: [&str; Target::GENERAL.registers] = [
    "rax", "rcx", "rdx", "rbx", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
];

/// The lines for S-box `number`, from 0.
pub(crate) fn lines(registers: Registers, number: usize, instructions: &[Instruction]) -> String {
    let mut lines = String::new();
    for &instruction in instructions {
        // Writing to a string cannot fail.
        let _ = line(&mut lines, registers, number, instruction);
    }
    lines
}

fn line(out: &mut String, registers: Registers, number: usize, instruction: Instruction) -> Result {
    let name = |register| registers.name(register);
    let moves = registers.moves();
    match instruction {
        Instruction::Input { to, input } => read_input(out, registers, number, &name(to), input),
        Instruction::Load { to, slot } => {
            writeln!(out, "{moves} {}, {}", name(to), registers.slot(slot))
        }
        Instruction::Store { from, slot } => {
            writeln!(out, "{moves} {}, {}", registers.slot(slot), name(from))
        }
        Instruction::Copy { to, from } => writeln!(out, "{moves} {}, {}", name(to), name(from)),
        Instruction::Invert { register } => writeln!(out, "not {}", name(register)),
        Instruction::Gate { function, to, a, b } => {
            let b = match b {
                Place::Register(register) => name(register),
                Place::Slot(slot) => registers.slot(slot),
            };
            let function = match function {
                Function::And => "and",
                Function::Or => "or",
                Function::Xor => "xor",
                Function::Without => "andn",
            };
            match registers {
                Registers::Ymm => writeln!(out, "vp{function} {}, {}, {b}", name(to), name(a)),
                Registers::Xmm => writeln!(out, "p{function} {}, {b}", name(to)),
                Registers::General => writeln!(out, "{function} {}, {b}", name(to)),
            }
        }
        Instruction::Output { output, from, with } => {
            let bit = permuted(number, output);
            add_output(out, registers, bit, &name(from), &name(with))
        }
    }
}

/// The bit of the other half that is input `input` of S-box `number`, with its bit of the round
/// key.
fn read_input(
    out: &mut String,
    registers: Registers,
    number: usize,
    to: &str,
    input: usize,
) -> Result {
    let [_, other, masks] = registers.addresses();
    let place = 6 * number + input;
    let bit = registers.width() * expanded(number, input);
    match registers {
        Registers::Ymm => writeln!(
            out,
            "vpbroadcastd {to}, [{masks} + {}]\nvpxor {to}, {to}, [{other} + {bit}]",
            4 * place
        ),
        Registers::Xmm => writeln!(
            out,
            "pshufd {to}, [{masks} + {}], 0x{:02x}\npxor {to}, [{other} + {bit}]",
            place / 4 * 16,
            place % 4 * 0x55
        ),
        // The bytes of a word begin with its last.
        Registers::General => writeln!(
            out,
            "movsx {to}, byte ptr [{masks} + {}]\nxor {to}, [{other} + {bit}]",
            place ^ 7
        ),
    }
}

/// Adds `from` to bit `bit` of the half; `with` is free for it.
fn add_output(
    out: &mut String,
    registers: Registers,
    bit: usize,
    from: &str,
    with: &str,
) -> Result {
    let [half, ..] = registers.addresses();
    let bit = format!("[{half} + {}]", registers.width() * bit);
    let moves = registers.moves();
    match registers {
        Registers::General => writeln!(out, "xor {bit}, {from}"),
        Registers::Ymm => writeln!(out, "vpxor {with}, {from}, {bit}\n{moves} {bit}, {with}"),
        Registers::Xmm if with == from => {
            writeln!(out, "pxor {with}, {bit}\n{moves} {bit}, {with}")
        }
        Registers::Xmm => writeln!(
            out,
            "{moves} {with}, {bit}\npxor {with}, {from}\n{moves} {bit}, {with}"
        ),
    }
}
