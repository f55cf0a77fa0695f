//! Attributes of many values come in parts (MS-ADTS 3.1.1.3.1.3.3): `member;range=0-1499` and so
//! on, until one ends with `*`.

use bytes::Bytes;

use crate::connector::directory::fault::{Error, Fault, FaultKind};
use crate::connector::directory::gathered::{Room, weight, weight_of};
use crate::connector::directory::message::Entry;
use crate::connector::directory::session::Session;

/// Parts of one attribute at the most: some 15 million values.
const MOST_PARTS: usize = 10_000;

/// Attributes of one entry that come in parts at the most: a few do.
const MOST_IN_PARTS: usize = 64;

/// Where a part begins, and where it ends; `None`: with the last value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: usize,
    last: Option<usize>,
}

/// The attribute and the range in the name of a part.
fn part(name: &str) -> Option<(&str, Range)> {
    let (base, options) = name.split_once(';')?;
    let range = options.split(';').find_map(|option| {
        let (key, range) = option.split_once('=')?;
        key.eq_ignore_ascii_case("range").then_some(range)
    })?;
    let (first, last) = range.split_once('-')?;
    let range = Range {
        first: first.parse().ok()?,
        last: match last {
            "*" => None,
            last => Some(last.parse().ok()?),
        },
    };
    Some((base, range))
}

/// Puts the parts of each attribute together, asking for those that are not there yet.
pub(super) async fn complete(session: &Session<'_>, entry: &mut Entry) -> Result<(), Error> {
    let parts = entry.attributes.iter().filter_map(|(name, values)| {
        let (base, range) = part(name)?;
        Some((name.clone(), base.to_owned(), range, values.clone()))
    });
    let parts: Vec<_> = parts.take(MOST_IN_PARTS + 1).collect();
    if let Some((_, base, ..)) = parts.get(MOST_IN_PARTS) {
        return Err(senseless(base));
    }
    if parts.is_empty() {
        return Ok(());
    }
    let mut room = Room::new();
    room.take(weight(entry))?;
    for (name, base, range, values) in parts {
        let parts = Parts { base: &base, range };
        let values = parts.whole(session, &entry.dn, values, &mut room).await?;
        // Beside its part the attribute itself stands without values.
        let is_of_it = |one: &str| one == name || one.eq_ignore_ascii_case(&base);
        entry.attributes.retain(|(one, _)| !is_of_it(one));
        entry.attributes.push((base, values));
    }
    Ok(())
}

/// An attribute of which a part was read.
struct Parts<'a> {
    base: &'a str,
    range: Range,
}

impl Parts<'_> {
    async fn whole(
        &self,
        session: &Session<'_>,
        dn: &str,
        mut values: Vec<Bytes>,
        room: &mut Room,
    ) -> Result<Vec<Bytes>, Error> {
        let base = self.base;
        let mut range = self.range;
        for _ in 0..MOST_PARTS {
            let Some(last) = range.last else {
                return Ok(values);
            };
            if self.range.first != 0 || last < range.first {
                return Err(senseless(base));
            }
            let next = last.saturating_add(1);
            let asked = [format!("{base};range={next}-*")];
            let Some(found) = session.entry(dn, &asked).await? else {
                return Err(senseless(base));
            };
            let read = found.attributes.into_iter().find_map(|(name, values)| {
                let (of, range) = part(&name)?;
                of.eq_ignore_ascii_case(base).then_some((range, values))
            });
            let Some((read, more)) = read else {
                // The values ended there exactly.
                return Ok(values);
            };
            if read.first != next {
                return Err(senseless(base));
            }
            room.take(weight_of(&more))?;
            values.extend(more);
            range = read;
        }
        Err(senseless(base))
    }
}

fn senseless(attribute: &str) -> Error {
    let text = format!(
        "the directory gives the values of `{attribute}` in parts that do not go together, or that have no end"
    );
    Error::Unknown(Fault::new(FaultKind::Garbled, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_says_which_values_it_has() {
        let range = |first, last| Range { first, last };
        for (name, found) in [
            (
                "member;range=0-1499",
                Some(("member", range(0, Some(1499)))),
            ),
            ("member;Range=1500-*", Some(("member", range(1500, None)))),
            ("member;binary;range=0-*", Some(("member", range(0, None)))),
            ("member", None),
            ("member;range=x-*", None),
            ("member;range=1", None),
            ("userCertificate;binary", None),
        ] {
            assert_eq!(part(name), found, "{name}");
        }
    }
}
