//! `portcullis policy set`

use clap::Args;
use portcullis_proto::admin::v1::SetPolicyRequest;
use portcullis_proto::admin::v1::policy_client::PolicyClient;

use crate::context::Context;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    #[command(flatten)]
    rules: RuleArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct RuleArgs {
    /// Characters at least; 0 (as in all rules): no such rule
    #[arg(long, value_name = "N")]
    min_length: Option<u32>,
    /// Characters at most
    #[arg(long, value_name = "N")]
    max_length: Option<u32>,
    /// Lower-case letters at least
    #[arg(long, value_name = "N")]
    min_lower: Option<u32>,
    /// Upper-case letters at least
    #[arg(long, value_name = "N")]
    min_upper: Option<u32>,
    /// Digits at least
    #[arg(long, value_name = "N")]
    min_digits: Option<u32>,
    /// Characters that are neither letters nor digits, at least
    #[arg(long, value_name = "N")]
    min_other: Option<u32>,
    /// Whether the name of the user or account may not be in it
    #[arg(long, value_name = "true|false")]
    forbid_names: Option<bool>,
    /// Whether it may be no word of the dictionary
    #[arg(long, value_name = "true|false")]
    forbid_words: Option<bool>,
    /// Of how many earlier passwords of the user it may be none
    #[arg(long, value_name = "N")]
    user_history: Option<u32>,
    /// Of how many earlier passwords of the account on its resource it may be none
    #[arg(long, value_name = "N")]
    account_history: Option<u32>,
}

impl SetArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let rules = self.rules;
        let request = SetPolicyRequest {
            min_length: rules.min_length,
            max_length: rules.max_length,
            min_lower: rules.min_lower,
            min_upper: rules.min_upper,
            min_digits: rules.min_digits,
            min_other: rules.min_other,
            forbid_names: rules.forbid_names,
            forbid_words: rules.forbid_words,
            user_history: rules.user_history,
            account_history: rules.account_history,
        };
        let policy = context
            .client(PolicyClient::new)
            .await?
            .set(request)
            .await?
            .into_inner();
        context.print(&policy)
    }
}
