//! An allocator that wipes what is freed: secrets pass through buffers of libraries that know
//! nothing of them.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::slice;

use zeroize::optimization_barrier;

/// Wipes each block before `A` gets it back, and so does each change of a block's size: what does
/// not fit any more moves, and the whole former block is wiped. Also where it shrinks, since nobody
/// knows what an allocator leaves of the part that it takes back.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wiping<A = System>(A);

impl Wiping {
    /// Over the system's allocator.
    pub const fn new() -> Self {
        Self(System)
    }
}

// SAFETY: every block comes from `A` and goes back to it with its own layout; `A` keeps the rules
// of an allocator. Nothing here unwinds, and nothing allocates.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Wiping<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's own promise: the layout has a size.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller's own promise: the block is one of this allocator's with this layout,
        // and nobody uses it any more. So its bytes may be written, and `A` knows it.
        unsafe {
            wipe(block, layout.size());
            self.0.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if size == layout.size() {
            return block;
        }
        // SAFETY: the caller's own promise: rounded up to the alignment, which is sound since it is
        // that of a layout, the size is no larger than a layout may be.
        let new = unsafe {
            let resized = Layout::from_size_align_unchecked(size, layout.align());
            self.0.alloc(resized)
        };
        if !new.is_null() {
            // SAFETY: both blocks are at least as long, and the new one is nobody else's. The
            // former is the caller's until it is given back here.
            unsafe {
                block.copy_to_nonoverlapping(new, layout.size().min(size));
                self.dealloc(block, layout);
            }
        }
        new
    }
}

