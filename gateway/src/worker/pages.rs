//! How much a search has handed out, over all of its pages.
//!
//! The count travels in the cookie that a page ends with, under a MAC whose key no server knows and
//! this process keeps to itself: a server can neither lower the count nor make up a cookie.
//!
//! ```text
//! | version | objects handed out, 4 bytes | tag, 16 bytes | the connector's own cookie |
//! ```

use portcullis_common::crypto::mac::MacKey;
use zeroize::Zeroizing;

use crate::guard::GuardRails;
use crate::model::{Cookie, Failure, Search};

const VERSION: u8 = 1;
const TAG_LEN: usize = 16;

/// Seals and opens the cookies of one process.
#[derive(Debug)]
pub(super) struct Pages(MacKey);

/// One page of a search, which began with this many objects handed out already.
#[derive(Debug)]
pub(super) struct Page {
    all_at_once: bool,
    most: usize,
    before: usize,
}

impl Pages {
    /// With a key of its own.
    pub(super) fn new() -> Self {
        let key = Zeroizing::new(rand::random::<[u8; 32]>());
        Self(MacKey::new(&key))
    }

    /// Begins a page: `search` gets the connector's own cookie, and a page no larger than what may
    /// still be handed out.
    ///
    /// # Errors
    /// A [`Failure`] where the cookie is not of this process, or nothing is left.
    pub(super) fn begin(
        &self,
        connector: &str,
        rails: &GuardRails,
        search: &mut Search,
    ) -> Result<Page, Failure> {
        let before = self.open(connector, search)?;
        let most = rails.max_search_results();
        let left = most.saturating_sub(before);
        if left == 0 {
            return Err(too_many(rails));
        }
        let all_at_once = search.page_size.is_none();
        search.page_size = Some(search.page_size.map_or(left, |size| size.min(left)));
        Ok(Page {
            all_at_once,
            most,
            before,
        })
    }

    /// Ends a page of `found` objects: the cookie for the next one, or why there is none although
    /// there are more objects.
    pub(super) fn end(
        &self,
        connector: &str,
        rails: &GuardRails,
        search: &Search,
        page: &Page,
        (own, found): (&Cookie, usize),
    ) -> (Cookie, Option<Failure>) {
        if own.is_empty() {
            return (Cookie::default(), None);
        }
        let count = page.before.saturating_add(found);
        if page.all_at_once || count >= page.most {
            return (Cookie::default(), Some(too_many(rails)));
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes();
        let tag = self
            .0
            .tag(&parts(connector, search, &count, own.as_bytes()));
        let tag = tag.to_bytes();
        let tag = tag.get(..TAG_LEN).unwrap_or(&tag);
        let sealed = [&[VERSION], &count[..], tag, own.as_bytes()].concat();
        (Cookie::from_server(sealed).unwrap_or_default(), None)
    }

    fn open(&self, connector: &str, search: &mut Search) -> Result<usize, Failure> {
        if search.cookie.is_empty() {
            return Ok(0);
        }
        let opened = || {
            let rest = search.cookie.as_bytes().strip_prefix(&[VERSION])?;
            let (count, rest) = rest.split_first_chunk::<4>()?;
            let (tag, own) = rest.split_first_chunk::<TAG_LEN>()?;
            let parts = parts(connector, search, count, own);
            self.0.verify(&parts, tag).ok()?;
            let own = Cookie::new(own.to_vec()).filter(|own| !own.is_empty())?;
            Some((usize::try_from(u32::from_be_bytes(*count)).ok()?, own))
        };
        let (count, own) = opened().ok_or_else(|| {
            Failure::invalid(
                "the search cookie is not one that this gateway has given out for such a search since it was started: start the search anew",
            )
        })?;
        search.cookie = own;
        Ok(count)
    }
}

/// What the tag is over. Neither a connector's name nor a class holds a zero.
fn parts<'a>(connector: &'a str, search: &Search, count: &'a [u8], own: &'a [u8]) -> [&'a [u8]; 6] {
    let class = search.class.name().as_bytes();
    [connector.as_bytes(), &[0], class, &[0], count, own]
}

fn too_many(rails: &GuardRails) -> Failure {
    rails.refusal(
        "max_search_results",
        format!(
            "the search finds more than {} objects, on all of its pages: narrow the filter, or raise the limit",
            rails.max_search_results()
        ),
    )
}
