//! Which trace something belongs to, and after which span: W3C Trace Context, version 00.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use rand::Rng as _;

/// Bytes of a `traceparent` of version 00, and the least of any other.
const LENGTH: usize = 55;
/// The flag of a trace that is to be recorded.
const SAMPLED: u8 = 1;

/// A `traceparent`: the trace, the span that is the parent of what comes next, and whether anything
/// of it is to be recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) trace: [u8; 16],
    pub(super) span: [u8; 8],
    pub(super) sampled: bool,
}

impl TraceContext {
    /// The trace, in 32 hexadecimal digits, as every viewer of traces takes it.
    pub fn trace_id(&self) -> String {
        HEXLOWER.encode(&self.trace)
    }
}

/// Not a `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoTraceContext;

impl FromStr for TraceContext {
    type Err = NoTraceContext;

    fn from_str(text: &str) -> Result<Self, NoTraceContext> {
        let (version, rest) = text.split_once('-').ok_or(NoTraceContext)?;
        let [version] = bytes(version)?;
        // A later version may say more behind what this one says.
        let more = text.get(LENGTH..).ok_or(NoTraceContext)?;
        if version == 0xff || !more.is_empty() && (version == 0 || !more.starts_with('-')) {
            return Err(NoTraceContext);
        }
        let mut parts = rest.split('-');
        let mut part = || parts.next().ok_or(NoTraceContext);
        let (trace, span) = (bytes(part()?)?, bytes(part()?)?);
        let [flags] = bytes(part()?)?;
        if trace == [0; 16] || span == [0; 8] {
            return Err(NoTraceContext);
        }
        Ok(Self {
            trace,
            span,
            sampled: flags & SAMPLED != 0,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.sampled { SAMPLED } else { 0 };
        let (trace, span) = (self.trace_id(), HEXLOWER.encode(&self.span));
        write!(f, "00-{trace}-{span}-{flags:02x}")
    }
}

/// An id that no other has, and that is not all zeros.
pub(super) fn random_id<const N: usize>() -> [u8; N] {
    let mut id = [0; N];
    while id == [0; N] {
        rand::rng().fill_bytes(&mut id);
    }
    id
}

/// Exactly so many bytes, in lower case.
fn bytes<const N: usize>(text: &str) -> Result<[u8; N], NoTraceContext> {
    let decoded = HEXLOWER.decode(text.as_bytes());
    let decoded = decoded.map_err(|_| NoTraceContext)?;
    decoded.try_into().map_err(|_| NoTraceContext)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn the_example_of_the_standard_is_read_and_written() {
        let context: TraceContext = EXAMPLE.parse().unwrap();
        assert!(context.sampled);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(context.to_string(), EXAMPLE);
        let unsampled: TraceContext = EXAMPLE.replace("-01", "-00").parse().unwrap();
        assert!(!unsampled.sampled);
        let later = format!("cc{}-what-the-future-brings", &EXAMPLE[2..]);
        assert_eq!(later.parse::<TraceContext>(), Ok(context));
    }

    #[test]
    fn what_is_none_is_refused() {
        let zero_trace = EXAMPLE.replace("4bf92f3577b34da6a3ce929d0e0e4736", &"0".repeat(32));
        let zero_span = EXAMPLE.replace("00f067aa0ba902b7", &"0".repeat(16));
        for text in [
            "",
            "00",
            "00-",
            &EXAMPLE.to_uppercase(),
            &EXAMPLE[..54],
            &format!("{EXAMPLE}-"),
            &format!("{EXAMPLE}x"),
            &format!("cc{}.", &EXAMPLE[2..]),
            &format!("ff{}", &EXAMPLE[2..]),
            &EXAMPLE.replace('-', "_"),
            &EXAMPLE.replace("b7-", "b-7"),
            &EXAMPLE.replace("4bf", "4bg"),
            &EXAMPLE.replace("4bf", "é1"),
            &zero_trace,
            &zero_span,
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(NoTraceContext), "{text}");
        }
    }

    #[test]
    fn whatever_is_cut_or_changed_is_read_or_refused_and_never_panics() {
        for cut in 0..EXAMPLE.len() {
            assert!(EXAMPLE[..cut].parse::<TraceContext>().is_err());
            for byte in ["é", "-", "0", "\0"] {
                let changed = format!("{}{byte}{}", &EXAMPLE[..cut], &EXAMPLE[cut + 1..]);
                if let Ok(context) = changed.parse::<TraceContext>() {
                    assert_eq!(context.to_string().len(), LENGTH);
                }
            }
        }
    }
}
