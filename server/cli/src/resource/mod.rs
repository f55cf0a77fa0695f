//! `portcullis resource …`

mod add;
mod list;
mod remove;
mod schema;
mod set;
mod show;
mod test;

use std::collections::HashMap;

use clap::Subcommand;

use super::context::Context;
use super::error::CliError;
use super::input::assignment::Setting;

#[derive(Debug, Subcommand)]
pub(super) enum ResourceCommand {
    /// Add a resource: a connector of a gateway, with settings
    Add(add::AddArgs),
    /// Change a resource's gateway, connector or settings
    Set(set::SetArgs),
    /// List the resources
    List(list::ListArgs),
    /// Show one resource
    Show(show::ShowArgs),
    /// Ask the connector whether it is ready to work
    Test(test::TestArgs),
    /// Show what the connector can do: classes, attributes, actions, settings
    Schema(schema::SchemaArgs),
    /// Remove a resource from the server; nothing on it is touched
    Remove(remove::RemoveArgs),
}

impl ResourceCommand {
    pub(super) async fn run(self, context: &Context) -> Result<(), CliError> {
        match self {
            Self::Add(args) => args.run(context).await,
            Self::Set(args) => args.run(context).await,
            Self::List(args) => args.run(context).await,
            Self::Show(args) => args.run(context).await,
            Self::Test(args) => args.run(context).await,
            Self::Schema(args) => args.run(context).await,
            Self::Remove(args) => args.run(context).await,
        }
    }
}

/// Settings as the API has them; a name given twice is a mistake.
fn settings(given: Vec<Setting>) -> Result<HashMap<String, String>, CliError> {
    let mut out = HashMap::with_capacity(given.len());
    for Setting { name, value } in given {
        if out.insert(name.clone(), value).is_some() {
            return Err(CliError::Usage(format!("--set {name}=… is given twice")));
        }
    }
    Ok(out)
}
