//! Whether time tells anything of a key, of data, or of a tag: the method of "Dude, is my code
//! constant time?" (Reparaz, Balasch, Verbauwhede, DATE 2017).
//!
//! Two classes of input are measured in random order, and Welch's t-test is asked whether their
//! times differ. It can show a leak, and never that there is none: so that silence means something,
//! code that leaks on purpose is measured in the same way in the same run, and has to be found.
//!
//! The clock is the system's: on Linux the processor's cycle counter, read in order with the
//! instructions before it.

mod controls;
mod inputs;
mod report;
mod statistics;
mod subjects;

use std::hint::black_box;
use std::time::Instant;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

use inputs::{Input, Inputs};
pub use report::Report;
use statistics::{DEFINITE, SUSPICIOUS, Samples, Statistic};
use subjects::Target;

/// Inputs made ready before they are measured one after the other.
const BLOCK: usize = 64;

/// What was found in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// |t| was not above 4.5 in any test; or it was in one, and in that one it was not when all was
    /// measured again.
    NoEvidence,
    /// |t| was above 10; or above 4.5 twice, in the same test and in the same direction.
    Leak,
}

/// A target, measured.
#[derive(Debug)]
struct Outcome {
    name: String,
    is_control: bool,
    measurements: usize,
    /// The test that says the most.
    first: Statistic,
    /// The same test over new measurements, where the first was suspicious.
    again: Option<Statistic>,
}

impl Outcome {
    fn verdict(&self) -> Verdict {
        let confirmed = |again: &Statistic| {
            again.t.abs() > SUSPICIOUS
                && again.t.is_sign_positive() == self.first.t.is_sign_positive()
        };
        if self.first.t.abs() > DEFINITE || self.again.as_ref().is_some_and(confirmed) {
            Verdict::Leak
        } else {
            Verdict::NoEvidence
        }
    }

    fn is_as_it_should(&self) -> bool {
        (self.verdict() == Verdict::Leak) == self.is_control
    }
}

/// Measures every target `measurements` times, with inputs that come of `seed`. `progress` is told
/// what is measured.
///
/// The best of many tests may be suspicious by chance: it is then made once more over as many new
/// measurements with the same fixed input, by itself, so that no allowance for the number of tests
/// is needed.
///
/// Only the targets whose names contain `only` are measured, and the controls.
pub fn run(measurements: usize, seed: u64, only: &str, mut progress: impl FnMut(&str)) -> Report {
    let mut outcomes = Vec::new();
    for (number, mut target) in (0..).zip(Target::all()) {
        if !target.is_control && !target.name.contains(only) {
            continue;
        }
        progress(&target.name);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let inputs = Inputs::new(target.classes, target.data_len, &mut rng);
        let first = measure(&mut target, &inputs, measurements, &mut rng).strongest();
        let again = (SUSPICIOUS < first.t.abs() && first.t.abs() <= DEFINITE).then(|| {
            progress(&format!("{}, again: t was {:.1}", target.name, first.t));
            measure(&mut target, &inputs, measurements, &mut rng).at(first.test)
        });
        outcomes.push(Outcome {
            name: target.name,
            is_control: target.is_control,
            measurements,
            first,
            again,
        });
    }
    Report::new(seed, outcomes)
}

fn measure(
    target: &mut Target,
    inputs: &Inputs,
    measurements: usize,
    rng: &mut ChaCha8Rng,
) -> Samples {
    let mut samples = Samples::with_capacity(measurements);
    // One place for all, so that both classes find their input equally near.
    let mut input = Input::zeroed(target.data_len);
    // The first block warms up.
    let mut block = inputs.block(BLOCK, rng);
    let mut is_warm = false;
    while samples.len() < measurements {
        for (class, made) in &block {
            input.copy_from(made);
            target.subject.ready(&input);
            let began = Instant::now();
            target.subject.measured(black_box(&mut input));
            let took = began.elapsed();
            target.subject.clean();
            if is_warm && samples.len() < measurements {
                samples.push(*class, took);
            }
        }
        is_warm = true;
        inputs.refill(&mut block, rng);
    }
    samples
}
