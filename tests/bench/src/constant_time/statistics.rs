//! Welch's t-test on the times of two classes, of their means and of their variances, with the
//! slowest left out at many limits.

use std::time::Duration;

use serde::Serialize;

use super::inputs::Class;

/// |t| above which chance is an unlikely explanation of one test: once in 150,000.
pub(super) const SUSPICIOUS: f64 = 4.5;
/// |t| above which it is none, however many tests are made.
pub(super) const DEFINITE: f64 = 10.0;
/// Measurements that a class must have in a test: below, the mean of skewed times is not normal
/// enough.
const ENOUGH: usize = 1_000;
/// Limits beside the one that leaves nothing out.
const CROPS: u8 = 20;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Moment {
    Mean,
    /// A leak that is equally often fast and slow shows in it.
    Variance,
}

/// Which of the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Test {
    pub(super) moment: Moment,
    /// Number of the limit; [`CROPS`] leaves nothing out.
    crop: u8,
}

impl Test {
    fn all() -> impl Iterator<Item = Self> {
        (0..=CROPS)
            .flat_map(|crop| [Moment::Mean, Moment::Variance].map(|moment| Self { moment, crop }))
    }

    /// The part of the measurements that is kept, the fastest: 7 % to 99.9 %, closer to one another
    /// the nearer to all (as in dudect), for interruptions are few and long.
    pub(super) fn kept(self) -> f64 {
        if self.crop == CROPS {
            1.0
        } else {
            1.0 - 0.5_f64.powf(10.0 * f64::from(5 * self.crop + 1) / 100.0)
        }
    }
}

/// What a test gave.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statistic {
    pub(super) test: Test,
    pub(super) t: f64,
    /// The mean of the first class, of what was kept.
    pub(super) mean_ns: f64,
    /// By how much the mean of the second is greater.
    pub(super) difference_ns: f64,
    /// From which difference on |t| would have been suspicious.
    pub(super) noticeable_ns: f64,
}

/// The times of both classes in nanoseconds; 4.3 s and more count as that.
pub(super) struct Samples([Vec<u32>; 2]);

impl Samples {
    pub(super) fn with_capacity(measurements: usize) -> Self {
        Self([(); 2].map(|()| Vec::with_capacity(measurements)))
    }

    pub(super) fn push(&mut self, class: Class, took: Duration) {
        let took = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
        match class {
            Class::First => self.0[0].push(took),
            Class::Second => self.0[1].push(took),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0[0].len() + self.0[1].len()
    }

    /// The test with the greatest |t|.
    pub(super) fn strongest(self) -> Statistic {
        let sorted = Sorted::new(self);
        let all = Test::all().map(|test| sorted.statistic(test));
        all.reduce(|best, next| {
            if next.t.abs() > best.t.abs() {
                next
            } else {
                best
            }
        })
        .unwrap_or_else(|| {
            sorted.statistic(Test {
                moment: Moment::Mean,
                crop: CROPS,
            })
        })
    }

    /// One test.
    pub(super) fn at(self, test: Test) -> Statistic {
        Sorted::new(self).statistic(test)
    }
}

struct Sorted {
    classes: [Vec<u32>; 2],
    pooled: Vec<u32>,
}

impl Sorted {
    fn new(Samples(mut classes): Samples) -> Self {
        let mut pooled = classes.concat();
        pooled.sort_unstable();
        classes.iter_mut().for_each(|class| class.sort_unstable());
        Self { classes, pooled }
    }

