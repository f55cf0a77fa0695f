//! Finds accounts and groups, page by page.
//!
//! Objects come in the order of their ids. A cookie holds the id and name of the last one handed
//! out, so that accounts that come or go between two pages neither hide others nor show them twice.

use super::listing::Place;
use super::{Unix, attributes, groups};
use crate::connector::Found;
use crate::model::{CallError, Cookie, Failure, ObjectClass, Search};

/// The first byte of a cookie: its version.
const VERSION: u8 = 1;

/// Objects that are looked at before other calls, and this one's own time limit, get their turn.
const AT_ONCE: usize = 64;

impl Unix {
    pub(super) async fn search_objects(
        &self,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        attributes::check_names(search.class, &search.attributes)?;
        if let Some(filter) = &search.filter {
            attributes::check_names(search.class, filter.attributes())?;
        }
        let start = decode(search.class, &search.cookie)?;
        let prefix = &self.policy.prefix;
        let listing = self.kept.listing(prefix, self.read()).await?;
        let database = &listing.database;
        let mut left = search.page_size.unwrap_or(usize::MAX);
        let mut last: Option<&Place> = None;
        let places = listing.behind(search.class, start.as_ref());
        for (count, (place, index)) in places.iter().enumerate() {
            if count % AT_ONCE == 0 {
                tokio::task::yield_now().await;
            }
            let object = match search.class {
                ObjectClass::Account => database
                    .accounts
                    .get(*index)
                    .map(|account| self.account_object(database, account)),
                ObjectClass::Group => database.groups.get(*index).map(groups::object),
                ObjectClass::Other(_) => None,
            };
            let Some(mut object) = object.transpose()? else {
                continue;
            };
            if !search
                .filter
                .as_ref()
                .is_none_or(|filter| filter.matches(&object))
            {
                continue;
            }
            // One more than the page holds: then, and only then, is there a next page.
            if left == 0 {
                return Ok(last.map_or_else(Cookie::default, |last| encode(search.class, last)));
            }
            left -= 1;
            last = Some(place);
            object.retain(&search.attributes);
            found.push(object).await?;
        }
        Ok(Cookie::default())
    }
}

const fn class_byte(class: ObjectClass) -> u8 {
    match class {
        ObjectClass::Account => 0,
        ObjectClass::Group => 1,
        ObjectClass::Other(_) => 2,
    }
}

fn encode(class: ObjectClass, place: &Place) -> Cookie {
    let mut bytes = vec![VERSION, class_byte(class)];
    bytes.extend(place.id.to_be_bytes());
    bytes.extend(place.name.as_bytes());
    Cookie::new(bytes).unwrap_or_default()
}

fn decode(class: ObjectClass, cookie: &Cookie) -> Result<Option<Place>, Failure> {
    if cookie.is_empty() {
        return Ok(None);
    }
    let parsed = || {
        let rest = cookie
            .as_bytes()
            .strip_prefix(&[VERSION, class_byte(class)])?;
        let (id, name) = rest.split_first_chunk::<4>()?;
        Some(Place {
            id: u32::from_be_bytes(*id),
            name: String::from_utf8(name.to_vec()).ok()?,
        })
    };
    parsed().map(Some).ok_or_else(|| {
        Failure::invalid(
            "the search cookie is not one that this connector gave out for this class; start the search anew",
        )
    })
}
