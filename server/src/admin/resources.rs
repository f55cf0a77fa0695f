//! Resources: which connector of which gateway, with which settings.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use portcullis_host::clock;
use portcullis_proto::admin::v1 as proto;
use portcullis_proto::gateway::v1::SecretSetting;

use super::context::Context;
use super::convert;
use super::error::AdminError;
use super::names;
use super::queue::record_cancelled;
use super::request::{About, Front, Method, Request, Withdraws, change, read};
use super::resource_fit;
use super::users::secret;
use crate::access::Target;
use crate::config::Capability::{self, Administrator};
use crate::provisioning::mapping::Mapping;
use crate::provisioning::rotation;
use crate::repository::{AuditFields, Changed, Resource, SecretSettings};

/// Bytes of a secret setting.
const MAX_SECRET: usize = 1_024;

const LOOK: &[Capability] = &Capability::ALL;

pub(super) fn offer(front: &mut impl Front) {
    front.offer::<proto::AddResourceRequest>();
    front.offer::<proto::SetResourceRequest>();
    front.offer::<proto::ListResourcesRequest>();
    front.offer::<proto::ShowResourceRequest>();
    front.offer::<proto::RemoveResourceRequest>();
    front.offer::<proto::RotatePasswordRequest>();
}

impl Request for proto::AddResourceRequest {
    type Answer = proto::Resource;

    const METHOD: Method = change("Resources/Add", &[Administrator]);

    fn about(&self) -> About {
        // It is not there yet: the right to make it comes from its gateway.
        let target = Target::Gateway(self.gateway.clone());
        let object = format!("resource {} on gateway {}", self.name, self.gateway);
        About::new(target, object).with(AuditFields {
            gateway: self.gateway.clone(),
            ..AuditFields::resource(&self.name)
        })
    }

    async fn run(self, context: &Context) -> Result<proto::Resource, AdminError> {
        names::name("resource", &self.name)?;
        names::name("connector", &self.connector)?;
        names::check_settings(&self.settings)?;
        let mut settings = BTreeMap::new();
        names::merge_settings(&mut settings, self.settings);
        let groups = names::groups(self.groups)?.into_iter().collect();
        let resource = Resource {
            name: self.name,
            gateway: self.gateway,
            connector: self.connector,
            settings,
            secret_settings: BTreeSet::new(),
            mapping: BTreeMap::new(),
            groups,
            lost_settings: BTreeSet::new(),
            pending: BTreeMap::new(),
            common: BTreeMap::new(),
            fault: None,
            created: clock::now(),
        };
        let resources = context.services.repository.resources();
        if self.if_absent
            && let Some(present) = resources.find(&resource.name).await?
        {
            return unchanged(context, present, &resource);
        }
        resources.add(resource.clone()).await?;
        tracing::info!(
            resource = resource.name,
            gateway = resource.gateway,
            connector = resource.connector,
            "added a resource"
        );
        let may_misfit = !resource.settings.is_empty();
        let warning = resource_fit::warning(context, &resource, may_misfit).await;
        Ok(proto::Resource {
            warning,
            ..convert::resource(resource)
        })
    }
}

/// The answer where a resource is there that was to be added if it was absent.
fn unchanged(
    context: &Context,
    present: Resource,
    wanted: &Resource,
) -> Result<proto::Resource, AdminError> {
    let name = &wanted.name;
    if let Some(fault) = present.fault {
        return Err(AdminError::Conflict(fault));
    }
    let same = |it: &Resource| {
        (
            it.gateway.clone(),
            it.connector.clone(),
            it.settings.clone(),
        )
    };
    let in_groups = wanted.groups.is_subset(&present.groups);
    if same(&present) != same(wanted) || !in_groups {
        return Err(AdminError::Conflict(format!(
            "resource `{name}` is there with another gateway, connector or settings, or not in these groups: `portcullis resource show {name}` shows them, `portcullis resource set {name}` changes them"
        )));
    }
    context.note.add("it was there already: nothing changed");
    Ok(convert::resource(present))
}

impl Request for proto::SetResourceRequest {
    type Answer = proto::Resource;

