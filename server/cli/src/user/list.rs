//! `portcullis user list`

use clap::Args;
use portcullis_proto::admin::v1::ListUsersRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::view::UserList;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct ListArgs {}

impl ListArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.users().await?;
        let mut users = Vec::new();
        let mut request = ListUsersRequest::default();
        loop {
            let page = client.list(request.clone()).await?.into_inner();
            users.extend(page.users);
            match users.last() {
                Some(last) if page.more => request.after.clone_from(&last.name),
                _ => return context.print(&UserList(users)),
            }
        }
    }
}
