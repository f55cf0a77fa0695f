//! `portcullis user remove-answer`

use clap::Args;
use portcullis_proto::admin::v1::RemoveAnswerRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct RemoveAnswerArgs {
    /// The user
    name: String,
    /// The question
    #[arg(long, value_name = "QUESTION")]
    question: String,
}

impl RemoveAnswerArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let request = RemoveAnswerRequest {
            name: self.name,
            question: self.question,
        };
        let mut users = context.users().await?;
        let user = users.remove_answer(request).await?.into_inner();
        context.print(&user)
    }
}
