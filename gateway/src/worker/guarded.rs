//! One connector behind its guard rails: nothing reaches it that they do not let through.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::lanes::{Key, Lanes};
use crate::connector::{Context, Found};
use crate::connectors::Configured;
use crate::guard::{Effects, check_sealed, conceal};
use crate::model::{
    Call, CallError, Cookie, Done, Failure, FailureKind, Get, Object, ObjectClass, ObjectName,
    ObjectRef, Request, Role, Search, SearchEvent, Selector, Verb,
};

/// A connector behind its guard rails, and the lanes that its changes go in.
#[derive(Debug)]
pub(super) struct Guarded {
    name: String,
    pub(super) configured: Configured,
    lanes: Arc<Lanes>,
}

impl Guarded {
    /// The connector of this name. `lanes` are those of all connectors.
    pub(super) fn new(name: &str, configured: Configured, lanes: Arc<Lanes>) -> Self {
        Self {
            name: name.to_owned(),
            configured,
            lanes,
        }
    }

    /// Carries out a change when its lanes are free. Never cut off: the connector keeps to the
    /// deadline by itself.
    pub(super) async fn change(&self, call: Call, deadline: Instant) -> Result<Done, CallError> {
        let connector = &self.configured.connector;
        let lanes = connector.lanes(&call.request).into_iter();
        let keys: BTreeSet<_> = lanes
            .map(|lane| Key::new(connector.kind(), &self.name, lane))
            .collect();
        if keys.is_empty() {
            return self.carry_out(call, deadline).await;
        }
        let entering = self.lanes.enter(keys);
        let Ok(_entered) = timeout_at(deadline, entering).await else {
            return Err(Failure::new(
                FailureKind::Busy,
                "earlier changes took all the time that the call may take: nothing was begun, try again later",
            )
            .into());
        };
        self.carry_out(call, deadline).await
    }

