//! `portcullis approvals|approve`: the second person.

use std::time::SystemTime;

use clap::Args;
use portcullis_proto::admin::v1::approvals_client::ApprovalsClient;
use portcullis_proto::admin::v1::{Approval, ApproveRequest, ListApprovalsRequest};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::CliError;
use crate::time::{age, rfc3339};
use crate::view::{Listed, View, printable, some};

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  portcullis approve ap-3")]
pub(crate) struct ApproveArgs {
    /// The request's id, as `portcullis approvals` and the answer to whoever asked have it
    id: String,
}

impl ApproveArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut approvals = context.client(ApprovalsClient::new).await?;
        let request = ApproveRequest { id: self.id };
        let approved = approvals.approve(request).await?.into_inner();
        let sentence = format!(
            "approved {} ({}): {} gives the same command again",
            printable(&approved.method),
            printable(&approved.object),
            printable(&approved.asked_by)
        );
        context.say(&sentence, &approved.json())
    }
}

pub(crate) async fn list(context: &Context) -> Result<(), CliError> {
    let mut approvals = context.client(ApprovalsClient::new).await?;
    let request = ListApprovalsRequest {};
    context.print(&approvals.list(request).await?.into_inner().approvals)
}

impl View for Approval {
    fn table(&self, now: SystemTime) -> String {
        vec![self.clone()].table(now)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "method": self.method,
            "object": self.object,
            "asked_by": self.asked_by,
            "asked": rfc3339(self.asked_unix_ms),
            "expires": rfc3339(self.expires_unix_ms),
            "approved_by": some(&self.approved_by),
        })
    }
}

impl Listed for Approval {
    const NONE: &'static str = "nothing waits for a second person";
    const HEADING: &'static [&'static str] =
        &["id", "method", "what", "asked by", "when", "approved by"];

    fn row(&self, now: SystemTime) -> Vec<String> {
        vec![
            self.id.clone(),
            self.method.clone(),
            self.object.clone(),
            self.asked_by.clone(),
            age(self.asked_unix_ms, now).unwrap_or_default(),
            self.approved_by.clone(),
        ]
    }
}
