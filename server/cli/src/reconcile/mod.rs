//! `portcullis reconcile`: what differs between the objects of a resource and those that there
//! should be, and its repair.
//!
//! ```text
//! the source (a file, or another resource) ─┐   an entry each: name, and    ┌─▶ missing, unknown,
//!                                           ├─▶ digests of the attributes; ─┤   changed, doubled:
//! the resource, page after page ────────────┘   sorted in runs on the disk  └─▶ counted, listed
//! ```
//!
//! Both sides are read to their ends before anything is said to be missing: where one of them
//! breaks off, nothing is. What a resource says has changed meanwhile is regarded. Neither side's
//! objects are held in memory; what goes to the disk are names, ids and keyed digests, in a file
//! without a name.

mod clear;
mod compare;
mod digests;
mod entry;
mod inventory;
mod read_so_far;
mod repair;
mod report;
mod resume;
mod revisions;
mod rows;
mod side;
mod sorted;
mod watch;
mod working;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use data_encoding::BASE64;
use portcullis_proto::gateway::v1::{FailureKind, ObjectClass};

use crate::call::{CallArgs, Caller};
use crate::class::Class;
use crate::context::Context;
use crate::error::{CliError, EXIT_USAGE};
use crate::import::{FileFormat, SourceFile, csv};
use crate::input::typing::Typing;
use clear::{Wanted, settle};
use compare::{alike, compare, difference};
use digests::Digests;
use inventory::{Asked, Inventory};
use read_so_far::ReadSoFar;
use repair::{Limits, Repair};
use report::{Counts, Found, Listing, Report};
use resume::{Heading, Progress, Which};
use rows::{RowsAgain, Table};
use side::{Meanwhile, Pages, Reader, Reading, Side};

const AFTER_HELP: &str = "\
The source says how it should be. An account of it that the resource lacks is missing, one that only the resource has is
unknown, and one whose attributes are others is changed. Compared are `enabled` and the attributes that the source gives
(or those of --attribute), never passwords. A field that is empty in a file is not compared. With --class, groups and the
resource's further classes are compared likewise; the values of an attribute, such as members, are a set.

What changes while a resource is read is regarded where the resource can tell (`portcullis sync`).

With --inventory FILE nothing says how it should be: told is which objects have appeared, vanished or changed since the last
run with that file. It keeps ids, names and keyed digests, and is replaced once all was read.

Nothing is changed without --repair. With it, missing accounts are created, changed ones are updated, and unknown ones are
deleted where --most-deletes allows it. If there are more than a limit allows, nothing at all is repaired.

With --resume FILE a run that was cut, or ended with 5, goes on from its last whole page when the same command is given again.
A run without it keeps nothing of what it has read.

Exit codes: 0 all was compared, and repaired where asked; 1 some repairs failed, or a limit was passed; 2 the command or a line of
the source is wrong, such as a class that the resource does not have, so that nothing was compared; 3 nobody knows what came of
some; 5 one side could not be read to its end, so that nothing is known to be missing.

Examples:
  portcullis reconcile hr-db --source people.csv --differences differences.csv
  portcullis reconcile hr-db --source people.jsonl --repair --most-deletes 10
  portcullis reconcile host1-accounts --against hr-db --attribute full_name
  portcullis reconcile directory --class group --source groups.csv --attribute member
  portcullis reconcile directory --inventory directory.inventory --differences since-yesterday.csv";

/// What to do where a reading broke off that is kept.
const GOES_ON: &str =
    ". Once that is mended, the same command goes on from the last page that was read";
/// The same where it is not.
const COULD_GO_ON: &str = ". Once that is mended, give the same command again; with --resume FILE a run that breaks off can be gone on with";
/// The same where it cannot be.
const AGAIN: &str = ". Once that is mended, give the same command again";

#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub(crate) struct ReconcileArgs {
    /// The resource
    resource: String,
    #[command(flatten)]
    side: SideArgs,
    /// The file's format; by its name (.csv, .jsonl, .ndjson) where none is given
    #[arg(long, value_enum, requires = "source")]
    format: Option<FileFormat>,
    /// What separates the columns of a CSV file: a character, or `tab`
    #[arg(long, value_name = "CHARACTER", value_parser = csv::separator, requires = "source")]
    separator: Option<u8>,
    /// The class: account, group, or another one of `portcullis resource schema`
    #[arg(long, value_name = "CLASS", default_value = "account")]
    class: String,
    /// Compare this attribute; repeat it for several. All that the source gives where none is named
    #[arg(long = "attribute", value_name = "NAME")]
    attributes: Vec<String>,
    /// Names that differ in case only are the same
    #[arg(long)]
    ignore_case: bool,
    /// Write each difference to this file, by its name as CSV (.csv) or JSON Lines
    #[arg(long, value_name = "FILE")]
    differences: Option<PathBuf>,
    /// Keep in this file how far the run has come, and go on from there where it was cut. The file
    /// goes once the run has come to its end
    #[arg(long, value_name = "FILE", conflicts_with = "inventory")]
    resume: Option<PathBuf>,
    /// Repair what differs
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    limits: Limits,
    /// How many calls are made at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// How many objects are asked for at a time; 1000 at first and then as many as come within
    /// seconds, where none is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    page_size: Option<u32>,
    /// How long the gateway may take for a page or a change; its own limit is never exceeded
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    timeout: Option<Duration>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct SideArgs {
    /// The accounts that there should be: a CSV file or JSON Lines, as `account import` reads them
    #[arg(long, value_name = "FILE")]
    source: Option<PathBuf>,
    /// The resource whose accounts there should be
    #[arg(long, value_name = "RESOURCE")]
    against: Option<String>,
    /// Tell what has changed since the last run with this file, and keep in it what there is now
    #[arg(long, value_name = "FILE", conflicts_with_all = ["repair", "ignore_case"])]
    inventory: Option<PathBuf>,
}

