//! One side of a comparison: a resource, as it is once it was read to its end.

use portcullis_proto::gateway::v1::filter::Kind as FilterKind;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::value::Kind as ValueKind;
use portcullis_proto::gateway::v1::{
    Comparison, ComparisonOperation, Filter, FilterList, Search, Value,
};

use super::entry::Digests;
use super::revisions::Revisions;
use super::sorted::Sorter;
use super::watch::Watch;
use crate::call::{CallArgs, Caller};
use crate::class::Class;
use crate::context::Context;
use crate::error::CliError;
use crate::object::each;
use crate::view::printable;

/// Objects that are asked for by their ids in one search.
const AT_ONCE: usize = 64;

/// Objects that are read once more by their ids; where there are more, all are read.
pub(super) const MOST_BY_ID: usize = 20_000;

/// What is compared, and how.
pub(crate) struct Reading {
    pub(crate) digests: Digests,
    pub(crate) call: CallArgs,
    pub(crate) class: Class,
    pub(crate) page_size: u32,
}

impl Reading {
    fn search(&self, attributes: &[String]) -> Search {
        Search {
            object_class: self.class.class.into(),
            class_name: self.class.name.clone(),
            attribute_names: attributes.to_vec(),
            page_size: self.page_size,
            ..Search::default()
        }
    }
}

/// What one side has.
pub(crate) struct Side {
    pub(crate) entries: Sorter,
    pub(crate) revisions: Revisions,
    /// Of some objects there is but a digest.
    pub(super) has_digests: bool,
}

impl Side {
    pub(crate) fn new() -> Result<Self, CliError> {
        Ok(Self {
            entries: Sorter::new()?,
            revisions: Revisions::default(),
            has_digests: false,
        })
    }
}

/// What has changed on a resource while it was read.
#[derive(Clone, Debug)]
pub(crate) enum Meanwhile {
    /// So many changes were seen, and are regarded.
    Seen(u64),
    /// Nobody knows, for this reason.
    Unknown(String),
}

impl Meanwhile {
    /// Tells people where nobody knows.
    pub(crate) fn tell(&self, context: &Context) {
        if let Self::Unknown(why) = self {
            context.note(&format!(
                "what changed while it was read is not known: {}",
                printable(why)
            ));
        }
    }

    /// The changes that were seen; `None`: nobody knows.
    pub(crate) fn seen(&self) -> Option<u64> {
        match self {
            Self::Seen(count) => Some(*count),
            Self::Unknown(_) => None,
        }
    }

    /// Of several resources.
    pub(crate) fn all(several: impl IntoIterator<Item = Self>) -> Self {
        let mut count = 0;
        for one in several {
            match one {
                Self::Seen(seen) => count += seen,
                Self::Unknown(why) => return Self::Unknown(why),
            }
        }
        Self::Seen(count)
    }
}

/// Reads one resource.
pub(crate) struct Reader {
    caller: Caller,
    watch: Watch,
    /// Empty: all that the schema returns by default.
    attributes: Vec<String>,
    pub(super) side: Side,
    /// Changes that were seen.
    changes: u64,
}

impl Reader {
    /// Nothing is read yet; from now on no change is missed.
    pub(crate) async fn begin(mut caller: Caller, reading: &Reading) -> Result<Self, CliError> {
        let watch = Watch::begin(&mut caller, &reading.class, &reading.call).await?;
        Ok(Self {
            caller,
            watch,
            attributes: Vec::new(),
            side: Side::new()?,
            changes: 0,
        })
    }

    /// Reads all objects, with these attributes. Where it is known which are compared, the digest of
    /// them is asked for in their place.
    pub(crate) async fn list(
        &mut self,
        reading: &mut Reading,
        attributes: Vec<String>,
    ) -> Result<(), CliError> {
        let by_digest = reading.digests.are_by_id() || !attributes.is_empty();
        self.attributes = attributes;
        self.listing(reading, by_digest).await
    }

    /// Reads these objects whole, or all of them where these are too many.
    pub(super) async fn read_whole(
        &mut self,
        reading: &mut Reading,
        ids: Vec<String>,
    ) -> Result<(), CliError> {
        match ids.len() > MOST_BY_ID {
            true => self.list_whole(reading).await,
            false => self.read_again(reading, ids).await,
        }
    }