    pub(super) async fn carry_out(&self, call: Call, deadline: Instant) -> Result<Done, CallError> {
        let rails = &self.configured.guard_rails;
        let verb = call.request.verb();
        rails.check_verb(verb)?;
        if let Some(class) = class_of(&call.request) {
            self.has_verb(verb, class)?;
        }
        let cx = Context {
            call: call.id,
            settings: call.settings,
            secret_settings: call.secret_settings,
            deadline,
        };
        self.check(&cx, &call.request).await?;
        if verb == Verb::Delete {
            rails.count_delete(std::time::Instant::now())?;
        }
        self.dispatch(&cx, call.request).await
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

    /// Holds every guard rail against a request, with the object as it now is.
    async fn check(&self, cx: &Context, request: &Request) -> Result<(), CallError> {
        let rails = &self.configured.guard_rails;
        let roles = self.configured.connector.roles();
        check_sealed(request, roles)?;
        let mut current = None;
        match request {
            Request::Create(create) => rails.check_new_name(create.name.as_str())?,
            Request::Rename(_, new_name) => rails.check_new_name(new_name.as_str())?,
            _ => {}
        }
        if let (Some(object), true) = (request.object(), is_guarded(request.verb())) {
            current = self.check_target(cx, object, request.verb()).await?;
        }
        let effects = Effects::of(request, current.as_ref(), roles);
        if effects.replaces_unknown && !rails.opens_every_group() {
            return Err(rails
                .refusal(
                    "protected_groups",
                    "the connector cannot read an object, so that nobody knows which memberships a `replace` would take away; use `add` and `remove`".to_owned(),
                )
                .into());
        }
        self.check_effects(cx, &effects).await
    }

    /// The object as it now is, unless it is protected; `None` where it does not exist or cannot be
    /// read.
    async fn check_target(
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
            rails.check_number(object.class, id.as_str(), id.as_str().parse().ok())?;
        }
        let nothing_to_learn = rails.protects_nothing(object.class) && rails.opens_every_group();
        if nothing_to_learn {
            return Ok(None);
        }
        if !connector.verbs(object.class).contains(&Verb::Get) {
            let known = matches!(object.by, Selector::Name(_)) && !rails.protects_ids();
            if known || rails.protects_nothing(object.class) {
                return Ok(None);
            }
            return Err(rails
                .refusal(
                    "protected_accounts",
                    "the connector cannot read an object, so that nobody knows whether this id is that of a protected one; name the object instead".to_owned(),
                )
                .into());
        }
        let get = Get {
            object: object.clone(),
            attributes: Vec::new(),
        };
        match connector.get(cx, &get).await {
            Ok(current) => {
                rails.check_object(&current, connector.number_of(&current), connector.roles())?;
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

    async fn check_effects(&self, cx: &Context, effects: &Effects) -> Result<(), CallError> {
        let rails = &self.configured.guard_rails;
        if effects.takes_unclear_id && rails.protects_ids() {
            return Err(rails
                .refusal(
                    "protected_ids_below",
                    "a value given for a numeric id is no plain whole number of at most 32 bits, so that nobody knows whether it is protected".to_owned(),
                )
                .into());
        }
        for &id in &effects.ids {
            rails.check_number(ObjectClass::Account, "(to be)", Some(id))?;
        }
        let groups = self.numbers(cx, ObjectClass::Group, &effects.groups);
        for (group, number) in groups.await? {
            rails.check_membership(&group, number)?;
            self.check_namesake(cx, &group).await?;
        }
        let accounts = self.numbers(cx, ObjectClass::Account, &effects.accounts);
        for (account, number) in accounts.await? {
            rails.check_name(ObjectClass::Account, &account)?;
            rails.check_number(ObjectClass::Account, &account, number)?;
        }
        Ok(())
    }

    /// Where accounts have numeric ids, as on a unix host, a group of an account's name is that
    /// account's own, and its files are often open to the group: no membership in that of a
    /// protected account.
    async fn check_namesake(&self, cx: &Context, group: &str) -> Result<(), CallError> {
        let rails = &self.configured.guard_rails;
        let roles = self.configured.connector.roles();
        let mut numbered = roles.attributes(ObjectClass::Account, Role::NumericId);
        if !rails.protects_ids() || numbered.next().is_none() || rails.opens(group) {
            return Ok(());
        }
        let name = ObjectName::new(group).map_err(|error| Failure::invalid(error.to_string()))?;
        let account = ObjectRef {
            class: ObjectClass::Account,
            by: Selector::Name(name),
        };
        match self.check_target(cx, &account, Verb::Update).await {
            Err(CallError::Failed(failure)) if failure.is_not_found() => Ok(()),
            result => result.map(drop),
        }
    }

    /// The numeric ids of objects, where ids decide anything.
    async fn numbers(
        &self,
        cx: &Context,
        class: ObjectClass,
        names: &BTreeSet<String>,
    ) -> Result<Vec<(String, Option<u64>)>, CallError> {
        let checked = names
            .iter()
            .map(|name| ObjectName::new(name.clone()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Failure::invalid(error.to_string()))?;
        let ids = if self.configured.guard_rails.protects_ids() && !checked.is_empty() {
            self.configured
                .connector
                .numeric_ids(cx, class, &checked)
                .await?
        } else {
            vec![None; checked.len()]
        };
        Ok(names.iter().cloned().zip(ids).collect())
    }

    async fn dispatch(&self, cx: &Context, request: Request) -> Result<Done, CallError> {
        let connector = &self.configured.connector;
        let object = |mut object| {
            conceal(&mut object, connector.roles());
            Done::Object(Box::new(object))
        };
        let perhaps = |found: Option<Object>| found.map_or(Done::Nothing, object);
        Ok(match request {
            Request::Test => Done::Report(connector.test(cx).await?),
            Request::Schema => Done::Schema(connector.schema(cx).await?),
            Request::Create(create) => object(connector.create(cx, create).await?),
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
            Request::Authenticate(target, password) => {
                connector.authenticate(cx, target, password).await?;
                Done::Nothing
            }
            Request::Rename(target, name) => object(connector.rename(cx, target, name).await?),
            Request::Search(_) => {
                let message = "a search has a stream of answers: it goes through Search";
                return Err(Failure::invalid(message).into());
            }
            Request::Run(run) => Done::Run(connector.run(cx, run).await?),
        })
    }

    pub(super) async fn search(
        &self,
        cx: &Context,
        search: &Search,
        events: &mpsc::Sender<SearchEvent>,
    ) -> Result<Cookie, Failure> {
        let (sender, mut objects) = mpsc::channel(1);
        let most = search.page_size.unwrap_or(usize::MAX);
        let mut found = Found::new(sender, most);
        let searching = async {
            let result = self
                .configured
                .connector
                .search(cx, search, &mut found)
                .await;
            drop(found);
            result
        };
        let handing_on = async {
            while let Some(mut object) = objects.recv().await {
                conceal(&mut object, self.configured.connector.roles());
                if events
                    .send(SearchEvent::Found(Box::new(object)))
                    .await
                    .is_err()
                {
                    objects.close();
                }
            }
        };
        match tokio::join!(searching, handing_on).0 {
            Ok(cookie) => Ok(cookie),
            Err(CallError::Failed(failure)) => Err(failure),
            Err(CallError::Indeterminate(message)) => Err(Failure::unavailable(message)),
        }
    }
}

/// Verbs on an object that a guard rail may forbid. To read is open; to try passwords is not.
pub(super) fn is_guarded(verb: Verb) -> bool {
    verb.changes() || verb == Verb::Authenticate
}

fn class_of(request: &Request) -> Option<ObjectClass> {
    match request {
        Request::Create(create) => Some(create.class),
        Request::Search(search) => Some(search.class),
        other => other.object().map(|object| object.class),
    }
}
