//! Many calls over one ordered stream of frames (PROTOCOL.md, "Calls"): the state machines of both sides.
//!
//! [`Calling`] is the server's, [`Answering`] the gateway's. Both are driven the same way, and neither reads a clock or waits:
//!
//! 1. every frame that comes is given to `handle`; an error ends the stream;
//! 2. after every step, `take` gives the frames that may go, a batch at a time, until it gives none;
//! 3. what waits for a call leaves a tag with it, and is to be told when `handle` or another step gives the tag back.
//!
//! A message goes in parts, and the parts of many calls in turn, so that a long one holds up no short one. Each side sends only
//! what the other gave it credit for; a message longer than half of the first credit is awaited until there is room to put it together
//! in. So a call that nobody reads stops only itself, and what one stream may hold is bounded.

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
/// Credit of every call from its start, in bytes.
pub const CALL_CREDIT: u32 = 64 * 1024;
/// Credit of the answers to every call from its start, in bytes.
pub const ANSWER_CREDIT: u32 = 160 * 1024;
/// What every message costs of the credit beside its bytes.
pub const MESSAGE_COST: u32 = 64;
/// How long a gateway may leave a cancelled call without an end, in milliseconds.
pub const CANCEL_GRACE: u64 = 30_000;
/// Frames that go together: a batch ends with the frame that brings it to so many bytes.
pub const BATCH: usize = 32 * 1024;

/// Room of one stream for calls that are longer than half of the first credit.
const CALL_BUDGET: u32 = 16 * 1024 * 1024;
/// Room of one stream for answers that are longer than half of the first credit.
const ANSWER_BUDGET: u32 = 32 * 1024 * 1024;
/// Answers of one call that wait to be sent, in bytes, before its search waits, too.
const ANSWER_QUEUE: usize = 128 * 1024;
