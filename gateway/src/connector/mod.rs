//! What every connector is: it carries out the verbs of a call on one resource.
//!
//! Each type has a folder here and an entry in [`crate::connectors`], which is all that knows of
//! it.

pub(crate) mod directory;
pub(crate) mod listing;
pub(crate) mod look;
pub(crate) mod own_log_ins;
pub(crate) mod process;
pub(crate) mod renewed;
pub(crate) mod secret_file;
mod snapshots;
mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::time::Duration;

use portcullis_common::listing::{Content, ListingKey};
use portcullis_watch::traces::Trace;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::async_trait;

#[cfg(feature = "fuzzing")]
pub use directory::fuzzed;
pub use snapshots::{Difference, Entry, Snapshot, Snapshots};

use listing::Listing;

use crate::model::{
    CallError, CallId, Change, Cookie, Create, Evidence, Failure, FailureKind, Get, IdRanges,
    Lockout, Look, Object, ObjectClass, ObjectId, ObjectName, ObjectRef, Password, Request, Roles,
    Rotation, Run, RunResult, Schema, Search, SearchEvent, Standings, SyncToken, Touched, Update,
    Verb,
};

/// What every verb is told about the call beside its arguments.
#[derive(Clone, Debug)]
pub struct Context {
    /// The caller's id of the call, for the log.
    pub call: CallId,
    /// The resource's settings: only those that [`Connector::settings`] names.
    pub settings: BTreeMap<String, String>,
    /// Those of them that are secret.
    pub secret_settings: BTreeMap<String, Password>,
    /// When the verb has to have ended. A connector keeps to it by itself: a verb that changes
    /// something is never cut off from outside.
    pub deadline: Instant,
    /// The trace of what the connector does, for whom it asks.
    pub trace: Trace,
}

impl Context {
    /// The time that is left.
    pub fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

/// Takes the objects that a search finds, one by one, and hands them on while the search goes on.
#[derive(Debug)]
pub struct Found {
    taker: Taker,
    left: usize,
    count: usize,
}

/// Who takes the objects.
enum Taker {
    Objects(mpsc::Sender<Object>),
    Events(mpsc::Sender<SearchEvent>, Conceal),
    Digests(Listing, Conceal),
}

/// Whether nobody is to see an attribute of an object.
type Conceal = Box<dyn Fn(ObjectClass, &str) -> bool + Send + Sync>;

impl fmt::Debug for Taker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Taker")
    }
}

impl Found {
    /// Hands objects to `sender`, `most` of them at the most.
    pub fn new(sender: mpsc::Sender<Object>, most: usize) -> Self {
        Self::taken_by(Taker::Objects(sender), most)
    }

    /// Hands objects to `events` without the attributes that `conceal` names, `most` of them at the
    /// most. With a key, each has a digest in the place of its attributes, and
    /// [`hand_on`](Self::hand_on) gives out the last of them.
    pub(crate) fn into_events(
        events: mpsc::Sender<SearchEvent>,
        most: usize,
        key: Option<ListingKey>,
        conceal: impl Fn(ObjectClass, &str) -> bool + Send + Sync + 'static,
    ) -> Self {
        let conceal = Box::new(conceal);
        let taker = match key {
            Some(key) => Taker::Digests(Listing::new(events, key), conceal),
            None => Taker::Events(events, conceal),
        };
        Self::taken_by(taker, most)
    }

    fn taken_by(taker: Taker, most: usize) -> Self {
        Self {
            taker,
            left: most,
            count: 0,
        }
    }

