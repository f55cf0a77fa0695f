//! Walks both sides by their names, and tells where they differ.

use std::cmp::Ordering;

use super::entry::{Entry, Parts, key};
use super::revisions::Revisions;
use super::rows::RowsAgain;
use super::side::Side;
use super::sorted::Merged;
use crate::error::CliError;

/// How an object differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The source has it alone.
    Missing,
    /// The resource has it alone.
    Unknown,
    /// Both have it, with other attributes.
    Changed,
    /// One side has it more than once: nobody can tell which is meant.
    Doubled,
}

impl Kind {
    /// As it stands in a list of differences.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unknown => "unknown",
            Self::Changed => "changed",
            Self::Doubled => "doubled",
        }
    }
}

/// One object that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    /// Its id on the resource.
    pub(crate) id: Option<String>,
    /// Its line in the file.
    pub(crate) line: Option<u64>,
    /// The numbers of the attributes that differ.
    pub(crate) attributes: Vec<u16>,
    /// How `enabled` should be, where it is not so.
    pub(crate) enabled: Option<bool>,
}

/// Hands to `take` of each object what there is of it on either side: nothing, one entry, or
/// several where it is there more than once. Objects of which both sides have one, and that are
/// `alike`, are passed over, and counted.
pub(crate) fn compare(
    (wanted, there): (&mut Side, &mut Side),
    rows: Option<&mut RowsAgain<'_>>,
    alike: fn(&Parts<'_>, &Parts<'_>) -> bool,
    take: &mut impl FnMut(&[Entry], &[Entry]) -> Result<(), CliError>,
) -> Result<u64, CliError> {
    let (mut wanted, mut there) = (Groups::new(wanted)?, Groups::new(there)?);
    let (mut rows, mut count) = (rows, 0);
    loop {
        let order = match (wanted.key(), there.key()) {
            (None, None) => return Ok(count),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(one), Some(other)) => one.cmp(other),
        };
        if order.is_le() {
            wanted.begin()?;
        }
        if order.is_ge() {
            there.begin()?;
        }
        if order.is_eq() && wanted.is_alone() && there.is_alone() {
            let both = Parts::take(&wanted.first).zip(Parts::take(&there.first));
            let ((one, _), (other, _)) = both.ok_or(UNREADABLE)?;
            if alike(&one, &other) {
                count += 1;
                continue;
            }
        }
        let none = Vec::new;
        let mut one = order.is_le().then(|| wanted.group()).transpose()?;
        let other = order.is_ge().then(|| there.group()).transpose()?;
        if let (Some(rows), Some([row]), Some([_])) =
            (&mut rows, one.as_deref_mut(), other.as_deref())
        {
            rows.complete(row)?;
        }
        take(&one.unwrap_or_else(none), &other.unwrap_or_else(none))?;
    }
}

const UNREADABLE: CliError = CliError::BadAnswer("an entry that was kept cannot be read");

/// Entries with the same key, one group after the other.
struct Groups<'a> {
    entries: Merged,
    revisions: &'a Revisions,
    /// The first entry of the group, which the others are read after.
    first: Vec<u8>,
}

impl<'a> Groups<'a> {
    fn new(side: &'a mut Side) -> Result<Self, CliError> {
        let mut groups = Self {
            entries: side.entries.sorted()?,
            revisions: &side.revisions,
            first: Vec::new(),
        };
        groups.pass_over()?;
        Ok(groups)
    }

    /// Goes on to an entry that counts.
    fn pass_over(&mut self) -> Result<(), CliError> {
        if self.revisions.is_empty() {
            return Ok(());
        }
        while let Some(entry) = self.entries.entry() {
            let (parts, _) = Parts::take(entry).ok_or(UNREADABLE)?;
            if !self.revisions.outdate(&parts) {
                break;
            }
            self.entries.advance()?;
        }
        Ok(())
    }

    fn key(&self) -> Option<&[u8]> {
        self.entries.entry().map(key)
    }

    fn advance(&mut self) -> Result<(), CliError> {
        self.entries.advance()?;
        self.pass_over()
    }

    /// Begins the next group.
    fn begin(&mut self) -> Result<(), CliError> {
        self.first.clear();
        let first = self.entries.entry().unwrap_or_default();
        self.first.extend_from_slice(first);
        self.advance()
    }

