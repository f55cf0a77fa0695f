//! `portcullis account list` and `search`, `portcullis group list`: what is found, page after page.

use std::time::{Duration, Instant};

use clap::Args;
use portcullis_common::listing::{Listed, Objects};
use portcullis_proto::gateway::v1::call::Verb;
use portcullis_proto::gateway::v1::search_item::Kind;
use portcullis_proto::gateway::v1::{Filter, Object, Search, SearchEnd};

use crate::call::{CallArgs, Caller, SearchCallArgs, random_call_id};
use crate::class::Class;
use crate::context::Context;
use crate::detail::object_table;
use crate::error::CliError;
use crate::input::filter;
use crate::view::{View, printable};

/// A page that takes less is fast.
const FAST: Duration = Duration::from_secs(1);
/// How much larger the page after a fast one is.
const GROWTH: u32 = 4;

const NOT_ASKED: &str = "a listing where objects were asked for";
const MALFORMED: &str = "a listing that cannot be read";

#[derive(Debug, Args)]
#[command(after_help = filter::HELP)]
pub(crate) struct SearchArgs {
    /// The resource
    resource: String,
    /// The condition, see below; given several times, all of them must be met
    #[arg(long = "where", value_name = "CONDITION", required = true)]
    conditions: Vec<String>,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    call: SearchCallArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// The resource
    resource: String,
    #[command(flatten)]
    page: PageArgs,
    #[command(flatten)]
    call: SearchCallArgs,
}

impl ListArgs {
    pub(crate) async fn run(
        self,
        context: &Context,
        class: impl Into<Class>,
    ) -> Result<(), CliError> {
        let caller = Caller::new(context, self.resource).await?;
        let call = self.call.into();
        print_found(context, caller, self.page.search(class, None), &call).await
    }
}

#[derive(Debug, Args)]
struct PageArgs {
    /// Show this attribute; repeat it for several. All that the schema returns by default where
    /// none is given
    #[arg(long = "attribute", value_name = "NAME")]
    attributes: Vec<String>,
    /// How many objects are asked for at a time; all of them are shown in the end
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    page_size: u32,
}

impl PageArgs {
    fn search(self, class: impl Into<Class>, filter: Option<Filter>) -> Search {
        let Class { class, name } = class.into();
        Search {
            object_class: class.into(),
            filter,
            attribute_names: self.attributes,
            page_size: self.page_size,
            class_name: name,
            ..Search::default()
        }
    }
}

impl SearchArgs {
    pub(crate) async fn run(
        self,
        context: &Context,
        class: impl Into<Class>,
    ) -> Result<(), CliError> {
        let mut caller = Caller::new(context, self.resource).await?;
        let call = self.call.into();
        let class = class.into();
        let typing = caller.typing(class.clone(), &call).await?;
        let filters = self
            .conditions
            .iter()
            .map(|condition| filter::parse(condition, &typing))
            .collect::<Result<Vec<_>, _>>()?;
        let search = self.page.search(class, Some(filter::all(filters)));
        print_found(context, caller, search, &call).await
    }
}

/// Prints what a search finds, page after page: JSON as it comes, a table once its columns are
/// known.
async fn print_found(
    context: &Context,
    caller: Caller,
    search: Search,
    args: &CallArgs,
) -> Result<(), CliError> {
    let class = Class::new(search.object_class(), &search.class_name);
    let chosen = !search.attribute_names.is_empty();
    if !context.json() {
        let mut objects = Vec::new();
        let searched = each(caller, search, args, |object| {
            objects.push(object);
            Ok(())
        })
        .await;
        let text = match objects.len() {
            0 if searched.is_ok() => format!("no {} was found", printable(class.word())),
            0 => return searched,
            _ => object_table(&objects, chosen),
        };
        context.line(&text)?;
        return searched;
    }
    let mut opened = false;
    let searched = each(caller, search, args, |object| {
        let lead = if opened { ",\n" } else { "[\n" };
        opened = true;
        context.write(&format!("{lead}{}", object.json()))
    })
    .await;
    // Closed also where the search broke off: what was found is whole, and the error tells the
    // rest.
    context.write(match (opened, &searched) {
        (true, _) => "\n]\n",
        (false, Ok(())) => "[]\n",
        (false, Err(_)) => "",
    })?;
    searched
}

/// Takes what a search finds, page after page, to its end: an error where it does not come there.
pub(crate) async fn each(
    caller: Caller,
    search: Search,
    args: &CallArgs,
    mut take: impl FnMut(Object) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let take = |step: Step<'_>| match step {
        Step::Object(object) => take(object),
        Step::Listed(_) => Err(CliError::BadAnswer(NOT_ASKED)),
        Step::Page(_) => Ok(()),
    };
    let most = search.page_size;
    each_step(caller, search, args, most, take).await
}

/// A step of a search.
pub(crate) enum Step<'a> {
    Object(Object),
    /// Where digests were asked for.
    Listed(Listed<'a>),
    /// A page is whole. Where the next one starts; empty: it was the last one.
    Page(&'a [u8]),
}

/// The same, with the ends of pages. Pages grow up to so many objects, as long as each comes fast.
pub(crate) async fn each_step(
    mut caller: Caller,
    mut search: Search,
    args: &CallArgs,
    most: u32,
    mut take: impl FnMut(Step<'_>) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let mut args = args.identified();
    loop {
        let began = Instant::now();
        let end = page(&mut caller, &search, &args, &mut take).await?;
        if began.elapsed() < FAST {
            search.page_size = search.page_size.saturating_mul(GROWTH).min(most);
        }
        if let Some(failure) = end.failure {
            return Err(CliError::failed(args.id().to_owned(), failure));
        }
        if end.next_cookie.is_empty() || end.next_cookie != search.cookie {
            take(Step::Page(&end.next_cookie))?;
        }
        if end.next_cookie.is_empty() {
            return Ok(());
        }
        if end.next_cookie == search.cookie {
            return Err(CliError::BadAnswer("the next page is the same page"));
        }
        search.cookie = end.next_cookie;
        // Each page is a call of its own.
        args = args.with_id(random_call_id());
    }
}

async fn page(
    caller: &mut Caller,
    search: &Search,
    args: &CallArgs,
    take: &mut impl FnMut(Step<'_>) -> Result<(), CliError>,
) -> Result<SearchEnd, CliError> {
    let mut items = caller.search(Verb::Search(search.clone()), args).await?;
    loop {
        let item = items
            .message()
            .await?
            .ok_or(CliError::BadAnswer("the search breaks off"))?;
        match item.kind {
            Some(Kind::Object(object)) => take(Step::Object(object))?,
            Some(Kind::Listing(listing)) if !search.digest_key.is_empty() => {
                for listed in Objects::of(&listing.objects) {
                    let listed = listed.map_err(|_| CliError::BadAnswer(MALFORMED))?;
                    take(Step::Listed(listed))?;
                }
            }
            Some(Kind::Listing(_)) => return Err(CliError::BadAnswer(NOT_ASKED)),
            Some(Kind::End(end)) => return Ok(end),
            Some(Kind::Gone(_)) | None => {
                return Err(CliError::BadAnswer("a search item without an object"));
            }
        }
    }
}