    /// How many objects were handed on.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Hands on one object.
    ///
    /// # Errors
    /// A [`Failure`] where there are more than asked for, or nobody listens any more; the search
    /// then ends.
    pub async fn push(&mut self, mut object: Object) -> Result<(), Failure> {
        self.count_one()?;
        let visible = |object: &mut Object, conceal: &Conceal| {
            let class = object.identity.class;
            let attributes = &mut object.attributes;
            attributes.retain(|attribute| !conceal(class, attribute.name.as_str()));
        };
        let taken = match &mut self.taker {
            Taker::Objects(sender) => sender.send(object).await.is_ok(),
            Taker::Events(sender, conceal) => {
                visible(&mut object, conceal);
                let found = SearchEvent::Found(Box::new(object));
                sender.send(found).await.is_ok()
            }
            Taker::Digests(listing, conceal) => {
                visible(&mut object, conceal);
                return listing.push(object).await;
            }
        };
        if taken { Ok(()) } else { Err(gone()) }
    }

    /// Whether of each object nothing but a digest is wanted: a connector that can make it of what
    /// it reads then lists objects by [`list`](Self::list), and need not push them.
    pub(crate) fn wants_digests(&self) -> bool {
        matches!(self.taker, Taker::Digests(..))
    }

    /// Whether nobody is to see an attribute.
    pub(crate) fn conceals(&self, class: ObjectClass, attribute: &str) -> bool {
        match &self.taker {
            Taker::Objects(_) => false,
            Taker::Events(_, conceal) | Taker::Digests(_, conceal) => conceal(class, attribute),
        }
    }

    /// Lists one object, whose attributes `fill` puts in, but those that are
    /// [concealed](Self::conceals). Answers whether to [`hand on`](Self::hand_on) what is listed
    /// before the next one.
    ///
    /// # Errors
    /// As [`push`](Self::push), where no digests are wanted, and what `fill` answers.
    pub(crate) fn list(
        &mut self,
        (id, name): (&str, &str),
        enabled: Option<bool>,
        fill: impl FnOnce(&mut Content) -> Result<(), Failure>,
    ) -> Result<bool, Failure> {
        self.count_one()?;
        match &mut self.taker {
            Taker::Digests(listing, _) => listing.put(id, name, enabled, fill),
            Taker::Objects(_) | Taker::Events(..) => {
                Err(Failure::internal("a digest where objects are wanted"))
            }
        }
    }

    /// Hands on what is listed.
    ///
    /// # Errors
    /// A [`Failure`] where nobody listens any more.
    pub(crate) async fn hand_on(&mut self) -> Result<(), Failure> {
        match &mut self.taker {
            Taker::Digests(listing, _) => listing.hand_on().await,
            Taker::Objects(_) | Taker::Events(..) => Ok(()),
        }
    }

    /// Counts an object, if it is still wanted.
    fn count_one(&mut self) -> Result<(), Failure> {
        let Some(left) = self.left.checked_sub(1) else {
            return Err(Failure::rejected(
                "the connector found more objects than were asked for: it does not keep to the page size",
            ));
        };
        self.left = left;
        self.count += 1;
        Ok(())
    }
}

fn gone() -> Failure {
    Failure::unavailable("the caller of the search went away")
}

/// Takes the changes that a sync finds, one by one, and hands them on while the sync goes on.
#[derive(Debug)]
pub struct Changes {
    sender: mpsc::Sender<Change>,
    /// Changes that are wanted yet.
    room: usize,
    /// Changes that are taken yet, although no more may be wanted.
    left: usize,
    more: bool,
    snapshots: Option<Snapshots>,
}

impl Changes {
    /// Hands changes to `sender`.
    pub fn new(sender: mpsc::Sender<Change>) -> Self {
        Self {
            sender,
            room: usize::MAX,
            left: usize::MAX,
            more: false,
            snapshots: None,
        }
    }

    /// The same, where so many are wanted, and no more than `most` taken.
    #[must_use]
    pub fn at_most(self, wanted: usize, most: usize) -> Self {
        Self {
            room: wanted.min(most),
            left: most,
            ..self
        }
    }

    /// The same, where a connector may keep what it has seen.
    #[must_use]
    pub fn keeping(self, snapshots: Option<Snapshots>) -> Self {
        Self { snapshots, ..self }
    }

