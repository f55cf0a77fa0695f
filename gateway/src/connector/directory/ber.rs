//! The part of BER that LDAP uses (RFC 4511, section 5.1): tags of one byte, definite lengths.
//!
//! Nothing here calls itself: an element's content is looked into only where the grammar of LDAP
//! says what lies in it, so that elements nested however deep cost nothing.

use bytes::Bytes;
use zeroize::Zeroizing;

/// `SEQUENCE`.
pub(crate) const SEQUENCE: u8 = 0x30;
/// `SET`.
pub(crate) const SET: u8 = 0x31;
/// `BOOLEAN`.
pub(crate) const BOOLEAN: u8 = 0x01;
/// `INTEGER`.
pub(crate) const INTEGER: u8 = 0x02;
/// `OCTET STRING`.
pub(crate) const OCTETS: u8 = 0x04;
/// `ENUMERATED`.
pub(crate) const ENUMERATED: u8 = 0x0a;

/// Why bytes are no BER as LDAP has it. The connection they came on is of no use any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    /// An element ends after what holds it.
    #[error("an element is longer than what holds it")]
    Truncated,
    /// A tag that LDAP does not have.
    #[error("a tag of more than one byte")]
    LongTag,
    /// A length that is not written out, or in more than four bytes.
    #[error("a length that is indefinite or beyond 4 GiB")]
    Length,
    /// Another element was due.
    #[error("the element {found:#04x} where {wanted:#04x} was due")]
    Unexpected {
        /// What was due.
        wanted: u8,
        /// What is there.
        found: u8,
    },
    /// An element was due, and there is none.
    #[error("an element is missing")]
    Missing,
    /// A number of no byte or of more than eight.
    #[error("a number that no field of LDAP can hold")]
    Number,
    /// A text that is not UTF-8.
    #[error("a text that is not UTF-8")]
    Text,
    /// A message longer than the configuration allows.
    #[error("a message of {length} bytes, and {most} are allowed (`max_message`)")]
    TooLong {
        /// Bytes that it would have.
        length: usize,
        /// Bytes that it may have.
        most: usize,
    },
}

/// One element: its tag, and the bytes of its content.
#[derive(Clone, Debug)]
pub(crate) struct Element {
    /// Class, form and number in one byte.
    pub(crate) tag: u8,
    /// What is in it.
    pub(crate) content: Bytes,
}

/// Reads elements one after another.
#[derive(Clone, Debug)]
pub(crate) struct Reader(Bytes);

impl Reader {
    /// Of the content of an element.
    pub(crate) fn new(content: Bytes) -> Self {
        Self(content)
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The tag of the next element, if there is one.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    /// The next element, whatever it is; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Element>, Malformed> {
        let Some(tag) = self.peek() else {
            return Ok(None);
        };
        let (start, length) = header(&self.0)?.ok_or(Malformed::Truncated)?;
        let end = start.checked_add(length).ok_or(Malformed::Length)?;
        if end > self.0.len() {
            return Err(Malformed::Truncated);
        }
        let mut content = self.0.split_to(end);
        Ok(Some(Element {
            tag,
            content: content.split_off(start),
        }))
    }

    /// The content of the next element, which has to have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<Bytes, Malformed> {
        match self.next()? {
            Some(element) if element.tag == tag => Ok(element.content),
            Some(element) => Err(Malformed::Unexpected {
                wanted: tag,
                found: element.tag,
            }),
            None => Err(Malformed::Missing),
        }
    }

    /// The content of the next element where that has this tag; otherwise nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<Bytes>, Malformed> {
        if self.peek() == Some(tag) {
            self.expect(tag).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The elements within the next one, which has to have this tag.
    pub(crate) fn within(&mut self, tag: u8) -> Result<Self, Malformed> {
        self.expect(tag).map(Self)
    }

    /// The next element as a number.
    pub(crate) fn number(&mut self, tag: u8) -> Result<i64, Malformed> {
        number(&self.expect(tag)?)
    }

    /// The next element as text in UTF-8.
    pub(crate) fn text(&mut self) -> Result<String, Malformed> {
        let bytes = self.expect(OCTETS)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| Malformed::Text)
    }
}

/// The content of an `INTEGER` or `ENUMERATED`.
pub(crate) fn number(bytes: &[u8]) -> Result<i64, Malformed> {
    let first = bytes.first().ok_or(Malformed::Number)?;
    if bytes.len() > 8 {
        return Err(Malformed::Number);
    }
    let sign = if *first & 0x80 == 0 { 0 } else { -1 };
    Ok(bytes
        .iter()
        .fold(sign, |number, byte| (number << 8) | i64::from(*byte)))
}

/// Where the content of the element begins that `bytes` begin with, and how long it is; `None`
/// where more bytes are needed to tell.
pub(crate) fn header(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let Some((&tag, rest)) = bytes.split_first() else {
        return Ok(None);
    };
    if tag & 0x1f == 0x1f {
        return Err(Malformed::LongTag);
    }
    let Some((&first, rest)) = rest.split_first() else {
        return Ok(None);
    };
    if first < 0x80 {
        return Ok(Some((2, usize::from(first))));
    }
    let count = usize::from(first & 0x7f);
    if !(1..=4).contains(&count) {
        return Err(Malformed::Length);
    }
    let Some(length) = rest.get(..count) else {
        return Ok(None);
    };
    let length = length
        .iter()
        .fold(0_usize, |length, byte| (length << 8) | usize::from(*byte));
    Ok(Some((2 + count, length)))
}

