//! `portcullis resource rotate-password`: new passwords by which gateways work on resources.

use std::time::SystemTime;

use clap::{ArgGroup, Args};
use portcullis_proto::admin::v1::resources_client::ResourcesClient;
use portcullis_proto::admin::v1::{
    ListResourcesRequest, RotatePasswordRequest, RotatePasswordResponse,
};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::view::{Listed, View};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).args(["names", "all"]))]
#[group(skip)]
pub(crate) struct RotateArgs {
    /// The resources
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// All resources that have a secret setting
    #[arg(long)]
    all: bool,
    /// The secret setting with the password, where a resource has several
    #[arg(long, value_name = "NAME")]
    setting: Option<String>,
}

/// What came of one of them.
struct Rotated {
    resource: String,
    answer: Result<RotatePasswordResponse, CliError>,
}

impl RotateArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut resources = context.client(ResourcesClient::new).await?;
        let names = if self.all {
            let listed = resources
                .list(ListResourcesRequest::default())
                .await?
                .into_inner();
            let with = listed.resources.into_iter();
            let with = with.filter(|resource| !resource.secret_settings.is_empty());
            with.map(|resource| resource.name).collect()
        } else {
            self.names
        };
        let mut all = Vec::with_capacity(names.len());
        for name in names {
            let request = RotatePasswordRequest {
                name: name.clone(),
                setting: self.setting.clone().unwrap_or_default(),
            };
            let asked = resources.rotate_password(request).await;
            let answer = match asked.map_err(CliError::from) {
                Ok(answer) => Ok(answer.into_inner()),
                Err(refused @ CliError::Refused { .. }) => Err(refused),
                Err(error) => return Err(error),
            };
            all.push(Rotated {
                resource: name,
                answer,
            });
        }
        if let [Rotated { resource, answer }] = all.as_mut_slice() {
            let answer = std::mem::replace(answer, Ok(RotatePasswordResponse::default()))?;
            let setting = &answer.setting;
            let sentence = format!(
                "resource {resource} has a new password, in its secret setting {setting}; nobody needs to know it"
            );
            return context.say(&sentence, &done(resource, &answer));
        }
        context.print(&all)?;
        let total = all.len();
        let mut failed = all.into_iter().filter_map(|one| one.answer.err());
        match failed.next() {
            None => Ok(()),
            Some(first) => Err(CliError::PasswordsKept {
                failed: failed.count() + 1,
                total,
                first: Box::new(first),
            }),
        }
    }
}

fn done(resource: &str, answer: &RotatePasswordResponse) -> Value {
    json!({ "resource": resource, "rotated": true, "setting": answer.setting })
}

impl Listed for Rotated {
    const NONE: &'static str = "no resource has a secret setting: their passwords lie with the gateways, where no server changes them";
    const HEADING: &'static [&'static str] = &["resource", "setting", "result"];

    fn row(&self, _: SystemTime) -> Vec<String> {
        let (setting, result) = match &self.answer {
            Ok(answer) => (answer.setting.clone(), "changed".to_owned()),
            Err(error) => (String::new(), error.to_string()),
        };
        vec![self.resource.clone(), setting, result]
    }
}

impl View for Rotated {
    fn table(&self, now: SystemTime) -> String {
        self.row(now).join("  ")
    }

    fn json(&self) -> Value {
        match &self.answer {
            Ok(answer) => done(&self.resource, answer),
            Err(error) => json!({
                "resource": self.resource,
                "rotated": false,
                "kind": error.kind(),
                "message": error.to_string(),
            }),
        }
    }
}
