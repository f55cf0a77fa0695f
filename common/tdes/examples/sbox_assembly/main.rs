//! Writes the rounds of the kernel in the instructions of x86-64, for
//! `common/tdes/src/simd/x86_64/rounds`:
//!
//!     cd common/tdes
//!     cargo run --release --example sbox_assembly -- avx2 7 > src/simd/x86_64/rounds/avx2.rs
//!     cargo run --release --example sbox_assembly -- sse2 7 > src/simd/x86_64/rounds/sse2.rs
//!     cargo run --release --example sbox_assembly -- u64 9 > src/simd/x86_64/rounds/u64.rs
//!     cargo fmt
//!
//! The first argument is the register, the second the seed: the same one gives the same
//! instructions. The gates are those of `common/tdes/src/circuits/two.rs`. A compiler orders them
//! so that their values do not fit into sixteen registers; [`anneal`] looks for an order in which
//! they do, with few copies where a gate overwrites an operand and, where there is no AND with an
//! inverted operand, for nodes that are better kept inverted. Less than a minute of one processor.

#[path = "../sbox_search/rng.rs"]
#[allow(dead_code)]
mod rng;
#[path = "../../src/wiring.rs"]
#[allow(dead_code)]
mod wiring;

mod allocate;
mod anneal;
mod emit;
mod gates;

use std::process::ExitCode;

use allocate::allocate;
use emit::Registers;
use gates::Circuit;
use rng::Rng;

const CIRCUITS: &str = include_str!("../../src/circuits/two.rs");
/// Plans that are looked at for each S-box.
const STEPS: usize = 300_000;
/// The S-boxes as they follow one another. Those that come first need nothing of those that came
/// last in the round before, whose results a processor still waits for.
const ORDER: [usize; 8] = [6, 5, 2, 4, 3, 7, 1, 0];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, registers, seed) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..]
    {
        ["avx2", seed] => ("avx2", Registers::Ymm, seed),
        ["sse2", seed] => ("sse2", Registers::Xmm, seed),
        ["u64", seed] => ("u64", Registers::General, seed),
        _ => {
            eprintln!("usage: sbox_assembly avx2|sse2|u64 SEED");
            return ExitCode::FAILURE;
        }
    };
    let Ok(number) = seed.parse() else {
        eprintln!("sbox_assembly: the seed is a number");
        return ExitCode::FAILURE;
    };
    let Some(circuits) = gates::read(CIRCUITS) else {
        eprintln!("sbox_assembly: the circuits are not as sbox_search writes them");
        return ExitCode::FAILURE;
    };
    print!("{}", source(name, registers, number, &circuits));
    ExitCode::SUCCESS
}

fn source(name: &str, registers: Registers, seed: u64, circuits: &[Circuit]) -> String {
    let mut rng = Rng::new(seed);
    let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
    let (mut texts, mut most_slots) = (Vec::new(), 0);
    for (number, circuit) in circuits.iter().enumerate() {
        let plan = anneal::anneal(circuit, registers.target(), STEPS, &mut rng);
        let (instructions, slots) = allocate(circuit, &plan, registers.target());
        let bits = |nodes: &mut dyn Iterator<Item = usize>| {
            nodes.fold(0_u8, |bits, node| bits << 1 | u8::from(plan.inverted[node]))
        };
        inputs.push(bits(&mut (0..6)));
        outputs.push(bits(&mut circuit.outputs.into_iter()));
        texts.push(emit::lines(registers, number, &instructions));
        most_slots = most_slots.max(slots);
    }
    let text = ORDER.map(|number| texts[number].as_str()).concat();
    let slots = if most_slots > 0 {
        format!(
            "/// Words that the instructions put behind the masks.\npub(super) const SLOTS: usize = {most_slots};\n\n"
        )
    } else {
        String::new()
    };
    format!(
        "//! A round of the kernel in {} instructions.\n//!\n\
         //! Generated, and not to be edited: `cargo run --release -p portcullis-tdes\n\
         //! --example sbox_assembly -- {name} {seed}`.\n\n\
         /// The inputs and the outputs of each S-box that are kept inverted, the first as the\n\
         /// highest bit.\n\
         pub(super) const INVERTED: [[u8; 8]; 2] = [{inputs:?}, {outputs:?}];\n\n\
         {slots}macro_rules! round {{\n() => {{\nr\"\n{text}\"\n}};\n}}\npub(super) use round;\n",
        text.lines().count()
    )
}
