//! One connector behind its guard rails: nothing reaches it that they do not let through.

use std::sync::Arc;

use portcullis_common::listing::ListingKey;
use portcullis_watch::traces::{Key, Kind, Span};
use portcullis_watch::{DONE, INDETERMINATE, failure_name};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::asked::Asked;
use super::lanes::Lanes;
use super::tries::WrongTries;
use crate::connector::{Context, Found};
use crate::connectors::Configured;
use crate::guard::{Effects, Relations, check_sealed, conceal, is_secret};
use crate::model::{
    Call, CallError, Cookie, Done, Evidence, Failure, Get, Object, ObjectClass, ObjectName,
    ObjectRef, Request, Search, SearchEvent, Selector, Touched, Verb,
};

/// A connector behind its guard rails, and the lanes that its changes go in.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) name: String,
    pub(super) configured: Configured,
    pub(super) lanes: Arc<Lanes>,
    pub(super) tries: Arc<WrongTries>,
}

impl Guarded {
    /// The connector of this name. `lanes` and `tries` are those of all connectors.
    pub(super) fn new(
        name: &str,
        configured: Configured,
        lanes: Arc<Lanes>,
        tries: Arc<WrongTries>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            configured,
            lanes,
            tries,
        }
    }

    /// Whether this connector stands behind these guard rails here.
    pub(super) fn holds(&self, configured: &Configured) -> bool {
        Arc::ptr_eq(&self.configured.connector, &configured.connector)
            && Arc::ptr_eq(&self.configured.guard_rails, &configured.guard_rails)
    }

    /// Whether both have the same connector.
    pub(super) fn shares_connector(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.configured.connector, &other.configured.connector)
    }

    pub(super) async fn carry_out(&self, call: Call, deadline: Instant) -> Result<Done, CallError> {
        let rails = &self.configured.guard_rails;
        let (mut cx, request) = self.admitted(call, deadline).await?;
        if request.verb() == Verb::Delete {
            rails.count_delete(std::time::Instant::now())?;
        }
        let asked = Asked::of(&request, self.configured.connector.roles());
        let working = self.working(&mut cx, request.verb());
        let done = self.dispatch(&cx, request, &Evidence::default()).await;
        working.end(label(&done));
        self.judged(&asked, done?)
    }

    /// A call that the guard rails let through, with what every verb is told.
    pub(super) async fn admitted(
        &self,
        call: Call,
        deadline: Instant,
    ) -> Result<(Context, Request), CallError> {
        let verb = call.request.verb();
        self.configured.guard_rails.check_verb(verb)?;
        self.configured.connector.check_usable()?;
        if let Some(class) = class_of(&call.request) {
            self.has_verb(verb, class)?;
        }
        let checking = call.trace.begin(Kind::Internal, "check");
        let mut cx = Context {
            call: call.id,
            settings: call.settings,
            secret_settings: call.secret_settings,
            deadline,
            trace: checking.trace().clone(),
        };
        let request = self.check(&cx, call.request).await?;
        cx.trace = call.trace;
        Ok((cx, request))
    }

    /// The connector begins: all that it does belongs to this span.
    pub(super) fn working(&self, cx: &mut Context, verb: Verb) -> Span {
        let mut span = cx.trace.begin(Kind::Client, "connector");
        span.set_name(Key::Connector, &self.name);
        span.set(Key::Verb, verb.name());
        cx.trace = span.trace().clone();
        span
    }

    pub(super) fn has_verb(&self, verb: Verb, class: ObjectClass) -> Result<(), Failure> {
        let connector = &self.configured.connector;
        if connector.verbs(class).contains(&verb) {
            return Ok(());
        }
        match connector.lacks(verb, class) {
            CallError::Failed(failure) => Err(failure),
            CallError::Indeterminate(message) => Err(Failure::internal(message)),
        }
    }

    /// Holds every guard rail against a request, with the object as it now is. The request comes
    /// back.
    pub(super) async fn check(&self, cx: &Context, request: Request) -> Result<Request, CallError> {
        let rails = &self.configured.guard_rails;
        let roles = self.configured.connector.roles();
        check_sealed(&request, roles)?;
        match &request {
            Request::Create(create) => rails.check_new_name(create.name.as_str())?,
            Request::Rename(_, new_name) => rails.check_new_name(new_name.as_str())?,
            _ => {}
        }
        if !is_guarded(request.verb()) {
            return Ok(request);
        }
        let current = match request.object() {
            Some(object) => self.current(cx, object, request.verb()).await?,
            None => None,
        };
        let connector = Arc::clone(&self.configured.connector);
        let (request, effects, current) =
            at_length(weight(&request, current.as_ref()), move || {
                let effects = Effects::of(&request, current.as_ref(), connector.roles());
                (request, effects, current)
            })
            .await?;
        self.check_effects(cx, effects, current).await?;
        if cx.remaining().is_zero() {
            return Err(Failure::unavailable(
                "to hold the guard rails against the call took all the time that it may take: nothing was begun",
            )
            .into());
        }
        Ok(request)
    }

    /// The object as it now is, unless its name or number is protected; `None` where it does not
    /// exist, cannot be read, or decides nothing.
    async fn current(
        &self,
        cx: &Context,
        object: &ObjectRef,
        verb: Verb,
    ) -> Result<Option<Object>, CallError> {
        let rails = &self.configured.guard_rails;
        let connector = &self.configured.connector;
        if let Selector::Name(name) = &object.by {
            rails.check_name(object.class, name.as_str())?;
        }
        if let Selector::Id(id) = &object.by {
            rails.check_number(object.class, id.as_str(), connector.number_of_id(id))?;
        }
        if rails.opens_everything() {
            return Ok(None);
        }
        if !connector.verbs(object.class).contains(&Verb::Get) {
            self.check_unreadable(object)?;
            return Ok(None);
        }
        let get = Get {
            object: object.clone(),
            attributes: Vec::new(),
        };
        match connector.get(cx, &get).await {
            Ok(current) => {
                let name = current.identity.name.as_str();
                rails.check_name(object.class, name)?;
                rails.check_number(object.class, name, connector.number_of(&current))?;
                Ok(Some(current))
            }
            // Whether an account exists is nothing that `authenticate` tells: it answers by itself.
            Err(CallError::Failed(failure))
                if failure.is_not_found() && verb == Verb::Authenticate =>
            {
                Ok(None)
            }
            // Nothing has been begun yet, whatever the reading came to.
            Err(CallError::Failed(failure)) => Err(failure.into()),
            Err(CallError::Indeterminate(message)) => Err(Failure::unavailable(message).into()),
        }
    }

    /// Of an object that the connector cannot read nothing is known but the name that the call has
    /// for it.
    fn check_unreadable(&self, object: &ObjectRef) -> Result<(), Failure> {
        let rails = &self.configured.guard_rails;
        let by_group = object.class != ObjectClass::Group && rails.protects_by_group();
        let by_number = rails.protects_ids();
        let named = matches!(object.by, Selector::Name(_));
        if named && !by_group && !by_number || rails.opens_everything() {
            return Ok(());
        }
        let unknown = if named {
            "so that nobody knows its id and its groups, by which it may be protected; give the connector a `get`"
        } else {
            "so that nobody knows whether this id is that of a protected one; name the object instead, or give the connector a `get`"
        };
        let rule = if by_group {
            "protected_groups"
        } else {
            "protected_accounts"
        };
        let why = format!("the connector cannot read an object, {unknown}");
        Err(rails.refusal(rule, why))
    }

    async fn check_effects(
        &self,
        cx: &Context,
        effects: Effects,
        current: Option<Object>,
    ) -> Result<(), CallError> {
        let rails = &self.configured.guard_rails;
        if effects.changes_unknown && !rails.opens_everything() {
            return Err(rails
                .refusal(
                    "protected_groups",
                    "the connector cannot read an object, so that nobody knows which memberships this would change; name the object, and use `add` and `remove`".to_owned(),
                )
                .into());
        }
        self.check_ids(cx, &effects).await?;
        if rails.opens_everything() {
            return Ok(());
        }
        for account in &effects.accounts {
            rails.check_name(ObjectClass::Account, account)?;
        }
        if effects.takes_unclear_name {
            let why =
                "a name to log in by is no text, so that nobody knows whose it could be taken for";
            return Err(rails.refusal("protected_accounts", why.to_owned()).into());
        }
        for name in &effects.log_ins {
            rails.check_log_in(name)?;
        }
        let reads = self.configured.connector.verbs(ObjectClass::Account);
        if let (Some(account), false) = (effects.accounts.first(), reads.contains(&Verb::Get)) {
            let name = ObjectName::new(account.clone());
            let name = name.map_err(|error| Failure::invalid(error.to_string()))?;
            self.check_unreadable(&ObjectRef {
                class: ObjectClass::Account,
                by: Selector::Name(name),
            })?;
        }
        let mut touched = touched(&effects)?;
        touched.by_group = rails.protects_by_group();
        touched.by_number = rails.protects_ids();
        touched.target = current.as_ref();
        let standings = self.configured.connector.standings(cx, &touched).await?;
        let touched = Touched {
            target: None,
            ..touched
        };
        let rails = Arc::clone(rails);
        at_length(
            standings.accounts.len() + standings.groups.len(),
            move || {
                let touched = Touched {
                    target: current.as_ref(),
                    ..touched
                };
                Relations::new(&rails, &standings, touched.by_number).check(&touched)
            },
        )
        .await??;
        Ok(())
    }

    async fn check_ids(&self, cx: &Context, effects: &Effects) -> Result<(), CallError> {
        let rails = &self.configured.guard_rails;
        if effects.takes_unclear_id && rails.bounds_ids() {
            return Err(rails
                .refusal(
                    "protected_ids_below",
                    "a value given for a numeric id is no plain whole number of at most 32 bits, so that nobody knows whether it is protected".to_owned(),
                )
                .into());
        }
        if effects.account_ids.is_empty() && effects.group_ids.is_empty() {
            return Ok(());
        }
        let ranges = self.configured.connector.id_ranges(cx).await?;
        rails.check_ids(ObjectClass::Account, &effects.account_ids, &ranges)?;
        rails.check_ids(ObjectClass::Group, &effects.group_ids, &ranges)?;
        Ok(())
    }

    /// What the connector answers is what was asked for, and shows no secret.
    pub(super) fn judged(&self, asked: &Asked, mut done: Done) -> Result<Done, CallError> {
        if let Done::Object(object) = &mut done {
            asked.check(object)?;
            conceal(object, self.configured.connector.roles());
        }
        Ok(done)
    }

    /// Has the connector do it. `before`: what it noted of the object just now, if anything.
    pub(super) async fn dispatch(
        &self,
        cx: &Context,
        request: Request,
        before: &Evidence,
    ) -> Result<Done, CallError> {
        let connector = &self.configured.connector;
        let object = |object| Done::Object(Box::new(object));
        let perhaps = |found: Option<Object>| found.map_or(Done::Nothing, object);
        Ok(match request {
            Request::Test => Done::Report(connector.test(cx).await?),
            Request::Schema => Done::Schema(connector.schema(cx).await?),
            Request::Create(create) => object(connector.create_after(cx, create, before).await?),
            Request::Get(get) => object(connector.get(cx, &get).await?),
            Request::Update(update) => object(connector.update(cx, update).await?),
            Request::Delete(target) => connector
                .delete(cx, target)
                .await?
                .map_or(Done::Nothing, Done::Report),
            Request::Enable(target) => perhaps(connector.enable(cx, target).await?),
            Request::Disable(target) => perhaps(connector.disable(cx, target).await?),
            Request::SetPassword(target, password) => {
                connector.set_password(cx, target, password).await?;
                Done::Nothing
            }
            Request::Authenticate(log_in) => {
                self.log_in(cx, log_in).await?;
                Done::Nothing
            }
            Request::Rename(target, name) => object(connector.rename(cx, target, name).await?),
            Request::Search(_) | Request::Sync(_) => {
                let message = "a search or a sync has a stream of answers, and goes another way";
                return Err(Failure::invalid(message).into());
            }
            Request::Run(run) => Done::Run(connector.run(cx, run).await?),
            Request::RotatePassword(rotation) => {
                connector.rotate_password(cx, rotation).await?;
                Done::Nothing
            }
        })
    }

    /// Hands on what a search finds, under a `key` as digests; answers the connector's own cookie,
    /// and how many objects.
    pub(super) async fn search(
        &self,
        cx: &Context,
        search: &Search,
        key: Option<ListingKey>,
        events: &mpsc::Sender<SearchEvent>,
    ) -> Result<(Cookie, usize), Failure> {
        let connector = Arc::clone(&self.configured.connector);
        let most = search.page_size.unwrap_or(usize::MAX);
        let conceal = move |class, attribute: &str| is_secret(connector.roles(), class, attribute);
        let mut found = Found::into_events(events.clone(), most, key, conceal);
        let connector = &self.configured.connector;
        let searched = connector.search(cx, search, &mut found).await;
        found.hand_on().await?;
        let count = found.count();
        match searched {
            Ok(cookie) => Ok((cookie, count)),
            Err(CallError::Failed(failure)) => Err(failure),
            Err(CallError::Indeterminate(message)) => Err(Failure::unavailable(message)),
        }
    }
}