/// The side that says how it should be.
pub(crate) enum Source {
    File(Arc<SourceFile>),
    /// And its name.
    Resource(Box<Caller>, String),
}

impl Source {
    /// What another source, or a file that has changed, is told from this one by.
    fn identity(&self) -> String {
        match self {
            Self::File(file) => format!("file {}", file.digest()),
            Self::Resource(_, name) => format!("resource {name}"),
        }
    }
}

impl ReconcileArgs {
    pub(crate) async fn run(mut self, context: &Context) -> Result<(), CliError> {
        let class = Class::named(&self.class);
        if self.repair && class.class == ObjectClass::Other {
            return Err(CliError::usage(
                "--repair: only accounts and groups can be created and changed",
            ));
        }
        if let Some(file) = self.side.inventory.take() {
            return self.since_the_last_run(context, class, file).await;
        }
        let source = self.source(context).await?;
        let call = CallArgs::with_timeout(self.timeout);
        let mut caller = Caller::new(context, self.resource.clone()).await?;
        let typing = caller.typing(class.clone(), &call).await?;
        // One that nobody has would be the same everywhere.
        typing.check_known(&self.attributes)?;
        let so_far = ReadSoFar::new(context);
        let mut reading = self.reading(&source, class, call, so_far)?;
        let read = self.read(&mut reading, &source, &caller, &typing).await;
        reading.so_far.finish();
        let next = match self.resume {
            Some(_) => GOES_ON,
            None => COULD_GO_ON,
        };
        let mut read = match read.map_err(|error| incomplete(error, next)) {
            Ok(read) => read,
            Err(error) => {
                // Of a file that has to be mended first, what was kept is of no use.
                if error.exit_code() == EXIT_USAGE {
                    reading.end()?;
                }
                return Err(error);
            }
        };
        read.meanwhile.tell(context);

        let mut listing = Listing::open(self.differences.as_deref())?;
        let mut counts = Counts::default();
        let begun = reading.progress.as_mut().map(Progress::begun);
        let mut repair = Repair::new(self.limits, self.repair, begun.unwrap_or_default());
        let mut rows = match &read.table {
            Some(table) => Some(RowsAgain::of(table, &reading.digests)?),
            None => None,
        };
        let sides = (&mut read.wanted, &mut read.there);
        let same = compare(sides, rows.as_mut(), alike, &mut |wanted, there| {
            let difference = difference(wanted, there);
            counts.add(difference.as_ref());
            if let Some(difference) = difference {
                let attributes = reading.digests.names(&difference.attributes);
                listing.write(&Found::new(&difference, attributes.clone()))?;
                repair.take(difference, attributes);
            }
            Ok(())
        })?;
        drop(rows);
        counts.same += same;
        listing.end()?;
        let report = |repaired| Report::new(&counts, &read.meanwhile, repaired);
        if !self.repair {
            reading.end()?;
            return context.print(&report(None));
        }
        repair.check(&counts).inspect_err(|_| {
            // What stands in the error is the verdict; the counts say why.
            let _ = context.print(&report(None));
        })?;
        let repairing = repair.run(
            context,
            &source,
            caller,
            &typing,
            (&mut reading, self.jobs, &read.named),
        );
        let repaired = repairing.await?;
        reading.end()?;
        context.print(&report(Some(&repaired)))?;
        repaired.verdict()
    }

    async fn since_the_last_run(
        self,
        context: &Context,
        class: Class,
        file: PathBuf,
    ) -> Result<(), CliError> {
        let call = CallArgs::with_timeout(self.timeout);
        let mut caller = Caller::new(context, self.resource.clone()).await?;
        if !self.attributes.is_empty() {
            let typing = caller.typing(class.clone(), &call).await?;
            typing.check_known(&self.attributes)?;
        }
        let asked = Asked {
            resource: self.resource,
            file,
            attributes: self.attributes,
            differences: self.differences,
        };
        let (inventory, digests) = Inventory::open(asked, class.word())?;
        let reading = Reading {
            digests,
            call,
            class,
            pages: Pages::of(self.page_size),
            progress: None,
            so_far: ReadSoFar::new(context),
        };
        inventory.run(context, caller, reading).await
    }

