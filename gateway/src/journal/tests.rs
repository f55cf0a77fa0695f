//! What the journal promises, on a disk of its own.

mod bench;
mod damage;
mod jumps;
mod kept;
mod once;