    /// Whether the group has no other entry.
    fn is_alone(&self) -> bool {
        self.key() != Some(key(&self.first))
    }

    /// The group that was begun. What a search has met twice, because it was changed meanwhile, is
    /// one.
    fn group(&mut self) -> Result<Vec<Entry>, CliError> {
        let mut group = vec![Entry::decode(&self.first).ok_or(UNREADABLE)?];
        while !self.is_alone() {
            let entry = self.entries.entry().and_then(Entry::decode);
            let entry = entry.ok_or(UNREADABLE)?;
            let same = |one: &Entry| one.id.is_some() && one.id == entry.id;
            if !group.iter().any(same) && group.len() < 3 {
                group.push(entry);
            }
            self.advance()?;
        }
        Ok(group)
    }
}

/// Whether nothing differs between what there should be of an object and what there is, as far as
/// it can be told without reading more of it.
pub(crate) fn alike(wanted: &Parts<'_>, there: &Parts<'_>) -> bool {
    let both = wanted.enabled.zip(there.enabled);
    let enabled = both.is_none_or(|(wanted, there)| wanted == there);
    enabled && wanted.whole.is_some() && wanted.whole == there.whole
}

/// That nothing is passed over.
pub(crate) fn never(_: &Parts<'_>, _: &Parts<'_>) -> bool {
    false
}

/// What differs between what there should be of an object and what there is; `None`: nothing.
pub(crate) fn difference(wanted: &[Entry], there: &[Entry]) -> Option<Difference> {
    let of = |kind, entry: &Entry| Difference {
        kind,
        name: entry.name.clone(),
        id: entry.id.clone(),
        line: entry.place.map(|place| place.line),
        attributes: Vec::new(),
        enabled: None,
    };
    match (wanted, there) {
        ([one], []) => Some(of(Kind::Missing, one)),
        ([], [other]) => Some(of(Kind::Unknown, other)),
        ([one], [other]) => {
            let same = one.whole.is_some() && one.whole == other.whole;
            let digests = one.digests.iter().filter(|_| !same);
            let attributes: Vec<_> = digests
                .filter(|(number, digest)| other.digest(*number) != Some(digest))
                .map(|(number, _)| *number)
                .collect();
            let enabled = one
                .enabled
                .filter(|_| other.enabled.is_some() && one.enabled != other.enabled);
            let unclear = is_unclear(wanted, there);
            let changed = !attributes.is_empty() || enabled.is_some() || unclear;
            changed.then(|| Difference {
                id: other.id.clone(),
                attributes,
                enabled,
                ..of(Kind::Changed, one)
            })
        }
        (wanted, there) => {
            let first = wanted.first().or(there.first())?;
            Some(of(Kind::Doubled, first))
        }
    }
}

