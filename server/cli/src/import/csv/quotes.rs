//! Whether the quotes of a file are where they can be.

use super::super::row::FileFault;

/// Where a quote can stand (RFC 4180, section 2, rules 5 to 7).
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The beginning of a value.
    Beginning,
    /// In a value without quotes.
    Plain,
    /// In a value in quotes.
    Quoted,
    /// After a quote within quotes: the last, or the first of two.
    Closed,
}

pub(super) fn check_quotes(content: &[u8], separator: u8, first: u64) -> Result<(), FileFault> {
    // Most files have neither, and then there is nothing to be wrong: two quick searches tell.
    if !content.contains(&b'"') && !content.contains(&b'\r') {
        return Ok(());
    }
    let (mut line, mut opened, mut at) = (first, first, At::Beginning);
    for (index, byte) in content.iter().enumerate() {
        let fault = |problem: &str| FileFault {
            line,
            problem: problem.to_owned(),
        };
        at = match (at, *byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            (At::Closed, b'"') => At::Quoted,
            (At::Beginning, b'"') => {
                opened = line;
                At::Quoted
            }
            (At::Plain, b'"') => {
                return Err(fault(
                    "a quote stands in a value that is not in quotes: put the value in quotes, and double the quote",
                ));
            }
            (_, b'\n') => At::Beginning,
            (same, b'\r') => match content.get(index + 1) {
                Some(b'\n') | None => same,
                Some(_) => {
                    return Err(fault("a line ends with CR alone: save it with LF or CR LF"));
                }
            },
            (_, byte) if byte == separator => At::Beginning,
            (At::Closed, _) => {
                return Err(fault(
                    "something follows the closing quote (a quote inside quotes is doubled)",
                ));
            }
            (At::Beginning | At::Plain, _) => At::Plain,
        };
        line += u64::from(*byte == b'\n');
    }
    if at == At::Quoted {
        return Err(FileFault {
            line: opened,
            problem: "the quote that is opened here is never closed".to_owned(),
        });
    }
    Ok(())
}
