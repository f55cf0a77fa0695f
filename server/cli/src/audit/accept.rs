//! `portcullis audit accept`

use clap::Args;
use data_encoding::HEXLOWER;
use portcullis_proto::admin::v1::AcceptAuditRequest;
use portcullis_proto::admin::v1::audit_client::AuditClient;
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct AcceptArgs {
    /// Why: the backup that was restored, or what was found; it is written into the log
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl AcceptArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = AcceptAuditRequest {
            reason: self.reason,
        };
        let head = context
            .client(AuditClient::new)
            .await?
            .accept(request)
            .await?
            .into_inner();
        let mac = HEXLOWER.encode(&head.mac);
        if context.json() {
            return context.print_json(&json!({ "count": head.count, "mac": mac }));
        }
        context.line(&format!(
            "the audit log goes on from entry {}, which says so\nhead  {}:{mac}",
            head.count, head.count
        ))
    }
}
