//! Inputs of two classes, made by the same instructions.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// Bytes of a key: as many as the longest needs.
const KEY_LEN: usize = 32;
/// Bytes of a tag.
const TAG_LEN: usize = 32;

/// In what the two classes differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Classes {
    /// One key always, or a new one each time; the same data.
    Key,
    /// The same data always, or new data each time; one key.
    Data,
    /// A tag that is wrong in its first byte, or in its last; one key, the same data.
    Tag,
}

/// One of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// What stays the same, or the first byte.
    First,
    /// What changes, or the last byte.
    Second,
}

/// What one measurement works on.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) key: [u8; KEY_LEN],
    pub(super) data: Vec<u8>,
    /// To be added to the right tag.
    pub(super) error: [u8; TAG_LEN],
}

impl Input {
    pub(super) fn zeroed(data_len: usize) -> Self {
        Self {
            key: [0; KEY_LEN],
            data: vec![0; data_len],
            error: [0; TAG_LEN],
        }
    }

    fn random(data_len: usize, rng: &mut ChaCha8Rng) -> Self {
        let mut input = Self::zeroed(data_len);
        rng.fill_bytes(&mut input.key);
        rng.fill_bytes(&mut input.data);
        input
    }

    /// Becomes `other`, which has as much data.
    pub(super) fn copy_from(&mut self, other: &Self) {
        self.key = other.key;
        self.data.copy_from_slice(&other.data);
        self.error = other.error;
    }
}

/// Makes inputs. The fixed ones are random themselves: a key or a text of zeros is a special case.
pub(super) struct Inputs {
    classes: Classes,
    fixed: Input,
}

impl Inputs {
    pub(super) fn new(classes: Classes, data_len: usize, rng: &mut ChaCha8Rng) -> Self {
        Self {
            classes,
            fixed: Input::random(data_len, rng),
        }
    }

    /// So many inputs, each of a random class.
    pub(super) fn block(&self, count: usize, rng: &mut ChaCha8Rng) -> Vec<(Class, Input)> {
        let empty = (Class::First, Input::zeroed(self.fixed.data.len()));
        let mut block = vec![empty; count];
        self.refill(&mut block, rng);
        block
    }

    /// New ones in their place. Whatever its class, for each the same is drawn and the same is
    /// written.
    pub(super) fn refill(&self, block: &mut [(Class, Input)], rng: &mut ChaCha8Rng) {
        for (class, input) in block {
            let is_second = (rng.next_u32() & 1) as u8;
            *class = [Class::First, Class::Second][usize::from(is_second)];
            let second = 0_u8.wrapping_sub(is_second);
            rng.fill_bytes(&mut input.key);
            rng.fill_bytes(&mut input.data);
            let changing = |classes| if self.classes == classes { second } else { 0 };
            choose(changing(Classes::Key), &mut input.key, &self.fixed.key);
            choose(changing(Classes::Data), &mut input.data, &self.fixed.data);
            let bit = 1 << (rng.next_u32() & 7);
            let last = changing(Classes::Tag);
            input.error[0] = bit & !last;
            input.error[TAG_LEN - 1] = bit & last;
        }
    }
}

/// Leaves `random` where `mask` is ones, and puts `fixed` where it is zeros.
fn choose(mask: u8, random: &mut [u8], fixed: &[u8]) {
    for (random, fixed) in random.iter_mut().zip(fixed) {
        *random = (*random & mask) | (fixed & !mask);
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn classes_differ_in_what_they_say_and_in_nothing_else() {
        for classes in [Classes::Key, Classes::Data, Classes::Tag] {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let inputs = Inputs::new(classes, 16, &mut rng);
            let block = inputs.block(200, &mut rng);
            let all = |class, holds: &dyn Fn(&Input) -> bool| {
                let mut of_class = block.iter().filter(|(of, _)| *of == class).peekable();
                assert!(of_class.peek().is_some());
                of_class.all(|(_, input)| holds(input))
            };
            let key = |input: &Input| input.key == inputs.fixed.key;
            let data = |input: &Input| input.data == inputs.fixed.data;
            assert!(all(Class::First, &|input| key(input) && data(input)));
            assert!(all(Class::Second, &|input| key(input)
                != (classes == Classes::Key)));
            assert!(all(Class::Second, &|input| data(input)
                != (classes == Classes::Data)));
            assert!(all(Class::First, &|input| input.error[0] != 0
                && input.error[31] == 0));
            let last = |input: &Input| input.error[0] == 0 && input.error[31] != 0;
            assert!(all(Class::Second, &|input| last(input)
                == (classes == Classes::Tag)));
        }
    }
}
