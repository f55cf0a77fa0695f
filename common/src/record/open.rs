//! The receiving side of a direction.

use std::fmt;
use std::time::Duration;

use super::direction::{Direction, State};
use super::{HEADER_LEN, RecordError, RecordHeader, RecordLimits, RecordType};
use crate::crypto::suites::Suite;
use crate::id::KeyKind;
use crate::secret::TrafficSecret;

/// What a record turned out to be, once its tag was verified.
#[derive(PartialEq, Eq)]
pub enum Opened<'a> {
    /// Plaintext, deciphered in place.
    Data(&'a mut [u8]),
    /// The next record is under the next key.
    KeyUpdate,
    /// The peer sends nothing more.
    Close,
}

/// Opens what the other side sealed, in the order in which it did.
pub struct Opener {
    state: State,
    /// When the present epoch was first seen at [`Self::prepare`]: the sender's own clock is not
    /// known here.
    epoch_seen: Option<Duration>,
}

impl Opener {
    /// The receiver of a direction whose first secret is `secret`. `kind` is that of the session's
    /// master key.
    pub fn new(secret: TrafficSecret, kind: KeyKind, suite: Suite, limits: RecordLimits) -> Self {
        Self {
            state: State::Live(Box::new(Direction::new(secret, kind, suite, limits))),
            epoch_seen: None,
        }
    }

    /// Checks a header, which is not authenticated yet: it bounds what is to be read before
    /// [`Self::open`]. May be asked again.
    ///
    /// # Errors
    /// [`RecordError`] where no record has such a header, or none may come any more. The direction
    /// is dead.
    pub fn header(&mut self, bytes: [u8; HEADER_LEN]) -> Result<RecordHeader, RecordError> {
        self.live()
            .and_then(|_| RecordHeader::parse(bytes))
            .inspect_err(|_| self.kill())
    }

    /// Verifies a record and deciphers it in place. `body` is as long as [`RecordHeader::body_len`]
    /// says.
    ///
    /// # Errors
    /// [`RecordError`] where it is not the record that the peer sealed next, or breaks the rules.
    /// The direction is dead, and `body` holds no plaintext.
    pub fn open<'a>(
        &mut self,
        header: RecordHeader,
        body: &'a mut [u8],
    ) -> Result<Opened<'a>, RecordError> {
        let opened = self.live().and_then(|live| open(live, header, body));
        match opened {
            Err(_) => self.kill(),
            Ok(Opened::Close) => self.state = State::Closed,
            Ok(Opened::KeyUpdate) => self.epoch_seen = None,
            Ok(Opened::Data(_)) => {}
        }
        opened
    }

    /// Makes what the next records will need: for a moment in which there is nothing else to do.
    /// `now` is as in [`Sealer::data`](super::Sealer::data).
    pub fn prepare(&mut self, now: Duration) {
        if let State::Live(direction) = &mut self.state {
            let seen = *self.epoch_seen.get_or_insert(now);
            direction.prepare(now.saturating_sub(seen));
        }
    }

    /// Gives back what [`Self::prepare`] made, and whatever else can be made again: for a link that
    /// is idle.
    pub fn rest(&mut self) {
        if let State::Live(direction) = &mut self.state {
            direction.rest();
        }
    }

    /// Erases the keys: nothing more can be opened.
    pub fn kill(&mut self) {
        self.state = State::Dead;
    }

    fn live(&mut self) -> Result<&mut Direction, RecordError> {
        match &mut self.state {
            State::Live(direction) => Ok(direction),
            State::Closed => Err(RecordError::AfterClose),
            State::Dead => Err(RecordError::Dead),
        }
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Opener([redacted])")
    }
}

/// Plaintext never shows.
impl fmt::Debug for Opened<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(text) => write!(f, "Data({} bytes)", text.len()),
            Self::KeyUpdate => f.write_str("KeyUpdate"),
            Self::Close => f.write_str("Close"),
        }
    }
}

fn open<'a>(
    direction: &mut Direction,
    header: RecordHeader,
    body: &'a mut [u8],
) -> Result<Opened<'a>, RecordError> {
    let body_len = body.len();
    let (text, tag) = body
        .split_last_chunk_mut()
        .filter(|(text, _)| text.len() == header.plaintext_len)
        .ok_or(RecordError::Length(body_len))?;
    let idle = direction.is_unused();
    let (cipher, sequence) = direction.next_record(header)?;
    cipher.open(sequence, header.to_bytes(), text, tag)?;
    match header.kind() {
        RecordType::Data => Ok(Opened::Data(text)),
        // Otherwise a peer could keep this side deriving keys for a few bytes each.
        RecordType::KeyUpdate if idle => Err(RecordError::IdleUpdate),
        RecordType::KeyUpdate => {
            direction.next_epoch()?;
            Ok(Opened::KeyUpdate)
        }
        RecordType::Close => Ok(Opened::Close),
    }
}
