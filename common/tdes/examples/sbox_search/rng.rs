//! SplitMix64: enough for a search, and the same everywhere.

pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((self.next() >> 32) as usize * end) >> 32
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// One of the things it is offered, each with the same probability.
pub(crate) struct Choice<T> {
    chosen: Option<T>,
    offered: usize,
}

impl<T> Choice<T> {
    pub(crate) fn new() -> Self {
        Self {
            chosen: None,
            offered: 0,
        }
    }

    pub(crate) fn offer(&mut self, item: T, rng: &mut Rng) {
        self.offered += 1;
        if rng.below(self.offered) == 0 {
            self.chosen = Some(item);
        }
    }

    pub(crate) fn made(self) -> Option<T> {
        self.chosen
    }
}
