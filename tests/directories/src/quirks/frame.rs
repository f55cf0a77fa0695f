//! LDAP messages as bytes: what is not changed goes on as it came.

use std::io;

use bytes::BytesMut;
use ldap3_proto::control::LdapControl;
use ldap3_proto::{LdapCodec, LdapMsg};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::codec::{Decoder as _, Encoder as _};

/// Bytes of one message at the most.
const MOST: usize = 16 << 20;
/// How deep a message may nest.
const DEPTH: usize = 64;

/// Requests, by the tags of RFC 4511, section 4.2 and on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A bind.
    Bind,
    /// An unbind: the client goes.
    Unbind,
    /// A search.
    Search,
    /// A modify.
    Modify,
    /// An add.
    Add,
    /// A delete.
    Delete,
    /// A modifyDN.
    ModifyDn,
    /// An abandon, which has no answer.
    Abandon,
    /// An extended request.
    Extended,
    /// An answer, or another request.
    Other(u8),
}

impl Kind {
    fn of(tag: u8) -> Self {
        match tag {
            0x60 => Self::Bind,
            0x42 => Self::Unbind,
            0x63 => Self::Search,
            0x66 => Self::Modify,
            0x68 => Self::Add,
            0x4a => Self::Delete,
            0x6c => Self::ModifyDn,
            0x50 => Self::Abandon,
            0x77 => Self::Extended,
            other => Self::Other(other),
        }
    }
}

/// One message as it came.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) bytes: Vec<u8>,
    pub(super) id: i64,
    pub(super) kind: Kind,
}

impl Frame {
    /// The next message; `None` where the stream ends before it.
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Self>> {
        let mut head = [0; 2];
        if stream.read(&mut head[..1]).await? == 0 {
            return Ok(None);
        }
        stream.read_exact(&mut head[1..]).await?;
        let mut bytes = head.to_vec();
        let mut length = usize::from(head[1]);
        if length >= 0x80 {
            let mut long = vec![0; length & 0x7f];
            stream.read_exact(&mut long).await?;
            bytes.extend_from_slice(&long);
            length = long
                .iter()
                .fold(0, |sum, byte| (sum << 8) | usize::from(*byte));
        }
        if length > MOST {
            return Err(io::Error::other("a message is too long"));
        }
        let begin = bytes.len();
        bytes.resize(begin + length, 0);
        stream.read_exact(&mut bytes[begin..]).await?;
        let envelope = || {
            // The message's id, an INTEGER of up to four bytes, stands before the operation.
            let inner = bytes.get(begin..)?;
            let size = usize::from(*inner.get(1)?);
            let id = inner.get(2..2 + size)?.iter();
            let id = id.fold(0, |sum, byte| (sum << 8) | i64::from(*byte));
            Some((id, Kind::of(*inner.get(2 + size)?)))
        };
        let (id, kind) = envelope().ok_or_else(|| io::Error::other("no LDAP message"))?;
        Ok(Some(Self { bytes, id, kind }))
    }

    /// What it says; `None` where the codec cannot tell, such as of bytes in a filter.
    pub(super) fn message(&self) -> Option<LdapMsg> {
        let mut bytes = BytesMut::from(&self.bytes[..]);
        LdapCodec::new(Some(MOST), Some(DEPTH))
            .decode(&mut bytes)
            .ok()
            .flatten()
    }

    /// Whether it asks for a further page of a search.
    pub(super) fn goes_on(&self) -> bool {
        let controls = self.message().map(|message| message.ctrl);
        controls.into_iter().flatten().any(|control| {
            matches!(control, LdapControl::SimplePagedResults { cookie, .. } if !cookie.is_empty())
        })
    }

    /// Whether no more answers to the request follow this one.
    pub(super) fn is_last(&self) -> bool {
        const ENTRY: u8 = 0x64;
        const REFERENCE: u8 = 0x73;
        const INTERMEDIATE: u8 = 0x79;
        !matches!(self.kind, Kind::Other(ENTRY | REFERENCE | INTERMEDIATE))
    }
}

/// A message as bytes.
pub(super) fn encode(message: LdapMsg) -> io::Result<Vec<u8>> {
    let mut bytes = BytesMut::new();
    LdapCodec::new(Some(MOST), Some(DEPTH)).encode(message, &mut bytes)?;
    Ok(bytes.to_vec())
}
