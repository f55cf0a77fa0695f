//! `portcullis user set-answer`

use clap::Args;
use portcullis_proto::admin::v1::SetAnswerRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;

use crate::context::Context;
use crate::error::CliError;
use crate::input::password::AnswerSource;

#[derive(Debug, Args)]
pub(crate) struct SetAnswerArgs {
    /// The user
    name: String,
    /// The question, as it will be asked
    #[arg(long, value_name = "QUESTION")]
    question: String,
    #[command(flatten)]
    answer: AnswerSource,
}

impl SetAnswerArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut users = context.client(UsersClient::new).await?;
        let request = SetAnswerRequest {
            name: self.name,
            question: self.question,
            answer: Some(self.answer.answer()?),
        };
        let user = users.set_answer(request).await?.into_inner();
        context.print(&user)
    }
}
