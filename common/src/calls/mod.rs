//! Many calls over one ordered stream of frames (PROTOCOL.md, "Calls"): the state machines of both
//! sides.
//!
//! [`Calling`] is the server's side, [`Answering`] the gateway's. Both are driven the same way, and
//! neither reads a clock or waits:
//!
//! 1. the driver gives every frame that arrives to `handle`; an error ends the stream;
//! 2. after every step it calls `take` for the frames that may be sent, a batch at a time, until
//!    there are none;
//! 3. a reader that has to wait for a call leaves a tag with the call, and is woken when `handle`
//!    or another step gives the tag back.
//!
//! # What may be sent, and when
//!
//! A message is sent in parts of at most 8 KiB, and the calls that have something to send take
//! turns, one part each. So a long message does not hold up a short one.
//!
//! A sender needs *credit* for what it sends. Each direction of each call has credit of its own,
//! and the receiver gives it back as messages are read. Of the first credit, which is the *window*
//! of that direction, every byte is at any moment in one of three places, and the last never holds
//! more than half of the window:
//!
//! ```text
//!     |<------------------------- window ------------------------->|
//!     +---------------------+--------------------+-----------------+
//!     | credit              | in use             | owed            |
//!     | may still be sent   | sent, and not read | read, and to be |
//!     |                     |                    | given back      |
//!     +---------------------+--------------------+-----------------+
//!                |  the sender sends    ^  |   the reader reads  ^
//!                +----------------------+  +---------------------+
//!     ^                                                     |
//!     +-- a CREDIT frame, when half of the window is owed --+
//! ```
//!
//! Half of the window may be owed, so a message that costs more than the other half might never
//! become whole. It needs *room*: memory to put it together in, out of one *budget* for all calls
//! of the stream. It asks once somebody waits for it, and gets room in the order of asking:
//!
//! ```text
//!     Needed ---- somebody waits ----> Asked ---- the budget has len bytes left ----> Granted
//! ```
//!
//! Once it has room, the sender gets credit for all of its bytes, up to a window at a time. The
//! room goes back into the budget when the message was read or given up.
//!
//! So a call that floods the stream, or that nobody reads, stops only itself, and what one stream
//! may hold in memory is bounded.

mod answering;
mod budget;
mod calling;
mod flow;
mod frame;
mod incoming;
#[cfg(feature = "tonic")]
mod messages;
mod outgoing;
mod sender;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

pub use answering::{Answering, Event};
pub use calling::{Answer, Calling, NotSubmitted, Unsent};
pub use frame::{Begin, Frame, Kind, Refusal, Violation};

/// Calls of one stream that the gateway has not ended, at most.
pub const MAX_CALLS: usize = 1024;
/// Calls of one stream that wait until the gateway takes more, at most.
pub const MAX_WAITING: usize = 16 * 1024;
/// The longest call, in bytes.
pub const MAX_CALL: u32 = 4 * 1024 * 1024;
/// The longest answer, or item of a search, in bytes.
pub const MAX_ANSWER: u32 = 16 * 1024 * 1024;
/// The most of a message that one frame carries, in bytes.
pub const MAX_PART: u32 = 8 * 1024;
/// The first credit of the server for each call, in bytes.
pub const CALL_CREDIT: u32 = 64 * 1024;
/// The first credit of the gateway for the answers to each call, in bytes.
pub const ANSWER_CREDIT: u32 = 160 * 1024;
/// What each message costs of the credit on top of its bytes.
pub const MESSAGE_COST: u32 = 64;
/// How long a gateway may leave a cancelled call without an end, in milliseconds.
pub const CANCEL_GRACE: u64 = 30_000;
/// Bytes of a batch: it ends with the frame that reaches this size.
pub const BATCH: usize = 32 * 1024;

/// The budget of one stream, in bytes, for calls that need room.
const CALL_BUDGET: u32 = 16 * 1024 * 1024;
/// The budget of one stream, in bytes, for answers that need room.
const ANSWER_BUDGET: u32 = 32 * 1024 * 1024;
/// Bytes of answers that may wait to be sent for one call. Beyond that its search waits, too.
const ANSWER_QUEUE: usize = 128 * 1024;
