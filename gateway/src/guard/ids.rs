//! Which numeric ids may be asked for.

use std::collections::BTreeSet;

use super::GuardRails;
use crate::model::{Failure, IdRange, IdRanges, ObjectClass};

/// One range of `allowed_ids`: `"1000-59999"` or `"5000"`. The error says what is allowed.
pub(super) fn parse_range(text: &str) -> Result<(u64, u64), String> {
    let number = |text: &str| {
        let number: u32 = text.trim().parse().ok()?;
        Some(u64::from(number))
    };
    let range = match text.split_once('-') {
        Some((first, last)) => number(first).zip(number(last)),
        None => number(text).map(|only| (only, only)),
    };
    range
        .filter(|(first, last)| first <= last)
        .ok_or_else(|| "a range such as \"1000-59999\" is allowed, or one id".to_owned())
}

impl GuardRails {
    /// Refuses ids that a request asks for and that lie outside those for its class, or in what is
    /// given away already. `ranges` are those of the resource.
    ///
    /// # Errors
    /// A [`Failure`] that names the rule.
    pub(crate) fn check_ids(
        &self,
        class: ObjectClass,
        ids: &BTreeSet<u64>,
        ranges: &IdRanges,
    ) -> Result<(), Failure> {
        let (own, given) = match class {
            ObjectClass::Account | ObjectClass::Other(_) => {
                (&ranges.accounts, &ranges.given_to_accounts)
            }
            ObjectClass::Group => (&ranges.groups, &ranges.given_to_groups),
        };
        for &id in ids {
            self.check_number(class, "(to be)", Some(id))?;
            self.check_allowed(class, id, own.as_ref())?;
        }
        let within = |range: &IdRange| match range.first <= range.last {
            true => ids.range(range.first..=range.last).next().copied(),
            false => None,
        };
        let taken = given
            .iter()
            .find_map(|range| within(range).map(|id| (id, range)));
        match taken {
            Some((id, range)) => Err(self.refusal(
                "allowed_ids",
                format!(
                    "{id} lies in {}-{}, which {}",
                    range.first, range.last, range.source
                ),
            )),
            None => Ok(()),
        }
    }

    fn check_allowed(
        &self,
        class: ObjectClass,
        id: u64,
        own: Option<&IdRange>,
    ) -> Result<(), Failure> {
        let (allowed, shown) = match (&self.allowed_ids, own) {
            (Some(ranges), _) => {
                let holds = |range: &&(u64, u64)| range.0 <= id && id <= range.1;
                let shown: Vec<_> = ranges.iter().map(|(a, b)| format!("{a}-{b}")).collect();
                (ranges.iter().any(|range| holds(&range)), shown.join(", "))
            }
            (None, Some(range)) => (
                range.holds(id),
                format!("{}-{} ({})", range.first, range.last, range.source),
            ),
            (None, None) => return Ok(()),
        };
        if allowed {
            return Ok(());
        }
        Err(self.refusal(
            "allowed_ids",
            format!("{id} is no id that the {class} may have: allowed are {shown}"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_two_numbers_or_one() {
        for (text, range) in [
            ("1000-59999", Some((1000, 59_999))),
            (" 1000 - 2000 ", Some((1000, 2000))),
            ("5000", Some((5000, 5000))),
            ("0-4294967295", Some((0, 4_294_967_295))),
            ("2-1", None),
            ("-5", None),
            ("5-", None),
            ("4294967296", None),
            ("1-2-3", None),
            ("", None),
        ] {
            assert_eq!(parse_range(text).ok(), range, "{text:?}");
        }
    }
}
