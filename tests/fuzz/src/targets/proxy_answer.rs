//! An HTTP proxy's answer to CONNECT: it is read up to its end and no further, is a success by its
//! status alone, and what an error quotes of it is short and can be shown.

use portcullis_gateway::listener::proxy::fuzzed::{PROXY, read};

/// Bytes of an answer at the most.
const MOST: usize = 8 * 1024;
/// Bytes of an error's text at the most.
const TOLD: usize = 8 * 1024;
const END: &[u8] = b"\r\n\r\n";

pub(crate) fn run(bytes: &[u8]) {
    for credentials in [false, true] {
        match read(bytes, credentials) {
            Ok(rest) => success(&bytes[..bytes.len() - rest], credentials),
            Err(told) => {
                assert!(told.contains(PROXY), "{told}");
                assert!(
                    told.len() <= TOLD && !told.contains(char::is_control),
                    "{told:?}"
                );
            }
        }
    }
}

fn success(answer: &[u8], credentials: bool) {
    assert!(answer.len() <= MOST);
    let end = answer.windows(END.len()).position(|bytes| bytes == END);
    assert_eq!(end, Some(answer.len() - END.len()));
    let status = answer
        .split(|byte| *byte == b' ')
        .nth(1)
        .unwrap_or_default();
    let status = status
        .split(|byte| *byte == b'\r')
        .next()
        .unwrap_or_default();
    assert!(
        matches!(status, [b'2', b'0'..=b'9', b'0'..=b'9']),
        "{status:?} is taken for a success"
    );
    let behind = b"HTTP/1.1 403 Forbidden\r\n\r\n";
    let more = [answer, behind].concat();
    assert_eq!(read(&more, credentials), Ok(behind.len()));
    for cut in [0, 1, answer.len() / 2, answer.len() - 1] {
        assert!(read(&answer[..cut], credentials).is_err());
    }
}