    /// Changes that are wanted yet: a connector that can stop there stops, and says by
    /// [`more`](Self::more) that there are others.
    pub fn room(&self) -> usize {
        self.room
    }

    /// There are more changes already, from the token on that the sync answers.
    pub fn more(&mut self) {
        self.more = true;
    }

    /// Whether there are.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Where the connector may keep what it has seen.
    ///
    /// # Errors
    /// A [`Failure`] where this gateway keeps nothing.
    pub fn snapshots(&self) -> Result<Snapshots, Failure> {
        self.snapshots.clone().ok_or_else(|| {
            Failure::unsupported("this gateway has no folder for what was seen at the last sync")
        })
    }

    /// Hands on one change.
    ///
    /// # Errors
    /// A [`Failure`] where nobody listens any more, or there are more than the gateway hands out;
    /// the sync then ends.
    pub async fn push(&mut self, change: Change) -> Result<(), Failure> {
        let Some(left) = self.left.checked_sub(1) else {
            return Err(Failure::new(
                FailureKind::Refused,
                "more has changed than one sync may hand out (`max_search_results` of the connector's guard rails): raise it, or read all objects once and begin anew without a token",
            ));
        };
        self.left = left;
        self.room = self.room.saturating_sub(1);
        let gone = |_| Failure::unavailable("the caller of the sync went away");
        self.sender.send(change).await.map_err(gone)
    }
}

/// What must go one after the other: of two changes in the same lane, one waits until the other has
/// ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// That of this connector.
    Connector,
    /// That of a thing which several connectors of this type may work on, such as a folder of files
    /// or an object in a directory.
    Shared(String),
}

/// For which calls a connector is inspected.
#[derive(Clone, Copy, Debug, Default)]
pub struct Inspecting<'a> {
    /// Not only for those that read.
    pub changes: bool,
    /// The folder whose owner carries them out; `None`: the user of this process does.
    pub owner_of: Option<&'a Path>,
}

/// What is wrong on the host with what a connector needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What keeps calls from being carried out, each with the reason.
    pub faults: Vec<String>,
    /// What an administrator should know all the same.
    pub notes: Vec<String>,
}

