//! Messages on a socket between the processes of a gateway: four bytes of length, most significant
//! first, and the message.

use std::io;

use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// Bytes that are made room for before any of them came.
const FIRST: usize = 64 << 10;

/// The length of the next message; `None`: the peer is gone, or has said all.
///
/// # Errors
/// What the socket said, or `InvalidData` where the message is longer than `most` bytes.
pub(super) async fn length(
    stream: &mut (impl AsyncRead + Unpin),
    most: usize,
) -> io::Result<Option<usize>> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_be_bytes(head) as usize;
    if length > most {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("a message of {length} bytes, and {most} are the most"),
        ));
    }
    Ok(Some(length))
}

/// The message of this length. Its bytes may hold passwords, and are overwritten.
///
/// # Errors
/// What the socket said, or `InvalidData` where the bytes are no such message.
pub(super) async fn body<M: Message + Default>(
    stream: &mut (impl AsyncRead + Unpin),
    length: usize,
) -> io::Result<M> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.min(FIRST)));
    while bytes.len() < length {
        let (begin, end) = (bytes.len(), length.min(bytes.len() + FIRST));
        if bytes.capacity() < end {
            // A buffer that grew by itself would leave a copy behind.
            let mut larger = Zeroizing::new(Vec::with_capacity(length.min(end * 2)));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.resize(end, 0);
        let part = bytes.get_mut(begin..).unwrap_or_default();
        stream.read_exact(part).await?;
    }
    let message = M::decode(bytes.as_slice());
    message.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Sends a message.
///
/// # Errors
/// What the socket said.
pub(super) async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    message: &impl Message,
) -> io::Result<()> {
    let length = message.encoded_len();
    let head = u32::try_from(length).map_err(|_| io::ErrorKind::InvalidInput)?;
    // Of its final size from the start, for the same reason.
    let mut bytes = Zeroizing::new(Vec::with_capacity(4 + length));
    bytes.extend_from_slice(&head.to_be_bytes());
    message.encode_raw(&mut *bytes);
    stream.write_all(&bytes).await
}

#[cfg(test)]
mod tests {
    use portcullis_proto::worker::v1::{Answer, Refusal, answer::What};

    use super::*;

    fn refusal(text: &str) -> Answer {
        Answer {
            what: Some(What::Refused(Refusal {
                message: text.to_owned(),
                other_journal: false,
            })),
        }
    }

    #[tokio::test]
    async fn a_message_comes_as_it_was_sent_however_long_it_is() {
        for length in [0, 1, FIRST - 8, FIRST, 3 * FIRST + 7] {
            let sent = refusal(&"x".repeat(length));
            let mut bytes = Vec::new();
            write(&mut bytes, &sent).await.unwrap();
            let mut stream = bytes.as_slice();
            let length = super::length(&mut stream, 1 << 20).await.unwrap().unwrap();
            let came: Answer = body(&mut stream, length).await.unwrap();
            assert_eq!(came, sent);
            assert_eq!(super::length(&mut stream, 1).await.unwrap(), None);
        }
    }

    #[tokio::test]
    async fn what_is_too_long_cut_off_or_no_message_is_refused() {
        let mut bytes = Vec::new();
        write(&mut bytes, &refusal("why")).await.unwrap();
        let error = length(&mut bytes.as_slice(), bytes.len() - 5).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::InvalidData);
        for cut in 4..bytes.len() {
            let mut stream = &bytes[..cut];
            let length = length(&mut stream, 100).await.unwrap().unwrap();
            let error = body::<Answer>(&mut stream, length).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{cut}");
        }
        let mut noise: &[u8] = &[0xff; 9];
        let error = body::<Answer>(&mut noise, 9).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
