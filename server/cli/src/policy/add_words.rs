//! `portcullis policy add-words`

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis_proto::admin::v1::AddWordsRequest;
use portcullis_proto::admin::v1::policy_client::PolicyClient;
use serde_json::json;

use crate::context::Context;
use crate::error::CliError;

/// Words in one request: a second or two of work for the server.
const AT_A_TIME: usize = 256;

#[derive(Debug, Args)]
pub(crate) struct AddWordsArgs {
    /// A text file in UTF-8, with a word on each line. May be given again: words that are there already are left alone
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl AddWordsArgs {
    pub(crate) async fn run(self, context: &Context) -> Result<(), CliError> {
        let text = std::fs::read_to_string(&self.file).map_err(|source| CliError::File {
            action: "read",
            path: self.file.clone(),
            source,
        })?;
        let words: Vec<_> = text
            .lines()
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect();
        let mut client = context.client(PolicyClient::new).await?;
        let bar = progress(words.len() as u64, context.json());
        let mut added = 0;
        for some in words.chunks(AT_A_TIME) {
            let request = AddWordsRequest {
                words: some.to_vec(),
            };
            added += client.add_words(request).await?.into_inner().added;
            bar.inc(some.len() as u64);
        }
        bar.finish_and_clear();
        let total = words.len();
        if context.json() {
            context.print_json(&json!({ "words": total, "added": added }))
        } else {
            context.line(&format!(
                "{added} of {total} words are new in the dictionary; `portcullis policy set --forbid-words true` has passwords obey it"
            ))
        }
    }
}

fn progress(total: u64, json: bool) -> ProgressBar {
    if json || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template("{bar:30} {pos}/{len} words  {elapsed} gone, {eta} to go")
    {
        bar.set_style(style);
    }
    bar
}
