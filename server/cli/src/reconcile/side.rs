//! One side of a comparison: a resource, as it is once it was read to its end.

use portcullis_proto::gateway::v1::filter::Kind as FilterKind;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::value::Kind as ValueKind;
use portcullis_proto::gateway::v1::{
    Comparison, ComparisonOperation, FailureKind, Filter, FilterList, Search, Value,
};

use super::digests::Digests;
use super::entry::Entry;
use super::read_so_far::ReadSoFar;
use super::resume::{Listed, Progress, Which};
use super::revisions::Revisions;
use super::sorted::Sorter;
use super::watch::Watch;
use crate::call::{CallArgs, Caller};
use crate::class::Class;
use crate::context::Context;
use crate::error::CliError;
use crate::object::{Step, each, each_step};
use crate::view::printable;

/// Objects that are asked for by their ids in one search.
const AT_ONCE: usize = 64;

/// Objects that are read once more by their ids; where there are more, all are read.
pub(super) const MOST_BY_ID: usize = 20_000;

/// How many objects are asked for at a time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pages {
    first: u32,
    most: u32,
}

impl Pages {
    /// So many; as many as come within seconds where nobody says.
    pub(crate) fn of(size: Option<u32>) -> Self {
        match size {
            Some(size) => Self {
                first: size,
                most: size,
            },
            None => Self {
                first: 1000,
                most: 100_000,
            },
        }
    }
}

/// What is compared, and how.
pub(crate) struct Reading {
    pub(crate) digests: Digests,
    pub(crate) call: CallArgs,
    pub(crate) class: Class,
    pub(crate) pages: Pages,
    /// Where what was read is kept, so that another run goes on from it.
    pub(crate) progress: Option<Progress>,
    /// What people are shown of it meanwhile.
    pub(crate) so_far: ReadSoFar,
}

impl Reading {
    /// Nothing of what was read is needed any more.
    pub(crate) fn end(&mut self) -> Result<(), CliError> {
        self.progress.take().map_or(Ok(()), Progress::end)
    }

    fn search(&self, attributes: &[String]) -> Search {
        Search {
            object_class: self.class.class.into(),
            class_name: self.class.name.clone(),
            attribute_names: attributes.to_vec(),
            page_size: self.pages.first,
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

    /// Takes an entry.
    pub(crate) fn push(&mut self, entry: &Entry) -> Result<(), CliError> {
        let mut encoded = Vec::new();
        entry.encode(&mut encoded);
        self.entries.push(&encoded)
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
    which: Which,
    /// Empty: all that the schema returns by default.
    attributes: Vec<String>,
    /// Where the next page starts; empty: from the start.
    cookie: Vec<u8>,
    /// An earlier run has listed all of it.
    done: bool,
    pub(super) side: Side,
    /// Changes that were seen.
    changes: u64,
}

impl Reader {
    /// Nothing is read yet, or what an earlier run has; from now on no change is missed.
    pub(crate) async fn begin(
        mut caller: Caller,
        reading: &mut Reading,
        which: Which,
    ) -> Result<Self, CliError> {
        let listed = match &mut reading.progress {
            Some(progress) => progress.listed(which),
            None => None,
        };
        let listed = match listed {
            Some(listed) => listed,
            None => {
                let watch = Watch::begin(&mut caller, &reading.class, &reading.call).await?;
                if let Some(progress) = &mut reading.progress {
                    progress.start(which, &watch)?;
                }
                Listed {
                    watch,
                    side: Side::new()?,
                    cookie: Vec::new(),
                    done: false,
                }
            }
        };
        Ok(Self {
            caller,
            which,
            watch: listed.watch,
            attributes: Vec::new(),
            cookie: listed.cookie,
            done: listed.done,
            side: listed.side,
            changes: 0,
        })
    }

    /// Reads all objects, with these attributes. Where it is known which are compared, the digest
    /// of them is asked for in their place.
    pub(crate) async fn list(
        &mut self,
        reading: &mut Reading,
        attributes: Vec<String>,
    ) -> Result<(), CliError> {
        let by_digest = reading.digests.are_by_id() || !attributes.is_empty();
        self.attributes = attributes;
        if self.done {
            return Ok(());
        }
        let goes_on = !self.cookie.is_empty();
        match self.listing(reading, by_digest, false).await {
            // Where the gateway or the directory was started anew, it does not know the page.
            Err(CliError::CallFailed {
                kind: FailureKind::Invalid | FailureKind::Unavailable,
                ..
            }) if goes_on && !self.cookie.is_empty() => {
                self.cookie.clear();
                self.side = Side::new()?;
                self.listing(reading, by_digest, true).await
            }
            listed => listed,
        }
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
        // It is read again by a run that goes on, too.
        let progress = reading.progress.take();
        let listed = self.listing(reading, false, false).await;
        reading.progress = progress;
        listed
    }

    /// Reads from where the next page starts; `anew`: what an earlier run has kept does not count.
    async fn listing(
        &mut self,
        reading: &mut Reading,
        by_digest: bool,
        anew: bool,
    ) -> Result<(), CliError> {
        let mut search = reading.search(&self.attributes);
        search.cookie.clone_from(&self.cookie);
        if by_digest {
            search.digest_key = reading.digests.key();
        }
        let (which, attributes) = (self.which, &self.attributes);
        let (digests, progress) = (&mut reading.digests, &mut reading.progress);
        let so_far = &mut reading.so_far;
        let (side, cookie) = (&mut self.side, &mut self.cookie);
        let mut watch = anew.then_some(&self.watch);
        let mut entry = Vec::new();
        let mut take = |step: Step<'_>, progress: Option<&mut Progress>| match step {
            Step::Object(_) | Step::Listed(_) => {
                so_far.count();
                entry.clear();
                match step {
                    Step::Object(object) => digests.object(&object, attributes).encode(&mut entry),
                    Step::Listed(listed) => {
                        side.has_digests = true;
                        digests.listed(&listed, &mut entry);
                    }
                    Step::Page(_) => {}
                }
                if let Some(progress) = progress {
                    progress.entry(which, &entry)?;
                }
                side.entries.push(&entry)
            }
            Step::Page(next) => {
                so_far.page();
                cookie.clear();
                match progress {
                    Some(progress) => progress.page(which, next, digests.known()),
                    None => Ok(()),
                }
            }
        };
        let take = |step: Step<'_>| {
            // Not before something comes: what was kept may be of use yet.
            if let (Some(watch), Some(progress)) = (watch.take(), progress.as_mut()) {
                progress.start(which, watch)?;
            }
            take(step, progress.as_mut())
        };
        let most = reading.pages.most;
        each_step(self.caller.clone(), search, &reading.call, most, take).await
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
                    let mut entry = digests.object(&object, attributes);
                    entry.number = number;
                    side.push(&entry)
                }
                Kind::Gone(gone) => side.revisions.revised(&gone.id).map(|_| ()),
                Kind::Listing(_) | Kind::End(_) => Ok(()),
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
                let mut entry = digests.object(&object, attributes);
                entry.number = side.revisions.revised(&object.id)?;
                side.push(&entry)
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
