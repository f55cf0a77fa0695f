//! A search page by page (RFC 2696). All pages come over one connection, which has no other paged
//! search: cookies are worth nothing elsewhere.

use tokio::time::Instant;

use super::ber::{self, Reader, Writer};
use super::fault::{Error, Fault, FaultKind, code};
use super::link::Item;
use super::message::{Answer, Control, Entry, Search};
use super::pool::Lease;

/// RFC 2696.
pub(crate) const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";

/// Pages without an entry after which the directory is held to go round in circles.
const MOST_BARREN: u32 = 64;

/// Pages that begin with the same entry, one after another, likewise.
const MOST_SAME: u32 = 8;

/// Bytes of a cookie at the most.
const MOST_COOKIE: usize = 1 << 20;

/// A search page by page: [`begin`](Self::begin) a page, take what it has by
/// [`next`](Self::next) to its end, and so on until [`is_last`](Self::is_last).
#[derive(Debug)]
pub(crate) struct Pages {
    lease: Lease,
    search: Search,
    /// Whether the directory has pages: otherwise all comes as one.
    paged: bool,
    cookie: Vec<u8>,
    controls: Vec<Control>,
    id: i32,
    found: usize,
    barren: u32,
    same: u32,
    last: bool,
    first_of_page: Option<String>,
    first_of_former: Option<String>,
    /// References to other directories: they are counted, and not followed.
    pub(crate) references: usize,
}

impl Pages {
    /// Before its first page.
    pub(crate) fn new(lease: Lease, search: Search, paged: bool) -> Self {
        Self {
            paged,
            lease,
            search,
            cookie: Vec::new(),
            controls: Vec::new(),
            id: 0,
            found: 0,
            barren: 0,
            same: 0,
            last: false,
            first_of_page: None,
            first_of_former: None,
            references: 0,
        }
    }

    /// The same with further controls.
    #[must_use]
    pub(crate) fn with(mut self, controls: &[Control]) -> Self {
        self.controls = controls.to_vec();
        self
    }

    /// The connection and where the search stands, for whoever keeps both between two calls.
    pub(crate) fn into_parts(self) -> (Lease, Vec<u8>) {
        (self.lease, self.cookie)
    }

    /// Goes on where another stood.
    #[must_use]
    pub(crate) fn at(mut self, cookie: Vec<u8>) -> Self {
        self.cookie = cookie;
        self
    }

    /// Whether the page that ended was the last one.
    pub(crate) fn is_last(&self) -> bool {
        self.last
    }

    /// Asks for the next page, of so many entries at the most.
    pub(crate) async fn begin(&mut self, size: usize, deadline: Instant) -> Result<(), Error> {
        let mut value = Writer::default();
        value.constructed(ber::SEQUENCE, |inner| {
            inner.number(ber::INTEGER, i64::try_from(size).unwrap_or(i64::MAX));
            inner.octets(&self.cookie);
        });
        let control = Control::new(PAGED_RESULTS, Some(value.into_bytes().to_vec())).critical();
        let mut controls = self.controls.clone();
        controls.extend(self.paged.then_some(control));
        let link = self.lease.link()?;
        self.id = link.begin(self.search.clone(), &controls, deadline).await?;
        self.found = 0;
        self.first_of_former = self.first_of_page.take();
        Ok(())
    }

    /// The next entry of the page; `None` at its end.
    pub(crate) async fn next(&mut self, deadline: Instant) -> Result<Option<Entry>, Error> {
        loop {
            let next = self.lease.link()?.next(self.id, deadline).await;
            match next.map_err(|error| self.dropped(error))? {
                Item::Entry(entry, _) => {
                    if self.first_of_page.is_none() {
                        self.first_of_page = Some(entry.dn.clone());
                    }
                    self.found += 1;
                    return Ok(Some(entry));
                }
                Item::Reference(urls) => self.references += urls.len(),
                Item::Intermediate { .. } => {}
                Item::End(answer) => {
                    self.turn(&answer)?;
                    return Ok(None);
                }
            }
        }
    }

    /// Directories drop cookies under load, and refuse those that they no longer have: Active
    /// Directory as unwilling, OpenLDAP as an error of the protocol as well. The search is then as
    /// good as one whose connection ended.
    fn dropped(&self, error: Error) -> Error {
        let refused = matches!(
            error.code(),
            Some(code::UNWILLING_TO_PERFORM | code::PROTOCOL_ERROR)
        );
        if self.cookie.is_empty() || self.found > 0 || !refused {
            return error;
        }
        let text = "the directory no longer knows where the search stood: begin it again";
        Error::Unknown(Fault::new(FaultKind::Closed, text))
    }

    /// The end of a page. A directory that gives the same cookie with nothing new for ever is not
    /// followed for ever.
    fn turn(&mut self, answer: &Answer) -> Result<(), Error> {
        let former = std::mem::take(&mut self.cookie);
        self.cookie = cookie(answer)?;
        self.last = self.cookie.is_empty();
        self.barren = if self.found == 0 { self.barren + 1 } else { 0 };
        let repeats = self.first_of_page.is_some() && self.first_of_page == self.first_of_former;
        self.same = if repeats { self.same + 1 } else { 0 };
        let most = if self.cookie == former { 1 } else { MOST_SAME };
        if !self.last && (self.barren > MOST_BARREN || self.same > most) {
            let text = "the directory repeats itself: page after page comes without anything new";
            return Err(Error::Unknown(Fault::new(FaultKind::Repeats, text)));
        }
        Ok(())
    }
}

/// Where the next page starts; empty after the last one, or from a directory that has no pages.
fn cookie(answer: &Answer) -> Result<Vec<u8>, Error> {
    let Some(value) = answer.control(PAGED_RESULTS) else {
        return Ok(Vec::new());
    };
    let read = || {
        let mut inner = Reader::new(bytes::Bytes::copy_from_slice(value)).within(ber::SEQUENCE)?;
        inner.number(ber::INTEGER)?;
        inner.expect(ber::OCTETS)
    };
    match read() {
        Ok(cookie) if cookie.len() <= MOST_COOKIE => Ok(cookie.to_vec()),
        _ => Err(Error::Unknown(Fault::new(
            FaultKind::Garbled,
            "the directory does not say where the next page starts",
        ))),
    }
}
