//! Slots of every size, shared by threads; on Linux also what the system says of their pages.

use std::collections::VecDeque;
use std::thread;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng};

use super::*;

/// As large as the field, wiped by nobody but the slot.
struct Field<const N: usize>([u8; N]);

impl<const N: usize> ZeroizeOnDrop for Field<N> {}

fn holds_only<const N: usize>(value: &Locked<Field<N>>, byte: u8) -> bool {
    value.0.iter().all(|found| *found == byte)
}

#[test]
fn values_of_all_sizes_stand_apart_and_are_aligned() {
    #[repr(align(64))]
    struct Aligned(u8);
    impl ZeroizeOnDrop for Aligned {}

    let small: Vec<_> = (0..=255)
        .map(|byte| Locked::new(Field([byte; 1])))
        .collect();
    let middle: Vec<_> = (0..=255)
        .map(|byte| Locked::new(Field([byte; 33])))
        .collect();
    let page: Vec<_> = (0..8)
        .map(|byte| Locked::new(Field([byte; 4096])))
        .collect();
    let large: Vec<_> = (0..8)
        .map(|byte| Locked::new(Field([byte; 6000])))
        .collect();
    let chunk: Vec<_> = (0..4)
        .map(|byte| Locked::new(Field([byte; 70_000])))
        .collect();
    let aligned = Locked::new(Aligned(9));
    for byte in 0..=255 {
        assert!(holds_only(&small[usize::from(byte)], byte));
        assert!(holds_only(&middle[usize::from(byte)], byte));
    }
    assert!((0..8).all(|byte| holds_only(&page[usize::from(byte)], byte)));
    assert!((0..8).all(|byte| holds_only(&large[usize::from(byte)], byte)));
    assert!((0..4).all(|byte| holds_only(&chunk[usize::from(byte)], byte)));
    assert_eq!(aligned.0, 9);
    assert_eq!(&raw const *aligned as usize % 64, 0);
}

#[test]
fn a_value_is_dropped_once_and_a_copy_is_one_of_its_own() {
    let original = LockedBytes::<24>::copy_of(&[7; 24]);
    let mut copy = original.clone();
    copy.fill(8);
    assert_eq!((*original, *copy), ([7; 24], [8; 24]));
    assert_eq!(format!("{original:?}"), "LockedBytes(Locked([redacted]))");

    struct Counted<'a>(&'a std::cell::Cell<u32>);
    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    impl ZeroizeOnDrop for Counted<'_> {}
    let drops = std::cell::Cell::new(0);
    let value = Locked::new(Counted(&drops));
    assert_eq!(drops.get(), 0);
    drop(value);
    assert_eq!(drops.get(), 1);
}

/// Threads take slots, hand them to one another and give them back, each with a pattern that nobody
/// else may disturb.
#[test]
fn threads_never_share_a_slot() {
    let seed: u64 = rand::rng().random();
    println!("seed {seed}");
    let (rounds, threads) = if cfg!(miri) { (60, 3) } else { (20_000, 8) };
    let (sender, receiver) = std::sync::mpsc::channel::<(u8, Locked<Field<100>>)>();
    let workers: Vec<_> = (0..threads)
        .map(|number| {
            let sender = sender.clone();
            thread::spawn(move || {
                let mut rng = StdRng::seed_from_u64(seed ^ number);
                let mut held: VecDeque<(u8, Locked<Field<100>>)> = VecDeque::new();
                for _ in 0..rounds {
                    let byte: u8 = rng.random();
                    match rng.random_range(0..8) {
                        0..4 => held.push_back((byte, Locked::new(Field([byte; 100])))),
                        4 => {
                            if let Some(given) = held.pop_back() {
                                sender.send(given).unwrap();
                            }
                        }
                        _ => {
                            if let Some((byte, value)) = held.pop_front() {
                                assert!(holds_only(&value, byte));
                            }
                        }
                    }
                }
                assert!(held.iter().all(|(byte, value)| holds_only(value, *byte)));
            })
        })
        .collect();
    drop(sender);
    let mut received = 0;
    for (byte, value) in receiver {
        assert!(holds_only(&value, byte));
        received += 1;
    }
    for worker in workers {
        worker.join().unwrap();
    }
    assert!(received > 0);
}

#[cfg(all(feature = "locked-memory", target_os = "linux", not(miri)))]
mod linux {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use portcullis_tdes::Tdes;

    use super::*;
    use crate::crypto::mac::MacKey;
    use crate::id::KeyKind;
    use crate::secret::{MasterKey, StorageSecret};

