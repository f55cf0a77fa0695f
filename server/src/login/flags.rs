//! What the results of several modules come to: required, requisite, sufficient, optional, as JAAS
//! has them.
//!
//! Ask [`Progress::goes_on`] before each module, tell its result by [`Progress::tell`], and ask
//! [`Progress::succeeds`] once there is no more.

use std::fmt;

/// What a module is to a log-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// It has to succeed. After its failure the others run all the same, so that nobody sees which
    /// one failed.
    Required,
    /// It has to succeed. After its failure nothing else runs.
    Requisite,
    /// Its success is enough, unless a required module failed before.
    Sufficient,
    /// It may succeed.
    Optional,
}

/// What came of a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModuleResult {
    /// It knows who it is.
    Success,
    /// It is not who they say.
    Failure,
    /// Nobody could tell: a failure for the flags, but no wrong password.
    Unavailable,
}

/// A log-in on its way through its modules.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    mandatory_failed: bool,
    succeeded: bool,
    stopped: bool,
}

impl Progress {
    /// Whether the next module is to run, where there is one.
    pub const fn goes_on(&self) -> bool {
        !self.stopped
    }

    /// The module with this flag came to this.
    pub fn tell(&mut self, flag: Flag, result: ModuleResult) {
        match (flag, result) {
            (Flag::Required | Flag::Requisite | Flag::Optional, ModuleResult::Success) => {
                self.succeeded = true;
            }
            (Flag::Sufficient, ModuleResult::Success) => {
                self.succeeded = true;
                self.stopped = !self.mandatory_failed;
            }
            (Flag::Required, _) => self.mandatory_failed = true,
            (Flag::Requisite, _) => {
                self.mandatory_failed = true;
                self.stopped = true;
            }
            (Flag::Sufficient | Flag::Optional, _) => {}
        }
    }

    /// Whether the log-in succeeds, as far as the flags go: none that had to succeed failed, and
    /// one succeeded.
    pub const fn succeeds(&self) -> bool {
        !self.mandatory_failed && self.succeeded
    }
}

/// The one user whom all modules that succeeded named; `None`: they named two, or none did.
pub fn agreed<'a>(named: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut named = named.into_iter();
    let first = named.next()?;
    named.all(|other| other == first).then_some(first)
}

impl Flag {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::Required,
        Self::Requisite,
        Self::Sufficient,
        Self::Optional,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::Requisite => "requisite",
            Self::Sufficient => "sufficient",
            Self::Optional => "optional",
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for ModuleResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Unavailable => "unavailable",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: [ModuleResult; 3] = [
        ModuleResult::Success,
        ModuleResult::Failure,
        ModuleResult::Unavailable,
    ];

    type Step = (Flag, ModuleResult);

    fn run(steps: &[Step]) -> (usize, bool) {
        let mut progress = Progress::default();
        let mut ran = 0;
        for (flag, result) in steps {
            if !progress.goes_on() {
                break;
            }
            progress.tell(*flag, *result);
            ran += 1;
        }
        (ran, progress.succeeds())
    }

    /// The table as it stands, over the whole sequence at once.
    fn by_the_table(steps: &[Step]) -> (usize, bool) {
        use Flag::{Optional, Required, Requisite, Sufficient};
        let well = |step: &Step| step.1 == ModuleResult::Success;
        let stops = |at: usize| {
            let before = &steps[..at];
            match steps[at].0 {
                Required | Optional => false,
                Requisite => !well(&steps[at]),
                Sufficient => {
                    well(&steps[at]) && !before.iter().any(|one| one.0 == Required && !well(one))
                }
            }
        };
        let ran = (0..steps.len())
            .find(|at| stops(*at))
            .map_or(steps.len(), |at| at + 1);
        let those = &steps[..ran];
        let lacking = those
            .iter()
            .filter(|one| matches!(one.0, Required | Requisite))
            .any(|one| !well(one));
        (ran, !lacking && those.iter().any(well))
    }

    #[test]
    fn every_sequence_of_up_to_four_modules_comes_to_what_the_table_says() {
        let one: Vec<Step> = Flag::ALL
            .into_iter()
            .flat_map(|flag| RESULTS.map(|result| (flag, result)))
            .collect();
        let mut sequences: Vec<Vec<Step>> = vec![Vec::new()];
        let mut checked = 0;
        for _ in 0..=4 {
            for steps in &sequences {
                assert_eq!(run(steps), by_the_table(steps), "{steps:?}");
                checked += 1;
            }
            sequences = sequences
                .iter()
                .flat_map(|steps| {
                    one.iter()
                        .map(|step| steps.iter().copied().chain([*step]).collect())
                })
                .collect();
        }
        println!("{checked} sequences of modules");
        assert_eq!(checked, 1 + 12 + 144 + 1_728 + 20_736);
    }

    #[test]
    fn the_corners_are_as_they_are_written_down() {
        use Flag::{Optional, Required, Requisite, Sufficient};
        use ModuleResult::{Failure, Success, Unavailable};
        for (steps, expected) in [
            (&[][..], (0, false)),
            (&[(Required, Success)], (1, true)),
            (&[(Required, Failure), (Sufficient, Success)], (2, false)),
            (&[(Sufficient, Success), (Required, Failure)], (1, true)),
            (&[(Requisite, Unavailable), (Optional, Success)], (1, false)),
            (
                &[(Optional, Failure), (Sufficient, Unavailable)],
                (2, false),
            ),
            (&[(Sufficient, Failure), (Optional, Success)], (2, true)),
            (
                &[
                    (Required, Failure),
                    (Requisite, Failure),
                    (Optional, Success),
                ],
                (2, false),
            ),
        ] {
            assert_eq!(run(steps), expected, "{steps:?}");
        }
    }

    #[test]
    fn modules_that_name_two_users_name_none() {
        assert_eq!(agreed([]), None);
        assert_eq!(agreed(["ada", "ada"]), Some("ada"));
        assert_eq!(agreed(["ada", "bob"]), None);
        assert_eq!(agreed(["ada", "Ada"]), None);
    }
}
