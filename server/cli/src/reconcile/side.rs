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
            filter: None,
            attribute_names: attributes.to_vec(),
            page_size: self.page_size,
            cookie: Vec::new(),
        }
    }
}

/// What one side has.
pub(crate) struct Side {
    pub(crate) entries: Sorter,
    pub(crate) revisions: Revisions,
}

impl Side {
    pub(crate) fn new() -> Result<Self, CliError> {
        Ok(Self {
            entries: Sorter::new()?,
            revisions: Revisions::default(),
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
    pub(crate) fn all(several: Vec<Self>) -> Self {
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
    side: Side,
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
        })
    }

    /// Reads all objects, with these attributes.
    pub(crate) async fn list(
        &mut self,
        reading: &mut Reading,
        attributes: Vec<String>,
    ) -> Result<(), CliError> {
        self.attributes = attributes;
        let search = reading.search(&self.attributes);
        let (digests, attributes) = (&mut reading.digests, &self.attributes);
        let entries = &mut self.side.entries;
        each(self.caller.clone(), search, &reading.call, |object| {
            entries.push(digests.object(&object, attributes))
        })
        .await
    }

    /// Regards what has changed since the reading began.
    pub(crate) async fn end(
        mut self,
        reading: &mut Reading,
    ) -> Result<(Side, Meanwhile), CliError> {
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
                    let mut entry = digests.object(&object, attributes);
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
        let meanwhile = match self.watch {
            Watch::From(_) => Meanwhile::Seen(count),
            Watch::Blind(why) => Meanwhile::Unknown(why),
        };
        Ok((self.side, meanwhile))
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

    /// Reads these objects once more. One that is not found is gone.
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
            let digests = &mut reading.digests;
            each(self.caller.clone(), search, &reading.call, |object| {
                let mut entry = digests.object(&object, attributes);
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
