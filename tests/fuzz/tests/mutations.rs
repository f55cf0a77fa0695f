//! Every target on mutations of its seeds, and the planted faults, which have to be found.
//!
//! `PORTCULLIS_FUZZ_SECONDS` (2) says how long for each, a planted fault at most thirty times that;
//! `PORTCULLIS_FUZZ_SEED` repeats a run.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use portcullis_fuzz::{PLANTED, TARGETS, Target, mutated};
use rand::SeedableRng as _;
use rand_chacha::ChaCha12Rng;

/// One at a time: a target measures what the whole process holds.
static ALONE: Mutex<()> = Mutex::new(());

fn seeds(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("seeds")
        .join(name);
    let files = std::fs::read_dir(&folder).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: `cargo run -p portcullis-fuzz --example seeds` makes seeds",
            folder.display()
        )
    });
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect()
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// How long each target is tried.
fn each() -> Duration {
    Duration::from_secs(variable("PORTCULLIS_FUZZ_SECONDS").unwrap_or(2))
}

/// The input that the target fails on, where one is found in that time.
fn search(target: &Target, seeds: &[Vec<u8>], longest: Duration) -> Option<Vec<u8>> {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let seed = variable("PORTCULLIS_FUZZ_SEED").unwrap_or_else(rand::random);
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let fails = |input: &[u8]| catch_unwind(|| (target.run)(input)).is_err();
    if let Some(input) = seeds.iter().find(|input| fails(input)) {
        return Some(input.clone());
    }
    let (began, mut inputs) = (Instant::now(), 0_u64);
    let mut found = None;
    while found.is_none() && began.elapsed() < longest {
        inputs += 1;
        found = Some(mutated(seeds, &mut rng)).filter(|input| fails(input));
    }
    println!("{}: {inputs} inputs, seed {seed}", target.name);
    found
}

fn holds(name: &str) {
    let target = TARGETS
        .iter()
        .find(|target| target.name == name)
        .unwrap_or_else(|| panic!("{name} is not in TARGETS of tests/fuzz/src/lib.rs"));
    if let Some(input) = search(target, &seeds(name), each()) {
        // The temporary folder of a suite goes with it; its logs stay.
        let folder = std::env::var_os("PORTCULLIS_TEST_LOGS")
            .map_or_else(std::env::temp_dir, std::path::PathBuf::from);
        let file = folder.join(format!("{name}.failed"));
        std::fs::write(&file, &input).unwrap();
        panic!(
            "{name} fails on {} ({} bytes): put it into tests/fuzz/seeds/{name} when it is mended",
            file.display(),
            input.len()
        );
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        #[test]
        fn no_target_is_left_out() {
            let names = [$(stringify!($name)),*];
            for target in TARGETS {
                let name = target.name;
                assert!(names.contains(&name), "{name} is not in targets! of tests/mutations.rs");
            }
        }
    };
}

targets! {
    call_frames directory_message frame_header gateway_record handshake ids listing message0 message1 message2 message3 message4 order peers proxy_answer record_opener token
}

#[test]
fn planted_faults_are_found() {
    // Chance finds them at once or late: the search ends with the find, and only one that finds
    // nothing takes all of this.
    let longest = 30 * each();
    for (name, planted) in PLANTED {
        // Of the seeds those that do not find it by themselves.
        let passes = |input: &Vec<u8>| catch_unwind(|| (planted.run)(input)).is_ok();
        let seeds: Vec<_> = seeds(name).into_iter().filter(passes).collect();
        assert!(
            search(planted, &seeds, longest).is_some(),
            "{} was not found",
            planted.name
        );
    }
}
