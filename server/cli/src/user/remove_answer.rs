//! `portcullis user remove-answer`

use clap::Args;
use portcullis_proto::admin::v1::RemoveAnswerRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct RemoveAnswerArgs {
    /// The user
    name: String,
    /// The question
    #[arg(long, value_name = "QUESTION")]
    question: String,
}

impl RemoveAnswerArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = RemoveAnswerRequest {
            name: self.name,
            question: self.question,
        };
        let mut users = context.client(UsersClient::new).await?;
        let user = users.remove_answer(request).await?.into_inner();
        context.print(&user)
    }
}