    async fn list_whole(&mut self, reading: &mut Reading) -> Result<(), CliError> {
        self.side = Side::new()?;
        self.listing(reading, false).await
    }

    async fn listing(&mut self, reading: &mut Reading, by_digest: bool) -> Result<(), CliError> {
        let mut search = reading.search(&self.attributes);
        if by_digest {
            search.digest_key = reading.digests.key();
        }
        let (digests, attributes) = (&mut reading.digests, &self.attributes);
        let (entries, has_digests) = (&mut self.side.entries, &mut self.side.has_digests);
        each(self.caller.clone(), search, &reading.call, |object| {
            *has_digests |= !object.digest.is_empty();
            entries.push(digests.object(&object, attributes)?)
        })
        .await
    }

    /// Regards what has changed since the reading began, or since the last time; answers whether
    /// anything has.
    pub(crate) async fn catch_up(&mut self, reading: &mut Reading) -> Result<bool, CliError> {
        let by_id = self.needs_reading(reading).await?;
        let (mut count, mut changed) = (0_u64, Vec::new());
        let (side, attributes) = (&mut self.side, &self.attributes);
        let digests = &mut reading.digests;
        let take = |kind| {
            count += 1;
            match kind {
                Kind::Object(object) => {
                    let number = side.revisions.revised(&object.id)?;
                    if by_id {
                        changed.push(object.id);
                        return Ok(());
                    }
                    let mut entry = digests.object(&object, attributes)?;
                    entry.number = number;
                    side.entries.push(entry)
                }
                Kind::Gone(gone) => side.revisions.revised(&gone.id).map(|_| ()),
                Kind::End(_) => Ok(()),
            }
        };
        let (class, call) = (&reading.class, &reading.call);
        self.watch
            .catch_up(&mut self.caller, class, call, take)
            .await?;
        self.read_again(reading, changed).await?;
        self.changes += count;
        Ok(count > 0)
    }

    /// What was read.
    pub(crate) fn end(self) -> (Side, Meanwhile) {
        let meanwhile = match self.watch {
            Watch::From(_) => Meanwhile::Seen(self.changes),
            Watch::Blind(why) => Meanwhile::Unknown(why),
        };
        (self.side, meanwhile)
    }

    /// Whether an object of a sync may lack what is compared: it has what the schema returns by
    /// default.
    async fn needs_reading(&mut self, reading: &Reading) -> Result<bool, CliError> {
        if self.attributes.is_empty() || matches!(self.watch, Watch::Blind(_)) {
            return Ok(false);
        }
        let class = reading.class.clone();
        let typing = self.caller.typing(class, &reading.call).await?;
        let mut attributes = self.attributes.iter();
        Ok(!attributes.all(|name| typing.returned_by_default(name)))
    }

    /// Reads these objects once more, whole. One that is not found is gone.
    async fn read_again(
        &mut self,
        reading: &mut Reading,
        mut ids: Vec<String>,
    ) -> Result<(), CliError> {
        ids.sort_unstable();
        ids.dedup();
        for some in ids.chunks(AT_ONCE) {
            let search = Search {
                filter: Some(with_ids(some)),
                ..reading.search(&self.attributes)
            };
            let (side, attributes) = (&mut self.side, &self.attributes);
            for id in some {
                side.revisions.revised(id)?;
            }
            let digests = &mut reading.digests;
            each(self.caller.clone(), search, &reading.call, |object| {
                let mut entry = digests.object(&object, attributes)?;
                entry.number = side.revisions.revised(&object.id)?;
                side.entries.push(entry)
            })
            .await?;
        }
        Ok(())
    }
}

fn with_ids(ids: &[String]) -> Filter {
    let filters = ids.iter().map(|id| Filter {
        kind: Some(FilterKind::Comparison(Comparison {
            operation: ComparisonOperation::Equals.into(),
            attribute: "__id__".to_owned(),
            value: Some(Value {
                kind: Some(ValueKind::Text(id.clone())),
            }),
        })),
    });
    Filter {
        kind: Some(FilterKind::Any(FilterList {
            filters: filters.collect(),
        })),
    }
}