/// Writes elements one after another. What it wrote is wiped when it is dropped: it may be a
/// password.
#[derive(Default)]
pub(crate) struct Writer(Zeroizing<Vec<u8>>);

impl Writer {
    /// All that was written.
    pub(crate) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Makes room. A vector that grows by itself would leave behind what it held.
    fn reserve(&mut self, more: usize) {
        let needed = self.0.len().saturating_add(more);
        if needed > self.0.capacity() {
            let room = needed.max(self.0.capacity().saturating_mul(2));
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
    }

    /// An element of these bytes.
    pub(crate) fn primitive(&mut self, tag: u8, content: &[u8]) {
        let (bytes, count) = length(content.len());
        self.reserve(1 + count + content.len());
        self.0.push(tag);
        self.0
            .extend_from_slice(bytes.get(..count).unwrap_or_default());
        self.0.extend_from_slice(content);
    }

    /// An element of what `write` writes.
    pub(crate) fn constructed(&mut self, tag: u8, write: impl FnOnce(&mut Self)) {
        let mut inner = Self::default();
        write(&mut inner);
        self.primitive(tag, &inner.0);
    }

    /// A number.
    pub(crate) fn number(&mut self, tag: u8, number: i64) {
        let bytes = number.to_be_bytes();
        let sign = if number < 0 { 0xff } else { 0 };
        let idle = |pair: &[u8]| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0;
        let skipped = bytes.windows(2).take_while(|pair| idle(pair)).count();
        self.primitive(tag, bytes.get(skipped..).unwrap_or(&bytes));
    }

    /// A truth value.
    pub(crate) fn boolean(&mut self, truth: bool) {
        self.primitive(BOOLEAN, &[if truth { 0xff } else { 0 }]);
    }

    /// A text or any bytes.
    pub(crate) fn octets(&mut self, content: impl AsRef<[u8]>) {
        self.primitive(OCTETS, content.as_ref());
    }
}

/// A length as it is written, and in how many bytes.
fn length(length: usize) -> ([u8; 9], usize) {
    let mut bytes = [0; 9];
    let big = length.to_be_bytes();
    let skipped = big.iter().take_while(|byte| **byte == 0).count();
    let digits = big.get(skipped..).unwrap_or_default();
    let (first, rest) = match (length, digits.len()) {
        (0..0x80, _) => (u8::try_from(length).unwrap_or_default(), &[][..]),
        (_, count) => (0x80 | u8::try_from(count).unwrap_or_default(), digits),
    };
    bytes[0] = first;
    for (to, from) in bytes.iter_mut().skip(1).zip(rest) {
        *to = *from;
    }
    (bytes, 1 + rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let numbers = [0, 1, 127, 128, 255, 256, -1, -128, -129, i64::MAX, i64::MIN];
        let lengths = [0, 1, 127, 128, 255, 256, 65_535, 65_536, 70_000];
        let mut writer = Writer::default();
        writer.constructed(SEQUENCE, |inner| {
            for number in numbers {
                inner.number(INTEGER, number);
            }
            for length in lengths {
                inner.octets(vec![b'x'; length]);
            }
        });
        let bytes = Bytes::from(writer.into_bytes().to_vec());
        let mut inner = Reader::new(bytes).within(SEQUENCE).unwrap();
        for number in numbers {
            assert_eq!(inner.number(INTEGER), Ok(number));
        }
        for length in lengths {
            assert_eq!(inner.text().unwrap().len(), length);
        }
        assert!(inner.is_empty());
    }

    #[test]
    fn numbers_take_no_more_bytes_than_they_need() {
        for (number, length) in [
            (0, 3),
            (127, 3),
            (128, 4),
            (-128, 3),
            (-129, 4),
            (65_535, 5),
        ] {
            let mut writer = Writer::default();
            writer.number(INTEGER, number);
            assert_eq!(writer.into_bytes().len(), length, "{number}");
        }
    }

    #[test]
    fn what_is_not_ber_as_ldap_has_it_is_refused() {
        for (bytes, error) in [
            (&[0x1f, 0x81, 0x01][..], Malformed::LongTag),
            (&[0x30, 0x80, 0, 0], Malformed::Length),
            (&[0x30, 0x85, 1, 0, 0, 0, 0], Malformed::Length),
            (&[0x30, 0x05, 0x04], Malformed::Truncated),
            (&[0x30, 0x82, 0x01], Malformed::Truncated),
        ] {
            let mut reader = Reader::new(Bytes::copy_from_slice(bytes));
            assert_eq!(reader.next().unwrap_err(), error, "{bytes:02x?}");
        }
        assert_eq!(number(&[]), Err(Malformed::Number));
        assert_eq!(number(&[0; 9]), Err(Malformed::Number));
    }
}