/// What came of a connector's work, as a span and a metric name it.
pub(super) fn label(done: &Result<Done, CallError>) -> &'static str {
    match done {
        Ok(_) => DONE,
        Err(CallError::Failed(failure)) => failure_name(failure.kind.into()),
        Err(CallError::Indeterminate(_)) => INDETERMINATE,
    }
}

/// Verbs on an object that a guard rail may forbid. To read is open; to try passwords is not.
pub(super) fn is_guarded(verb: Verb) -> bool {
    verb.changes() || verb == Verb::Authenticate
}

/// What a call touches, by what it would do.
fn touched(effects: &Effects) -> Result<Touched<'static>, Failure> {
    let name = |name: &String| {
        ObjectName::new(name.clone()).map_err(|error| Failure::invalid(error.to_string()))
    };
    let new_name = effects.new_name.as_ref();
    let new_name = new_name.map(|(class, text)| Ok::<_, Failure>((*class, name(text)?)));
    Ok(Touched {
        accounts: effects.accounts.clone(),
        groups: effects.groups.iter().map(name).collect::<Result<_, _>>()?,
        numbers: effects.group_numbers.clone(),
        log_ins: effects.log_ins.clone(),
        new_name: new_name.transpose()?,
        empties: effects.empties,
        ..Touched::default()
    })
}

/// Values and objects that are gone through where a call is: more take long enough to hold up those
/// beside it.
const FEW: usize = 512;

/// How many values a request has to be judged by.
fn weight(request: &Request, current: Option<&Object>) -> usize {
    let given: usize = match request {
        Request::Create(create) => create.attributes.iter().map(|a| a.values.len()).sum(),
        Request::Update(update) => update.modifications.iter().map(|m| m.values.len()).sum(),
        _ => 0,
    };
    let present = current.iter().flat_map(|current| &current.attributes);
    given
        + present
            .map(|attribute| attribute.values.len())
            .sum::<usize>()
}

/// Work on this many values, off the threads that all other calls go on in where they are many.
pub(super) async fn at_length<T: Send + 'static>(
    weight: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    if weight <= FEW {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::internal("the gateway failed; its log says more"))
}

fn class_of(request: &Request) -> Option<ObjectClass> {
    match request {
        Request::Create(create) => Some(create.class),
        Request::Search(search) => Some(search.class),
        Request::Sync(since) => Some(since.class),
        other => other.object().map(|object| object.class),
    }
}