/// What carries out the verbs on one resource. A verb that is not among [`Connector::verbs`] is
/// never called; the default bodies answer that there is none.
///
/// A verb answers [`CallError::Failed`] only where nothing has changed, and
/// [`CallError::Indeterminate`] where that cannot be told.
#[async_trait]
pub trait Connector: fmt::Debug + Send + Sync + 'static {
    /// The type's name in the configuration.
    fn kind(&self) -> &'static str;

    /// The classes of objects that it has beside accounts and groups.
    fn further_classes(&self) -> Vec<ObjectClass> {
        Vec::new()
    }

    /// The verbs that work on objects of this class.
    fn verbs(&self, class: ObjectClass) -> Vec<Verb>;

    /// The roles of its attributes: all that the guard rails know of them. An attribute that is
    /// left out here passes them unseen, whatever it names.
    fn roles(&self) -> Roles<'_>;

    /// The number by which an id decides what its object may do; `None` where it decides nothing.
    fn number_of_id(&self, id: &ObjectId) -> Option<u64> {
        id.as_str().parse().ok()
    }

    /// The numeric id of an object, where it has one.
    fn number_of(&self, object: &Object) -> Option<u64> {
        self.number_of_id(&object.identity.id)
    }

    /// Names of the settings that a resource may have.
    fn settings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Names of the account by which a resource with these settings has the gateway log in at the
    /// target; none: nobody but the gateway's configuration says who that is.
    fn logs_in_as(&self, _settings: &BTreeMap<String, String>) -> Vec<String> {
        Vec::new()
    }

    /// Names of the actions that `run` takes.
    fn actions(&self) -> Vec<String> {
        Vec::new()
    }

    /// The lanes that a change goes in: it begins when no other change is in any of them. None at
    /// all: it goes beside every other.
    fn lanes(&self, _change: &Request) -> BTreeSet<Lane> {
        [Lane::Connector].into()
    }

    /// Whether the object, read after a change of which no answer came, tells what became of it. A
    /// password cannot be read, and what an action did, nobody knows but the action.
    fn shows(&self, verb: Verb, class: ObjectClass) -> bool {
        verb.changes()
            && !matches!(verb, Verb::SetPassword | Verb::Run | Verb::RotatePassword)
            && self.verbs(class).contains(&Verb::Get)
    }

    /// Whether anything can be done through it as the host now is. Asked before every call.
    ///
    /// # Errors
    /// The answer to any call.
    fn check_usable(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// What calls would meet, as far as that can be seen without running or changing anything. It
    /// may read files.
    fn inspect(&self, _: Inspecting<'_>) -> Inspection {
        Inspection::default()
    }

    /// Looks again at what it saw on the host when it was made; answers whether that has changed.
    fn look_again(&self) -> bool {
        false
    }

    /// Gets ready for calls, such as by opening connections. It comes before the first call, and
    /// may come again after a [`stop`](Self::stop). Where it fails, calls come all the same and say
    /// what is wrong.
    async fn start(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Lets go of what [`start`](Self::start) took. It comes after the last call.
    async fn stop(&self) {}

    /// Checks that the resource can be worked on; says so in a sentence.
    async fn test(&self, cx: &Context) -> Result<String, CallError>;

    /// What the connector can hold and do.
    async fn schema(&self, cx: &Context) -> Result<Schema, CallError>;

    /// Makes an object, all of it or nothing.
    async fn create(&self, _: &Context, create: Create) -> Result<Object, CallError> {
        Err(self.lacks(Verb::Create, create.class))
    }

    /// As [`create`](Self::create), where `before` is what [`evidence`](Self::evidence) answered a
    /// moment ago: what it tells need not be looked at once more.
    async fn create_after(
        &self,
        cx: &Context,
        create: Create,
        _before: &Evidence,
    ) -> Result<Object, CallError> {
        self.create(cx, create).await
    }

    /// Reads an object.
    async fn get(&self, _: &Context, get: &Get) -> Result<Object, CallError> {
        Err(self.lacks(Verb::Get, get.object.class))
    }

    /// Changes an object, all that is asked or nothing.
    async fn update(&self, _: &Context, update: Update) -> Result<Object, CallError> {
        Err(self.lacks(Verb::Update, update.object.class))
    }

    /// Removes an object. Where something of it stays behind, the answer says what.
    async fn delete(&self, _: &Context, object: ObjectRef) -> Result<Option<String>, CallError> {
        Err(self.lacks(Verb::Delete, object.class))
    }

    /// Lets an account log in again.
    async fn enable(&self, _: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        Err(self.lacks(Verb::Enable, object.class))
    }

    /// Keeps an account from logging in.
    async fn disable(&self, _: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        Err(self.lacks(Verb::Disable, object.class))
    }

    /// Gives an account a password.
    async fn set_password(
        &self,
        _: &Context,
        object: ObjectRef,
        _password: Password,
    ) -> Result<(), CallError> {
        Err(self.lacks(Verb::SetPassword, object.class))
    }

    /// What the target says of an account before its password is tried: whether there is one, and
    /// when it is locked.
    async fn lockout(&self, _: &Context, _account: &ObjectRef) -> Result<Lockout, CallError> {
        Ok(Lockout::NotTold)
    }

    /// Checks a password. Whether the account is unknown or the password wrong, answer and time are
    /// the same. It is indeterminate where the password was sent and no answer came.
    async fn authenticate(
        &self,
        _: &Context,
        object: ObjectRef,
        _password: Password,
    ) -> Result<(), CallError> {
        Err(self.lacks(Verb::Authenticate, object.class))
    }

    /// Gives an object another name.
    async fn rename(
        &self,
        _: &Context,
        object: ObjectRef,
        _new_name: ObjectName,
    ) -> Result<Object, CallError> {
        Err(self.lacks(Verb::Rename, object.class))
    }

    /// Hands the objects found to `found`, at most [`Search::page_size`] of them; answers where the
    /// next page starts, empty after the last one.
    async fn search(
        &self,
        _: &Context,
        search: &Search,
        _found: &mut Found,
    ) -> Result<Cookie, CallError> {
        Err(self.lacks(Verb::Search, search.class))
    }

    /// What has to be known of the object before a change, so that [`look`](Self::look) can tell
    /// afterwards what became of it. It changes nothing, and is on the gateway's disk before the
    /// change begins. Asked for within the change's lanes, after the guard rails.
    async fn evidence(&self, cx: &Context, change: &Request) -> Result<Evidence, CallError> {
        self.evidence_by_reading(cx, change).await
    }

    /// The evidence that `get` gives: for those that have it all, and those that know more only at
    /// times.
    async fn evidence_by_reading(
        &self,
        cx: &Context,
        change: &Request,
    ) -> Result<Evidence, CallError> {
        look::evidence(self, cx, change).await
    }

    /// Finds out what became of a change whose end nobody saw. It changes nothing. `before` is what
    /// [`evidence`](Self::evidence) answered; it may be from an earlier run of the gateway, with
    /// another configuration.
    async fn look(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        self.look_by_reading(cx, change, before).await
    }

    /// The look that `get` gives, beside [`evidence_by_reading`](Self::evidence_by_reading).
    async fn look_by_reading(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        look::look(self, cx, change, before).await
    }

    /// Hands on what has changed among the objects of a class since `token`, each change once or
    /// more, and deletions too; answers where the next sync starts. An empty token: where now is,
    /// without a change, or with every object as one where the resource has it so.
    ///
    /// A token that the resource does not know, or not any more, fails as
    /// [`FailureKind::Forgotten`].
    async fn sync(
        &self,
        _: &Context,
        class: ObjectClass,
        _token: &SyncToken,
        _changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        Err(Failure::unsupported(format!(
            "a connector of type `{}` cannot tell what has changed among objects of the class {class}",
            self.kind()
        ))
        .into())
    }

    /// Runs an action.
    async fn run(&self, _: &Context, run: Run) -> Result<RunResult, CallError> {
        Err(Failure::unsupported(format!("there is no action `{}`", run.action)).into())
    }

    /// Whether it can change the password by which the gateway itself works on the target, where
    /// the resource gives that.
    fn rotates_password(&self) -> bool {
        false
    }

    /// Changes the password by which the gateway itself works on the target, in one step. From then
    /// on calls that still come with the old one work by the new one, and no connection is used on
    /// which the old one was given. The look at it tries the new one and then the old one, once
    /// each.
    async fn rotate_password(&self, _: &Context, _: Rotation) -> Result<(), CallError> {
        Err(Failure::unsupported(format!(
            "a connector of type `{}` has no password of its own that it could change",
            self.kind()
        ))
        .into())
    }

    /// How the objects that a call touches stand to one another: what the guard rails judge it by.
    /// It is asked before every change, and reads what is there at one moment where that can be
    /// had. A connector that knows more than `get` and `search` tell says it here.
    async fn standings(&self, cx: &Context, touched: &Touched<'_>) -> Result<Standings, CallError> {
        standing::by_roles(self, cx, touched).await
    }

    /// The numeric ids that the resource has for those who ask for one.
    async fn id_ranges(&self, _: &Context) -> Result<IdRanges, CallError> {
        Ok(IdRanges::default())
    }

    /// The answer to a verb that this connector does not have.
    fn lacks(&self, verb: Verb, class: ObjectClass) -> CallError {
        Failure::unsupported(format!(
            "a connector of type `{}` has no verb `{verb}` for the class {class}",
            self.kind()
        ))
        .into()
    }
}