/// Fills `len` bytes with zeros, whatever becomes of them afterwards.
///
/// # Safety
/// They are one block of memory that may be written, and that nobody else uses.
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: the caller's own promise. The bytes are initialized once they are written.
    let wiped = unsafe {
        block.write_bytes(0, len);
        slice::from_raw_parts(block, len)
    };
    // A compiler knows that nobody reads a block between here and its end, and would leave the
    // zeros out: for all that it can see, this reads them.
    optimization_barrier(wiped);
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use rand::rngs::StdRng;
    use rand::{Rng as _, RngExt as _, SeedableRng as _};

    use super::*;

    /// Keeps what is given back, so that it can be looked at.
    #[derive(Default)]
    struct Morgue(RefCell<Vec<(*mut u8, Layout)>>);

    // SAFETY: all blocks are the system's; those given back are freed with their layout later.
    unsafe impl GlobalAlloc for Morgue {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's own promise.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            self.0.borrow_mut().push((block, layout));
        }
    }

    impl Morgue {
        /// The sizes of the blocks that were given back, each of which has to be empty.
        fn wiped(&self) -> Vec<usize> {
            let mut sizes = Vec::new();
            for (block, layout) in self.0.borrow_mut().drain(..) {
                // SAFETY: it was not freed yet, has this layout, and was written when it was wiped.
                unsafe {
                    let bytes = slice::from_raw_parts(block, layout.size());
                    assert!(
                        bytes.iter().all(|byte| *byte == 0),
                        "{layout:?} holds something"
                    );
                    System.dealloc(block, layout);
                }
                sizes.push(layout.size());
            }
            sizes
        }
    }

    impl Drop for Morgue {
        fn drop(&mut self) {
            self.wiped();
        }
    }

    /// A block that is in use, and what it is to hold.
    struct Block {
        at: *mut u8,
        layout: Layout,
        content: Vec<u8>,
    }

    impl Block {
        fn filled(allocator: &Wiping<Morgue>, layout: Layout, rng: &mut StdRng) -> Self {
            let mut content = vec![0; layout.size()];
            rng.fill_bytes(&mut content);
            // SAFETY: the size is not 0, and all of the block is written.
            let at = unsafe {
                let at = allocator.alloc(layout);
                at.copy_from_nonoverlapping(content.as_ptr(), content.len());
                at
            };
            Self {
                at,
                layout,
                content,
            }
        }

        fn holds(&self, len: usize) -> bool {
            // SAFETY: the block is in use, and its first bytes were written.
            let held = unsafe { slice::from_raw_parts(self.at, len) };
            held == &self.content[..len]
        }
    }

    const SIZES: [usize; 10] = [1, 7, 8, 24, 64, 65, 4_095, 4_096, 65_536, 300_001];

    #[test]
    fn what_is_given_back_is_empty_whatever_its_size_and_place() {
        let rng = &mut StdRng::seed_from_u64(1);
        for size in SIZES {
            for align in [1, 16, 64, 4_096] {
                let allocator = Wiping(Morgue::default());
                let layout = Layout::from_size_align(size, align).unwrap();
                let block = Block::filled(&allocator, layout, rng);
                assert!(block.holds(size));
                assert_eq!(block.at.align_offset(align), 0);
                // SAFETY: it has this layout, and is not used again.
                unsafe { allocator.dealloc(block.at, layout) };
                assert_eq!(allocator.0.wiped(), [size]);
            }
        }
    }

    #[test]
    fn a_block_that_grows_or_shrinks_keeps_its_content_and_leaves_nothing_behind() {
        let rng = &mut StdRng::seed_from_u64(2);
        for size in SIZES {
            for other in SIZES {
                let allocator = Wiping(Morgue::default());
                let layout = Layout::from_size_align(size, 8).unwrap();
                let mut block = Block::filled(&allocator, layout, rng);
                // SAFETY: it has this layout, and is used at its new place alone.
                block.at = unsafe { allocator.realloc(block.at, layout, other) };
                assert!(block.holds(size.min(other)), "{size} to {other}");
                let moved = if size == other { vec![] } else { vec![size] };
                assert_eq!(allocator.0.wiped(), moved, "{size} to {other}");
                let layout = Layout::from_size_align(other, 8).unwrap();
                // SAFETY: it has this layout now, and is not used again.
                unsafe { allocator.dealloc(block.at, layout) };
            }
        }
    }

    #[test]
    fn blocks_of_any_order_hold_what_was_put_there() {
        let seed: u64 = rand::random();
        println!("seed {seed}");
        let rng = &mut StdRng::seed_from_u64(seed);
        let allocator = Wiping(Morgue::default());
        let mut blocks: Vec<Block> = Vec::new();
        for _ in 0..2_000 {
            let layout = Layout::from_size_align(rng.random_range(1..2_000), 8).unwrap();
            if blocks.len() < 20 || rng.random_bool(0.5) {
                blocks.push(Block::filled(&allocator, layout, rng));
                continue;
            }
            let at = rng.random_range(0..blocks.len());
            let mut block = blocks.swap_remove(at);
            assert!(block.holds(block.layout.size()));
            if rng.random_bool(0.3) {
                let kept = block.layout.size().min(layout.size());
                // SAFETY: it has this layout, and is used at its new place alone.
                block.at = unsafe { allocator.realloc(block.at, block.layout, layout.size()) };
                assert!(block.holds(kept));
                block.layout = layout;
            }
            // SAFETY: it has this layout, and is not used again.
            unsafe { allocator.dealloc(block.at, block.layout) };
        }
        for block in blocks {
            assert!(block.holds(block.layout.size()));
            // SAFETY: as above.
            unsafe { allocator.dealloc(block.at, block.layout) };
        }
    }

    #[test]
    fn zeroed_blocks_are_zeroed_and_no_memory_is_no_block() {
        struct Nothing;
        // SAFETY: it never gives a block, and is given none back.
        unsafe impl GlobalAlloc for Nothing {
            unsafe fn alloc(&self, _: Layout) -> *mut u8 {
                std::ptr::null_mut()
            }
            unsafe fn dealloc(&self, _: *mut u8, _: Layout) {
                panic!("the block is still its owner's");
            }
        }
        let layout = Layout::from_size_align(64, 8).unwrap();
        let mut owned = [7_u64; 8];
        let allocator = Wiping::new();
        // SAFETY: the layouts have a size, and each block goes back with its own. What cannot be
        // moved stays where it is, and the block of `Nothing` is never given to it.
        unsafe {
            let block = allocator.alloc_zeroed(layout);
            assert_eq!(slice::from_raw_parts(block, 64), [0; 64]);
            allocator.dealloc(block, layout);
            assert!(Wiping(Nothing).alloc(layout).is_null());
            let own = owned.as_mut_ptr().cast();
            assert!(Wiping(Nothing).realloc(own, layout, 128).is_null());
        }
        assert_eq!(owned, [7; 8], "it stays as it was");
    }
}