    /// The limit is one of both classes together: it knows nothing of them.
    fn statistic(&self, test: Test) -> Statistic {
        let kept = (self.pooled.len() as f64 * test.kept()).ceil() as usize;
        let limit = self
            .pooled
            .get(kept.saturating_sub(1))
            .copied()
            .unwrap_or(u32::MAX);
        let [first, second] = self.classes.each_ref().map(|class| {
            let kept = class.partition_point(|&time| time <= limit);
            Moments::of(&class[..kept])
        });
        let noise = |variance: fn(&Moments) -> f64| {
            (variance(&first) / first.count + variance(&second) / second.count).sqrt()
        };
        let (difference, noise_of_it) = match test.moment {
            Moment::Mean => (second.mean - first.mean, noise(|of| of.second)),
            Moment::Variance => (
                second.second - first.second,
                noise(|of| of.fourth - of.second.powi(2)),
            ),
        };
        let too_few = first.count.min(second.count) < ENOUGH as f64;
        Statistic {
            test,
            t: if too_few || difference == 0.0 {
                0.0
            } else {
                difference / noise_of_it
            },
            mean_ns: first.mean,
            difference_ns: second.mean - first.mean,
            noticeable_ns: SUSPICIOUS * noise(|of| of.second),
        }
    }
}

/// The mean, and the second and fourth moments about it.
struct Moments {
    count: f64,
    mean: f64,
    second: f64,
    fourth: f64,
}

impl Moments {
    fn of(times: &[u32]) -> Self {
        let count = times.len() as f64;
        let mean = times.iter().map(|&time| f64::from(time)).sum::<f64>() / count;
        let (second, fourth) = times.iter().fold((0.0, 0.0), |(second, fourth), &time| {
            let square = (f64::from(time) - mean).powi(2);
            (second + square, square.mul_add(square, fourth))
        });
        Self {
            count,
            mean,
            second: second / count,
            fourth: fourth / count,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::{Rng, SeedableRng};

    use super::*;

    /// Times like those of a busy machine, with `secret` added by class: most near 1 µs, one in
    /// fifty interrupted.
    fn samples(secret: impl Fn(Class, u64) -> u64) -> Samples {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let mut samples = Samples::with_capacity(0);
        for _ in 0..200_000 {
            let [class, noise, interrupted, more] = [(); 4].map(|()| u64::from(rng.next_u32()));
            let class = [Class::First, Class::Second][class as usize & 1];
            let interruption = if interrupted % 50 == 0 {
                more % 1_000_000
            } else {
                0
            };
            let took = 1_000 + noise % 200 + interruption + secret(class, more);
            samples.push(class, Duration::from_nanos(took));
        }
        samples
    }

    #[test]
    fn classes_that_take_the_same_time_are_not_told_apart() {
        let t = samples(|_, _| 0).strongest().t;
        assert!(t.abs() < SUSPICIOUS, "{t}");
    }

    #[test]
    fn a_leak_far_below_the_noise_is_found_and_measured() {
        let leak = |class, _| 3 * u64::from(class == Class::Second);
        let found = samples(leak).strongest();
        assert!(found.t.abs() > DEFINITE, "{found:?}");
        // Even noise that ends at one limit for both classes moves by half of what was added.
        assert!((1.2..1.8).contains(&found.difference_ns), "{found:?}");
        assert!(found.noticeable_ns < found.difference_ns, "{found:?}");
        let moment = Moment::Mean;
        let mean = samples(leak).at(Test {
            moment,
            ..found.test
        });
        assert!(mean.t > DEFINITE, "{mean:?}");
    }

    #[test]
    fn a_leak_that_leaves_the_mean_alone_is_found() {
        let secret = |class, random: u64| match class {
            Class::First => 50,
            Class::Second => 100 * (random & 1),
        };
        let found = samples(secret).strongest();
        assert!(found.t.abs() > DEFINITE, "{found:?}");
        assert_eq!(found.test.moment, Moment::Variance);
    }

    #[test]
    fn too_few_measurements_say_nothing() {
        let mut samples = Samples::with_capacity(0);
        for _ in 0..ENOUGH - 1 {
            samples.push(Class::First, Duration::from_nanos(1));
            samples.push(Class::Second, Duration::from_nanos(2));
        }
        assert_eq!(samples.strongest().t, 0.0);
    }
}