    /// What is compared, and what an earlier run has left of it.
    fn reading(
        &self,
        source: &Source,
        class: Class,
        call: CallArgs,
        so_far: ReadSoFar,
    ) -> Result<Reading, CliError> {
        let mut key: [u8; 32] = rand::random();
        let mut progress = None;
        if let Some(path) = &self.resume {
            let mut heading = Heading {
                reconciliation: 2,
                resource: self.resource.clone(),
                class: class.word().to_owned(),
                source: source.identity(),
                attributes: self.attributes.clone(),
                ignore_case: self.ignore_case,
                key: BASE64.encode(&key),
            };
            progress = Some(Progress::open(path, &mut heading)?);
            key = digests::key(&heading.key, path)?;
        }
        let mut digests = Digests::by_name(key, self.ignore_case);
        if let Some(progress) = &mut progress {
            digests.number_as(&progress.names());
        }
        Ok(Reading {
            digests,
            call,
            class,
            pages: Pages::of(self.page_size),
            progress,
            so_far,
        })
    }

    async fn source(&mut self, context: &Context) -> Result<Source, CliError> {
        Ok(match (self.side.source.take(), self.side.against.take()) {
            (Some(path), _) => {
                let file = SourceFile::read(path, self.format, self.separator)?;
                Source::File(Arc::new(file))
            }
            (None, against) => {
                let other = against.unwrap_or_default();
                Source::Resource(Box::new(Caller::new(context, other.clone()).await?), other)
            }
        })
    }

    /// Reads both sides to their ends.
    async fn read(
        &self,
        reading: &mut Reading,
        source: &Source,
        caller: &Caller,
        typing: &Typing,
    ) -> Result<Read, CliError> {
        // Before the first object of either side, so that neither is the older one.
        let mut there = Reader::begin(caller.clone(), reading, Which::There).await?;
        let mut table = None;
        let (mut wanted, named) = match source {
            Source::File(file) => {
                let rows = table.insert(Table {
                    file: Arc::clone(file),
                    typing: Arc::new(typing.clone()),
                    wanted: self.attributes.clone(),
                });
                let (side, named) = read_beside(rows, reading, &mut there).await?;
                (Wanted::Rows(side), named)
            }
            Source::Resource(other, _) => {
                let mut wanted =
                    Reader::begin(Caller::clone(other), reading, Which::Wanted).await?;
                wanted.list(reading, self.attributes.clone()).await?;
                let known = reading.digests.known().map(str::to_owned);
                let asked = self.attributes.iter().cloned();
                let named: BTreeSet<_> = known.chain(asked).collect();
                there.list(reading, named.iter().cloned().collect()).await?;
                (Wanted::Resource(Box::new(wanted)), named)
            }
        };
        settle(reading, &mut wanted, &mut there).await?;
        let (wanted, changed) = wanted.end();
        let (there, changed_there) = there.end();
        let meanwhile = changed.into_iter().chain([changed_there]);
        Ok(Read {
            table,
            wanted,
            there,
            named,
            meanwhile: Meanwhile::all(meanwhile),
        })
    }
}

/// Both sides.
struct Read {
    /// Of which file `wanted` is.
    table: Option<Table>,
    wanted: Side,
    there: Side,
    /// The attributes that are compared.
    named: BTreeSet<String>,
    meanwhile: Meanwhile,
}

/// What a reading came to that did not come to its end; `next`: what to do where it broke off.
fn incomplete(error: CliError, next: &'static str) -> CliError {
    match error {
        // What is wrong with the command is no reading that broke off.
        CliError::Usage(_) | CliError::File { .. } | CliError::ReconcileIncomplete { .. } => error,
        CliError::CallFailed {
            kind: FailureKind::Invalid | FailureKind::Unsupported,
            ..
        } => CliError::ReconcileWrong(Box::new(error)),
        source => CliError::ReconcileIncomplete {
            source: Box::new(source),
            next,
        },
    }
}

/// Reads a file to its end, and beside it the resource; answers which attributes are compared.
async fn read_beside(
    table: &Table,
    reading: &mut Reading,
    there: &mut Reader,
) -> Result<(Side, BTreeSet<String>), CliError> {
    let rows = table.clone();
    let named = beside(move || rows.given()).await?;
    reading.digests.number_as(&named);
    let (rows, digests) = (table.clone(), reading.digests.of_rows());
    let rows = beside(move || rows.read(&digests));
    let listing = there.list(reading, named.iter().cloned().collect());
    let (side, ()) = tokio::try_join!(rows, listing)?;
    Ok((side, named))
}

/// Work that takes a processor of its own.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, CliError> + Send + 'static,
) -> Result<T, CliError> {
    let working = tokio::task::spawn_blocking(work).await;
    working.map_err(|error| CliError::Runtime(error.into()))?
}
