//! The verbs of a call at a directory.

use std::collections::{BTreeMap, BTreeSet};

use tonic::async_trait;

use super::account;
use super::connector::{BIND_DN, BIND_PASSWORD, Directory};
use super::dn;
use crate::connector::{
    Changes, Connector, Context, Found, Inspecting, Inspection, Lane, look, secret_file,
};
use crate::model::{
    CallError, Cookie, Create, Evidence, Get, Lockout, Look, Object, ObjectClass, ObjectName,
    ObjectRef, Password, Request, Role, Roles, Rotation, Schema, Search, Selector, Standings,
    SyncToken, Touched, Update, Value, Verb,
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

    fn logs_in_as(&self, settings: &BTreeMap<String, String>) -> Vec<String> {
        let given = settings.get(BIND_DN);
        let own = self.settings.bind.dn.as_deref();
        let given = given.filter(|given| own.is_none_or(|own| !dn::same(own, given)));
        given.map_or_else(Vec::new, |given| account::names(given))
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
        let mut lanes: BTreeSet<_> = match change {
            Request::Create(create) => [key(create.class, create.name.as_str())].into(),
            Request::Rename(object, new_name) => {
                let own = object_key(object);
                [key(object.class, own), key(object.class, new_name.as_str())].into()
            }
            other => match other.object() {
                Some(object) => [key(object.class, object_key(object))].into(),
                None => [Lane::Connector].into(),
            },
        };
        // The directory keeps a log-in name apart from other log-in names, and not from names:
        // whoever takes it in either way waits for the other.
        let log_ins = self.log_ins_of(change).into_iter();
        lanes.extend(log_ins.map(|name| key(ObjectClass::Account, name)));
        lanes
    }

    fn shows(&self, verb: Verb, class: ObjectClass) -> bool {
        verb.changes()
            && !matches!(verb, Verb::SetPassword | Verb::Run | Verb::RotatePassword)
            && self.verbs(class).contains(&Verb::Get)
    }

    fn inspect(&self, how: Inspecting<'_>) -> Inspection {
        let mut inspection = Inspection::default();
        if let Some(file) = &self.settings.bind.password_file
            && let Err(error) = secret_file::read_by(how.owner_of, file)
        {
            inspection
                .faults
                .push(format!("`bind_password_file`: {error}"));
        }
        inspection.faults.extend(self.pool.faults());
        inspection
    }

    async fn stop(&self) {
        self.parked.clear();
        self.pool.clear();
    }

    async fn test(&self, cx: &Context) -> Result<String, CallError> {
        self.forget();
        let session = self.session(cx)?;
        self.pool.try_again(&session.identity.dn);
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

impl Directory {
    /// The names that an account is to be logged in to by, without their domains.
    fn log_ins_of<'a>(&self, change: &'a Request) -> Vec<&'a str> {
        let (class, given): (_, Vec<_>) = match change {
            Request::Create(create) => {
                let given = create.attributes.iter();
                (
                    create.class,
                    given.map(|it| (&it.name, &it.values)).collect(),
                )
            }
            Request::Update(update) => {
                let given = update.modifications.iter();
                let given = given.map(|it| (&it.name, &it.values));
                (update.object.class, given.collect())
            }
            _ => return Vec::new(),
        };
        let roles = self.roles();
        let log_ins = given
            .into_iter()
            .filter(|(name, _)| roles.has(class, name.as_str(), Role::LogInName));
        let texts = log_ins.flat_map(|(_, values)| values.iter().filter_map(Value::as_text));
        let local = |text: &'a str| text.rsplit_once('@').map_or(text, |(local, _)| local);
        texts.map(local).collect()
    }
}

fn object_key(object: &ObjectRef) -> &str {
    match &object.by {
        Selector::Id(id) => id.as_str(),
        Selector::Name(name) => name.as_str(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use portcullis_proto::gateway::v1 as wire;
    use wire::call::Verb as Wanted;

    use crate::config::Config;
    use crate::connector::Lane;
    use crate::connectors::Connectors;
    use crate::model::parse_call;

    fn lanes(of: &Connectors, verb: Wanted) -> Vec<Lane> {
        let call = wire::Call {
            call_id: "lanes".into(),
            connector: "people".into(),
            verb: Some(verb),
            ..wire::Call::default()
        };
        let connector = &of.find("people").unwrap().connector;
        let lanes = connector.lanes(&parse_call(call, &[]).unwrap().request);
        lanes.into_iter().collect()
    }

    fn create(name: &str, principal: &str) -> Wanted {
        let text = wire::value::Kind::Text(principal.to_owned());
        Wanted::Create(wire::Create {
            object_class: wire::ObjectClass::Account.into(),
            name: name.to_owned(),
            attributes: vec![wire::Attribute {
                name: "userPrincipalName".to_owned(),
                values: vec![wire::Value { kind: Some(text) }],
            }],
            ..wire::Create::default()
        })
    }

    #[test]
    fn who_takes_a_name_waits_for_who_logs_in_by_it() {
        let pin = "00".repeat(32);
        let connectors = |kind: &str| {
            let text = format!(
                "[connectors.people]\ntype = \"{kind}\"\nservers = [\"ldaps://dc.example.test\"]\n\
                 certificate_sha256 = [\"{pin}\"]\naccounts.base = \"DC=example,DC=test\"\n"
            );
            let config = Config::parse(Path::new("gateway.toml"), &text).unwrap();
            Connectors::from_config(&config.connectors).unwrap()
        };
        let domain = connectors("active-directory");
        let own = lanes(&domain, create("Ada", "Ada@example.test"));
        assert_eq!(own.len(), 1);
        let other = lanes(&domain, create("eve", "ADA@example.test"));
        assert!(other.len() == 2 && other.contains(&own[0]), "{other:?}");
        // Elsewhere the attribute names nobody.
        let plain = connectors("ldap");
        assert_eq!(lanes(&plain, create("eve", "ada@example.test")).len(), 1);
    }
}
