//! A resource in memory whose attributes are called as in a directory, and whose connector can read
//! and search, and no more.

use std::sync::Arc;

use portcullis_gateway::connector::{Connector, Context, Found};
use portcullis_gateway::connectors::{Configured, Connectors};
use portcullis_gateway::guard::GuardRails;
use portcullis_gateway::model::{
    Attribute, AttributeName, AttributeRole, CallError, Cookie, Create, Failure, Get,
    GuardDefaults, IdRange, IdRanges, Identity, NameComparison, Object, ObjectClass, ObjectId,
    ObjectName, ObjectRef, Password, Role, Roles, Schema, Search, Selector, Update, Value, Verb,
};
use tonic::async_trait;

use crate::table::{ACCOUNTS, Attributes, GROUPS};

pub(crate) const ATTRIBUTES: Attributes = Attributes {
    groups: "memberOf",
    primary_group: "mainGroup",
    members: "member",
    uid: "uidNumber",
    gid: "gidNumber",
    free_text: "displayName",
};

const ROLES: &[AttributeRole] = &[
    AttributeRole::new(ObjectClass::Account, "memberOf", Role::NamesGroups),
    AttributeRole::new(ObjectClass::Account, "mainGroup", Role::NamesGroups),
    AttributeRole::new(ObjectClass::Account, "uidNumber", Role::NumericId),
    AttributeRole::new(ObjectClass::Account, "mainGroupNumber", Role::GroupNumber),
    AttributeRole::new(ObjectClass::Group, "member", Role::NamesAccounts),
    AttributeRole::new(ObjectClass::Group, "gidNumber", Role::NumericId),
];

const DEFAULTS: GuardDefaults = GuardDefaults {
    protected_accounts: &["svc-*"],
    protected_groups: &["sudo"],
    protected_ids_below: 1000,
    harmless_groups: &["video"],
    compare_names: NameComparison::Normalized,
};

/// A provisioner's connectors: this one, under the name `subject`.
pub(crate) fn connectors() -> Connectors {
    let configured = Configured {
        connector: Arc::new(Stub { objects: objects() }),
        guard_rails: Arc::new(GuardRails::defaults("subject", &DEFAULTS)),
    };
    Connectors::default().with("subject", configured)
}

#[derive(Debug)]
struct Stub {
    objects: Vec<Object>,
}

fn objects() -> Vec<Object> {
    let named = |gid: u32| GROUPS.iter().find(|group| group.1 == gid);
    let accounts = ACCOUNTS.iter().map(|&(name, uid, gid)| {
        let groups = GROUPS.iter().filter(|group| group.2.contains(&name));
        let mut attributes = vec![
            attribute("uidNumber", [Value::Integer(uid.into())]),
            attribute("mainGroupNumber", [Value::Integer(gid.into())]),
            attribute("memberOf", groups.map(|group| text(group.0))),
        ];
        attributes.extend(named(gid).map(|group| attribute("mainGroup", [text(group.0)])));
        object(ObjectClass::Account, name, attributes)
    });
    let groups = GROUPS.iter().map(|&(name, gid, members)| {
        let attributes = vec![
            attribute("gidNumber", [Value::Integer(gid.into())]),
            attribute("member", members.iter().map(|member| text(member))),
        ];
        object(ObjectClass::Group, name, attributes)
    });
    accounts.chain(groups).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn attribute(name: &str, values: impl IntoIterator<Item = Value>) -> Attribute {
    Attribute {
        name: AttributeName::new(name).unwrap(),
        values: values.into_iter().collect(),
    }
}

/// As in a directory, an id is no number, and stays when the name changes.
fn object(class: ObjectClass, name: &str, attributes: Vec<Attribute>) -> Object {
    Object {
        identity: Identity {
            class,
            id: ObjectId::new(format!("{class}/{name}")).unwrap(),
            name: ObjectName::new(name).unwrap(),
        },
        enabled: None,
        attributes,
    }
}

impl Stub {
    fn find(&self, object: &ObjectRef) -> Result<Object, CallError> {
        let by = |found: &&Object| match &object.by {
            // As the table numbers them.
            Selector::Id(id) => {
                let number = self.number_of(found);
                number.is_some_and(|number| number.to_string() == id.as_str())
            }
            Selector::Name(name) => found.identity.name == *name,
        };
        let of_class = |found: &&Object| found.identity.class == object.class;
        let found = self.objects.iter().filter(of_class).find(by);
        found
            .cloned()
            .ok_or_else(|| Failure::not_found("there is no such object").into())
    }
}

#[async_trait]
impl Connector for Stub {
    fn kind(&self) -> &'static str {
        "stub"
    }

    fn verbs(&self, _: ObjectClass) -> Vec<Verb> {
        Verb::ALL.to_vec()
    }

    fn roles(&self) -> Roles<'_> {
        Roles::new(ROLES)
    }

    fn number_of(&self, object: &Object) -> Option<u64> {
        let name = match object.identity.class {
            ObjectClass::Account => "uidNumber",
            _ => "gidNumber",
        };
        object.values(name).first()?.as_id()
    }

    async fn test(&self, _: &Context) -> Result<String, CallError> {
        Ok("ready".to_owned())
    }

    async fn schema(&self, _: &Context) -> Result<Schema, CallError> {
        Ok(Schema::default())
    }

    async fn create(&self, _: &Context, create: Create) -> Result<Object, CallError> {
        Ok(object(
            create.class,
            create.name.as_str(),
            create.attributes,
        ))
    }

    async fn get(&self, _: &Context, get: &Get) -> Result<Object, CallError> {
        self.find(&get.object)
    }

    async fn update(&self, _: &Context, update: Update) -> Result<Object, CallError> {
        self.find(&update.object)
    }

    async fn delete(&self, _: &Context, object: ObjectRef) -> Result<Option<String>, CallError> {
        self.find(&object).map(|_| None)
    }

    async fn enable(&self, _: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        self.find(&object).map(Some)
    }

    async fn disable(&self, _: &Context, object: ObjectRef) -> Result<Option<Object>, CallError> {
        self.find(&object).map(Some)
    }

    async fn set_password(
        &self,
        _: &Context,
        object: ObjectRef,
        _: Password,
    ) -> Result<(), CallError> {
        self.find(&object).map(drop)
    }

    async fn authenticate(
        &self,
        _: &Context,
        object: ObjectRef,
        _: Password,
    ) -> Result<(), CallError> {
        self.find(&object).map(drop)
    }

    async fn rename(
        &self,
        _: &Context,
        object: ObjectRef,
        _: ObjectName,
    ) -> Result<Object, CallError> {
        self.find(&object)
    }

    async fn search(
        &self,
        _: &Context,
        search: &Search,
        found: &mut Found,
    ) -> Result<Cookie, CallError> {
        for object in &self.objects {
            let matches = search
                .filter
                .as_ref()
                .is_none_or(|filter| filter.matches(object));
            if object.identity.class == search.class && matches {
                found.push(object.clone()).await?;
            }
        }
        Ok(Cookie::default())
    }

    async fn id_ranges(&self, _: &Context) -> Result<IdRanges, CallError> {
        let range = |first, last| IdRange {
            first,
            last,
            source: "as the test has it".to_owned(),
        };
        Ok(IdRanges {
            accounts: Some(range(1000, 60_000)),
            groups: Some(range(1000, 60_000)),
            given_to_accounts: vec![range(1700, 1799)],
            given_to_groups: vec![range(1700, 1799)],
        })
    }
}