    const METHOD: Method = change("Resources/Set", &[Administrator]);

    fn about(&self) -> About {
        // Who moves it needs the right on the gateway that it comes to, as well; and who puts it
        // before another connector, with all that this one reaches, the right on its own gateway.
        let to = self.gateway.clone().map(Target::Gateway);
        let own = self.connector.as_ref();
        let own = own.map(|_| Target::GatewayOf(self.name.clone()));
        let about = About::resource(&self.name).and(to).and(own);
        let about = about.shown_with(&names::listed(", into", &self.add_groups));
        about.shown_with(&names::listed(", out of", &self.remove_groups))
    }

    fn withdraws(&self) -> Withdraws {
        match self.gateway.is_some() || self.connector.is_some() {
            true => Withdraws::Again,
            false => Withdraws::Nothing,
        }
    }

    async fn run(self, context: &Context) -> Result<proto::Resource, AdminError> {
        if let Some(connector) = &self.connector {
            names::name("connector", connector)?;
        }
        names::check_settings(&self.settings)?;
        let secrets = secret_settings(self.secret_settings, &self.settings)?;
        // What is given anew, or comes before another connector.
        let may_misfit = !self.settings.is_empty()
            || !self.mapping.is_empty()
            || secrets.values().any(|secret| !secret.is_empty())
            || self.gateway.is_some()
            || self.connector.is_some();
        check_mapping(context, &self.name, &self.mapping, self.replace_mapping).await?;
        let into = names::groups(self.add_groups)?;
        let out_of = names::groups(self.remove_groups)?;
        let (rules, replaced) = (self.mapping.len(), self.replace_mapping);
        let Changed {
            resource,
            dropped,
            cancelled,
        } = context
            .services
            .repository
            .resources()
            .update_with(&self.name, secrets, move |resource| {
                if let Some(gateway) = &self.gateway {
                    resource.gateway.clone_from(gateway);
                }
                if let Some(connector) = &self.connector {
                    resource.connector.clone_from(connector);
                }
                names::merge_settings(&mut resource.settings, self.settings.clone());
                if self.replace_mapping {
                    resource.mapping.clear();
                }
                names::merge_settings(&mut resource.mapping, self.mapping.clone());
                resource.groups.retain(|group| !out_of.contains(group));
                resource.groups.extend(into.iter().cloned());
            })
            .await?;
        tracing::info!(resource = resource.name, "changed a resource");
        if rules > 0 || replaced {
            let count = resource.mapping.len();
            context
                .note
                .add(format!("its mapping has {count} rules now"));
        }
        if !dropped.is_empty() {
            let names = dropped.join(" ");
            context
                .note
                .add(format!("moved: removed the secret settings {names}"));
        }
        if !cancelled.is_empty() {
            let count = cancelled.len();
            context
                .note
                .add(format!("moved: cancelled {count} queued calls"));
        }
        let fields = AuditFields::resource(&self.name);
        record_cancelled(context, Self::METHOD, &cancelled, &fields).await;
        let warning = resource_fit::warning(context, &resource, may_misfit).await;
        Ok(proto::Resource {
            warning,
            dropped_secret_settings: dropped,
            cancelled_calls: cancelled.len().try_into().unwrap_or(u64::MAX),
            cancelled_call_ids: cancelled,
            ..convert::resource(resource)
        })
    }
}

impl Request for proto::ListResourcesRequest {
    type Answer = proto::ListResourcesResponse;

    const METHOD: Method = read("Resources/List", LOOK);

    fn about(&self) -> About {
        About::server("")
    }

    async fn run(self, context: &Context) -> Result<proto::ListResourcesResponse, AdminError> {
        let resources = context.services.repository.resources().list().await?;
        let asked = names::groups(self.groups)?;
        let is_asked = |resource: &Resource| {
            let mut groups = resource.groups.iter();
            // What a record says that was changed by hand counts for nothing, nor does what it
            // lacks.
            asked.is_empty() || resource.fault.is_some() || groups.any(|it| asked.contains(it))
        };
        let listed = resources.into_iter().filter(is_asked);
        Ok(proto::ListResourcesResponse {
            resources: listed.map(convert::resource).collect(),
        })
    }
}

