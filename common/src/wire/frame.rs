//! Frames: type (u8), body length (u16, big-endian), body.

/// Bytes of a frame's header.
pub const HEADER_LEN: usize = 3;
/// No body of a handshake message is longer, in bytes.
pub const MAX_HANDSHAKE_BODY_LEN: usize = 2_048;
/// Bytes of ciphertext that a record holds at most.
pub const MAX_CIPHERTEXT_LEN: usize = 16_384;
/// Bytes of a record's tag.
pub const RECORD_TAG_LEN: usize = 16;

/// The whole alert: "the handshake has failed". It never says why.
pub const ALERT: [u8; HEADER_LEN] = [FrameType::Alert as u8, 0, 0];

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameType {
    /// A gateway that dialled out names itself.
    Message0 = 0x10,
    /// Server to gateway: what it offers.
    Message1 = 0x11,
    /// Gateway to server: what it chose, and its proof.
    Message2 = 0x12,
    /// Server to gateway: the session key, and its proof.
    Message3 = 0x13,
    /// Gateway to server: both hold the same keys.
    Message4 = 0x14,
    /// In place of message 0, a server that dials another names both instances.
    PeerMessage0 = 0x18,
    /// A record of data.
    Data = 0x20,
    /// The last record of its epoch.
    KeyUpdate = 0x21,
    /// The last record of its direction.
    Close = 0x22,
    /// In place of a handshake message: the handshake has failed.
    Alert = 0x30,
}

impl FrameType {
    /// The type with this number on the wire.
    pub const fn from_wire(byte: u8) -> Option<Self> {
        Some(match byte {
            0x10 => Self::Message0,
            0x11 => Self::Message1,
            0x12 => Self::Message2,
            0x13 => Self::Message3,
            0x14 => Self::Message4,
            0x18 => Self::PeerMessage0,
            0x20 => Self::Data,
            0x21 => Self::KeyUpdate,
            0x22 => Self::Close,
            0x30 => Self::Alert,
            _ => return None,
        })
    }

    /// Bytes that a body of this type has at most.
    pub const fn max_body_len(self) -> usize {
        match self {
            Self::Message0
            | Self::Message1
            | Self::Message2
            | Self::Message3
            | Self::Message4
            | Self::PeerMessage0 => MAX_HANDSHAKE_BODY_LEN,
            Self::Data | Self::KeyUpdate | Self::Close => MAX_CIPHERTEXT_LEN + RECORD_TAG_LEN,
            Self::Alert => 0,
        }
    }

    const fn is_record(self) -> bool {
        matches!(self, Self::Data | Self::KeyUpdate | Self::Close)
    }
}

/// Why a frame is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// No frame has this type: the peer speaks something else.
    #[error(
        "frame type {0:#04x} is unknown: the peer does not speak this protocol (is it the right port?)"
    )]
    UnknownType(u8),
    /// A frame that does not belong here.
    #[error("a frame of type {found:?} where {awaited} was due")]
    Unexpected {
        /// What came.
        found: FrameType,
        /// What was due.
        awaited: &'static str,
    },
    /// Its header announces more than its type may have.
    #[error("a frame of type {frame_type:?} announces {len} bytes, more than its type may have")]
    TooLong {
        /// The type.
        frame_type: FrameType,
        /// The length announced.
        len: u16,
    },
    /// The frame is not as long as its header says, or holds no header.
    #[error("the frame is cut short or too long for its header")]
    Length,
}

/// A frame's header, its type known and its length within that type's cap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame carries.
    pub frame_type: FrameType,
    /// Bytes of the body.
    pub len: u16,
}

impl FrameHeader {
    /// The bytes on the wire.
    pub const fn encode(self) -> [u8; HEADER_LEN] {
        let [high, low] = self.len.to_be_bytes();
        [self.frame_type as u8, high, low]
    }

    /// Reads a header during the handshake: a message or an alert. To be called before the body is
    /// read.
    ///
    /// # Errors
    /// [`FrameError`] where the type is unknown or a record's, or the length beyond its cap.
    pub fn decode_handshake(bytes: [u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let header = Self::decode(bytes)?;
        if header.frame_type.is_record() {
            return Err(header.unexpected("a handshake message"));
        }
        Ok(header)
    }

    /// Reads a header after the handshake: a record.
    ///
    /// # Errors
    /// [`FrameError`] where the type is unknown or none of a record, or the length beyond its cap.
    pub fn decode_record(bytes: [u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let header = Self::decode(bytes)?;
        if !header.frame_type.is_record() {
            return Err(header.unexpected("a record"));
        }
        Ok(header)
    }

    fn decode([frame_type, high, low]: [u8; HEADER_LEN]) -> Result<Self, FrameError> {
        let frame_type =
            FrameType::from_wire(frame_type).ok_or(FrameError::UnknownType(frame_type))?;
        let len = u16::from_be_bytes([high, low]);
        if usize::from(len) > frame_type.max_body_len() {
            return Err(FrameError::TooLong { frame_type, len });
        }
        Ok(Self { frame_type, len })
    }

    const fn unexpected(self, awaited: &'static str) -> FrameError {
        FrameError::Unexpected {
            found: self.frame_type,
            awaited,
        }
    }
}

/// Splits a whole handshake frame into its type and its body.
pub(super) fn split(frame: &[u8]) -> Result<(FrameType, &[u8]), FrameError> {
    let (header, body) = frame.split_first_chunk().ok_or(FrameError::Length)?;
    let header = FrameHeader::decode_handshake(*header)?;
    if body.len() != usize::from(header.len) {
        return Err(FrameError::Length);
    }
    Ok((header.frame_type, body))
}

/// Begins a frame whose body of `body_len` bytes is still to be appended.
pub(super) fn begin(frame_type: FrameType, body_len: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_LEN + body_len);
    // Every body is far shorter than 65,536 bytes: the lists in messages are capped when they are
    // made.
    let len = body_len as u16;
    frame.extend_from_slice(&FrameHeader { frame_type, len }.encode());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_and_every_other_type_and_length_is_refused() {
        for byte in 0..=u8::MAX {
            for len in [0, 1, 2_048, 2_049, 16_400, 16_401, u16::MAX] {
                let [high, low] = len.to_be_bytes();
                let bytes = [byte, high, low];
                let (handshake, record) = (
                    FrameHeader::decode_handshake(bytes),
                    FrameHeader::decode_record(bytes),
                );
                let (may_handshake, may_record) = match byte {
                    0x10..=0x14 | 0x18 => (len <= 2_048, false),
                    0x20..=0x22 => (false, len <= 16_400),
                    0x30 => (len == 0, false),
                    _ => (false, false),
                };
                assert_eq!(handshake.is_ok(), may_handshake, "{bytes:x?}");
                assert_eq!(record.is_ok(), may_record, "{bytes:x?}");
                for header in [handshake, record].into_iter().flatten() {
                    assert_eq!(header.encode(), bytes);
                }
            }
        }
    }

    #[test]
    fn a_frame_is_exactly_as_long_as_its_header_says() {
        assert_eq!(split(&ALERT), Ok((FrameType::Alert, &[][..])));
        assert_eq!(
            split(&[0x14, 0, 2, 7, 8]),
            Ok((FrameType::Message4, &[7, 8][..]))
        );
        for bad in [
            &[][..],
            &[0x14],
            &[0x14, 0],
            &[0x14, 0, 2, 7],
            &[0x14, 0, 2, 7, 8, 9],
        ] {
            assert_eq!(split(bad), Err(FrameError::Length));
        }
    }
}
