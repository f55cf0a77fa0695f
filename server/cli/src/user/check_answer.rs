//! `portcullis user check-answer`

use clap::Args;
use portcullis_proto::admin::v1::CheckAnswerRequest;

use crate::admin_cli::context::Context;
use crate::admin_cli::error::CliError;
use crate::admin_cli::input::password::AnswerSource;

use super::print_match;

#[derive(Debug, Args)]
pub(in crate::admin_cli) struct CheckAnswerArgs {
    /// The user
    name: String,
    /// The question
    #[arg(long, value_name = "QUESTION")]
    question: String,
    #[command(flatten)]
    answer: AnswerSource,
}

impl CheckAnswerArgs {
    pub(in crate::admin_cli) async fn run(self, context: &Context) -> Result<(), CliError> {
        let mut users = context.users().await?;
        let request = CheckAnswerRequest {
            name: self.name.clone(),
            question: self.question,
            answer: Some(self.answer.answer()?),
        };
        let answer = users.check_answer(request).await?.into_inner();
        print_match(context, answer, "answer", &self.name)
    }
}
