//! `portcullis user list`

use clap::Args;
use portcullis_proto::admin::v1::ListUsersRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;

use crate::context::Context;
use crate::error::CliError;
use crate::view::UserList;

#[derive(Debug, Args)]
pub(crate) struct ListArgs {}

impl ListArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut client = context.client(UsersClient::new).await?;
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
