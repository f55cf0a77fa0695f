//! `portcullis gateway add`: one gateway, or many.

use std::path::PathBuf;

use clap::Args;
use portcullis_proto::admin::v1::AddGatewayRequest;

use super::many::{Manner, ManyArgs};
use super::roster::{self, TemplateArgs, Wanted};
use super::token::{self, TokenOutput};
use crate::context::Context;
use crate::error::CliError;

/// The gateways, and how each is reached.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    /// 1 to 64 of A-Z a-z 0-9 . _ -, beginning with a letter or a digit. For many: --count or
    /// --from
    #[arg(required_unless_present_any = ["count", "from"], conflicts_with_all = ["count", "from"])]
    name: Option<String>,
    #[command(flatten)]
    way: WayArgs,
    #[command(flatten)]
    template: TemplateArgs,
    #[command(flatten)]
    many: ManyArgs,
    /// Also let it pair in default mode, once, after `portcullis-gateway pair` on its host: for
    /// networks where nobody can step in between
    #[arg(long)]
    allow_pairing: bool,
    /// Reach it through TLS alone (`[tls]` of the server and of the gateway)
    #[arg(long)]
    require_tls: bool,
    /// Put it into this group, for pushes of the gateway key and waves of upgrades; repeat for
    /// several
    #[arg(long = "group", value_name = "G")]
    groups: Vec<String>,
    /// Where a gateway of this name is there already, change nothing, print no token, and end
    /// with 0
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    output: TokenOutput,
}

/// Who dials, or where that is said for each.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct WayArgs {
    /// The server dials the gateway there; the port is 9278 where none is given. With --count
    /// `{name}` stands for its name
    #[arg(long, value_name = "HOST:PORT")]
    address: Option<String>,
    /// The gateway dials the server
    #[arg(long)]
    dial_out: bool,
    /// Register those in this CSV file at once: columns name, address (empty: it dials the server),
    /// groups (`one;two`), require_tls
    #[arg(long, value_name = "FILE.csv", requires = "out")]
    from: Option<PathBuf>,
}

impl AddArgs {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        let like = Wanted {
            name: self.name.unwrap_or_default(),
            address: self.way.address.unwrap_or_default(),
            groups: self.groups,
            require_tls: self.require_tls,
        };
        let many = match &self.way.from {
            Some(file) => Some(roster::from_file(file, &like)?),
            None => self.template.wanted(&like)?,
        };
        if let Some(wanted) = many {
            let manner = Manner {
                allow_pairing: self.allow_pairing,
                if_absent: self.if_absent,
            };
            return self.many.run(context, wanted, manner).await;
        }
        let request = AddGatewayRequest {
            name: like.name,
            address: like.address,
            dial_out: self.way.dial_out,
            allow_pairing: self.allow_pairing,
            groups: like.groups,
            if_absent: self.if_absent,
            require_tls: self.require_tls,
        };
        token::add(context, request, self.output).await
    }
}
