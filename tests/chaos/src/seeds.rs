//! Ranges of seeds, each run in a world of its own, on all processors.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;

/// How to run. `F` names the rules that can be broken on purpose.
#[derive(Clone, Copy, Debug)]
pub struct Options<F> {
    /// A rule to break.
    pub fault: Option<F>,
    /// Stop at the first seed that fails.
    pub stop_at_first: bool,
}

impl<F> Default for Options<F> {
    fn default() -> Self {
        Self {
            fault: None,
            stop_at_first: false,
        }
    }
}

impl<F> Options<F> {
    /// Breaks `fault`, to see whether that is noticed once.
    pub const fn breaking(fault: F) -> Self {
        Self {
            fault: Some(fault),
            stop_at_first: true,
        }
    }
}

/// A seed that broke a promise.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Gives the same run again.
    pub seed: u64,
    /// Which promise, and how.
    pub promise: String,
    /// What happened before, in order.
    pub trace: Vec<String>,
}

/// What happened in one run, to be added up over all.
pub trait Tally: Default + Send {
    /// Adds another.
    fn add(&mut self, other: &Self);
}

/// One seed's run.
#[derive(Debug)]
pub struct Life<T> {
    /// What happened.
    pub tally: T,
    /// The promise that it broke, and what happened before.
    pub broken: Option<(String, Vec<String>)>,
}

/// A range of seeds.
#[derive(Debug)]
pub struct Lives<T> {
    /// Seeds run.
    pub seeds: u64,
    /// What happened in all of them.
    pub tally: T,
    /// Those that broke a promise, in order.
    pub failures: Vec<Failure>,
    /// How long it took.
    pub took: Duration,
}

impl<T: Tally> Lives<T> {
    fn none() -> Self {
        Self {
            seeds: 0,
            tally: T::default(),
            failures: Vec::new(),
            took: Duration::ZERO,
        }
    }

    fn add(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.tally.add(&other.tally);
        self.failures.extend(other.failures);
    }
}

/// Has each seed live, on `per_processor` threads for each processor.
///
/// # Errors
/// The first of `live`.
pub fn run<T: Tally, E: Send>(
    seeds: Range<u64>,
    per_processor: usize,
    stop_at_first: bool,
    live: impl Fn(u64) -> Result<Life<T>, E> + Sync,
) -> Result<Lives<T>, E> {
    let started = Instant::now();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = (processors * per_processor).max(1);
    let found = AtomicBool::new(false);
    let part = |worker: usize| {
        let mut part = Lives::<T>::none();
        for seed in (seeds.start + worker as u64..seeds.end).step_by(workers) {
            if stop_at_first && found.load(Ordering::Relaxed) {
                break;
            }
            let life = live(seed)?;
            part.seeds += 1;
            part.tally.add(&life.tally);
            if let Some((promise, trace)) = life.broken {
                part.failures.push(Failure {
                    seed,
                    promise,
                    trace,
                });
                found.store(true, Ordering::Relaxed);
            }
        }
        Ok(part)
    };
    let parts = std::thread::scope(|scope| {
        let part = &part;
        let handles: Vec<_> = (0..workers)
            .map(|worker| scope.spawn(move || part(worker)))
            .collect();
        let joined = handles.into_iter().map(|handle| {
            handle
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.collect::<Result<Vec<_>, E>>()
    })?;
    let mut all = Lives::none();
    for part in parts {
        all.add(part);
    }
    all.failures.sort_by_key(|failure| failure.seed);
    all.took = started.elapsed();
    Ok(all)
}

/// Fails a test with the first seed that broke a promise.
#[cfg(test)]
pub(crate) fn assert_none(failures: &[Failure]) {
    if let Some(failure) = failures.first() {
        panic!(
            "seed {}: {}\n{}",
            failure.seed,
            failure.promise,
            failure.trace.join("\n")
        );
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[derive(Default)]
    struct Sum(u64);

    impl Tally for Sum {
        fn add(&mut self, other: &Self) {
            self.0 += other.0;
        }
    }

    fn live(seed: u64) -> Result<Life<Sum>, Infallible> {
        Ok(Life {
            tally: Sum(seed),
            broken: (seed % 10 == 3).then(|| ("no threes".to_owned(), Vec::new())),
        })
    }

    #[test]
    fn every_seed_lives_once_and_failures_come_in_order() {
        let Ok(lives) = run(5..105, 2, false, live);
        assert_eq!(lives.seeds, 100);
        assert_eq!(lives.tally.0, (5..105).sum::<u64>());
        let failed: Vec<_> = lives.failures.iter().map(|failure| failure.seed).collect();
        assert_eq!(failed, [13, 23, 33, 43, 53, 63, 73, 83, 93, 103]);
    }

    #[test]
    fn a_world_that_cannot_be_made_ends_the_run() {
        let result = run(0..10, 1, false, |seed| match seed {
            7 => Err("no world"),
            seed => live(seed).map_err(|never| match never {}),
        });
        assert_eq!(result.err(), Some("no world"));
    }
}