/// Whether only more of an object tells what differs: the digests of all its attributes do, and of
/// one side there is nothing else.
pub(crate) fn is_unclear(wanted: &[Entry], there: &[Entry]) -> bool {
    let ([one], [other]) = (wanted, there) else {
        return false;
    };
    let opaque = one.is_opaque() || other.is_opaque();
    opaque && one.whole.is_some() && one.whole != other.whole
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::row::RowPlace;

    fn entry(name: &str, id: Option<&str>, enabled: Option<bool>, digests: &[(u16, u8)]) -> Entry {
        Entry {
            key: name.to_owned(),
            name: name.to_owned(),
            id: id.map(str::to_owned),
            place: id.is_none().then_some(RowPlace { line: 1, offset: 0 }),
            enabled,
            number: 0,
            whole: None,
            digests: digests
                .iter()
                .map(|(number, byte)| (*number, [*byte; 16]))
                .collect(),
        }
    }

    fn told(wanted: Vec<Entry>, there: Vec<Entry>) -> Vec<String> {
        told_of(side(wanted), side(there))
    }

    fn side(entries: Vec<Entry>) -> Side {
        let mut side = Side::new().unwrap();
        for entry in entries {
            side.push(&entry).unwrap();
        }
        side
    }

    fn told_of(mut wanted: Side, mut there: Side) -> Vec<String> {
        let mut told = Vec::new();
        let sides = (&mut wanted, &mut there);
        compare(sides, None, never, &mut |wanted, there| {
            told.push(match difference(wanted, there) {
                None => "same".to_owned(),
                Some(it) => format!(
                    "{:?} {} {:?} {:?}",
                    it.kind, it.name, it.attributes, it.enabled
                ),
            });
            Ok(())
        })
        .unwrap();
        told
    }

    #[test]
    fn each_account_is_told_once_and_by_what_it_is() {
        let yes = Some(true);
        let found = told(
            vec![
                entry("same", None, None, &[(0, 1)]),
                entry("changed", None, yes, &[(0, 1), (1, 1), (2, 1)]),
                entry("missing", None, None, &[]),
                entry("twice", None, None, &[]),
                entry("twice", None, None, &[]),
            ],
            vec![
                entry("unknown", Some("1"), None, &[]),
                entry("same", Some("2"), Some(false), &[(0, 1), (1, 9)]),
                entry("changed", Some("3"), Some(false), &[(0, 1), (1, 2)]),
                entry("met twice", Some("4"), None, &[]),
                entry("met twice", Some("4"), None, &[(0, 1)]),
                entry("two", Some("5"), None, &[]),
                entry("two", Some("6"), None, &[]),
            ],
        );
        assert_eq!(
            found,
            [
                "Changed changed [1, 2] Some(true)",
                "Unknown met twice [] None",
                "Missing missing [] None",
                "same",
                "Doubled twice [] None",
                "Doubled two [] None",
                "Unknown unknown [] None",
            ]
        );
        assert!(told(Vec::new(), Vec::new()).is_empty());
    }

    #[test]
    fn of_what_has_the_same_digest_nothing_more_is_wanted() {
        let row = |whole: Option<u8>| Entry {
            whole: whole.map(|byte| [byte; 16]),
            ..entry("ada", None, None, &[(0, 1)][..whole.map_or(0, |_| 1)])
        };
        let listed = |whole: u8| Entry {
            whole: Some([whole; 16]),
            ..entry("ada", Some("1"), None, &[])
        };
        assert!(!is_unclear(&[row(Some(1))], &[listed(1)]), "the same");
        assert_eq!(difference(&[row(Some(1))], &[listed(1)]), None);
        assert!(!is_unclear(&[row(None)], &[listed(1)]), "nothing compared");
        assert!(is_unclear(&[row(Some(1))], &[listed(2)]));
        assert!(is_unclear(&[listed(1)], &[listed(2)]));
        assert!(!is_unclear(&[row(Some(1))], &[]), "missing");
        let whole = Entry {
            whole: Some([2; 16]),
            ..entry("ada", Some("1"), None, &[(0, 1), (1, 1)])
        };
        assert!(!is_unclear(&[row(Some(1))], std::slice::from_ref(&whole)));
        assert_eq!(difference(&[row(Some(1))], &[whole]), None);
    }

    /// Listed, then changed, renamed, removed or made before the end: in whatever order the listing
    /// and the changes tell it.
    #[test]
    fn what_changed_while_it_was_read_is_told_as_it_then_is() {
        let listed = |name: &str, id: &str, byte| entry(name, Some(id), None, &[(0, byte)]);
        let mut there = side(vec![
            listed("changed", "1", 9),
            listed("old name", "2", 1),
            listed("removed", "3", 1),
            listed("stays", "4", 1),
            listed("came and went", "6", 1),
        ]);
        let mut seen = |name: &str, id: &str, byte: u8| {
            let number = there.revisions.revised(id).unwrap();
            let entry = Entry {
                number,
                ..listed(name, id, byte)
            };
            there.push(&entry).unwrap();
        };
        seen("changed", "1", 5);
        seen("new name", "2", 1);
        seen("made", "5", 1);
        seen("changed", "1", 1);
        seen("came and went", "6", 1);
        there.revisions.revised("3").unwrap();
        there.revisions.revised("6").unwrap();
        let wanted = ["changed", "new name", "removed", "stays", "made"];
        let wanted = wanted.map(|name| entry(name, None, None, &[(0, 1)]));
        assert_eq!(
            told_of(side(wanted.into()), there),
            ["same", "same", "same", "Missing removed [] None", "same"]
        );
    }
}
