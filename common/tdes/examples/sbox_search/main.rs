//! Finds Boolean circuits for the S-boxes of DES, for `common/tdes/src/circuits`:
//!
//!     cd common/tdes
//!     cargo run --release --example sbox_search -- \
//!         two 106,105,105,105,101,103,103,101 > src/circuits/two.rs
//!     cargo run --release --example sbox_search -- three 7 > src/circuits/three.rs
//!     cargo fmt
//!
//! The first argument is the number of inputs of a gate, the second the seed, or one for each
//! S-box: the same give the same circuits. Each S-box begins with many circuits made by splitting
//! ([`build`]); the smallest walk at random among circuits of equal size, and now and then a larger
//! one, shedding gates as they become useless ([`walk`]); half of them drop out every now and then.
//! The last one of gates of two inputs walks on towards circuits that take few instructions
//! ([`refine`]). About an hour of one processor, ten minutes for gates of three inputs.

#[path = "../../src/sboxes.rs"]
mod sboxes;

#[path = "../sbox_assembly/allocate.rs"]
#[allow(dead_code)]
mod allocate;
#[path = "../sbox_assembly/anneal.rs"]
mod anneal;
#[path = "../sbox_assembly/gates.rs"]
#[allow(dead_code)]
mod gates;

mod build;
mod circuit;
mod emit;
mod refine;
mod rng;
mod walk;

use std::process::ExitCode;
use std::thread;

use circuit::{Circuit, Inputs};
use rng::Rng;
use walk::Walk;

/// Circuits that walk at first.
const WALKERS: usize = 8;
/// Walks of the one that is left.
const REFINEMENTS: u64 = 2;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (inputs, seeds) = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["two", seeds] => (Inputs::Two, seeds),
        ["three", seeds] => (Inputs::Three, seeds),
        _ => {
            eprintln!("usage: sbox_search two|three SEED[,SEED...]");
            return ExitCode::FAILURE;
        }
    };
    let count = sboxes::SBOXES.len();
    let numbers = match seeds
        .split(',')
        .map(str::parse)
        .collect::<Result<Vec<u64>, _>>()
    {
        Ok(numbers) if numbers.len() == 1 => vec![numbers[0]; count],
        Ok(numbers) if numbers.len() == count => numbers,
        _ => {
            eprintln!("sbox_search: one number for all S-boxes, or one for each");
            return ExitCode::FAILURE;
        }
    };
    let found: Vec<Option<Circuit>> = thread::scope(|scope| {
        let searches: Vec<_> = (0..count)
            .zip(numbers)
            .map(|(number, seed)| scope.spawn(move || search(inputs, number, seed)))
            .collect();
        searches
            .into_iter()
            .map(|search| search.join().ok().flatten())
            .collect()
    });
    match found.into_iter().collect::<Option<Vec<_>>>() {
        Some(circuits) => {
            print!("{}", emit::source(inputs, seeds, &circuits));
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("sbox_search: an S-box was left without a right circuit");
            ExitCode::FAILURE
        }
    }
}

fn search(inputs: Inputs, number: usize, seed: u64) -> Option<Circuit> {
    let targets = targets(number);
    let mut rng = Rng::new(seed);
    let (starts, steps) = match inputs {
        Inputs::Two => (50, 375_000),
        Inputs::Three => (400, 225_000),
    };
    let mut circuits: Vec<Circuit> = (0..starts)
        .filter_map(|_| build::build(inputs, &targets, &mut rng))
        .collect();
    circuits.sort_by_key(Circuit::len);
    circuits.truncate(WALKERS);
    let walk = Walk::new(inputs);
    loop {
        let share = steps / circuits.len().max(1);
        for circuit in &mut circuits {
            walk.improve(circuit, share, &mut rng);
        }
        circuits.retain(|circuit| circuit.computes(&targets));
        circuits.sort_by_key(Circuit::len);
        let sizes: Vec<usize> = circuits.iter().map(Circuit::len).collect();
        eprintln!("S{}: {sizes:?} gates", number + 1);
        if circuits.len() < 2 {
            let mut circuit = circuits.pop()?;
            if inputs == Inputs::Two {
                for again in 0..REFINEMENTS {
                    refine::refine(&mut circuit, &walk, seed + again);
                }
            }
            return circuit.computes(&targets).then_some(circuit);
        }
        circuits.truncate(circuits.len() / 2);
    }
}

/// The four outputs of an S-box for all 64 inputs, inverted where the first is 1.
fn targets(number: usize) -> [u64; 4] {
    let mut outputs = [0; 4];
    for input in 0..64 {
        let row = input >> 4 & 2 | input & 1;
        let value = sboxes::SBOXES[number][row][input >> 1 & 15];
        for (place, output) in outputs.iter_mut().enumerate() {
            *output |= u64::from(value >> (3 - place) & 1) << input;
        }
    }
    outputs.map(|output| if output & 1 == 1 { !output } else { output })
}
