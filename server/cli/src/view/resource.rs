//! Resources.

use std::collections::BTreeMap;
use std::time::SystemTime;

use portcullis_proto::admin::v1::Resource;
use serde_json::{Value, json};

use super::View;
use super::{facts, list};
use crate::time::{rfc3339, time_and_age};

/// All resources.
pub(crate) struct ResourceList(pub(crate) Vec<Resource>);

impl View for ResourceList {
    fn table(&self, _: SystemTime) -> String {
        if self.0.is_empty() {
            return "there is no resource: `portcullis resource add NAME --gateway GATEWAY --connector CONNECTOR` makes one"
                .to_owned();
        }
        let rows = self.0.iter().map(|resource| {
            vec![
                resource.name.clone(),
                resource.gateway.clone(),
                resource.connector.clone(),
                settings(resource, " "),
            ]
        });
        list(&["name", "gateway", "connector", "settings"], rows)
    }

    fn json(&self) -> Value {
        self.0.iter().map(resource_json).collect()
    }
}

impl View for Resource {
    fn table(&self, now: SystemTime) -> String {
        facts([
            ("resource", Some(self.name.clone())),
            ("gateway", Some(self.gateway.clone())),
            ("connector", Some(self.connector.clone())),
            ("settings", Some(settings(self, "\n"))),
            ("secrets", Some(secrets(self))),
            ("made", time_and_age(self.created_unix_ms, now)),
            ("moved", moved(self)),
        ])
    }

    fn json(&self) -> Value {
        resource_json(self)
    }
}

fn resource_json(resource: &Resource) -> Value {
    let settings: BTreeMap<_, _> = resource.settings.iter().collect();
    json!({
        "name": resource.name,
        "gateway": resource.gateway,
        "connector": resource.connector,
        "settings": settings,
        "secret_settings": resource.secret_settings,
        "created": rfc3339(resource.created_unix_ms),
        "dropped_secret_settings": resource.dropped_secret_settings,
        "cancelled_calls": resource.cancelled_calls,
    })
}

/// What did not go along to another gateway or connector.
fn moved(resource: &Resource) -> Option<String> {
    let dropped = &resource.dropped_secret_settings;
    let dropped = (!dropped.is_empty()).then(|| {
        format!(
            "removed the secret settings {}: they were meant for another place, set them again",
            dropped.join(" ")
        )
    });
    let cancelled = (resource.cancelled_calls > 0)
        .then(|| format!("cancelled {} queued calls", resource.cancelled_calls));
    let told: Vec<_> = dropped.into_iter().chain(cancelled).collect();
    (!told.is_empty()).then(|| told.join("\n"))
}

/// Which are set; what they are is never told.
fn secrets(resource: &Resource) -> String {
    let set = resource.secret_settings.iter();
    set.map(|name| format!("{name} is set"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// In the order of their names: the same resource always looks the same.
fn settings(resource: &Resource, separator: &str) -> String {
    let sorted: BTreeMap<_, _> = resource.settings.iter().collect();
    sorted
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect::<Vec<_>>()
        .join(separator)
}
