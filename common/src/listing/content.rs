//! What the digest of an object is made over.

use portcullis_proto::gateway::v1::Value;
use portcullis_proto::gateway::v1::value::Kind;

/// Digits of a whole number at the most, and its sign.
const DIGITS: usize = 20;

/// Bits of a length in one byte.
const BITS: u32 = 7;
/// Set in each byte of a length but its last.
const MORE: u8 = 1 << BITS;

/// The attributes of one object, put in one after the other. It is used again for the next object.
#[derive(Debug, Default)]
pub struct Content(Vec<u8>);

impl Content {
    /// Whether no attribute was put in.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Begins with the next object.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// An attribute that has one value. Attributes come in the order of their names' bytes.
    pub fn single(&mut self, name: &str, value: &Plain<'_>) {
        put(name.as_bytes(), &mut self.0);
        put_length(1, &mut self.0);
        put(value.as_bytes(), &mut self.0);
    }

    /// An attribute with these values, which are put in order; none where there is none.
    pub fn several(&mut self, name: &str, values: &mut Vec<Plain<'_>>) {
        values.sort_unstable_by(|one, other| one.as_bytes().cmp(other.as_bytes()));
        values.dedup_by(|one, other| one.as_bytes() == other.as_bytes());
        if values.is_empty() {
            return;
        }
        put(name.as_bytes(), &mut self.0);
        put_length(values.len(), &mut self.0);
        for value in values {
            put(value.as_bytes(), &mut self.0);
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A value as it is compared: its bytes, in which a number is the same in whatever type it comes.
#[derive(Clone, Debug)]
pub struct Plain<'a>(Form<'a>);

#[derive(Clone, Debug)]
enum Form<'a> {
    Bytes(&'a [u8]),
    /// The last so many of these.
    Digits([u8; DIGITS], usize),
    Owned(Vec<u8>),
}

impl<'a> Plain<'a> {
    /// A text, a time, or bytes.
    pub fn bytes(bytes: &'a [u8]) -> Self {
        Self(Form::Bytes(bytes))
    }

    /// The same, of which nothing else is left.
    pub fn owned(bytes: Vec<u8>) -> Self {
        Self(Form::Owned(bytes))
    }

    /// A truth value.
    pub fn boolean(truth: bool) -> Self {
        Self::bytes(if truth { b"true" } else { b"false" })
    }

    /// A whole number.
    pub fn integer(number: i64) -> Self {
        let mut digits = [0; DIGITS];
        let mut left = number.unsigned_abs();
        let mut count = 0;
        for place in digits.iter_mut().rev() {
            if left == 0 && count > 0 {
                if number < 0 {
                    *place = b'-';
                    count += 1;
                }
                break;
            }
            // The remainder has one digit.
            *place = b'0' + u8::try_from(left % 10).unwrap_or_default();
            left /= 10;
            count += 1;
        }
        Self(Form::Digits(digits, count))
    }

    /// A real number.
    pub fn real(number: f64) -> Self {
        Self::owned(number.to_string().into_bytes())
    }

    /// A value of a call. A secret is never compared.
    pub fn of(value: &'a Value) -> Self {
        match &value.kind {
            Some(Kind::Text(text) | Kind::Time(text)) => Self::bytes(text.as_bytes()),
            Some(Kind::Integer(number)) => Self::integer(*number),
            Some(Kind::Real(number)) => Self::real(*number),
            Some(Kind::Boolean(truth)) => Self::boolean(*truth),
            Some(Kind::Binary(bytes)) => Self::bytes(bytes),
            Some(Kind::Secret(_)) | None => Self::bytes(&[]),
        }
    }

    /// The same by itself.
    pub fn into_owned(self) -> Plain<'static> {
        Plain(match self.0 {
            Form::Bytes(bytes) => Form::Owned(bytes.to_vec()),
            Form::Digits(digits, count) => Form::Digits(digits, count),
            Form::Owned(bytes) => Form::Owned(bytes),
        })
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Form::Bytes(bytes) => bytes,
            Form::Digits(digits, count) => {
                let first = DIGITS.saturating_sub(*count);
                digits.get(first..).unwrap_or_default()
            }
            Form::Owned(bytes) => bytes,
        }
    }
}

/// Puts bytes behind their length.
pub(super) fn put(bytes: &[u8], out: &mut Vec<u8>) {
    put_length(bytes.len(), out);
    out.extend_from_slice(bytes);
}

fn put_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        // The lowest bits, of which there are seven.
        let low = (length & usize::from(MORE - 1)) as u8;
        length >>= BITS;
        if length == 0 {
            out.push(low);
            return;
        }
        out.push(low | MORE);
    }
}

/// The bytes at the front, and what comes after them; `None` where they are not all there, or their
/// length is not written as [`put`] writes it.
pub(super) fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut length, mut shift) = (0_usize, 0_u32);
    let mut rest = bytes;
    loop {
        let (byte, after) = rest.split_first()?;
        rest = after;
        let low = usize::from(byte & (MORE - 1));
        let placed = low.checked_shl(shift)?;
        if placed >> shift != low || (*byte == 0 && shift > 0) {
            return None;
        }
        length |= placed;
        if byte & MORE == 0 {
            return rest.split_at_checked(length);
        }
        shift += BITS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_as_they_are_written() {
        for number in [0, 7, -7, 10, -10, 4095, i64::MAX, i64::MIN] {
            let plain = Plain::integer(number);
            assert_eq!(plain.as_bytes(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn lengths_are_read_as_they_were_written_and_in_no_other_way() {
        for length in [0, 1, 127, 128, 300, 16_383, 16_384, 100_000] {
            let mut out = Vec::new();
            put(&vec![7; length], &mut out);
            out.push(9);
            let (taken, rest) = take(&out).unwrap();
            assert_eq!((taken.len(), rest), (length, &[9][..]));
            assert_eq!(take(&out[..out.len() - 2]), None, "{length}");
        }
        assert_eq!(take(&[0x80, 0]), None);
        assert_eq!(take(&[0xff; 32]), None);
    }
}
