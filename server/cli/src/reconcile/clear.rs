//! Has whole what digests alone do not tell: of most objects the two sides have the same digest,
//! and nothing more of them travels.

use super::compare::{alike, compare, is_unclear};
use super::entry::Entry;
use super::side::{MOST_BY_ID, Meanwhile, Reader, Reading, Side};
use crate::error::CliError;

/// How often what has changed meanwhile is looked at for what only digests tell.
const ROUNDS: usize = 5;

/// The side that says how it should be.
pub(super) enum Wanted {
    /// A file, of which everything is known.
    Rows(Side),
    Resource(Box<Reader>),
}

impl Wanted {
    fn side(&mut self) -> &mut Side {
        match self {
            Self::Rows(side) => side,
            Self::Resource(reader) => &mut reader.side,
        }
    }

    async fn catch_up(&mut self, reading: &mut Reading) -> Result<bool, CliError> {
        match self {
            Self::Rows(_) => Ok(false),
            Self::Resource(reader) => reader.catch_up(reading).await,
        }
    }

    /// What was read, and what has changed meanwhile.
    pub(super) fn end(self) -> (Side, Option<Meanwhile>) {
        match self {
            Self::Rows(side) => (side, None),
            Self::Resource(reader) => {
                let (side, meanwhile) = reader.end();
                (side, Some(meanwhile))
            }
        }
    }
}

/// Brings both sides, which were listed, to what they are now, and so that they can be compared.
pub(super) async fn settle(
    reading: &mut Reading,
    wanted: &mut Wanted,
    there: &mut Reader,
) -> Result<(), CliError> {
    for _ in 0..ROUNDS {
        clear_up(reading, wanted, there).await?;
        let changed = wanted.catch_up(reading).await?;
        let changed_there = there.catch_up(reading).await?;
        // What comes of a change is whole, and of a file everything is.
        if matches!(wanted, Wanted::Rows(_)) || !(changed || changed_there) {
            break;
        }
    }
    Ok(())
}

/// Reads whole, on both sides, what differs by its digest.
async fn clear_up(
    reading: &mut Reading,
    wanted: &mut Wanted,
    there: &mut Reader,
) -> Result<(), CliError> {
    if !wanted.side().has_digests && !there.side.has_digests {
        return Ok(());
    }
    let (mut here, mut other) = (Vec::new(), Vec::new());
    let sides = (wanted.side(), &mut there.side);
    compare(sides, None, alike, &mut |one, two| {
        if is_unclear(one, two) && here.len().max(other.len()) <= MOST_BY_ID {
            here.extend(one.iter().filter_map(opaque_id));
            other.extend(two.iter().filter_map(opaque_id));
        }
        Ok(())
    })?;
    if let Wanted::Resource(reader) = wanted {
        reader.read_whole(reading, here).await?;
    }
    there.read_whole(reading, other).await
}

fn opaque_id(entry: &Entry) -> Option<String> {
    entry.id.clone().filter(|_| entry.is_opaque())
}
