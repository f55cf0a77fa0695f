//! The objects of a listing as they travel, one after the other.

use super::content::{put, take};
use super::{DIGEST_LEN, Digest};

/// Bytes from which on a listing is sent.
pub const LISTING_LEN: usize = 16 << 10;

const NO: u8 = 0;
const YES: u8 = 1;
const NEITHER: u8 = 2;

/// A listing that no gateway sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a listing that cannot be read")]
pub struct Malformed;

/// One object of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Whether it may log in; `None` where the idea does not apply.
    pub enabled: Option<bool>,
    /// Of its attributes.
    pub digest: Digest,
}

impl<'a> Listed<'a> {
    /// Puts it at the end of a listing.
    pub fn put(&self, out: &mut Vec<u8>) {
        put(self.id.as_bytes(), out);
        put(self.name.as_bytes(), out);
        out.push(match self.enabled {
            Some(false) => NO,
            Some(true) => YES,
            None => NEITHER,
        });
        out.extend_from_slice(&self.digest);
    }

    /// The first object of a listing, and what comes after it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn take(listing: &'a [u8]) -> Result<(Self, &'a [u8]), Malformed> {
        let text = |bytes| {
            let (bytes, rest) = take(bytes).ok_or(Malformed)?;
            let text = std::str::from_utf8(bytes).map_err(|_| Malformed)?;
            Ok((text, rest))
        };
        let (id, rest) = text(listing)?;
        let (name, rest) = text(rest)?;
        let (enabled, rest) = rest.split_first().ok_or(Malformed)?;
        let (digest, rest) = rest.split_first_chunk::<DIGEST_LEN>().ok_or(Malformed)?;
        let listed = Self {
            id,
            name,
            enabled: match *enabled {
                NO => Some(false),
                YES => Some(true),
                NEITHER => None,
                _ => return Err(Malformed),
            },
            digest: *digest,
        };
        Ok((listed, rest))
    }
}

/// The objects of a listing. After the first that is malformed there is none.
#[derive(Clone, Debug)]
pub struct Objects<'a>(&'a [u8]);

impl<'a> Objects<'a> {
    /// Of this listing.
    pub fn of(listing: &'a [u8]) -> Self {
        Self(listing)
    }
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<Listed<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let taken = Listed::take(self.0);
        self.0 = taken.map_or(&[], |(_, rest)| rest);
        Some(taken.map(|(listed, _)| listed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects() -> Vec<Listed<'static>> {
        let long = "x".repeat(300).leak();
        let names = [("1", "ada", Some(true)), ("22", "bob", Some(false))];
        let names = names.into_iter().chain([("", "", None), (long, "Ä", None)]);
        let listed = names
            .enumerate()
            .map(|(number, (id, name, enabled))| Listed {
                id,
                name,
                enabled,
                digest: [u8::try_from(number).unwrap(); DIGEST_LEN],
            });
        listed.collect()
    }

    #[test]
    fn what_was_listed_is_read_and_no_part_of_it_for_the_whole() {
        let mut listing = Vec::new();
        let mut ends = vec![0];
        for listed in objects() {
            listed.put(&mut listing);
            ends.push(listing.len());
        }
        let read: Result<Vec<_>, _> = Objects::of(&listing).collect();
        assert_eq!(read, Ok(objects()));
        for length in 0..listing.len() {
            let read: Result<Vec<_>, _> = Objects::of(&listing[..length]).collect();
            match ends.iter().position(|end| *end == length) {
                Some(count) => assert_eq!(read, Ok(objects()[..count].to_vec())),
                None => assert_eq!(read, Err(Malformed), "{length}"),
            }
        }
    }

    #[test]
    fn what_no_gateway_sends_is_refused() {
        let mut sound = Vec::new();
        objects()[0].put(&mut sound);
        let with = |place: usize, byte| {
            let mut listing = sound.clone();
            listing[place] = byte;
            listing
        };
        let endless = [&[0xff; 9][..], &[1], &sound].concat();
        let padded = [&[0x81, 0], &sound[1..]].concat();
        for listing in [with(0, 0x7f), with(1, 0xff), with(6, 3), endless, padded] {
            let read: Vec<_> = Objects::of(&listing).collect();
            assert_eq!(read, [Err(Malformed)], "{listing:x?}");
        }
    }
}
