//! What is kept of a directory's answers at once, and entries that are taken one by one instead.
//!
//! A directory may have millions of entries, or lie about how many it has: what is put together in
//! memory is bounded in number and in bytes, and what is more is an error, never a part that is
//! taken for all.

use bytes::Bytes;
use tokio::time::Instant;

use super::fault::{Error, Fault, FaultKind};
use super::message::Entry;
use super::pages::Pages;

/// Bytes of what is put together at the most.
pub(crate) const MOST_BYTES: usize = 64 << 20;

/// Bytes that are left for what is put together.
#[derive(Debug)]
pub(crate) struct Room(usize);

impl Room {
    /// As much as there is for one read.
    pub(crate) const fn new() -> Self {
        Self(MOST_BYTES)
    }

    /// Takes the room of further bytes.
    ///
    /// # Errors
    /// Where there is none left.
    pub(crate) fn take(&mut self, bytes: usize) -> Result<(), Error> {
        match self.0.checked_sub(bytes) {
            Some(left) => {
                self.0 = left;
                Ok(())
            }
            None => Err(too_much(&format!("{} MiB", MOST_BYTES >> 20))),
        }
    }
}

/// Entries that are put together.
#[derive(Debug)]
pub(crate) struct Gathered {
    entries: Vec<Entry>,
    room: Room,
    most: usize,
}

impl Gathered {
    /// None yet; so many at the most.
    pub(crate) const fn new(most: usize) -> Self {
        Self {
            entries: Vec::new(),
            room: Room::new(),
            most,
        }
    }

    /// Adds one.
    ///
    /// # Errors
    /// Where they are too many or too large: a part of them is never taken for all.
    pub(crate) fn push(&mut self, entry: Entry) -> Result<(), Error> {
        if self.entries.len() >= self.most {
            return Err(too_much(&format!("{} entries", self.most)));
        }
        self.room.take(weight(&entry))?;
        self.entries.push(entry);
        Ok(())
    }

    /// All of them.
    pub(crate) fn into_entries(self) -> Vec<Entry> {
        self.entries
    }
}

fn too_much(what: &str) -> Error {
    let text = format!("the directory has more than the {what} that may be read at once here");
    Error::Unknown(Fault::new(FaultKind::Garbled, text))
}

/// Bytes of an entry in memory, about.
pub(crate) fn weight(entry: &Entry) -> usize {
    let attributes = entry.attributes.iter();
    let attributes = attributes
        .map(|(name, values)| size_of::<(String, Vec<Bytes>)>() + name.len() + weight_of(values));
    size_of::<Entry>() + entry.dn.len() + attributes.sum::<usize>()
}

/// Bytes of values in memory, about.
pub(crate) fn weight_of(values: &[Bytes]) -> usize {
    let each = values.iter().map(|value| size_of::<Bytes>() + value.len());
    each.sum()
}

/// A search whose entries are taken one by one, over any number of pages.
#[derive(Debug)]
pub(crate) struct Streamed {
    pages: Pages,
    size: usize,
    deadline: Instant,
    /// What was read to find out whether the connection lives.
    first: Option<Entry>,
}

impl Streamed {
    /// Begins, and waits for the first word of the answer.
    pub(crate) async fn begin(pages: Pages, size: usize, deadline: Instant) -> Result<Self, Error> {
        let mut streamed = Self {
            pages,
            size,
            deadline,
            first: None,
        };
        streamed.pages.begin(size, deadline).await?;
        streamed.first = streamed.read().await?;
        Ok(streamed)
    }

    /// The next one; `None` after the last. Nothing is read ahead.
    pub(crate) async fn next(&mut self) -> Result<Option<Entry>, Error> {
        match self.first.take() {
            Some(entry) => Ok(Some(entry)),
            None => self.read().await,
        }
    }

    async fn read(&mut self) -> Result<Option<Entry>, Error> {
        loop {
            // After the end of the last page nothing is asked for any more.
            if self.pages.is_last() {
                return Ok(None);
            }
            if let Some(entry) = self.pages.next(self.deadline).await? {
                return Ok(Some(entry));
            }
            if !self.pages.is_last() {
                self.pages.begin(self.size, self.deadline).await?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(value: usize) -> Entry {
        Entry {
            dn: "cn=x".to_owned(),
            attributes: vec![("cn".to_owned(), vec![Bytes::from(vec![0; value])])],
        }
    }

    #[test]
    fn neither_many_entries_nor_large_ones_are_put_together() {
        let mut gathered = Gathered::new(2);
        gathered.push(entry(1)).unwrap();
        gathered.push(entry(1)).unwrap();
        let error = gathered.push(entry(1)).unwrap_err();
        assert!(format!("{error:?}").contains("2 entries"), "{error:?}");
        let mut gathered = Gathered::new(usize::MAX);
        let large = MOST_BYTES / 4;
        for _ in 0..3 {
            gathered.push(entry(large)).unwrap();
        }
        let error = gathered.push(entry(large)).unwrap_err();
        assert!(format!("{error:?}").contains("64 MiB"), "{error:?}");
        assert_eq!(gathered.into_entries().len(), 3);
        // Many small values are no less.
        let many = Entry {
            attributes: vec![("x".to_owned(), vec![Bytes::new(); MOST_BYTES / 16])],
            ..Entry::default()
        };
        assert!(Gathered::new(1).push(many).is_err());
    }
}