    /// The two-letter flags of the mapping that holds `address` (proc(5), `smaps`), and whether it
    /// can be read.
    fn flags(address: usize) -> (String, Vec<String>) {
        let smaps = fs::read_to_string("/proc/self/smaps").unwrap();
        let mut rights = None;
        for line in smaps.lines() {
            let range = line.split_once(' ').and_then(|(range, rest)| {
                let (from, to) = range.split_once('-')?;
                let from = usize::from_str_radix(from, 16).ok()?;
                let to = usize::from_str_radix(to, 16).ok()?;
                Some((from..to, rest))
            });
            if let Some((range, rest)) = range {
                rights = range.contains(&address).then(|| rest[..4].to_owned());
            } else if let (Some(rights), Some(flags)) = (&rights, line.strip_prefix("VmFlags:")) {
                let flags = flags.split_whitespace().map(str::to_owned).collect();
                return (rights.clone(), flags);
            }
        }
        panic!("nothing is mapped at {address:#x}");
    }

    fn assert_hidden(what: &str, address: usize) {
        let (rights, flags) = flags(address);
        assert_eq!(rights, "rw-p", "{what}");
        // Locked, not dumped, not copied on fork.
        for flag in ["lo", "dd", "dc"] {
            assert!(
                flags.iter().any(|found| found == flag),
                "{what}: no `{flag}` in {flags:?}"
            );
        }
    }

    #[test]
    fn keys_stand_in_pages_that_are_locked_and_left_out_of_dumps_and_children() {
        check().unwrap();
        let rng = &mut rand::rng();
        for kind in [KeyKind::Tdes, KeyKind::Aes256] {
            let key = MasterKey::random(kind, rng);
            assert_hidden("a key", key.expose().as_ptr().addr());
            let copy = key.clone();
            assert_hidden("a copy", copy.expose().as_ptr().addr());
        }
        let secret = StorageSecret::from_bytes(&[1; 32]);
        assert_hidden("a secret", secret.expose().as_ptr().addr());
        let large = Locked::new(Field([1; 5000]));
        assert_hidden("a large value", large.0.as_ptr().addr());

        // Their state stands elsewhere: on this stack are the addresses alone.
        assert_eq!(size_of::<MacKey>(), size_of::<usize>());
        assert_eq!(size_of::<Locked<Tdes>>(), size_of::<usize>());

        let on_the_stack = [0_u8; 32];
        let (_, flags) = flags(on_the_stack.as_ptr().addr());
        assert!(
            !flags.iter().any(|flag| flag == "dd"),
            "this search tells nothing: {flags:?}"
        );
    }

    #[test]
    fn guards_stand_on_either_side() {
        let large = Locked::new(Field([1; 64 * 1024]));
        let start = large.0.as_ptr().addr();
        for (what, address) in [("before", start - 1), ("after", start + 64 * 1024)] {
            assert_eq!(flags(address).0, "---p", "{what}");
        }
    }

    /// Reads memory that belongs to nobody any more as another program would: through the system.
    #[test]
    fn a_slot_is_wiped_when_it_is_given_back() {
        let memory = fs::File::open("/proc/self/mem").unwrap();
        let read = |address: usize| {
            let mut bytes = [0xFF; 300];
            memory.read_exact_at(&mut bytes, address as u64).unwrap();
            bytes
        };
        // A size that no other test takes, so that no other thread takes the slot again in between.
        let value = Locked::new(Field([0xA5; 300]));
        let address = value.0.as_ptr().addr();
        assert_eq!(read(address), [0xA5; 300]);
        drop(value);
        assert_eq!(read(address), [0; 300]);
    }

    #[test]
    fn the_stack_is_wiped_after_a_secret() {
        // So large that the calls which search the stack do not write over all of it.
        const LEN: usize = 4096;
        #[inline(never)]
        fn careless() -> u8 {
            let mut keys = [0xC3_u8; LEN];
            std::hint::black_box(&mut keys);
            keys[5]
        }
        let memory = fs::File::open("/proc/self/mem").unwrap();
        let mut below = vec![0; 2 * LEN];
        let marker = 0_u8;
        let from = ((&raw const marker).addr() - below.len()) as u64;

        assert_eq!(careless(), 0xC3);
        memory.read_exact_at(&mut below, from).unwrap();
        assert!(
            below.windows(24).any(|window| window == [0xC3; 24]),
            "this search tells nothing"
        );

        assert_eq!(stack::wiped(careless), 0xC3);
        memory.read_exact_at(&mut below, from).unwrap();
        assert!(!below.windows(8).any(|window| window == [0xC3; 8]));
    }
}
