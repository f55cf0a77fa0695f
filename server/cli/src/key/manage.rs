//! `portcullis key manage`

use clap::Args;
use portcullis_proto::admin::v1::ManageKeysRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use super::kind::{self, Kind};
use crate::context::Context;
use crate::error::CliError;
use crate::task::follow::{Where, started};

#[derive(Debug, Args)]
pub(crate) struct ManageArgs {
    /// Make a new server key, and encrypt what is stored from now on under it
    #[arg(long)]
    server_key: bool,
    /// The kind of the new server key; that of the current one where none is given
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Encrypt anew every value that is not under the current server key
    #[arg(long)]
    re_encrypt: bool,
    /// Make a new gateway key
    #[arg(long)]
    gateway_key: bool,
    /// Push the current gateway key to the gateways that have not proved it
    #[arg(long)]
    sync: bool,
    /// Open every value and every server key
    #[arg(long)]
    verify: bool,
    /// Last, delete each server key and gateway key that is not current and on which nothing depends. Only where it is named
    #[arg(long)]
    delete_unused: bool,
    /// Say what would be done, with counts, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: Where,
}

impl ManageArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let chosen = self.server_key
            || self.re_encrypt
            || self.gateway_key
            || self.sync
            || self.verify
            || self.delete_unused;
        let request = ManageKeysRequest {
            server_key: self.server_key || !chosen,
            server_kind: kind::wire(self.kind).into(),
            re_encrypt: self.re_encrypt || !chosen,
            gateway_key: self.gateway_key || !chosen,
            sync_gateways: self.sync || !chosen,
            verify: self.verify || !chosen,
            dry_run: self.dry_run,
            delete_unused: self.delete_unused,
        };
        if self.kind.is_some() && !request.server_key {
            return Err(CliError::usage(
                "--kind is that of a new server key: give --server-key",
            ));
        }
        let answer = context
            .client(KeysClient::new)
            .await?
            .manage(request)
            .await?;
        started(context, answer.into_inner(), self.place).await
    }
}
