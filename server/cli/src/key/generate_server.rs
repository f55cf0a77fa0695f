//! `portcullis key generate-server`

use clap::Args;
use portcullis_proto::admin::v1::GenerateServerKeyRequest;
use portcullis_proto::admin::v1::keys_client::KeysClient;

use super::kind::{self, Kind};
use crate::context::Context;
use crate::error::CliError;
use crate::view::KeyList;

#[derive(Debug, Args)]
pub(crate) struct GenerateServerArgs {
    /// The kind of the new key; that of the current one where none is given
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Encrypt what is stored from now on under it
    #[arg(long)]
    set_current: bool,
}

impl GenerateServerArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = GenerateServerKeyRequest {
            kind: kind::wire(self.kind).into(),
            set_current: self.set_current,
        };
        let key = context
            .client(KeysClient::new)
            .await?
            .generate_server(request)
            .await?;
        context.print(&KeyList(vec![key.into_inner()]))
    }
}
