//! `portcullis user check-answer`

use clap::Args;
use portcullis_proto::admin::v1::CheckAnswerRequest;
use portcullis_proto::admin::v1::users_client::UsersClient;

use crate::context::Context;
use crate::error::CliError;
use crate::input::password::AnswerSource;

use super::print_match;

#[derive(Debug, Args)]
pub(crate) struct CheckAnswerArgs {
    /// The user
    name: String,
    /// The question
    #[arg(long, value_name = "QUESTION")]
    question: String,
    #[command(flatten)]
    answer: AnswerSource,
}

impl CheckAnswerArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut users = context.client(UsersClient::new).await?;
        let request = CheckAnswerRequest {
            name: self.name.clone(),
            question: self.question,
            answer: Some(self.answer.answer()?),
        };
        let answer = users.check_answer(request).await?.into_inner();
        print_match(context, answer, "answer", &self.name)
    }
}
