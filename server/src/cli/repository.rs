//! `portcullis-server repository`: what the server stores, as a whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use rustix::process::getuid;

use crate::audit::Subject;
use crate::config::Config;
use crate::repository::{Loss, Store};
use crate::serve::transfer::{self, Contents};

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Copies the repository to where another configuration has it, and looks whether all of it can
    /// be used there. The one here is marked as moved then: no server starts on it any more.
    Copy {
        /// The configuration that the server will have: its [repository] and data_dir say where to.
        /// The secret and the audit log's head file are to be there already.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Writes the repository, as it is in one moment, into a file that is not there yet: the same
    /// whatever stores it. A server may be running. The secret is not in it.
    Backup {
        /// The file.
        file: PathBuf,
    },
    /// Makes the repository of a backup, where there is none, and accepts what was lost since.
    Restore {
        /// The file that `backup` wrote.
        file: PathBuf,
        #[command(flatten)]
        why: Why,
    },
    /// Goes on from a repository that was put back to an earlier state, such as by a backup of the
    /// database or a failover that lost changes: calls that wait are held for a decision, tokens
    /// are void, and pairing is closed.
    AcceptLoss {
        #[command(flatten)]
        why: Why,
    },
}

#[derive(Debug, Args)]
pub(super) struct Why {
    /// Why that is right: it stands in the audit log.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// What to do next, wherever something was lost.
const NEXT: &str = "Next: `portcullis-server serve`; then `portcullis gateway list --ahead` shows who knows more than this repository,\n\
     and `portcullis call list --state indeterminate` the calls that wait for a decision.\n";

/// `portcullis-server repository …`: what was done, in words.
pub(super) fn run(config: &Config, verb: &Verb) -> Result<String, Box<dyn std::error::Error>> {
    let runtime = super::serve::runtime(2)?;
    let who = || Subject::user(getuid().as_raw(), None);
    Ok(match verb {
        Verb::Copy { to } => {
            let to = Config::load(Some(to))?;
            let contents = runtime.block_on(transfer::copy(config, &to))?;
            format!(
                "copied to    {}\n{}The repository {} is marked as moved. Next: let the server's configuration name the other one.\n",
                Store::of(&to),
                told(&contents),
                Store::of(config),
            )
        }
        Verb::Backup { file } => {
            let sums = runtime.block_on(transfer::back_up(config, file))?;
            let rows: u64 = sums.iter().map(|sum| sum.rows).sum();
            format!(
                "backup       {}\nrows         {rows} in {} tables\n\nIt is of no use without the secret: keep that apart from it.\n",
                file.display(),
                sums.len()
            )
        }
        Verb::Restore { file, why } => {
            let restored = transfer::restore(config, file, who(), &why.reason);
            let (contents, loss) = runtime.block_on(restored)?;
            format!(
                "restored to  {}\n{}{}{NEXT}",
                Store::of(config),
                told(&contents),
                given_up(&loss)
            )
        }
        Verb::AcceptLoss { why } => {
            let accepted = transfer::accept_loss(config, who(), &why.reason);
            format!("{}{NEXT}", given_up(&runtime.block_on(accepted)?))
        }
    })
}

fn told(contents: &Contents) -> String {
    let Contents {
        server_id,
        rows,
        values,
        entries,
        faults,
    } = contents;
    let away = match values.without_key {
        0 => String::new(),
        count => format!(", {count} are under server keys that are not here"),
    };
    let mut text = format!(
        "server id    {server_id}\nrows         {rows}\nsecrets      {} open{away}\naudit log    {entries} entries\n",
        values.opened
    );
    for fault in faults {
        text += &format!("warning      {fault}\n");
    }
    text
}

fn given_up(loss: &Loss) -> String {
    format!(
        "generation   {}\ncalls held   {}\ngateways     {} had tokens or pairing open, which are void now\n\n",
        loss.generation, loss.held, loss.closed
    )
}
