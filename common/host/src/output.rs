//! Standard output: written whole, or told that it was not.

use std::io::{self, Write as _};

/// Writes all of a text to standard output. A pipe whose reader went away wants no more, which is
/// no error: what was asked for is done.
///
/// # Errors
/// What the system said, of any other fault: the disk is full, the terminal is gone.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
