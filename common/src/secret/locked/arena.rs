//! Slots in locked pages.
//!
//! A chunk is 64 KiB of pages between two that nothing may touch, so that no overrun of the
//! ordinary heap reaches a key and none of a key's reaches it. It is cut into runs of 4 KiB, each
//! of which holds slots of one size, a power of two. What is larger than a run gets a chunk of its
//! own. Slots that are given back are wiped and used again; chunks of slots are never unmapped, so
//! their number follows the most that was ever needed at one time.

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering, compiler_fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::ZeroizeOnDrop;

use super::{NotLocked, pages};

const RUN: usize = 4096;
const SMALLEST: usize = 32;
const LARGEST: usize = RUN;
/// One for each power of two from the smallest to the largest slot.
const CLASSES: usize = (LARGEST / SMALLEST).ilog2() as usize + 1;

static ARENA: Mutex<Arena> = Mutex::new(Arena::new());
/// Bytes that the system refused to lock.
static REFUSED: AtomicUsize = AtomicUsize::new(0);

/// A value in locked memory; it is dropped, and its slot wiped, when this is dropped.
pub struct Locked<T: ZeroizeOnDrop> {
    slot: NonNull<T>,
    owns: PhantomData<T>,
}

// SAFETY: a `Locked` is the only owner of its value, as a `Box` is.
unsafe impl<T: ZeroizeOnDrop + Send> Send for Locked<T> {}
// SAFETY: a shared `Locked` gives shared references to its value and nothing else, as a `Box` does.
unsafe impl<T: ZeroizeOnDrop + Sync> Sync for Locked<T> {}

impl<T: ZeroizeOnDrop> Locked<T> {
    /// Keeps `value`. Where it was made on the stack, [`Self::make`] leaves nothing of it there.
    pub fn new(value: T) -> Self {
        let slot = allocate(Layout::new::<T>()).cast::<T>();
        // SAFETY: the slot is as large and as aligned as the layout of `T` asks, and nobody else's.
        unsafe { slot.write(value) };
        Self {
            slot,
            owns: PhantomData,
        }
    }
}

impl<T: ZeroizeOnDrop> Deref for Locked<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: written by `new`, valid until `drop`, and borrowed as long as `self` is.
        unsafe { self.slot.as_ref() }
    }
}

impl<T: ZeroizeOnDrop> DerefMut for Locked<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `self` is borrowed exclusively.
        unsafe { self.slot.as_mut() }
    }
}

impl<T: ZeroizeOnDrop> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: the value is valid, and nobody can reach it after this.
        unsafe { self.slot.drop_in_place() };
        // SAFETY: the slot came from `allocate` with this layout, and its value is gone.
        unsafe { release(self.slot.cast(), Layout::new::<T>()) };
    }
}

/// Whether all memory for keys was locked so far. Takes some where none was needed yet, so that it
/// tells at a program's start.
///
/// # Errors
/// [`NotLocked`]: it was not.
pub fn check() -> Result<(), NotLocked> {
    let layout = Layout::new::<[u8; SMALLEST]>();
    let slot = allocate(layout);
    // SAFETY: it came from the line above, and nothing was put into it.
    unsafe { release(slot, layout) };
    match REFUSED.load(Ordering::Relaxed) {
        0 => Ok(()),
        bytes => Err(NotLocked { bytes }),
    }
}

/// Which slots are free. It holds addresses, never a secret.
struct Arena {
    slots: [Vec<NonNull<u8>>; CLASSES],
    runs: Vec<NonNull<u8>>,
}

// SAFETY: the slots and runs in it are owned by it alone, and are bound to no thread.
unsafe impl Send for Arena {}

impl Arena {
    const fn new() -> Self {
        Self {
            slots: [const { Vec::new() }; CLASSES],
            runs: Vec::new(),
        }
    }

    fn take(&mut self, class: usize) -> Option<NonNull<u8>> {
        let free = self.slots.get_mut(class)?;
        if free.is_empty() {
            if self.runs.is_empty() {
                let chunk = map(pages::CHUNK)?;
                self.runs.extend(cut(chunk, pages::CHUNK, RUN));
            }
            free.extend(cut(self.runs.pop()?, RUN, SMALLEST << class));
        }
        free.pop()
    }
}

fn arena() -> MutexGuard<'static, Arena> {
    // No panic leaves the lists half-changed in a way that matters: at worst a slot is lost.
    ARENA.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The slot class of a layout; `None` where it needs a chunk of its own.
fn class(layout: Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(SMALLEST);
    (size <= LARGEST).then(|| (size.next_power_of_two() / SMALLEST).ilog2() as usize)
}

/// The chunk for what is too large for a slot.
fn chunk_len(layout: Layout) -> usize {
    layout.size().next_multiple_of(pages::CHUNK)
}

/// A slot for `layout`, of zeros. As with a `Box`, the program ends where there is no memory.
fn allocate(layout: Layout) -> NonNull<u8> {
    let slot = match class(layout) {
        Some(class) => arena().take(class),
        // Chunks are aligned to pages.
        None if layout.align() > RUN => None,
        None => map(chunk_len(layout)),
    };
    slot.unwrap_or_else(|| handle_alloc_error(layout))
}

/// Wipes a slot and takes it back.
///
/// # Safety
/// It came from [`allocate`] with the same layout, and holds no value that is used again.
unsafe fn release(slot: NonNull<u8>, layout: Layout) {
    let class = class(layout);
    let len = class.map_or_else(|| chunk_len(layout), |class| SMALLEST << class);
    // SAFETY: by the caller's word it is a slot of that length, and its value is gone.
    unsafe { wipe(slot, len) };
    match class {
        Some(class) => {
            if let Some(free) = arena().slots.get_mut(class) {
                free.push(slot);
            }
        }
        None => {
            // SAFETY: `allocate` mapped it with this length, and by the caller's word nothing uses
            // it.
            unsafe { pages::unmap(slot, len) };
        }
    }
}

/// Writes zeros over a slot of `len` bytes, a word at a time: slots are aligned to their size, and
/// at least 32 bytes long.
///
/// # Safety
/// The slot has that many bytes, and holds no value that is used again.
unsafe fn wipe(slot: NonNull<u8>, len: usize) {
    let words = slot.cast::<u64>();
    for index in 0..len / size_of::<u64>() {
        // SAFETY: within the slot, and aligned as it is. Volatile, because nobody reads it.
        unsafe { words.add(index).write_volatile(0) };
    }
    compiler_fence(Ordering::SeqCst);
}

fn map(len: usize) -> Option<NonNull<u8>> {
    let chunk = pages::map(len)?;
    if !pages::lock(chunk, len) {
        REFUSED.fetch_add(len, Ordering::Relaxed);
    }
    Some(chunk)
}

/// The pieces of `part` bytes of the `len` bytes from `start`.
fn cut(start: NonNull<u8>, len: usize, part: usize) -> impl Iterator<Item = NonNull<u8>> {
    // SAFETY: every offset is below the length of the mapping or run that begins at `start`.
    (0..len / part).map(move |index| unsafe { start.add(index * part) })
}
