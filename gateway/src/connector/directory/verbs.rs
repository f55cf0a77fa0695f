//! The verbs of a call at a directory.

use std::collections::BTreeSet;

use tonic::async_trait;

use super::connector::{BIND_DN, BIND_PASSWORD, Directory};
use super::dn;
use crate::connector::{Changes, Connector, Context, Found, Inspection, Lane, look, secret_file};
use crate::model::{
    CallError, Cookie, Create, Evidence, Get, Lockout, Look, Object, ObjectClass, ObjectName,
    ObjectRef, Password, Request, Roles, Rotation, Schema, Search, Selector, Standings, SyncToken,
    Touched, Update, Verb,
};

#[async_trait]
impl Connector for Directory {
    fn kind(&self) -> &'static str {
        self.dialect.kind()
    }

    fn further_classes(&self) -> Vec<ObjectClass> {
        let further = self.settings.further.iter();
        further.map(|class| class.class).collect()
    }

    fn verbs(&self, class: ObjectClass) -> Vec<Verb> {
        let of_accounts = [
            Verb::Enable,
            Verb::Disable,
            Verb::SetPassword,
            Verb::Authenticate,
        ];
        let has = |verb: &Verb| match verb {
            Verb::Test | Verb::Schema | Verb::Run | Verb::RotatePassword => false,
            verb if matches!(class, ObjectClass::Other(_)) => {
                !verb.changes() && *verb != Verb::Authenticate
            }
            verb => class == ObjectClass::Account || !of_accounts.contains(verb),
        };
        match self.settings.class(class) {
            Some(_) => Verb::ALL.into_iter().filter(has).collect(),
            None => Vec::new(),
        }
    }

    fn roles(&self) -> Roles<'_> {
        Roles::new(&self.roles)
    }

    fn number_of(&self, object: &Object) -> Option<u64> {
        self.dialect.number_of(object)
    }

    fn settings(&self) -> Vec<String> {
        vec![BIND_DN.to_owned(), BIND_PASSWORD.to_owned()]
    }

    fn lanes(&self, change: &Request) -> BTreeSet<Lane> {
        let servers = &self.settings.servers.list;
        let place = servers
            .first()
            .map_or_else(String::new, |first| first.shown());
        let key = |class: ObjectClass, what: &str| {
            let what = dn::prepared(what.as_bytes());
            Lane::Shared(format!(
                "{place} {class} {}",
                String::from_utf8_lossy(&what)
            ))
        };
        match change {
            Request::Create(create) => [key(create.class, create.name.as_str())].into(),
            Request::Rename(object, new_name) => {
                let own = object_key(object);
                [key(object.class, own), key(object.class, new_name.as_str())].into()
            }
            other => match other.object() {
                Some(object) => [key(object.class, object_key(object))].into(),
                None => [Lane::Connector].into(),
            },
        }
    }

    fn shows(&self, verb: Verb, class: ObjectClass) -> bool {
        verb.changes()
            && !matches!(verb, Verb::SetPassword | Verb::Run | Verb::RotatePassword)
            && self.verbs(class).contains(&Verb::Get)
    }

    fn inspect(&self, _: bool) -> Inspection {
        let mut inspection = Inspection::default();
        if let Some(file) = &self.settings.bind.password_file
            && let Err(error) = secret_file::read(file)
        {
            inspection
                .faults
                .push(format!("`bind_password_file`: {error}"));
        }
        inspection.faults.extend(self.pool.log_ins.faults());
        inspection
    }

    async fn stop(&self) {
        self.parked.clear();
        self.pool.clear();
    }

    async fn test(&self, cx: &Context) -> Result<String, CallError> {
        self.forget();
        let session = self.session(cx)?;
        self.pool.log_ins.try_again(&session.identity.dn);
        self.try_out(&session).await
    }

    async fn schema(&self, cx: &Context) -> Result<Schema, CallError> {
        self.forget();
        let session = self.session(cx)?;
        self.describe(&session).await
    }

    async fn create(&self, cx: &Context, create: Create) -> Result<Object, CallError> {
        let session = self.session(cx)?;
        self.make(&session, cx, create, false).await
    }

    async fn create_after(
        &self,
        cx: &Context,
        create: Create,
        before: &Evidence,
    ) -> Result<Object, CallError> {
        let session = self.session(cx)?;
        let absent = look::was_absent(before);
        self.make(&session, cx, create, absent).await
    }

    async fn get(&self, cx: &Context, get: &Get) -> Result<Object, CallError> {
        let session = self.session(cx)?;
        self.read(&session, &get.object, &get.attributes).await
    }

    async fn update(&self, cx: &Context, update: Update) -> Result<Object, CallError> {
        let session = self.session(cx)?;
        self.change(&session, &update).await
    }

    async fn delete(&self, cx: &Context, object: ObjectRef) -> Result<Option<String>, CallError> {
        let session = self.session(cx)?;
        self.remove(&session, &object).await
    }

    async fn enable(&self, cx: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        let session = self.session(cx)?;
        self.switch(&session, &object, true).await.map(Some)
    }

    async fn disable(&self, cx: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        let session = self.session(cx)?;
        self.switch(&session, &object, false).await.map(Some)
    }

    async fn set_password(
        &self,
        cx: &Context,
        object: ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        let session = self.session(cx)?;
        self.give_password(&session, &object, &password).await
    }

    async fn lockout(&self, cx: &Context, account: &ObjectRef) -> Result<Lockout, CallError> {
        let session = self.session(cx)?;
        self.lockout_of(&session, account).await
    }

    async fn authenticate(
        &self,
        cx: &Context,
        object: ObjectRef,
        password: Password,
    ) -> Result<(), CallError> {
        let session = self.session(cx)?;
        self.try_password(&session, &object, &password).await
    }

    async fn rename(
        &self,
        cx: &Context,
        object: ObjectRef,
        new_name: ObjectName,
    ) -> Result<Object, CallError> {
        let session = self.session(cx)?;
        self.give_name(&session, &object, &new_name).await
    }

    async fn search(
        &self,
        cx: &Context,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        let session = self.session(cx)?;
        self.search_page(&session, search, found).await
    }

    async fn evidence(&self, cx: &Context, change: &Request) -> Result<Evidence, CallError> {
        self.note(cx, change).await
    }

    async fn look(
        &self,
        cx: &Context,
        change: &Request,
        before: &Evidence,
    ) -> Result<Look, CallError> {
        self.look_at(cx, change, before).await
    }

    async fn sync(
        &self,
        cx: &Context,
        class: ObjectClass,
        token: &SyncToken,
        changes: &mut Changes,
    ) -> Result<SyncToken, CallError> {
        let session = self.session(cx)?;
        let class = self.class(class)?;
        self.dialect.sync(&session, cx, class, token, changes).await
    }

    fn rotates_password(&self) -> bool {
        true
    }

    async fn rotate_password(&self, cx: &Context, rotation: Rotation) -> Result<(), CallError> {
        self.renew_password(cx, &rotation).await
    }

    async fn standings(&self, cx: &Context, touched: &Touched<'_>) -> Result<Standings, CallError> {
        let session = self.session(cx)?;
        let standings = async {
            match self.dialect.standings(&session, touched).await? {
                Some(standings) => Ok(standings),
                None => self.stand(&session, touched).await,
            }
        };
        standings.await.map_err(|error| self.read_error(&error))
    }
}

fn object_key(object: &ObjectRef) -> &str {
    match &object.by {
        Selector::Id(id) => id.as_str(),
        Selector::Name(name) => name.as_str(),
    }
}
