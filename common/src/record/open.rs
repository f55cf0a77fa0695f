//! The receiving side of a direction.

use std::fmt;

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
}

impl Opener {
    /// The receiver of a direction whose first secret is `secret`. `kind` is that of the session's master key.
    pub fn new(secret: TrafficSecret, kind: KeyKind, suite: Suite, limits: RecordLimits) -> Self {
        Self {
            state: State::Live(Box::new(Direction::new(secret, kind, suite, limits))),
        }
    }

    /// Checks a header, which is not authenticated yet: it bounds what is to be read before [`Self::open`]. May be asked again.
    ///
    /// # Errors
    /// [`RecordError`] where no record has such a header, or none may come any more. The direction is dead.
    pub fn header(&mut self, bytes: [u8; HEADER_LEN]) -> Result<RecordHeader, RecordError> {
        self.live()
            .and_then(|_| RecordHeader::parse(bytes))
            .inspect_err(|_| self.kill())
    }

    /// Verifies a record, then deciphers it in place. `body` is as long as [`RecordHeader::body_len`] says.
    ///
    /// # Errors
    /// [`RecordError`] where it is not the record that the peer sealed next, or breaks the rules. The direction is dead,
    /// and `body` is as it was.
    pub fn open<'a>(
        &mut self,
        header: RecordHeader,
        body: &'a mut [u8],
    ) -> Result<Opened<'a>, RecordError> {
        let opened = self.live().and_then(|live| open(live, header, body));
        match opened {
            Err(_) => self.kill(),
            Ok(Opened::Close) => self.state = State::Closed,
            Ok(_) => {}
        }
        opened
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