impl Request for proto::ShowResourceRequest {
    type Answer = proto::Resource;

    const METHOD: Method = read("Resources/Show", LOOK);

    fn about(&self) -> About {
        About::resource(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::Resource, AdminError> {
        let found = context
            .services
            .repository
            .resources()
            .find(&self.name)
            .await?;
        let resource = found.ok_or_else(|| AdminError::no_such("resource", &self.name))?;
        Ok(convert::resource(resource))
    }
}

impl Request for proto::RemoveResourceRequest {
    type Answer = proto::RemoveResourceResponse;

    const METHOD: Method = change("Resources/Remove", &[Administrator]);

    fn about(&self) -> About {
        About::resource(&self.name)
    }

    fn withdraws(&self) -> Withdraws {
        Withdraws::Again
    }

    async fn run(self, context: &Context) -> Result<proto::RemoveResourceResponse, AdminError> {
        let resources = context.services.repository.resources();
        let cancelled = resources.remove(&self.name).await?;
        if !cancelled.is_empty() {
            context
                .note
                .add(format!("cancelled {} queued calls", cancelled.len()));
        }
        let fields = AuditFields::resource(&self.name);
        record_cancelled(context, Self::METHOD, &cancelled, &fields).await;
        tracing::info!(
            resource = self.name,
            "removed a resource; nothing on it was touched"
        );
        Ok(proto::RemoveResourceResponse {
            cancelled_call_ids: cancelled,
        })
    }
}

impl Request for proto::RotatePasswordRequest {
    type Answer = proto::RotatePasswordResponse;

    const METHOD: Method = change("Resources/RotatePassword", &[Administrator]);

    fn about(&self) -> About {
        About::resource(&self.name)
    }

    async fn run(self, context: &Context) -> Result<proto::RotatePasswordResponse, AdminError> {
        let Self { name, setting } = self;
        let services = &context.services;
        let setting = rotation::rotate(&services.provisioning, &name, &setting).await?;
        context.note.add(format!("{setting} has a new value"));
        let found = services.repository.resources().find(&name).await?;
        let resource = found.ok_or_else(|| AdminError::no_such("resource", &name))?;
        Ok(proto::RotatePasswordResponse {
            resource: Some(convert::resource(resource)),
            setting,
        })
    }
}

/// Refuses a mapping that could not be read: as it will be, with the rules that stay.
async fn check_mapping(
    context: &Context,
    name: &str,
    given: &HashMap<String, String>,
    replace: bool,
) -> Result<(), AdminError> {
    if given.is_empty() {
        return Ok(());
    }
    let found = context.services.repository.resources().find(name).await?;
    let stays = found.filter(|_| !replace).map(|resource| resource.mapping);
    let mut rules = stays.unwrap_or_default();
    names::merge_settings(&mut rules, given.clone());
    let read = Mapping::parse(&rules);
    read.map(drop)
        .map_err(|error| AdminError::Malformed(format!("mapping: {error}")))
}

/// Secret settings as they are stored, within bounds.
fn secret_settings(
    given: Vec<SecretSetting>,
    settings: &HashMap<String, String>,
) -> Result<SecretSettings, AdminError> {
    let mut secrets = SecretSettings::new();
    for SecretSetting { name, value } in given {
        names::name("setting", &name)?;
        let value = secret(value);
        if value.len() > MAX_SECRET {
            return Err(AdminError::Malformed(format!(
                "setting `{name}`: a secret has at most {MAX_SECRET} bytes"
            )));
        }
        if settings.contains_key(&name) || secrets.contains_key(&name) {
            return Err(AdminError::Malformed(format!(
                "setting `{name}` is given twice: give it once, as a secret or as it is"
            )));
        }
        secrets.insert(name, value);
    }
    if secrets.len() > names::MAX_SETTINGS {
        return Err(AdminError::Malformed(format!(
            "a resource has at most {} settings",
            names::MAX_SETTINGS
        )));
    }
    Ok(secrets)
}
