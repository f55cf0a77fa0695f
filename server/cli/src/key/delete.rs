//! `portcullis key delete`: refused while something depends on the key, unless it is forced.

use std::time::SystemTime;

use clap::Args;
use portcullis_common::id::KeyId;
use portcullis_proto::admin::v1::keys_client::KeysClient;
use portcullis_proto::admin::v1::{DeleteKeyRequest, DeleteKeyResponse, DependentValues};
use serde_json::{Value, json};
use tonic::Code;

use super::view::not_scrubbed;
use crate::context::Context;
use crate::error::CliError;
use crate::input::prompt::confirm;
use crate::view::{View, list, some};

#[derive(Debug, Args)]
pub(crate) struct DeleteArgs {
    /// The key's id
    id: KeyId,
    /// Only say what depends on it
    #[arg(long)]
    dry_run: bool,
    /// Whatever depends on it: its values never open again, its gateways have to enrol again
    #[arg(long, conflicts_with = "dry_run")]
    force: bool,
    /// With --force: the id again, in place of typing it
    #[arg(long, value_name = "ID", requires = "force")]
    confirm: Option<KeyId>,
}

impl DeleteArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut keys = context.client(KeysClient::new).await?;
        let request = DeleteKeyRequest {
            key_id: self.id.to_string(),
            dry_run: self.dry_run,
            ..DeleteKeyRequest::default()
        };
        let look = DeleteKeyRequest {
            dry_run: true,
            ..request.clone()
        };
        let view = |answer, deleted| Deletion {
            id: self.id,
            answer,
            deleted,
        };
        if !self.force {
            let asked = context.pending().dry(self.dry_run, keys.delete(request));
            return match asked.await {
                Ok(answer) => context.print(&view(answer.into_inner(), !self.dry_run)),
                Err(status) if status.code() == Code::FailedPrecondition => {
                    // The error says how many, this who.
                    let depends = context.pending().dry(true, keys.delete(look)).await?;
                    let depends = depends.into_inner();
                    context.print(&view(depends, false))?;
                    Err(status.into())
                }
                Err(status) => Err(status.into()),
            };
        }
        if self.confirm.is_none() {
            let depends = context.pending().dry(true, keys.delete(look)).await?;
            let depends = depends.into_inner();
            context.note(&view(depends, false).summary());
            confirm(
                "What depends on this key is lost with it, unless an export holds it.",
                &self.id.to_string(),
                "--confirm ID",
            )?;
        }
        let request = DeleteKeyRequest {
            force: true,
            confirm_key_id: self.confirm.unwrap_or(self.id).to_string(),
            ..request
        };
        let answer = keys.delete(request).await?.into_inner();
        context.print(&view(answer, true))
    }
}

/// A deletion, or what depends on the key.
struct Deletion {
    id: KeyId,
    answer: DeleteKeyResponse,
    deleted: bool,
}

impl Deletion {
    /// In a sentence: what is lost with the key.
    fn summary(&self) -> String {
        let values: u64 = self.answer.values.iter().map(|values| values.count).sum();
        format!(
            "{} key {}: {values} values and {} gateways depend on it; {} values of the repository do not open now, {} without it",
            self.answer.purpose,
            self.id,
            self.answer.gateways.len(),
            self.answer.closed_before,
            self.answer.closed_after,
        )
    }

    /// In sentences: what became of the key.
    fn outcome(&self) -> Vec<String> {
        let (id, answer) = (self.id, &self.answer);
        let purpose = &answer.purpose;
        if !self.deleted && answer.current {
            return vec![format!(
                "{purpose} key {id} is the current one: it is never deleted"
            )];
        }
        if !self.deleted {
            return vec![self.summary()];
        }
        let mut lines = vec![format!("{purpose} key {id} is deleted")];
        if answer.closed_after > answer.closed_before {
            lines.push(format!(
                "{} values of the repository do not open any more, {} before",
                answer.closed_after, answer.closed_before
            ));
        }
        if !answer.gateways.is_empty() {
            let next = "the gateways above have to enrol again: `portcullis gateway token NAME`";
            lines.push(next.to_owned());
        }
        lines
    }
}

impl View for Deletion {
    fn table(&self, _: SystemTime) -> String {
        let answer = &self.answer;
        let mut lines = Vec::new();
        if !answer.values.is_empty() {
            let rows = answer.values.iter().map(|values| {
                vec![
                    values.r#type.clone(),
                    values.count.to_string(),
                    owners(values),
                ]
            });
            lines.push(list(&["type", "values", "of"], rows));
        }
        if !answer.gateways.is_empty() {
            let rows = answer
                .gateways
                .iter()
                .map(|gateway| vec![gateway.name.clone(), gateway.dependency.clone()]);
            lines.push(list(&["gateway", "this key was"], rows));
        }
        lines.extend(self.outcome());
        lines.extend(not_scrubbed(&answer.not_scrubbed));
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let answer = &self.answer;
        json!({
            "key_id": self.id.to_string(),
            "purpose": answer.purpose,
            "deleted": self.deleted,
            "current": answer.current,
            "values": answer.values.iter().map(|values| json!({
                "type": values.r#type, "count": values.count, "owners": values.owners,
            })).collect::<Value>(),
            "gateways": answer.gateways.iter().map(|gateway| json!({
                "gateway": gateway.name, "dependency": gateway.dependency,
            })).collect::<Value>(),
            "closed_before": answer.closed_before,
            "closed_after": answer.closed_after,
            "not_scrubbed": some(&answer.not_scrubbed),
        })
    }
}

fn owners(values: &DependentValues) -> String {
    let mut text = values.owners.join(", ");
    if values.owners.len() as u64 >= 1000 && values.count > 1000 {
        text.push_str(", …");
    }
    text
}
